package backfill

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// maxActive bounds how many runs that are under way are asked for their stages.
const maxActive = 1000

// sweep drops the stages that processes left behind which were killed: nobody will publish them. What an attempt under way has staged, and
// what was kept aside because it failed its checks, stays. That a stage could not be dropped keeps no run from anything.
func (r *runner) sweep(ctx context.Context) {
	keep, err := r.staged(ctx)
	if err != nil {
		r.Log.Warn("the stages of earlier runs cannot be told from those in use: all stay", "run", r.record.ID, "error", err)
		return
	}
	done := map[warehouse.Warehouse]bool{}
	for _, s := range r.plan.Steps {
		w := r.Tables[s.Table].Warehouse
		if done[w] {
			continue
		}
		done[w] = true
		if err := w.Sweep(ctx, keep); err != nil {
			r.Log.Warn("the stages of earlier runs could not be dropped", "run", r.record.ID, "error", err)
		}
	}
}

// staged are the attempts whose stages are wanted. Those under way are read first: one that ends meanwhile is then found by its verdict.
func (r *runner) staged(ctx context.Context) (map[string]bool, error) {
	keep := map[string]bool{}
	active, err := r.Ledger.Runs(ctx, ledger.RunFilter{Active: true, Limit: maxActive})
	if err != nil {
		return nil, fmt.Errorf("look for runs under way: %w", err)
	}
	if len(active) == maxActive {
		return nil, fmt.Errorf("%d runs are under way", maxActive)
	}
	for _, other := range active {
		attempts, err := r.Ledger.Attempts(ctx, ledger.AttemptFilter{Run: other.ID})
		if err != nil {
			return nil, fmt.Errorf("look for what run %s has staged: %w", other.ID, err)
		}
		for _, a := range attempts {
			if a.EndedAt.IsZero() {
				keep[string(a.ID)] = true
			}
		}
	}
	err = r.sight.View.With(ctx, func(w *plan.World) error {
		for _, t := range w.Tables {
			for _, v := range t.Verdicts {
				if v.Outcome == history.Quarantined {
					keep[v.Attempt] = true
				}
			}
		}
		return nil
	})
	return keep, err
}
