package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/bootclock"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// The steps that a run's own cost is promised for: each is one partition of one table, an attempt of its own.
const (
	stepTables = 10
	stepDays   = 1000
	stepsOnce  = 8               // chunks at once
	stepsGoal  = 5 * time.Second // for all of them, on two cores
)

// stepProject writes a project of tables that read one another by the same day, in a chain, in chunks of size partitions.
func stepProject(b *testing.B, dir string, size int) {
	b.Helper()
	var yaml strings.Builder
	fmt.Fprintf(&yaml, `version: 1
project: steps
state: sqlite:state.db
max_parallel: %d
warehouses: {main: {type: duckdb, path: steps.duckdb, max_parallel: %[1]d}}
defaults:
  partition: {column: day, grain: day, calendar: days, start: %[2]s}
  batch: {size: %[3]d, parallel: %[1]d}
calendars: {days: {every: day}}
tables:
`, stepsOnce, stepsEpoch.AddDate(0, 0, -stepDays).Format(time.DateOnly), size)
	if err := os.MkdirAll(filepath.Join(dir, "sql"), 0o750); err != nil {
		b.Fatal(err)
	}
	for i := range stepTables {
		inputs := ""
		if i > 0 {
			inputs = fmt.Sprintf("inputs: [t%d], ", i-1)
		}
		fmt.Fprintf(&yaml, "  t%d: {%schecks: [{not_null: {column: day}}]}\n", i, inputs)
		query := `select {{start}} as day`
		if err := os.WriteFile(filepath.Join(dir, "sql", fmt.Sprintf("t%d.sql", i)), []byte(query), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "headway.yaml"), []byte(yaml.String()), 0o600); err != nil {
		b.Fatal(err)
	}
}

// stepsEpoch is the wall clock of the project, a midnight.
var stepsEpoch = time.Date(2024, 4, 2, 0, 0, 0, 0, time.UTC)

func stepEnvironment(store warehouse.Warehouse) backfill.Environment {
	began := time.Now()
	var ids atomic.Int64
	return backfill.Environment{
		Boot:   bootclock.Now,
		Now:    func() time.Time { return stepsEpoch.Add(time.Since(began)) },
		NewID:  func(prefix string) string { return fmt.Sprintf("%s-%08d", prefix, ids.Add(1)) },
		Lookup: os.LookupEnv, Random: func() float64 { return 0 }, Holder: thisProcess(), Alive: func(ledger.Holder) bool { return true },
		Log: slog.New(slog.DiscardHandler),
		OpenLedger: func(ctx context.Context, url, dir string, _ bool) (ledger.Ledger, error) {
			return openLedger(ctx, filepath.Join(dir, strings.TrimPrefix(url, "sqlite:")))
		},
		OpenWarehouse: func(context.Context, *catalog.Warehouse, string, bool) (warehouse.Warehouse, error) {
			return store, nil
		},
	}
}

// BenchmarkSteps carries out 10,000 steps that do nothing, by the same code as `headway run`, with durable state: each step is judged,
// started, fenced, staged, checked, intended, published and recorded.
func BenchmarkSteps(b *testing.B) {
	best, busy := time.Duration(1<<63-1), time.Duration(1<<63-1)
	for b.Loop() {
		dir := b.TempDir()
		stepProject(b, dir, 1)
		before := processorTime()
		best = min(best, runSteps(b, dir))
		busy = min(busy, processorTime()-before)
	}
	b.ReportMetric(best.Seconds(), "least-s")
	b.ReportMetric(busy.Seconds(), "cpu-s")
	b.ReportMetric(best.Seconds()/stepsGoal.Seconds(), "of-5s")
	b.ReportMetric(float64(best.Microseconds())/(stepTables*stepDays), "us/step")
}

// processorTime is what this process has used so far, in all its threads. Other work on the machine adds little to it.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runSteps opens the project anew, as a process does, and runs all of it.
func runSteps(b *testing.B, dir string) time.Duration {
	b.Helper()
	ctx := b.Context()
	began := time.Now()
	c, err := backfill.Open(ctx, stepEnvironment(newIdle()), backfill.Options{Dir: dir, File: "headway.yaml"})
	if err != nil {
		b.Fatal(err)
	}
	sight, err := c.Look(ctx, backfill.LookOptions{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := c.Plan(ctx, sight, plan.Request{})
	if err != nil {
		b.Fatal(err)
	}
	report, err := c.Run(ctx, sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, Command: "bench"})
	if err != nil || report.Exit != 0 || report.Published != stepTables*stepDays {
		why := ""
		if report != nil && report.Reason != nil {
			why = *report.Reason
		}
		b.Fatalf("%+v: %s: %v", report, why, err)
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
