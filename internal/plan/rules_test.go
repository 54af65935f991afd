package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// Each test is a counterexample that a rule answers (docs/design.md names the rules).

func made(name string, inputs ...*catalog.Input) *catalog.Table {
	return &catalog.Table{Name: name, Inputs: inputs}
}

func mustMake(t *testing.T, w *World, req Request) *Plan {
	t.Helper()
	p, err := Make(w, req)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stepOf is what the plan computes of a table.
func stepOf(p *Plan, table string) calendar.Set {
	for _, s := range p.Steps {
		if s.Table == table {
			return s.Set
		}
	}
	return calendar.Set{}
}

func blockedIn(p *Plan, table string) calendar.Set {
	for _, b := range p.Blocked {
		if b.Table == table {
			return b.Set
		}
	}
	return calendar.Set{}
}

func skippedIn(p *Plan, table string) calendar.Set {
	var out calendar.Set
	for _, s := range p.Skipped {
		if s.Table == table {
			out = out.Union(s.Set)
		}
	}
	return out
}

// change replaces a table's history by an edited copy.
func (b *builder) change(w *World, table string, fn func(h *history.Table)) {
	h := *w.Tables[table]
	fn(&h)
	w.Replace(table, &h, w.Seq+1)
}

func single(p calendar.Partition) calendar.Interval { return calendar.Single(p) }

// Drawn before the commit, a changed_seq of 10 would hide from a reader that took 11 and read the old rows. It is drawn after, so it is 12.
// However few or many partitions are looked at, and however their history lies.
func TestRule11_ChangeRecordedAfterTheReaderStarted(t *testing.T) {
	t.Cleanup(func() { fewReadings = 64 })
	for _, fewReadings = range []int{64, 0} {
		for _, count := range []calendar.Partition{3, 3 * calendar.Partition(fewSegments)} {
			b := newBuilder()
			var raw, read []history.Segment
			var want []calendar.Partition
			for p := range count {
				raw, read = append(raw, seg(p, p+1, 0, 12-history.Seq(p%3))), append(read, seg(p, p+1, 11, 13))
				if p%3 == 0 {
					want = append(want, p)
				}
			}
			b.source("raw", calendar.Range(0, count), raw...)
			b.table(made("a", input("raw", same)), calendar.Range(0, count), read...)
			b.table(made("joined", input("raw", same)), calendar.Range(0, count), seg(0, count, 11, 13))
			w := b.world()
			for _, table := range []string{"a", "joined"} {
				wantSet(t, table+" stale", w.Judge(table).Input, calendar.Of(want...))
			}
		}
	}
}

func quarantined(p calendar.Partition, read history.Seq) history.Verdict {
	return history.Verdict{Interval: single(p), Outcome: history.Quarantined, ReadSeq: read, Version: "v1", CheckVersion: "c1", CheckSeq: read, Reason: "T.rows = 1"}
}

func TestRule15_QuarantinedIsTriedAgainOnlyWhenItsKeyChanges(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 4), seg(0, 4, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 4))
	b.in.CheckVersions["a"] = "c1"
	b.in.Tables["a"].Verdicts = []history.Verdict{quarantined(1, 5), quarantined(2, 5)}
	b.in.Tables["raw"].Segments = []history.Segment{seg(0, 2, 0, 3), seg(2, 3, 0, 9), seg(3, 4, 0, 3)}
	w := b.world()
	p := mustMake(t, w, Request{})
	wantSet(t, "plan", stepOf(p, "a"), calendar.Of(0, 2, 3))
	wantSet(t, "skipped", skippedIn(p, "a"), calendar.Of(1))
	wantSet(t, "asked for", stepOf(mustMake(t, w, Request{Reprocess: Quarantined, Explicit: true}), "a"), calendar.Of(1, 2))
	if s := w.State("a", 1); s != StateQuarantined {
		t.Errorf("state %s", s)
	}
	if s := w.State("a", 2); s != StateMissing {
		t.Errorf("state %s of what may pass now", s)
	}
	b.in.CheckVersions["a"] = "c2"
	wantSet(t, "another check", stepOf(mustMake(t, b.world(), Request{}), "a"), calendar.Range(0, 4))
	b.in.CheckVersions["a"], b.in.Versions["a"] = "c1", "v2"
	wantSet(t, "other code", stepOf(mustMake(t, b.world(), Request{}), "a"), calendar.Range(0, 4))
}

func TestRule15_WhatChecksReadIsPartOfTheKey(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 2), seg(0, 2, 0, 3))
	b.source("known", calendar.Range(0, 2), seg(0, 2, 0, 3))
	a := made("a", input("raw", same))
	a.Checks = []*catalog.Check{{Kind: catalog.CheckRelationship, To: "known", Columns: []string{"id"}}}
	b.table(a, calendar.Range(0, 2))
	b.in.CheckVersions["a"] = "c1"
	b.in.Tables["a"].Verdicts = []history.Verdict{quarantined(0, 5)}
	w := b.world()
	wantSet(t, "plan", stepOf(mustMake(t, w, Request{}), "a"), calendar.Of(1))
	b.change(w, "known", func(h *history.Table) { h.Segments = []history.Segment{seg(0, 2, 0, 101)} })
	wantSet(t, "plan after", stepOf(mustMake(t, w, Request{}), "a"), calendar.Range(0, 2))
}

// A plan that changes what a quarantined partition reads tries it again.
func TestRule15_StepsOfThePlanChangeTheKey(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 2), seg(0, 1, 0, 3), seg(1, 2, 0, 9))
	b.table(made("a", input("raw", same)), calendar.Range(0, 2), seg(0, 2, 4, 5))
	b.table(made("b", input("a", same)), calendar.Range(0, 2))
	b.in.CheckVersions["b"] = "c1"
	b.in.Tables["b"].Verdicts = []history.Verdict{quarantined(0, 6), quarantined(1, 6)}
	wantSet(t, "plan", stepOf(mustMake(t, b.world(), Request{}), "b"), calendar.Of(1))
}

func TestRule16_FreshMeansReadableAndSettledDownToTheSources(t *testing.T) {
	for _, content := range []history.Content{history.InDoubt, history.Foreign, history.Failing} {
		b := newBuilder()
		b.source("raw", calendar.Range(0, 3), seg(0, 3, 0, 3))
		bad := seg(1, 2, 4, 5)
		bad.Content = content
		b.table(made("a", input("raw", same)), calendar.Range(0, 3), seg(0, 1, 4, 5), bad, seg(2, 3, 4, 5))
		b.table(made("b", input("a", same)), calendar.Range(0, 3), seg(0, 3, 6, 7))
		b.in.Tables["a"].Unsettled = calendar.Of(2)
		w := b.world()
		wantSet(t, content.String(), w.Judge("a").Fresh, calendar.Of(0))
		wantSet(t, "reader", w.Judge("b").Fresh, calendar.Of(0))
		p := mustMake(t, w, Request{})
		wantSet(t, "plan", stepOf(p, "a"), calendar.Of(1, 2))
		wantSet(t, "plan", stepOf(p, "b"), calendar.Of(1, 2))
	}
}

func TestRule16_EmptyAndSkippedCountAsFresh(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 3), seg(0, 3, 0, 3))
	empty, skipped := seg(0, 1, 4, 5), history.Segment{Interval: single(1), ChangedSeq: 2, Content: history.Skipped}
	empty.Content = history.Empty
	b.table(made("a", input("raw", same)), calendar.Range(0, 3), empty, skipped, seg(2, 3, 4, 5))
	w := b.world()
	wantSet(t, "fresh", w.Judge("a").Fresh, calendar.Range(0, 3))
	var states []State
	for _, s := range w.States("a", calendar.All()) {
		states = append(states, s.State)
	}
	if !slices.Equal(states, []State{StateEmpty, StateSkipped, StateFresh}) {
		t.Errorf("states %v", states)
	}
}

func TestRule16_CompleteWaitsForWhatALiveRunStillWrites(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 4, 0, 3), seg(5, 10, 0, 3))
	in := input("raw", days(-4, 0))
	in.Complete = 0.75
	b.table(made("a", in), calendar.Range(4, 10))
	w := b.world()
	wantSet(t, "plan", stepOf(mustMake(t, w, Request{}), "a"), calendar.Range(4, 10))
	bootstrap, short := w.Shortfalls("a", calendar.Range(4, 10))
	wantSet(t, "short", short, calendar.Range(4, 9))
	wantSet(t, "bootstrap", bootstrap, calendar.Set{})
	b.change(w, "raw", func(h *history.Table) { h.Reserved = calendar.Of(4) })
	p := mustMake(t, w, Request{})
	wantSet(t, "plan while a run is on it", stepOf(p, "a"), calendar.Of(9))
	wantSet(t, "blocked", blockedIn(p, "a"), calendar.Range(4, 9))
}

// Held, failed and short are told apart from content.
func TestRule16_ContentVerdictHoldAndShortfallAreApart(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 4), seg(0, 4, 0, 3))
	short := seg(1, 2, 4, 5)
	short.Shortfall = history.Short
	b.table(made("a", input("raw", same)), calendar.Range(0, 4), seg(0, 1, 4, 5), short, seg(2, 4, 4, 5))
	b.in.Tables["a"].Held = calendar.Of(2)
	b.in.Tables["a"].Verdicts = []history.Verdict{{Interval: single(3), Outcome: history.Failed, ReadSeq: 4, Version: "v1"}}
	w := b.world()
	j := w.Judge("a")
	wantSet(t, "fresh", j.Fresh, calendar.Range(0, 4))
	wantSet(t, "short", j.Short, calendar.Of(1))
	wantSet(t, "held", j.Held, calendar.Of(2))
	wantSet(t, "failed", j.Failed, calendar.Of(3))
	var states []State
	for _, s := range w.States("a", calendar.All()) {
		states = append(states, s.State)
	}
	if !slices.Equal(states, []State{StateFresh, StateShort, StateHeld, StateFailed}) {
		t.Errorf("states %v", states)
	}
}

// A date that is lost and comes back with its old rows was away when its readers were computed, or is away from what they hold.
func TestRule17_DateLostAndBackWithItsOldRows(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 10, 0, 3))
	b.in.Tables["raw"].Moves = []history.Move{{Interval: single(4), Seq: 8, Gained: true}} // lost at 6, back at 8
	b.table(made("a", input("raw", days(-2, 0))), calendar.Range(0, 10), seg(0, 10, 7, 7))
	w := b.world()
	wantSet(t, "stale", w.Judge("a").Input, calendar.Range(4, 7))
	b.change(w, "a", func(h *history.Table) { h.Segments = []history.Segment{seg(0, 10, 9, 10)} })
	wantSet(t, "stale once read again", w.Judge("a").Input, calendar.Set{})
}

// A window of three partitions that loses its first one reaches one further back.
func TestRule17_DateLostAtTheWindowsEdge(t *testing.T) {
	b := newBuilder()
	expected := calendar.Range(0, 10).Minus(calendar.Of(3))
	b.source("raw", expected, seg(0, 10, 0, 3))
	b.in.Tables["raw"].Moves = []history.Move{{Interval: single(3), Seq: 8}}
	w3 := catalog.Window{Kind: catalog.Partitions, From: -3, To: -1}
	b.table(made("a", input("raw", w3)), calendar.Range(0, 10), seg(0, 10, 7, 7))
	w := b.world()
	// 4, 5 and 6 read 3. Of 3 itself the window ends before it.
	wantSet(t, "stale", w.Judge("a").Input, calendar.Range(4, 7))
	wantSet(t, "window of 6", w.Upstream("a", b.tables[1].Inputs[0], calendar.Of(6)), calendar.Of(2, 4, 5))
}

// Fewer partitions than the window asks for: one that comes before all of them belongs to it.
func TestRule17_DateGainedBeforeTheBeginning(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 10, 0, 3))
	b.in.Tables["raw"].Moves = []history.Move{{Interval: single(0), Seq: 8, Gained: true}}
	w3 := catalog.Window{Kind: catalog.Partitions, From: -3, To: -1}
	b.table(made("a", input("raw", w3)), calendar.Range(0, 10), seg(0, 10, 7, 7))
	wantSet(t, "stale", b.world().Judge("a").Input, calendar.Range(1, 4))
}

// Gains and losses that nobody has logged yet are newer than everything.
func TestRule17_WhatIsNotLoggedYetCounts(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10).Minus(calendar.Of(5)), seg(0, 10, 0, 3))
	b.in.Tables["raw"].Known = calendar.Range(0, 10)
	b.table(made("a", input("raw", days(-1, 0))), calendar.Range(0, 10), seg(0, 10, 99, 7))
	wantSet(t, "stale", b.world().Judge("a").Input, calendar.Range(5, 7))
}

func TestRule17_PeriodsAreNotPartOfTheVersion(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 20), seg(0, 20, 0, 3))
	b.in.Periods["season"] = []calendar.Interval{{Start: 2, End: 8}, {Start: 12, End: 18}}
	b.in.PeriodChanges["season"] = []history.PeriodChange{
		{Seq: 1, Intervals: []calendar.Interval{{Start: 2, End: 8}, {Start: 11, End: 18}}},
		{Seq: 8, Intervals: b.in.Periods["season"]},
	}
	since := catalog.Window{Kind: catalog.Since, Within: "season", To: -1}
	b.table(made("a", input("raw", since)), calendar.Range(0, 20), seg(0, 14, 7, 7), seg(14, 20, 9, 9))
	wantSet(t, "stale", b.world().Judge("a").Input, calendar.Range(11, 14))
}

// The start of a period reaches the SQL through {{partitions}} even where no window names the period.
func TestRule17_PeriodThatOnlyTheSQLReads(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 20), seg(0, 20, 0, 3))
	b.in.Periods["season"] = []calendar.Interval{{Start: 3, End: 8}}
	b.in.PeriodChanges["season"] = []history.PeriodChange{{Seq: 1, Intervals: []calendar.Interval{{Start: 2, End: 8}}}, {Seq: 8, Intervals: b.in.Periods["season"]}}
	a := made("a", input("raw", days(-9, 0)))
	a.SQL = &catalog.SQL{Text: "select * from {{partitions}} p join raw on raw.d >= p.season_start"}
	b.table(a, calendar.Range(0, 20), seg(0, 20, 7, 7))
	wantSet(t, "stale", b.world().Judge("a").Input, calendar.Range(2, 8))
}

// Losing a materialized date is drift, not a smaller calendar: what reads it is blocked, not computed from less.
func TestRule18_LosingAMaterializedDateIsDrift(t *testing.T) {
	b := newBuilder()
	lost := seg(4, 5, 0, 9)
	lost.Content = history.Drifted
	b.source("raw", calendar.Range(0, 10), seg(0, 4, 0, 3), lost, seg(5, 10, 0, 3))
	b.table(made("a", input("raw", days(-1, 0))), calendar.Range(0, 10), seg(0, 10, 7, 7))
	w := b.world()
	p := mustMake(t, w, Request{})
	wantSet(t, "plan", stepOf(p, "a"), calendar.Set{})
	wantSet(t, "blocked", blockedIn(p, "a"), calendar.Of(4, 5))
	if s := w.State("raw", 4); s != StateQuarantined {
		t.Errorf("state %s", s)
	}
	chain := w.Why("a", 5)
	if n := len(chain.Links); n != 2 || chain.Links[1].Table != "raw" || !slices.Equal(chain.Fix.Argv, []string{"headway", "observe", "raw", "--accept"}) {
		t.Errorf("chain %+v", chain)
	}
}

// What is not due blocks nobody, and makes its readers stale when it comes.
func TestRule18_NotDueNeverBlocks(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 5), seg(0, 5, 0, 3))
	b.in.Coming = map[string]calendar.Set{"raw": calendar.Range(0, 9)}
	b.table(made("a", input("raw", days(0, 2))), calendar.Range(0, 5), seg(0, 5, 4, 5))
	w := b.world()
	wantSet(t, "fresh", w.Judge("a").Fresh, calendar.Range(0, 5))
	wantSet(t, "not due", w.ByState("raw", calendar.All())[StateNotDue], calendar.Range(5, 9))
	b.in.Expected["raw"] = calendar.Range(0, 6)
	b.in.Tables["raw"].Known = calendar.Range(0, 6)
	b.in.Tables["raw"].Moves = []history.Move{{Interval: single(5), Seq: 101, Gained: true}}
	w = b.world()
	wantSet(t, "fresh after", w.Judge("a").Fresh, calendar.Range(0, 3))
	wantSet(t, "blocked after", w.Judge("a").NotReady, calendar.Range(3, 5))
}

// Predictions read the accuracy of earlier days, accuracy the predictions of its own: chunks of ten would wait for each other.
func TestRule20_LoopsInterleave(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 9), seg(0, 9, 0, 3))
	predictions := made("predictions", input("raw", same), input("accuracy", days(-5, -3)))
	predictions.Batch.Size = 2
	b.table(predictions, calendar.Range(0, 9))
	b.table(made("accuracy", input("predictions", same)), calendar.Range(0, 9))
	w := b.world()
	p := mustMake(t, w, Request{})
	stages := p.Stages()
	if len(stages) != 1 || len(stages[0]) != 2 {
		t.Fatalf("stages %+v", stages)
	}
	waves, err := Chunks(w, stages[0]...)
	if err != nil {
		t.Fatal(err)
	}
	var got []Chunk
	for _, wave := range waves {
		got = append(got, wave...)
	}
	want := []Chunk{
		{Table: "predictions", Set: calendar.Range(0, 2)}, {Table: "predictions", Set: calendar.Range(2, 3)}, {Table: "accuracy", Set: calendar.Range(0, 3)},
		{Table: "predictions", Set: calendar.Range(3, 5)}, {Table: "predictions", Set: calendar.Range(5, 6)}, {Table: "accuracy", Set: calendar.Range(3, 6)},
		{Table: "predictions", Set: calendar.Range(6, 8)}, {Table: "predictions", Set: calendar.Range(8, 9)}, {Table: "accuracy", Set: calendar.Range(6, 9)},
	}
	if !slices.EqualFunc(got, want, func(a, b Chunk) bool { return a.Table == b.Table && a.Set.Equal(b.Set) }) {
		t.Errorf("chunks %v", got)
	}
}

func TestRule20_NoChunkHoldsADateAndOneThatReadsIt(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 6), seg(0, 6, 0, 3))
	b.table(made("a", input("raw", same), input("a", days(-2, -2))), calendar.Range(0, 6))
	w := b.world()
	waves, err := Chunks(w, mustMake(t, w, Request{}).Steps...)
	if err != nil || len(waves) != 3 {
		t.Fatalf("%v, %v", waves, err)
	}
	for i, wave := range waves {
		at := calendar.Partition(2 * i)
		wantSet(t, "chunk", wave[0].Set, calendar.Range(at, at+2))
	}
}

func TestRule20_CommandsGetOneContiguousInterval(t *testing.T) {
	b := newBuilder()
	expected := calendar.Range(0, 12).Minus(calendar.Of(4))
	b.source("raw", calendar.Range(0, 12), seg(0, 12, 0, 3))
	a := made("a", input("raw", same))
	a.Command = &catalog.Command{Args: []string{"job", "--from", "{from}"}}
	b.table(a, expected, seg(7, 8, 4, 5))
	w := b.world()
	step := mustMake(t, w, Request{}).Steps[0]
	if step.Guarantee != "staged" {
		t.Errorf("guarantee %s", step.Guarantee)
	}
	waves, err := Chunks(w, step)
	if err != nil || len(waves) != 1 || len(waves[0]) != 2 {
		t.Fatalf("%v, %v", waves, err)
	}
	// 4 is not expected and bridged; 7 is fresh and not to be written.
	wantSet(t, "first", waves[0][0].Set, calendar.Range(0, 7).Minus(calendar.Of(4)))
	wantSet(t, "second", waves[0][1].Set, calendar.Range(8, 12))
	a.Command.Args = []string{"job", "{dates}"}
	waves, err = Chunks(w, step)
	if err != nil || len(waves[0]) != 1 {
		t.Fatalf("with dates: %v, %v", waves, err)
	}
}

// A week's average is stale for six more days after the day that was fixed.
func TestRule21_PlanHoldsWhatItsOwnStepsMayMakeStale(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 20), seg(0, 5, 0, 3), seg(5, 6, 0, 9), seg(6, 20, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 20), seg(0, 20, 4, 5))
	b.table(made("week", input("a", days(-6, 0))), calendar.Range(0, 20), seg(0, 20, 6, 7))
	b.table(made("all", input("week", catalog.Window{Kind: catalog.Everything})), calendar.Of(0), seg(0, 1, 8, 8)).Axis = calendar.Whole()
	w := b.world()
	p := mustMake(t, w, Request{})
	wantSet(t, "a", stepOf(p, "a"), calendar.Of(5))
	wantSet(t, "week", stepOf(p, "week"), calendar.Range(5, 12))
	wantSet(t, "all", stepOf(p, "all"), calendar.Of(0))
	one := mustMake(t, w, Request{Tables: []string{"a"}, Range: &Range{calendar.Axis{Grain: calendar.Day}, single(5)}})
	if len(one.Steps) != 1 {
		t.Errorf("steps %+v of a plan for one table", one.Steps)
	}
	down := mustMake(t, w, Request{Tables: []string{"a"}, Range: one.Request.Range, Downstream: true})
	wantSet(t, "week, downstream of one day", stepOf(down, "week"), calendar.Range(5, 12))
}

// Early cutoff: what a step left as it was makes nothing stale, so nothing further starts.
func TestRule21_AttemptsStartOnlyForWhatIsStaleAtThatMoment(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 20), seg(0, 5, 0, 3), seg(5, 6, 0, 9), seg(6, 20, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 20), seg(0, 20, 4, 5))
	b.table(made("week", input("a", days(-6, 0))), calendar.Range(0, 20), seg(0, 20, 6, 7))
	w := b.world()
	p := mustMake(t, w, Request{})
	wantSet(t, "week", stepOf(p, "week"), calendar.Range(5, 12))
	wantSet(t, "before", w.JudgeWithin("week", calendar.Range(5, 12)).Fresh, calendar.Set{})
	b.change(w, "a", func(h *history.Table) { h.Segments = history.Overlay(h.Segments, []history.Segment{seg(5, 6, 100, 5)}) })
	wantSet(t, "after, same rows", w.JudgeWithin("week", calendar.Range(5, 12)).Fresh, calendar.Range(5, 12))
	b.change(w, "a", func(h *history.Table) {
		h.Segments = history.Overlay(h.Segments, []history.Segment{seg(5, 6, 100, 102)})
	})
	wantSet(t, "after, other rows", w.JudgeWithin("week", calendar.Range(5, 12)).Input, calendar.Range(5, 12))
}

// What rests on the steps of a plan through tables that it leaves out is told as blocked.
func TestRule21_WhatGoesStaleAndIsNotAskedForIsTold(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 3), seg(0, 3, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 3), seg(0, 3, 4, 5))
	b.table(made("b", input("a", same)), calendar.Range(0, 3), seg(0, 3, 6, 7))
	b.table(made("c", input("b", same)), calendar.Range(0, 3), seg(0, 3, 8, 9))
	b.in.Versions["a"] = "v2"
	p := mustMake(t, b.world(), Request{Tables: []string{"a", "c"}})
	wantSet(t, "a", stepOf(p, "a"), calendar.Range(0, 3))
	wantSet(t, "c blocked", blockedIn(p, "c"), calendar.Range(0, 3))
	if item := p.Blocked[0].Items[0]; len(item.Missing) != 1 || item.Missing[0].Table != "b" || item.Fix.Argv[2] != "b" {
		t.Errorf("blocked %+v", item)
	}
}

// A step may change what a held table reads: what rests on the held one is told too, though all of it is fresh now.
func TestRule21_WhatRestsOnAHeldTableIsTold(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 3), seg(0, 3, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 3), seg(0, 3, 4, 5))
	b.table(made("b", input("a", same)), calendar.Range(0, 3), seg(0, 3, 6, 7))
	b.table(made("c", input("b", same)), calendar.Range(0, 3), seg(0, 3, 8, 9))
	b.in.Tables["b"].Held = calendar.Of(1)
	p := mustMake(t, b.world(), Request{Tables: []string{"a"}, Downstream: true, Reprocess: All, Explicit: true})
	wantSet(t, "a", stepOf(p, "a"), calendar.Range(0, 3))
	wantSet(t, "b", stepOf(p, "b"), calendar.Of(0, 2))
	wantSet(t, "b blocked", blockedIn(p, "b"), calendar.Of(1))
	wantSet(t, "c", stepOf(p, "c"), calendar.Of(0, 2))
	wantSet(t, "c blocked", blockedIn(p, "c"), calendar.Of(1))
}

func TestRule22_StaleMeansAnotherVersionThanTheHead(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 4), seg(0, 4, 0, 3))
	newer, accepted := seg(1, 2, 4, 5), seg(2, 3, 4, 5)
	newer.Version, accepted.Accepted = "v9", true
	a := b.table(made("a", input("raw", same)), calendar.Range(0, 4), seg(0, 1, 4, 5), newer, accepted, seg(3, 4, 4, 5))
	b.table(made("b", input("a", same)), calendar.Range(0, 4), seg(0, 4, 6, 7))
	w := b.world()
	wantSet(t, "code", w.Judge("a").Code, calendar.Of(1))
	p := mustMake(t, w, Request{})
	wantSet(t, "plan", stepOf(p, "b"), calendar.Of(1))
	if c := p.Steps[0].Causes[0]; c.Kind != CauseCode || c.From != "v9" || c.To != "v1" {
		t.Errorf("cause %+v", c)
	}
	scheduled := mustMake(t, w, Request{Class: "scheduled"})
	if len(scheduled.Steps)+len(scheduled.Blocked) > 0 {
		t.Errorf("class scheduled: %+v", scheduled)
	}
	wantSet(t, "left out", skippedIn(scheduled, "a"), calendar.Of(1))
	wantSet(t, "asked for", stepOf(mustMake(t, w, Request{Class: "scheduled", Reprocess: Code, Explicit: true}), "a"), calendar.Of(1))
	a.OnCodeChange = catalog.Forward
	wantSet(t, "forward", b.world().Judge("a").Fresh, calendar.Range(0, 4))
}

func TestRestatesFalseMustBeFreshAndRestatesNothing(t *testing.T) {
	b := newBuilder()
	everything := catalog.Window{Kind: catalog.Everything}
	b.source("positions", calendar.Of(0), seg(0, 1, 0, 9)).Axis = calendar.Whole()
	b.table(made("dim", input("positions", everything)), calendar.Of(0), seg(0, 1, 4, 5)).Axis = calendar.Whole()
	dim := input("dim", everything)
	dim.Restates = false
	b.table(made("a", dim), calendar.Range(0, 3), seg(0, 2, 6, 7))
	b.table(made("b", input("a", days(-9, 0))), calendar.Range(0, 3), seg(0, 2, 8, 9))
	w := b.world()
	wantSet(t, "a fresh", w.Judge("a").Fresh, calendar.Set{})
	p := mustMake(t, w, Request{})
	wantSet(t, "dim", stepOf(p, "dim"), calendar.Of(0))
	wantSet(t, "a", stepOf(p, "a"), calendar.Of(2))
	wantSet(t, "b", stepOf(p, "b"), calendar.Of(2))
	// b of 2 reads a of 0 and 1, which no step writes and which are fresh again only after dim.
	onlyB := map[string]calendar.Set{"dim": calendar.Of(0), "b": calendar.Of(2)}
	wantSet(t, "b rests on dim", w.RestsOn("b", calendar.Of(1), onlyB)["dim"], calendar.Of(0))
}

func TestImmutableIsInNoPlan(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 4), seg(0, 4, 0, 9))
	a := b.table(made("a", input("raw", same)), calendar.Range(0, 4), seg(0, 3, 4, 5))
	a.Immutable = true
	w := b.world()
	wantSet(t, "fresh", w.Judge("a").Fresh, calendar.Range(0, 3))
	wantSet(t, "plan", stepOf(mustMake(t, w, Request{}), "a"), calendar.Of(3))
	p := mustMake(t, w, Request{Reprocess: All, Explicit: true})
	wantSet(t, "plan for all", stepOf(p, "a"), calendar.Of(3))
	wantSet(t, "skipped", skippedIn(p, "a"), calendar.Range(0, 3))
}

func TestHeldIsBlockedAndSoIsWhatRestsOnIt(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 3), seg(0, 3, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 3))
	b.table(made("b", input("a", same)), calendar.Range(0, 3))
	b.in.Tables["a"].Held = calendar.Of(1)
	p := mustMake(t, b.world(), Request{})
	wantSet(t, "a", stepOf(p, "a"), calendar.Of(0, 2))
	wantSet(t, "b", stepOf(p, "b"), calendar.Of(0, 2))
	wantSet(t, "held", p.Blocked[0].Held, calendar.Of(1))
	wantSet(t, "b blocked", blockedIn(p, "b"), calendar.Of(1))
	if argv := p.Blocked[0].Items[0].Fix.Argv; argv[1] != "unhold" {
		t.Errorf("fix %v", argv)
	}
}

func TestUpstreamIsBuiltOnlyWhenAsked(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 9), seg(0, 9, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 9))
	b.table(made("b", input("a", days(-1, 0))), calendar.Range(0, 9))
	w := b.world()
	req := Request{Tables: []string{"b"}, Sets: map[string]calendar.Set{"b": calendar.Of(4)}}
	p := mustMake(t, w, req)
	if len(p.Steps) != 0 {
		t.Errorf("steps %+v", p.Steps)
	}
	wantSet(t, "blocked", blockedIn(p, "b"), calendar.Of(4))
	lack := p.Blocked[0].Items[0].Missing[0]
	wantSet(t, "missing", lack.Set, calendar.Of(3, 4))
	if argv := p.Blocked[0].Items[0].Fix.Argv; !slices.Equal(argv, []string{"headway", "run", "a", "--from", "1970-01-04", "--to", "1970-01-05", "--upstream"}) {
		t.Errorf("fix %v", argv)
	}
	req.Upstream = true
	p = mustMake(t, w, req)
	wantSet(t, "a", stepOf(p, "a"), calendar.Of(3, 4))
	wantSet(t, "b", stepOf(p, "b"), calendar.Of(4))
}

func TestBootstrapWaivesMin(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 20), seg(0, 20, 0, 3))
	b.in.Periods["season"] = []calendar.Interval{{Start: 2, End: 20}}
	b.in.PeriodChanges["season"] = []history.PeriodChange{{Seq: 1, Intervals: b.in.Periods["season"]}}
	in := input("raw", catalog.Window{Kind: catalog.Since, Within: "season", To: -1})
	in.Min = 5
	a := made("a", in)
	a.Bootstrap = &catalog.BootstrapRule{Partitions: 3, Of: "season"}
	b.table(a, calendar.Range(2, 20))
	w := b.world()
	p := mustMake(t, w, Request{})
	wantSet(t, "plan", stepOf(p, "a"), calendar.Range(2, 20).Minus(calendar.Of(5, 6)))
	bootstrap, _ := w.Shortfalls("a", calendar.Range(2, 20))
	wantSet(t, "bootstrap", bootstrap, calendar.Range(2, 5))
	if reach := w.Reach("a", in, calendar.Of(9)); reach != (calendar.Interval{Start: 2, End: 9}) {
		t.Errorf("reach %v", reach)
	}
}

func TestLookbackIsStaleUntilTheNextPartitionsWereDue(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 10, 0, 3))
	a := made("a", input("raw", same))
	a.Lookback = 2
	early := seg(0, 10, 4, 5)
	early.ReadAt = time.Unix(7*86400, 0).Add(time.Hour) // 0 to 6 were due
	b.table(a, calendar.Range(0, 10), early)
	wantSet(t, "lookback", b.world().Judge("a").Lookback, calendar.Range(5, 9))
}

func TestReprocessLeavesOutWhatItDoesNotName(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 4), seg(0, 1, 0, 9), seg(1, 4, 0, 3))
	old := seg(1, 2, 4, 5)
	old.Version = "v0"
	b.table(made("a", input("raw", same)), calendar.Range(0, 4), seg(0, 1, 4, 5), old, seg(2, 3, 4, 5))
	w := b.world()
	for what, want := range map[string]calendar.Set{
		"missing": calendar.Of(3), "code": calendar.Of(1), "input": calendar.Of(0), "stale": calendar.Of(0, 1), "all": calendar.Range(0, 4),
	} {
		kinds, err := ParseReprocess(what)
		if err != nil {
			t.Fatal(err)
		}
		p := mustMake(t, w, Request{Reprocess: kinds, Explicit: true})
		wantSet(t, what, stepOf(p, "a"), want)
		wantSet(t, what+" left out", skippedIn(p, "a"), calendar.Of(0, 1, 3).Minus(want))
	}
	if _, err := ParseReprocess("everything"); err == nil {
		t.Error("an unknown kind is taken")
	}
	if _, err := Make(w, Request{Tables: []string{"nothing"}}); err == nil {
		t.Error("an unknown table is taken")
	}
}

// What is not planned has its place in the order too: the last date waits for the first through dates that are only judged again.
func TestRule20_OrderThroughWhatIsNotPlanned(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 6), seg(0, 6, 0, 3))
	self := input("a", days(-1, -1))
	self.Restates = false
	first := seg(0, 1, 4, 5)
	first.Stale = true
	b.table(made("a", input("raw", same), self), calendar.Range(0, 6), first, seg(1, 5, 4, 5))
	w := b.world()
	p := mustMake(t, w, Request{})
	wantSet(t, "plan", stepOf(p, "a"), calendar.Of(0, 5))
	waves, err := Chunks(w, p.Steps...)
	if err != nil || len(waves) != 2 {
		t.Fatalf("%v, %v", waves, err)
	}
	wantSet(t, "first", waves[0][0].Set, calendar.Of(0))
	wantSet(t, "last", waves[1][0].Set, calendar.Of(5))
}

// A table that only a check names comes first, in a loop too.
func TestRule20_ChecksCountForOrder(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 2), seg(0, 2, 0, 3))
	a := made("a", input("raw", same))
	a.Checks = []*catalog.Check{{Kind: catalog.CheckRelationship, To: "b", Columns: []string{"id"}}}
	b.table(a, calendar.Range(0, 2))
	b.table(made("b", input("a", days(-1, -1))), calendar.Range(0, 2))
	w := b.world()
	waves, err := Chunks(w, mustMake(t, w, Request{}).Steps...)
	if err != nil {
		t.Fatal(err)
	}
	var got []Chunk
	for _, wave := range waves {
		got = append(got, wave...)
	}
	want := []Chunk{{Table: "b", Set: calendar.Of(0)}, {Table: "a", Set: calendar.Of(0)}, {Table: "b", Set: calendar.Of(1)}, {Table: "a", Set: calendar.Of(1)}}
	if !slices.EqualFunc(got, want, func(a, b Chunk) bool { return a.Table == b.Table && a.Set.Equal(b.Set) }) {
		t.Errorf("chunks %v", got)
	}
}

// Where they are in no loop, a table comes after those that its checks read as well.
func TestRule20_ChecksCountForOrderOfChunks(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 2), seg(0, 2, 0, 3))
	a := made("a", input("raw", same))
	a.Checks = []*catalog.Check{{Kind: catalog.CheckRelationship, To: "b", Columns: []string{"id"}}}
	b.table(a, calendar.Range(0, 2))
	b.table(made("b", input("raw", same)), calendar.Range(0, 2))
	after := b.world().RestsOn("a", calendar.Of(1), map[string]calendar.Set{"a": calendar.Range(0, 2), "b": calendar.Range(0, 2)})
	wantSet(t, "a comes after b", after["b"], calendar.Of(1))
}

// A partition that failed shows as failed while nothing has changed since; after that it can simply be made.
func TestRule15_FailedUntilSomethingChanges(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 2), seg(0, 1, 0, 9), seg(1, 2, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 2))
	b.in.Tables["a"].Verdicts = []history.Verdict{{Interval: calendar.Interval{Start: 0, End: 2}, Outcome: history.Failed, ReadSeq: 5, Version: "v1"}}
	w := b.world()
	if s := w.State("a", 0); s != StateMissing {
		t.Errorf("state %s after its input changed", s)
	}
	if s := w.State("a", 1); s != StateFailed {
		t.Errorf("state %s", s)
	}
	wantSet(t, "plan", stepOf(mustMake(t, w, Request{}), "a"), calendar.Range(0, 2))
}
