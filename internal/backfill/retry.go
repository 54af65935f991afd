package backfill

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// how is how the wrapped command's work is done.
func (w *Wrap) how(opts RunOptions) execHow {
	return execHow{
		Names: w.Tables, Files: w.Files, Dir: w.Dir, Typed: w.Typed, Producer: w.Producer, Version: w.Version, Direct: w.Direct,
		Size: w.Batch.Size, Span: w.Batch.Span, SpanUnit: w.SpanUnit, Parallel: w.Batch.Parallel, Retries: w.Retries, Timeout: w.Timeout,
		MaxParallel: opts.MaxParallel, FailFast: opts.FailFast, Reverse: opts.Reverse,
	}
}

// WrapOf is the command of a run that was an exec, as it was called; nil for another run. Its code is the one that is on disk now.
func WrapOf(r *ledger.RunRecord) *Wrap {
	var req execRequest
	if json.Unmarshal(r.Request, &req) != nil || len(req.Args) == 0 {
		return nil
	}
	h := req.How
	return &Wrap{
		Tables: h.Names, Args: req.Args, Files: h.Files, Dir: h.Dir, Typed: h.Typed, Producer: h.Producer, Version: h.Version, Direct: h.Direct,
		Batch: catalog.Batch{Size: h.Size, Span: h.Span, Parallel: h.Parallel}, SpanUnit: h.SpanUnit, Retries: h.Retries, Timeout: h.Timeout,
	}
}

// LeftOf are the partitions of a run that it has not published, by table; with failed only those that it tried.
func (c *Coordinator) LeftOf(ctx context.Context, r *ledger.RunRecord, failed bool) (map[string]calendar.Set, error) {
	left, err := c.unpublished(ctx, r)
	if err != nil || !failed {
		return left, err
	}
	attempts, err := c.Ledger.Attempts(ctx, ledger.AttemptFilter{Run: r.ID, Limit: maxAttempts})
	if err != nil {
		return nil, fmt.Errorf("read the attempts of run %s: %w", r.ID, err)
	}
	tried := map[string]calendar.Set{}
	for _, a := range attempts {
		name := c.NameOf(a.Table)
		tried[name] = tried[name].Union(a.Set)
	}
	for name := range left {
		left[name] = left[name].Intersect(tried[name])
	}
	return left, nil
}

// Retry does what a run has left, under a new run: the wrapped command of an exec again, else what of it is not fresh by now. The report is nil
// where nothing is left.
func (c *Coordinator) Retry(ctx context.Context, sight *Sight, r *ledger.RunRecord, failed bool, opts RunOptions) (*Report, error) {
	if !r.Ended && c.StateOf(r) != StateDead {
		return nil, &InputError{What: fmt.Sprintf("run %s is under way: %s", r.ID, c.StateOf(r)), Next: "stop it first, or wait until it has ended"}
	}
	left, err := c.LeftOf(ctx, r, failed)
	if err != nil {
		return nil, err
	}
	var tables []string
	for _, name := range sortedNames(left) {
		if left[name] = left[name].Intersect(sight.Expected[name]); !left[name].Empty() {
			tables = append(tables, name)
		}
	}
	if len(tables) == 0 {
		return nil, nil //nolint:nilnil // nothing is left
	}
	if c.wrap != nil {
		var req execRequest
		if err := json.Unmarshal(r.Request, &req); err != nil {
			return nil, fmt.Errorf("read what run %s was asked for: %w", r.ID, err)
		}
		req.Of, req.Version = r.ID, c.Tables[c.wrap.Tables[0]].Version.Version
		opts.MaxParallel, opts.FailFast, opts.Reverse = req.How.MaxParallel, req.How.FailFast, req.How.Reverse
		return c.execute(ctx, sight, req, left, opts)
	}
	p, err := c.Plan(ctx, sight, plan.Request{
		Tables: tables, Sets: left, Reprocess: plan.Default, Explicit: true, Class: string(opts.Class), Env: c.Project.Environment,
	})
	if err != nil {
		return nil, err
	}
	return c.Run(ctx, sight, p, opts)
}
