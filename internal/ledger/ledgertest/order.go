package ledgertest

import (
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func (f *fixture) orderOf(kind ledger.OrderKind) ledger.Order {
	return ledger.Order{
		ID: ledger.LeaseID(f.name("o")), Kind: kind, Table: table, Axis: day, Actor: ledger.Actor{User: "ada", Host: "host", PID: 7}, Reason: "do not touch",
		At: f.w.Now(),
	}
}

func (f *fixture) order(o ledger.Order) history.Seq {
	f.Helper()
	seq, err := f.l.Order(f.ctx, o)
	f.ok(err)
	return seq
}

// hold puts a hold on days of the table.
func (f *fixture) hold(start, end calendar.Partition) ledger.Order {
	f.Helper()
	o := f.orderOf(ledger.OrderHold)
	o.Set = days(start, end)
	f.order(o)
	return o
}

func (f *fixture) unhold(start, end calendar.Partition) {
	f.Helper()
	o := f.orderOf(ledger.OrderUnhold)
	o.Set = days(start, end)
	f.order(o)
}

func (f *fixture) leases(filter ledger.LeaseFilter) []ledger.LeaseRecord {
	f.Helper()
	out, err := f.l.Leases(f.ctx, filter)
	f.ok(err)
	return out
}

func (f *fixture) run(req ledger.LeaseRequest) ledger.RunRecord {
	f.Helper()
	r := ledger.RunRecord{ID: req.Run, State: "running", Sets: req.Writes, StartedAt: f.w.Now()}
	f.ok(f.l.PutRun(f.ctx, r))
	return r
}

func (f *fixture) stopOf(id ledger.RunID) ledger.StopRequest {
	f.Helper()
	runs, err := f.l.Runs(f.ctx, ledger.RunFilter{ID: id})
	f.ok(err)
	same(f, "runs", len(runs), 1)
	return runs[0].Stop
}

func (f *fixture) live(id ledger.LeaseID) bool {
	f.Helper()
	live, err := f.l.Renew(f.ctx, []ledger.LeaseID{id})
	f.ok(err)
	return len(live) == 1
}

var orderCases = []testCase{
	{"HoldStopsWriters", func(f *fixture) {
		o := f.hold(2, 4)
		f.w.Advance(1000 * time.Hour)
		f.reopen()
		got := f.refused(f.request(0, 9))
		for i := range got {
			got[i].Since = got[i].Since.UTC()
		}
		same(f, "conflicts", got, []ledger.Conflict{{
			Lease: o.ID, Class: ledger.ClassFix, Table: table, Overlap: days(2, 4), Holder: ledger.Holder{User: "ada", Host: "host", PID: 7},
			Since: o.At, Hold: true, Reason: "do not touch",
		}})
		fix := f.request(3, 4)
		fix.Class = ledger.ClassFix
		f.refused(fix)
		f.sets("held", f.history().Held, days(2, 4))
		f.sets("reserved", f.history().Reserved, calendar.Set{})
		f.acquire(f.request(0, 2))
		f.unhold(2, 4)
		f.sets("held after", f.history().Held, calendar.Set{})
		f.acquire(f.request(2, 9))
	}},
	{"HoldKeepsNobodyFromReading", func(f *fixture) {
		f.hold(2, 4)
		read := f.request(0, 1)
		read.Writes, read.Reads = nil, []ledger.Claim{claim(0, 9)}
		f.acquire(read)
	}},
	{"HoldIsRefusedOverALiveLease", func(f *fixture) {
		req := f.request(0, 6)
		f.acquire(req)
		before := f.head()
		o := f.orderOf(ledger.OrderHold)
		o.Set = days(4, 9)
		_, err := f.l.Order(f.ctx, o)
		f.conflict(err)
		same(f, "clock", f.head(), before)
		f.sets("held", f.history().Held, calendar.Set{})
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "audited", len(entries), 0)
		f.hold(6, 9)
		f.w.Kill(req.Holder)
		f.order(o) // nobody has the lease any more
		f.sets("held", f.history().Held, days(4, 9))
	}},
	{"HoldsMayOverlapAndAreReleasedInPart", func(f *fixture) {
		f.hold(0, 6)
		second := f.hold(4, 9)
		f.sets("held", f.history().Held, days(0, 9))
		f.unhold(5, 7)
		f.reopen()
		f.sets("held", f.history().Held, days(0, 5).Union(days(7, 9)))
		f.acquire(f.request(5, 7))
		same(f, "who is in the way of both", len(f.refused(f.request(4, 5))), 2)
		all := f.leases(ledger.LeaseFilter{Table: table})
		same(f, "listed", len(all), 3)
		for _, r := range all {
			if r.ID == second.ID {
				f.sets("what is left of the second", r.Writes[0].Set, days(4, 5).Union(days(7, 9)))
			}
		}
	}},
	{"HoldEndsWhenItsTimeHasCome", func(f *fixture) {
		o := f.orderOf(ledger.OrderHold)
		o.Set, o.Until = days(0, 5), f.w.Now().Add(time.Hour)
		f.order(o)
		since := f.snapshot().Seq
		f.w.Advance(time.Hour - 1)
		f.refused(f.request(0, 5))
		same(f, "until", f.leases(ledger.LeaseFilter{})[0].Until.UTC(), o.Until)
		f.w.Advance(1)
		f.sets("held", f.history().Held, calendar.Set{})
		same(f, "listed", len(f.leases(ledger.LeaseFilter{})), 0)
		changed, err := f.l.Changes(f.ctx, since, []string{table})
		f.ok(err)
		if changed.Tables[table] == nil {
			f.Fatal("a reader of changes does not learn that a hold has ended")
		}
		f.acquire(f.request(0, 5))
	}},
	{"OpenHolds", func(f *fixture) {
		o := f.orderOf(ledger.OrderHold)
		o.Set = calendar.All()
		f.order(o)
		f.refused(f.request(1000, 1001))
		f.unhold(0, 10)
		f.acquire(f.request(0, 10))
		f.refused(f.request(10, 11))
	}},
	{"UnholdOfWhatIsNotHeldIsANoOp", func(f *fixture) {
		f.unhold(0, 5)
		f.hold(0, 5)
		before := f.head()
		f.unhold(5, 9)
		same(f, "clock", f.head(), before)
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "audited", len(entries), 1)
	}},
	{"BrokenLeaseEndsAndIsSettledFirst", func(f *fixture) { // rule 2
		req := f.request(0, 6)
		l := f.acquire(req)
		a, b := f.attempt(l, 0, 2), f.attempt(l, 2, 4)
		f.intend(f.intent(a))
		o := f.orderOf(ledger.OrderBreak)
		o.Lease = req.ID
		f.order(o)
		same(f, "renewed", f.live(req.ID), false)
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 5, 6))
		f.is(err, ledger.ErrLost)
		f.is(f.l.Intend(f.ctx, f.intent(b)), ledger.ErrLost)
		f.sets("unsettled", f.history().Unsettled, days(0, 4))
		f.sets("reserved", f.history().Reserved, calendar.Set{})
		f.record(ledger.Commit{Attempt: a.ID, Published: days(0, 2)}) // never refused
		next := f.acquire(f.request(0, 6))
		same(f, "to be settled", next.Settle, []ledger.Claim{claim(2, 4)})
		_, err = f.l.StartAttempt(f.ctx, f.attemptRequest(next, 2, 4))
		f.is(err, ledger.ErrUnsettled)
		again := f.orderOf(ledger.OrderBreak)
		again.Lease = req.ID
		_, err = f.l.Order(f.ctx, again)
		f.is(err, ledger.ErrLost)
		again.Lease = "unknown"
		_, err = f.l.Order(f.ctx, again)
		f.is(err, ledger.ErrNotFound)
	}},
	{"StopIsSeenInTheRunAndItsLeases", func(f *fixture) {
		req := f.request(0, 6)
		r := f.run(req)
		f.acquire(req)
		o := f.orderOf(ledger.OrderStop)
		o.Run = req.Run
		f.order(o)
		f.reopen()
		want := ledger.StopRequest{Actor: o.Actor, Reason: o.Reason, At: o.At}
		for what, got := range map[string]ledger.StopRequest{"run": f.stopOf(r.ID), "lease": f.leases(ledger.LeaseFilter{ID: req.ID})[0].Stop} {
			got.At = got.At.UTC()
			same(f, "stop of the "+what, got, want)
		}
		r.Done = 3
		f.ok(f.l.PutRun(f.ctx, r))
		same(f, "asked after the run was stored again", f.stopOf(r.ID).Asked(), true)
		before := f.head()
		again := f.orderOf(ledger.OrderStop)
		again.Run, again.Reason = req.Run, "another"
		f.order(again)
		same(f, "clock", f.head(), before)
		same(f, "the first reason", f.stopOf(r.ID).Reason, o.Reason)
		again.Run = "unknown"
		_, err := f.l.Order(f.ctx, again)
		f.is(err, ledger.ErrNotFound)
	}},
	{"AdoptIsTold", func(f *fixture) {
		req := f.request(0, 6)
		f.run(req)
		o := f.orderOf(ledger.OrderAdopt)
		o.Run = req.Run
		f.order(o)
		f.reopen()
		f.order(o) // the same: nothing
		told, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(told), 1)
		same(f, "action", told[0].Action, "adopt")
		same(f, "table", told[0].Table, table)
		o.ID, o.Run = "another", "unknown"
		_, err = f.l.Order(f.ctx, o)
		f.is(err, ledger.ErrNotFound)
	}},
	{"StopOfARunThatHasEndedIsANoOp", func(f *fixture) {
		r := f.run(f.request(0, 6))
		r.State, r.Ended = "done", true
		f.ok(f.l.PutRun(f.ctx, r))
		before := f.head()
		o := f.orderOf(ledger.OrderStop)
		o.Run = r.ID
		f.order(o)
		same(f, "clock", f.head(), before)
		same(f, "asked", f.stopOf(r.ID).Asked(), false)
	}},
	{"WhoDoesNotAnswerAStopLosesTheLease", func(f *fixture) {
		req := f.request(0, 6)
		f.run(req)
		f.attempt(f.acquire(req), 0, 2)
		o := f.orderOf(ledger.OrderStop)
		o.Run = req.Run
		f.order(o)
		f.w.Advance(ttl - 1)
		same(f, "live before its time is over", f.live(req.ID), true)
		f.w.Advance(1)
		same(f, "live after", f.live(req.ID), false) // it was renewed, but not extended
		f.sets("unsettled", f.history().Unsettled, days(0, 2))
		f.acquire(f.request(2, 6))
	}},
	{"StopHoldLeavesAHoldOverTheClaims", func(f *fixture) { // rule 2: one transaction
		req := f.request(0, 6)
		f.run(req)
		l := f.acquire(req)
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{claim(5, 6)}))
		f.attempt(l, 0, 2)
		o := f.orderOf(ledger.OrderStopHold)
		o.Run = req.Run
		before := f.head()
		f.order(o)
		same(f, "clock", f.head(), before+1)
		same(f, "live", f.live(l.ID), false)
		same(f, "asked", f.stopOf(req.Run).Hold, true)
		f.sets("held", f.history().Held, days(0, 5))
		f.sets("unsettled", f.history().Unsettled, days(0, 2))
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 3, 4))
		f.is(err, ledger.ErrLost)
		f.refused(f.request(0, 5))
		f.unhold(0, 5)
		next := f.acquire(f.request(0, 6))
		same(f, "to be settled", next.Settle, []ledger.Claim{claim(0, 2)})
	}},
	{"StopHoldOfARunWithoutALease", func(f *fixture) {
		f.acquire(f.request(4, 6))
		r := f.run(f.request(0, 6))
		o := f.orderOf(ledger.OrderStopHold)
		o.Run = r.ID
		_, err := f.l.Order(f.ctx, o)
		f.conflict(err)
		same(f, "asked", f.stopOf(r.ID).Asked(), false)
		r.Sets = []ledger.Claim{claim(0, 4)}
		f.ok(f.l.PutRun(f.ctx, r))
		f.order(o)
		f.sets("held", f.history().Held, days(0, 4))
	}},
	{"OrdersAreAudited", func(f *fixture) {
		req := f.request(0, 6)
		req.Writes = append(req.Writes, ledger.Claim{Table: "main/u", Axis: day, Set: days(0, 3)})
		f.run(req)
		f.attempt(f.acquire(req), 0, 2)
		o := f.orderOf(ledger.OrderStopHold)
		o.Run = req.Run
		seq := f.order(o)
		same(f, "the same order", f.order(o), seq)
		f.w.Advance(time.Second)
		f.reopen()
		same(f, "the same order after opening again", f.order(o), seq)
		f.unhold(0, 9)
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(entries), 3)
		for i, want := range []struct{ action, table, before, after string }{
			{"stop.hold", table, `"in_flight":[[0,2]]`, `"held":[[0,6]],"claimed":[],"in_flight":[],"unsettled":[[0,2]]`},
			{"stop.hold", "main/u", `"claimed":[[0,3]]`, `"held":[[0,3]]`},
			{"unhold", table, `"held":[[0,6]]`, `"held":[]`},
		} {
			e := entries[i]
			same(f, "action", e.Action, want.action)
			same(f, "table", e.Table, want.table)
			same(f, "actor", e.Actor, o.Actor)
			same(f, "reason", e.Reason, o.Reason)
			if !strings.Contains(e.Before, want.before) || !strings.Contains(e.After, want.after) {
				f.Fatalf("entry %d tells %s and %s, want %s and %s", i, e.Before, e.After, want.before, want.after)
			}
		}
		_, err = f.l.VerifyAudit(f.ctx)
		f.ok(err)
	}},
	{"LeasesTellWhoHasWhat", func(f *fixture) {
		req := f.request(0, 6)
		l := f.acquire(req)
		since := f.w.Now()
		f.w.Advance(ttl / 3)
		f.acquire(f.request(6, 9))
		other := f.request(0, 2)
		other.Writes[0].Table = "main/u"
		f.acquire(other)
		got := f.leases(ledger.LeaseFilter{Limit: 1})
		got[0].Since = got[0].Since.UTC()
		same(f, "the oldest", got, []ledger.LeaseRecord{{
			ID: req.ID, Run: req.Run, Class: req.Class, Holder: req.Holder, Writes: req.Writes, Tokens: l.Tokens, Since: since, Left: ttl - ttl/3,
		}})
		same(f, "of the table", len(f.leases(ledger.LeaseFilter{Table: table})), 2)
		same(f, "of the run", len(f.leases(ledger.LeaseFilter{Run: req.Run})), 1)
		o := f.hold(20, 21)
		held := f.leases(ledger.LeaseFilter{Holds: true, Limit: 1})
		same(f, "holds", len(held), 1)
		same(f, "hold", held[0].ID, o.ID)
		f.w.Kill(req.Holder)
		same(f, "over", f.leases(ledger.LeaseFilter{ID: req.ID})[0].Over, true)
		f.ok(f.l.Release(f.ctx, req.ID, nil))
		same(f, "after its end", len(f.leases(ledger.LeaseFilter{ID: req.ID})), 0)
	}},
	{"MalformedOrders", func(f *fixture) {
		for what, change := range map[string]func(*ledger.Order){
			"id":    func(o *ledger.Order) { o.ID = "" },
			"kind":  func(o *ledger.Order) { o.Kind = "please" },
			"table": func(o *ledger.Order) { o.Table = "" },
			"set":   func(o *ledger.Order) { o.Set = calendar.Set{} },
			"until": func(o *ledger.Order) { o.Until = o.At },
			"lease": func(o *ledger.Order) { o.Kind = ledger.OrderBreak },
			"run":   func(o *ledger.Order) { o.Kind = ledger.OrderStop },
			"pause": func(o *ledger.Order) { o.Kind = ledger.OrderPause },
		} {
			o := f.orderOf(ledger.OrderHold)
			o.Set = days(0, 2)
			change(&o)
			if _, err := f.l.Order(f.ctx, o); err == nil {
				f.Fatalf("accepted an order of a wrong %s", what)
			}
		}
		same(f, "clock", f.head(), 1)
		f.hold(0, 2)
		o := f.orderOf(ledger.OrderUnhold)
		o.Set, o.Axis = days(0, 2), calendar.Axis{Grain: calendar.Month}
		_, err := f.l.Order(f.ctx, o)
		f.is(err, ledger.ErrAxis)
	}},
}
