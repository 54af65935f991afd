-- Where a player of the date's schedule has shot from in his last 10 and 20 games of this season: paint (up to 8 feet), mid-range,
-- three. The games are those the shot feed covers; where it covers none (a whole season, or a season's first dates) there is no row.
with shots as (
  select
    game_date, game_id, player_id,
    count(*) as fga,
    count(*) filter (shot_type <> '3PT' and distance_ft <= 8) as paint,
    count(*) filter (shot_type = '3PT') as three,
    coalesce(sum(made) filter (shot_type <> '3PT' and distance_ft <= 8), 0) as paint_made,
    coalesce(sum(made) filter (shot_type = '3PT'), 0) as three_made,
    coalesce(sum(made), 0) as made
  from {{table "raw_shots"}}
  where game_date >= {{input_start "raw_shots"}}
    and game_date < {{input_end "raw_shots"}}
  group by game_date, game_id, player_id
),
-- A game without a shot is a game too: the box score says who played, the feed which games it has.
games as (
  select
    g.season, g.player_id, g.game_date, g.game_id, g.fga as box_fga,
    coalesce(s.fga, 0) as fga,
    coalesce(s.paint, 0) as paint,
    coalesce(s.three, 0) as three,
    coalesce(s.fga - s.paint - s.three, 0) as mid,
    coalesce(s.paint_made, 0) as paint_made,
    coalesce(s.three_made, 0) as three_made,
    coalesce(s.made - s.paint_made - s.three_made, 0) as mid_made
  from {{table "player_game_summary"}} g
  left join shots s on s.game_id = g.game_id and s.player_id = g.player_id and s.game_date = g.game_date
  where g.game_date >= {{input_start "player_game_summary"}}
    and g.game_date < {{input_end "player_game_summary"}}
    and g.game_id in (select game_id from shots)
),
playing as (
  select game_date, season, player_id, team_id
  from {{table "player_daily_cache"}}
  where game_date >= {{start}}
    and game_date < {{end}}
),
zones as (
  select
    season, player_id, game_date,
    count(*) over last_10 as games_10,
    sum(fga) over last_10 as fga_10,
    sum(paint) over last_10 as paint_10,
    sum(mid) over last_10 as mid_10,
    sum(three) over last_10 as three_10,
    count(*) over last_20 as games_20,
    sum(fga) over last_20 as fga_20,
    sum(paint) over last_20 as paint_20,
    sum(mid) over last_20 as mid_20,
    sum(three) over last_20 as three_20,
    sum(paint_made) over last_20 as paint_made_20,
    sum(mid_made) over last_20 as mid_made_20,
    sum(three_made) over last_20 as three_made_20,
    sum(box_fga) over last_20 as box_fga_20
  from games
  where player_id in (select player_id from playing)
  window
    last_10 as (partition by season, player_id order by game_date, game_id rows 9 preceding),
    last_20 as (partition by season, player_id order by game_date, game_id rows 19 preceding)
)
select
  p.game_date,
  p.player_id,
  p.team_id,
  p.season,
  z.games_10,
  cast(z.fga_10 as bigint) as fga_10,
  round(z.paint_10 / nullif(z.fga_10, 0), 4) as paint_share_10,
  round(z.mid_10 / nullif(z.fga_10, 0), 4) as mid_share_10,
  round(z.three_10 / nullif(z.fga_10, 0), 4) as three_share_10,
  z.games_20,
  cast(z.fga_20 as bigint) as fga_20,
  cast(z.box_fga_20 as bigint) as box_fga_20,
  round(z.paint_20 / nullif(z.fga_20, 0), 4) as paint_share_20,
  round(z.mid_20 / nullif(z.fga_20, 0), 4) as mid_share_20,
  round(z.three_20 / nullif(z.fga_20, 0), 4) as three_share_20,
  round(z.paint_made_20 / nullif(z.paint_20, 0), 4) as paint_accuracy_20,
  round(z.mid_made_20 / nullif(z.mid_20, 0), 4) as mid_accuracy_20,
  round(z.three_made_20 / nullif(z.three_20, 0), 4) as three_accuracy_20
from playing p
asof join zones z
  on z.season = p.season and z.player_id = p.player_id and z.game_date < p.game_date
