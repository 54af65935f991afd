package backfill_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// idle is `headway run` of everything, which must end so and publish nothing.
func (s *site) idle(t *testing.T, exit int) *backfill.Report {
	t.Helper()
	before := s.seen.publishes()
	report := s.mustRun(t, exit)
	if after := s.seen.publishes(); after != before || report.Published > 0 {
		t.Errorf("%d partitions were computed for a check: %s", after-before, describe(report))
	}
	return report
}

// of is a table's part of a report.
func of(t *testing.T, r *backfill.Report, table string) backfill.TableReport {
	t.Helper()
	for _, one := range r.Tables {
		if one.Table == table {
			return one
		}
	}
	t.Fatalf("the report does not tell of %s: %s", table, describe(r))
	return backfill.TableReport{}
}

// contents are the partitions of a table by what stands there.
func (s *site) contents(t *testing.T, table string) map[history.Content]calendar.Set {
	t.Helper()
	out := map[history.Content]calendar.Set{}
	for p, seg := range s.segments(t, table) {
		out[seg.Content] = out[seg.Content].Union(calendar.Of(p))
	}
	return out
}

const dailyRange = "range: {column: total, min: 0, max: 100000}"

// TestRule15_AChangedCheckIsAskedAndComputesNothing: rows that stand are checked again when their check changes. What fails is not readable
// and blocks its consumers, nobody goes stale by it, it is not tried again while nothing changes, and it is readable again when the check is mended.
func TestRule15_AChangedCheckIsAskedAndComputesNothing(t *testing.T) {
	s := madeProof(t)
	standing, was := s.look(t), s.segments(t, "daily")
	s.edit(t, "headway.yaml", dailyRange, "range: {column: total, min: 0, max: 300}")

	report := s.idle(t, 3)
	daily := of(t, report, "daily")
	failing := s.contents(t, "daily")[history.Failing]
	if failing.Empty() || daily.Quarantined != failing.Count() || daily.Checked != len(was) || daily.Failed > 0 {
		t.Fatalf("%d of %d failing: %s", failing.Count(), len(was), describe(report))
	}
	if len(daily.Checks) != 2 || daily.Checks[1].Before == nil || *daily.Checks[1].Before != 1 || *daily.Checks[1].After >= 1 {
		t.Errorf("metrics before and after: %+v", daily.Checks)
	}
	for p, now := range s.segments(t, "daily") {
		if now.ChangedSeq != was[p].ChangedSeq {
			t.Errorf("daily %d: changed at %d, was %d: its readers go stale", p, now.ChangedSeq, was[p].ChangedSeq)
		}
	}
	judged := s.judged(t, "daily")
	if !judged.Repeats.Covers(failing) || !judged.Unchecked.Empty() || judged.Fresh.Overlaps(failing) {
		t.Errorf("judged %+v", judged)
	}
	if season := s.judged(t, "season"); !season.NotReady.Covers(failing) || !season.Input.Empty() {
		t.Errorf("consumers: %+v", season)
	}

	if again := s.idle(t, 3); of(t, again, "daily").Checked > 0 {
		t.Errorf("what was checked is checked again: %s", describe(again))
	}
	s.edit(t, "headway.yaml", "max: 300}", "max: 100000}")
	if mended := s.idle(t, 0); of(t, mended, "daily").Checked != len(was) {
		t.Errorf("after the check was mended: %s", describe(mended))
	}
	s.look(t).same(t, standing)
	if last := s.idle(t, 0); len(last.Tables) > 0 {
		t.Errorf("something is left to do: %s", describe(last))
	}
}

// TestRule15_MendedDataClearsFailing: when what failing rows were computed from changes they are computed again, and so is what reads them.
func TestRule15_MendedDataClearsFailing(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "headway.yaml", dailyRange, "range: {column: total, min: 0, max: 470}")
	s.idle(t, 3)
	failing := s.contents(t, "daily")[history.Failing]
	s.write(t, map[string]string{"data/orders_a.csv": orders(proofDays()[:15], func(i, k int) int { return i + k })})
	report := s.mustRun(t, 0)
	if left := s.contents(t, "daily")[history.Failing]; failing.Empty() || !left.Empty() {
		t.Errorf("%d were failing, %d are: %s", failing.Count(), left.Count(), describe(report))
	}
	if of(t, report, "totals").Published != 1 {
		t.Errorf("what reads them was not computed: %s", describe(report))
	}
	s.idle(t, 0)
}

// TestRule15_AWatchedTableAsksForItsPartitions: a change of a table that only the checks read asks for the partitions of its time.
func TestRule15_AWatchedTableAsksForItsPartitions(t *testing.T) {
	s := newProof(t, folder(t))
	s.edit(t, "headway.yaml", "tables:\n  daily:", "  known: {files: data/known.csv}\ntables:\n  daily:")
	s.edit(t, "headway.yaml", "- unique: [day]\n", "- unique: [day]\n      - relationship: {columns: [n], to: known}\n")
	known := func(n func(i int) int) map[string]string {
		text := "day,n\n"
		for i, day := range proofDays() {
			text += fmt.Sprintf("%s,%d\n", day, n(i))
		}
		return map[string]string{"data/known.csv": text}
	}
	s.write(t, known(func(int) int { return 3 }))
	s.settle(t)

	s.write(t, known(func(i int) int { return map[bool]int{true: 8, false: 3}[i == 4] }))
	report := s.idle(t, 0)
	if daily := of(t, report, "daily"); daily.Checked != 1 {
		t.Errorf("one day has changed: %s, %d checked again", describe(report), daily.Checked)
	}
	s.write(t, known(func(int) int { return 4 }))
	if daily := of(t, s.idle(t, 3), "daily"); daily.Quarantined != len(proofDays()) {
		t.Errorf("no id is known any more: %+v", daily)
	}
	s.idle(t, 3)
	// Failing rows wait to be mended: any change may do that, here that of one day.
	s.write(t, known(func(i int) int { return map[bool]int{true: 3, false: 4}[i == 7] }))
	if daily := of(t, s.idle(t, 0), "daily"); daily.Checked != len(proofDays()) {
		t.Errorf("what fails is not checked again: %+v", daily)
	}
}

// TestRule15_WhatCannotBeCheckedStaysReadable: checks that cannot be asked, or whose answer is lost, fail the run and nothing else; the next run
// asks again.
func TestRule15_WhatCannotBeCheckedStaysReadable(t *testing.T) {
	s := madeProof(t)
	standing := s.look(t)
	s.edit(t, "headway.yaml", "max: 100000}", "max: 100001}")
	probe := s.copyTo(t, folder(t))
	for _, after := range []bool{false, true} {
		s := s.copyTo(t, folder(t))
		probe := probe.copyTo(t, folder(t))
		probe.faults = &faults{}
		probe.mustRun(t, 0)
		at := slices.Index(probe.faults.names, "ledger.Recheck") + 1
		if at == 0 {
			t.Fatalf("nothing was checked again: %v", probe.faults.names)
		}
		s.faults = &faults{at: at, after: after}
		report := s.idle(t, 1)
		if daily := of(t, report, "daily"); daily.Failed != len(proofDays()) || !strings.Contains(describe(report), "injected") {
			t.Errorf("the failure is not told: %s", describe(report))
		}
		s.faults = nil
		s.idle(t, 0)
		s.look(t).same(t, standing)
		s.idle(t, 0)
	}
}

// TestRule15_GuardedRowsThatFailAreFailing: rows of a command that writes to the table itself stand also when they fail: they are not in doubt.
// What the command does not answer for is.
func TestRule15_GuardedRowsThatFailAreFailing(t *testing.T) {
	s := newCommands(t, "direct", "retries: 0\n    batch: {size: 100}\n    checks:\n      - range: {column: value, min: 0, max: 100}")
	s.edit(t, "headway.yaml", "batch: {size: 5}\n    ", "")
	report := s.mustRun(t, 5)
	failing := calendar.Range(march(11), march(14))
	stands := s.contents(t, "made")
	if !stands[history.Failing].Equal(failing) || !stands[history.InDoubt].Empty() || of(t, report, "made").Quarantined != failing.Count() {
		t.Fatalf("%v: %s", stands, describe(report))
	}
	s.wantMade(t, func(int) int { return 10 })
	for p, seg := range s.segments(t, "made") {
		if seg.Version == "" || seg.Attempt == "" || seg.CheckVersion == "" {
			t.Errorf("made %d: %+v", p, seg)
		}
	}
	if summed := s.judged(t, "summed"); !summed.NotReady.Equal(failing) {
		t.Errorf("what reads them: %v", summed.NotReady.Intervals())
	}
	before := s.segments(t, "made")
	s.mustRun(t, 3)
	if now := s.segments(t, "made"); now[march(12)].Attempt != before[march(12)].Attempt {
		t.Error("failing rows were tried again though nothing has changed")
	}
	s.edit(t, "headway.yaml", "max: 100}", "max: 1000}")
	report = s.mustRun(t, 0)
	if got := published(report); got["made"] != 0 || got["summed"] != failing.Count() {
		t.Errorf("after the check was mended: %s", describe(report))
	}

	// All of them fail, and one the command itself calls failed.
	s.edit(t, "headway.yaml", "max: 1000}", "max: 1}")
	var lines strings.Builder
	for _, day := range proofDays()[:12] {
		state := map[bool]string{true: "failed", false: "done"}[day == "2024-03-05"]
		fmt.Fprintf(&lines, `{"table":"made","partition":%q,"state":%q,"rows":1}`+"\n", day, state)
	}
	s.write(t, map[string]string{"factor.txt": "20", "lines": lines.String()})
	s.mustRun(t, 1) // a failure is worse than a refusal
	stands = s.contents(t, "made")
	if !stands[history.InDoubt].Equal(calendar.Of(march(5))) || stands[history.Failing].Count() != 11 {
		t.Errorf("stands %v", stands)
	}
}

// TestRule15_TakenOverCountsAsChecked: what a person takes over as fresh is checked again only when the checks change after that; what a person
// takes over of older code says nothing of the checks.
func TestRule15_TakenOverCountsAsChecked(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "headway.yaml", dailyRange, "range: {column: total, min: 0, max: 300}")
	all := s.judged(t, "daily").Unchecked
	half, _ := all.Last()
	taken := all.Within(calendar.Interval{Start: march(1), End: half - 10})
	s.with(t, func(c *backfill.Coordinator) {
		if _, err := c.Mark(t.Context(), backfill.MarkRequest{Table: "daily", Set: taken, Kind: ledger.MarkFresh, Reason: "we looked"}); err != nil {
			t.Fatal(err)
		}
	})
	if left := s.judged(t, "daily").Unchecked; taken.Empty() || !left.Equal(all.Minus(taken)) {
		t.Errorf("unchecked %v after %v were taken over", left.Intervals(), taken.Intervals())
	}
	s.edit(t, "headway.yaml", "max: 300}", "max: 299}")
	if left := s.judged(t, "daily").Unchecked; !left.Equal(all) {
		t.Errorf("another check asks for %v only", left.Intervals())
	}
	s.edit(t, "sql/daily.sql", "count(*) as n", "count(*) + 0 as n")
	s.accept(t, "daily", all)
	if j := s.judged(t, "daily"); !j.Unchecked.Equal(all) || !j.Code.Empty() {
		t.Errorf("after code accept: unchecked %v, of other code %v", j.Unchecked.Intervals(), j.Code.Intervals())
	}
}

func (s *site) accept(t *testing.T, table string, set calendar.Set) {
	t.Helper()
	s.with(t, func(c *backfill.Coordinator) {
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Accept(t.Context(), sight, table, set, "comments only"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRule22_AcceptedHoldsUntilTheNextVersion: what was accepted is right by the code of that day; the version after that makes it stale.
func TestRule22_AcceptedHoldsUntilTheNextVersion(t *testing.T) {
	s := madeProof(t)
	const column = "count(*) as n"
	s.edit(t, "sql/daily.sql", column, "count(*) + 0 as n")
	all := s.judged(t, "daily").Code
	s.accept(t, "daily", all)
	if left := s.judged(t, "daily").Code; all.Empty() || !left.Empty() {
		t.Fatalf("%d were of older code, %d are", all.Count(), left.Count())
	}
	s.edit(t, "sql/daily.sql", "count(*) + 0 as n", "count(*) + 1 as n")
	if now := s.judged(t, "daily").Code; !now.Equal(all) {
		t.Errorf("another version makes %v stale, want %v", now.Intervals(), all.Intervals())
	}
	s.mustRun(t, 0)
	// The files of before, which newer ones have replaced: what is taken over now is right by those.
	s.edit(t, "sql/daily.sql", "count(*) + 1 as n", column)
	s.with(t, func(c *backfill.Coordinator) {
		if _, err := c.Mark(t.Context(), backfill.MarkRequest{Table: "daily", Set: all, Kind: ledger.MarkFresh, Reason: "right as it is"}); err != nil {
			t.Fatal(err)
		}
	})
	if j := s.judged(t, "daily"); !j.Fresh.Equal(all) {
		t.Errorf("fresh by a person's word: %v", j.Fresh.Intervals())
	}
	// A table that was taken over before anything was published is of the files of that day, and of no others.
	fresh := newProof(t, folder(t))
	fresh.judged(t, "daily") // the sources have been seen
	fresh.with(t, func(c *backfill.Coordinator) {
		if _, err := c.Mark(t.Context(), backfill.MarkRequest{Table: "daily", Set: all, Kind: ledger.MarkFresh, Reason: "it is there"}); err != nil {
			t.Fatal(err)
		}
	})
	if j := fresh.judged(t, "daily"); !j.Fresh.Equal(all) || !j.Unchecked.Empty() {
		t.Errorf("taken over: %+v", j)
	}
	fresh.edit(t, "sql/daily.sql", column, "count(*) + 0 as n")
	if j := fresh.judged(t, "daily"); !j.Code.Equal(all) {
		t.Errorf("other files make %v stale", j.Code.Intervals())
	}
}

// TestRule15_AskedToComputeAllTheSame: whoever names failing partitions gets them computed.
func TestRule15_AskedToComputeAllTheSame(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "headway.yaml", dailyRange, "range: {column: total, min: 0, max: 300}")
	s.idle(t, 3)
	failing := s.contents(t, "daily")[history.Failing]
	req := plan.Request{Tables: []string{"daily"}, Reprocess: plan.Quarantined, Explicit: true}
	report, planned, err := s.run(t.Context(), req, backfill.RunOptions{})
	if err != nil || report.Exit != 3 || planned != failing.Count() {
		t.Fatalf("%d planned, %v: %s", planned, err, describe(report))
	}
	if now := s.contents(t, "daily")[history.Failing]; !now.Equal(failing) {
		t.Errorf("failing %v, were %v: rows that do not pass must not replace any", now.Intervals(), failing.Intervals())
	}
	s.idle(t, 3)
	s.edit(t, "headway.yaml", "max: 300}", "max: 100000}")
	s.idle(t, 0)
}

// TestRule15_WhatAStepFindsFreshIsChecked: a step that may change what is unchecked, and then finds it fresh, leaves it checked all the same.
func TestRule15_WhatAStepFindsFreshIsChecked(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "sql/daily.sql", "count(*) as n", "count(*) + 0 as n") // computes the same rows
	s.edit(t, "headway.yaml", "not_null: {column: mean, min: 1.0}", "range: {column: mean, min: 0, max: 200}")
	report := s.mustRun(t, 5)
	rolling := of(t, report, "rolling")
	failing := s.contents(t, "rolling")[history.Failing]
	if rolling.Checked != len(proofDays()) || rolling.Published > 0 || failing.Empty() || rolling.Blocked != failing.Count() || rolling.Quarantined > 0 {
		t.Errorf("%d failing, %+v", failing.Count(), rolling)
	}
	if rolling.Reason == nil || !strings.Contains(*rolling.Reason, "rolling.mean.range") {
		t.Errorf("the check is not named: %s", describe(report))
	}
	if left := s.judged(t, "rolling").Unchecked; !left.Empty() {
		t.Errorf("nobody has checked %v", left.Intervals())
	}
}
