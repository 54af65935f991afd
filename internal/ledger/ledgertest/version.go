package ledgertest

import (
	"errors"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A writer is who writes with which code.
type writer struct {
	class             ledger.Class
	version, producer string
}

// The jobs of the counterexamples: the table's own code run each night, a fix and a script by other producers.
var (
	nightly = writer{ledger.ClassScheduled, "n1", "t"}
	phase1  = writer{ledger.ClassBackfill, "p1", "phase1.py"}
	theFix  = writer{ledger.ClassFix, "f1", "fix.py"}
	script  = writer{ledger.ClassBackfill, "s1", "script.py"}
)

// leaseFor reserves days for a writer.
func (f *fixture) leaseFor(w writer, start, end calendar.Partition) *ledger.Lease {
	f.Helper()
	req := f.request(start, end)
	req.Class = w.class
	return f.acquire(req)
}

func (w writer) request(f *fixture, l *ledger.Lease, start, end calendar.Partition) ledger.AttemptRequest {
	f.Helper()
	req := f.attemptRequest(l, start, end)
	req.Version, req.Code = w.version, ledger.VersionRecord{Version: w.version, Producer: w.producer}
	return req
}

// finish publishes all of an attempt; of unchanged nothing differs.
func (f *fixture) finish(a *ledger.Attempt, unchanged calendar.Set) history.Seq {
	f.Helper()
	f.intend(f.intent(a))
	return f.record(ledger.Commit{Attempt: a.ID, Published: a.Set, Unchanged: unchanged})
}

// writes reserves, writes and gives back days.
func (f *fixture) writes(w writer, start, end calendar.Partition) *ledger.Attempt {
	f.Helper()
	l := f.leaseFor(w, start, end)
	a := f.start(w.request(f, l, start, end))
	f.finish(a, calendar.Set{})
	f.ok(f.l.Release(f.ctx, l.ID, nil))
	return a
}

// older demands that an attempt is refused for its code, that this changes nothing, and gives why.
func (f *fixture) older(req ledger.AttemptRequest) *ledger.OlderCodeError {
	f.Helper()
	before := describe(f.snapshot())
	_, err := f.l.StartAttempt(f.ctx, req)
	var older *ledger.OlderCodeError
	if !errors.As(err, &older) {
		f.Fatalf("start gave %v, want that the code is older", err)
	}
	same(f, "what is left", describe(f.snapshot()), before)
	return older
}

// standing tells of an error what it says stands in the way.
func standing(e *ledger.OlderCodeError) []any {
	return []any{e.Version, e.Producer, e.Published, e.Stands.Version, e.Stands.Producer, e.Stands.User, e.Fix}
}

func (f *fixture) heads() map[string]string {
	f.Helper()
	heads := map[string]string{}
	for _, v := range f.history().Versions {
		if v.Head {
			heads[v.Producer] = v.Version
		}
	}
	return heads
}

var versionCases = []testCase{
	{"Rule22_ANightlyJobIsNotRefusedBecauseOfANewerBackfillScript", func(f *fixture) {
		f.writes(nightly, 0, 3)
		f.writes(script, 0, 3)
		f.writes(nightly, 0, 3)
		same(f, "who stands", f.must(1).Version, "n1")
	}},
	{"Rule22_ThePhase1JobIsRefusedBecauseTheFixWroteTheSameDates", func(f *fixture) {
		f.writes(phase1, 0, 5)
		f.writes(theFix, 2, 4)
		same(f, "fixed", []string{f.must(1).FixedBy, f.must(2).FixedBy}, []string{"", "f1"})
		l := f.leaseFor(phase1, 0, 5)
		e := f.older(phase1.request(f, l, 0, 5))
		f.sets("what it may not write", e.Set, days(2, 4))
		same(f, "why", standing(e), []any{"p1", "phase1.py", true, "f1", "fix.py", f.w.Holder().User, true})
		same(f, "since", e.Stands.Seq > e.Since, true)
		f.finish(f.start(phase1.request(f, l, 0, 2)), calendar.Set{}) // elsewhere it may
		// Nor does its class help it, nor that the store was opened again.
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		f.reopen()
		urgent := phase1
		urgent.class = ledger.ClassFix
		l = f.leaseFor(urgent, 0, 5)
		_ = f.older(urgent.request(f, l, 3, 4))
	}},
	{"Rule22_TheOldBackfillThatWaitedForTheFixDoesNotOverwriteIt", func(f *fixture) {
		f.writes(nightly, 0, 5)
		asked := f.head()
		f.writes(theFix, 0, 5)
		l := f.leaseFor(phase1, 0, 5)
		req := phase1.request(f, l, 0, 5)
		req.Asked = asked
		e := f.older(req)
		same(f, "why", standing(e), []any{"p1", "phase1.py", false, "f1", "fix.py", f.w.Holder().User, true})
		same(f, "since", e.Since, asked)
		// The same script with other arguments, or as it was before somebody wrote the fix into it.
		before := theFix
		before.version = "f0"
		req = before.request(f, l, 0, 5)
		req.Asked = asked
		same(f, "of the same producer", standing(f.older(req)), []any{"f0", "fix.py", false, "f1", "fix.py", f.w.Holder().User, false})
	}},
	{"Rule22_ANewScriptStartedAfterTheFixIsNotRefused", func(f *fixture) {
		f.writes(theFix, 0, 5)
		l := f.leaseFor(script, 0, 5)
		req := script.request(f, l, 0, 5)
		req.Asked = f.head()
		f.finish(f.start(req), calendar.Set{})
		same(f, "fixed", f.must(2).FixedBy, "")
	}},
	{"Rule22_AReplacedVersionIsRefused", func(f *fixture) {
		f.writes(nightly, 0, 3)
		newer := nightly
		newer.version = "n2"
		f.writes(newer, 3, 6)
		f.writes(script, 6, 9)
		l := f.leaseFor(nightly, 0, 9)
		e := f.older(nightly.request(f, l, 0, 1))
		f.sets("what it may not write", e.Set, days(0, 1))
		same(f, "why", standing(e), []any{"n1", "t", true, "n2", "t", f.w.Holder().User, false})
		f.finish(f.start(newer.request(f, l, 0, 9)), calendar.Set{})
	}},
	{"Rule22_EachProducerHasItsHead", func(f *fixture) {
		f.writes(nightly, 0, 3)
		newer, other := nightly, script
		newer.version, other.version = "n2", "s2"
		f.writes(newer, 0, 3)
		f.writes(script, 0, 3)
		f.writes(other, 0, 3)
		same(f, "heads", f.heads(), map[string]string{"t": "n2", "script.py": "s2"})
		m := f.markOf(ledger.MarkHeadTo, 0, 0)
		m.Version = "n1"
		f.mark(m)
		f.reopen()
		same(f, "heads", f.heads(), map[string]string{"t": "n1", "script.py": "s2"})
		h := f.history()
		same(f, "standing", []string{h.Standing("n2"), h.Standing("s1"), h.Standing("n9")}, []string{"n1", "s2", "n9"})
		l := f.leaseFor(newer, 0, 3)
		same(f, "why", f.older(newer.request(f, l, 0, 3)).Stands.Version, "n1")
		f.start(nightly.request(f, l, 0, 3))
		e, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "audited", []string{ledger.HeadOf(e[0].Before), ledger.HeadOf(e[0].After)}, []string{"n2", "n1"})
	}},
	{"Rule22_AVersionHasOneProducer", func(f *fixture) {
		f.writes(nightly, 0, 3)
		again := nightly
		again.producer = "another name"
		f.writes(again, 0, 3)
		versions, err := f.l.Versions(f.ctx, table)
		f.ok(err)
		same(f, "versions", []any{len(versions), versions[0].Producer}, []any{1, "t"})
	}},
	{"VersionsTellWhoAndWhether", func(f *fixture) {
		first := f.writes(nightly, 0, 3)
		f.w.Advance(ttl)
		f.writes(theFix, 0, 3)
		urgent := nightly
		urgent.class = ledger.ClassFix
		versions, err := f.l.Versions(f.ctx, table)
		f.ok(err)
		same(f, "fixes", []bool{versions[0].Fix, versions[1].Fix}, []bool{false, true})
		l := f.leaseFor(urgent, 4, 6)
		f.finish(f.start(urgent.request(f, l, 4, 6)), calendar.Set{})
		f.reopen()
		after, err := f.l.Versions(f.ctx, table)
		f.ok(err)
		versions[0].Fix = true
		for i := range after {
			same(f, "instant", after[i].At.Equal(versions[i].At), true)
			after[i].At = versions[i].At
		}
		same(f, "nothing else", after, versions)
		same(f, "who", []any{after[0].Run, after[0].User}, []any{first.Run, f.w.Holder().User})
		same(f, "fixed", f.must(4).FixedBy, "n1")
	}},
	{"FixedByStaysUntilOtherContentTakesItsPlace", func(f *fixture) {
		f.writes(phase1, 0, 9)
		f.writes(theFix, 0, 9)
		fixed := func(what string, want calendar.Set) {
			f.Helper()
			var got []calendar.Interval
			for _, s := range f.history().Segments {
				if s.FixedBy == "f1" {
					got = append(got, s.Interval)
				}
			}
			f.sets(what, calendar.NewSet(got...), want)
		}
		f.mark(f.markOf(ledger.MarkFresh, 0, 1))
		f.mark(f.markOf(ledger.MarkStale, 1, 2))
		l := f.leaseFor(script, 2, 9)
		guarded := script.request(f, l, 2, 4)
		guarded.Guarded = true
		a := f.start(guarded)
		same(f, "in doubt", f.must(2).Content, history.InDoubt)
		f.failure(a, history.Failed)
		f.finish(f.start(script.request(f, l, 4, 6)), days(4, 5))
		_, err := f.l.Recheck(f.ctx, ledger.Recheck{Table: table, Axis: day, Seq: f.head(), CheckVersion: "c2", Failing: days(6, 7)})
		f.ok(err)
		f.mark(f.markOf(ledger.MarkSkipped, 7, 8))
		seen := f.markOf(ledger.MarkFresh, 8, 9)
		seen.Contents = []ledger.Content{{Partition: 8, Rows: 7, Fingerprint: "other rows"}}
		f.mark(seen)
		fixed("accepted, marked, in doubt, unchanged, failing; not what was replaced, skipped or seen to be other", days(0, 5).Union(days(6, 7)))
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		l = f.leaseFor(phase1, 0, 9)
		f.sets("older", f.older(phase1.request(f, l, 0, 9)).Set, days(0, 5).Union(days(6, 7)))
		f.start(phase1.request(f, l, 5, 6))
	}},
	{"ADowngradeIsAudited", func(f *fixture) {
		f.writes(phase1, 0, 5)
		f.writes(theFix, 2, 4)
		lease := f.request(0, 5)
		l, h := f.acquire(lease), lease.Holder
		req := phase1.request(f, l, 0, 3)
		req.Downgrade = "the fix was wrong"
		before := f.head()
		a := f.start(req)
		same(f, "the same attempt", f.start(req).Token, a.Token)
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(entries), 1)
		e := entries[0]
		same(f, "who", e.Actor, ledger.Actor{User: h.User, Host: h.Host, PID: h.PID})
		same(f, "what", []string{e.Action, e.Table, e.Reason}, []string{"downgrade", table, "the fix was wrong"})
		same(f, "both versions", []string{ledger.HeadOf(e.Before), ledger.HeadOf(e.After)}, []string{"f1", "p1"})
		same(f, "when", []history.Seq{ledger.SeqOf(e.Before), ledger.SeqOf(e.After)}, []history.Seq{before, before + 1})
		f.sets("over what", e.Set, days(2, 3))
		_, err = f.l.VerifyAudit(f.ctx)
		f.ok(err)
		f.finish(a, calendar.Set{})
		same(f, "fixed", []string{f.must(2).FixedBy, f.must(3).FixedBy}, []string{"", "f1"})
		_ = f.older(phase1.request(f, l, 3, 4)) // what fixes wrote elsewhere stays safe
		// Where nothing is in the way nothing is said.
		req = phase1.request(f, l, 0, 3)
		req.Downgrade = "the fix was wrong"
		f.start(req)
		entries, err = f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(entries), 1)
	}},
	{"AReplacedVersionThatIsLetWriteBecomesTheHeadAgain", func(f *fixture) {
		f.writes(nightly, 0, 3)
		newer := nightly
		newer.version = "n2"
		f.writes(newer, 0, 3)
		l := f.leaseFor(nightly, 0, 9)
		req := nightly.request(f, l, 0, 1)
		req.Downgrade = "n2 counts games twice"
		a := f.start(req)
		same(f, "before it has published", f.heads(), map[string]string{"t": "n2"})
		f.reopen() // what is known of an attempt is stored
		f.finish(a, calendar.Set{})
		same(f, "when it has", f.heads(), map[string]string{"t": "n1"})
		f.start(nightly.request(f, l, 1, 2))
		_ = f.older(newer.request(f, l, 2, 3))
		// One that began before a person spoke does not take the head from what the person said.
		req = newer.request(f, l, 2, 3)
		req.Downgrade = "after all"
		a = f.start(req)
		m := f.markOf(ledger.MarkHeadTo, 0, 0)
		m.Version = "n1"
		f.mark(m)
		f.finish(a, calendar.Set{})
		same(f, "the later word holds", f.heads(), map[string]string{"t": "n1"})
	}},
	{"AskedIsOfTheClock", func(f *fixture) {
		l := f.leaseFor(nightly, 0, 3)
		for _, asked := range []history.Seq{-1, f.head() + 1} {
			req := nightly.request(f, l, 0, 3)
			req.Asked = asked
			if _, err := f.l.StartAttempt(f.ctx, req); err == nil {
				f.Fatalf("an attempt was asked for at %d, and the clock stands at %d", asked, f.head())
			}
		}
	}},
}
