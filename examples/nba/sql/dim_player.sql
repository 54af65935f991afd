-- One row for each player and season: where he plays. Names are not here: they come with the box score (17 ids are spelled two
-- ways within a season), and a dimension that read the daily box scores would be stale every morning.
select season, player_id, team_id, position, position_simple
from {{table "raw_player_positions"}}
