package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
)

// A share is one table of a chunk that several tables are made in. Each has an attempt of its own, and comes to an end of its own.
type share struct {
	t       *Table
	set     calendar.Set // what the chunk is for
	j       judged
	attempt *ledger.Attempt
	log     io.WriteCloser
	task    executor.Task
	out     outcome
	err     error      // why the last attempt published nothing
	result  run.Result // what is known to have become of set
}

// together carries out a chunk of tables that one command makes.
func (w *Worker) together(ctx context.Context, c run.Chunk) run.Result {
	var shares []*share
	for _, p := range c.Parts() {
		shares = append(shares, &share{t: w.Tables[p.Table], set: p.Set})
	}
	budget := splitBudget
	w.tryTogether(ctx, shares, &budget)
	out := shares[0].result
	for _, s := range shares[1:] {
		out.With = append(out.With, s.result)
	}
	return out
}

// tryTogether is try for several tables: what came to nothing is tried again, and what came to its end is not.
func (w *Worker) tryTogether(ctx context.Context, shares []*share, budget *int) {
	open, err := w.open(ctx, shares)
	if err != nil || len(open) == 0 {
		return
	}
	_ = w.Backoff.Retry(ctx, 1+open[0].t.Retries, finally, func(ctx context.Context, number int) error {
		for again := number > 1; ; again = true {
			if again {
				if open, err = w.open(ctx, open); err != nil || len(open) == 0 {
					return err
				}
			}
			w.attemptTogether(ctx, open, number)
			open, err = w.rest(open)
			if errors.Is(err, ErrTaken) {
				continue // the rest of the chunk is still the run's
			}
			if !errors.Is(err, executor.ErrTrust) {
				return err
			}
			if waitErr := w.trusted(ctx, claimsOf(open)...); waitErr != nil {
				for _, s := range open {
					s.err = waitErr
				}
				return waitErr
			}
		}
	})
	var failed []*share
	for _, s := range shares {
		if s.err != nil {
			failed = append(failed, s)
		}
	}
	if ctx.Err() == nil && w.splitTogether(ctx, failed, budget) {
		return
	}
	for _, s := range failed {
		s.result = add(passive(s.j), failure(ctx, s.t, s.j.set, fmt.Errorf("%s %s: %w", s.t.Name, s.t.Axis.FormatSet(s.j.set, 2), s.err)))
	}
}

// finally is permanent for errors that rest has let through: it has put those apart that are.
func finally(err error) bool { return errors.Is(err, context.Canceled) }

// open judges the shares anew, accounts for what of them is not attempted, and gives those of which there is something to attempt. An error
// is accounted for as well.
func (w *Worker) open(ctx context.Context, shares []*share) ([]*share, error) {
	err := w.judgeTogether(ctx, shares)
	var out []*share
	for _, s := range shares {
		if s.err = nil; err != nil {
			s.result = failure(ctx, s.t, s.set, err)
			continue
		}
		s.result = passive(s.j)
		if s.j.set.Empty() {
			continue
		}
		switch why, prepareErr := w.Prepare(ctx, s.t.Name); {
		case prepareErr != nil:
			s.result = add(s.result, failure(ctx, s.t, s.j.set, prepareErr))
		case why != "":
			s.result = add(s.result, run.Result{Blocked: s.j.set, Reason: why})
		default:
			out = append(out, s)
		}
	}
	return out, err
}

// judgeTogether asks the world about all tables of a chunk, now. A command that writes to the tables itself writes all of them whatever it is run
// for: what cannot be computed for one of them is not computed for any, and what is, is for all.
func (w *Worker) judgeTogether(ctx context.Context, shares []*share) error {
	err := w.View.With(ctx, func(world *plan.World) error {
		var todo, not calendar.Set
		for _, s := range shares {
			s.j = w.weigh(world, s.t, s.set)
			todo, not = todo.Union(s.j.set), not.Union(s.j.blocked).Union(s.j.taken)
		}
		for _, s := range shares {
			if bound(s.t) {
				s.bind(todo, not, shares)
			}
			w.detail(world, s.t, &s.j)
		}
		return nil
	})
	for _, s := range shares {
		if err == nil {
			err = w.askTaken(ctx, s.t, &s.j)
		}
	}
	return err
}

// bound reports whether a table is written whenever another one of its producer is.
func bound(t *Table) bool { return len(t.Together) > 1 && t.Write == catalog.Direct }

// bind makes of a judgement what follows from those of the tables that are written with it.
func (s *share) bind(todo, not calendar.Set, shares []*share) {
	rest := s.set.Minus(s.j.blocked).Minus(s.j.taken)
	if held := rest.Intersect(not); !held.Empty() {
		for _, o := range shares {
			if s.j.why == "" && o.j.blocked.Overlaps(held) {
				s.j.cause, s.j.why = o.j.cause, o.j.why
			}
		}
		if s.j.why == "" {
			s.j.cause, s.j.why = run.CauseConflict, "another run has taken what is made with it"
		}
		s.j.blocked = s.j.blocked.Union(held.Minus(s.j.fresh))
	}
	s.j.set = rest.Intersect(todo).Minus(not)
	s.j.fresh = s.j.fresh.Minus(s.j.set)
}

// claimsOf is what the shares need of the lease.
func claimsOf(shares []*share) []ledger.Claim {
	claims := make([]ledger.Claim, 0, len(shares))
	for _, s := range shares {
		claims = append(claims, ledger.Claim{Table: s.t.Key, Set: s.j.set})
	}
	return claims
}

// attemptTogether is attemptHeld for several tables.
func (w *Worker) attemptTogether(ctx context.Context, shares []*share, number int) {
	within, done := w.Held.attempt(ctx, claimsOf(shares)...)
	defer done()
	w.runTogether(within, shares, number)
	for _, s := range shares {
		var fenced *warehouse.FencedError
		switch {
		case s.err == nil || ctx.Err() != nil:
		case errors.Is(context.Cause(within), ErrTaken):
			s.err = fmt.Errorf("%w: %w", ErrTaken, s.err)
		case errors.Is(s.err, ledger.ErrLost) || errors.As(s.err, &fenced):
			// Whoever took them was faster than the news of it.
			if _, askErr := w.Taken(ctx, s.t.Name, s.j.set); askErr == nil && !w.Held.Of(s.t.Key).Covers(s.j.set) {
				s.err = fmt.Errorf("%w: %w", ErrTaken, s.err)
			}
		}
	}
}

// runTogether starts an attempt for each table, or none; runs the command once; and ends each attempt by itself.
func (w *Worker) runTogether(ctx context.Context, shares []*share, number int) {
	for i, s := range shares {
		if s.attempt, s.log, s.err = w.begin(ctx, s.t, s.j); s.err == nil {
			continue
		}
		why := s.err
		for k, other := range shares {
			if k == i {
				continue
			}
			other.err = fmt.Errorf("%s is made with %s: %w", other.t.Name, s.t.Name, why)
			if k < i {
				other.err = w.over(ctx, other.t, other.attempt, other.log, other.err, true)
				other.log.Close() //nolint:errcheck // it tells of an attempt that was none
			}
		}
		return
	}
	if err := w.computeTogether(ctx, shares, number); err != nil {
		for _, s := range shares {
			s.err = err
		}
	}
	for _, s := range shares {
		if s.err != nil {
			s.err = w.over(ctx, s.t, s.attempt, s.log, s.err, false)
		}
		s.log.Close() //nolint:errcheck // a log that cannot be closed must not fail what was published
	}
}

// computeTogether fences, produces, and then checks and publishes each table. The error is about all of them, of which nothing was published then.
func (w *Worker) computeTogether(ctx context.Context, shares []*share, number int) error {
	first := shares[0]
	fences := make([]warehouse.Fence, 0, len(shares))
	for _, s := range shares {
		if err := w.pinned(ctx, s.t); err != nil {
			return err
		}
		fences = append(fences, warehouse.Fence{Table: s.t.Key, Set: s.attempt.Set, Token: s.attempt.Token})
	}
	if err := first.t.Warehouse.Raise(ctx, fences...); err != nil {
		return fmt.Errorf("fence what is made together: %w", err)
	}
	tasks := w.tasks(shares, number)
	produceCtx, cancel := withTimeout(ctx, first.t.Timeout)
	products, err := first.t.Together[0].Executor.(executor.Together).ProduceAll(produceCtx, tasks) //nolint:forcetypeassert // only commands make several tables
	cancel()
	if err != nil {
		return timeoutCause(produceCtx, err, first.t.Timeout)
	}
	defer func() {
		for i, product := range products {
			if product.Stage != nil {
				w.discard(context.WithoutCancel(ctx), first.t.Together[i], product.Stage)
			}
		}
	}()
	for _, s := range shares {
		if err := w.pinned(ctx, s.t); err != nil {
			return err
		}
	}
	for _, s := range shares {
		product := products[slices.Index(first.t.Together, s.t)]
		s.out, s.err = w.conclude(ctx, s, product)
	}
	return nil
}

// tasks are those of all tables of the producer, in its order. Of those of which nothing is to be computed nothing is started.
func (w *Worker) tasks(shares []*share, number int) []executor.Task {
	var out []executor.Task
	for _, t := range shares[0].t.Together {
		i := slices.IndexFunc(shares, func(s *share) bool { return s.t == t })
		if i < 0 {
			idle := &ledger.Attempt{ID: ledger.AttemptID(w.NewID("a")), Run: w.Run}
			out = append(out, w.task(t, idle, judged{}, number, nil))
			continue
		}
		s := shares[i]
		s.task = w.task(t, s.attempt, s.j, number, s.log)
		if s != shares[0] {
			fmt.Fprintf(s.log, "headway: made with %s: the output is in the log of attempt %s\n", shares[0].t.Name, shares[0].attempt.ID)
		}
		out = append(out, s.task)
	}
	return out
}

// conclude checks and publishes what was made for one table.
func (w *Worker) conclude(ctx context.Context, s *share, product executor.Product) (outcome, error) {
	switch {
	case product.Err != nil:
		return outcome{}, product.Err
	case product.Stage == nil:
		return w.guarded(ctx, s.t, s.attempt, s.j, s.task, product.Report)
	}
	out, err := w.judgeStage(ctx, s.t, s.task, product.Stage, product.Report)
	if err != nil {
		return outcome{}, err
	}
	return w.publish(ctx, s.t, s.attempt, s.j, product.Stage, out)
}

// rest accounts for what came to its end, and gives what is to be tried again, if the tries last, and why. A command that writes by itself is
// tried again for all tables or for none.
func (w *Worker) rest(shares []*share) (again []*share, why error) {
	hopeless := false
	for _, s := range shares {
		switch {
		case s.err == nil:
			s.result = add(s.result, w.done(s.t, s.out))
		case permanent(s.err) && !errors.Is(s.err, ErrTaken) && !errors.Is(s.err, executor.ErrTrust):
			hopeless = true
		default:
			if again = append(again, s); why == nil {
				why = s.err
			}
		}
	}
	if why != nil && bound(shares[0].t) {
		if hopeless {
			return nil, nil
		}
		return shares, why
	}
	return again, why
}

// splitTogether tries the halves of what failed of a chunk, where single partitions may be at fault.
func (w *Worker) splitTogether(ctx context.Context, failed []*share, budget *int) bool {
	var all calendar.Set
	for _, s := range failed {
		if !splittable(s.err) || bound(s.t) {
			return false
		}
		all = all.Union(s.j.set)
	}
	if all.Count() < 2 || *budget < 2 {
		return false
	}
	*budget -= 2
	for _, s := range failed {
		s.result = passive(s.j)
	}
	for _, half := range all.Chunks((all.Count() + 1) / 2) {
		var whole, parts []*share
		for _, s := range failed {
			if set := s.j.set.Intersect(half); !set.Empty() {
				whole, parts = append(whole, s), append(parts, &share{t: s.t, set: set})
			}
		}
		w.tryTogether(ctx, parts, budget)
		for i, s := range whole {
			s.result = add(s.result, parts[i].result)
		}
	}
	return true
}
