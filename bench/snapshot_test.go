package bench

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// snapshotGoal is promised for a plan of 1,000 tables × 3,650 days with everything that it rests on read from the file, where the histories
// are those of backfills: few segments a table.
const snapshotGoal = 250 * time.Millisecond

// planAxis is the axis of the planner's tables.
var planAxis = calendar.Axis{Grain: calendar.Day}

// BenchmarkSnapshot opens a state file, reads the histories of 1,000 tables over 3,650 days from it and plans. With "shared" a backfill wrote
// each table at once; with "single" neighbouring partitions are of different attempts, so that each has a segment of its own, as after ten
// years of runs day by day. (Attempts over every other day make that in seconds, where 3,285,000 attempts would take an hour.)
func BenchmarkSnapshot(b *testing.B) {
	graph := planCatalog(rand.New(rand.NewSource(1)))
	for _, shape := range []struct {
		name string
		step int // days from one partition of an attempt to its next
		goal time.Duration
	}{{"shared", 1, snapshotGoal}, {"single", 2, 0}} {
		b.Run(shape.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "state.db")
			fillState(b, path, graph, shape.step)
			least := [3]time.Duration{1 << 62, 1 << 62, 1 << 62} // opening, the snapshot, the whole
			for b.Loop() {
				for i, took := range planFromState(b, path, graph) {
					least[i] = min(least[i], took)
				}
			}
			if info, err := os.Stat(path); err == nil {
				b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
			}
			b.ReportMetric(least[0].Seconds()*1e3, "open-ms")
			b.ReportMetric(least[1].Seconds()*1e3, "snapshot-ms")
			b.ReportMetric(least[2].Seconds()*1e3, "least-ms")
			if shape.goal > 0 {
				b.ReportMetric(least[2].Seconds()/shape.goal.Seconds(), "of-250ms")
			}
		})
	}
}

// planFromState is what `headway plan` does of it: the file is opened, the histories are read, the world is judged and the plan is made.
func planFromState(b *testing.B, path string, graph *catalog.Graph) [3]time.Duration {
	b.Helper()
	began := time.Now()
	l, err := openLedger(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Since(began)
	keys := make([]string, 0, planTables)
	for _, c := range graph.Order() {
		keys = append(keys, c.Tables[0].Name)
	}
	snapshot, err := l.Snapshot(b.Context(), keys)
	if err != nil {
		b.Fatal(err)
	}
	read := time.Since(began)
	in := plan.Inputs{
		Graph: graph, Expected: map[string]calendar.Set{}, Tables: snapshot.Tables, Versions: map[string]string{}, Seq: snapshot.Seq,
		Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	expected := calendar.Range(0, planDays)
	for _, key := range keys {
		in.Expected[key], in.Versions[key] = expected, "v1"
	}
	p := mustPlan(b, plan.NewWorld(in))
	whole := time.Since(began)
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	if p.Partitions() == 0 {
		b.Fatal("the corrected dates make nothing stale")
	}
	return [3]time.Duration{opened, read - opened, whole}
}

// fillState writes the history through the ledger's own transactions: an observation of the sources, and for each of the others, table after
// table, attempts over every so many days. Then ten sources have one date corrected.
func fillState(b *testing.B, path string, graph *catalog.Graph, step int) {
	b.Helper()
	l, err := openLedger(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	expected := calendar.Range(0, planDays)
	seen := ledger.Observation{At: stepsEpoch}
	var writes []ledger.Claim
	for _, c := range graph.Order() {
		t := c.Tables[0]
		seen.Expected = append(seen.Expected, ledger.Expected{Table: t.Name, Axis: planAxis, Set: expected})
		if t.IsSource() {
			seen.Sources = append(seen.Sources, sourceOf(t.Name, expected, "first"))
		} else {
			writes = append(writes, ledger.Claim{Table: t.Name, Axis: planAxis, Set: expected})
		}
	}
	if _, err := l.Observe(b.Context(), seen); err != nil {
		b.Fatal(err)
	}
	lease, err := l.Acquire(b.Context(), ledger.LeaseRequest{
		ID: "l-fill", Run: "r-fill", Class: ledger.ClassBackfill, Holder: thisProcess(), Writes: writes, TTL: time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	for i, claim := range writes {
		fillTable(b, l, lease.ID, claim, i, step)
	}
	if err := l.Release(b.Context(), lease.ID, nil); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewSource(2))
	fixed := ledger.Observation{At: stepsEpoch}
	for i := range planRoots {
		one := sourceOf(fmt.Sprintf("t%03d", i), calendar.Of(calendar.Partition(rng.Intn(planDays))), "corrected")
		fixed.Sources = append(fixed.Sources, one)
	}
	if _, err := l.Observe(b.Context(), fixed); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func sourceOf(table string, set calendar.Set, fingerprint string) ledger.Seen {
	return ledger.Seen{Table: table, Axis: planAxis, Looked: set, Contents: contentsOf(set, fingerprint), Meta: fingerprint}
}

func contentsOf(set calendar.Set, fingerprint string) []ledger.Content {
	out := make([]ledger.Content, 0, set.Count())
	for p := range set.Partitions() {
		out = append(out, ledger.Content{Partition: p, Rows: 1, Fingerprint: fingerprint})
	}
	return out
}

// fillTable publishes a table in attempts of which each has every so many days.
func fillTable(b *testing.B, l ledger.Ledger, lease ledger.LeaseID, claim ledger.Claim, number, step int) {
	b.Helper()
	for k := range step {
		var days []calendar.Partition
		for p := calendar.Partition(k); p < planDays; p += calendar.Partition(step) {
			days = append(days, p)
		}
		if err := fillAttempt(b, l, lease, claim.Table, fmt.Sprintf("a-%06d-%d", number, k), calendar.Of(days...)); err != nil {
			b.Fatal(err)
		}
	}
}

func fillAttempt(b *testing.B, l ledger.Ledger, lease ledger.LeaseID, table, id string, set calendar.Set) error {
	b.Helper()
	ctx := b.Context()
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	a, err := l.StartAttempt(ctx, ledger.AttemptRequest{
		ID: ledger.AttemptID(id), Lease: lease, Run: "r-fill", Table: table, Set: set, Version: "v1",
		Code: ledger.VersionRecord{Version: "v1"}, ReadSeq: head, At: stepsEpoch,
	})
	if err != nil {
		return err
	}
	err = l.Intend(ctx, ledger.Intent{
		Attempt: a.ID, Run: a.Run, Table: a.Table, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version, Publish: contentsOf(set, "first"),
		ReadAt: stepsEpoch,
	})
	if err != nil {
		return err
	}
	_, err = l.Record(ctx, ledger.Commit{Attempt: a.ID, Published: set, At: stepsEpoch})
	return err
}
