package ledgertest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// waiting asks for days of the table, for a run of its own that waits.
func (f *fixture) waiting(start, end calendar.Partition) ledger.LeaseRequest {
	req := f.request(start, end)
	req.Wait = true
	return req
}

// reading asks to read days of the table.
func (f *fixture) reading(start, end calendar.Partition) ledger.LeaseRequest {
	req := f.request(start, end)
	req.Writes, req.Reads = nil, req.Writes
	return req
}

// queued demands that a request is refused and waits, and gives what it waits for.
func (f *fixture) queued(req ledger.LeaseRequest) []ledger.Conflict {
	f.Helper()
	_, err := f.l.Acquire(f.ctx, req)
	conflict, ok := errors.AsType[*ledger.ConflictError](err)
	if !ok || !conflict.Queued {
		f.Fatalf("acquire gave %v, want a place in the queue", err)
	}
	return conflict.Conflicts
}

// behind demands that a request is refused for just these leases and waiters.
func (f *fixture) behind(conflicts []ledger.Conflict, of ...ledger.LeaseRequest) {
	f.Helper()
	var got, want []ledger.LeaseID
	for _, c := range conflicts {
		got = append(got, c.Lease)
	}
	for _, req := range of {
		want = append(want, req.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	same(f, "who is in the way", got, want)
}

// refusedAttempt demands that an attempt cannot start on days of a table, since somebody reads them.
func (f *fixture) refusedAttempt(l *ledger.Lease, name string, start, end calendar.Partition) {
	f.Helper()
	req := f.attemptRequest(l, start, end)
	req.Table = name
	_, err := f.l.StartAttempt(f.ctx, req)
	f.conflict(err)
}

func (f *fixture) release(id ledger.LeaseID) {
	f.Helper()
	f.ok(f.l.Release(f.ctx, id, nil))
}

// queue is who waits, in the order in which they came.
func (f *fixture) queue() []ledger.LeaseID {
	f.Helper()
	out := []ledger.LeaseID{}
	for _, r := range f.leases(ledger.LeaseFilter{Waiting: true}) {
		if r.Waiting {
			out = append(out, r.ID)
		}
	}
	return out
}

// blocked gives a lease over days of the table, and a waiter for the same.
func (f *fixture) blocked(start, end calendar.Partition) (held, first ledger.LeaseRequest) {
	f.Helper()
	held, first = f.request(start, end), f.waiting(start, end)
	f.acquire(held)
	f.behind(f.queued(first), held)
	f.w.Advance(time.Second)
	return held, first
}

var queueCases = []testCase{
	{"Rule4_WaitingHoldsNothing", func(f *fixture) {
		held, first := f.blocked(0, 4)
		f.release(held.ID)
		before := f.head()
		f.sets("reserved", f.history().Reserved, calendar.Set{})
		same(f, "live", f.live(first.ID), false)
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(&ledger.Lease{ID: first.ID, Run: first.Run}, 0, 1))
		f.is(err, ledger.ErrNotFound)
		f.ok(f.l.Release(f.ctx, first.ID, []ledger.Claim{claim(0, 4)}))
		same(f, "still in the queue", f.queue(), []ledger.LeaseID{first.ID})
		same(f, "clock", f.head(), before)
		f.hold(0, 1) // a person's word waits for nobody
		f.queued(first)
		f.unhold(0, 1)
		l := f.acquire(first)
		same(f, "tokens", l.Tokens[table], 2)
		same(f, "left the queue", f.queue(), []ledger.LeaseID{})
		f.publish(l, 0, 4)
	}},
	{"Rule4_TwoThatWantTheSameTwoTables", func(f *fixture) {
		// Each takes one and waits for the other for ever, if waiting held what is free.
		both := func() ledger.LeaseRequest {
			req := f.waiting(0, 5)
			req.Writes = append(req.Writes, ledger.Claim{Table: "main/u", Axis: day, Set: days(0, 5)})
			return req
		}
		a, b := both(), both()
		slices.Reverse(b.Writes)
		other := f.request(2, 3)
		other.Writes[0].Table = "main/u"
		f.acquire(other)
		f.queued(a)
		f.queued(b)
		f.release(other.ID)
		f.behind(f.queued(b), a, a) // in both tables
		f.acquire(a)
		f.behind(f.queued(b), a, a)
		f.release(a.ID)
		f.acquire(b)
	}},
	{"Rule4_PredictionsReadAccuracyOfEarlierDaysAndBack", func(f *fixture) {
		// Two runs with chunks of ten wait for each other for ever, if one that waits has something in flight.
		const accuracy = "main/accuracy"
		of := func(name string, req ledger.LeaseRequest) ledger.LeaseRequest {
			for i := range req.Writes {
				req.Writes[i].Table = name
			}
			for i := range req.Reads {
				req.Reads[i].Table = name
			}
			return req
		}
		begin := func(l *ledger.Lease, name string, start, end calendar.Partition) *ledger.Attempt {
			req := f.attemptRequest(l, start, end)
			req.Table = name
			return f.start(req)
		}
		finish := func(a *ledger.Attempt) {
			f.intend(f.intent(a))
			f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		}
		predictions := f.acquire(f.request(0, 30))
		scores := f.acquire(of(accuracy, f.request(0, 30)))
		first := begin(predictions, table, 0, 10)
		// Accuracy of the first ten days reads their predictions, which are being made: it waits, with nothing in flight itself.
		read := f.reading(0, 10)
		read.Run, read.Wait = scores.Run, true
		f.queued(read)
		f.sets("in flight of accuracy", f.snapshot().Table(accuracy).InFlight, calendar.Set{})
		finish(first)
		// The next ten predictions read the accuracy of the ten before: nobody writes it, so they do not wait for the waiter.
		back := of(accuracy, f.reading(0, 10))
		back.Run, back.Wait = predictions.Run, true
		f.acquire(back)
		second := begin(predictions, table, 10, 20)
		f.acquire(read)
		f.refusedAttempt(scores, accuracy, 0, 10) // they are being read
		f.release(back.ID)
		finish(begin(scores, accuracy, 0, 10))
		finish(second)
	}},
	{"Rule4_SixteenWaitingJobsKeepNobodyElseBack", func(f *fixture) {
		// They fill all workers, if waiting takes a place.
		held := f.request(0, 10)
		f.acquire(held)
		waiting := make([]ledger.LeaseRequest, 16)
		for i := range waiting {
			waiting[i] = f.waiting(0, 10)
			f.queued(waiting[i])
			f.w.Advance(time.Millisecond)
		}
		f.publish(f.acquire(f.request(10, 20)), 10, 20) // other dates
		other := f.request(0, 10)
		other.Writes[0].Table = "main/u"
		f.acquire(other) // another table
		f.release(held.ID)
		for _, req := range waiting { // and each comes to its turn
			l := f.acquire(req)
			f.publish(l, 0, 10)
			f.release(l.ID)
		}
		same(f, "queue", f.queue(), []ledger.LeaseID{})
	}},
	{"Rule4_AReaderAndAWriterThatEachLookAtTheOther", func(f *fixture) {
		// Under READ COMMITTED both pass, if each only looks whether the other is there.
		other := f.h.Open(f.T)
		f.Cleanup(func() { f.ok(other.Close()) })
		const rounds = 40
		for i := range calendar.Partition(rounds) {
			l := f.acquire(f.request(i, i+1))
			read, start := f.reading(i, i+1), f.attemptRequest(l, i, i+1)
			var reads, writes error
			var both sync.WaitGroup
			both.Go(func() { _, reads = other.Acquire(f.ctx, read) })
			both.Go(func() { _, writes = f.l.StartAttempt(f.ctx, start) })
			both.Wait()
			for _, err := range []error{reads, writes} {
				if _, ok := errors.AsType[*ledger.ConflictError](err); !ok && err != nil {
					f.Fatal(err)
				}
			}
			if (reads == nil) == (writes == nil) {
				f.Fatalf("round %d: the reader got %v and the writer %v: just one of them may go on", i, reads, writes)
			}
		}
	}},
	{"Rule4_WhoHasSomethingNeverWaitsForAWaiter", func(f *fixture) {
		// The waiter waits for the run's lease, and the run for the waiter: for ever.
		run := f.request(0, 5)
		f.acquire(run)
		both := f.waiting(0, 5)
		both.Class = ledger.ClassFix
		both.Writes = append(both.Writes, ledger.Claim{Table: "main/u", Axis: day, Set: days(0, 5)})
		f.queued(both)
		read := f.reading(0, 5)
		read.Reads[0].Table = "main/u"
		f.refused(read)
		read.ID, read.Run = "own", run.Run
		f.acquire(read)
		write := f.waiting(7, 9)
		write.Run = run.Run
		_, err := f.l.Acquire(f.ctx, write)
		if _, ok := errors.AsType[*ledger.ConflictError](err); ok || err == nil {
			f.Fatalf("a run that has a lease may wait to write: %v", err)
		}
		same(f, "queue", f.queue(), []ledger.LeaseID{both.ID})
		write.Wait = false
		f.acquire(write)
		f.w.Advance(ttl) // its lease is over: it has nothing any more
		next := f.waiting(11, 12)
		next.Run = run.Run
		f.acquire(next)
	}},
	{"Rule5_WaitersBlockLaterRequestsOfTheirClassOrALower", func(f *fixture) {
		for i, waits := range classes {
			for j, asks := range classes {
				at := calendar.Partition(100*i + 10*j)
				held, first := f.request(at, at+2), f.waiting(at, at+5)
				first.Class = waits
				f.acquire(held)
				f.behind(f.queued(first), held)
				for _, wait := range []bool{false, true} {
					later := f.request(at+4, at+6)
					later.Class, later.Wait = asks, wait
					if asks.Rank() > waits.Rank() {
						f.acquire(later) // passes
						f.release(later.ID)
						continue
					}
					got := f.refused(later)
					f.behind(got, first)
					same(f, "waits", got[0].Waiting, true)
					f.sets("overlap", got[0].Overlap, days(at+4, at+5))
				}
			}
		}
	}},
	{"Rule5_AWaiterAheadCountsAsAHolder", func(f *fixture) {
		held, first := f.request(0, 2), f.waiting(0, 5)
		f.acquire(held)
		started := f.w.Now()
		f.put(ledger.RunRecord{ID: first.Run, State: "running", Command: "headway run t", Done: 1, Total: 9, StartedAt: started})
		first.Reason = "the fix"
		f.w.Advance(time.Second)
		f.queued(first)
		since := f.w.Now()
		f.w.Advance(time.Second)
		f.queued(first)
		later := f.request(3, 9)
		_, err := f.l.Acquire(f.ctx, later)
		conflict, _ := errors.AsType[*ledger.ConflictError](err)
		if conflict == nil || conflict.Queued {
			f.Fatalf("who does not want to wait got %v", err)
		}
		got := conflict.Conflicts
		for i := range got {
			got[i].Since, got[i].StartedAt = got[i].Since.UTC(), got[i].StartedAt.UTC()
		}
		same(f, "conflict", got, []ledger.Conflict{{
			Lease: first.ID, Run: first.Run, Class: first.Class, Table: table, Overlap: days(3, 5), Holder: first.Holder, Since: since,
			Command: "headway run t", Done: 1, Total: 9, StartedAt: started, Waiting: true, Reason: "the fix",
		}})
		same(f, "queue", f.queue(), []ledger.LeaseID{first.ID})
	}},
	{"Rule5_ReadersStandInTheQueueToo", func(f *fixture) {
		held := f.request(0, 2)
		l := f.acquire(held)
		a := f.attempt(l, 0, 2)
		reader := f.reading(0, 4)
		reader.Wait = true
		f.behind(f.queued(reader), held)
		f.w.Advance(time.Second)
		f.behind(f.refused(f.request(3, 5)), reader)               // who would write what it reads
		f.acquire(f.reading(2, 6))                                 // two that read do not disturb each other
		f.behind(f.queued(f.waiting(2, 6)), reader)                // they wait for the reader alone
		f.behind(f.refused(f.reading(5, 6)), f.byID(f.queue()[1])) // and a reader for them
		f.intend(f.intent(a))
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		f.acquire(reader)
	}},
	{"Rule5_WhoDoesNotOverlapNeverWaits", func(f *fixture) {
		f.blocked(0, 4)
		f.acquire(f.request(4, 8))
		f.acquire(f.reading(4, 8))
		req := f.waiting(0, 4)
		req.Writes[0].Table = "main/u"
		f.acquire(req)
		holes := f.request(0, 1)
		holes.Writes[0].Set = calendar.Of(8, 10)
		f.acquire(holes)
		between := f.waiting(0, 1)
		between.Writes[0].Set = calendar.Of(9, 11)
		f.acquire(between)
	}},
	{"Rule5_GrantedInTheOrderOfTheQueue", func(f *fixture) {
		held, first := f.blocked(0, 4)
		second, third, fix := f.waiting(2, 6), f.waiting(0, 9), f.waiting(0, 9)
		fix.Class = ledger.ClassFix
		f.behind(f.queued(second), held, first)
		f.w.Advance(time.Second)
		f.behind(f.queued(third), held, first, second)
		f.w.Advance(time.Second)
		f.behind(f.queued(fix), held) // it passes those of a lower class
		f.reopen()
		f.release(held.ID)
		same(f, "queue", f.queue(), []ledger.LeaseID{first.ID, second.ID, third.ID, fix.ID})
		f.behind(f.queued(third), first, second, fix)
		f.behind(f.queued(second), first, fix)
		f.behind(f.queued(first), fix)
		f.acquire(fix)
		f.release(fix.ID)
		f.behind(f.queued(second), first)
		f.acquire(first)
		f.release(first.ID)
		f.behind(f.queued(third), second)
		f.release(second.ID) // it gives up
		f.acquire(third)
	}},
	{"Rule5_WaitersExpire", func(f *fixture) {
		held, first := f.blocked(0, 4)
		f.w.Advance(ttl - time.Second - 1)
		f.queued(first) // a heartbeat
		f.w.Advance(ttl - 1)
		second := f.waiting(0, 4)
		f.behind(f.queued(second), first) // the lease is over, the waiter is not
		f.w.Advance(1)
		f.acquire(second)
		same(f, "over", len(f.leases(ledger.LeaseFilter{ID: held.ID})), 0)
		f.behind(f.queued(first), second) // who comes back is the last
		third := f.waiting(0, 4)
		f.queued(third)
		f.w.Kill(first.Holder)
		f.w.Kill(second.Holder)
		f.acquire(third)
	}},
	{"Rule5_WhoseTimeIsOverComesBackAsTheLast", func(f *fixture) {
		_, first := f.blocked(0, 4)
		f.w.Advance(ttl)
		held := f.request(0, 4)
		f.acquire(held)
		second := f.waiting(0, 4)
		f.behind(f.queued(second), held)
		f.w.Advance(1)
		f.behind(f.queued(first), held, second)
		same(f, "queue", f.queue(), []ledger.LeaseID{second.ID, first.ID})
		same(f, "live", f.live(held.ID), true)
		f.w.Advance(ttl - 1)
		same(f, "live", f.live(held.ID), true)
		f.queued(first)
		f.w.Advance(1)
		f.behind(f.queued(second), held, first) // though nobody came meanwhile
	}},
	{"Rule5_WaitersOfAnEarlierBootAreGone", func(f *fixture) {
		f.blocked(0, 4)
		f.w.Reboot()
		f.reopen()
		f.acquire(f.request(0, 4))
	}},
	{"Rule8_AMachineThatSleptGoesOnWhereNobodyWaits", func(f *fixture) {
		held, first := f.blocked(0, 4)
		paused := f.waiting(0, 4)
		f.run(paused)
		f.queued(paused)
		f.pause(paused.Run)
		gaveUp := f.waiting(0, 4)
		f.queued(gaveUp)
		f.release(gaveUp.ID)
		elsewhere := f.request(4, 6)
		f.acquire(elsewhere)
		f.queued(f.waiting(4, 6)) // for what somebody else has
		f.attempt(&ledger.Lease{ID: elsewhere.ID, Run: elsewhere.Run}, 4, 5)
		reader := f.reading(2, 5) // for what is in flight, and only that
		reader.Wait, reader.Class = true, ledger.ClassFix
		f.queued(reader)
		a := f.attempt(&ledger.Lease{ID: held.ID, Run: held.Run}, 0, 2)
		f.w.Kill(first.Holder) // it waits no more
		f.w.Advance(time.Hour)
		same(f, "live", f.live(held.ID), true)
		f.intend(f.intent(a))
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		f.attempt(&ledger.Lease{ID: held.ID, Run: held.Run}, 2, 4)
	}},
	{"Rule8_AMachineThatSleptStopsWhereSomebodyWaits", func(f *fixture) {
		for i, how := range []string{"writes", "reads"} {
			at := calendar.Partition(10 * i)
			held := f.request(at, at+4)
			a := f.attempt(f.acquire(held), at, at+2)
			f.intend(f.intent(a))
			waits := f.waiting(at+1, at+6)
			if how == "reads" {
				waits.Writes, waits.Reads = nil, waits.Writes
			}
			f.behind(f.queued(waits), held)
			f.w.Advance(time.Hour) // the waiter has slept as well: it asks only afterwards
			f.queued(f.elsewhere())
			before := f.head()
			same(f, "live "+how, f.live(held.ID), false)
			if f.head() == before {
				f.Fatal("a lease ended and the clock stood still")
			}
			f.sets("nobody's", f.history().Unsettled.Intersect(days(at, at+4)), days(at, at+2))
			f.is(f.l.Intend(f.ctx, f.intent(a)), ledger.ErrLost)
			_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(&ledger.Lease{ID: held.ID, Run: held.Run}, at+2, at+4))
			f.is(err, ledger.ErrLost)
			if how == "reads" {
				continue
			}
			same(f, "to be settled", f.acquire(waits).Settle, []ledger.Claim{claim(at+1, at+2)})
			f.record(ledger.Commit{Attempt: a.ID, Published: a.Set}) // what it had committed by then counts
		}
	}},
	{"Rule8_WhoseDeadlineHasNotPassedIsRenewedWhoeverWaits", func(f *fixture) {
		held, first := f.blocked(0, 4)
		f.w.Advance(ttl - time.Second - 1)
		same(f, "live", f.live(held.ID), true)
		f.behind(f.queued(first), held)
	}},
	{"WhoAsksForLessKeepsItsPlaceAndForMoreIsTheLast", func(f *fixture) {
		held, first := f.blocked(0, 4)
		second := f.waiting(0, 9)
		f.queued(second)
		less := first
		less.Writes = []ledger.Claim{claim(1, 3)}
		f.behind(f.queued(less), held)
		f.w.Advance(time.Second)
		f.behind(f.queued(second), held, less)
		f.sets("what it waits for", f.leases(ledger.LeaseFilter{ID: first.ID, Waiting: true})[0].Writes[0].Set, days(1, 3))
		f.behind(f.queued(first), held, second) // more again
		f.release(held.ID)
		f.acquire(second)
		f.release(second.ID)
		other := first
		other.Class = ledger.ClassFix
		third := f.waiting(0, 1)
		third.Class = ledger.ClassFix
		again := f.request(0, 4)
		f.refused(again)
		f.hold(0, 4)
		f.queued(third)
		f.queued(other) // of another class: the last of that
		f.unhold(0, 4)
		f.behind(f.queued(other), third)
	}},
	{"WhoDoesNotWaitWithTheIDOfAWaiterIsJudgedAtItsPlace", func(f *fixture) {
		held, first := f.blocked(0, 4)
		f.queued(f.waiting(0, 4))
		first.Wait = false
		f.behind(f.refused(first), held)
		same(f, "waiters", len(f.queue()), 2)
		f.release(held.ID)
		f.acquire(first)
		same(f, "waiters", len(f.queue()), 1)
	}},
	{"ReleaseBreakAndStopHoldTakeOutOfTheQueue", func(f *fixture) {
		held, first := f.blocked(0, 4)
		second, third := f.waiting(0, 4), f.waiting(0, 4)
		f.queued(second)
		f.run(third)
		f.queued(third)
		f.release(first.ID)
		f.behind(f.queued(second), held)
		o := f.orderOf(ledger.OrderBreak)
		o.Lease = second.ID
		before := f.head()
		same(f, "clock", f.order(o), before+1)
		same(f, "the same order", f.order(o), before+1)
		again := f.orderOf(ledger.OrderBreak)
		again.Lease = second.ID
		_, err := f.l.Order(f.ctx, again)
		f.is(err, ledger.ErrNotFound)
		f.behind(f.queued(third), held)
		f.release(held.ID)
		o = f.orderOf(ledger.OrderStopHold)
		o.Run = third.Run
		f.order(o)
		same(f, "queue", f.queue(), []ledger.LeaseID{})
		f.sets("held", f.history().Held, days(0, 4))
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "audited", []string{entries[0].Action, entries[0].Table, entries[1].Action}, []string{"lease.break", table, "stop.hold"})
	}},
	{"WaitersAreListedIfAskedFor", func(f *fixture) {
		held, first := f.request(0, 4), f.waiting(2, 6)
		f.acquire(held)
		f.w.Advance(time.Second)
		since := f.w.Now()
		first.Reads = []ledger.Claim{{Table: "main/u", Axis: day, Set: days(0, 3)}}
		f.queued(first)
		f.w.Advance(time.Second)
		same(f, "not asked for", len(f.leases(ledger.LeaseFilter{})), 1)
		same(f, "holds", len(f.leases(ledger.LeaseFilter{Holds: true, Waiting: true})), 0)
		same(f, "by table", len(f.leases(ledger.LeaseFilter{Table: table, Waiting: true})), 2)
		got := f.leases(ledger.LeaseFilter{Table: "main/u", Waiting: true})
		same(f, "of the other table", len(got), 1)
		got[0].Since = got[0].Since.UTC()
		f.behind(got[0].WaitsFor, held)
		f.sets("overlap", got[0].WaitsFor[0].Overlap, days(2, 4))
		got[0].WaitsFor = nil
		same(f, "waiter", got[0], ledger.LeaseRecord{
			ID: first.ID, Run: first.Run, Class: first.Class, Holder: first.Holder, Writes: first.Writes, Reads: first.Reads, Since: since,
			Left: ttl - time.Second, Waiting: true,
		})
		f.release(held.ID)
		got = f.leases(ledger.LeaseFilter{Run: first.Run, Waiting: true})
		same(f, "nobody is in the way", len(got[0].WaitsFor), 0)
		f.w.Kill(first.Holder)
		same(f, "who is over has left", len(f.leases(ledger.LeaseFilter{ID: first.ID, Waiting: true})), 0)
	}},
	{"WhatIsUnsettledIsNotWaitedFor", func(f *fixture) {
		req := f.request(0, 4)
		f.attempt(f.acquire(req), 0, 2)
		f.w.Kill(req.Holder)
		read := f.reading(0, 4)
		read.Wait = true
		_, err := f.l.Acquire(f.ctx, read)
		f.is(err, ledger.ErrUnsettled)
		same(f, "queue", f.queue(), []ledger.LeaseID{})
	}},
	{"TheQueueIsBounded", func(f *fixture) {
		f.acquire(f.request(0, 2*ledger.MaxWaiters))
		for i := range ledger.MaxWaiters {
			f.queued(f.waiting(calendar.Partition(i), calendar.Partition(i+1)))
		}
		one := f.waiting(ledger.MaxWaiters, ledger.MaxWaiters+1)
		_, err := f.l.Acquire(f.ctx, one)
		conflict, _ := errors.AsType[*ledger.ConflictError](err)
		if conflict == nil || conflict.Queued {
			f.Fatalf("one more got %v", err)
		}
		f.release(f.queue()[3])
		f.queued(one)
		f.w.Advance(ttl)
		f.acquire(f.request(0, 2*ledger.MaxWaiters))
		f.queued(f.waiting(0, 1)) // those who are over have left
		same(f, "queue", len(f.queue()), 1)
	}},
}

// byID is a request of which only the id is known.
func (f *fixture) byID(id ledger.LeaseID) ledger.LeaseRequest { return ledger.LeaseRequest{ID: id} }

// elsewhere is a request that has to wait in another table: to put it into the queue clears that of those who are dead.
func (f *fixture) elsewhere() ledger.LeaseRequest {
	f.Helper()
	held, waits := f.request(0, 4), f.waiting(0, 4)
	held.Writes[0].Table, waits.Writes[0].Table = "main/u", "main/u"
	_, _ = f.l.Acquire(f.ctx, held)
	return waits
}
