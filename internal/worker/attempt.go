package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

// An outcome is what became of the partitions of one attempt.
type outcome struct {
	published, unchanged, quarantined calendar.Set
	failing                           calendar.Set // of what is quarantined: rows that a check refuses
	failed                            calendar.Set // of what is quarantined: by the command's own account there are no rows to judge
	verdicts                          []warehouse.Verdict
	reasons                           map[calendar.Partition]string
	unnamed                           calendar.Set // by the command's report, which names others
}

// attemptHeld is attempt for as long as the run holds all of its partitions. Where it lost some, and the lease lives, the error wraps ErrTaken.
func (w *Worker) attemptHeld(ctx context.Context, t *Table, j judged, try int) (outcome, error) {
	within, done := w.Held.attempt(ctx, ledger.Claim{Table: t.Key, Set: j.set})
	defer done()
	out, err := w.attempt(within, t, j, try)
	var fenced *warehouse.FencedError
	switch {
	case err == nil || ctx.Err() != nil:
		return out, err
	case errors.Is(context.Cause(within), ErrTaken):
		return out, fmt.Errorf("%w: %w", ErrTaken, err)
	case !errors.Is(err, ledger.ErrLost) && !errors.As(err, &fenced):
		return out, err
	}
	// Whoever took them was faster than the news of it.
	if _, askErr := w.Taken(ctx, t.Name, j.set); askErr == nil && !w.Held.Of(t.Key).Covers(j.set) {
		return out, fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return out, err
}

// attempt runs one attempt over a set that was judged startable, from its start to its record. An error means that nothing was published;
// it has been recorded as the attempt's failure unless the lease was lost.
func (w *Worker) attempt(ctx context.Context, t *Table, j judged, try int) (outcome, error) {
	a, log, err := w.begin(ctx, t, j)
	if err != nil {
		return outcome{}, err
	}
	defer log.Close() //nolint:errcheck // a log that cannot be closed must not fail what was published
	out, err := w.compute(ctx, t, a, j, try, log)
	if err != nil {
		return outcome{}, w.over(ctx, t, a, log, err, false)
	}
	return out, nil
}

// begin starts an attempt over a set that was judged startable, and opens its log.
func (w *Worker) begin(ctx context.Context, t *Table, j judged) (*ledger.Attempt, io.WriteCloser, error) {
	a, err := w.Ledger.StartAttempt(ctx, ledger.AttemptRequest{
		ID:      ledger.AttemptID(w.NewID("a")),
		Lease:   w.Lease.ID,
		Run:     w.Run,
		Table:   t.Key,
		Set:     j.set,
		Version: t.Version.Version,
		Code:    t.Version,
		ReadSeq: j.seq,
		Asked:   w.Asked,
		Guarded: t.Write == catalog.Direct && t.Command != nil,
		At:      w.Now(),

		Downgrade: w.Downgrade,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("start an attempt on %s: %w", t.Name, err)
	}
	log, err := w.OpenLog(a.ID, t.Name)
	if err != nil {
		return nil, nil, w.fail(ctx, t, a, fmt.Errorf("open the attempt's log: %w", err), false)
	}
	return a, log, nil
}

// over ends an attempt that came to nothing, and gives back why; cancelled: through no fault of its own.
func (w *Worker) over(ctx context.Context, t *Table, a *ledger.Attempt, log io.Writer, cause error, cancelled bool) error {
	fmt.Fprintf(log, "headway: %v\n", cause)
	if kept := new(uncertainError); errors.As(cause, &kept) {
		// It may be committed, or is: the attempt stays open, and whoever takes the lease next fences, looks and settles (rule 2).
		return cause
	}
	return w.fail(ctx, t, a, cause, cancelled)
}

// compute fences, produces, checks and publishes.
func (w *Worker) compute(ctx context.Context, t *Table, a *ledger.Attempt, j judged, try int, log io.Writer) (outcome, error) {
	if err := w.pinned(ctx, t); err != nil {
		return outcome{}, err
	}
	if err := t.Warehouse.Raise(ctx, warehouse.Fence{Table: t.Key, Set: a.Set, Token: a.Token}); err != nil {
		return outcome{}, err
	}
	task := w.task(t, a, j, try, log)
	produceCtx, cancel := withTimeout(ctx, t.Timeout)
	stage, report, err := t.Executor.Produce(produceCtx, task)
	cancel()
	if err != nil {
		return outcome{}, timeoutCause(produceCtx, err, t.Timeout)
	}
	if stage != nil {
		defer w.discard(context.WithoutCancel(ctx), t, stage)
	}
	if err := w.pinned(ctx, t); err != nil {
		return outcome{}, err
	}
	if stage == nil {
		return w.guarded(ctx, t, a, j, task, report)
	}
	out, err := w.judgeStage(ctx, t, task, stage, report)
	if err != nil {
		return outcome{}, err
	}
	return w.publish(ctx, t, a, j, stage, out)
}

// discard drops a stage that nobody needs any more; rows that were quarantined have been set aside. A stage that cannot be dropped is swept
// away by the next run.
func (w *Worker) discard(ctx context.Context, t *Table, stage *warehouse.Stage) {
	if err := t.Warehouse.Discard(ctx, stage); err != nil {
		w.Log.Warn("a stage could not be dropped", "table", t.Name, "stage", stage.Relation, "error", err)
	}
}

// An uncertainError ends an attempt of which it is not known here what the warehouse committed, or of which it is known and could not be
// recorded.
type uncertainError struct{ err error }

func (e *uncertainError) Error() string { return e.err.Error() }
func (e *uncertainError) Unwrap() error { return e.err }

// judgeStage checks what was staged and parts what passes from what does not.
func (w *Worker) judgeStage(ctx context.Context, t *Table, task executor.Task, stage *warehouse.Stage, report *executor.Report) (outcome, error) {
	out := outcome{reasons: map[calendar.Partition]string{}}
	present := make(map[calendar.Partition]bool, len(stage.Contents))
	for _, c := range stage.Contents {
		present[c.Partition] = true
	}
	reportedEmpty := out.hear(report, task.Set)
	failed := make([]calendar.Partition, 0, len(out.reasons))
	for p := range out.reasons {
		failed = append(failed, p)
	}
	out.failed = calendar.Of(failed...)
	var filled []calendar.Partition
	for p := range task.Set.Partitions() {
		switch {
		case present[p]:
			filled = append(filled, p)
		case t.Empty == catalog.RefuseEmpty && !reportedEmpty[p] && out.reasons[p] == "":
			out.reasons[p] = "no rows: if that can be right, say `empty: allow`"
		}
	}
	checks, err := RenderChecks(t, task, stage.Relation)
	if err != nil {
		return out, err
	}
	if len(checks) > 0 {
		verdicts, err := t.Warehouse.Check(ctx, t.Target, stage, task.Set, checks)
		if err != nil {
			return out, fmt.Errorf("check %s: %w", t.Name, err)
		}
		out.verdicts = OfRows(t, verdicts, calendar.Of(filled...))
	}
	refused := Refusals(out.verdicts)
	var failing []calendar.Partition
	for p, reason := range refused {
		if out.reasons[p] == "" {
			out.reasons[p] = reason
			failing = append(failing, p)
		}
	}
	out.failing = calendar.Of(failing...)
	bad := make([]calendar.Partition, 0, len(out.reasons))
	for p := range out.reasons {
		bad = append(bad, p)
	}
	out.quarantined = calendar.Of(bad...)
	out.published = task.Set.Minus(out.quarantined)
	return out, nil
}

// Refusals are the reasons for which partitions do not pass: of each the first verdict of a check that blocks.
func Refusals(verdicts []warehouse.Verdict) map[calendar.Partition]string {
	out := map[calendar.Partition]string{}
	for _, v := range verdicts {
		if !v.Passed && !v.Warn && out[v.Partition] == "" {
			out[v.Partition] = fmt.Sprintf("%s: %s", v.Check, v.Example)
		}
	}
	return out
}

// OfRows leaves out what checks of rows say of partitions that have none: there is nothing to judge. Checks that count rows or ask a query
// of their own speak of every partition.
func OfRows(t *Table, verdicts []warehouse.Verdict, filled calendar.Set) []warehouse.Verdict {
	counts := map[string]bool{}
	for _, c := range t.Checks {
		counts[c.ID] = c.Kind == catalog.CheckRows || c.Kind == catalog.CheckSQL
	}
	kept := verdicts[:0:0]
	for _, v := range verdicts {
		if counts[v.Check] || filled.Contains(v.Partition) {
			kept = append(kept, v)
		}
	}
	return kept
}

// publish stores the intent, publishes what passed, and records what the warehouse committed (rule 11).
func (w *Worker) publish(ctx context.Context, t *Table, a *ledger.Attempt, j judged, stage *warehouse.Stage, out outcome) (outcome, error) {
	if out.published.Empty() {
		return out, w.keepBack(ctx, t, a, j, out)
	}
	known, err := w.known(ctx, t, j, out.published)
	if err != nil {
		return outcome{}, err
	}
	intent := w.intent(t, a, j, stage.Contents, out)
	if err := w.Ledger.Intend(ctx, intent); err != nil {
		return outcome{}, fmt.Errorf("state what will be published to %s: %w", t.Name, err)
	}
	// Where the machine slept, somebody may wait for the partitions: who has not been told that they are still its own does not write (rule 8).
	if err := w.Trust.Wait(ctx); err != nil {
		return outcome{}, fmt.Errorf("publish %s: %w", t.Name, err)
	}
	if w.Stall != nil {
		ctx = w.stall(ctx, t)
	}
	done, err := t.Warehouse.Publish(ctx, warehouse.Publication{
		Target: t.Target, Stage: stage, Set: out.published, Token: a.Token, Attempt: string(a.ID), Ledger: w.Ledger.ID(),
		Version: a.Version, At: w.Now(),
	})
	if err != nil {
		err = fmt.Errorf("publish %s: %w", t.Name, err)
		if errors.Is(err, warehouse.ErrUnknown) || ctx.Err() != nil {
			return outcome{}, &uncertainError{err}
		}
		return outcome{}, err
	}
	out.unchanged = unchanged(out.published, done.Replaced, done.Inserted, known)
	return out, w.record(ctx, t, a, out)
}

// stall is what a machine does that freezes at the worst moment: what is about to be published has been stated, the file is let go for others,
// and when it wakes it has heard of nothing that happened meanwhile.
func (w *Worker) stall(ctx context.Context, t *Table) context.Context {
	deaf := context.WithoutCancel(ctx)
	if end, ok := ctx.Value(turnKey{}).(func()); ok {
		end()
	}
	if err := t.Warehouse.Leave(ctx); err != nil {
		w.Log.Warn("the file could not be let go", "error", err)
	}
	w.Stall(deaf)
	return deaf
}

// turnKey leads to what ends the turn in which an attempt is made.
type turnKey struct{}

// known is what the ledger holds of what stands in a set.
func (w *Worker) known(ctx context.Context, t *Table, j judged, set calendar.Set) ([]ledger.Content, error) {
	if !j.standing {
		return nil, nil
	}
	known, err := w.Ledger.Contents(ctx, t.Key, set)
	if err != nil {
		return nil, fmt.Errorf("read what is known of %s: %w", t.Name, err)
	}
	return known, nil
}

// recordTries is how often the record of what the warehouse has committed is tried: it can be repeated, and must not be lost.
const recordTries = 5

// record tells the ledger what was committed. A stop that came meanwhile does not keep it from that: the commit stands.
func (w *Worker) record(ctx context.Context, t *Table, a *ledger.Attempt, out outcome) error {
	commit := ledger.Commit{Attempt: a.ID, Published: out.published, Unchanged: out.unchanged, At: w.Now()}
	err := w.Backoff.Retry(context.WithoutCancel(ctx), recordTries, nil, func(ctx context.Context, _ int) error {
		_, err := w.Ledger.Record(ctx, commit)
		return err
	})
	if err != nil {
		return &uncertainError{fmt.Errorf("record what was published to %s (it stands in the warehouse, where the next run finds it): %w", t.Name, err)}
	}
	return nil
}

// CommitOf is what an attempt's markers say that it committed. A partition is unchanged when the rows it replaced are the rows it
// inserted and the ones the ledger knew (rule 12).
func CommitOf(attempt ledger.AttemptID, markers []warehouse.Marker, known []ledger.Content) ledger.Commit {
	before := map[calendar.Partition]string{}
	for _, c := range known {
		before[c.Partition] = c.Fingerprint
	}
	var published, same []calendar.Partition
	for _, m := range markers {
		if m.Attempt != string(attempt) {
			continue
		}
		published = append(published, m.Partition)
		if fp, ok := before[m.Partition]; ok && m.Replaced == m.Fingerprint && fp == m.Fingerprint {
			same = append(same, m.Partition)
		}
	}
	return ledger.Commit{Attempt: attempt, Published: calendar.Of(published...), Unchanged: calendar.Of(same...)}
}

// unchanged is the part of the set whose replaced and inserted rows are the same and what the ledger knew. Partitions that had no rows
// and have none are unchanged if the ledger knows them as empty: it lists those with no rows.
func unchanged(set calendar.Set, replaced, inserted []warehouse.Content, known []ledger.Content) calendar.Set {
	type triple struct {
		replaced, inserted, known string
		isKnown                   bool
	}
	at := map[calendar.Partition]triple{}
	for _, c := range replaced {
		x := at[c.Partition]
		x.replaced = c.Fingerprint
		at[c.Partition] = x
	}
	for _, c := range inserted {
		x := at[c.Partition]
		x.inserted = c.Fingerprint
		at[c.Partition] = x
	}
	for _, c := range known {
		x := at[c.Partition]
		x.known, x.isKnown = c.Fingerprint, true
		at[c.Partition] = x
	}
	var same []calendar.Partition
	for p, x := range at {
		if x.isKnown && x.replaced == x.inserted && x.inserted == x.known && set.Contains(p) {
			same = append(same, p)
		}
	}
	return calendar.Of(same...)
}

// intent is what the attempt is about to publish.
func (w *Worker) intent(t *Table, a *ledger.Attempt, j judged, contents []warehouse.Content, out outcome) ledger.Intent {
	in := ledger.Intent{
		Attempt: a.ID, Run: a.Run, Table: t.Key, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version, CheckVersion: t.CheckVersion,
		Shortfall: j.short, Quarantine: out.quarantined.Minus(out.published),
		Failed: out.failed.Minus(out.published), Failing: out.failing.Intersect(out.published), Reasons: out.reasons, Metrics: Metrics(out.verdicts), ReadAt: j.at,
	}
	var present []calendar.Partition
	for _, c := range contents {
		if out.published.Contains(c.Partition) {
			in.Publish = append(in.Publish, ledger.Content(c))
			present = append(present, c.Partition)
		}
	}
	in.Empty = out.published.Minus(calendar.Of(present...))
	for p := range in.Empty.Partitions() {
		in.Publish = append(in.Publish, ledger.Content{Partition: p})
	}
	sort.Slice(in.Publish, func(i, k int) bool { return in.Publish[i].Partition < in.Publish[k].Partition })
	for name, reach := range j.reach {
		in.Hulls = append(in.Hulls, ledger.Hull{Input: w.Tables[name].Key, Reach: reach})
	}
	sort.Slice(in.Hulls, func(i, k int) bool { return in.Hulls[i].Input < in.Hulls[k].Input })
	return in
}

// Metrics are verdicts as the ledger keeps them.
func Metrics(verdicts []warehouse.Verdict) []ledger.Metric {
	out := make([]ledger.Metric, 0, len(verdicts))
	for _, v := range verdicts {
		out = append(out, ledger.Metric{Check: v.Check, Partition: v.Partition, Value: v.Value, Weight: v.Weight, Passed: v.Passed})
	}
	return out
}

// keepBack ends an attempt of which nothing passed: the rows stay staged, aside, and what was published before stays.
func (w *Worker) keepBack(ctx context.Context, t *Table, a *ledger.Attempt, j judged, out outcome) error {
	if out.failed.Empty() {
		return w.quarantine(ctx, t, a, out)
	}
	// Some were refused and some failed: that is told partition by partition.
	if err := w.Ledger.Intend(ctx, w.intent(t, a, j, nil, out)); err != nil {
		return fmt.Errorf("state what came of %s: %w", t.Name, err)
	}
	return w.record(ctx, t, a, outcome{})
}

// quarantine ends an attempt all of whose rows were refused.
func (w *Worker) quarantine(ctx context.Context, t *Table, a *ledger.Attempt, out outcome) error {
	_, err := w.Ledger.Fail(context.WithoutCancel(ctx), ledger.Failure{
		Attempt: a.ID, Token: a.Token, Outcome: history.Quarantined, CheckVersion: t.CheckVersion,
		Metrics: Metrics(out.verdicts), Reasons: out.reasons, Reason: "failed its checks", At: w.Now(),
	})
	if err != nil {
		return fmt.Errorf("record the quarantine of %s: %w", t.Name, err)
	}
	return nil
}

// fail ends an attempt that published nothing, and gives back why. A cancelled one leaves no verdict.
func (w *Worker) fail(ctx context.Context, t *Table, a *ledger.Attempt, cause error, cancelled bool) error {
	stopped := cancelled || ctx.Err() != nil || errors.Is(cause, executor.ErrTrust)
	_, err := w.Ledger.Fail(context.WithoutCancel(ctx), ledger.Failure{
		Attempt: a.ID, Token: a.Token, Outcome: history.Failed, Cancelled: stopped, Reason: firstLine(cause.Error()), At: w.Now(),
	})
	if err != nil && !errors.Is(err, ledger.ErrLost) {
		return fmt.Errorf("%w (and the failure of %s could not be recorded: %w)", cause, t.Name, err)
	}
	return cause
}

func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, errTimeout)
}

var errTimeout = errors.New("the attempt's time is over")

// timeoutCause says that it was the table's timeout that ended an attempt, and not a person.
func timeoutCause(ctx context.Context, err error, limit time.Duration) error {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return fmt.Errorf("not finished after %s (the table's timeout): %w", limit, err)
	}
	return err
}
