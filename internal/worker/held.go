package worker

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// ErrTaken ends the context of an attempt some of whose partitions a run of a higher class has taken. The rest of them may be tried again.
var ErrTaken = errors.New("a run of a higher class has taken some of its partitions")

// Held is what a run's lease still claims: a run of a higher class may take from it (rule 7). Its methods may be called from many goroutines.
type Held struct {
	mu      sync.Mutex
	sets    map[string]calendar.Set // by the table's key
	flights map[*flight]bool
}

// A flight is an attempt that runs.
type flight struct {
	claims []ledger.Claim // of each table that it is for
	cancel context.CancelCauseFunc
}

// NewHeld begins with what was claimed.
func NewHeld(claims []ledger.Claim) *Held {
	h := &Held{flights: map[*flight]bool{}}
	h.Update(claims)
	return h
}

// Update takes in what is claimed now, and cancels the attempts that go beyond it.
func (h *Held) Update(claims []ledger.Claim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = make(map[string]calendar.Set, len(claims))
	for _, c := range claims {
		h.sets[c.Table] = h.sets[c.Table].Union(c.Set)
	}
	for f := range h.flights {
		if !h.cover(f.claims) {
			f.cancel(ErrTaken)
		}
	}
}

// cover reports whether all of the claims are held.
func (h *Held) cover(claims []ledger.Claim) bool {
	return !slices.ContainsFunc(claims, func(c ledger.Claim) bool { return !h.sets[c.Table].Covers(c.Set) })
}

// Of is what is claimed of a table, by its key.
func (h *Held) Of(table string) calendar.Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sets[table]
}

// attempt gives an attempt, or those that are made together, a context that ends, because of ErrTaken, when some of the partitions are taken.
// The caller ends it by done.
func (h *Held) attempt(ctx context.Context, claims ...ledger.Claim) (within context.Context, done func()) {
	within, cancel := context.WithCancelCause(ctx)
	f := &flight{claims: claims, cancel: cancel}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flights[f] = true
	if !h.cover(claims) {
		cancel(ErrTaken)
	}
	return within, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.flights, f)
		cancel(nil)
	}
}
