package ledgertest

import (
	"errors"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func (f *fixture) conflict(err error) {
	f.Helper()
	if _, ok := errors.AsType[*ledger.ConflictError](err); !ok {
		f.Fatalf("got %v, want a conflict", err)
	}
}

func (f *fixture) failure(a *ledger.Attempt, outcome history.Outcome) history.Seq {
	f.Helper()
	seq, err := f.l.Fail(f.ctx, ledger.Failure{
		Attempt: a.ID, Token: a.Token, Outcome: outcome, CheckVersion: "c1", Reason: "boom", At: f.w.Now(),
		Reasons: map[calendar.Partition]string{a.Set.Bounds().Start: "the first"},
	})
	f.ok(err)
	return seq
}

var attemptCases = []testCase{
	{"StartPutsInFlight", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		before := f.head()
		a := f.attempt(l, 1, 3)
		same(f, "attempt", *a, ledger.Attempt{
			ID: a.ID, Lease: l.ID, Run: l.Run, Table: table, Set: days(1, 3), Token: l.Tokens[table] + 1, ReadSeq: before, Version: "v1",
		})
		f.sets("in flight", f.history().InFlight, days(1, 3))
		f.sets("reserved", f.history().Reserved, days(0, 6))
		if f.head() == before {
			f.Fatal("the clock stood still")
		}
		same(f, "state", f.attemptRecord(a.ID).State, ledger.AttemptRunning)
	}},
	{"StartIsIdempotent", func(f *fixture) {
		req := f.attemptRequest(f.acquire(f.request(0, 6)), 1, 3)
		first, head := f.start(req), f.head()
		same(f, "the same attempt", f.start(req), first)
		f.reopen()
		same(f, "the same attempt after opening again", f.start(req), first)
		same(f, "clock", f.head(), head)
	}},
	{"StartRefuses", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		f.attempt(l, 1, 3)
		before := f.head()
		for what, change := range map[string]func(*ledger.AttemptRequest){
			"in flight":   func(r *ledger.AttemptRequest) { r.Set = days(2, 4) },
			"not claimed": func(r *ledger.AttemptRequest) { r.Set = days(5, 7) },
			"other table": func(r *ledger.AttemptRequest) { r.Table = "main/u" },
			"nothing":     func(r *ledger.AttemptRequest) { r.Set = calendar.Set{} },
			"the future":  func(r *ledger.AttemptRequest) { r.ReadSeq = before + 1 },
			"no id":       func(r *ledger.AttemptRequest) { r.ID = "" },
		} {
			req := f.attemptRequest(l, 4, 5)
			change(&req)
			if _, err := f.l.StartAttempt(f.ctx, req); err == nil {
				f.Fatalf("started: %s", what)
			}
		}
		req := f.attemptRequest(l, 4, 5)
		req.Lease = "unknown"
		_, err := f.l.StartAttempt(f.ctx, req)
		f.is(err, ledger.ErrNotFound)
		same(f, "clock", f.head(), before)
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		_, err = f.l.StartAttempt(f.ctx, f.attemptRequest(l, 4, 5))
		f.is(err, ledger.ErrLost)
	}},
	{"PublishMaterializes", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		a := f.attempt(l, 1, 4)
		in := f.intent(a)
		in.Empty = days(2, 3)
		in.Publish[1] = ledger.Content{Partition: 2}
		in.Shortfall = []ledger.ShortSet{{Set: days(3, 4), Shortfall: history.Short}}
		f.intend(in)
		seq := f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		s := history.Segment{
			Interval: calendar.Single(1), ReadSeq: a.ReadSeq, ChangedSeq: seq, Version: "v1", Attempt: string(a.ID), ReadAt: f.w.Now(),
			CheckVersion: "c1", CheckSeq: a.ReadSeq,
		}
		empty, short := s.WithBounds(calendar.Single(2)), s.WithBounds(calendar.Single(3))
		empty.Content, short.Shortfall = history.Empty, history.Short
		f.segments([]history.Segment{s, empty, short})
		f.sets("in flight", f.history().InFlight, calendar.Set{})
		rec := f.attemptRecord(a.ID)
		same(f, "state", rec.State, ledger.AttemptPublished)
		f.sets("published", rec.Published, a.Set)
	}},
	{"RecordIsIdempotent", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 6)), 1, 4)
		in := f.intent(a)
		f.intend(in)
		f.intend(in)
		c := ledger.Commit{Attempt: a.ID, Published: a.Set}
		seq := f.record(c)
		same(f, "the same seq", f.record(c), seq)
		f.reopen()
		same(f, "the same seq after opening again", f.record(c), seq)
		same(f, "clock", f.head(), seq)
	}},
	{"IntendIsNotRewritten", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 6)), 1, 4)
		in := f.intent(a)
		f.intend(in)
		in.Publish = in.Publish[:1]
		if f.l.Intend(f.ctx, in) == nil {
			f.Fatal("a second intent replaced the first")
		}
	}},
	{"IntendStaysWithinItsAttempt", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 6)), 1, 4)
		for what, change := range map[string]func(*ledger.Intent){
			"beyond":          func(in *ledger.Intent) { in.Publish[0].Partition = 4 },
			"twice":           func(in *ledger.Intent) { in.Publish[0] = in.Publish[1] },
			"both":            func(in *ledger.Intent) { in.Quarantine = days(1, 2) },
			"unpublished":     func(in *ledger.Intent) { in.Publish, in.Empty = in.Publish[1:], days(1, 2) },
			"another table":   func(in *ledger.Intent) { in.Table = "main/u" },
			"another read":    func(in *ledger.Intent) { in.ReadSeq-- },
			"another version": func(in *ledger.Intent) { in.Version = "v2" },
		} {
			in := f.intent(a)
			change(&in)
			if f.l.Intend(f.ctx, in) == nil {
				f.Fatalf("accepted an intent that is %s", what)
			}
		}
		in := f.intent(a)
		in.Token--
		f.is(f.l.Intend(f.ctx, in), ledger.ErrLost)
		in.Attempt = "unknown"
		f.is(f.l.Intend(f.ctx, in), ledger.ErrNotFound)
	}},
	{"RecordWithoutIntent", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 6)), 1, 4)
		_, err := f.l.Record(f.ctx, ledger.Commit{Attempt: a.ID, Published: a.Set})
		f.is(err, ledger.ErrNotFound)
		_, err = f.l.Record(f.ctx, ledger.Commit{Attempt: "unknown"})
		f.is(err, ledger.ErrNotFound)
		f.intend(f.intent(a))
		if _, err = f.l.Record(f.ctx, ledger.Commit{Attempt: a.ID, Published: days(1, 5)}); err == nil {
			f.Fatal("recorded what was never intended")
		}
		if _, err = f.l.Record(f.ctx, ledger.Commit{Attempt: a.ID, Published: days(1, 2), Unchanged: days(2, 3)}); err == nil {
			f.Fatal("recorded what is unchanged but not published")
		}
	}},
	{"PartialPublish", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 6)), 0, 4)
		in := f.intent(a)
		in.Publish, in.Quarantine = in.Publish[:3], days(3, 4)
		in.Reasons = map[calendar.Partition]string{3: "not_null 0.2"}
		f.intend(in)
		f.record(ledger.Commit{Attempt: a.ID, Published: days(0, 2)})
		h := f.history()
		f.sets("standing", history.Covered(h.Segments), days(0, 2))
		same(f, "verdicts", h.Verdicts, []history.Verdict{{
			Interval: calendar.Single(3), Outcome: history.Quarantined, Attempt: string(a.ID), ReadSeq: a.ReadSeq, Version: "v1",
			CheckVersion: "c1", CheckSeq: a.ReadSeq, Reason: "not_null 0.2",
		}})
		rec := f.attemptRecord(a.ID)
		same(f, "state", rec.State, ledger.AttemptPartial)
		f.sets("published", rec.Published, days(0, 2))
		f.sets("quarantined", rec.Quarantined, days(3, 4))
		f.sets("in flight", h.InFlight, calendar.Set{})
	}},
	{"WhatACommandFailedAtIsFailed", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 6)), 0, 4)
		in := f.intent(a)
		in.Publish, in.Quarantine, in.Failed = in.Publish[:1], days(1, 4), days(2, 4)
		in.Reasons = map[calendar.Partition]string{1: "low", 2: "no luck", 3: "not named"}
		f.intend(in)
		f.reopen()
		f.record(ledger.Commit{Attempt: a.ID, Published: days(0, 1)})
		outcomes := map[calendar.Partition]history.Outcome{}
		for _, v := range f.history().Verdicts {
			for p := range calendar.NewSet(v.Interval).Partitions() {
				outcomes[p] = v.Outcome
			}
		}
		same(f, "outcomes", outcomes, map[calendar.Partition]history.Outcome{1: history.Quarantined, 2: history.Failed, 3: history.Failed})
	}},
	{"FailLeavesVerdictsAndOldRows", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		f.publish(l, 0, 3)
		before := f.history().Segments
		a := f.attempt(l, 0, 3)
		seq := f.failure(a, history.Quarantined)
		h := f.history()
		f.segments(before)
		v := history.Verdict{
			Interval: calendar.Single(0), Outcome: history.Quarantined, Attempt: string(a.ID), ReadSeq: a.ReadSeq, Version: "v1",
			CheckVersion: "c1", CheckSeq: a.ReadSeq, Reason: "the first",
		}
		rest := v.WithBounds(calendar.Interval{Start: 1, End: 3})
		rest.Reason = "boom"
		same(f, "verdicts", h.Verdicts, []history.Verdict{v, rest})
		same(f, "state", f.attemptRecord(a.ID).State, ledger.AttemptQuarantined)
		same(f, "the same seq", f.failure(a, history.Quarantined), seq)
		f.publish(l, 1, 2)
		f.sets("verdicts after a publish", history.Covered(f.history().Verdicts), calendar.Of(0, 2))
	}},
	{"CancelledLeavesNoVerdict", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		a := f.attempt(l, 0, 3)
		_, err := f.l.Fail(f.ctx, ledger.Failure{Attempt: a.ID, Token: a.Token, Cancelled: true, At: f.w.Now()})
		f.ok(err)
		same(f, "verdicts", len(f.history().Verdicts), 0)
		same(f, "state", f.attemptRecord(a.ID).State, ledger.AttemptCancelled)
		f.attempt(l, 0, 3)
	}},
	{"FailOfAnother", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		a := f.attempt(l, 0, 3)
		_, err := f.l.Fail(f.ctx, ledger.Failure{Attempt: a.ID, Token: a.Token + 1, Outcome: history.Failed})
		f.is(err, ledger.ErrLost)
		_, err = f.l.Fail(f.ctx, ledger.Failure{Attempt: "unknown", Outcome: history.Failed})
		f.is(err, ledger.ErrNotFound)
		if _, err = f.l.Fail(f.ctx, ledger.Failure{Attempt: a.ID, Token: a.Token}); err == nil {
			f.Fatal("an attempt failed as nothing")
		}
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		_, err = f.l.Fail(f.ctx, ledger.Failure{Attempt: a.ID, Token: a.Token, Outcome: history.Failed})
		f.is(err, ledger.ErrLost)
	}},
	{"IntentsAreWhatACrashMayHaveLeft", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		a, b, c := f.attempt(l, 0, 3), f.attempt(l, 3, 5), f.attempt(l, 5, 7)
		in := f.intent(a)
		in.Hulls = []ledger.Hull{{Input: "main/u", Reach: calendar.Interval{Start: -3, End: 2}}}
		in.Metrics = []ledger.Metric{{Check: "t.x", Partition: 1, Value: 0.5, Weight: 7, Passed: true}}
		in.Shortfall = []ledger.ShortSet{{Set: days(0, 1), Shortfall: history.Bootstrap}}
		in.Publish, in.Quarantine = in.Publish[:2], days(2, 3)
		in.Reasons = map[calendar.Partition]string{2: "why"}
		f.intend(in)
		f.intend(f.intent(b))
		f.intend(f.intent(c))
		f.record(ledger.Commit{Attempt: b.ID, Published: b.Set})
		f.failure(c, history.Failed)
		f.reopen()
		got, err := f.l.Intents(f.ctx, []string{"main/u", table})
		f.ok(err)
		same(f, "intents", len(got), 1)
		got[0].ReadAt = got[0].ReadAt.UTC()
		same(f, "intent", got[0], in)
		got, err = f.l.Intents(f.ctx, []string{"main/u"})
		f.ok(err)
		same(f, "intents of another table", len(got), 0)
	}},
	{"SettleRecordsWhatWasCommitted", func(f *fixture) {
		req := f.request(0, 9)
		l := f.acquire(req)
		a, b, c := f.attempt(l, 0, 3), f.attempt(l, 3, 5), f.attempt(l, 5, 7)
		f.intend(f.intent(a))
		f.intend(f.intent(b))
		f.w.Kill(req.Holder)
		next := f.acquire(f.request(0, 9))
		same(f, "to be settled", next.Settle, []ledger.Claim{claim(0, 7)})
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(next, 6, 8))
		f.is(err, ledger.ErrUnsettled)
		found := []ledger.Commit{{Attempt: a.ID, Published: a.Set, At: f.w.Now()}}
		seq, err := f.l.Settle(f.ctx, next.ID, table, days(0, 7), found)
		f.ok(err)
		again, err := f.l.Settle(f.ctx, next.ID, table, days(0, 7), found)
		f.ok(err)
		same(f, "the same seq", again, seq)
		h := f.history()
		f.sets("standing", history.Covered(h.Segments), days(0, 3))
		f.sets("unsettled", h.Unsettled, calendar.Set{})
		same(f, "verdicts", len(h.Verdicts), 0)
		same(f, "committed", f.attemptRecord(a.ID).State, ledger.AttemptPublished)
		same(f, "intended", f.attemptRecord(b.ID).State, ledger.AttemptFailed)
		same(f, "neither", f.attemptRecord(c.ID).State, ledger.AttemptLost)
		left, err := f.l.Intents(f.ctx, []string{table})
		f.ok(err)
		same(f, "intents left", len(left), 0)
		f.publish(next, 0, 9)
	}},
	{"SettleOfAPart", func(f *fixture) {
		req := f.request(0, 6)
		a := f.attempt(f.acquire(req), 0, 6)
		f.intend(f.intent(a))
		f.w.Kill(req.Holder)
		next := f.acquire(f.request(0, 3))
		_, err := f.l.Settle(f.ctx, next.ID, table, days(0, 3), []ledger.Commit{{Attempt: a.ID, Published: days(0, 3)}})
		f.ok(err)
		f.sets("unsettled", f.history().Unsettled, days(3, 6))
		left, err := f.l.Intents(f.ctx, []string{table})
		f.ok(err)
		same(f, "the intent still speaks for the rest", len(left), 1)
		rest := f.acquire(f.request(3, 6))
		_, err = f.l.Settle(f.ctx, rest.ID, table, days(3, 6), []ledger.Commit{{Attempt: a.ID, Published: days(3, 6)}})
		f.ok(err)
		f.sets("standing", history.Covered(f.history().Segments), days(0, 6))
		same(f, "state", f.attemptRecord(a.ID).State, ledger.AttemptPublished)
	}},
	{"SettleNeedsTheLease", func(f *fixture) {
		req := f.request(0, 6)
		f.attempt(f.acquire(req), 0, 6)
		f.w.Kill(req.Holder)
		next := f.acquire(f.request(0, 3))
		_, err := f.l.Settle(f.ctx, next.ID, table, days(0, 4), nil)
		f.is(err, ledger.ErrLost)
		_, err = f.l.Settle(f.ctx, "unknown", table, days(0, 3), nil)
		f.is(err, ledger.ErrNotFound)
		f.ok(f.l.Release(f.ctx, next.ID, nil))
		_, err = f.l.Settle(f.ctx, next.ID, table, days(0, 3), nil)
		f.is(err, ledger.ErrLost)
		f.sets("unsettled", f.history().Unsettled, days(0, 6))
	}},
	{"AttemptsAreListed", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		a, b, c := f.publish(l, 0, 3), f.publish(l, 3, 5), f.publish(l, 2, 4)
		ids := func(filter ledger.AttemptFilter) []ledger.AttemptID {
			found, err := f.l.Attempts(f.ctx, filter)
			f.ok(err)
			var out []ledger.AttemptID
			for _, one := range found {
				out = append(out, one.ID)
			}
			return out
		}
		same(f, "all", ids(ledger.AttemptFilter{}), []ledger.AttemptID{a.ID, b.ID, c.ID})
		same(f, "by table and set", ids(ledger.AttemptFilter{Table: table, Set: days(0, 3)}), []ledger.AttemptID{a.ID, c.ID})
		same(f, "the newest", ids(ledger.AttemptFilter{Run: l.Run, Limit: 2}), []ledger.AttemptID{b.ID, c.ID})
		same(f, "by id", ids(ledger.AttemptFilter{ID: b.ID}), []ledger.AttemptID{b.ID})
		same(f, "of another run", len(ids(ledger.AttemptFilter{Run: "unknown"})), 0)
		same(f, "of another table", len(ids(ledger.AttemptFilter{Table: "main/u"})), 0)
	}},
}

// segments compares what stands in the table.
func (f *fixture) segments(want []history.Segment) {
	f.Helper()
	got := f.history().Segments
	for i := range got {
		got[i].ReadAt = got[i].ReadAt.UTC()
	}
	same(f, "segments", got, want)
}
