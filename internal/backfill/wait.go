package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// waitEvery is how often Wait looks. The state is polled: what wakes it may be another process.
const waitEvery = time.Second

// ErrWaited says that what was waited for did not come in time.
var ErrWaited = errors.New("not fresh in time")

// Wait blocks until all partitions of the sets are fresh, or the limit has passed (0: no limit). missing is told how many are not, each
// time that changes.
func (c *Coordinator) Wait(ctx context.Context, sight *Sight, sets map[string]calendar.Set, limit time.Duration, missing func(n int)) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s have passed", ErrWaited, limit))
		defer cancel()
	}
	last := -1
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		left := 0
		err := sight.View.With(ctx, func(w *plan.World) error {
			for name, set := range sets {
				left += set.Minus(w.JudgeWithin(name, set).Fresh).Count()
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && left == 0 {
			if last > 0 {
				missing(0)
			}
			return nil
		}
		if left != last {
			last = left
			missing(left)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
