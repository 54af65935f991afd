package duckdb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

const counts = "fgm integer, fga integer, fg3m integer, fg3a integer, ftm integer, fta integer, oreb integer, dreb integer, reb integer, " +
	"ast integer, stl integer, blk integer, tov integer, pf integer, pts integer, plus_minus integer"

var (
	scheduleTypes = types("season varchar, season_type varchar, game_id varchar, game_date date, home_team_id varchar, home_abbr varchar, " +
		"away_team_id varchar, away_abbr varchar, home_pts integer, away_pts integer, neutral integer, tipoff_utc timestamptz, " +
		"arena varchar, arena_city varchar, src varchar")
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

// A source is one of the real ones, with what is known of it.
type source struct {
	name, glob string
	types      []warehouse.Column
	rows       int64
}

var sources = []source{
	{"raw_schedule", "schedule_*.csv.gz", scheduleTypes, 1327 + 1324 + 1323 + 1327},
	{"raw_team_box", "team_box_*.csv.gz", teamTypes, 2634 + 2628 + 2624 + 2616},
	{"raw_player_box", "player_box_*.csv.gz", playerTypes, 27930 + 27623 + 28086 + 27998},
	{"raw_shots", "shots_20??-??.csv.gz", shotTypes, 217220 + 218701},
}

func observe(t testing.TB, w *duckdb.Warehouse, dir string, s source, known string) *warehouse.SourceState {
	t.Helper()
	state, err := w.Observe(t.Context(), warehouse.SourceRequest{Target: target(s.name), Files: filepath.Join(dir, s.glob), Types: s.types, Known: known})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestNBASources(t *testing.T) {
	dir := nbaData(t)
	w := openFile(t, filepath.Join(t.TempDir(), "nba.duckdb"))
	for _, s := range sources {
		declared := observe(t, w, dir, s, "")
		if declared.Rows != s.rows || declared.Nulls != 0 || len(declared.Columns) != len(s.types) {
			t.Errorf("%s: %d rows (%d without a date) of %d columns, want %d of %d", s.name, declared.Rows, declared.Nulls, len(declared.Columns), s.rows, len(s.types))
		}
		if again := observe(t, w, dir, s, declared.Version); !again.Unchanged {
			t.Errorf("%s: read twice, changed", s.name)
		}
		if s.name == "raw_shots" {
			continue // the types of the others show what is to be shown
		}
		s.types = nil
		guessed := observe(t, w, dir, s, "")
		got := map[string]string{}
		for _, c := range guessed.Columns {
			got[c.Name] = c.Type
		}
		// Ids have leading zeros; min_sec is empty in the regular season, and no number in the playoffs.
		for column, want := range map[string]string{"game_id": "VARCHAR", "min_sec": "VARCHAR", "game_date": "DATE", "season": "VARCHAR", "pts": "BIGINT"} {
			if typ, ok := got[column]; ok && typ != want {
				t.Errorf("%s: without a contract %s is %s, want %s", s.name, column, typ, want)
			}
		}
		if guessed.Rows != s.rows || len(guessed.Contents) != len(declared.Contents) {
			t.Errorf("%s: without a contract %d rows on %d dates", s.name, guessed.Rows, len(guessed.Contents))
		}
	}
}

func TestNBAPublish(t *testing.T) {
	dir := nbaData(t)
	w := openFile(t, filepath.Join(t.TempDir(), "nba.duckdb"))
	for _, s := range sources[:3] {
		observe(t, w, dir, s, "")
	}
	set, err := w.Dates(t.Context(), "select distinct game_date from raw_player_box", days)
	if err != nil {
		t.Fatal(err)
	}
	players := target("nba.players") // a schema of the file's own name
	if err := w.Raise(t.Context(), warehouse.Fence{Table: players.Table, Set: set, Token: 1}); err != nil {
		t.Fatal(err)
	}
	query := "select * exclude (min_sec) from raw_player_box where game_date >= %s and game_date < %s"
	var before []warehouse.Content
	for _, size := range []int{7, 60, 2000} {
		var inserted []warehouse.Content
		for i, chunk := range set.Chunks(size) {
			if size == 7 && i >= 20 {
				break // it need not be all to be compared
			}
			bounds := chunk.Bounds()
			stage, err := w.Stage(t.Context(), warehouse.StageRequest{
				Target: players, Set: chunk, Attempt: fmt.Sprintf("a-%d-%d", size, i),
				Query: fmt.Sprintf(query, w.Literal(days, bounds.Start), w.Literal(days, bounds.End)),
			})
			if err != nil {
				t.Fatal(err)
			}
			checkPlayers(t, w, players, stage)
			done, err := w.Publish(t.Context(), warehouse.Publication{
				Target: players, Stage: stage, Set: chunk, Token: 1, Attempt: stage.Attempt, Version: "v", At: time.Unix(0, 0),
			})
			if err != nil {
				t.Fatal(err)
			}
			inserted = append(inserted, done.Inserted...)
		}
		if n := min(len(before), len(inserted)); !slices.Equal(before[:n], inserted[:n]) {
			t.Fatalf("chunks of %d dates give other rows than smaller ones", size)
		}
		before = inserted
	}
	if now, err := w.Contents(t.Context(), players, calendar.All()); err != nil || !slices.Equal(now, before) || len(now) != set.Count() {
		t.Fatalf("the table holds %d dates, want the %d published (%v)", len(now), len(before), err)
	}
	b, err := w.Bind(t.Context(), "select * from raw_player_box join "+w.Relation("nba.players")+" using (game_id)")
	if err != nil || !slices.Equal(b.Reads, []string{"main.raw_player_box", "nba.players"}) {
		t.Fatalf("binding %+v, %v", b, err)
	}
}

// checkPlayers judges what is known to hold in the real data.
func checkPlayers(t *testing.T, w *duckdb.Warehouse, players warehouse.Target, stage *warehouse.Stage) {
	t.Helper()
	verdicts, err := w.Check(t.Context(), players, stage, stage.Set, []warehouse.Check{
		{ID: "unique", Kind: "unique", Columns: []string{"game_id", "player_id"}},
		{ID: "not_null", Kind: "not_null", Columns: []string{"pts"}},
		{ID: "range", Kind: "range", Columns: []string{"pts"}, Min: new(0.0), Max: new(73.0)},
		{ID: "pattern", Kind: "pattern", Columns: []string{"game_id"}, Pattern: `^\d{10}$`},
		{ID: "accepted", Kind: "accepted_values", Columns: []string{"season_type"}, Values: []string{"regular", "playoffs"}},
		{ID: "relationship", Kind: "relationship", Columns: []string{"game_id", "team_id"}, To: "raw_team_box", Where: "game_date < date '2025-06-08'"},
		{ID: "rows", Kind: "rows", Query: "select game_date, count(*) from raw_player_box group by 1"},
		{ID: "identity", Kind: "sql", Query: "select game_date, avg((pts = 2 * fgm + fg3m + ftm)::int) from " + stage.Relation + " group by 1", Min: new(1.0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if !v.Passed {
			t.Errorf("%s on %s: %v, %s", v.Check, days.ID(v.Partition), v.Value, v.Example)
		}
	}
}
