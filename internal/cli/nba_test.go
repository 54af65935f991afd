package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/cli"
	"github.com/headway-data/headway/internal/executor/shim"
	"github.com/headway-data/headway/internal/league"
)

// A shell runs headway in a project, in this process.
type shell struct {
	t   *testing.T
	dir string
}

// run gives what a command wrote to stdout, and its exit code.
func (s shell) run(args ...string) (string, int) {
	s.t.Helper()
	var out, errs bytes.Buffer
	p := cli.NewProcess(s.dir, "test", func() int { return 0 })
	p.RunUnder(shim.Self())
	p.Stdout, p.Stderr, p.Stdin = &out, &errs, bytes.NewReader(nil)
	code := cli.Main(context.Background(), p, args)
	s.t.Logf("headway %v: exit %d\n%s%s", args, code, out.String(), errs.String())
	return out.String(), code
}

// answer reads a command's JSON.
func answer[T any](s shell, code int, args ...string) T {
	s.t.Helper()
	var v T
	out, got := s.run(append(args, "-o", "json")...)
	if got != code {
		s.t.Fatalf("headway %v: exit %d, want %d", args, got, code)
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		s.t.Fatalf("headway %v: %v", args, err)
	}
	return v
}

type runAnswer struct {
	Published, Unchanged, Skipped int
	Tables                        []struct {
		Table                         string
		Published, Blocked, Unchanged int
		Open                          []struct {
			What      string
			Intervals []struct{ Start, End string }
		}
	}
}

type statusAnswer struct {
	Tables []struct {
		Table    string
		Expected int
		States   map[string]int
	}
}

// realData is the folder with real box scores; the test is skipped by name where it is not.
func realData(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HEADWAY_NBA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "nba")
	}
	if _, err := os.Stat(filepath.Join(dir, "player_box_2021-22.csv.gz")); err != nil {
		t.Skipf("real box scores are not here (%s): set HEADWAY_NBA_DATA", dir)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// project makes the nba project with data copied from a folder.
func project(t *testing.T, data string) shell {
	t.Helper()
	s := shell{t, filepath.Join(t.TempDir(), "nba")}
	if err := cli.MakeDemoProject(s.dir, data); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRealBoxScores runs the reference pipeline over four real seasons: known facts hold, what the feed lacks is blocked and nothing else,
// and a corrected night restates what rests on it.
func TestRealBoxScores(t *testing.T) {
	s := project(t, realData(t))
	// Of the playoffs of 2025 the feed lacks dates for good; they block what rests on them, and only that.
	first := answer[runAnswer](s, 5, "run", "--yes")
	if first.Published < 6600 {
		t.Errorf("%d partitions published, want most of them", first.Published)
	}
	for _, table := range first.Tables {
		for _, open := range table.Open {
			if open.What != "blocked" || open.Intervals[0].Start < "2025-06-08" {
				t.Errorf("%s: %s from %s", table.Table, open.What, open.Intervals[0].Start)
			}
		}
	}
	facts(t, filepath.Join(s.dir, "nba.duckdb"))

	// Nothing has changed: nothing is computed, and what is blocked stays told.
	again := answer[runAnswer](s, 3, "run", "--yes")
	if again.Published != 0 {
		t.Errorf("%d partitions published by a run with nothing to do", again.Published)
	}

	// One night is corrected. Averages of the season look back, so only later dates of that season may be restated.
	const night = "2022-12-14"
	if _, err := league.CorrectDate(filepath.Join(s.dir, "data"), night); err != nil {
		t.Fatal(err)
	}
	third := answer[runAnswer](s, 5, "run", "--yes")
	for _, table := range third.Tables {
		switch table.Table {
		case "team_offense_game_summary", "team_defense_game_summary", "player_game_summary":
			if table.Published != 1 {
				t.Errorf("%s: %d partitions restated, want the one", table.Table, table.Published)
			}
		case "dim_player":
			t.Errorf("%s restated", table.Table)
		default:
			if table.Published == 0 || table.Published > 160 {
				t.Errorf("%s: %d partitions restated, want those of the rest of the season at most", table.Table, table.Published)
			}
		}
	}
}

// facts are known of the real data from elsewhere.
func facts(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("duckdb", file+"?access_mode=read_only")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	rows, err := db.Query(`
		select o.season, count(distinct o.game_id) filter (o.season_type = 'regular'), avg(o.possessions),
			(select sum(p.usage_rate * p.minutes) / sum(p.minutes) from player_game_summary p
			 where p.season = o.season and p.season_type = 'regular' and p.minutes > 0)
		from team_offense_game_summary o group by o.season order by o.season`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	want := map[string]float64{"2021-22": 100.9, "2022-23": 102.1, "2023-24": 101.1, "2024-25": 101.8}
	seen := 0
	for rows.Next() {
		var season string
		var games int
		var possessions, usage float64
		if err := rows.Scan(&season, &games, &possessions, &usage); err != nil {
			t.Fatal(err)
		}
		seen++
		if games != 1230 {
			t.Errorf("%s: %d regular games, want 1,230", season, games)
		}
		if math.Abs(possessions-want[season]) > 0.05 {
			t.Errorf("%s: %.2f possessions, want %.1f", season, possessions, want[season])
		}
		if math.Abs(usage-19.87) > 0.03 {
			t.Errorf("%s: usage %.3f by minutes, want 19.87", season, usage)
		}
	}
	if err := rows.Err(); err != nil || seen != 4 {
		t.Errorf("%d seasons, want 4: %v", seen, err)
	}
}

// TestGeneratedLeague runs the pipeline over a generated league to its end: everything is fresh, and a correction restates what it must.
func TestGeneratedLeague(t *testing.T) {
	s := project(t, "")
	answer[runAnswer](s, 0, "run", "--yes")
	status := answer[statusAnswer](s, 0, "status", "--exit-code")
	if len(status.Tables) != 9 {
		t.Errorf("%d tables, want 9", len(status.Tables))
	}
	if out, code := s.run("run"); code != 0 || out != "nothing to do: all that was asked for is fresh\n" {
		t.Errorf("a second run: exit %d, %q", code, out)
	}
	if _, err := league.CorrectDate(filepath.Join(s.dir, "data"), "2022-12-14"); err != nil {
		t.Fatal(err)
	}
	restated := answer[runAnswer](s, 0, "run", "--yes")
	if restated.Published == 0 {
		t.Error("nothing was restated after a correction")
	}
	answer[statusAnswer](s, 0, "status", "--exit-code")
}
