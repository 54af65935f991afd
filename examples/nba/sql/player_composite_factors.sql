-- Three factors that move a player's next game: how tired he is, how his shots suit the opponent's defence, how fast the game will be.
with pace as (
  select
    season, team_id, game_date,
    avg(pace) over last_10 as pace_10,
    avg(pace) over so_far as pace_season
  from {{table "team_offense_game_summary"}}
  where game_date >= {{input_start "team_offense_game_summary"}}
    and game_date < {{input_end "team_offense_game_summary"}}
  window
    so_far as (partition by season, team_id order by game_date, game_id rows unbounded preceding),
    last_10 as (partition by season, team_id order by game_date, game_id rows 9 preceding)
),
players as (
  select *
  from {{table "player_daily_cache"}}
  where game_date >= {{start}}
    and game_date < {{end}}
),
-- The pace of a team on a date is asked for once, not once for each of its players.
team_pace as (
  select d.season, d.game_date, d.team_id, p.pace_10, p.pace_season
  from (select distinct season, game_date, team_id from players) d
  asof join pace p on p.season = d.season and p.team_id = d.team_id and p.game_date < d.game_date
)
select
  c.game_date,
  c.player_id,
  c.team_id,
  c.opponent_team_id,
  c.season,
  -- 0 is fresh, 100 exhausted: 30 for a game the night before, less with every day of rest, 10 for each game of the last week
  -- beyond the second, and up to 40 for its minutes (160 is four games of 40).
  round(
    case when c.rest_days = 0 then 30 when c.rest_days = 1 then 10 else 0 end
    + least(greatest(c.games_7d - 2, 0), 3) * 10
    + least(c.minutes_7d / 160, 1) * 40, 2
  ) as fatigue_score,
  c.rest_days,
  c.is_back_to_back,
  c.games_7d,
  c.minutes_7d,
  -- Points per 100 of his shots that the opponent allows him more than the league does, by where he shoots from.
  round(
    100 * (
      2 * z.paint_share_20 * d.paint_vs_league
      + 2 * z.mid_share_20 * d.mid_vs_league
      + 3 * z.three_share_20 * d.three_vs_league
    ), 3
  ) as zone_mismatch,
  -- Possessions in 48 minutes that this game promises beyond what his team is used to.
  round((o.pace_10 + v.pace_10) / 2, 3) as expected_pace,
  round((o.pace_10 + v.pace_10) / 2 - o.pace_season, 3) as pace_change
from players c
left join {{table "player_shot_zone_analysis"}} z
  on z.game_date = c.game_date and z.player_id = c.player_id
  and z.game_date >= {{start}} and z.game_date < {{end}}
left join {{table "team_defense_zone_analysis"}} d
  on d.game_date = c.game_date and d.team_id = c.opponent_team_id
  and d.game_date >= {{start}} and d.game_date < {{end}}
left join team_pace o on o.game_date = c.game_date and o.team_id = c.team_id
left join team_pace v on v.game_date = c.game_date and v.team_id = c.opponent_team_id
