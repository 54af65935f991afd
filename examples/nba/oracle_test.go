package nba_test

import (
	"slices"
	"strings"
	"testing"
)

// formulas are the definitions, over the source rows; each counts the rows of a table that disagree.
var formulas = map[string]string{
	"possessions":      "from team_offense_game_summary t join raw_team_box b using (game_id, team_id) where t.possessions <> b.fga + 0.44 * b.fta + b.tov - b.oreb",
	"offensive rating": "from team_offense_game_summary where abs(offensive_rating - 100 * pts / possessions) > 0.001",
	"pace":             "from team_offense_game_summary where abs(pace - possessions * 48 / (team_minutes / 5)) > 0.001",
	"true shooting":    "from team_offense_game_summary where abs(true_shooting - pts / (2 * (fga + 0.44 * fta))) > 0.0001",
	"defence": "from team_defense_game_summary d join team_offense_game_summary o on o.game_id = d.game_id and o.team_id <> d.team_id " +
		"where d.defensive_rating <> o.offensive_rating or d.pts_allowed <> o.pts or d.opponent_team_id <> o.team_id or d.is_home = o.is_home",
	"usage rate": "from raw_player_box p join raw_team_box t using (game_id, team_id) join player_game_summary g using (game_id, player_id) where abs(g.usage_rate - " +
		"100 * (p.fga + 0.44 * p.fta + p.tov) * (t.min / 5) / (p.min * (t.fga + 0.44 * t.fta + t.tov))) > 0.01 and p.min > 0.5",
	"fatigue": "from player_composite_factors where fatigue_score not between 0 and 100 or (rest_days = 0) <> is_back_to_back",
	"features": "from ml_feature_store m join player_game_summary g using (game_date, player_id) left join player_daily_cache c using (game_date, player_id) " +
		"where m.pts_avg_10 is distinct from c.pts_avg_10 or m.actual_pts <> g.pts",
}

// morning recomputes a row of what is known on the morning of a date the slow way: from the sources, for one player and date.
const morning = `
with box as (select * from raw_player_box where player_id = $player and season = $season and game_date < $date),
ten as (select * from box order by game_date desc limit 10),
five as (select * from box order by game_date desc limit 5),
covered as (select * from box where game_id in (select game_id from raw_shots) order by game_date desc limit 20),
zones as (select s.* from raw_shots s where player_id = $player and game_id in (select game_id from covered))
select
  c.games_season = (select count(*) from box)
  and c.games_7d = (select count(*) from box where game_date >= $date - 7)
  and abs(c.minutes_7d - (select coalesce(sum(min), 0) from box where game_date >= $date - 7)) < 0.01
  and abs(c.pts_avg_season - (select avg(pts) from box)) < 0.001
  and abs(c.pts_avg_10 - (select avg(pts) from ten)) < 0.001
  and abs(c.reb_avg_10 - (select avg(reb) from ten)) < 0.001
  and abs(c.minutes_avg_5 - (select avg(min) from five)) < 0.001
  and abs(c.pts_avg_5 - (select avg(pts) from five)) < 0.001
  and c.rest_days = $date - (select max(game_date) from box) - 1
  and c.team_id = (select team_id from five order by game_date desc limit 1)
  and coalesce(z.games_20, 0) = (select count(*) from covered)
  and coalesce(z.fga_20, 0) = (select count(*) from zones)
  and coalesce(abs(z.paint_share_20 - (select avg((distance_ft <= 8 and shot_type = '2PT')::int) from zones)), 0) < 0.001
  and coalesce(abs(z.three_share_20 - (select avg((shot_type = '3PT')::int) from zones)), 0) < 0.001
  and coalesce(abs(z.mid_share_20 - (select avg((distance_ft > 8 and shot_type = '2PT')::int) from zones)), 0) < 0.001
  and coalesce(abs(z.three_accuracy_20 - (select avg(made) from zones where shot_type = '3PT')), 0) < 0.001
from player_daily_cache c
left join player_shot_zone_analysis z using (game_date, player_id)
where c.game_date = $date and c.player_id = $player`

// defence recomputes what a team has allowed.
const defence = `
with games as (
  select distinct game_id, game_date
  from raw_shots join raw_team_box b using (game_id, game_date)
  where b.team_id = $team and b.season = $season and game_date < $date
  order by game_date desc
  limit 15
),
shots as (select * from raw_shots where team_id <> $team and game_id in (select game_id from games))
select
  d.games_15 = (select count(*) from games)
  and d.fga_allowed_15 = (select count(*) from shots)
  and abs(d.three_accuracy_allowed_15 - (select avg(made) from shots where shot_type = '3PT')) < 0.001
  and abs(d.paint_accuracy_allowed_15 - (select avg(made) from shots where shot_type = '2PT' and distance_ft <= 8)) < 0.001
  and abs(d.mid_share_allowed_15 - (select avg((shot_type = '2PT' and distance_ft > 8)::int) from shots)) < 0.001
  and abs(d.mid_vs_league - d.mid_accuracy_allowed_15 + (
    select avg(made) from raw_shots join (select distinct game_id, season from raw_team_box) using (game_id)
    where season = $season and game_date < $date and shot_type = '2PT' and distance_ft > 8)) < 0.001
from team_defense_zone_analysis d
where d.game_date = $date and d.team_id = $team`

// oracle holds the tables against their definitions and, on a sample, against the slow way.
func (r *run) oracle(t *testing.T) {
	for name, query := range formulas {
		if n := r.strings(t, "select count(*) "+query); n[0] != "0" {
			t.Errorf("%s: %s rows disagree with the definition", name, n[0])
		}
	}
	for _, c := range []struct{ table, entity, variable, query string }{
		{"player_daily_cache", "player_id", "$player", morning},
		{"player_shot_zone_analysis", "player_id", "$player", morning},
		{"team_defense_zone_analysis", "team_id", "$team", defence},
	} {
		sample := r.strings(t, "select concat_ws(' ', game_date, "+c.entity+", season) from "+c.table+" order by hash(game_date, "+c.entity+") limit 40")
		if len(sample) < 40 {
			t.Fatalf("%s has %d rows", c.table, len(sample))
		}
		for _, row := range sample {
			f := strings.Fields(row)
			query := strings.NewReplacer("$date", "DATE '"+f[0]+"'", c.variable, "'"+f[1]+"'", "$season", "'"+f[2]+"'").Replace(c.query)
			if got := r.strings(t, query); !slices.Equal(got, []string{"true"}) {
				t.Errorf("%s of %s: computed slowly it is something else (%v)", c.table, row, got)
			}
		}
	}
}
