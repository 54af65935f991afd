package plan

import (
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// A builder is a world under construction, for tests: tables of days, with their calendars logged long ago, at clock 100.
type builder struct {
	tables []*catalog.Table
	in     Inputs
}

func newBuilder() *builder {
	return &builder{in: Inputs{
		Expected: map[string]calendar.Set{}, Periods: map[string][]calendar.Interval{}, PeriodChanges: map[string][]history.PeriodChange{},
		Tables: map[string]*history.Table{}, Versions: map[string]string{}, CheckVersions: map[string]string{}, Seq: 100,
	}}
}

func (b *builder) table(t *catalog.Table, expected calendar.Set, segs ...history.Segment) *catalog.Table {
	if t.Axis.Grain == calendar.None {
		t.Axis.Grain = calendar.Day
	}
	b.tables = append(b.tables, t)
	b.in.Expected[t.Name] = expected
	b.in.Tables[t.Name] = &history.Table{Segments: segs, Known: expected}
	if t.Source == nil {
		b.in.Versions[t.Name] = "v1"
	}
	return t
}

func (b *builder) source(name string, expected calendar.Set, segs ...history.Segment) *catalog.Table {
	return b.table(&catalog.Table{Name: name, Source: &catalog.Source{}}, expected, segs...)
}

func (b *builder) world() *World {
	g, err := catalog.NewGraph(&catalog.Project{Tables: b.tables})
	if err != nil {
		panic(err)
	}
	b.in.Graph = g
	return NewWorld(b.in)
}

func input(table string, windows ...catalog.Window) *catalog.Input {
	return &catalog.Input{Table: table, Windows: windows, Complete: 1, Restates: true}
}

func days(from, to int) catalog.Window {
	return catalog.Window{Kind: catalog.Offset, Unit: calendar.Day, From: from, To: to}
}

var same = catalog.Window{Kind: catalog.Same}

// seg is a stretch of rows read and changed at two clocks, by code v1.
func seg(from, to calendar.Partition, read, changed history.Seq) history.Segment {
	return history.Segment{Interval: calendar.Interval{Start: from, End: to}, ReadSeq: read, ChangedSeq: changed, Version: "v1"}
}

func wantSet(t *testing.T, what string, got, want calendar.Set) {
	t.Helper()
	if !got.Equal(want) {
		t.Errorf("%s: got %v, want %v", what, got.Intervals(), want.Intervals())
	}
}

func TestFreshDownToTheSources(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 5, 0, 3), seg(6, 10, 0, 3))
	b.table(&catalog.Table{Name: "a", Inputs: []*catalog.Input{input("raw", same)}}, calendar.Range(0, 10), seg(0, 10, 4, 5))
	b.table(&catalog.Table{Name: "b", Inputs: []*catalog.Input{input("a", days(-2, -1))}}, calendar.Range(0, 10), seg(0, 10, 6, 7))
	w := b.world()
	wantSet(t, "raw", w.Judge("raw").Fresh, calendar.Range(0, 10).Minus(calendar.Of(5)))
	wantSet(t, "a", w.Judge("a").Fresh, calendar.Range(0, 10).Minus(calendar.Of(5)))
	wantSet(t, "b", w.Judge("b").Fresh, calendar.Range(0, 10).Minus(calendar.Of(6, 7)))
	wantSet(t, "b upstream", w.Judge("b").Upstream, calendar.Of(6, 7))
}

func TestChangeMakesItsWindowsStale(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 5, 0, 3), seg(5, 6, 0, 9), seg(6, 10, 0, 3))
	b.table(&catalog.Table{Name: "a", Inputs: []*catalog.Input{input("raw", days(-2, 0))}}, calendar.Range(0, 10), seg(0, 10, 4, 5))
	w := b.world()
	wantSet(t, "a input", w.Judge("a").Input, calendar.Range(5, 8))
	p, err := Make(w, Request{})
	if err != nil || len(p.Steps) != 1 {
		t.Fatalf("plan %+v, %v", p, err)
	}
	wantSet(t, "step", p.Steps[0].Set, calendar.Range(5, 8))
	if c := p.Steps[0].Causes; len(c) != 1 || c[0].Kind != CauseInput || len(c[0].Because) != 1 || c[0].Because[0].Partition != 5 {
		t.Errorf("causes %+v", c)
	}
}

// Leases and holds change without any row: what was judged before is judged anew.
func TestReplaceSeesLeasesAndHolds(t *testing.T) {
	for what, tt := range map[string]struct {
		edit func(h *history.Table)
		got  func(w *World) calendar.Set
		want calendar.Set
	}{
		"held":      {func(h *history.Table) { h.Held = calendar.Of(2) }, func(w *World) calendar.Set { return w.Judge("a").Held }, calendar.Of(2)},
		"in flight": {func(h *history.Table) { h.InFlight = calendar.Of(2) }, func(w *World) calendar.Set { return w.Judge("a").InFlight }, calendar.Of(2)},
		"unsettled": {func(h *history.Table) { h.Unsettled = calendar.Of(2) }, func(w *World) calendar.Set { return w.Judge("b").Fresh }, calendar.Of(0, 1, 3)},
		"reserved":  {func(h *history.Table) { h.Reserved = calendar.Of(3) }, func(w *World) calendar.Set { return w.Judge("c").NotReady }, calendar.Of(3)},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBuilder()
			b.source("raw", calendar.Range(0, 4), seg(0, 4, 0, 3))
			b.table(made("a", input("raw", same)), calendar.Range(0, 4), seg(0, 3, 4, 5))
			b.table(made("b", input("raw", same), input("a", days(-9, -9))), calendar.Range(0, 4), seg(0, 4, 6, 7))
			half := input("a", days(-1, 0))
			half.Complete = 0.5
			b.table(made("c", half), calendar.Range(0, 4))
			if what == "unsettled" {
				b.tables[2].Inputs[1] = input("a", same)
				b.in.Tables["a"].Segments = []history.Segment{seg(0, 4, 4, 5)}
			}
			w := b.world()
			tt.got(w)
			h := *w.Tables["a"]
			tt.edit(&h)
			w.Replace("a", &h, w.Seq)
			wantSet(t, what, tt.got(w), tt.want)
		})
	}
}
