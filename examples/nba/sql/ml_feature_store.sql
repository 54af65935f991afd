-- One row for each player who appeared: what was known that morning (features) and what he did (labels, named actual_*). A player
-- has features from his second game of the season with a team on; a hole stays null, it is never filled with a constant.
select
  g.game_date,
  g.game_id,
  g.player_id,
  g.player_name,
  g.team_id,
  g.opponent_team_id,
  g.is_home,
  g.season,
  g.season_type,
  p.position_simple as position,
  c.player_id is not null as has_history,
  c.season_day,
  c.games_season,
  c.minutes_avg_5, c.pts_avg_5,
  c.minutes_avg_10, c.pts_avg_10, c.reb_avg_10, c.ast_avg_10, c.usage_rate_avg_10, c.true_shooting_10,
  c.minutes_avg_season, c.pts_avg_season, c.reb_avg_season, c.ast_avg_season, c.usage_rate_avg_season,
  z.paint_share_10, z.mid_share_10, z.three_share_10,
  z.paint_share_20, z.mid_share_20, z.three_share_20,
  z.paint_accuracy_20, z.mid_accuracy_20, z.three_accuracy_20,
  d.paint_vs_league as opponent_paint_vs_league,
  d.mid_vs_league as opponent_mid_vs_league,
  d.three_vs_league as opponent_three_vs_league,
  f.fatigue_score,
  f.rest_days,
  f.is_back_to_back,
  f.games_7d,
  f.minutes_7d,
  f.zone_mismatch,
  f.expected_pace,
  f.pace_change,
  t.offensive_rating as actual_team_offensive_rating,
  v.defensive_rating as actual_team_defensive_rating,
  g.minutes as actual_minutes,
  g.pts as actual_pts,
  g.reb as actual_reb,
  g.ast as actual_ast,
  g.usage_rate as actual_usage_rate
from {{table "player_game_summary"}} g
left join {{table "player_daily_cache"}} c
  on c.game_date = g.game_date and c.player_id = g.player_id
  and c.game_date >= {{start}} and c.game_date < {{end}}
left join {{table "player_shot_zone_analysis"}} z
  on z.game_date = g.game_date and z.player_id = g.player_id
  and z.game_date >= {{start}} and z.game_date < {{end}}
left join {{table "team_defense_zone_analysis"}} d
  on d.game_date = g.game_date and d.team_id = g.opponent_team_id
  and d.game_date >= {{start}} and d.game_date < {{end}}
left join {{table "player_composite_factors"}} f
  on f.game_date = g.game_date and f.player_id = g.player_id
  and f.game_date >= {{start}} and f.game_date < {{end}}
left join {{table "team_offense_game_summary"}} t
  on t.game_date = g.game_date and t.team_id = g.team_id
  and t.game_date >= {{start}} and t.game_date < {{end}}
left join {{table "team_defense_game_summary"}} v
  on v.game_date = g.game_date and v.team_id = g.team_id
  and v.game_date >= {{start}} and v.game_date < {{end}}
left join {{table "dim_player"}} p
  on p.season = g.season and p.player_id = g.player_id
where g.game_date >= {{start}}
  and g.game_date < {{end}}
