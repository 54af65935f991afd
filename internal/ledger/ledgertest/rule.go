package ledgertest

import (
	"errors"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// The counterexamples told in the rules, where the ledger is concerned.
var ruleCases = []testCase{
	{"Rule1_EachAttemptHasItsOwnToken", func(f *fixture) {
		// A hung first attempt of the same lease wakes after the second published: a token per lease would let it through.
		l := f.acquire(f.request(0, 3))
		first := f.attempt(l, 0, 3)
		f.failure(first, history.Failed)
		second := f.publish(l, 0, 3)
		if second.Token <= first.Token || first.Token <= l.Tokens[table] {
			f.Fatalf("tokens %d, %d, %d", l.Tokens[table], first.Token, second.Token)
		}
		f.is(f.l.Intend(f.ctx, f.intent(first)), ledger.ErrLost)
		same(f, "who stands", f.must(0).Attempt, string(second.ID))
	}},
	{"Rule1_OnePartitionSupersededRefusesTheChunk", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		a := f.attempt(l, 0, 3)
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{claim(1, 2)}))
		f.is(f.l.Intend(f.ctx, f.intent(a)), ledger.ErrLost)
	}},
	{"Rule2_AnEndingLeaseIsSettledFirst", func(f *fixture) {
		// The lease expires, nobody takes over, the old holder commits late: fence, then look.
		old := f.acquire(f.request(0, 6))
		a := f.attempt(old, 0, 3)
		f.intend(f.intent(a))
		f.w.Advance(2 * ttl)
		next := f.acquire(f.request(2, 9))
		same(f, "to be settled", next.Settle, []ledger.Claim{claim(2, 3)})
		if next.Tokens[table] <= a.Token {
			f.Fatal("the fence would not be raised")
		}
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(next, 2, 4))
		f.is(err, ledger.ErrUnsettled)
		f.attempt(next, 4, 6) // what was not in flight is free at once
		f.sets("the rest is nobody's", f.history().Unsettled, days(0, 3))
		_, err = f.l.Settle(f.ctx, next.ID, table, days(2, 3), nil)
		f.ok(err)
		f.attempt(next, 2, 4)
		f.sets("what nobody settled", f.history().Unsettled, days(0, 2))
	}},
	{"Rule2_NobodyTakesOver", func(f *fixture) {
		// The lease expires, nobody takes over, and the old holder's fence is still the highest: its late commit would be visible and unrecorded.
		old := f.acquire(f.request(0, 3))
		f.intend(f.intent(f.attempt(old, 0, 3)))
		f.w.Advance(2 * ttl)
		f.reopen() // whoever asks next is the first to find out
		f.sets("neither readable", f.history().Unsettled, days(0, 3))
		if _, ok := f.at(0); ok {
			f.Fatal("what may or may not have been committed stands in the history")
		}
		next := f.request(0, 3)
		next.Settles = false // who would not look at the markers gets nothing
		if _, err := f.l.Acquire(f.ctx, next); !errors.Is(err, ledger.ErrUnsettled) {
			f.Fatalf("granted to who does not settle: %v", err)
		}
		next.Settles = true
		same(f, "to be settled", f.acquire(next).Settle, []ledger.Claim{claim(0, 3)})
	}},
	{"Rule2_SettlerDiesToo", func(f *fixture) {
		req := f.request(0, 3)
		a := f.attempt(f.acquire(req), 0, 3)
		f.intend(f.intent(a))
		f.w.Kill(req.Holder)
		second := f.request(0, 3)
		f.acquire(second)
		f.w.Kill(second.Holder)
		third := f.acquire(f.request(0, 3))
		same(f, "to be settled", third.Settle, []ledger.Claim{claim(0, 3)})
		_, err := f.l.Settle(f.ctx, third.ID, table, days(0, 3), []ledger.Commit{{Attempt: a.ID, Published: a.Set}})
		f.ok(err)
		same(f, "recorded", f.must(0).Attempt, string(a.ID))
	}},
	{"Rule3_ReservedIsNotInFlight", func(f *fixture) {
		// A four-hour backfill over five years must not block the run that reads the last 14 days.
		f.attempt(f.acquire(f.request(0, 1826)), 0, 30)
		read := f.request(0, 1)
		read.Writes, read.Reads = nil, []ledger.Claim{claim(1812, 1826)}
		f.acquire(read)
	}},
	{"Rule11_ChangedSeqIsDrawnAfterTheCommit", func(f *fixture) {
		// Drawn before the commit, a changed_seq of 10 hides from a reader that took 11 and read the old rows.
		l := f.acquire(f.request(0, 3))
		f.publish(l, 0, 3)
		a := f.attempt(l, 0, 3)
		f.intend(f.intent(a))
		reader := f.acquire(func() ledger.LeaseRequest {
			req := f.request(0, 3)
			req.Writes[0].Table = "main/reader"
			return req
		}())
		if reader == nil {
			f.Fatal("no lease")
		}
		readSeq := f.head() // the reader takes the clock and reads the old rows; now the warehouse commits
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		if s := f.must(0); s.ChangedSeq <= readSeq {
			f.Fatalf("changed at %d is hidden from a reader at %d", s.ChangedSeq, readSeq)
		}
		same(f, "read_seq is the attempt's", f.must(0).ReadSeq, a.ReadSeq)
	}},
	{"Rule11_ACommitIsNeverRefused", func(f *fixture) {
		req := f.request(0, 3)
		l := f.acquire(req)
		a := f.attempt(l, 0, 3)
		f.intend(f.intent(a))
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		seq := f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		same(f, "recorded without a lease", f.must(0).ChangedSeq, seq)
		f.sets("settled by it", f.history().Unsettled, calendar.Set{})
	}},
	{"Rule11_ACommitFoundAfterAFailureIsRecorded", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		a := f.attempt(l, 0, 3)
		f.intend(f.intent(a))
		f.failure(a, history.Failed)
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		f.sets("standing", history.Covered(f.history().Segments), days(0, 3))
		same(f, "verdicts", len(f.history().Verdicts), 0)
		same(f, "state", f.attemptRecord(a.ID).State, ledger.AttemptPublished)
	}},
	{"Rule11_ALateRecordDoesNotCoverALaterCommit", func(f *fixture) {
		// The first attempt's commit is found after the second one published over it: the warehouse has the second one's rows.
		old := f.acquire(f.request(0, 3))
		a := f.attempt(old, 0, 3)
		f.intend(f.intent(a))
		f.ok(f.l.Release(f.ctx, old.ID, nil))
		next := f.acquire(f.request(0, 2))
		_, err := f.l.Settle(f.ctx, next.ID, table, days(0, 2), nil)
		f.ok(err)
		req := f.attemptRequest(next, 0, 2)
		req.Version = "v2"
		b := f.start(req)
		in := f.intent(b)
		in.Publish[0].Fingerprint = "later"
		f.intend(in)
		f.record(ledger.Commit{Attempt: b.ID, Published: b.Set})
		stands := f.must(0)
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		same(f, "who stands", f.must(0), stands)
		same(f, "elsewhere", f.must(2).Attempt, string(a.ID))
		got, err := f.l.Contents(f.ctx, table, days(0, 1))
		f.ok(err)
		same(f, "content", got[0].Fingerprint, "later")
		same(f, "the older code is known, and no head", f.history().Versions,
			[]history.Version{{Version: "v1", Producer: "t"}, {Version: "v2", Producer: "t", Head: true}})
	}},
	{"Rule12_UnchangedKeepsItsChangedSeq", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		f.publish(l, 0, 3)
		before := f.must(1)
		a := f.attempt(l, 0, 3)
		f.intend(f.intent(a))
		seq := f.record(ledger.Commit{Attempt: a.ID, Published: a.Set, Unchanged: days(1, 2)})
		s := f.must(1)
		same(f, "unchanged", s.ChangedSeq, before.ChangedSeq)
		same(f, "but written by", s.Attempt, string(a.ID))
		same(f, "and read at", s.ReadSeq, a.ReadSeq)
		same(f, "changed", f.must(0).ChangedSeq, seq)
	}},
	{"Rule12_NothingStoodSoNothingIsUnchanged", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 3)), 0, 3)
		f.intend(f.intent(a))
		seq := f.record(ledger.Commit{Attempt: a.ID, Published: a.Set, Unchanged: a.Set})
		same(f, "changed", f.must(1).ChangedSeq, seq)
	}},
	{"Rule13_FingerprintsAreKeptAsTheyAre", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 1)), 0, 1)
		in := f.intent(a)
		in.Publish[0].Fingerprint = "\x00 ünïcode \xff " + string(make([]byte, 300))
		f.intend(in)
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		f.reopen()
		got, err := f.l.Contents(f.ctx, table, days(0, 1))
		f.ok(err)
		same(f, "contents", got, in.Publish)
	}},
	{"Rule14_GuardedIsInDoubtFirst", func(f *fixture) {
		// A kill between a script's DELETE and INSERT must be seen.
		l := f.acquire(f.request(0, 3))
		f.publish(l, 0, 3)
		before := f.must(0)
		req := f.attemptRequest(l, 0, 2)
		req.Guarded = true
		a := f.start(req)
		s := f.must(0)
		same(f, "in doubt", s.Content, history.InDoubt)
		if s.Content.Readable() || s.ChangedSeq <= before.ChangedSeq {
			f.Fatalf("%+v does not say that it is being written", s)
		}
		got, err := f.l.Contents(f.ctx, table, days(0, 1))
		f.ok(err)
		same(f, "what was known", got, []ledger.Content{{Partition: 0, Rows: 10, Fingerprint: "rows of 0"}})
		f.failure(a, history.Failed)
		same(f, "a failure does not clear it", f.must(0).Content, history.InDoubt)
		req = f.attemptRequest(l, 0, 2)
		req.Guarded = true
		b := f.start(req)
		f.intend(f.intent(b))
		f.record(ledger.Commit{Attempt: b.ID, Published: b.Set})
		same(f, "success does", f.must(0).Content, history.Rows)
	}},
	{"Rule14_TheKilledWriterLeavesDoubt", func(f *fixture) {
		req := f.request(0, 3)
		start := f.attemptRequest(f.acquire(req), 0, 3)
		start.Guarded = true
		f.start(start)
		f.w.Kill(req.Holder)
		next := f.acquire(f.request(0, 3))
		_, err := f.l.Settle(f.ctx, next.ID, table, days(0, 3), nil)
		f.ok(err)
		same(f, "in doubt", f.must(1).Content, history.InDoubt)
	}},
	{"Rule15_VerdictsHaveTheirKey", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 3)), 0, 3)
		f.failure(a, history.Quarantined)
		v := f.history().Verdicts[1]
		same(f, "key", []any{v.ReadSeq, v.Version, v.CheckVersion, v.CheckSeq}, []any{a.ReadSeq, "v1", "c1", a.ReadSeq})
	}},
	{"Rule16_ContentAndVerdictAreApart", func(f *fixture) {
		l := f.acquire(f.request(0, 3))
		f.publish(l, 0, 3)
		f.failure(f.attempt(l, 0, 3), history.Failed)
		same(f, "content", f.must(1).Content, history.Rows)
		f.sets("verdicts", history.Covered(f.history().Verdicts), days(0, 3))
	}},
	{"Rule17_ADateIsLostAndComesBack", func(f *fixture) {
		// With its old rows: the loss and the gain are each newer than what read before them.
		expect := func(set calendar.Set) history.Seq {
			return f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: set}}}).Seq
		}
		expect(days(0, 5))
		f.see(seen(map[calendar.Partition]string{2: "a"}))
		read := f.head()
		lost := expect(calendar.Of(0, 1, 3, 4))
		back := expect(days(0, 5))
		if lost <= read || back <= lost {
			f.Fatalf("lost at %d and back at %d, read at %d", lost, back, read)
		}
		for _, m := range f.history().Moves {
			if m.Contains(2) {
				same(f, "the last move", m, history.Move{Interval: calendar.Single(2), Seq: back, Gained: true})
			}
		}
	}},
	{"Rule17_ALossAtTheEdgeIsLogged", func(f *fixture) {
		f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 5)}}})
		out := f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 4)}}})
		moves := f.history().Moves
		same(f, "move", moves[len(moves)-1], history.Move{Interval: calendar.Single(4), Seq: out.Seq})
	}},
	{"Rule17_ARowLostAndBackIsAChange", func(f *fixture) {
		f.see(seen(map[calendar.Partition]string{1: "a"}))
		first := f.must(1).ChangedSeq
		f.see(seen(nil))
		f.see(seen(map[calendar.Partition]string{1: "a"}))
		if f.must(1).ChangedSeq <= first {
			f.Fatal("a partition that was gone in between counts as unchanged")
		}
	}},
	{"Rule18_ALostPartitionIsNotReadable", func(f *fixture) {
		f.see(seen(map[calendar.Partition]string{1: "a"}))
		f.see(seen(nil))
		if s := f.must(1); s.Content.Readable() {
			f.Fatalf("%+v is readable", s)
		}
		same(f, "contents", len(func() []ledger.Content {
			got, err := f.l.Contents(f.ctx, table, days(0, 3))
			f.ok(err)
			return got
		}()), 0)
	}},
	{"Rule22_OnlyAFirstPublishRegistersAVersion", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 1)
		req := f.attemptRequest(l, 1, 2)
		req.Version = "v2"
		a := f.start(req)
		f.intend(f.intent(a))
		same(f, "head", f.heads(), map[string]string{"t": "v1"})
		f.failure(a, history.Failed)
		same(f, "head", f.heads(), map[string]string{"t": "v1"})
		versions, err := f.l.Versions(f.ctx, table)
		f.ok(err)
		same(f, "versions", len(versions), 1)
		same(f, "clock", versions[0].Seq, f.must(0).ChangedSeq)
	}},
}
