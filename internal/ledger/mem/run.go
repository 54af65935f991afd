package mem

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/ledger"
)

func (l *Ledger) run(id ledger.RunID) int {
	return slices.IndexFunc(l.runs, func(r ledger.RunRecord) bool { return r.ID == id })
}

// PutRun stores a run.
func (l *Ledger) PutRun(ctx context.Context, r ledger.RunRecord) error {
	unlock, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if r.ID == "" {
		return errors.New("a run needs an id")
	}
	r.Preempted = nil
	i := l.run(r.ID)
	switch {
	case i < 0:
		r.Stop, r.Paused = ledger.StopRequest{}, ledger.PauseRequest{}
		l.runs = append(l.runs, r)
	case r.Replaces(l.runs[i]):
		r.Stop, r.Paused = l.runs[i].Stop, l.runs[i].Paused
		l.runs[i] = r
	}
	return nil
}

// Runs lists runs.
func (l *Ledger) Runs(ctx context.Context, f ledger.RunFilter) ([]ledger.RunRecord, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.RunRecord
	for _, r := range slices.Backward(l.runs) {
		wrote := f.Table == "" || slices.ContainsFunc(r.Sets, func(c ledger.Claim) bool { return c.Table == f.Table })
		r.Preempted = l.preemptedOf(r.ID)
		if strings.HasPrefix(string(r.ID), string(f.ID)) && wrote && !(f.Active && r.Ended) && !(f.Preempted && len(r.Preempted) == 0) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b ledger.RunRecord) int { return cmp.Compare(b.StartedAt.UnixNano(), a.StartedAt.UnixNano()) })
	return out[:min(len(out), f.Most())], nil
}
