package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// A trial is a set that is tried until it is done, or cannot be.
type trial struct {
	*Worker
	table *Table
	set   calendar.Set
	end   func() // of the turn with the warehouse that it has
	j     judged
	rest  run.Result // of what is not attempted
	out   outcome
}

// try judges a set and attempts what of it is to be computed, again as often as the table allows, and then in halves: rows of one
// partition that cannot be computed must not fail the others. The world is asked anew before every attempt (rule 21), in the turn with the
// warehouse in which it is made: who waits for a turn has nothing in flight, and what was found before it may be over.
func (w *Worker) try(ctx context.Context, t *Table, set calendar.Set, budget *int) run.Result {
	x := &trial{Worker: w, table: t, set: set}
	if err := x.judgeInTurn(ctx); err != nil {
		return failure(ctx, t, set, err)
	}
	defer func() { x.end() }()
	if x.j.set.Empty() {
		return x.rest
	}
	if why, err := w.Prepare(ctx, t.Name); err != nil {
		return add(x.rest, failure(ctx, t, x.j.set, err))
	} else if why != "" {
		return add(x.rest, run.Result{Blocked: x.j.set, Reason: why})
	}
	err := w.Backoff.Retry(ctx, 1+t.Retries, permanent, x.once)
	switch {
	case err == nil:
		return add(x.rest, w.done(t, x.out))
	case x.j.set.Count() > 1 && *budget >= 2 && ctx.Err() == nil && splittable(err):
		*budget -= 2
		halves := x.j.set.Chunks((x.j.set.Count() + 1) / 2)
		result := add(x.rest, w.try(ctx, t, halves[0], budget))
		return add(result, w.try(ctx, t, halves[1], budget))
	}
	return add(x.rest, failure(ctx, t, x.j.set, fmt.Errorf("%s %s: %w", t.Name, t.Axis.FormatSet(x.j.set, 2), err)))
}

// judgeInTurn takes a turn with the warehouse, and judges the set within it.
func (x *trial) judgeInTurn(ctx context.Context) (err error) {
	if x.end, err = x.table.Warehouse.Turn(ctx); err != nil {
		return err
	}
	if x.j, err = x.judge(ctx, x.table, x.set); err != nil {
		x.end()
		return err
	}
	x.rest = passive(x.j)
	return nil
}

// once is one try, the first of which has been judged already. What is nobody's fault is no try: it is made again, with what is left of the set.
func (x *trial) once(ctx context.Context, number int) error {
	for again := number > 1; ; again = true {
		if again {
			if err := x.judgeInTurn(ctx); err != nil || x.j.set.Empty() {
				x.out = outcome{}
				return err
			}
		}
		var err error
		x.out, err = x.attemptHeld(context.WithValue(ctx, turnKey{}, x.end), x.table, x.j, number)
		x.end() // who waits to try again, or is done, keeps nobody from the file
		switch {
		case errors.Is(err, ErrTaken): // the rest of the set is still the run's
			continue
		case errors.Is(err, ledger.ErrPaused):
			err = x.Resumed(ctx)
		case errors.Is(err, executor.ErrTrust):
			// The machine slept, or the process was suspended.
			err = x.trusted(ctx, ledger.Claim{Table: x.table.Key, Set: x.j.set})
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
}

// trusted waits until the lease is trusted again, or the run has some of the claims no more: what was taken wholly is never renewed, and then
// what is left is to be judged again. Otherwise it ends with ctx.
func (w *Worker) trusted(ctx context.Context, claims ...ledger.Claim) error {
	within, done := w.Held.attempt(ctx, claims...)
	defer done()
	err := w.Trust.Wait(within)
	if ctx.Err() == nil && errors.Is(err, ErrTaken) {
		return nil
	}
	return err
}
