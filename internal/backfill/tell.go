package backfill

import (
	"context"
	"time"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// tellEvery is how often a run's progress is stored at most, for ps of other processes.
const tellEvery = time.Second

// tell stores how far the run is, now and then.
func (r *runner) tell(ctx context.Context, e run.Event) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if e.Kind == run.Finished {
		r.giving.ended(e.Chunk)
	}
	if r.machine.State().Ended() {
		return
	}
	r.record.State = ledger.RunState(r.machine.State())
	r.ended, _ = r.machine.Progress()
	r.record.Done = r.ended + r.underWay()
	r.untold = true
	if now := r.Now(); now.Sub(r.told) >= tellEvery {
		r.told = now
		r.store(ctx)
	}
}

// progress takes in how far an attempt is by its own account.
func (r *runner) progress(id ledger.AttemptID, partitions int) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if delete(r.partly, id); partitions > 0 {
		r.partly[id] = partitions
	}
	r.record.Done, r.untold = min(r.ended+r.underWay(), r.record.Total), true
}

func (r *runner) underWay() int {
	n := 0
	for _, partitions := range r.partly {
		n += partitions
	}
	return n
}

// tellRest stores what tell has not: where nothing happens for long, the last thing that did is known all the same.
func (r *runner) tellRest(ctx context.Context) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.untold {
		r.store(ctx)
	}
}

// store stores the run. That it could not be stored is no reason to stop: the end will be.
func (r *runner) store(ctx context.Context) {
	r.untold = false
	if err := r.Ledger.PutRun(context.WithoutCancel(ctx), r.record); err != nil {
		r.Log.Warn("the run's progress could not be stored", "run", r.record.ID, "error", err)
	}
}
