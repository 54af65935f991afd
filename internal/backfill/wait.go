package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// How often Wait looks: at the state, which is polled because what wakes it may be another process; and at the sources and calendars, which
// may bring dates that were not due.
const (
	waitEvery     = time.Second
	waitLookEvery = 30 * time.Second
)

// ErrWaited says that what was waited for did not come in time.
var ErrWaited = errors.New("not fresh in time")

// Wait blocks until all partitions of the sets are fresh, or the limit has passed (0: no limit). missing is told how many are not, each
// time that changes. While it waits, it has no warehouse open: whoever makes the partitions may need the file.
func (c *Coordinator) Wait(ctx context.Context, sight *Sight, sets map[string]calendar.Set, limit time.Duration, missing func(n int)) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s have passed", ErrWaited, limit))
		defer cancel()
	}
	last := -1
	for {
		err := c.leave(ctx)
		fresh := false
		if err == nil {
			fresh, err = pollFresh(ctx, sight, sets, &last, missing)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil || fresh:
			return err
		}
		next, err := c.Look(ctx, LookOptions{Glance: true})
		switch {
		case err == nil && next.Busy == nil:
			sight = next
		case err != nil && ctx.Err() == nil:
			return err
		}
	}
}

// pollFresh asks the state again and again, until all is fresh or it is time to look at the sources.
func pollFresh(ctx context.Context, sight *Sight, sets map[string]calendar.Set, last *int, missing func(n int)) (fresh bool, err error) {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for range waitLookEvery / waitEvery {
		left := 0
		err := sight.View.With(ctx, func(w *plan.World) error {
			for name, set := range sets {
				left += set.Minus(w.JudgeWithin(name, set).Fresh).Count()
			}
			return nil
		})
		if err != nil {
			return false, err
		}
		if left != *last && (left > 0 || *last > 0) {
			missing(left)
		}
		*last = left
		if left == 0 {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-tick.C:
		}
	}
	return false, nil
}

// leave lets go of all warehouses until they are used next.
func (c *Coordinator) leave(ctx context.Context) error {
	for name, w := range c.warehouses {
		if err := w.Leave(ctx); err != nil {
			return fmt.Errorf("warehouse %s: %w", name, err)
		}
	}
	return nil
}
