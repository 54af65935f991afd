package duckdb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// nbaData is the folder of the real data.
func nbaData(t testing.TB) string {
	dir := os.Getenv("HEADWAY_NBA_DATA")
	if dir == "" {
		dir = "../../../../shared/data/nba"
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abs); err != nil {
		t.Skipf("the real NBA data is not in %s (HEADWAY_NBA_DATA)", abs)
	}
	return abs
}

var days = calendar.Axis{Grain: calendar.Day, Zone: "America/New_York"}

// types reads "name type, name type".
func types(list string) []warehouse.Column {
	var out []warehouse.Column
	for field := range strings.SplitSeq(list, ",") {
		name, typ, _ := strings.Cut(strings.TrimSpace(field), " ")
		out = append(out, warehouse.Column{Name: name, Type: typ})
	}
	return out
}

var (
	scheduleTypes = types("season varchar, season_type varchar, game_id varchar, game_date date, home_team_id varchar, home_abbr varchar, " +
		"away_team_id varchar, away_abbr varchar, home_pts integer, away_pts integer, neutral integer, tipoff_utc timestamptz, " +
		"arena varchar, arena_city varchar, src varchar")
	counts = "fgm integer, fga integer, fg3m integer, fg3a integer, ftm integer, fta integer, oreb integer, dreb integer, reb integer, " +
		"ast integer, stl integer, blk integer, tov integer, pf integer, pts integer, plus_minus integer"
	teamTypes = types("season varchar, season_type varchar, game_id varchar, game_date date, team_id varchar, team_abbr varchar, " +
		"team_name varchar, matchup varchar, wl varchar, min integer, tov_scope varchar, src varchar, " + counts)
	playerTypes = types("season varchar, season_type varchar, game_id varchar, game_date date, team_id varchar, team_abbr varchar, " +
		"matchup varchar, wl varchar, player_id varchar, player_name varchar, min double, min_sec varchar, src varchar, " + counts)
	shotTypes = types("game_id varchar, game_date date, team_id varchar, player_id varchar, period integer, mins_left integer, " +
		"secs_left integer, made integer, shot_type varchar, action_type varchar, zone_basic varchar, zone_abb varchar, zone_range varchar, " +
		"distance_ft integer, loc_x double, loc_y double")
)

func target(name string) warehouse.Target {
	return warehouse.Target{Table: "w:" + name, Relation: name, Column: "game_date", Axis: days, Digits: 9}
}

func TestNBA(t *testing.T) {
	dir := nbaData(t)
	ctx := context.Background()
	w, err := duckdb.Open(ctx, filepath.Join(t.TempDir(), "nba.duckdb"), duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	timed := func(what string, fn func() error) {
		t.Helper()
		start := time.Now()
		if err := fn(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%-20s %v", what, time.Since(start).Round(100*time.Microsecond))
	}
	observe := func(name, glob string, types ...warehouse.Column) (state *warehouse.SourceState) {
		timed("observe "+name, func() (err error) {
			state, err = w.Observe(ctx, warehouse.SourceRequest{Target: target(name), Files: filepath.Join(dir, glob), Types: types})
			return err
		})
		t.Log(state.Rows, state.Nulls, len(state.Contents), len(state.Columns))
		return state
	}
	observe("raw_schedule", "schedule_*.csv.gz", scheduleTypes...)
	observe("raw_player_box", "player_box_*.csv.gz", playerTypes...)
	observe("raw_team_box", "team_box_*.csv.gz", teamTypes...)
	observe("raw_shots", "shots_20??-??.csv.gz", shotTypes...)
	var set calendar.Set
	timed("dates", func() (err error) {
		set, err = w.Dates(ctx, "select distinct game_date from raw_schedule where season_type in ('regular', 'playoffs')", days)
		return err
	})
	t.Log(set.Count(), len(set.Intervals()))
	tgt := target("nba.team_offense")
	timed("raise", func() error { return w.Raise(ctx, tgt.Table, set, 5) })
	var stage *warehouse.Stage
	timed("stage", func() (err error) {
		stage, err = w.Stage(ctx, warehouse.StageRequest{Target: tgt, Set: set, Attempt: "a-1", Query: "select * exclude (min_sec) from raw_player_box;"})
		return err
	})
	t.Log(stage.Relation, len(stage.Contents), stage.Dropped)
	checks := []warehouse.Check{
		{ID: "u", Kind: "unique", Columns: []string{"game_id", "player_id"}},
		{ID: "n", Kind: "not_null", Columns: []string{"pts"}},
		{ID: "r", Kind: "range", Columns: []string{"pts"}, Max: new(60.0)},
		{ID: "p", Kind: "pattern", Columns: []string{"game_id"}, Pattern: `^\d{10}$`},
		{ID: "rel", Kind: "relationship", Columns: []string{"game_id", "team_id"}, To: "raw_team_box"},
		{ID: "rows", Kind: "rows", Query: "select game_date, count(*) from raw_player_box group by 1"},
		{ID: "sql", Kind: "sql", Query: "select game_date, avg((pts = 2*fgm+fg3m+ftm)::int) from " + stage.Relation + " group by 1", Min: new(1.0)},
	}
	timed("check", func() error {
		verdicts, err := w.Check(ctx, tgt, stage, set, checks)
		bad := map[string]int{}
		for _, v := range verdicts {
			if !v.Passed {
				if bad[v.Check]++; bad[v.Check] < 3 {
					t.Log(v)
				}
			}
		}
		t.Log(len(verdicts), bad)
		return err
	})
	pub := warehouse.Publication{Target: tgt, Stage: stage, Set: set, Token: 5, Attempt: "a-1", Ledger: "l", Version: "v1", At: time.Unix(0, 0)}
	for range 2 {
		timed("publish", func() error {
			done, err := w.Publish(ctx, pub)
			if err == nil {
				t.Log(done.Created, len(done.Replaced), len(done.Inserted))
			}
			return err
		})
	}
	timed("markers", func() error {
		m, err := w.Markers(ctx, tgt.Table, set)
		t.Log(len(m), m[0])
		return err
	})
	timed("bind", func() error {
		b, err := w.Bind(ctx, "select * from raw_player_box join "+w.Relation("nba.team_offense")+" using (game_id)")
		if err == nil {
			t.Log(b.Reads)
		}
		return err
	})
	timed("lend", func() error { return w.Lend(ctx, func(context.Context) error { return nil }) })
	timed("check again", func() error { _, err := w.Check(ctx, tgt, stage, set, checks); return err })
	timed("contents", func() error { _, err := w.Contents(ctx, tgt, set); return err })
	state := observe("raw_shots", "shots_20??-??.csv.gz", shotTypes...)
	timed("unchanged", func() error {
		s, err := w.Observe(ctx, warehouse.SourceRequest{Target: target("raw_shots"), Files: filepath.Join(dir, "shots_20??-??.csv.gz"), Known: state.Version, Types: shotTypes})
		if err == nil && !s.Unchanged {
			t.Error("changed")
		}
		return err
	})
}
