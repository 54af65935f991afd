package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// claimWarehouses makes this ledger the one that coordinates each warehouse that will be written to.
func (r *runner) claimWarehouses(ctx context.Context) error {
	done := map[string]bool{}
	for _, s := range r.plan.Steps {
		t := r.Tables[s.Table]
		if done[t.Table.Warehouse] {
			continue
		}
		done[t.Table.Warehouse] = true
		floors, err := t.Warehouse.Claim(ctx, r.asLedger())
		if err == nil {
			_, err = r.rise(ctx, t.Warehouse, floors)
		}
		if err != nil {
			return fmt.Errorf("warehouse %s: %w", t.Table.Warehouse, err)
		}
	}
	return nil
}

// claims are the partitions of all steps: the run's lease reserves its whole output, all or nothing. Cells that the calendar does not name
// are reserved with their neighbours, so that a season is one row of the ledger and not one for each stretch of game days; but for those that
// are held: a hold on a date without games is in nobody's way.
func (r *runner) claims(ctx context.Context) ([]ledger.Claim, error) {
	sets := map[string]calendar.Set{}
	var order []string
	for _, s := range r.plan.Steps {
		if _, ok := sets[s.Table]; !ok {
			order = append(order, s.Table)
		}
		sets[s.Table] = sets[s.Table].Union(s.Set)
	}
	out := make([]ledger.Claim, 0, len(order))
	err := r.sight.View.With(ctx, func(w *plan.World) error {
		for _, name := range order {
			t, kept := r.Tables[name], r.sight.Expected[name]
			if h := w.Tables[name]; h != nil {
				kept = kept.Union(h.Held)
			}
			out = append(out, ledger.Claim{Table: t.Key, Axis: t.Axis, Set: Bridge(sets[name], kept)})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("see what is held: %w", err)
	}
	return out, nil
}

// fence raises the fence over the lease's range, so that nobody who held it before can publish there, and settles what they left: what
// their markers say was committed is recorded, what has no marker never will be (rules 1, 2).
func (r *runner) fence(ctx context.Context, claims []ledger.Claim) error {
	intents, err := r.Ledger.Intents(ctx, keysOf(claims))
	if err != nil {
		return fmt.Errorf("look for what earlier runs left: %w", err)
	}
	// What is to be settled is fenced though its calendar may have lost it: its writer may still wake up.
	settles := map[string]calendar.Set{}
	for _, left := range r.lease.Settle {
		settles[left.Table] = settles[left.Table].Union(left.Set)
	}
	fences := map[warehouse.Warehouse][]warehouse.Fence{}
	for _, claim := range claims {
		t := r.Tables[r.Keys[claim.Table]]
		due := claim.Set.Intersect(r.sight.Expected[t.Name]).Union(settles[claim.Table])
		fences[t.Warehouse] = append(fences[t.Warehouse], warehouse.Fence{Table: t.Key, Set: due, Token: r.lease.Tokens[t.Key]})
	}
	for w, all := range fences {
		if err := w.Raise(ctx, all...); err != nil {
			return fmt.Errorf("fence what was reserved: %w", err)
		}
	}
	if err := r.awaitWriters(ctx); err != nil {
		return err
	}
	for _, left := range r.lease.Settle {
		if err := r.settle(ctx, left, intents); err != nil {
			return err
		}
	}
	return nil
}

// settle folds what the warehouse holds of earlier attempts into the ledger.
func (r *runner) settle(ctx context.Context, left ledger.Claim, intents []ledger.Intent) error {
	t := r.Tables[r.Keys[left.Table]]
	markers, err := t.Warehouse.Markers(ctx, t.Key, left.Set)
	if err != nil {
		return fmt.Errorf("look at what was published to %s: %w", t.Name, err)
	}
	known, err := r.Ledger.Contents(ctx, t.Key, left.Set)
	if err != nil {
		return fmt.Errorf("read what is known of %s: %w", t.Name, err)
	}
	var found []ledger.Commit
	for _, intent := range intents {
		if intent.Table != t.Key {
			continue
		}
		if commit := worker.CommitOf(intent.Attempt, markers, known); !commit.Published.Empty() {
			commit.At = r.Now()
			found = append(found, commit)
		}
	}
	if _, err := r.Ledger.Settle(ctx, r.lease.ID, t.Key, left.Set, found); err != nil {
		return fmt.Errorf("settle what an earlier run left in %s: %w", t.Name, err)
	}
	return nil
}

func keysOf(claims []ledger.Claim) []string {
	out := make([]string, 0, len(claims))
	for _, c := range claims {
		out = append(out, c.Table)
	}
	return out
}

// lost ends a context because the lease is gone.
func lost(why error) error {
	return &dispatch.StopError{Stop: run.Stop{Cause: run.CauseConflict, Reason: fmt.Sprintf("%v: %v", ledger.ErrLost, why)}}
}

// keep renews the lease until stop is called. The context that it gives ends, with ErrLost as its cause, when the lease is lost or has not
// been renewed for so long that somebody else may have it: a holder trusts its lease for less time than the ledger does. Each renewal
// extends the trust, which the shims of running commands go by even if this process is suspended, and without which nobody publishes. Timers
// stand still while the machine sleeps, so when a renewal is due is told by the boot clock (rule 8). The context also ends when somebody has
// asked the run to stop; nothing is renewed from then on.
func (r *runner) keep(ctx context.Context) (context.Context, func()) {
	held, cancel := context.WithCancelCause(ctx)
	ctx = context.WithoutCancel(ctx)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(min(askEvery, r.renewEvery()))
		defer tick.Stop()
		due, misses := r.Boot()+r.renewEvery(), 0
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			select {
			case <-quit: // both came: who is done asks no more
				return
			default:
			}
			r.tellRest(ctx)
			r.giveBack(ctx)
			if why := r.askedToStop(ctx); why != nil {
				cancel(why)
				return
			}
			now := r.Boot()
			if now < due {
				continue
			}
			due = now + r.renewEvery()
			live, err := r.renew(ctx)
			why := error(nil)
			switch {
			case live:
				misses = 0
			case err == nil:
				why = r.askedToStop(ctx)
			default:
				if misses++; misses >= 3 {
					why = lost(fmt.Errorf("it could not be renewed: %w", err))
				}
			}
			if why != nil {
				cancel(why)
				return
			}
		}
	}()
	return held, func() { close(quit); <-done; cancel(nil) }
}

// renew asks for the lease for another while, and reports whether it lives.
func (r *runner) renew(ctx context.Context) (bool, error) {
	asked := r.Boot()
	live, err := r.Ledger.Renew(ctx, []ledger.LeaseID{r.lease.ID})
	if err != nil || len(live) == 0 {
		return false, err //nolint:wrapcheck // it is told of with what it means
	}
	r.trust.Extend(asked + r.trusted())
	return true, nil
}
