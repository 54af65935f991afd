package backfill

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// A Rechecked is what checking rows that stand in a table came to.
type Rechecked struct {
	Verdicts []warehouse.Verdict
	// Of the set, Failing do not pass now, and Cleared did not pass before and do now. Checked are all of which this is recorded: where
	// nothing stands, or somebody writes, nothing is.
	Checked, Failing, Cleared calendar.Set
	// Reasons are why failing partitions do not pass.
	Reasons map[calendar.Partition]string
}

// Recheck asks a table's checks about what stands in a set of it, all at once, and records what they say (rule 15): what fails is not readable
// from then on, what failed and passes is again. It computes and publishes nothing. What checks say of a source is not recorded: sources are
// judged when they are observed.
func (c *Coordinator) Recheck(ctx context.Context, sight *Sight, table string, set calendar.Set) (*Rechecked, error) {
	t := c.Tables[table]
	before, seq, err := sight.failing(ctx, table, set)
	if err != nil {
		return nil, err
	}
	verdicts, err := c.CheckPublished(ctx, table, set)
	if err != nil {
		return nil, err
	}
	out := &Rechecked{Verdicts: verdicts}
	if t.IsSource() || set.Empty() {
		return out, nil
	}
	without, err := c.withoutRows(ctx, t, set)
	if err != nil {
		return nil, err
	}
	judged := worker.OfRows(t, verdicts, set.Minus(without))
	out.Reasons = worker.Refusals(judged)
	bad := make([]calendar.Partition, 0, len(out.Reasons))
	for p := range out.Reasons {
		bad = append(bad, p)
	}
	failing := calendar.Of(bad...)
	_, err = c.Ledger.Recheck(ctx, ledger.Recheck{
		Table: t.Key, Axis: t.Axis, Seq: seq, CheckVersion: t.CheckVersion, Passing: set.Minus(failing), Failing: failing, Reasons: out.Reasons,
		Metrics: worker.Metrics(judged),
	})
	if err != nil {
		return nil, fmt.Errorf("record what the checks of %s say: %w", table, err)
	}
	after, _, err := sight.failing(ctx, table, set)
	if err != nil {
		return nil, err
	}
	out.Checked, err = c.checkedSince(ctx, t, set, seq)
	out.Failing, out.Cleared = after.Intersect(failing), before.Minus(after)
	return out, err
}

// failing is what of a set is failing, and at which clock.
func (s *Sight) failing(ctx context.Context, table string, set calendar.Set) (failing calendar.Set, seq history.Seq, err error) {
	err = s.View.With(ctx, func(w *plan.World) error {
		failing, seq = w.JudgeWithin(table, set).Failing, w.Seq
		return nil
	})
	if err != nil {
		return failing, 0, fmt.Errorf("judge %s: %w", table, err)
	}
	return failing, seq, nil
}

// withoutRows are the partitions that are known to have no rows.
func (c *Coordinator) withoutRows(ctx context.Context, t *worker.Table, set calendar.Set) (calendar.Set, error) {
	contents, err := c.Ledger.Contents(ctx, t.Key, set)
	if err != nil {
		return calendar.Set{}, fmt.Errorf("read what is known of %s: %w", t.Name, err)
	}
	var none []calendar.Partition
	for _, one := range contents {
		if one.Rows == 0 {
			none = append(none, one.Partition)
		}
	}
	return calendar.Of(none...), nil
}

// checkedSince is the part of a set that was checked by today's checks at a clock or later.
func (c *Coordinator) checkedSince(ctx context.Context, t *worker.Table, set calendar.Set, seq history.Seq) (calendar.Set, error) {
	now, err := c.Ledger.Snapshot(ctx, []string{t.Key})
	if err != nil {
		return calendar.Set{}, fmt.Errorf("read the state: %w", err)
	}
	var ivs []calendar.Interval
	for _, s := range now.Table(t.Key).Segments {
		if s.CheckVersion == t.CheckVersion && s.CheckSeq >= seq {
			ivs = append(ivs, s.Interval)
		}
	}
	return calendar.NewSet(ivs...).Intersect(set), nil
}

// recheck carries out what the plan wants checked again, before anything is computed: what fails blocks its consumers, and what passes again
// does not any more. Checks of one table that cannot be asked are no reason to leave the rest undone.
func (r *runner) recheck(ctx context.Context) error {
	for _, p := range r.plan.Rechecks {
		one, err := r.Recheck(ctx, r.sight, p.Table, p.Set)
		var result run.Result
		switch {
		case err != nil && ctx.Err() != nil:
			result.Stopped, result.Reason = p.Set, "stopped before it was checked again"
		case err != nil:
			result.Failed, result.Reason = p.Set, err.Error()
		default:
			r.metrics.seen(p.Table, one.Verdicts)
			r.checked[p.Table] = one.Checked.Count()
			// What a step is for is told by its chunk: what fails may yet be computed again.
			left := one.Failing.Minus(r.planned(p.Table))
			if first, some := left.First(); some {
				result.Quarantined = left
				result.Reason = fmt.Sprintf("%s %s: %s", p.Table, r.ID(p.Table, first), one.Reasons[first])
			}
		}
		if err := r.note(p.Table, result); err != nil {
			return fmt.Errorf("note what was checked again: %w", err)
		}
	}
	return nil
}

// planned are the partitions of a table that steps are for.
func (r *runner) planned(table string) calendar.Set {
	var out calendar.Set
	for _, s := range r.plan.Steps {
		if s.Table == table {
			out = out.Union(s.Set)
		}
	}
	return out
}

// note tells the machine of partitions that no chunk is for, and of none twice.
func (r *runner) note(table string, result run.Result) error {
	told := r.noted[table]
	for _, set := range []*calendar.Set{&result.Quarantined, &result.Failed, &result.Blocked, &result.Stopped} {
		*set = set.Minus(told)
		r.noted[table] = r.noted[table].Union(*set)
	}
	return r.machine.Apply(run.Event{Kind: run.Noted, Table: table, Result: &result})
}
