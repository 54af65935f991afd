package worker

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

// guarded ends the attempt of a command that wrote to the table itself. Its partitions have been in doubt since it started (rule 14);
// what stands there now is looked at, checked, and recorded. Rows that fail a block check stand all the same: they are failing.
func (w *Worker) guarded(ctx context.Context, t *Table, a *ledger.Attempt, j judged, task executor.Task, report *executor.Report) (outcome, error) {
	known, err := w.Ledger.Contents(ctx, t.Key, a.Set)
	if err != nil {
		return outcome{}, fmt.Errorf("read what is known of %s: %w", t.Name, err)
	}
	standing, err := t.Warehouse.Contents(ctx, t.Target, a.Set)
	if err != nil {
		return outcome{}, fmt.Errorf("look at what the command left in %s: %w", t.Name, err)
	}
	stage := &warehouse.Stage{Relation: t.Warehouse.Relation(t.Target.Relation), Attempt: string(a.ID), Set: a.Set, Contents: standing}
	out, err := w.judgeStanding(ctx, t, task, stage, report)
	if err != nil {
		return outcome{}, err
	}
	// What the command itself calls failed, or does not name, or left without rows that it must have, stays in doubt.
	left := out
	left.published = out.published.Union(out.failing)
	if left.published.Empty() {
		return out, w.keepBack(ctx, t, a, j, out)
	}
	if err := w.Ledger.Intend(ctx, w.intent(t, a, j, standing, left)); err != nil {
		return outcome{}, fmt.Errorf("state what was written to %s: %w", t.Name, err)
	}
	left.unchanged = unchanged(left.published, standing, standing, known)
	out.unchanged = left.unchanged.Intersect(out.published)
	return out, w.record(ctx, t, a, left)
}

// judgeStanding is judgeStage over the published relation.
func (w *Worker) judgeStanding(ctx context.Context, t *Table, task executor.Task, standing *warehouse.Stage, report *executor.Report) (outcome, error) {
	direct := *t
	direct.Warehouse = published{t.Warehouse}
	return w.judgeStage(ctx, &direct, task, standing, report)
}

// published is a warehouse whose checks read the published relation whatever stage they are given.
type published struct{ warehouse.Warehouse }

func (p published) Check(ctx context.Context, target warehouse.Target, _ *warehouse.Stage, set calendar.Set, checks []warehouse.Check) ([]warehouse.Verdict, error) {
	return p.Warehouse.Check(ctx, target, nil, set, checks)
}

// RenderChecks fills the queries of a table's checks for a task. staged is the quoted relation that {{staged}} names; "" is the
// published one.
func RenderChecks(t *Table, task executor.Task, staged string) ([]warehouse.Check, error) {
	if staged == "" {
		staged = t.Warehouse.Relation(t.Target.Relation)
	}
	out := make([]warehouse.Check, 0, len(t.Checks))
	for _, c := range t.Checks {
		one := warehouse.Check{
			ID: c.ID, Kind: string(c.Kind), Columns: c.Columns, Min: c.Min, Max: c.Max, Values: c.Values, Pattern: c.Pattern,
			ToColumns: c.ToColumns, Where: c.Where, Warn: c.Warn,
		}
		if c.Kind == catalog.CheckRelationship {
			one.To = task.Tables[c.To]
		}
		if c.Query != nil {
			var err error
			if one.Query, err = c.Query.Render(task, staged); err != nil {
				return nil, fmt.Errorf("check %s: %w", c.ID, err)
			}
		}
		out = append(out, one)
	}
	return out, nil
}
