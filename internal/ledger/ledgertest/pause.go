package ledgertest

import (
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

func (f *fixture) pause(run ledger.RunID) ledger.Order {
	f.Helper()
	o := f.orderOf(ledger.OrderPause)
	o.Run = run
	f.order(o)
	return o
}

func (f *fixture) resume(run ledger.RunID) {
	f.Helper()
	o := f.orderOf(ledger.OrderResume)
	o.Run = run
	f.order(o)
}

// pausedRun is a run with a lease over days of the table, an attempt over some of them, and a pause.
func (f *fixture) pausedRun(start, end, from, to calendar.Partition, class ledger.Class) (ledger.LeaseRequest, *ledger.Lease, *ledger.Attempt) {
	f.Helper()
	req := f.request(start, end)
	req.Class = class
	f.run(req)
	l := f.acquire(req)
	a := f.attempt(l, from, to)
	f.pause(req.Run)
	return req, l, a
}

var pauseCases = []testCase{
	{"Rule10_WhatIsNotInFlightMayBeTakenByAnyClass", func(f *fixture) {
		for i, has := range classes {
			for j, wants := range classes {
				at := calendar.Partition(100*i + 10*j)
				paused, _, _ := f.pausedRun(at, at+6, at, at+1, has)
				taker := f.request(at+2, at+4)
				taker.Class, taker.Settles, taker.Reason = wants, false, "now"
				f.acquire(taker)
				f.sets("the paused run's", f.left(paused.ID), days(at, at+2).Union(days(at+4, at+6)))
				same(f, "taken", f.preempted(paused.Run), []ledger.Preemption{
					{Table: table, Axis: day, Set: days(at+2, at+4), By: taker.Run, At: f.w.Now(), Reason: "now"},
				})
				f.resume(paused.Run)
				f.behind(f.refused(f.request(at+4, at+6)), paused)
			}
		}
	}},
	{"Rule10_WhatIsInFlightIsAsEver", func(f *fixture) {
		paused, l, a := f.pausedRun(0, 9, 2, 5, ledger.ClassBackfill)
		got := f.refused(f.request(0, 4))
		f.behind(got, paused)
		f.sets("overlap", got[0].Overlap, days(2, 4))
		f.sets("the paused run's", f.left(paused.ID), days(0, 9)) // all or nothing
		read := f.reading(0, 9)
		f.sets("not readable", f.refused(read)[0].Overlap, days(2, 5))
		f.intend(f.intent(a))
		same(f, "publishing", f.refused(f.fix(0, 4))[0].Publishing, true)
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set}) // what was in flight goes on
		f.acquire(read)
		f.acquire(f.request(0, 4))
		f.sets("the paused run's", f.left(paused.ID), days(4, 9))
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 3, 5))
		f.is(err, ledger.ErrLost) // more than that it is paused
	}},
	{"Rule10_AHigherClassPreemptsWhatIsInFlight", func(f *fixture) {
		paused, _, _ := f.pausedRun(0, 9, 2, 5, ledger.ClassBackfill)
		same(f, "to be settled", f.acquire(f.fix(0, 4)).Settle, []ledger.Claim{claim(2, 4)})
		f.sets("the paused run's", f.left(paused.ID), days(4, 9))
	}},
	{"Rule10_APausedRunStartsNothing", func(f *fixture) {
		req := f.request(0, 6)
		f.run(req)
		l := f.acquire(req)
		started := f.attemptRequest(l, 0, 1)
		a := f.start(started)
		f.pause(req.Run)
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 2, 3))
		f.is(err, ledger.ErrPaused)
		same(f, "what was started before", f.start(started), a)
		f.reopen()
		_, err = f.l.StartAttempt(f.ctx, f.attemptRequest(l, 2, 3))
		f.is(err, ledger.ErrPaused)
		f.resume(req.Run)
		f.publish(l, 2, 3)
	}},
	{"Rule10_ItsLeaseIsRenewed", func(f *fixture) {
		paused, _, _ := f.pausedRun(0, 4, 0, 1, ledger.ClassBackfill)
		for range 3 {
			f.w.Advance(ttl - 1)
			same(f, "live", f.live(paused.ID), true)
		}
	}},
	{"Rule10_ItTakesNothingFromItself", func(f *fixture) {
		paused, _, _ := f.pausedRun(0, 4, 0, 1, ledger.ClassBackfill)
		req := f.request(2, 4)
		req.Run = paused.Run
		f.behind(f.refused(req), paused)
	}},
	{"Rule10_ItsWaitersKeepNobodyBack", func(f *fixture) {
		held, first := f.blocked(0, 4)
		f.run(first)
		f.pause(first.Run)
		second := f.waiting(0, 4)
		f.behind(f.queued(second), held)
		f.resume(first.Run)
		f.behind(f.queued(second), held, first) // it has kept its place
		f.pause(first.Run)
		f.release(held.ID)
		f.acquire(second)
	}},
	{"Rule10_IsKeptWithTheRunAndSeenInItsLeases", func(f *fixture) {
		held, waits := f.blocked(0, 4)
		r := f.run(held)
		f.run(waits)
		o := f.pause(held.Run)
		f.pause(waits.Run)
		f.reopen()
		want := ledger.PauseRequest{Actor: o.Actor, Reason: o.Reason, At: o.At}
		r.Done = 3
		f.put(r)
		for what, got := range map[string]ledger.PauseRequest{
			"run": f.runs(ledger.RunFilter{ID: r.ID})[0].Paused, "lease": f.leases(ledger.LeaseFilter{ID: held.ID})[0].Paused,
			"waiter": f.leases(ledger.LeaseFilter{ID: waits.ID, Waiting: true})[0].Paused,
		} {
			got.At = got.At.UTC()
			same(f, "pause of the "+what, got, want)
		}
		before := f.head()
		again := f.orderOf(ledger.OrderPause)
		again.Run, again.Reason = held.Run, "another"
		f.order(again)
		same(f, "clock", f.head(), before)
		same(f, "the first reason", f.runs(ledger.RunFilter{ID: r.ID})[0].Paused.Reason, o.Reason)
		f.w.Advance(time.Second)
		f.resume(held.Run)
		same(f, "paused", f.runs(ledger.RunFilter{ID: r.ID})[0].Paused.Asked(), false)
		before = f.head()
		f.resume(held.Run)
		same(f, "clock", f.head(), before)
		r.State, r.Ended = "done", true
		f.put(r)
		f.pause(r.ID)
		same(f, "an ended run", f.runs(ledger.RunFilter{ID: r.ID})[0].Paused.Asked(), false)
		again.ID, again.Run = "unknown", "unknown"
		_, err := f.l.Order(f.ctx, again)
		f.is(err, ledger.ErrNotFound)
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		var actions []string
		for _, e := range entries {
			actions = append(actions, e.Action)
		}
		same(f, "audited", actions, []string{"pause", "pause", "resume"})
	}},
	{"APauseOfANewRecordIsNotBelieved", func(f *fixture) {
		f.put(ledger.RunRecord{ID: "r", State: "running", Paused: ledger.PauseRequest{At: f.w.Now()}})
		same(f, "paused", f.runs(ledger.RunFilter{ID: "r"})[0].Paused.Asked(), false)
	}},
}
