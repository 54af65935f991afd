package backfill

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// CheckPublished runs a table's checks over what stands in its relation (for a source: over what it holds). It changes nothing.
func (c *Coordinator) CheckPublished(ctx context.Context, table string, set calendar.Set) ([]warehouse.Verdict, error) {
	t := c.Tables[table]
	if len(t.Checks) == 0 || set.Empty() {
		return nil, nil
	}
	checks, err := worker.RenderChecks(t, c.task(t, set), "")
	if err != nil {
		return nil, err
	}
	verdicts, err := t.Warehouse.Check(ctx, t.Target, nil, set, checks)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", table, err)
	}
	return verdicts, nil
}

// RenderQuery is a table's query as it would run for a set, with the input ranges that its windows reach.
func (c *Coordinator) RenderQuery(ctx context.Context, sight *Sight, table string, set calendar.Set) (string, error) {
	t := c.Tables[table]
	task, err := c.taskWithReach(ctx, sight, t, set)
	if err != nil {
		return "", err
	}
	return worker.RenderQuery(t, task)
}

// RenderChecks are a table's checks with their queries as they would run for a set.
func (c *Coordinator) RenderChecks(ctx context.Context, sight *Sight, table string, set calendar.Set) ([]warehouse.Check, error) {
	t := c.Tables[table]
	task, err := c.taskWithReach(ctx, sight, t, set)
	if err != nil {
		return nil, err
	}
	return worker.RenderChecks(t, task, "")
}
