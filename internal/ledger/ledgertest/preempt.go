package ledgertest

import (
	"errors"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// fix asks for days of the table, of class fix, and takes them.
func (f *fixture) fix(start, end calendar.Partition) ledger.LeaseRequest {
	req := f.request(start, end)
	req.Class, req.Preempt, req.Reason = ledger.ClassFix, true, "the fix"
	return req
}

// preempted is what was taken from a run.
func (f *fixture) preempted(run ledger.RunID) []ledger.Preemption {
	f.Helper()
	runs := f.runs(ledger.RunFilter{ID: run})
	same(f, "runs", len(runs), 1)
	for i := range runs[0].Preempted {
		runs[0].Preempted[i].At = runs[0].Preempted[i].At.UTC()
	}
	return runs[0].Preempted
}

// left is what a lease has of the table.
func (f *fixture) left(id ledger.LeaseID) calendar.Set {
	f.Helper()
	for _, r := range f.leases(ledger.LeaseFilter{ID: id}) {
		for _, c := range r.Writes {
			if c.Table == table {
				return c.Set
			}
		}
	}
	return calendar.Set{}
}

func (f *fixture) settle(l *ledger.Lease, start, end calendar.Partition) {
	f.Helper()
	_, err := f.l.Settle(f.ctx, l.ID, table, days(start, end), nil)
	f.ok(err)
}

var preemptCases = []testCase{
	{"Rule7_TakesExactlyTheOverlap", func(f *fixture) {
		old := f.request(0, 9)
		f.run(old)
		l := f.acquire(old)
		a, b := f.attempt(l, 2, 6), f.attempt(l, 7, 8)
		before := f.head()
		req := f.fix(3, 5)
		got := f.acquire(req)
		same(f, "clock", f.head(), before+1)
		same(f, "to be settled", got.Settle, []ledger.Claim{claim(3, 5)})
		f.reopen()
		f.sets("the holder's", f.left(old.ID), days(0, 3).Union(days(5, 9)))
		f.sets("in flight", f.history().InFlight, days(2, 3).Union(days(5, 6)).Union(days(7, 8)))
		f.sets("unsettled", f.history().Unsettled, days(3, 5))
		same(f, "the holder is live", f.live(old.ID), true)
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 4, 5))
		f.is(err, ledger.ErrLost)
		_, err = f.l.StartAttempt(f.ctx, f.attemptRequest(got, 3, 5))
		f.is(err, ledger.ErrUnsettled)
		f.settle(got, 3, 5)
		f.publish(got, 3, 5)
		f.intend(f.intent(b)) // the holder goes on with the rest
		f.record(ledger.Commit{Attempt: b.ID, Published: b.Set})
		f.is(f.l.Intend(f.ctx, f.intent(a)), ledger.ErrLost)
		f.publish(l, 8, 9)
	}},
	{"Rule7_WhatIsLeftOfAnAttemptMayBePublished", func(f *fixture) {
		for i, settled := range []bool{false, true} {
			at := calendar.Partition(10 * i)
			a := f.attempt(f.acquire(f.request(at, at+4)), at, at+4)
			got := f.acquire(f.fix(at+1, at+2))
			if settled {
				f.settle(got, at+1, at+2)
			}
			in := f.intent(a)
			f.is(f.l.Intend(f.ctx, in), ledger.ErrLost)
			quarantines := in
			quarantines.Publish, quarantines.Quarantine = in.Publish[:1], days(at+1, at+2)
			f.is(f.l.Intend(f.ctx, quarantines), ledger.ErrLost)
			in.Publish = []ledger.Content{in.Publish[0], in.Publish[2]}
			f.intend(in)
			f.record(ledger.Commit{Attempt: a.ID, Published: in.Named()})
			same(f, "state", f.attemptRecord(a.ID).State, ledger.AttemptPartial)
			f.sets("in flight", f.history().InFlight, calendar.Set{})
			f.settle(got, at+1, at+2)
			same(f, "who stands", f.must(at).Attempt, string(a.ID))
			f.publish(got, at+1, at+2)
		}
	}},
	{"Rule7_AFailureLeavesWhatWasTakenAlone", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 4)), 0, 4)
		got := f.acquire(f.fix(1, 2))
		f.settle(got, 1, 2)
		f.publish(got, 1, 2)
		f.failure(a, history.Quarantined)
		f.sets("verdicts", history.Covered(f.history().Verdicts), days(0, 1).Union(days(2, 4)))
		f.sets("quarantined", f.attemptRecord(a.ID).Quarantined, days(0, 1).Union(days(2, 4)))
	}},
	{"Rule7_APublishUnderWayIsWaitedFor", func(f *fixture) {
		old := f.request(0, 9)
		l := f.acquire(old)
		a, b := f.attempt(l, 0, 3), f.attempt(l, 3, 6)
		f.intend(f.intent(a))
		before := f.head()
		req := f.fix(2, 5)
		got := f.refused(req)
		f.behind(got, old)
		same(f, "publishing", got[0].Publishing, true)
		f.sets("overlap", got[0].Overlap, days(2, 3))
		same(f, "clock", f.head(), before)
		f.sets("the holder's", f.left(old.ID), days(0, 9))
		f.acquire(f.fix(7, 9)) // elsewhere nobody publishes
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		same(f, "to be settled", f.acquire(req).Settle, []ledger.Claim{claim(3, 5)})
		f.is(f.l.Intend(f.ctx, f.intent(b)), ledger.ErrLost)
	}},
	{"Rule7_AnIntentThatFailedIsNoPublish", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 3)), 0, 3)
		f.intend(f.intent(a))
		req := f.fix(0, 3)
		f.refused(req)
		f.failure(a, history.Failed)
		f.acquire(req)
	}},
	{"Rule7_OnlyALowerClassGivesWay", func(f *fixture) {
		for i, has := range classes {
			for j, wants := range classes {
				at := calendar.Partition(100*i + 10*j)
				old, req := f.request(at, at+4), f.fix(at, at+2)
				old.Class, req.Class = has, wants
				f.acquire(old)
				if wants.Rank() > has.Rank() {
					f.acquire(req)
					f.sets("the holder's", f.left(old.ID), days(at+2, at+4))
					continue
				}
				got := f.refused(req)
				same(f, "publishing", got[0].Publishing, false)
				req.Wait = true
				f.queued(req)
				same(f, "who is in its way", f.leases(ledger.LeaseFilter{ID: req.ID, Waiting: true})[0].WaitsFor[0].Lease, old.ID)
			}
		}
	}},
	{"Rule7_AllOrNothing", func(f *fixture) {
		low, peer := f.request(0, 4), f.fix(6, 9)
		f.acquire(low)
		f.acquire(peer)
		before := f.head()
		f.behind(f.refused(f.fix(2, 7)), peer)
		f.hold(4, 5)
		got := f.refused(f.fix(2, 6))
		same(f, "conflicts", len(got), 1)
		same(f, "a hold", got[0].Hold, true)
		f.unhold(4, 5)
		careless := f.fix(2, 6)
		f.attempt(&ledger.Lease{ID: low.ID, Run: low.Run}, 3, 4)
		careless.Settles = false
		_, err := f.l.Acquire(f.ctx, careless)
		f.is(err, ledger.ErrUnsettled)
		f.sets("the holder's", f.left(low.ID), days(0, 4))
		if f.head() < before {
			f.Fatal("the clock went back")
		}
	}},
	{"Rule7_NotByReading", func(f *fixture) {
		low := f.request(0, 4)
		f.attempt(f.acquire(low), 0, 2)
		req := f.fix(0, 1)
		req.Writes[0].Table, req.Reads = "main/u", []ledger.Claim{claim(0, 4)}
		f.behind(f.refused(req), low)
		f.sets("the holder's", f.left(low.ID), days(0, 4))
	}},
	{"Rule7_OneWithoutPreemptTakesNothing", func(f *fixture) {
		low := f.request(0, 4)
		f.acquire(low)
		req := f.fix(0, 2)
		req.Preempt = false
		f.behind(f.refused(req), low)
	}},
	{"Rule7_WhatIsLeftUndoneIsNamed", func(f *fixture) {
		// If the preempter fails, the range is nobody's, and somebody must be able to say so.
		old := f.request(0, 9)
		f.run(old)
		f.publish(f.acquire(old), 0, 1) // when nobody had taken anything
		at := f.w.Now()
		req := f.fix(3, 6)
		f.run(req)
		got := f.acquire(req)
		f.w.Advance(time.Second)
		second := f.fix(7, 8)
		f.acquire(second)
		f.reopen()
		want := []ledger.Preemption{
			{Table: table, Axis: day, Set: days(3, 6), By: req.Run, At: at, Reason: "the fix"},
			{Table: table, Axis: day, Set: days(7, 8), By: second.Run, At: at.Add(time.Second), Reason: "the fix"},
		}
		same(f, "taken", f.preempted(old.Run), want)
		r := f.runs(ledger.RunFilter{ID: old.Run})[0]
		r.Preempted, r.State = nil, "running"
		f.put(r)
		r.ID, r.Preempted = "r-another", want
		f.put(r)
		same(f, "after the run was stored again", f.preempted(old.Run), want)
		same(f, "nobody can claim it", len(f.preempted("r-another")), 0)
		same(f, "runs that lost something", f.runIDs(ledger.RunFilter{Preempted: true}), []ledger.RunID{old.Run})
		f.publish(got, 4, 5)
		want[0].Set = calendar.Of(3, 5)
		same(f, "after a part was published", f.preempted(old.Run), want)
		f.release(req.ID)
		again := f.request(0, 9)
		again.Writes[0].Set = days(3, 6)
		f.publish(f.acquire(again), 3, 6) // whoever it is
		same(f, "after the rest was", f.preempted(old.Run), want[1:])
		f.release(second.ID)
		again = f.request(7, 8)
		f.publish(f.acquire(again), 7, 8)
		same(f, "runs that lost something", len(f.runIDs(ledger.RunFilter{Preempted: true})), 0)
		third := f.request(20, 24)
		f.run(third)
		f.publish(f.acquire(third), 20, 21) // when all that was taken is published
		f.publish(f.acquire(f.fix(21, 22)), 21, 22)
		same(f, "taken and published", len(f.preempted(third.Run)), 0)
	}},
	{"Rule7_ACommitOfBeforeDoesNotMakeItAnybodys", func(f *fixture) {
		first := f.request(0, 3)
		a := f.attempt(f.acquire(first), 0, 3)
		f.intend(f.intent(a))
		f.w.Kill(first.Holder)
		second := f.request(0, 3)
		f.run(second)
		l := f.acquire(second)
		f.acquire(f.fix(0, 3))
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set}) // found late
		same(f, "taken", len(f.preempted(second.Run)), 1)
		same(f, "nothing is left of the lease", f.live(l.ID), false)
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 0, 1))
		f.is(err, ledger.ErrLost)
	}},
	{"Rule7_ItIsAudited", func(f *fixture) {
		first, second := f.request(0, 4), f.request(4, 9)
		first.Writes = append(first.Writes, ledger.Claim{Table: "main/u", Axis: day, Set: days(0, 3)})
		l := f.acquire(first)
		f.acquire(second)
		f.attempt(l, 1, 3)
		req := f.fix(2, 6)
		req.Writes = append(req.Writes, ledger.Claim{Table: "main/u", Axis: day, Set: days(0, 9)})
		f.acquire(req)
		f.acquire(req)
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(entries), 2)
		for i, want := range []struct {
			table, before, after string
			set                  calendar.Set
		}{
			{table, `"in_flight":[[2,3]],"unsettled":[],"leases":["` + string(first.ID) + `","` + string(second.ID) + `"]`, `"unsettled":[[2,3]],"leases":["` + string(req.ID) + `"]`, days(2, 6)},
			{"main/u", `"claimed":[[0,3]]`, `"claimed":[[0,3]]`, days(0, 3)},
		} {
			e := entries[i]
			same(f, "action", e.Action, ledger.ActionPreempt)
			same(f, "table", e.Table, want.table)
			f.sets("partitions", e.Set, want.set)
			same(f, "actor", e.Actor, ledger.Actor{User: req.Holder.User, Host: req.Holder.Host, PID: req.Holder.PID})
			same(f, "reason", e.Reason, "the fix")
			if !strings.Contains(e.Before, want.before) || !strings.Contains(e.After, want.after) {
				f.Fatalf("entry %d tells %s and %s, want %s and %s", i, e.Before, e.After, want.before, want.after)
			}
		}
		_, err = f.l.VerifyAudit(f.ctx)
		f.ok(err)
		o := f.orderOf(ledger.ActionPreempt)
		if _, err := f.l.Order(f.ctx, o); err == nil {
			f.Fatal("preempting was ordered")
		}
	}},
	{"Rule7_APreempterStandsInTheQueueToo", func(f *fixture) {
		peer := f.fix(0, 4)
		f.acquire(peer)
		first, second := f.fix(0, 4), f.fix(0, 9)
		first.Wait = true
		f.queued(first)
		low := f.request(5, 9)
		f.acquire(low)
		_, err := f.l.Acquire(f.ctx, second)
		conflict, _ := errors.AsType[*ledger.ConflictError](err)
		if conflict == nil {
			f.Fatalf("acquire gave %v", err)
		}
		f.behind(conflict.Conflicts, peer, first)
		f.sets("the holder's", f.left(low.ID), days(5, 9))
	}},
}
