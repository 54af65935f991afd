package nba_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/league"
)

// TestGenerated runs the pipeline on a generated league: two seasons, the second with shots.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	if err := league.Write(dir, league.Options{Seed: 11, Seasons: 2, Shots: true}); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir)
	r.compute(t)
	for _, size := range []int{7, 60, 700} {
		// Chunks of 7 over the weeks around the turn of the season, where windows begin anew; the others over everything.
		dates := r.dates
		if size == 7 {
			dates = dates[len(dates)/2-24 : len(dates)/2+40]
		}
		t.Run(fmt.Sprintf("chunks of %d", size), func(t *testing.T) { r.compareChunks(t, dates, size) })
	}
	t.Run("checks", func(t *testing.T) { r.checks(t, r.dates) })
	t.Run("facts", func(t *testing.T) { r.facts(t) })
	t.Run("oracle", func(t *testing.T) { r.oracle(t) })
	t.Run("shots", func(t *testing.T) {
		if n := r.strings(t, "select count(*) from player_shot_zone_analysis where season = '2021-22'"); n[0] != "0" {
			t.Errorf("%s rows of shot zones in a season without shots", n[0])
		}
		if n := r.strings(t, "select count(distinct game_date) from player_shot_zone_analysis where season = '2022-23'"); n[0] < "190" {
			t.Errorf("shot zones on %s dates of the season with shots", n[0])
		}
	})
	t.Run("never the date itself", func(t *testing.T) { r.neverTheDateItself(t) })
}

// TestReal runs the pipeline on real box scores, which are not part of the project.
func TestReal(t *testing.T) {
	dir := os.Getenv("HEADWAY_NBA_DATA")
	if dir == "" {
		dir = "../../../shared/data/nba"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("real NBA data: %v (set HEADWAY_NBA_DATA to the folder)", err)
	}
	r := start(t, dir)
	r.compute(t)
	for _, size := range []int{7, 60, 700} {
		dates := r.dates
		if size == 7 {
			dates = dates[380:480] // from the end of one season with shots into the next
		}
		t.Run(fmt.Sprintf("chunks of %d", size), func(t *testing.T) { r.compareChunks(t, dates, size) })
	}
	// The feed lacks the last games of the playoffs of 2025.
	missing := map[string][]string{
		"raw_team_box":   {"2025-06-08", "2025-06-11", "2025-06-13", "2025-06-16", "2025-06-19", "2025-06-22"},
		"raw_player_box": {"2025-06-11", "2025-06-13", "2025-06-16", "2025-06-19", "2025-06-22"},
	}
	for source, want := range missing {
		got := r.strings(t, "("+r.Calendars["game_days"].Query+") except (select game_date from "+source+") order by 1")
		if !slices.Equal(got, want) {
			t.Errorf("%s lacks %v, want %v", source, got, want)
		}
	}
	if got := r.strings(t, "("+r.Calendars["shot_days"].Query+") except (select game_date from raw_shots)"); len(got) > 0 {
		t.Errorf("raw_shots lacks %v", got)
	}
	complete := r.dates[:len(r.dates)-len(missing["raw_team_box"])]
	t.Run("checks", func(t *testing.T) { r.checks(t, complete) })
	t.Run("facts", func(t *testing.T) { r.facts(t) })
	t.Run("oracle", func(t *testing.T) { r.oracle(t) })
	t.Run("possessions", func(t *testing.T) {
		want := []string{"2021-22 100.9", "2022-23 102.1", "2023-24 101.1", "2024-25 101.8"}
		got := r.strings(t, "select season || ' ' || round(avg(possessions), 1) from team_offense_game_summary group by season order by season")
		if !slices.Equal(got, want) {
			t.Errorf("possessions by season are %v, want %v", got, want)
		}
	})
}

// compareChunks computes the dates in chunks and compares the rows with those computed at once.
func (r *run) compareChunks(t *testing.T, dates []time.Time, size int) {
	first, last := literal(dates[0]), literal(dates[len(dates)-1])
	for _, name := range r.order() {
		if r.Tables[name].Partition == "none" {
			continue
		}
		r.exec(t, "create or replace temp table chunked as select * from "+name+" limit 0")
		for chunk := range slices.Chunk(dates, size) {
			r.exec(t, "insert into chunked "+r.render(t, name, chunk))
		}
		whole := fmt.Sprintf("(select * from %s where game_date between %s and %s)", name, first, last)
		for _, missing := range []string{whole + " except all (from chunked)", "(from chunked) except all " + whole} {
			if n := r.strings(t, "select count(*) from ("+missing+")"); n[0] != "0" {
				t.Errorf("%s: %s rows differ between chunks of %d and one statement", name, n[0], size)
			}
		}
	}
}

// facts hold for every league of thirty teams and 82 games.
func (r *run) facts(t *testing.T) {
	for query, want := range map[string]string{
		"select distinct count(distinct game_id) from team_offense_game_summary where season_type = 'regular' group by season": "1230",
		"select distinct count(*) from team_offense_game_summary where season_type = 'regular' group by season, team_id":       "82",
		"select distinct count(*) from team_defense_game_summary where season_type = 'regular' group by season, team_id":       "82",
		// Five players share a team's 100: the shares weighted by time come to 20, less what the team's own turnovers take.
		"select distinct abs(sum(usage_rate * minutes) / sum(minutes) - 19.87) < 0.02 from player_game_summary where season_type = 'regular' " +
			"group by season": "true",
		"select count(*) from player_game_summary where (usage_rate is null) <> (minutes = 0) and game_id <> '0042400402'": "0",
		"select count(*) from player_game_summary where opponent_team_id = team_id":                                        "0",
	} {
		if got := r.strings(t, query); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
}

// neverTheDateItself changes everything about one date in the game summaries and sees that what is known that morning stays.
func (r *run) neverTheDateItself(t *testing.T) {
	date := r.dates[len(r.dates)-60:][:1]
	names := []string{"player_daily_cache", "player_shot_zone_analysis", "team_defense_zone_analysis", "player_composite_factors"}
	before := map[string]string{}
	state := func(name string) string {
		r.exec(t, "create or replace temp table computed as "+r.render(t, name, date))
		return strings.Join(r.strings(t, "select to_json(c) from computed c order by 1"), "\n")
	}
	for _, name := range names {
		before[name] = state(name)
		if strings.Count(before[name], "\n") < 1 {
			t.Fatalf("%s has no rows on %s", name, date[0])
		}
	}
	r.exec(t, "begin")
	defer r.exec(t, "rollback")
	for change, on := range map[string]string{
		"player_game_summary set pts = pts + 40, minutes = 47, usage_rate = 99, fga = fga + 30, reb = 0": "",
		"team_offense_game_summary set pace = 200, possessions = 200":                                    "",
		"team_defense_game_summary set fga_allowed = 1":                                                  "",
		"raw_shots set made = 1, distance_ft = 1, shot_type = '2PT'":                                     "",
	} {
		r.exec(t, "update "+change+" where game_date >= "+literal(date[0])+on)
	}
	for _, name := range names {
		if after := state(name); after != before[name] {
			t.Errorf("%s of %s changed with the games of that date", name, date[0])
		}
	}
}
