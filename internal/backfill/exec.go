package backfill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// An execRequest is what an exec was asked for, as it is kept with its run: two of the same work differ in How and Of at most.
type execRequest struct {
	Tables  []string    `json:"tables"`
	Range   [][2]string `json:"range"` // per table: half-open, by ids
	Args    []string    `json:"args"`
	Version string      `json:"version"`
	// Guarantee is what the run promises, also once the project says otherwise: staged or guarded.
	Guarantee string       `json:"guarantee"`
	Of        ledger.RunID `json:"of,omitempty"` // the run whose rest it does
	// Resumes: it does a rest, also where nobody had begun when it asked: who was about to may have been stored before it.
	Resumes bool    `json:"resumes,omitempty"`
	How     execHow `json:"how"`
}

// execHow is how the work is done, for whoever does it again.
type execHow struct {
	Names       []string       `json:"names"` // of the tables
	Files       []string       `json:"files"`
	Dir         string         `json:"dir"`
	Typed       []string       `json:"typed"`
	Producer    string         `json:"producer"`
	Version     string         `json:"version"`
	Direct      bool           `json:"direct"`
	Size        int            `json:"size"`
	Span        int            `json:"span"`
	SpanUnit    calendar.Grain `json:"span_unit"`
	Parallel    int            `json:"parallel"`
	Retries     int            `json:"retries"`
	Timeout     time.Duration  `json:"timeout"`
	MaxParallel int            `json:"max_parallel"`
	FailFast    bool           `json:"fail_fast"`
	Reverse     bool           `json:"reverse"`
}

// Exec runs the wrapped command over the sets of its tables: all of them, or, to resume, what the last exec of the same tables, range, command
// and files left. The report is nil where that left nothing.
func (c *Coordinator) Exec(ctx context.Context, sight *Sight, sets map[string]calendar.Set, resume bool, opts RunOptions) (*Report, error) {
	req := execRequest{Args: c.wrap.Args, Guarantee: guaranteeOf(c.Tables[c.wrap.Tables[0]].Table), Range: [][2]string{}}
	for _, name := range slices.Sorted(slices.Values(c.wrap.Tables)) {
		t := c.Tables[name]
		req.Tables, req.Version = append(req.Tables, t.Key), t.Version.Version
		bounds := sets[name].Bounds()
		req.Range = append(req.Range, [2]string{boundID(t.Axis, bounds.Start), boundID(t.Axis, bounds.End)})
	}
	req.How = c.wrap.how(opts)
	if resume {
		of, done, err := c.doneOf(ctx, req)
		if err != nil {
			return nil, err
		}
		if of == "" && opts.OnNothingToResume != nil {
			opts.OnNothingToResume()
		}
		req.Of, req.Resumes = of, true
		some := false
		for name := range sets {
			sets[name] = sets[name].Minus(done[name])
			some = some || !sets[name].Empty()
		}
		if !some {
			return nil, nil //nolint:nilnil // nothing is left
		}
		opts.Done = func(ctx context.Context) (map[string]calendar.Set, error) {
			_, done, err := c.doneOf(ctx, req)
			return done, err
		}
	}
	return c.execute(ctx, sight, req, sets, opts)
}

// execute runs the wrapped command over sets of its tables.
func (c *Coordinator) execute(ctx context.Context, sight *Sight, req execRequest, sets map[string]calendar.Set, opts RunOptions) (*Report, error) {
	var err error
	if opts.Request, err = json.Marshal(req); err != nil {
		return nil, fmt.Errorf("write down what was asked for: %w", err)
	}
	if err := c.passHolds(ctx, sets, opts); err != nil {
		return nil, err
	}
	p, err := c.Plan(ctx, sight, plan.Request{
		Tables: c.wrap.Tables, Sets: sets, Reprocess: plan.All, Explicit: true, Class: string(opts.Class), Env: c.Project.Environment,
	})
	if err != nil {
		return nil, err
	}
	return c.Run(ctx, sight, p, opts)
}

// passHolds does with holds what the policy says: the plan leaves out what is held, and that is right only for who wants the rest done.
func (c *Coordinator) passHolds(ctx context.Context, sets map[string]calendar.Set, opts RunOptions) error {
	if opts.OnConflict == PolicyTrim || opts.OnConflict == PolicyYield {
		return nil
	}
	began, told := c.Boot(), time.Duration(0)
	for {
		err := c.refuseHeld(ctx, sets)
		conflict, ok := errors.AsType[*ledger.ConflictError](err)
		waited := c.Boot() - began
		if !ok || opts.OnConflict != PolicyWait || opts.WaitTimeout > 0 && waited >= opts.WaitTimeout {
			return err
		}
		if told == 0 || waited-told >= waitTellEach {
			told = max(waited, 1)
			if opts.OnWait != nil {
				opts.OnWait(conflict, waited)
			}
		}
		if err := c.letGo(ctx, queueEvery); err != nil {
			return err
		}
	}
}

// refuseHeld is the conflict with the holds on what a person's command would write: it is run over the whole range that it was given, or not.
func (c *Coordinator) refuseHeld(ctx context.Context, sets map[string]calendar.Set) error {
	var conflicts []ledger.Conflict
	for _, name := range sortedNames(sets) {
		held, err := c.Holds(ctx, name)
		if err != nil {
			return err
		}
		for _, h := range held {
			if over := h.of(c.Tables[name].Key).Intersect(sets[name]); !over.Empty() {
				conflicts = append(conflicts, ledger.Conflict{
					Lease: h.ID, Class: h.Class, Table: c.Tables[name].Key, Overlap: over, Holder: h.Holder, Since: h.Since, Hold: true, Reason: h.Reason,
				})
			}
		}
	}
	if len(conflicts) == 0 {
		return nil
	}
	ledger.SortConflicts(conflicts)
	return &ledger.ConflictError{Conflicts: conflicts}
}

// doneOf finds the last run of the same work, and what of it is done, by table: what it has published and those have that did its rest, in
// whatever order, unless it is in doubt by now, since somebody began to write it again and did not come to an end. What it left to others when it
// was trimmed is not done by that.
func (c *Coordinator) doneOf(ctx context.Context, req execRequest) (ledger.RunID, map[string]calendar.Set, error) {
	const looked = 1000
	runs, err := c.Ledger.Runs(ctx, ledger.RunFilter{Table: req.Tables[0], Limit: looked})
	if err != nil {
		return "", nil, fmt.Errorf("look for the exec to resume: %w", err)
	}
	var last ledger.RunID
	done := map[string]calendar.Set{}
	for i := range runs {
		var was execRequest
		if json.Unmarshal(runs[i].Request, &was) != nil || !was.same(req) {
			continue
		}
		last = ledger.RunID(firstOf(string(last), string(runs[i].ID)))
		published, err := c.publishedBy(ctx, &runs[i])
		if err != nil {
			return "", nil, err
		}
		for name, set := range published {
			done[name] = done[name].Union(set)
		}
		if was.Of == "" && !was.Resumes {
			break
		}
	}
	snapshot, err := c.Ledger.Snapshot(ctx, req.Tables)
	if err != nil {
		return "", nil, fmt.Errorf("read what stands: %w", err)
	}
	for name := range done {
		done[name] = done[name].Minus(doubtful(snapshot.Table(c.Tables[name].Key)))
	}
	return last, done, nil
}

// doubtful are the partitions of which nobody knows what stands there.
func doubtful(h *history.Table) calendar.Set {
	var in []calendar.Interval
	for _, s := range h.Segments {
		if s.Content == history.InDoubt {
			in = append(in, s.Interval)
		}
	}
	return calendar.NewSet(in...).Union(h.Unsettled)
}

// same reports whether two requests are for the same work, whatever run's rest it is.
func (r execRequest) same(other execRequest) bool {
	other.Of, other.Resumes, other.How = r.Of, r.Resumes, r.How
	a, errA := json.Marshal(r)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// unpublished are the partitions that a run was to write and has not, by table.
func (c *Coordinator) unpublished(ctx context.Context, r *ledger.RunRecord) (map[string]calendar.Set, error) {
	published, err := c.publishedBy(ctx, r)
	if err != nil {
		return nil, err
	}
	left := map[string]calendar.Set{}
	for _, claim := range r.Sets {
		if name, ok := c.Keys[claim.Table]; ok {
			left[name] = claim.Set.Minus(published[name])
		}
	}
	return left, nil
}

// publishedBy are the partitions that a run has published, by table.
func (c *Coordinator) publishedBy(ctx context.Context, r *ledger.RunRecord) (map[string]calendar.Set, error) {
	attempts, err := c.Ledger.Attempts(ctx, ledger.AttemptFilter{Run: r.ID, Limit: maxAttempts})
	if err != nil {
		return nil, fmt.Errorf("read the attempts of run %s: %w", r.ID, err)
	}
	out := map[string]calendar.Set{}
	for _, a := range attempts {
		if name, ok := c.Keys[a.Table]; ok {
			out[name] = out[name].Union(a.Published)
		}
	}
	return out, nil
}

// maxAttempts bounds how many attempts of a run are looked at.
const maxAttempts = 1_000_000
