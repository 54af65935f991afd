package duckdb_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// The benchmarks run over the real data, copied by Observe as a run copies it.

// processor is the time that the process's threads have computed so far.
func processor(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured runs the body of a benchmark and reports the processor's time beside the wall's, which other work on the machine stretches.
func measured(b *testing.B, fn func()) {
	b.Helper()
	before := processor(b)
	n := 0
	for b.Loop() {
		fn()
		n++
	}
	b.ReportMetric(float64((processor(b)-before).Milliseconds())/float64(n), "cpu-ms/op")
}

func observeNBA(b testing.TB, w *duckdb.Warehouse, dir string) {
	for _, s := range sources {
		observe(b, w, dir, s, "")
	}
}

func openBench(b testing.TB, path string) *duckdb.Warehouse {
	w, err := duckdb.Open(b.Context(), path, duckdb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.Error(err)
		}
	})
	return w
}

// bare is the engine as a hand-written script uses it.
func bare(b testing.TB, path string) *sql.DB {
	connector, err := duck.NewConnector(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	db := sql.OpenDB(connector)
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

func BenchmarkObserve(b *testing.B) {
	dir := nbaData(b)
	b.Run("headway", func(b *testing.B) {
		measured(b, func() {
			w := openBench(b, filepath.Join(b.TempDir(), "nba.duckdb"))
			observeNBA(b, w, dir)
		})
	})
	b.Run("script", func(b *testing.B) {
		measured(b, func() {
			db := bare(b, filepath.Join(b.TempDir(), "nba.duckdb"))
			for _, s := range []string{
				"create table raw_schedule as select * from read_csv('" + dir + "/schedule_*.csv.gz', all_varchar = true)",
				"create table raw_team_box as select * from read_csv('" + dir + "/team_box_*.csv.gz', types = {game_id: 'varchar'})",
				"create table raw_player_box as select * from read_csv('" + dir + "/player_box_*.csv.gz', types = {game_id: 'varchar', min: 'double', min_sec: 'varchar'})",
				"create table raw_shots as select * from read_csv('" + dir + "/shots_20??-??.csv.gz', types = {game_id: 'varchar'})",
			} {
				if _, err := db.ExecContext(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// features is a query of 44 columns, of which 20 are floating-point, over all of the players' games.
const features = "select * exclude (min_sec), " +
	"avg(pts) over w as pts_10, avg(reb) over w as reb_10, avg(ast) over w as ast_10, avg(stl) over w as stl_10, avg(blk) over w as blk_10, " +
	"avg(tov) over w as tov_10, avg(pf) over w as pf_10, avg(fgm) over w as fgm_10, avg(fga) over w as fga_10, avg(fta) over w as fta_10, " +
	"pts / 7.0::double as a, reb / 7.0::double as b, ast / 7.0::double as c, stl / 7.0::double as d, blk / 7.0::double as e, min / 7 as f " +
	"from raw_player_box window w as (partition by player_id order by game_date, game_id rows 9 preceding)"

func BenchmarkFeatures(b *testing.B) {
	dir := nbaData(b)
	path := filepath.Join(b.TempDir(), "nba.duckdb")
	w := openBench(b, path)
	observeNBA(b, w, dir)
	set, err := w.Dates(b.Context(), "select distinct game_date from raw_player_box", days)
	if err != nil {
		b.Fatal(err)
	}
	t := target("features")
	if err := w.Raise(b.Context(), warehouse.Fence{Table: t.Table, Set: set, Token: 1}); err != nil {
		b.Fatal(err)
	}
	stageOf := func() *warehouse.Stage {
		stage, err := w.Stage(b.Context(), warehouse.StageRequest{Target: t, Set: set, Query: features, Attempt: "a"})
		if err != nil {
			b.Fatal(err)
		}
		return stage
	}
	b.Run("stage", func(b *testing.B) { measured(b, func() { stageOf() }) })
	stage := stageOf()
	b.Run("check", func(b *testing.B) { measured(b, func() { checkFeatures(b, w, t, stage, set) }) })
	publish := func(t warehouse.Target) {
		if _, err := w.Publish(b.Context(), warehouse.Publication{Target: t, Stage: stage, Set: set, Token: 1, Attempt: "a", Version: "v", At: time.Unix(0, 0)}); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	b.Run("publish-first", func(b *testing.B) {
		measured(b, func() {
			n++
			first := t
			first.Relation = "features_" + string(rune('a'+n%26)) + string(rune('a'+n/26))
			publish(first)
		})
	})
	publish(t)
	b.Run("publish-again", func(b *testing.B) { measured(b, func() { publish(t) }) })
	b.Run("contents", func(b *testing.B) {
		measured(b, func() {
			if _, err := w.Contents(b.Context(), t, set); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("raise", func(b *testing.B) {
		measured(b, func() {
			if err := w.Raise(b.Context(), warehouse.Fence{Table: t.Table, Set: set, Token: 1}); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("script", func(b *testing.B) {
		if err := w.Lend(b.Context(), func(context.Context) error {
			db := bare(b, path)
			measured(b, func() {
				if _, err := db.ExecContext(b.Context(), "create or replace table by_script as "+features); err != nil {
					b.Fatal(err)
				}
			})
			return db.Close()
		}); err != nil {
			b.Fatal(err)
		}
	})
}

func checkFeatures(b testing.TB, w *duckdb.Warehouse, t warehouse.Target, stage *warehouse.Stage, set calendar.Set) {
	_, err := w.Check(b.Context(), t, stage, set, []warehouse.Check{
		{ID: "u", Kind: "unique", Columns: []string{"game_id", "player_id"}},
		{ID: "n", Kind: "not_null", Columns: []string{"pts"}},
		{ID: "r", Kind: "range", Columns: []string{"pts_10"}, Min: new(0.0), Max: new(100.0)},
		{ID: "p", Kind: "pattern", Columns: []string{"game_id"}, Pattern: `^\d{10}$`},
		{ID: "rel", Kind: "relationship", Columns: []string{"game_id", "team_id"}, To: "raw_team_box", Min: new(0.5)},
		{ID: "rows", Kind: "rows", Query: "select game_date, count(*) from raw_player_box group by 1"},
		{ID: "sql", Kind: "sql", Query: "select game_date, avg((pts = 2 * fgm + fg3m + ftm)::int) from " + stage.Relation + " group by 1", Min: new(1.0)},
	})
	if err != nil {
		b.Fatal(err)
	}
}
