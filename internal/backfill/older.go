package backfill

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/worker"
)

// refuseOlderCode keeps files that newer ones have replaced, or that are older than a fix, from writing what those wrote (rule 22). The
// ledger refuses each such attempt as well: here a person hears of it before anything is done.
func (r *runner) refuseOlderCode(ctx context.Context) error {
	if r.opts.AllowDowngrade {
		return nil
	}
	tables := make(map[string]*history.Table, len(r.plan.Steps))
	err := r.sight.View.With(ctx, func(w *plan.World) error {
		for _, s := range r.plan.Steps {
			tables[s.Table] = w.Tables[s.Table]
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range r.plan.Steps {
		t, h := r.Tables[s.Table], tables[s.Table]
		if h == nil || len(h.Versions) == 0 {
			continue
		}
		versions, err := r.Ledger.Versions(ctx, t.Key)
		if err != nil {
			return fmt.Errorf("read the code versions of %s: %w", s.Table, err)
		}
		would := ledger.AttemptRequest{Table: t.Key, Set: s.Set, Version: t.Version.Version, Code: t.Version, Asked: r.sight.Began}
		older, err := would.Older(versions, func() ([]history.Segment, error) { return h.Segments, nil })
		if err != nil {
			return err
		}
		if older != nil {
			return olderCode(t, older)
		}
	}
	return nil
}

// olderCode tells people why code is refused.
func olderCode(t *worker.Table, e *ledger.OlderCodeError) *RefusedError {
	what, next := worker.OlderCode(t.Name, t.Axis, e)
	return &RefusedError{What: what, Next: next}
}

// downgrade is why older code may replace newer content; "": it may not.
func (r *runner) downgrade() string {
	if !r.opts.AllowDowngrade {
		return ""
	}
	return r.opts.Reason
}
