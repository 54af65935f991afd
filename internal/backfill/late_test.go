package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
)

// again is a run in the process that is open already: the report, and what kept it from being carried out.
func again(ctx context.Context, t *testing.T, c *backfill.Coordinator, req plan.Request) (*backfill.Report, error) {
	t.Helper()
	sight, err := c.Look(t.Context(), backfill.LookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan(t.Context(), sight, req)
	if err != nil {
		t.Fatal(err)
	}
	return c.Run(ctx, sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, MaxParallel: 1})
}

// TestI2_AWriterWakesAfterItsRangeWasSettled: it hung right before it published, longer than its lease. Another run has fenced, looked and
// settled by then, and computed nothing yet. What was settled as never committed must never be, also of a date that the calendar has lost.
func TestI2_AWriterWakesAfterItsRangeWasSettled(t *testing.T) {
	for _, how := range []string{"its lease is over", "its lease is broken", "its date is lost"} {
		t.Run(how, func(t *testing.T) {
			s := newProof(t, folder(t))
			lost := how == "its date is lost"
			late, other := plan.Request{Tables: []string{"daily"}}, plan.Request{Tables: []string{"daily"}}
			lose := func(*site) {}
			if lost {
				day := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
				late.Range = &plan.Range{Axis: day, Interval: calendar.Single(march(12))}
				lose = func(s *site) { s.edit(t, "days.csv", "2024-03-12\n", "") }
			}
			s.with(t, func(c *backfill.Coordinator) {
				s.wakeLate(t, c, late, other, func() {
					if how == "its lease is broken" {
						breakLease(t, c)
					} else {
						s.ticks.Add(int64(time.Hour))
					}
					lose(s)
				})
			})
			if n := s.seen.publishes(); n > 0 {
				t.Errorf("%d partitions were published by a writer that had lost them", n)
			}
			s.settle(t)
			s.wantOnce(t)
			undisturbed := newProof(t, folder(t))
			lose(undisturbed)
			undisturbed.settle(t)
			got, want := s.look(t), undisturbed.look(t)
			for _, table := range proofTables { // of the sources a date is lost as well, which only one of the sites has seen
				diff(t, "rows of "+table, got.rows[table], want.rows[table])
				diff(t, "the ledger's word on "+table, got.ledger[table], want.ledger[table])
			}
		})
	}
}

// breakLease ends the only lease that lives.
func breakLease(t *testing.T, c *backfill.Coordinator) {
	t.Helper()
	leases, err := c.Ledger.Leases(t.Context(), ledger.LeaseFilter{})
	if err != nil || len(leases) != 1 {
		t.Fatalf("%d leases: %v", len(leases), err)
	}
	if _, err := c.BreakLease(t.Context(), leases[0].ID, "it hangs"); err != nil {
		t.Fatal(err)
	}
}

// wakeLate runs one request, which hangs before its first publish until its lease has ended and another run has settled what it left.
func (s *site) wakeLate(t *testing.T, c *backfill.Coordinator, late, other plan.Request, meanwhile func()) {
	settled := 0
	s.seen.beforePub = func(warehouse.Publication) {
		s.seen.beforePub = nil
		meanwhile()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		s.seen.settled = func() {
			settled++
			stop()
		}
		if r, err := again(ctx, t, c, other); r == nil || r.Published > 0 || ctx.Err() == nil {
			t.Errorf("the other run: %v: %s", err, describe(r))
		}
		s.seen.settled = nil
	}
	r, err := again(t.Context(), t, c, late)
	if err != nil || r.Exit != 4 || r.Published > 0 {
		t.Errorf("the late writer: %v: %s", err, describe(r))
	}
	if settled != 1 {
		t.Errorf("the other run has settled %d times, want once", settled)
	}
}

// publishAs records that a version of a producer has published one partition of a table, by a run of a class.
func publishAs(t *testing.T, c *backfill.Coordinator, class ledger.Class, table, producer, version string, p calendar.Partition) {
	t.Helper()
	ctx, to := t.Context(), c.Tables[table]
	set := calendar.Of(p)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Ledger.Acquire(ctx, ledger.LeaseRequest{
		ID: "l-newer", Run: "r-newer", Class: class, Holder: c.Holder, TTL: time.Hour, Settles: true,
		Writes: []ledger.Claim{{Table: to.Key, Axis: to.Axis, Set: set}},
	})
	must(err)
	head, err := c.Ledger.Head(ctx)
	must(err)
	a, err := c.Ledger.StartAttempt(ctx, ledger.AttemptRequest{
		ID: "a-newer", Lease: "l-newer", Run: "r-newer", Table: to.Key, Set: set, Version: version, ReadSeq: head, At: c.Now(),
		Code: ledger.VersionRecord{Version: version, Producer: producer},
	})
	must(err)
	must(c.Ledger.Intend(ctx, ledger.Intent{
		Attempt: a.ID, Run: a.Run, Table: a.Table, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version,
		Publish: []ledger.Content{{Partition: p, Rows: 1, Fingerprint: "newer"}},
	}))
	_, err = c.Ledger.Record(ctx, ledger.Commit{Attempt: a.ID, Published: set, At: c.Now()})
	must(err)
	must(c.Ledger.Release(ctx, "l-newer", nil))
}

// TestRule22_OlderCodeIsRefusedWhenItIsGranted: newer code has published after the run was let in, and before it got its lease.
func TestRule22_OlderCodeIsRefusedWhenItIsGranted(t *testing.T) {
	s := madeProof(t)
	before := s.look(t)
	published := s.seen.publishes()
	s.with(t, func(c *backfill.Coordinator) {
		_, err := c.Mark(t.Context(), backfill.MarkRequest{Table: "season", Set: calendar.Of(march(3)), Kind: ledger.MarkStale, Reason: "test"})
		if err != nil {
			t.Fatal(err)
		}
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Plan(t.Context(), sight, plan.Request{Tables: []string{"season"}})
		if err != nil || p.Partitions() != 1 {
			t.Fatalf("%d partitions planned: %v", p.Partitions(), err)
		}
		r, err := c.Run(t.Context(), sight, p, backfill.RunOptions{
			Class: ledger.ClassBackfill, OnStart: func(ledger.RunID, int) { publishAs(t, c, ledger.ClassBackfill, "season", "season", "newer", march(3)) },
		})
		if _, refused := errors.AsType[*backfill.RefusedError](err); !refused || r.Exit != 3 {
			t.Errorf("older code: %v: %s", err, describe(r))
		}
	})
	if n := s.seen.publishes() - published; n > 0 {
		t.Errorf("%d partitions were published by older code", n)
	}
	diff(t, "rows of season", s.look(t).rows["season"], before.rows["season"])
}

// TestRule11_TheClockIsReadBeforeTheInputs: a source changes after an attempt has read it and before it publishes. What it publishes is stale.
func TestRule11_TheClockIsReadBeforeTheInputs(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		orders := c.Tables["orders"]
		s.seen.beforePub = func(warehouse.Publication) {
			s.seen.beforePub = nil
			_, err := c.Ledger.Observe(t.Context(), ledger.Observation{At: s.now(), Sources: []ledger.Seen{{
				Table: orders.Key, Axis: orders.Axis, Looked: calendar.Of(march(5)),
				Contents: []ledger.Content{{Partition: march(5), Rows: 1, Fingerprint: "other"}},
			}}})
			if err != nil {
				t.Error(err)
			}
		}
		r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
		if err != nil || r.Exit != 0 {
			t.Fatalf("%v: %s", err, describe(r))
		}
		for _, one := range r.StaleAfter {
			if one.Table == "daily" && one.Partitions == 1 {
				return
			}
		}
		t.Errorf("what was read before the change is called fresh: stale after the run %+v", r.StaleAfter)
	})
}

// TestRule11_ARecordThatFailsIsRepeated: what the warehouse has committed is recorded by the run that committed it, if it lives.
func TestRule11_ARecordThatFailsIsRepeated(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := newProof(t, folder(t))
		probe := s.copyTo(t, folder(t))
		probe.faults = &faults{}
		probe.mustRun(t, 0)
		first := slices.Index(probe.faults.names, "ledger.Record") + 1
		probe.faults = nil
		s.faults = &faults{at: first, after: after}
		s.mustRun(t, 0)
		s.faults = nil
		s.wantOnce(t)
		s.look(t).same(t, probe.look(t))
	}
}

// TestRule11_StoppedRightAfterTheCommit: a run that is told to stop when the warehouse has just committed records it all the same.
func TestRule11_StoppedRightAfterTheCommit(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		s.seen.published = func(ctx context.Context) {
			stop()
			<-ctx.Done()
		}
		r, err := again(ctx, t, c, plan.Request{Tables: []string{"daily"}})
		s.seen.published = nil
		if err != nil || r.Exit != 143 || r.Published != 16 {
			t.Errorf("want its first chunk of 16 published, and the rest stopped: %v: %s", err, describe(r))
		}
	})
	if j := s.judged(t, "daily"); !j.Unsettled.Empty() || j.Fresh.Count() != 16 {
		t.Errorf("after it: unsettled %v, fresh %v", j.Unsettled, j.Fresh)
	}
}

// TestI1_AHolderStopsWhenItsLeaseIsLost: another run has taken the range over while an attempt works; at the next renewal it is stopped.
func TestI1_AHolderStopsWhenItsLeaseIsLost(t *testing.T) {
	s := newProof(t, folder(t))
	synctest.Test(t, func(t *testing.T) {
		s.with(t, func(c *backfill.Coordinator) {
			daily := c.Tables["daily"]
			s.seen.published = func(ctx context.Context) {
				s.seen.published = nil
				s.ticks.Add(int64(time.Hour))
				_, err := c.Ledger.Acquire(t.Context(), ledger.LeaseRequest{
					ID: "l-other", Run: "r-other", Class: ledger.ClassBackfill, Holder: c.Holder, TTL: time.Minute, Settles: true,
					Writes: []ledger.Claim{{Table: daily.Key, Axis: daily.Axis, Set: calendar.Of(march(31))}},
				})
				if err != nil {
					t.Error(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
					t.Error("an hour after it has lost its lease it still works")
				}
			}
			r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
			if err != nil || r.Exit != 5 || r.Published != 16 || r.Tables[0].Stopped != 13 {
				t.Errorf("want what was committed recorded, and the rest stopped: %v: %s", err, describe(r))
			}
		})
	})
}

// TestAStopBeforeTheFirstChunk: whoever stops a run that still reserves and fences has stopped it; it has not failed.
func TestAStopBeforeTheFirstChunk(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Plan(t.Context(), sight, plan.Request{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		r, err := c.Run(ctx, sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, OnStart: func(ledger.RunID, int) {
			cancel(&dispatch.StopError{Stop: run.Stop{Cause: run.CauseStopped, Signal: 2, Reason: "interrupted"}})
		}})
		if err == nil || r == nil || r.State != "stopped" || r.Exit != 130 || r.Published != 0 {
			t.Errorf("%v: %+v", err, r)
		}
	})
	s.mustRun(t, 0)
}

// A trusting executor computes nothing: it watches for ten minutes how long the lease is trusted, while renewals come and, at last, fail.
type trusting struct {
	boot     func() time.Duration
	fail     func()
	told     []time.Duration // what was left of the trust, each second
	lateness time.Duration   // how long after the trust's end the attempt was stopped
}

func (e *trusting) Produce(ctx context.Context, t executor.Task) (*warehouse.Stage, *executor.Report, error) {
	for range 600 {
		<-time.After(time.Second)
		until, _ := t.Trust.Until()
		e.told = append(e.told, until-e.boot())
	}
	e.fail()
	<-ctx.Done()
	until, _ := t.Trust.Until()
	e.lateness = e.boot() - until
	return nil, nil, context.Cause(ctx)
}

// An unreachable ledger renews nothing once it is down.
type unreachable struct {
	ledger.Ledger
	down atomic.Bool
}

func (l *unreachable) Renew(ctx context.Context, leases []ledger.LeaseID) ([]ledger.LeaseID, error) {
	if l.down.Load() {
		return nil, errInjected
	}
	return l.Ledger.Renew(ctx, leases)
}

// TestTrustIsRenewed: what works under a lease is told how long it is trusted, each time that it is renewed: always for a while, and never
// for so long that it could not be ended before the ledger gives the partitions to somebody else.
func TestTrustIsRenewed(t *testing.T) {
	s := newProof(t, folder(t))
	synctest.Test(t, func(t *testing.T) {
		s.with(t, func(c *backfill.Coordinator) {
			began := time.Now()
			c.Boot = func() time.Duration { return time.Hour + time.Since(began) }
			l := &unreachable{Ledger: c.Ledger}
			c.Ledger = l
			e := &trusting{boot: c.Boot, fail: func() { l.down.Store(true) }}
			c.Tables["daily"].Executor = e
			report, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
			if err != nil || report.Published != 0 {
				t.Errorf("%v: %s", err, describe(report))
			}
			for i, left := range e.told {
				if left <= 0 || left > 45*time.Second {
					t.Errorf("after %d s the lease is trusted for %s more", i+1, left)
					break
				}
			}
			if len(e.told) != 600 || e.lateness > 0 {
				t.Errorf("%d seconds, and it was stopped %s after the trust had ended", len(e.told), e.lateness)
			}
		})
	})
}

// A sleepy executor lets the machine sleep for an hour in each of its first attempts: its lease is not renewed in time.
type sleepy struct {
	executor.Executor
	slept atomic.Int64
}

func (e *sleepy) Produce(ctx context.Context, t executor.Task) (*warehouse.Stage, *executor.Report, error) {
	if until, _ := t.Trust.Until(); e.slept.Load() < 6 {
		e.slept.Add(1)
		return nil, nil, fmt.Errorf("trusted until %s: %w", until, executor.ErrTrust)
	}
	return e.Executor.Produce(ctx, t)
}

// TestTheMachineSlept: commands are stopped when the machine wakes up and their lease was not renewed in time. Nobody wanted the partitions
// meanwhile: once the lease is renewed the attempt is made again, however often that happens, and none of it counts as a failure.
func TestTheMachineSlept(t *testing.T) {
	s := newProof(t, folder(t))
	synctest.Test(t, func(t *testing.T) {
		s.with(t, func(c *backfill.Coordinator) {
			began := time.Now()
			e := &sleepy{Executor: c.Tables["daily"].Executor}
			c.Boot = func() time.Duration { return time.Since(began) + time.Duration(e.slept.Load())*time.Hour }
			c.Tables["daily"].Executor = e
			report, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
			if err != nil || report.Exit != 0 || e.slept.Load() != 6 {
				t.Errorf("slept %d times, %v: %s", e.slept.Load(), err, describe(report))
			}
			attempts, err := c.Ledger.Attempts(t.Context(), ledger.AttemptFilter{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(attempts, func(a ledger.AttemptRecord) bool { return a.State == ledger.AttemptFailed }) {
				t.Error("an attempt counts as failed")
			}
			if took := time.Since(began); took < 6*time.Second {
				t.Errorf("it took %s: no renewal was waited for", took)
			}
		})
	})
}

// A napping executor computes, and lets the machine sleep for an hour right afterwards, the first time.
type napping struct {
	executor.Executor
	sleep func()
}

func (e *napping) Produce(ctx context.Context, t executor.Task) (*warehouse.Stage, *executor.Report, error) {
	stage, report, err := e.Executor.Produce(ctx, t)
	if e.sleep != nil {
		e.sleep()
		e.sleep = nil
	}
	return stage, report, err
}

// TestRule8_TheMachineSlept: it sleeps for an hour between an attempt's computing and its publish. With nobody waiting the run goes on; with
// somebody waiting, who has slept as well, it stops before it writes, and within a second or two: its own timers have stood still.
func TestRule8_TheMachineSlept(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("somebody waits: %t", waits), func(t *testing.T) {
			s := newProof(t, folder(t))
			synctest.Test(t, func(t *testing.T) { s.sleepInTheMiddle(t, waits) })
		})
	}
}

func (s *site) sleepInTheMiddle(t *testing.T, waits bool) {
	s.with(t, func(c *backfill.Coordinator) {
		c.Boot = func() time.Duration { return time.Hour + time.Duration(s.ticks.Load()) }
		daily := c.Tables["daily"]
		waiter := ledger.LeaseRequest{
			ID: "l-waits", Run: "r-waits", Class: ledger.ClassBackfill, Holder: c.Holder, TTL: time.Minute, Settles: true, Wait: true,
			Writes: []ledger.Claim{{Table: daily.Key, Axis: daily.Axis, Set: calendar.Of(march(31))}},
		}
		var woke time.Time
		daily.Executor = &napping{daily.Executor, func() {
			if waits {
				_, err := c.Ledger.Acquire(t.Context(), waiter)
				if conflict, ok := errors.AsType[*ledger.ConflictError](err); !ok || !conflict.Queued {
					t.Errorf("it does not wait: %v", err)
				}
			}
			s.ticks.Add(int64(time.Hour))
			woke = time.Now()
		}}
		r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
		if !waits {
			if err != nil || r.Exit != 0 || r.Published != 29 {
				t.Errorf("nobody waits, and it does not go on: %v: %s", err, describe(r))
			}
			return
		}
		if err != nil || r.Exit != 4 || r.Published != 0 || s.seen.publishes() != 0 {
			t.Errorf("somebody waits, and it published %d: %v: %s", s.seen.publishes(), err, describe(r))
		}
		if took := time.Since(woke); took > 2*time.Second {
			t.Errorf("it stopped %s after it woke up", took)
		}
		if _, err := c.Ledger.Acquire(t.Context(), waiter); err != nil {
			t.Errorf("who waited: %v", err)
		}
	})
}

// TestRule7_TakenWhileItSlept: the machine sleeps, and before the lease is renewed a fix takes all that it has. The run ends: it does not wait
// for a renewal that never comes.
func TestRule7_TakenWhileItSlept(t *testing.T) {
	s := newProof(t, folder(t))
	synctest.Test(t, func(t *testing.T) {
		s.with(t, func(c *backfill.Coordinator) {
			began := time.Now()
			var slept atomic.Int64
			c.Boot = func() time.Duration { return time.Since(began) + time.Duration(slept.Load()) }
			daily := c.Tables["daily"]
			daily.Executor = failing(func() error {
				slept.Store(int64(time.Hour))
				_, err := c.Ledger.Acquire(t.Context(), ledger.LeaseRequest{
					ID: "l-fix", Run: "r-fix", Class: ledger.ClassFix, Holder: c.Holder, TTL: time.Hour, Settles: true, Preempt: true,
					Writes: []ledger.Claim{{Table: daily.Key, Axis: daily.Axis, Set: calendar.All()}},
				})
				if err != nil {
					t.Error(err)
				}
				return executor.ErrTrust
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			r, err := again(ctx, t, c, plan.Request{Tables: []string{"daily"}})
			if err != nil || ctx.Err() != nil || r.Published != 0 {
				t.Errorf("%v, %v: %s", err, ctx.Err(), describe(r))
			}
		})
	})
}

// failing is an executor that only fails.
type failing func() error

func (fail failing) Produce(context.Context, executor.Task) (*warehouse.Stage, *executor.Report, error) {
	return nil, nil, fail()
}
