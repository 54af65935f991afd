-- One row for each player who appeared in a game. usage_rate is null where the minutes are 0 (they are rounded in the regular
-- season: a few seconds on the floor are 0 minutes) and where the team's row is not there, which the checks tell apart.
select
  p.game_date,
  p.game_id,
  p.player_id,
  p.player_name,
  p.team_id,
  t.opponent_team_id,
  t.is_home,
  p.season,
  p.season_type,
  cast(p.min as decimal(9, 4)) as minutes,
  p.fgm, p.fga, p.fg3m, p.fg3a, p.ftm, p.fta,
  p.oreb, p.dreb, p.reb, p.ast, p.stl, p.blk, p.tov, p.pf, p.pts, p.plus_minus,
  cast(
    100 * (p.fga + 0.44 * p.fta + p.tov) * (t.team_minutes / 5)
    / nullif(cast(p.min as decimal(9, 4)) * (t.fga + 0.44 * t.fta + t.tov), 0) as decimal(9, 3)
  ) as usage_rate,
  cast(p.pts / nullif(2 * (p.fga + 0.44 * p.fta), 0) as decimal(9, 4)) as true_shooting
from {{table "raw_player_box"}} p
left join {{table "team_offense_game_summary"}} t
  on t.game_id = p.game_id
  and t.team_id = p.team_id
  and t.game_date = p.game_date
  and t.game_date >= {{input_start "team_offense_game_summary"}}
  and t.game_date < {{input_end "team_offense_game_summary"}}
where p.game_date >= {{start}}
  and p.game_date < {{end}}
