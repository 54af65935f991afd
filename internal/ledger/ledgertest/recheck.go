package ledgertest

import (
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// checked is a recheck of days of the table, now, by the checks c2, of which some fail.
func (f *fixture) checked(start, end calendar.Partition, failing ...calendar.Partition) ledger.Recheck {
	f.Helper()
	r := ledger.Recheck{
		Table: table, Axis: day, Seq: f.head(), CheckVersion: "c2", Failing: calendar.Of(failing...), Reasons: map[calendar.Partition]string{},
	}
	r.Passing = days(start, end).Minus(r.Failing)
	for p := range days(start, end).Partitions() {
		r.Metrics = append(r.Metrics, ledger.Metric{Check: "t.x", Partition: p, Value: 0.5, Weight: 10, Passed: r.Passing.Contains(p)})
	}
	for _, p := range failing {
		r.Reasons[p] = "too low"
	}
	return r
}

func (f *fixture) recheck(r ledger.Recheck) history.Seq {
	f.Helper()
	seq, err := f.l.Recheck(f.ctx, r)
	f.ok(err)
	return seq
}

// verdict is what is said of a partition; nil for nothing.
func (f *fixture) verdict(p calendar.Partition) *history.Verdict {
	f.Helper()
	for _, v := range f.history().Verdicts {
		if v.Contains(p) {
			return &v
		}
	}
	return nil
}

// unmoved demands that a recheck changes nothing.
func (f *fixture) unmoved(what string, r ledger.Recheck) {
	f.Helper()
	before, head := describe(f.snapshot()), f.head()
	same(f, what+": clock", f.recheck(r), head)
	same(f, what, describe(f.snapshot()), before)
}

var recheckCases = []testCase{
	{"Rule15_PublishedCountsAsChecked", func(f *fixture) {
		a := f.publish(f.acquire(f.request(0, 3)), 0, 3)
		same(f, "checked", []any{f.must(1).CheckVersion, f.must(1).CheckSeq}, []any{"c1", a.ReadSeq})
	}},
	{"Rule15_FailingIsNotReadableAndNotChanged", func(f *fixture) {
		a := f.publish(f.acquire(f.request(0, 3)), 0, 3)
		before := f.must(1)
		r := f.checked(0, 3, 1)
		seq := f.recheck(r)
		if seq <= r.Seq {
			f.Fatalf("the clock stands at %d still: readers would not see it", seq)
		}
		s := f.must(1)
		same(f, "content", s.Content, history.Failing)
		same(f, "changed", s.ChangedSeq, before.ChangedSeq)
		same(f, "checked", []any{s.CheckVersion, s.CheckSeq}, []any{"c2", r.Seq})
		same(f, "key and reason", *f.verdict(1), history.Verdict{
			Interval: calendar.Single(1), Outcome: history.Quarantined, Attempt: string(a.ID), ReadSeq: a.ReadSeq, Version: "v1", CheckVersion: "c2",
			CheckSeq: r.Seq, Reason: "too low",
		})
		same(f, "its neighbour", []any{f.must(0).Content, f.must(0).CheckVersion, f.must(0).ChangedSeq}, []any{history.Rows, "c2", before.ChangedSeq})
		if f.verdict(0) != nil {
			f.Fatal("what passes has a verdict")
		}
		got, err := f.l.Metrics(f.ctx, table, days(0, 3))
		f.ok(err)
		same(f, "metrics", len(got), 3)
		same(f, "of now", got[1].At, seq)
		f.reopen()
		same(f, "kept", f.must(1), s)
	}},
	{"Rule15_PassingClearsFailing", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		a := f.attempt(l, 0, 3)
		in := f.intent(a)
		in.Publish[2].Rows, in.Empty = 0, days(2, 3)
		f.intend(in)
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		changed := f.must(1).ChangedSeq
		f.recheck(f.checked(0, 3, 1, 2))
		same(f, "failing", []any{f.must(1).Content, f.must(2).Content}, []any{history.Failing, history.Failing})
		r := f.checked(1, 3)
		r.CheckVersion = "c3"
		f.recheck(r)
		same(f, "as they were", []any{f.must(1).Content, f.must(2).Content}, []any{history.Rows, history.Empty})
		same(f, "changed", f.must(1).ChangedSeq, changed)
		same(f, "verdicts", len(f.history().Verdicts), 0)
		same(f, "the other", f.must(0).CheckVersion, "c2")
	}},
	{"Rule15_ReadersFollow", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		f.publish(l, 0, 3)
		f.failure(f.attempt(l, 0, 1), history.Quarantined)
		since := f.head()
		f.recheck(f.checked(0, 3, 1))
		changes, err := f.l.Changes(f.ctx, since, []string{table})
		f.ok(err)
		// A reader drops the verdicts under newer segments: what still holds must be told again.
		f.sets("verdicts", history.Covered(changes.Table(table).Verdicts), days(0, 2))
		f.sets("segments", history.Covered(changes.Table(table).Segments), days(0, 3))
	}},
	{"Rule15_KeptAsideStaysRefused", func(f *fixture) {
		// What was computed later and is kept aside is not what was checked: its verdict stays, and its key is that of failing rows too.
		l := f.acquire(f.request(0, 2))
		f.publish(l, 0, 2)
		a := f.attempt(l, 0, 2)
		f.failure(a, history.Quarantined)
		was := f.verdict(0)
		f.recheck(f.checked(0, 2, 1))
		same(f, "of what passes", *f.verdict(0), was.WithBounds(calendar.Single(0)))
		same(f, "content", f.must(0).Content, history.Rows)
		v := f.verdict(1)
		same(f, "of what fails", []any{v.Attempt, v.ReadSeq, v.CheckVersion}, []any{string(a.ID), a.ReadSeq, "c2"})
	}},
	{"Rule15_WhoWroteMeanwhileHasChecked", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 4)
		r := f.checked(0, 9, 0, 1, 2, 3, 5)
		f.publish(l, 0, 1) // changed
		later := f.checked(1, 2)
		f.recheck(later) // checked
		f.attempt(l, 2, 3)
		f.recheck(r)
		same(f, "changed", f.must(0).Content, history.Rows)
		same(f, "checked", []any{f.must(1).Content, f.must(1).CheckSeq}, []any{history.Rows, later.Seq})
		same(f, "in flight", f.must(2).Content, history.Rows)
		same(f, "at rest", f.must(3).Content, history.Failing)
		if s, ok := f.at(5); ok {
			f.Fatalf("%+v stands where nothing did", s)
		}
		got, err := f.l.Metrics(f.ctx, table, days(0, 9))
		f.ok(err)
		same(f, "metrics of what was judged", len(got), 2)
	}},
	{"Rule15_UnsettledIsLeftAlone", func(f *fixture) {
		req := f.request(0, 3)
		l := f.acquire(req)
		f.publish(l, 0, 3)
		f.attempt(l, 0, 1)
		f.w.Kill(req.Holder)
		f.recheck(f.checked(0, 3, 0, 1))
		same(f, "unsettled", f.must(0).Content, history.Rows)
		same(f, "the other", f.must(1).Content, history.Failing)
	}},
	{"Rule15_OnlyRowsAreChecked", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 2)
		req := f.attemptRequest(l, 0, 1)
		req.Guarded = true
		f.failure(f.start(req), history.Failed)
		f.mark(f.markOf(ledger.MarkSkipped, 1, 2))
		f.unmoved("in doubt and skipped", f.checked(0, 2, 0, 1))
		f.unmoved("nothing", f.checked(4, 9, 5))
		other := f.checked(0, 2, 0)
		other.Table = "main/unknown"
		f.unmoved("a table that was never used", other)
	}},
	{"Rule15_RecheckingAgainChangesNothing", func(f *fixture) {
		f.publish(f.acquire(f.request(0, 3)), 0, 3)
		r := f.checked(0, 3, 1)
		f.recheck(r)
		f.unmoved("the same", r)
		f.reopen()
		f.unmoved("the same after opening again", r)
		f.unmoved("an empty one", ledger.Recheck{Table: table, Axis: day, Seq: r.Seq})
	}},
	{"Rule15_MarkedStaleIsStillChecked", func(f *fixture) {
		f.publish(f.acquire(f.request(0, 2)), 0, 2)
		r := f.checked(0, 2, 1)
		f.mark(f.markOf(ledger.MarkStale, 0, 2))
		f.recheck(r)
		same(f, "failing, and stale", []any{f.must(1).Content, f.must(1).Stale}, []any{history.Failing, true})
	}},
	{"Rule15_PublishingMendsFailing", func(f *fixture) {
		l := f.acquire(f.request(0, 2))
		f.publish(l, 0, 2)
		changed := f.must(1).ChangedSeq
		f.recheck(f.checked(0, 2, 1))
		a := f.attempt(l, 1, 2)
		f.intend(f.intent(a))
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set, Unchanged: a.Set})
		same(f, "rows", []any{f.must(1).Content, f.must(1).ChangedSeq}, []any{history.Rows, changed})
		if f.verdict(1) != nil {
			f.Fatal("a publish leaves a verdict")
		}
	}},
	{"Rule15_GuardedRowsThatFailStand", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		req := f.attemptRequest(l, 0, 3)
		req.Guarded = true
		a := f.start(req)
		in := f.intent(a)
		in.Failing, in.Reasons = days(1, 3), map[calendar.Partition]string{1: "too low", 2: "too low"}
		in.Publish[2].Rows, in.Empty = 0, days(2, 3)
		f.intend(in)
		f.reopen()
		seq := f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		for p := range in.Failing.Partitions() {
			s := f.must(p)
			same(f, "failing", []any{s.Content, s.ChangedSeq, s.Version, s.ReadSeq}, []any{history.Failing, seq, "v1", a.ReadSeq})
		}
		v := f.history().Verdicts[0]
		same(f, "verdict", v, history.Verdict{
			Interval: calendar.Interval{Start: 1, End: 3}, Outcome: history.Quarantined, Attempt: string(a.ID), ReadSeq: a.ReadSeq, Version: "v1",
			CheckVersion: "c1", CheckSeq: a.ReadSeq, Reason: "too low",
		})
		same(f, "its neighbour", f.must(0).Content, history.Rows)
		same(f, "the attempt", f.attemptRecord(a.ID).State, ledger.AttemptPublished)
		f.recheck(f.checked(1, 3))
		same(f, "rows and none", []any{f.must(1).Content, f.must(2).Content}, []any{history.Rows, history.Empty})
	}},
	{"MalformedRechecks", func(f *fixture) {
		f.publish(f.acquire(f.request(0, 3)), 0, 3)
		for what, change := range map[string]func(*ledger.Recheck){
			"table":   func(r *ledger.Recheck) { r.Table = "" },
			"clock":   func(r *ledger.Recheck) { r.Seq++ },
			"both":    func(r *ledger.Recheck) { r.Passing = r.Passing.Union(r.Failing) },
			"endless": func(r *ledger.Recheck) { r.Passing = calendar.Range(2, calendar.Horizon) },
		} {
			r := f.checked(0, 3, 1)
			change(&r)
			if _, err := f.l.Recheck(f.ctx, r); err == nil {
				f.Fatalf("took a recheck of a wrong %s", what)
			}
		}
		r := f.checked(0, 3, 1)
		r.Axis = calendar.Axis{Grain: calendar.Month}
		_, err := f.l.Recheck(f.ctx, r)
		f.is(err, ledger.ErrAxis)
		l := f.acquire(f.request(4, 6))
		in := f.intent(f.attempt(l, 4, 6))
		in.Failing = days(3, 5)
		if f.l.Intend(f.ctx, in) == nil {
			f.Fatal("took an intent whose failing partitions it does not publish")
		}
	}},
}
