-- What a team of the date's schedule has allowed by zone in its last 15 games of this season, and how that compares with what all
-- teams have allowed in the season so far. The games are those the shot feed covers; where it covers none there is no row.
with shots as (
  select
    game_id, team_id as opponent_team_id,
    count(*) as fga,
    count(*) filter (shot_type <> '3PT' and distance_ft <= 8) as paint,
    count(*) filter (shot_type = '3PT') as three,
    coalesce(sum(made) filter (shot_type <> '3PT' and distance_ft <= 8), 0) as paint_made,
    coalesce(sum(made) filter (shot_type = '3PT'), 0) as three_made,
    coalesce(sum(made), 0) as made
  from {{table "raw_shots"}}
  where game_date >= {{input_start "raw_shots"}}
    and game_date < {{input_end "raw_shots"}}
  group by game_id, team_id
),
games as (
  select
    d.season, d.game_date, d.game_id, d.team_id,
    s.fga, s.paint, s.three, s.fga - s.paint - s.three as mid,
    s.paint_made, s.three_made, s.made - s.paint_made - s.three_made as mid_made
  from {{table "team_defense_game_summary"}} d
  join shots s on s.game_id = d.game_id and s.opponent_team_id = d.opponent_team_id
  where d.game_date >= {{input_start "team_defense_game_summary"}}
    and d.game_date < {{input_end "team_defense_game_summary"}}
),
teams as (
  select
    season, game_date, team_id,
    count(*) over last_15 as games_15,
    sum(fga) over last_15 as fga_15,
    sum(paint) over last_15 as paint_15,
    sum(mid) over last_15 as mid_15,
    sum(three) over last_15 as three_15,
    sum(paint_made) over last_15 / nullif(sum(paint) over last_15, 0) as paint_allowed,
    sum(mid_made) over last_15 / nullif(sum(mid) over last_15, 0) as mid_allowed,
    sum(three_made) over last_15 / nullif(sum(three) over last_15, 0) as three_allowed
  from games
  window last_15 as (partition by season, team_id order by game_date, game_id rows 14 preceding)
),
league as (
  select
    season, game_date,
    sum(sum(paint_made)) over so_far / nullif(sum(sum(paint)) over so_far, 0) as paint_league,
    sum(sum(mid_made)) over so_far / nullif(sum(sum(mid)) over so_far, 0) as mid_league,
    sum(sum(three_made)) over so_far / nullif(sum(sum(three)) over so_far, 0) as three_league
  from games
  group by season, game_date
  window so_far as (partition by season order by game_date rows unbounded preceding)
),
playing as (
  select p.partition_start as game_date, s.season, t.team_id
  from {{partitions}} p
  join {{table "raw_schedule"}} s on s.game_date = p.partition_start
  cross join lateral (select unnest([s.home_team_id, s.away_team_id]) as team_id) t
  where s.season_type in ('regular', 'playoffs')
    and s.game_date >= {{input_start "raw_schedule"}}
    and s.game_date < {{input_end "raw_schedule"}}
)
select
  p.game_date,
  p.team_id,
  p.season,
  t.games_15,
  cast(t.fga_15 as bigint) as fga_allowed_15,
  round(t.paint_15 / t.fga_15, 4) as paint_share_allowed_15,
  round(t.mid_15 / t.fga_15, 4) as mid_share_allowed_15,
  round(t.three_15 / t.fga_15, 4) as three_share_allowed_15,
  round(t.paint_allowed, 4) as paint_accuracy_allowed_15,
  round(t.mid_allowed, 4) as mid_accuracy_allowed_15,
  round(t.three_allowed, 4) as three_accuracy_allowed_15,
  round(t.paint_allowed - l.paint_league, 4) as paint_vs_league,
  round(t.mid_allowed - l.mid_league, 4) as mid_vs_league,
  round(t.three_allowed - l.three_league, 4) as three_vs_league
from playing p
asof join teams t on t.season = p.season and t.team_id = p.team_id and t.game_date < p.game_date
asof join league l on l.season = p.season and l.game_date < p.game_date
