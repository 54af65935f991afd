-- One row for each team and game. Home, away and opponent come from the schedule by team id: the matchup text ("vs." and "@") is
-- wrong for games on neutral ground.
select
  t.game_date,
  t.game_id,
  t.team_id,
  t.team_abbr,
  t.season,
  t.season_type,
  case when t.team_id = s.home_team_id then s.away_team_id else s.home_team_id end as opponent_team_id,
  t.team_id = s.home_team_id as is_home,
  t.wl = 'W' as won,
  t.min as team_minutes,
  t.fgm, t.fga, t.fg3m, t.fg3a, t.ftm, t.fta,
  t.oreb, t.dreb, t.reb, t.ast, t.stl, t.blk, t.tov, t.pf, t.pts,
  t.fga + 0.44 * t.fta + t.tov - t.oreb as possessions,
  cast(100 * t.pts / nullif(t.fga + 0.44 * t.fta + t.tov - t.oreb, 0) as decimal(9, 3)) as offensive_rating,
  cast((t.fga + 0.44 * t.fta + t.tov - t.oreb) * 48 / nullif(t.min / 5, 0) as decimal(9, 3)) as pace,
  cast(t.pts / nullif(2 * (t.fga + 0.44 * t.fta), 0) as decimal(9, 4)) as true_shooting
from {{table "raw_team_box"}} t
left join {{table "raw_schedule"}} s
  on s.game_id = t.game_id
  and s.game_date = t.game_date
  and s.game_date >= {{input_start "raw_schedule"}}
  and s.game_date < {{input_end "raw_schedule"}}
where t.game_date >= {{start}}
  and t.game_date < {{end}}
