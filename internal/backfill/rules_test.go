package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// made gives a project whose every table is fresh.
func madeProof(t *testing.T) *site {
	t.Helper()
	s := newProof(t, folder(t))
	s.settle(t)
	return s
}

// with gives fn the open site.
func (s *site) with(t *testing.T, fn func(c *backfill.Coordinator)) {
	t.Helper()
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fn(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// segments are a table's segments by partition.
func (s *site) segments(t *testing.T, table string) map[calendar.Partition]history.Segment {
	t.Helper()
	out := map[calendar.Partition]history.Segment{}
	s.with(t, func(c *backfill.Coordinator) {
		key := c.Tables[table].Key
		snapshot, err := c.Ledger.Snapshot(t.Context(), []string{key})
		if err != nil {
			t.Fatal(err)
		}
		for _, seg := range snapshot.Table(key).Segments {
			for p := seg.Start; p < seg.End; p++ {
				out[p] = seg
			}
		}
	})
	return out
}

// judged is a table's judgement as the next command would see it.
func (s *site) judged(t *testing.T, table string) plan.Judgement {
	t.Helper()
	var out plan.Judgement
	s.with(t, func(c *backfill.Coordinator) {
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = sight.View.With(t.Context(), func(w *plan.World) error {
			out = *w.Judge(table)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	return out
}

// published counts the partitions of each table that a report says were published.
func published(r *backfill.Report) map[string]int {
	out := map[string]int{}
	for _, t := range r.Tables {
		if t.Published > 0 {
			out[t.Table] = t.Published
		}
	}
	return out
}

// TestRule2_SettledInParts: what a dead process committed over five dates is recorded also when two runs find a part of it each.
func TestRule2_SettledInParts(t *testing.T) {
	s := newProof(t, folder(t))
	s.faults = &faults{}
	probe := s.copyTo(t, folder(t))
	probe.faults = &faults{}
	probe.mustRun(t, 0)
	first := slices.Index(probe.faults.names, "warehouse.Publish") + 1
	s.faults = &faults{at: first, after: true, dies: true}
	if _, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{}); err == nil {
		t.Fatal("the process lives")
	}
	s.faults = nil
	day := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
	for _, iv := range []calendar.Interval{{Start: march(1), End: march(4)}, {Start: march(4), End: march(32)}} {
		report, _, err := s.run(t.Context(), plan.Request{Tables: []string{"daily"}, Range: &plan.Range{Axis: day, Interval: iv}}, backfill.RunOptions{})
		if err != nil || report.Exit != 0 {
			t.Fatalf("%v %s", err, describe(report))
		}
	}
	for table, of := range s.seen.committed {
		for p, times := range of {
			if times > 1 {
				t.Errorf("%s %d was published %d times: a commit was forgotten", table, p, times)
			}
		}
	}
	s.settle(t)
	probe.faults = nil
	s.look(t).same(t, probe.look(t))
}

// TestRule11_ChangedSeqIsDrawnAfterTheCommit: a clock read between the commit in the warehouse and its record is older than the change, so
// that whoever read the old rows with it is stale.
func TestRule11_ChangedSeqIsDrawnAfterTheCommit(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		var heads []history.Seq
		s.seen.afterPub = func(warehouse.Publication) {
			// Somebody else's change moves the clock, and then a reader takes it.
			n := len(heads)
			_, err := c.Ledger.Observe(t.Context(), ledger.Observation{
				Periods: map[string][]calendar.Interval{"other": {{Start: 0, End: calendar.Partition(n + 1)}}}, At: s.now(),
			})
			if err != nil {
				t.Error(err)
			}
			head, err := c.Ledger.Head(t.Context())
			if err != nil {
				t.Error(err)
			}
			heads = append(heads, head)
		}
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Plan(t.Context(), sight, plan.Request{Tables: []string{"daily"}})
		if err != nil {
			t.Fatal(err)
		}
		report, err := c.Run(t.Context(), sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, MaxParallel: 1})
		if err != nil || report.Exit != 0 {
			t.Fatalf("%v %s", err, describe(report))
		}
		s.seen.afterPub = nil
		if len(heads) != 2 {
			t.Fatalf("%d publishes, want 2", len(heads))
		}
		key := c.Tables["daily"].Key
		snapshot, err := c.Ledger.Snapshot(t.Context(), []string{key})
		if err != nil {
			t.Fatal(err)
		}
		for _, seg := range snapshot.Table(key).Segments {
			if seg.Contains(march(1)) && seg.ChangedSeq <= heads[0] || seg.Contains(march(31)) && seg.ChangedSeq <= heads[1] {
				t.Errorf("%v changed at %d; readers took the clock at %v", seg.Interval, seg.ChangedSeq, heads)
			}
		}
	})
}

// TestRule11_WhoeverFindsACommitRecordsIt: the process died between commit and record; the next run records it as the attempt's, and
// computes it no more.
func TestRule11_WhoeverFindsACommitRecordsIt(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "data/orders_a.csv", "o2024-03-05-1,2024-03-05,41", "o2024-03-05-1,2024-03-05,441")
	probe := s.copyTo(t, folder(t))
	probe.faults = &faults{}
	probe.mustRun(t, 0)
	s.faults = &faults{at: slices.Index(probe.faults.names, "ledger.Record") + 1, dies: true}
	if _, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{}); err == nil {
		t.Fatal("the process lives")
	}
	s.faults = nil
	before := s.segments(t, "daily")[march(5)].Attempt
	report := s.mustRun(t, 0)
	if n := published(report)["daily"]; n != 0 {
		t.Errorf("%d partitions of daily were computed again", n)
	}
	after := s.segments(t, "daily")[march(5)]
	if after.Attempt == before || after.ReadSeq == 0 {
		t.Errorf("the commit was not recorded: %+v", after)
	}
	s.look(t).same(t, func() *standing { probe.faults = nil; return probe.look(t) }())
}

// TestRule12_ChangedBehindOurBack: the rows are computed as the ledger knew them, but others stood there, and somebody may have read those:
// the change counts.
func TestRule12_ChangedBehindOurBack(t *testing.T) {
	s := madeProof(t)
	s.execute(t, "update daily set total = total + 1000 where day = '2024-03-05'")
	s.with(t, func(c *backfill.Coordinator) {
		_, err := c.Mark(t.Context(), backfill.MarkRequest{Table: "daily", Set: calendar.Of(march(5), march(6)), Kind: ledger.MarkStale, Reason: "test"})
		if err != nil {
			t.Fatal(err)
		}
	})
	r := s.mustRun(t, 0)
	if r.Tables[0].Published != 2 || r.Tables[0].Unchanged != 1 {
		t.Errorf("want 2 published, one of them unchanged: %s", describe(r))
	}
	if n := published(r)["rolling"]; n != 6 { // the 5th to the 11th but the 10th
		t.Errorf("%d readers of the changed date were computed, want 6: %s", n, describe(r))
	}
}

// TestRule12_RowsOutsideTheChunk: rows with a null date, or of other dates, refuse the attempt, and what stands stays.
func TestRule12_RowsOutsideTheChunk(t *testing.T) {
	for name, row := range map[string]string{"null": "null::date", "another date": "date '2030-01-01'"} {
		t.Run(name, func(t *testing.T) {
			s := madeProof(t)
			before := s.look(t)
			s.edit(t, "sql/daily.sql", "group by o.day", "group by o.day union all select "+row+", 1, 1.0")
			r := s.mustRun(t, 1)
			if !strings.Contains(describe(r), "outside the chunk") {
				t.Errorf("it is not told: %s", describe(r))
			}
			after := s.look(t)
			for _, table := range proofTables {
				diff(t, "rows of "+table, after.rows[table], before.rows[table])
			}
		})
	}
}

// TestRule13_CascadeStopsWhereNothingChanges: sums that differ in their last digits only, and a new column of nulls, are the same rows.
func TestRule13_CascadeStopsWhereNothingChanges(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "data/rates.csv", "2024-03-05,1.04", "2024-03-05,1.0400000000000003")
	if r := s.mustRun(t, 0); r.Published != 0 {
		t.Errorf("a source that differs in its last digit: %s", describe(r))
	}
	s.edit(t, "sql/daily.sql", "sum(o.amount * r.rate)", "sum(o.amount * r.rate) * 1.0000000000000002::double")
	r := s.mustRun(t, 0)
	if got := published(r); !maps.Equal(got, map[string]int{"daily": 29}) || r.Unchanged != 29 {
		t.Errorf("published %v: %s", got, describe(r))
	}
	s.edit(t, "sql/daily.sql", "as total", "as total, null::integer as later")
	r = s.mustRun(t, 0)
	if got := published(r); !maps.Equal(got, map[string]int{"daily": 29}) || r.Unchanged != 29 {
		t.Errorf("published %v: %s", got, describe(r))
	}
}

// TestRule16_FreshDownToTheSources: a table whose own rows are as they were is not fresh once something below has changed.
func TestRule16_FreshDownToTheSources(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "data/orders_a.csv", "o2024-03-05-1,2024-03-05,41", "o2024-03-05-1,2024-03-05,441")
	for table, want := range map[string]int{"daily": 1, "rolling": 6, "running": 2, "monthly": 1, "totals": 1} {
		j := s.judged(t, table)
		if n := j.Expected.Minus(j.Fresh).Count(); n != want {
			t.Errorf("%s: %d partitions are not fresh, want %d", table, n, want)
		}
	}
	s.settle(t)
	if j := s.judged(t, "totals"); j.Fresh.Count() != 1 {
		t.Error("totals is not fresh after the run")
	}
}

// TestRule17_ADateIsLostAndComesBack: with its old rows, and with a run in between or not: its readers are computed again.
func TestRule17_ADateIsLostAndComesBack(t *testing.T) {
	for _, between := range []bool{false, true} {
		t.Run(fmt.Sprintf("run in between %t", between), func(t *testing.T) {
			s := madeProof(t)
			s.edit(t, "days.csv", "2024-03-12\n", "")
			s.acceptLosses(t)
			if j := s.judged(t, "rolling"); j.Expected.Minus(j.Fresh).Count() != 6 { // the 13th to the 18th
				t.Errorf("after the loss: not fresh %v", j.Expected.Minus(j.Fresh))
			}
			if between {
				s.settle(t)
			}
			s.edit(t, "days.csv", "2024-03-13\n", "2024-03-12\n2024-03-13\n")
			j := s.judged(t, "rolling")
			if stale := j.Expected.Minus(j.Fresh); !stale.Covers(calendar.Of(march(13), march(14), march(15), march(16), march(17), march(18))) {
				t.Errorf("after the date has come back: not fresh %v", stale)
			}
			s.settle(t)
			s.look(t).same(t, madeProof(t).look(t))
		})
	}
}

// TestRule17_ADateAtTheEdgeOfAWindow: a date is gained before the first of a window by partitions, so that the window reaches elsewhere.
func TestRule17_ADateAtTheEdgeOfAWindow(t *testing.T) {
	s := newProof(t, folder(t))
	s.edit(t, "headway.yaml", "[{days: [-6, 0]}]", "[{partitions: [-2, 0]}]")
	s.edit(t, "sql/rolling.sql", "range between interval 6 days preceding", "rows between 2 preceding")
	s.edit(t, "days.csv", "2024-03-12\n", "")
	s.settle(t)
	s.edit(t, "days.csv", "2024-03-13\n", "2024-03-12\n2024-03-13\n")
	j := s.judged(t, "rolling")
	if stale := j.Expected.Minus(j.Fresh); !stale.Equal(calendar.Of(march(12), march(13), march(14))) {
		t.Errorf("not fresh: %v, want the 12th to the 14th", stale)
	}
	s.settle(t)
}

// TestRule17_TheBorderOfTwoPeriodsMoves: together they are the same days; each of them is not. Its readers are computed once.
func TestRule17_TheBorderOfTwoPeriodsMoves(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "headway.yaml", "to: 2024-03-15}, {from: 2024-03-16", "to: 2024-03-17}, {from: 2024-03-18")
	if r := s.mustRun(t, 0); published(r)["season"] != 15 { // from the 16th on, without the 24th
		t.Errorf("after the change: %s", describe(r))
	}
	if r := s.mustRun(t, 0); r.Published != 0 {
		t.Errorf("again, with nothing to do: %s", describe(r))
	}
}

// TestRule18_ASourceLosesADate: rows that were read and are gone are drift, not a smaller source: what was made of them stays, and nothing
// is computed from the hole.
func TestRule18_ASourceLosesADate(t *testing.T) {
	s := madeProof(t)
	before := s.look(t)
	for k := range 3 {
		s.edit(t, "data/orders_a.csv", fmt.Sprintf("o2024-03-05-%d,2024-03-05,%d\n", k, 40+k), "")
	}
	if j := s.judged(t, "orders"); !j.Drifted.Contains(march(5)) {
		t.Errorf("orders of the 5th are not drifted: %v", j.Drifted)
	}
	_, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "rows of daily", s.look(t).rows["daily"], before.rows["daily"])
	if j := s.judged(t, "daily"); j.Fresh.Contains(march(5)) {
		t.Error("what rests on lost rows counts as fresh")
	}
}

// TestRule18_ACalendarLosesADate: of what is materialized that is drift, not a smaller calendar: nothing there is read, computed or thrown away
// until a person says that it is right, or the date comes back.
func TestRule18_ACalendarLosesADate(t *testing.T) {
	s := madeProof(t)
	before := s.look(t)
	s.edit(t, "days.csv", "2024-03-12\n", "")
	j := s.judged(t, "daily")
	if !j.Drifted.Equal(calendar.Of(march(12))) || !j.Expected.Contains(march(12)) {
		t.Errorf("drifted %v of the expected %v", j.Drifted, j.Expected)
	}
	r, planned, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
	if err != nil || planned != 0 || r.Exit != 3 {
		t.Errorf("%d planned, %v: %s", planned, err, describe(r))
	}
	if j := s.judged(t, "rolling"); !j.Expected.Minus(j.Fresh).Equal(calendar.Range(march(12), march(19))) {
		t.Errorf("what reads the lost date: not fresh %v", j.Expected.Minus(j.Fresh))
	}
	diff(t, "rows of daily", s.look(t).rows["daily"], before.rows["daily"])

	s.edit(t, "days.csv", "2024-03-13\n", "2024-03-12\n2024-03-13\n")
	if r := s.mustRun(t, 0); r.Published != 0 {
		t.Errorf("after it has come back unharmed: %s", describe(r))
	}
	s.look(t).same(t, before)
}

// TestRule20_NoChunkReadsItself: running reads itself fifteen days before: no chunk holds both.
func TestRule20_NoChunkReadsItself(t *testing.T) {
	s := newProof(t, folder(t))
	chunks := 0
	s.seen.beforePub = func(p warehouse.Publication) {
		if p.Target.Relation != "running" {
			return
		}
		chunks++
		for q := range p.Set.Partitions() {
			if p.Set.Contains(q - 15) {
				t.Errorf("a chunk holds %d and %d", q, q-15)
			}
		}
	}
	s.mustRun(t, 0)
	if chunks < 2 || chunks > 4 {
		t.Errorf("%d chunks: want as few as the lag allows", chunks)
	}
	want := s.query(t, "select count(*)::integer as n from running r join daily d using (day) "+
		"where kept <> total + coalesce((select b.total from daily b where b.day = r.day - interval 15 days), 0) and r.day < '2024-03-31'")
	if !slices.Equal(want, []string{"{'n': 0}"}) {
		t.Errorf("rows were computed before what they read: %v", want)
	}
}

// TestRule21_WhatWentStaleMeanwhileIsReported: a source changes while the run is under way.
func TestRule21_WhatWentStaleMeanwhileIsReported(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		orders := c.Tables["orders"]
		s.seen.afterPub = func(p warehouse.Publication) {
			if p.Target.Relation != "totals" {
				return
			}
			_, err := c.Ledger.Observe(t.Context(), ledger.Observation{At: s.now(), Sources: []ledger.Seen{{
				Table: orders.Key, Axis: orders.Axis, Looked: calendar.Of(march(5)), Contents: []ledger.Content{{Partition: march(5), Rows: 1, Fingerprint: "other"}},
			}}})
			if err != nil {
				t.Error(err)
			}
		}
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Plan(t.Context(), sight, plan.Request{})
		if err != nil {
			t.Fatal(err)
		}
		report, err := c.Run(t.Context(), sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, MaxParallel: 1})
		if err != nil {
			t.Fatal(err)
		}
		stale := map[string]int{}
		for _, one := range report.StaleAfter {
			stale[one.Table] = one.Partitions
		}
		if stale["daily"] != 1 || stale["rolling"] != 6 || stale["totals"] != 1 {
			t.Errorf("reported as stale after the run: %v", stale)
		}
	})
}

// TestRule21_OnlyWhatIsStaleIsAttempted: what the plan held and early cutoff left fresh is not computed; what was named is.
func TestRule21_OnlyWhatIsStaleIsAttempted(t *testing.T) {
	s := madeProof(t)
	// The id is not in any table: daily of that date is computed, and stays as it was.
	s.edit(t, "data/orders_a.csv", "o2024-03-05-1,", "x2024-03-05-1,")
	r, planned, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := published(r); !maps.Equal(got, map[string]int{"daily": 1}) || r.Skipped != planned-1 || planned < 10 {
		t.Errorf("of %d planned, published %v, found fresh %d", planned, got, r.Skipped)
	}
	day := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
	r, _, err = s.run(t.Context(), plan.Request{
		Tables: []string{"rolling"}, Reprocess: plan.All, Explicit: true,
		Range: &plan.Range{Axis: day, Interval: calendar.Interval{Start: march(3), End: march(6)}},
	}, backfill.RunOptions{})
	if err != nil || published(r)["rolling"] != 3 {
		t.Errorf("named partitions: %v %s", err, describe(r))
	}
}

// TestRule22_OlderCodeIsRefused: files that newer ones have replaced write nothing, and a plan on a branch registers nothing.
func TestRule22_OlderCodeIsRefused(t *testing.T) {
	s := madeProof(t)
	before := s.look(t)
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	if j := s.judged(t, "season"); j.Code.Count() != 29 {
		t.Errorf("newer code makes %d partitions stale, want 29", j.Code.Count())
	}
	s.edit(t, "sql/season.sql", "2 * sum(d.total)", "sum(d.total)")
	if j := s.judged(t, "season"); j.Fresh.Count() != 29 {
		t.Errorf("looking at a branch has made %d partitions stale", 29-j.Fresh.Count())
	}
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	s.mustRun(t, 0)
	newer := s.look(t)
	if maps.Equal(newer.rows["season"], before.rows["season"]) {
		t.Fatal("the newer code has changed nothing")
	}
	s.edit(t, "sql/season.sql", "2 * sum(d.total)", "sum(d.total)")
	if j := s.judged(t, "season"); j.Fresh.Count() != 29 {
		t.Errorf("what newer code wrote is stale to older files: %v", j.Code)
	}
	_, _, err := s.run(t.Context(), plan.Request{Tables: []string{"season"}, Reprocess: plan.All, Explicit: true}, backfill.RunOptions{})
	if _, refused := errors.AsType[*backfill.RefusedError](err); !refused {
		t.Errorf("older code: %v", err)
	}
	s.settleLoosely(t)
	diff(t, "rows of season", s.look(t).rows["season"], newer.rows["season"])
}

// settleLoosely runs once, whatever becomes of it.
func (s *site) settleLoosely(t *testing.T) {
	t.Helper()
	if _, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{}); err != nil {
		if _, refused := errors.AsType[*backfill.RefusedError](err); !refused {
			t.Fatal(err)
		}
	}
}

// TestRule23_SourceChangesWhileRead: a file is replaced in the middle of a run. What the run makes is of what was fingerprinted; the next
// run makes it of the new file.
func TestRule23_SourceChangesWhileRead(t *testing.T) {
	s := newProof(t, folder(t))
	s.seen.beforePub = func(warehouse.Publication) {
		s.seen.beforePub = nil
		s.write(t, map[string]string{"data/orders_a.csv": orders(proofDays()[:15], func(i, k int) int { return 100*i + k })})
	}
	s.mustRun(t, 0)
	old := madeProof(t).look(t)
	now := s.look(t)
	for _, table := range proofTables {
		diff(t, "rows of "+table, now.rows[table], old.rows[table])
	}
	s.settle(t)
	other := newProof(t, folder(t))
	other.write(t, map[string]string{"data/orders_a.csv": orders(proofDays()[:15], func(i, k int) int { return 100*i + k })})
	other.settle(t)
	s.look(t).same(t, other.look(t))
}

// TestI1_TwoProcesses: while a run holds its output, another that wants a part of it is refused, told whose it is, and changes nothing.
func TestI1_TwoProcesses(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		daily := c.Tables["daily"]
		_, err := c.Ledger.Acquire(t.Context(), ledger.LeaseRequest{
			ID: "l-other", Run: "r-other", Class: ledger.ClassFix, Holder: s.holder(), TTL: time.Hour,
			Writes: []ledger.Claim{{Table: daily.Key, Axis: daily.Axis, Set: calendar.Of(march(31))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Plan(t.Context(), sight, plan.Request{})
		if err != nil {
			t.Fatal(err)
		}
		report, err := c.Run(context.WithoutCancel(t.Context()), sight, p, backfill.RunOptions{Class: ledger.ClassBackfill})
		conflict, ok := errors.AsType[*ledger.ConflictError](err)
		if !ok || len(conflict.Conflicts) != 1 || conflict.Conflicts[0].Run != "r-other" || !conflict.Conflicts[0].Overlap.Equal(calendar.Of(march(31))) {
			t.Errorf("the other run: %v", err)
		}
		if report == nil || report.Exit != 4 || s.seen.publishes() > 0 {
			t.Errorf("exit %+v, %d published", report, s.seen.publishes())
		}
	})
	s.settle(t)
}

// TestAValueThatDoesNotFit: one text in a column of numbers keeps its date from being read, and nothing else.
func TestAValueThatDoesNotFit(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "data/orders_a.csv", "o2024-03-05-1,2024-03-05,41", "o2024-03-05-1,2024-03-05,many")
	s.edit(t, "data/orders_a.csv", "o2024-03-06-1,2024-03-06,51", "o2024-03-06-1,2024-03-06,551")
	r := s.mustRun(t, 5)
	if got := published(r); got["daily"] != 1 || got["rolling"] != 1 { // the 12th: seven days before it lie the 6th and not the 5th
		t.Errorf("published %v: %s", got, describe(r))
	}
	if rows := s.query(t, "select count(*) as n from orders where day = '2024-03-05'"); rows[0] != "{'n': 0}" {
		t.Errorf("queries find rows of the 5th: %v", rows)
	}
	s.with(t, func(c *backfill.Coordinator) {
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = sight.View.With(t.Context(), func(w *plan.World) error {
			if j := w.Judge("orders"); !j.Drifted.Equal(calendar.Of(march(5))) {
				t.Errorf("drifted: %v", j.Drifted)
			}
			chain := w.Why("daily", march(5))
			last := chain.Links[len(chain.Links)-1]
			if last.Table != "orders" || !strings.Contains(last.Reason, `data/orders_a.csv:15: column amount has "many", which is no INTEGER`) {
				t.Errorf("why: %+v", last)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	s.edit(t, "data/orders_a.csv", "2024-03-05,many", "2024-03-05,41")
	s.settle(t)
	s.look(t).same(t, func() *standing {
		other := newProof(t, folder(t))
		other.edit(t, "data/orders_a.csv", "o2024-03-06-1,2024-03-06,51", "o2024-03-06-1,2024-03-06,551")
		other.settle(t)
		return other.look(t)
	}())
}
