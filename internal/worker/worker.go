package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/executor/query"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
)

// A Worker carries out the chunks of one run, under its lease. Its methods may be called from many goroutines; its fields do not change.
type Worker struct {
	Ledger  ledger.Ledger
	View    *View
	Tables  map[string]*Table // by name
	Periods map[string][]calendar.Interval
	Dir     string // project folder, absolute
	Lookup  func(name string) (string, bool)
	Run     ledger.RunID
	Lease   *ledger.Lease
	// Held is what the lease still claims, and Taken asks the ledger for it anew and says who has taken what is gone; an error where the lease
	// itself is gone.
	Held  *Held
	Taken func(ctx context.Context, table string, gone calendar.Set) (why string, err error)
	// Asked is the ledger's clock when the run was asked for; Downgrade is why its code may replace newer code's content, "": it may not.
	Asked     history.Seq
	Downgrade string
	Trust     *executor.Trust // of the lease: commands do not outlive it
	// Named partitions are computed though they are fresh; Again are tried though they would end in quarantine as before. By table name.
	Named map[string]calendar.Set
	Again bool
	Now   func() time.Time
	NewID func(prefix string) string
	// Backoff is how long to wait between the tries of a chunk.
	Backoff dispatch.Backoff
	Log     *slog.Logger
	// OpenLog opens the log of an attempt.
	OpenLog func(id ledger.AttemptID, table string) (io.WriteCloser, error)
	// Seen is told the verdicts of each attempt, for the run's report. It may be called from many goroutines.
	Seen func(table string, verdicts []warehouse.Verdict)
	// Code gives the version of a table's code as it is on disk now: a run pins its code (rule 21).
	Code func(ctx context.Context, table string) (string, error)
	// Progress is told how many partitions an attempt has done by its own account, while it runs. It may be called from many goroutines.
	Progress func(id ledger.AttemptID, partitions int)
	// Stall, for the demonstration and for tests, is called just before a publish, with the file let go: nil, or what a machine does that freezes.
	Stall func(ctx context.Context)
	// Resumed waits while the run is paused.
	Resumed func(ctx context.Context) error
	// Prepare is asked before each attempt on a table whether it can be computed at all, and why not: it makes what must be there first.
	Prepare func(ctx context.Context, table string) (why string, err error)
	// Relations are the quoted relations of all tables by name.
	Relations map[string]string
	// Expected are the tables' expected partitions by name.
	Expected map[string]calendar.Set
}

// A judged chunk is what the world said of it at one moment.
type judged struct {
	set     calendar.Set // to be computed now
	fresh   calendar.Set // nothing to do
	blocked calendar.Set // cannot be computed now
	taken   calendar.Set // another run has taken them over; blocked as well
	why     string       // about blocked
	cause   run.Cause    // about blocked
	seq     history.Seq
	at      time.Time
	short   []ledger.ShortSet
	reach   map[string]calendar.Interval // by input name
	// standing: the ledger has a history of some of set. Without one it knows of no rows there, and need not be asked.
	standing bool
}

// Do carries out one chunk: what is fresh by now is skipped, what cannot be computed is blocked, the rest is attempted. It accounts for
// every partition of the chunk.
func (w *Worker) Do(ctx context.Context, c run.Chunk) run.Result {
	if len(w.Tables[c.Table].Together) > 1 {
		return w.together(ctx, c)
	}
	budget := splitBudget
	return w.try(ctx, w.Tables[c.Table], c.Set, &budget)
}

// splitBudget bounds how many more attempts a chunk may cost that is split because it failed.
const splitBudget = 24

// passive accounts for what of a judged set is not attempted.
func passive(j judged) run.Result {
	result := run.Result{Skipped: j.fresh, Blocked: j.blocked}
	if !j.blocked.Empty() {
		result.Cause, result.Reason = j.cause, j.why
	}
	return result
}

// done accounts for an attempt that came to its end.
func (w *Worker) done(t *Table, out outcome) run.Result {
	w.Seen(t.Name, out.verdicts)
	result := run.Result{Published: out.published, Unchanged: out.unchanged, Quarantined: out.quarantined.Minus(out.failed), Failed: out.failed}
	p, ok := out.quarantined.Minus(out.unnamed).First() // what is said of one tells more than that nothing is said of another
	if !ok {
		p, ok = out.quarantined.First()
	}
	if ok {
		result.Reason = fmt.Sprintf("%s %s: %s", t.Name, t.Axis.ID(p), out.reasons[p])
	}
	return result
}

// ErrCodeChanged says that the files of a command changed while a run that had pinned them was under way.
var ErrCodeChanged = errors.New("the code has changed since the run began")

// pinned refuses to go on with other code than the run began with. A query is held in memory; the files of a command are on disk.
func (w *Worker) pinned(ctx context.Context, t *Table) error {
	if t.Command == nil {
		return nil
	}
	now, err := w.Code(ctx, t.Name)
	if err != nil {
		return err
	}
	if now != t.Version.Version {
		return fmt.Errorf("%w: version %.12s, now %.12s: run again", ErrCodeChanged, t.Version.Version, now)
	}
	return nil
}

// permanent errors come again however often they are tried.
func permanent(err error) bool {
	var (
		outside *warehouse.OutsideError
		schema  *warehouse.SchemaError
		fenced  *warehouse.FencedError
		foreign *warehouse.ForeignLedgerError
		bad     *warehouse.QueryError
		kept    *uncertainError
		older   *ledger.OlderCodeError
	)
	return errors.As(err, &bad) || errors.As(err, &kept) || errors.Is(err, executor.ErrPermanent) || errors.Is(err, ErrCodeChanged) ||
		errors.Is(err, ledger.ErrLost) || errors.Is(err, ledger.ErrUnsettled) || errors.Is(err, context.Canceled) ||
		errors.As(err, &outside) || errors.As(err, &schema) || errors.As(err, &fenced) || errors.As(err, &foreign) || errors.As(err, &older) || query.IsTemplateError(err)
}

// splittable errors may be about single partitions.
func splittable(err error) bool {
	var data *warehouse.DataError
	return errors.As(err, &data)
}

// judge asks the world about a chunk, now.
func (w *Worker) judge(ctx context.Context, t *Table, set calendar.Set) (judged, error) {
	var out judged
	err := w.View.With(ctx, func(world *plan.World) error {
		out = w.weigh(world, t, set)
		w.detail(world, t, &out)
		return nil
	})
	if err == nil {
		err = w.askTaken(ctx, t, &out)
	}
	return out, err
}

// weigh parts a set by what the world says of it.
func (w *Worker) weigh(world *plan.World, t *Table, set calendar.Set) judged {
	var out judged
	j := world.JudgeWithin(t.Name, set)
	named := w.Named[t.Name]
	out.fresh = j.Fresh.Minus(named).Union(j.Settled.Minus(named)).Intersect(set)
	rest := set.Minus(out.fresh)
	out.blocked = rest.Minus(j.Expected).Union(j.NotReady.Intersect(rest)).Union(j.Held.Intersect(rest))
	if !w.Again {
		out.blocked = out.blocked.Union(j.Quarantined.Intersect(j.Repeats).Intersect(rest).Minus(named))
	}
	out.taken = rest.Minus(out.blocked).Minus(w.Held.Of(t.Key))
	out.set = rest.Minus(out.blocked).Minus(out.taken)
	out.seq, out.at = world.Seq, w.Now()
	if p, ok := out.blocked.First(); ok {
		out.cause, out.why = blockedWhy(world, t, j, p)
	}
	return out
}

// detail adds what is noted of the set that is to be computed.
func (w *Worker) detail(world *plan.World, t *Table, out *judged) {
	out.standing = stands(world.Tables[t.Name], out.set)
	bootstrap, short := world.Shortfalls(t.Name, out.set)
	if !bootstrap.Empty() {
		out.short = append(out.short, ledger.ShortSet{Set: bootstrap, Shortfall: history.Bootstrap})
	}
	if !short.Empty() {
		out.short = append(out.short, ledger.ShortSet{Set: short, Shortfall: history.Short})
	}
	out.reach = map[string]calendar.Interval{}
	for _, in := range t.Inputs {
		if reach := world.Reach(t.Name, in, out.set); !reach.Empty() {
			out.reach[in.Table] = reach
		}
	}
}

// askTaken finds out who has taken what the run has no more, and accounts for it as blocked.
func (w *Worker) askTaken(ctx context.Context, t *Table, out *judged) error {
	if out.taken.Empty() {
		return nil
	}
	why, err := w.Taken(ctx, t.Name, out.taken)
	if err != nil {
		return err
	}
	out.blocked, out.cause, out.why = out.blocked.Union(out.taken), run.CauseConflict, why
	return nil
}

// stands reports whether a history speaks of a partition of the set.
func stands(h *history.Table, set calendar.Set) bool {
	if h == nil || set.Empty() {
		return false
	}
	over := set.Bounds()
	first := sort.Search(len(h.Segments), func(i int) bool { return h.Segments[i].End > over.Start })
	for _, s := range h.Segments[first:] {
		if s.Start >= over.End {
			break
		}
		if !set.Within(s.Interval).Empty() {
			return true
		}
	}
	return false
}

// blockedWhy is one line about the first blocked partition.
func blockedWhy(world *plan.World, t *Table, j *plan.Judgement, p calendar.Partition) (run.Cause, string) {
	switch {
	case j.Held.Contains(p):
		return run.CauseConflict, fmt.Sprintf("%s %s is held", t.Name, t.Axis.ID(p))
	case j.Failing.Contains(p) && !j.NotReady.Contains(p):
		chain := world.Why(t.Name, p)
		return "", fmt.Sprintf("%s %s: %s", t.Name, t.Axis.ID(p), chain.Links[0].Reason)
	case j.Quarantined.Contains(p) && !j.NotReady.Contains(p):
		return "", fmt.Sprintf("%s %s is quarantined and nothing that it rests on has changed since", t.Name, t.Axis.ID(p))
	}
	chain := world.Why(t.Name, p)
	if n := len(chain.Links); n > 1 {
		return "", fmt.Sprintf("%s %s waits for %s %s: %s", t.Name, t.Axis.ID(p), chain.Links[1].Table, chain.Links[1].ID(), chain.Links[n-1].Reason)
	}
	return "", fmt.Sprintf("%s %s cannot be computed now", t.Name, t.Axis.ID(p))
}

// task is one try at a chunk as the executor sees it.
func (w *Worker) task(t *Table, a *ledger.Attempt, j judged, number int, log io.Writer) executor.Task {
	task := executor.Task{
		Table: t.Table, Target: t.Target, Dialect: t.Warehouse, Set: a.Set, Expected: w.Expected[t.Name], Run: string(a.Run),
		Attempt: string(a.ID), Token: a.Token, Number: number, Inputs: map[string]executor.Input{}, Tables: w.Relations, Periods: w.Periods,
		Dir: w.Dir, Log: log, Lookup: w.Lookup, Trust: w.Trust,
	}
	if w.Progress != nil {
		most := a.Set.Count()
		task.Progress = func(n int) { w.Progress(a.ID, min(n, most)) }
	}
	for _, in := range t.Inputs {
		up := w.Tables[in.Table]
		task.Inputs[in.Table] = executor.Input{Relation: w.Relations[in.Table], Axis: up.Axis, Reach: j.reach[in.Table]}
	}
	if t.Write == catalog.Direct {
		task.Confirm = func(ctx context.Context) error { return w.confirm(ctx, t, a) }
	}
	return task
}

// confirm reports by ErrLost that the lease does not claim an attempt's partitions any more. Between the attempt's start and that of its command
// somebody may have taken them, and seen nobody who writes there.
func (w *Worker) confirm(ctx context.Context, t *Table, a *ledger.Attempt) error {
	leases, err := w.Ledger.Leases(ctx, ledger.LeaseFilter{ID: w.Lease.ID})
	if err != nil {
		return fmt.Errorf("look whether %s may still be written: %w", t.Name, err)
	}
	var claimed calendar.Set
	for _, lease := range leases {
		for _, claim := range lease.Writes {
			if claim.Table == t.Key {
				claimed = claimed.Union(claim.Set)
			}
		}
	}
	if !claimed.Covers(a.Set) {
		return fmt.Errorf("the command of %s was not started: %w", t.Name, ledger.ErrLost)
	}
	return nil
}

// failure accounts for a set that was not published because of an error.
func failure(ctx context.Context, t *Table, set calendar.Set, err error) run.Result {
	result := run.Result{Reason: firstLine(err.Error())}
	var (
		fenced *warehouse.FencedError
		older  *ledger.OlderCodeError
	)
	switch {
	case errors.As(err, &older):
		what, next := OlderCode(t.Name, t.Axis, older)
		result.Blocked, result.Cause, result.Reason = set, run.CauseRefused, what+": "+next
	case errors.Is(err, ledger.ErrLost) || errors.As(err, &fenced):
		result.Failed, result.Cause = set, run.CauseConflict
	case ctx.Err() != nil:
		result.Stopped = set
	default:
		result.Failed = set
	}
	return result
}

// add joins what became of two disjoint parts of a chunk; the first reason is kept.
func add(a, b run.Result) run.Result {
	out := run.Result{
		Published: a.Published.Union(b.Published), Unchanged: a.Unchanged.Union(b.Unchanged), Skipped: a.Skipped.Union(b.Skipped),
		Quarantined: a.Quarantined.Union(b.Quarantined), Failed: a.Failed.Union(b.Failed), Blocked: a.Blocked.Union(b.Blocked),
		Stopped: a.Stopped.Union(b.Stopped), Cause: a.Cause, Reason: a.Reason,
	}
	if out.Reason == "" {
		out.Reason = b.Reason
	}
	if out.Cause == "" {
		out.Cause = b.Cause
	}
	// A hold on some partitions is no excuse for others that really failed.
	if own := a.Failed.Union(b.Failed); out.Cause == run.CauseConflict && !own.Empty() && (a.Cause == "" && !a.Failed.Empty() || b.Cause == "" && !b.Failed.Empty()) {
		out.Cause = ""
	}
	return out
}
