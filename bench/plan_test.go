// Package bench measures what the design promises.
package bench

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/plan"
)

// The size that planning is promised for.
const (
	planTables = 1000
	planDays   = 3650
	planEdges  = 2472
	planRoots  = 10
)

// planCatalog draws 1,000 tables in layers, of which the first hundred are sources; the others read at least one of the two hundred before
// them, the same day or up to 29 days back.
func planCatalog(rng *rand.Rand) *catalog.Graph {
	tables := make([]*catalog.Table, planTables)
	for i := range tables {
		tables[i] = &catalog.Table{Name: fmt.Sprintf("t%03d", i), Axis: calendar.Axis{Grain: calendar.Day}}
		if i < planTables/10 {
			tables[i].Source = &catalog.Source{}
		}
	}
	for edge := range planEdges {
		i := planTables/10 + edge
		window := catalog.Window{Kind: catalog.Same}
		if i >= planTables {
			i = planTables/10 + rng.Intn(planTables*9/10)
			window = catalog.Window{Kind: catalog.Offset, Unit: calendar.Day, From: -1 - rng.Intn(28), To: -rng.Intn(2)}
		}
		read := tables[max(0, i-1-rng.Intn(planTables/5))]
		in := &catalog.Input{Table: read.Name, Windows: []catalog.Window{window}, Complete: 1, Restates: true}
		tables[i].Inputs = append(tables[i].Inputs, in)
	}
	g, err := catalog.NewGraph(&catalog.Project{Tables: tables})
	if err != nil {
		panic(err)
	}
	return g
}

// planInputs is a ledger's reading after planDays days. With shared, a backfill wrote each table at once; without, a run of every day saw
// the day come and wrote one partition of each table. Then ten sources had one date corrected.
func planInputs(g *catalog.Graph, rng *rand.Rand, shared bool) plan.Inputs {
	in := plan.Inputs{
		Graph: g, Expected: map[string]calendar.Set{}, Tables: map[string]*history.Table{}, Versions: map[string]string{},
		Columns: map[string]*plan.Columns{}, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	expected := calendar.Range(0, planDays)
	for i, c := range g.Order() {
		t := c.Tables[0]
		h := &history.Table{Known: expected, Versions: []history.Version{{Version: "v1", Head: true}}}
		in.Expected[t.Name], in.Tables[t.Name], in.Versions[t.Name] = expected, h, "v1"
		if shared {
			h.Moves = []history.Move{{Interval: expected.Bounds(), Seq: 1, Gained: true}}
			h.Segments = []history.Segment{planSegment(t, expected.Bounds(), history.Seq(2*i+3))}
			continue
		}
		for d := range calendar.Partition(planDays) {
			morning := history.Seq(d) * (2*planTables + 1)
			h.Moves = append(h.Moves, history.Move{Interval: calendar.Single(d), Seq: morning + 1, Gained: true})
			h.Segments = append(h.Segments, planSegment(t, calendar.Single(d), morning+history.Seq(2*i+3)))
		}
	}
	in.Seq = history.Seq((planDays + 1) * (2*planTables + 1))
	for range planRoots {
		in.Seq++
		h := in.Tables[fmt.Sprintf("t%03d", rng.Intn(planTables/10))]
		at := calendar.Partition(rng.Intn(planDays))
		fixed := history.Segment{Interval: calendar.Single(at), ChangedSeq: in.Seq}
		h.Segments = history.Overlay(h.Segments, []history.Segment{fixed})
	}
	for name, h := range in.Tables {
		in.Columns[name] = plan.NewColumns(h)
	}
	return in
}

func planSegment(t *catalog.Table, iv calendar.Interval, seq history.Seq) history.Segment {
	if t.IsSource() {
		return history.Segment{Interval: iv, ChangedSeq: seq}
	}
	return history.Segment{Interval: iv, ReadSeq: seq - 1, ChangedSeq: seq, Version: "v1", Attempt: "a"}
}

// BenchmarkPlan plans everything anew from a ledger's reading in memory: a world, a judgement of every table, and the plan. Of the reading,
// the columns are made before: whoever reads a history makes them in passing; "columns" says what that takes. The others are parts of the
// whole: the world alone, and a plan of a world that has judged everything.
func BenchmarkPlan(b *testing.B) {
	for _, shape := range []struct {
		name   string
		shared bool
	}{{"shared", true}, {"single", false}} {
		rng := rand.New(rand.NewSource(1))
		g := planCatalog(rng)
		in := planInputs(g, rng, shape.shared)
		b.Run(shape.name+"/whole", func(b *testing.B) {
			var p *plan.Plan
			least(b, func() { p = mustPlan(b, plan.NewWorld(in)) })
			b.ReportMetric(float64(len(p.Steps)), "steps")
			b.ReportMetric(float64(p.Partitions()), "partitions")
		})
		b.Run(shape.name+"/world", func(b *testing.B) {
			least(b, func() { plan.NewWorld(in) })
		})
		b.Run(shape.name+"/judged", func(b *testing.B) {
			w := plan.NewWorld(in)
			mustPlan(b, w)
			least(b, func() { mustPlan(b, w) })
		})
		b.Run(shape.name+"/columns", func(b *testing.B) {
			least(b, func() {
				for _, h := range in.Tables {
					plan.NewColumns(h)
				}
			})
		})
	}
}

// BenchmarkJudgeWithin is what an executor asks before each chunk, after it has recorded the one before: a date of one table is new, then
// seven dates of one of its readers are judged, with all that they rest on.
func BenchmarkJudgeWithin(b *testing.B) {
	for _, shape := range []struct {
		name   string
		shared bool
	}{{"shared", true}, {"single", false}} {
		rng := rand.New(rand.NewSource(1))
		g := planCatalog(rng)
		in := planInputs(g, rng, shape.shared)
		table := g.Table("t500")
		read := table.Inputs[0].Table
		b.Run(shape.name, func(b *testing.B) {
			w := plan.NewWorld(in)
			mustPlan(b, w)
			at := calendar.Partition(planDays / 2)
			histories := [2]history.Table{*w.Tables[read], *w.Tables[read]}
			fresh := planSegment(table, calendar.Single(at), w.Seq+2)
			histories[1].Segments = history.Overlay(histories[1].Segments, []history.Segment{fresh})
			turn := 0
			least(b, func() {
				turn++
				w.Update(read, &histories[turn%2], w.Seq+2, calendar.Of(at))
				w.JudgeWithin(table.Name, calendar.Range(at, at+7))
			})
		})
	}
}

// least runs a benchmark and reports the shortest time too: what else the machine does only adds to it.
func least(b *testing.B, fn func()) {
	b.Helper()
	best := time.Duration(1<<63 - 1)
	for b.Loop() {
		at := b.Elapsed()
		fn()
		best = min(best, b.Elapsed()-at)
	}
	b.ReportMetric(float64(best.Microseconds())/1000, "least-ms")
}

func mustPlan(b *testing.B, w *plan.World) *plan.Plan {
	b.Helper()
	p, err := plan.Make(w, plan.Request{})
	if err != nil || len(p.Steps) == 0 {
		b.Fatalf("%v: %v", p, err)
	}
	return p
}
