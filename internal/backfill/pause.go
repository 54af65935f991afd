package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/ledger"
)

// StatePaused is what a run is called that starts nothing until it is resumed.
const StatePaused = "paused"

// PauseRun keeps a run from starting anything, or lets it go on. What it has in flight comes to its end; what it has only reserved others may
// take meanwhile.
func (c *Coordinator) PauseRun(ctx context.Context, r *ledger.RunRecord, paused bool, reason string) error {
	kind, verb := ledger.OrderPause, "pause"
	if !paused {
		kind, verb = ledger.OrderResume, "resume"
	}
	switch {
	case r.Ended:
		return &InputError{What: fmt.Sprintf("run %s has ended: %s", r.ID, r.State), Next: "what it left can be done again with `headway retry " + string(r.ID) + "`"}
	case c.StateOf(r) == StateDead:
		return &InputError{What: fmt.Sprintf("run %s is dead: its process is gone", r.ID), Next: "what it left can be done again with `headway retry " + string(r.ID) + "`"}
	case adoptedOf(r) != nil:
		return &InputError{What: fmt.Sprintf("run %s is a process that was adopted: it cannot be told to %s", r.ID, verb), Next: "stop it with `headway stop " + string(r.ID) + "`"}
	case r.Paused.Asked() == paused:
		return nil
	}
	o := c.orderOf(kind, reason)
	o.Run = r.ID
	if _, err := c.Ledger.Order(ctx, o); err != nil {
		return fmt.Errorf("%s run %s: %w", verb, r.ID, err)
	}
	return nil
}

// hearPause passes on to the dispatcher whether the run is paused, when that has changed.
func (r *runner) hearPause(paused bool) {
	if paused == r.paused {
		return
	}
	select {
	case r.pauses <- paused:
		r.paused = paused
	default: // the dispatcher has not taken the last one yet: it hears of this at the next look
	}
}

// resumed waits while the run is paused: a chunk that was begun just then starts no attempt.
func (r *runner) resumed(ctx context.Context) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{ID: r.record.ID, Limit: 1})
		if err != nil || len(runs) == 0 || !runs[0].Paused.Asked() {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
