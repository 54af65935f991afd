package worker

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// A View is a world kept up with the ledger. Several goroutines may ask it; each answer is one consistent reading.
type View struct {
	mu     sync.Mutex
	world  *plan.World
	ledger ledger.Ledger
	keys   []string          // of all tables of the world
	names  map[string]string // table name by key
	tables map[string]*history.Table
	own    map[string]calendar.Set // by key: what the asking run itself has reserved, which it does not wait for

	asked  atomic.Int64 // how often anybody has asked
	served int64        // of these, the first so many were asked before the reading that the world is of; under mu
}

// Own tells the view what the asking run has reserved itself.
func (v *View) Own(claims []ledger.Claim) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.own = map[string]calendar.Set{}
	for _, c := range claims {
		v.own[c.Table] = v.own[c.Table].Union(c.Set)
	}
}

// NewView keeps up a world that was made from a snapshot of the ledger. names leads from ledger keys to table names.
func NewView(w *plan.World, l ledger.Ledger, names map[string]string) *View {
	v := &View{world: w, ledger: l, names: names, tables: map[string]*history.Table{}}
	for key, name := range names {
		v.keys = append(v.keys, key)
		if t := w.Tables[name]; t != nil {
			v.tables[name] = t
		}
	}
	return v
}

// With gives fn the world, up to date, while no one else has it.
func (v *View) With(ctx context.Context, fn func(w *plan.World) error) error {
	number := v.asked.Add(1)
	v.mu.Lock()
	defer v.mu.Unlock()
	// While one reads, others come to wait. The first of them reads for all that wait by then: its reading is younger than their questions.
	if v.served < number {
		runtime.Gosched() // those that were answered by the same commit come to ask as well
		asked := v.asked.Load()
		if err := v.refresh(ctx); err != nil {
			return err
		}
		v.served = asked
	}
	return fn(v.world)
}

// refresh lays what has changed in the ledger over the world.
func (v *View) refresh(ctx context.Context) error {
	changed, err := v.ledger.Changes(ctx, v.world.Seq, v.keys)
	if err != nil {
		return fmt.Errorf("look at what changed in the state: %w", err)
	}
	for key, now := range changed.Tables {
		name := v.names[key]
		merged, altered := *now, calendar.All()
		if old := v.tables[name]; old != nil {
			published := history.Covered(now.Segments)
			merged.Segments = history.Overlay(old.Segments, now.Segments)
			merged.Verdicts = history.Overlay(history.Without(old.Verdicts, published), now.Verdicts)
			if slices.Equal(old.Moves, now.Moves) {
				merged.Moves, altered = old.Moves, published.Union(history.Covered(now.Verdicts))
			}
		}
		merged.Reserved = merged.Reserved.Minus(v.own[key])
		merged.InFlight = merged.InFlight.Minus(v.own[key])
		v.tables[name] = &merged
		v.world.Update(name, &merged, changed.Seq, altered)
	}
	v.world.Seq = changed.Seq
	return nil
}
