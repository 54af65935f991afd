-- One row for each team and game: what it allowed, which is its opponent's offence turned round.
select
  game_date,
  game_id,
  opponent_team_id as team_id,
  team_id as opponent_team_id,
  season,
  season_type,
  not is_home as is_home,
  not won as won,
  team_minutes,
  pts as pts_allowed,
  fgm as fgm_allowed,
  fga as fga_allowed,
  fg3m as fg3m_allowed,
  fg3a as fg3a_allowed,
  oreb as oreb_allowed,
  tov as tov_forced,
  possessions as possessions_allowed,
  offensive_rating as defensive_rating,
  true_shooting as true_shooting_allowed
from {{table "team_offense_game_summary"}}
where game_date >= {{start}}
  and game_date < {{end}}
