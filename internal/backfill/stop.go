package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// How often a runner asks whether somebody wants its run to end, and Stop whether it has; and how long Stop waits for a run whose lease it
// has ended already.
const (
	askEvery  = time.Second
	lookEvery = 200 * time.Millisecond
	lastWords = 10 * time.Second
)

// FindActive finds a run as FindRun does, but where that could mean several, it means the newest that has not ended.
func (c *Coordinator) FindActive(ctx context.Context, name string) (*ledger.RunRecord, error) {
	filter := ledger.RunFilter{Active: true, Limit: 1}
	if t := c.Tables[name]; t != nil {
		filter.Table = t.Key
	} else if name != "last" {
		return c.FindRun(ctx, name)
	}
	runs, err := c.Ledger.Runs(ctx, filter)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for run %s: %w", name, err)
	case len(runs) == 0:
		return c.FindRun(ctx, name)
	}
	return &runs[0], nil
}

// A StopAnswer says what became of a run that was asked to stop.
type StopAnswer struct {
	Run    ledger.RunRecord // as it is now
	Before bool             // it had ended before it was asked
	Dead   bool             // its process is gone
	Held   []ledger.Claim   // what was put under a hold
	Broken bool             // it did not answer, and has lost its leases
}

// StopRun asks a run to end and waits until it has. One that does not answer within the time to live of a lease loses its leases. With hold they
// end at once, and what they claimed is held, so that nothing starts it again. When ctx ends first, the run is still asked to stop.
func (c *Coordinator) StopRun(ctx context.Context, r *ledger.RunRecord, hold bool, reason string) (*StopAnswer, error) {
	out := &StopAnswer{Run: *r, Before: r.Ended, Dead: c.StateOf(r) == StateDead}
	leases, err := c.Ledger.Leases(ctx, ledger.LeaseFilter{Run: r.ID})
	if err != nil {
		return nil, fmt.Errorf("look for the leases of run %s: %w", r.ID, err)
	}
	o := c.orderOf(ledger.OrderStop, reason)
	o.Run = r.ID
	if hold {
		o.Kind = ledger.OrderStopHold
		for _, x := range leases {
			out.Held = append(out.Held, x.Writes...)
		}
		if len(out.Held) == 0 {
			out.Held = r.Sets
		}
	}
	if _, err := c.Ledger.Order(ctx, o); err != nil {
		return nil, fmt.Errorf("stop run %s: %w", r.ID, c.taken(err))
	}
	if out.Before || out.Dead {
		return out, nil
	}
	if adoptedOf(r) != nil { // nobody but us can tell it
		return out, c.endAdopted(ctx, &out.Run)
	}
	patience := c.leaseTTL()
	if hold {
		patience = lastWords
	}
	if err := c.awaitEnd(ctx, &out.Run, patience); err != nil || out.Run.Ended || hold {
		return out, err
	}
	out.Broken = true
	for _, x := range leases {
		_, err := c.BreakLease(ctx, x.ID, reason)
		var gone *InputError
		if err != nil && !errors.As(err, &gone) {
			return nil, err
		}
	}
	return out, nil
}

// awaitEnd looks at a run until it has ended, or patience is over.
func (c *Coordinator) awaitEnd(ctx context.Context, r *ledger.RunRecord, patience time.Duration) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for range patience / lookEvery {
		now, err := c.Ledger.Runs(ctx, ledger.RunFilter{ID: r.ID, Limit: 1})
		switch {
		case err != nil:
			return fmt.Errorf("look at run %s: %w", r.ID, err)
		case len(now) == 1:
			*r = now[0]
		}
		if r.Ended || c.StateOf(r) == StateDead {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// askedToStop looks whether somebody wants the run to end, or has ended its lease; nil: nobody.
func (r *runner) askedToStop(ctx context.Context) error {
	leases, err := r.Ledger.Leases(ctx, ledger.LeaseFilter{ID: r.lease.ID})
	if err != nil {
		return nil //nolint:nilerr // that the store cannot be read is noticed when the lease is renewed
	}
	if len(leases) == 1 {
		r.held.Update(leases[0].Writes)
		r.hearPause(leases[0].Paused.Asked())
		return stopped(leases[0].Stop)
	}
	runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{ID: r.record.ID, Limit: 1})
	if err == nil && len(runs) == 1 {
		if runs[0].Stop.Asked() {
			return stopped(runs[0].Stop)
		}
		r.hearPause(runs[0].Paused.Asked()) // all may have been taken from it while it was paused
	}
	if gone, ok := errors.AsType[*dispatch.StopError](r.lookAtLease(ctx)); ok {
		return gone
	}
	return nil
}

// heard makes of a chunk that has lost its lease a stopped one, where the lease was ended because somebody wants the run to stop: the chunk
// may notice before the run has asked.
func (r *runner) heard(do dispatch.Do) dispatch.Do {
	return func(ctx context.Context, c run.Chunk) run.Result {
		result := do(ctx, c)
		if result.Failed.Empty() || result.Cause != run.CauseConflict {
			return result
		}
		why, ok := errors.AsType[*dispatch.StopError](r.askedToStop(context.WithoutCancel(ctx)))
		if ok && why.Stop.Cause == run.CauseStopped {
			result.Stopped, result.Failed = result.Stopped.Union(result.Failed), calendar.Set{}
			result.Cause, result.Reason = "", why.Stop.Reason
		}
		return result
	}
}

// stopped is how a context ends because a person wants the run to end; nil where nobody does.
func stopped(s ledger.StopRequest) error {
	if !s.Asked() {
		return nil
	}
	how := "stopped"
	if s.Hold {
		how = "stopped and held"
	}
	return &dispatch.StopError{Stop: run.Stop{Cause: run.CauseStopped, Reason: fmt.Sprintf("%s by %s@%s: %s", how, s.Actor.User, s.Actor.Host, s.Reason)}}
}
