package backfill_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// ordered gives an order to the only run that is under way.
func ordered(t *testing.T, c *backfill.Coordinator, kind ledger.OrderKind) {
	t.Helper()
	runs, err := c.Ledger.Runs(t.Context(), ledger.RunFilter{Active: true})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs are under way: %v", len(runs), err)
	}
	_, err = c.Ledger.Order(t.Context(), ledger.Order{ID: "o-1", Kind: kind, Run: runs[0].ID, Actor: c.Actor(), Reason: "the wrong prices", At: c.Now()})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAStopIsHeardWithinASecond: somebody asks for it in another process while an attempt works. What was committed is recorded, the rest is
// stopped, and the run says who wanted it and why.
func TestAStopIsHeardWithinASecond(t *testing.T) {
	for _, kind := range []ledger.OrderKind{ledger.OrderStop, ledger.OrderStopHold} {
		t.Run(string(kind), func(t *testing.T) {
			s := newProof(t, folder(t))
			synctest.Test(t, func(t *testing.T) {
				s.with(t, func(c *backfill.Coordinator) {
					s.seen.published = func(ctx context.Context) {
						s.seen.published = nil
						ordered(t, c, kind)
						select {
						case <-ctx.Done():
						case <-time.After(time.Second + time.Millisecond):
							t.Error("a second later it still works")
						}
					}
					r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
					if err != nil || r.Exit != 143 || r.State != "stopped" || r.Published != 16 || r.Tables[0].Stopped != 13 {
						t.Errorf("want what was committed recorded, and the rest stopped: %v: %s", err, describe(r))
					}
					if r.Reason == nil || !strings.Contains(*r.Reason, "by "+c.Actor().User) || !strings.Contains(*r.Reason, "the wrong prices") {
						t.Errorf("the reason does not say who and why: %s", describe(r))
					}
				})
			})
			if kind == ledger.OrderStopHold {
				s.released(t)
			}
			s.settle(t)
			s.wantOnce(t)
			undisturbed := newProof(t, folder(t))
			undisturbed.settle(t)
			s.look(t).same(t, undisturbed.look(t))
		})
	}
}

// released wants a run to be refused by the hold that stop --hold has left, and releases it.
func (s *site) released(t *testing.T) {
	t.Helper()
	s.with(t, func(c *backfill.Coordinator) {
		r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
		if err != nil || r.Exit != 4 || r.Published > 0 || r.Reason == nil || !strings.Contains(*r.Reason, "the wrong prices") {
			t.Errorf("want the hold to refuse, and say why: %v: %s", err, describe(r))
		}
		daily := c.Tables["daily"]
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		held, err := c.Unhold(t.Context(), "daily", sight.Expected["daily"], "mended")
		if err != nil || !sight.Expected[daily.Name].Minus(held).Empty() {
			t.Errorf("%v was held: %v", held.Intervals(), err)
		}
	})
}

// TestAStopBeforeAnythingIsPublished: a run that was asked to stop while it reserves, or while its only attempt works, has stopped. It has not
// failed, and it has not lost its lease to anybody, though a hold may have ended it.
func TestAStopBeforeAnythingIsPublished(t *testing.T) {
	for _, kind := range []ledger.OrderKind{ledger.OrderStop, ledger.OrderStopHold} {
		for raise, when := range []string{"while it reserves", "while its attempt works", "before it hears of it"} {
			if raise == 2 && kind == ledger.OrderStop {
				continue // its lease lives: it has published by the time it hears
			}
			t.Run(string(kind)+" "+when, func(t *testing.T) {
				s := newProof(t, folder(t))
				synctest.Test(t, func(t *testing.T) {
					s.with(t, func(c *backfill.Coordinator) {
						raised := 0
						s.seen.raised = func(ctx context.Context) {
							if raised++; raised != min(raise, 1)+1 {
								return
							}
							ordered(t, c, kind)
							if raise < 2 {
								<-ctx.Done()
							}
						}
						one := plan.Range{Axis: c.Tables["daily"].Axis, Interval: calendar.Single(march(5))}
						r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}, Range: &one})
						s.seen.raised = nil
						if err != nil || r.Exit != 143 || r.State != "stopped" || r.Published > 0 {
							t.Errorf("%v: %s", err, describe(r))
						}
						if want := min(raise, 1) + 1; raised != want {
							t.Errorf("it has fenced %d times, want %d", raised, want)
						}
					})
				})
			})
		}
	}
}

// TestWhoDoesNotAnswerAStopLosesItsLease: the holder hangs for longer than its lease lives; whoever asked it to stop has then ended the lease,
// and others can have the partitions.
func TestWhoDoesNotAnswerAStopLosesItsLease(t *testing.T) {
	s := newProof(t, folder(t))
	synctest.Test(t, func(t *testing.T) {
		s.with(t, func(c *backfill.Coordinator) {
			daily := c.Tables["daily"]
			claims := []ledger.Claim{{Table: daily.Key, Axis: daily.Axis, Set: calendar.Of(march(5))}}
			record := ledger.RunRecord{ID: "r-1", State: "running", Holder: c.Holder, Sets: claims, StartedAt: c.Now()}
			if err := c.Ledger.PutRun(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			_, err := c.Ledger.Acquire(t.Context(), ledger.LeaseRequest{
				ID: "l-1", Run: "r-1", Class: ledger.ClassBackfill, Holder: c.Holder, TTL: time.Hour, Writes: claims,
			})
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.StopRun(t.Context(), &record, false, "it hangs")
			if err != nil || !out.Broken || out.Run.Ended {
				t.Fatalf("%+v, %v", out, err)
			}
			if state := c.StateOf(&out.Run); state != "stopping" {
				t.Errorf("it is shown as %s", state)
			}
			if left, err := c.Ledger.Leases(t.Context(), ledger.LeaseFilter{}); err != nil || len(left) > 0 {
				t.Errorf("%+v live, %v", left, err)
			}
		})
	})
}

// TestFenceCheck: a token may write what its attempt was started for, until its lease ends or another token has taken it over.
func TestFenceCheck(t *testing.T) {
	s := newProof(t, folder(t))
	s.with(t, func(c *backfill.Coordinator) {
		daily := c.Tables["daily"]
		may := func(token history.Token, set calendar.Set) (bool, string) {
			t.Helper()
			found, err := c.FenceCheck(t.Context(), "daily", token, set)
			if err != nil {
				t.Fatal(err)
			}
			return found.May, found.Why
		}
		s.seen.published = func(context.Context) {
			s.seen.published = nil
			attempts, err := c.Ledger.Attempts(t.Context(), ledger.AttemptFilter{Table: daily.Key})
			if err != nil || len(attempts) != 1 {
				t.Errorf("%d attempts: %v", len(attempts), err)
				return
			}
			a := attempts[0]
			first := calendar.Of(a.Set.Bounds().Start)
			for _, one := range []struct {
				what  string
				token history.Token
				set   calendar.Set
				want  bool
			}{
				{"all of it", a.Token, calendar.Set{}, true},
				{"a part", a.Token, first, true},
				{"an older token", a.Token - 1, first, false},
				{"a token that was never drawn", a.Token + 1, first, false},
				{"beyond the attempt", a.Token, a.Set.Union(calendar.Of(a.Set.Bounds().End)), false},
			} {
				if got, why := may(one.token, one.set); got != one.want {
					t.Errorf("%s: %t, %s", one.what, got, why)
				}
			}
			if err := daily.Warehouse.Raise(t.Context(), warehouse.Fence{Table: daily.Key, Set: first, Token: a.Token + 5}); err != nil {
				t.Error(err)
			}
			if got, why := may(a.Token, first); got {
				t.Errorf("where the fence is higher: %s", why)
			}
			if got, why := may(a.Token, a.Set.Minus(first)); !got {
				t.Errorf("where it is not: %s", why)
			}
			breakLease(t, c)
			if got, why := may(a.Token, a.Set.Minus(first)); got {
				t.Errorf("after its lease was broken: %s", why)
			}
		}
		if r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}}); err != nil || r.Published != 16 {
			t.Errorf("what was committed is recorded: %v: %s", err, describe(r))
		}
	})
}
