-- What is known of a player on the morning of a game date, from the games of this season before it: one row for each player of a
-- team on that date's schedule, a player's team being the one of his last game.
with playing as (
  select p.partition_start as game_date, p.season_start, s.season, s.team_id, s.opponent_team_id, s.is_home
  from {{partitions}} p
  join (
    select game_date, season, season_type, home_team_id as team_id, away_team_id as opponent_team_id, true as is_home
    from {{table "raw_schedule"}}
    union all
    select game_date, season, season_type, away_team_id, home_team_id, false
    from {{table "raw_schedule"}}
  ) s on s.game_date = p.partition_start
  where s.season_type in ('regular', 'playoffs')
    and s.game_date >= {{input_start "raw_schedule"}}
    and s.game_date < {{input_end "raw_schedule"}}
),
games as (
  select *
  from {{table "player_game_summary"}}
  where game_date >= {{input_start "player_game_summary"}}
    and game_date < {{input_end "player_game_summary"}}
),
candidates as (
  select p.*, r.player_id, p.game_date - 7 as week_start
  from playing p
  join (select distinct season, team_id, player_id from games) r on r.season = p.season and r.team_id = p.team_id
),
-- How a player stands after each of his games. Sums and averages are of integers and decimals: exact, in any order.
form as (
  select
    season, player_id, game_date, team_id, player_name,
    count(*) over season_so_far as games_season,
    sum(minutes) over season_so_far as minutes_season,
    avg(minutes) over season_so_far as minutes_avg_season,
    avg(pts) over season_so_far as pts_avg_season,
    avg(reb) over season_so_far as reb_avg_season,
    avg(ast) over season_so_far as ast_avg_season,
    avg(usage_rate) over season_so_far as usage_rate_avg_season,
    avg(minutes) over last_10 as minutes_avg_10,
    avg(pts) over last_10 as pts_avg_10,
    avg(reb) over last_10 as reb_avg_10,
    avg(ast) over last_10 as ast_avg_10,
    avg(usage_rate) over last_10 as usage_rate_avg_10,
    sum(pts) over last_10 / nullif(2 * sum(fga + 0.44 * fta) over last_10, 0) as true_shooting_10,
    avg(minutes) over last_5 as minutes_avg_5,
    avg(pts) over last_5 as pts_avg_5
  from games
  where player_id in (select player_id from candidates)
  window
    season_so_far as (partition by season, player_id order by game_date, game_id rows unbounded preceding),
    last_10 as (partition by season, player_id order by game_date, game_id rows 9 preceding),
    last_5 as (partition by season, player_id order by game_date, game_id rows 4 preceding)
)
select
  c.game_date,
  c.player_id,
  f.player_name,
  c.team_id,
  c.opponent_team_id,
  c.is_home,
  c.season,
  c.game_date - c.season_start as season_day,
  c.game_date - f.game_date - 1 as rest_days,
  c.game_date - f.game_date = 1 as is_back_to_back,
  f.games_season,
  f.games_season - coalesce(w.games_season, 0) as games_7d,
  cast(f.minutes_season - coalesce(w.minutes_season, 0) as decimal(9, 4)) as minutes_7d,
  least(f.games_season, 5) as games_5,
  least(f.games_season, 10) as games_10,
  round(f.minutes_avg_5, 3) as minutes_avg_5,
  round(f.pts_avg_5, 3) as pts_avg_5,
  round(f.minutes_avg_10, 3) as minutes_avg_10,
  round(f.pts_avg_10, 3) as pts_avg_10,
  round(f.reb_avg_10, 3) as reb_avg_10,
  round(f.ast_avg_10, 3) as ast_avg_10,
  round(f.usage_rate_avg_10, 3) as usage_rate_avg_10,
  round(f.true_shooting_10, 4) as true_shooting_10,
  round(f.minutes_avg_season, 3) as minutes_avg_season,
  round(f.pts_avg_season, 3) as pts_avg_season,
  round(f.reb_avg_season, 3) as reb_avg_season,
  round(f.ast_avg_season, 3) as ast_avg_season,
  round(f.usage_rate_avg_season, 3) as usage_rate_avg_season
from candidates c
asof join form f
  on f.season = c.season and f.player_id = c.player_id and f.game_date < c.game_date
asof left join form w
  on w.season = c.season and w.player_id = c.player_id and w.game_date < c.week_start
where f.team_id = c.team_id
