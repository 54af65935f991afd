package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/worker"
)

// A Checkpoint is what a Python job kept of its progress. Dates are ids of the table's partitions.
type Checkpoint struct {
	JobName         string   `json:"job_name"`
	StartDate       string   `json:"start_date"`
	EndDate         string   `json:"end_date"`
	SuccessfulDates []string `json:"successful_dates"`
	FailedDates     []string `json:"failed_dates"`
	SkippedDates    []string `json:"skipped_dates"`
}

// maxCheckpoint bounds a checkpoint file.
const maxCheckpoint = 64 << 20

// ReadCheckpoint reads a checkpoint file. Keys that it does not know are ignored: the file is another program's.
func ReadCheckpoint(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &InputError{What: "the checkpoint cannot be read: " + err.Error()}
	}
	if info.Size() > maxCheckpoint {
		return nil, &InputError{What: fmt.Sprintf("%s has %d bytes: no checkpoint is larger than %d", path, info.Size(), maxCheckpoint)}
	}
	text, err := os.ReadFile(path) //nolint:gosec // a path that the user named
	if err != nil {
		return nil, &InputError{What: "the checkpoint cannot be read: " + err.Error()}
	}
	var c Checkpoint
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, &InputError{What: fmt.Sprintf("%s is no JSON checkpoint: %v", path, err), Next: "it must be an object with successful_dates"}
	}
	if len(c.SuccessfulDates)+len(c.FailedDates)+len(c.SkippedDates) == 0 {
		return nil, &InputError{What: path + " names no dates", Next: "it must have successful_dates, failed_dates or skipped_dates"}
	}
	return &c, nil
}

// A Told is what a checkpoint says of partitions. The sets are disjoint but for Outside, which is in none of the others.
type Told struct {
	Successful, Failed, Skipped calendar.Set
	// Outside are dates beyond the checkpoint's own start_date or end_date: what a job says of dates that it was not run for is not believed.
	Outside calendar.Set
}

// Sets reads the dates of a checkpoint as partitions. A date that is both successful and failed counts as failed: what a job says of its
// success is believed only where it says nothing else.
func (k *Checkpoint) Sets(axis calendar.Axis) (*Told, error) {
	var told Told
	for _, list := range []struct {
		name  string
		dates []string
		to    *calendar.Set
	}{{"successful_dates", k.SuccessfulDates, &told.Successful}, {"failed_dates", k.FailedDates, &told.Failed}, {"skipped_dates", k.SkippedDates, &told.Skipped}} {
		var err error
		if *list.to, err = calendar.ParseList(axis, list.dates); err != nil {
			return nil, &InputError{What: fmt.Sprintf("checkpoint, %s: %v", list.name, err), Next: "correct the file: it lists ids of partitions"}
		}
	}
	within, err := k.within(axis)
	if err != nil {
		return nil, err
	}
	all := calendar.UnionAll(told.Successful, told.Failed, told.Skipped)
	told.Outside = all.Minus(all.Within(within))
	told.Failed = told.Failed.Within(within)
	told.Skipped = told.Skipped.Within(within).Minus(told.Failed)
	told.Successful = told.Successful.Within(within).Minus(told.Failed).Minus(told.Skipped)
	return &told, nil
}

// within is the range that the job was run for, both dates inclusive; an end that it does not give is open.
func (k *Checkpoint) within(axis calendar.Axis) (calendar.Interval, error) {
	iv := calendar.Everything()
	for _, end := range []struct {
		name, text string
		to         *calendar.Partition
		add        calendar.Partition
	}{{"start_date", k.StartDate, &iv.Start, 0}, {"end_date", k.EndDate, &iv.End, 1}} {
		if end.text == "" {
			continue
		}
		p, err := axis.Parse(end.text)
		if err != nil {
			return iv, &InputError{What: fmt.Sprintf("checkpoint, %s: %v", end.name, err), Next: "correct the file"}
		}
		*end.to = p + end.add
	}
	if iv.Empty() {
		return iv, &InputError{What: fmt.Sprintf("checkpoint: end_date %s is before start_date %s", k.EndDate, k.StartDate), Next: "correct the file"}
	}
	return iv, nil
}

// A MarkRequest is a person's word on partitions of a table.
type MarkRequest struct {
	Table    string
	Set      calendar.Set
	Kind     ledger.MarkKind
	Observed bool // fresh: only what stands in the relation, with its rows and fingerprints
	Reason   string

	// code: only the code that made it is vouched for, not what checks would say.
	code bool
}

// Marked is what Mark did.
type Marked struct {
	Marked  calendar.Set
	Without calendar.Set // asked for, but no rows stand there
	Rows    int64
}

// Mark changes what the ledger holds of partitions. Freshness by a person's word is of the code and the checks that are judged by today, and of
// the inputs as they are now: the next version of either is another question.
func (c *Coordinator) Mark(ctx context.Context, req MarkRequest) (*Marked, error) {
	t := c.Tables[req.Table]
	if t.IsSource() {
		return nil, &InputError{What: req.Table + " is a source: it cannot be marked", Next: "sources are observed: `headway observe " + req.Table + "`"}
	}
	known, err := c.Ledger.Snapshot(ctx, []string{t.Key})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	out := &Marked{Marked: req.Set}
	mark := ledger.Mark{
		Kind: req.Kind, Table: t.Key, Axis: t.Axis, Set: req.Set, Version: known.Table(t.Key).Standing(t.Version.Version), Actor: c.Actor(),
		Reason: req.Reason, At: c.Now(),
	}
	if req.Kind == ledger.MarkFresh && !req.code {
		mark.CheckVersion = t.CheckVersion
	}
	if req.Observed {
		if err := c.observed(ctx, t, &mark, out); err != nil {
			return nil, err
		}
	}
	if out.Marked.Empty() {
		return out, nil
	}
	if _, err := c.Ledger.Mark(ctx, mark); err != nil {
		return nil, fmt.Errorf("mark %s: %w", req.Table, err)
	}
	return out, nil
}

// observed limits a mark to the partitions that have rows, and takes down what they are.
func (c *Coordinator) observed(ctx context.Context, t *worker.Table, mark *ledger.Mark, out *Marked) error {
	contents, err := t.Warehouse.Contents(ctx, t.Target, mark.Set)
	if err != nil {
		return fmt.Errorf("look at what stands in %s: %w", t.Name, err)
	}
	ivs := make([]calendar.Interval, 0, len(contents))
	for _, content := range contents {
		mark.Contents = append(mark.Contents, ledger.Content(content))
		ivs = append(ivs, calendar.Single(content.Partition))
		out.Rows += content.Rows
	}
	out.Marked = calendar.NewSet(ivs...)
	out.Without = mark.Set.Minus(out.Marked)
	mark.Set = out.Marked
	return nil
}

// Losses are the partitions of a table or a source that are lost: dropped by the table's calendar although they are materialized, or read
// from the source once and not there any more.
func (c *Coordinator) Losses(ctx context.Context, sight *Sight, name string) (calendar.Set, error) {
	t, dropped := c.Tables[name], sight.Dropped[name]
	if !t.IsSource() {
		return dropped, nil
	}
	var drifted calendar.Set
	if err := sight.View.With(ctx, func(w *plan.World) error {
		drifted = w.Judge(name).Drifted
		return nil
	}); err != nil || drifted.Empty() {
		return drifted, err
	}
	contents, err := c.Ledger.Contents(ctx, t.Key, drifted)
	if err != nil {
		return drifted, fmt.Errorf("read what is known of %s: %w", name, err)
	}
	stand := make([]calendar.Interval, 0, len(contents))
	for _, content := range contents {
		stand = append(stand, calendar.Single(content.Partition))
	}
	return drifted.Minus(calendar.NewSet(stand...)).Union(dropped), nil
}

// AcceptLosses says that losses are right: the calendar does not name them any more, or a source has no rows of them.
func (c *Coordinator) AcceptLosses(ctx context.Context, sight *Sight, name string, set calendar.Set, reason string) error {
	t := c.Tables[name]
	dropped := sight.Dropped[name].Intersect(set)
	for _, one := range []struct {
		kind ledger.MarkKind
		set  calendar.Set
	}{{ledger.MarkGone, dropped}, {ledger.MarkSkipped, set.Minus(dropped)}} {
		if one.set.Empty() {
			continue
		}
		mark := ledger.Mark{Kind: one.kind, Table: t.Key, Axis: t.Axis, Set: one.set, Actor: c.Actor(), Reason: reason, At: c.Now()}
		if _, err := c.Ledger.Mark(ctx, mark); err != nil {
			return fmt.Errorf("accept the losses of %s: %w", name, err)
		}
	}
	return nil
}

// Promote makes today's files the table's head: they are what its partitions are judged by. Only code that has published can be promoted.
func (c *Coordinator) Promote(ctx context.Context, table, version, reason string) error {
	t := c.Tables[table]
	_, err := c.Ledger.Mark(ctx, ledger.Mark{
		Kind: ledger.MarkHeadTo, Table: t.Key, Axis: t.Axis, Version: version, Actor: c.Actor(), Reason: reason, At: c.Now(),
	})
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return &InputError{
			What: fmt.Sprintf("version %.12s of %s has never published: it needs no promotion", version, table),
			Next: "see `headway code list " + table + "`; `headway run " + table + "` publishes with today's files",
		}
	case err != nil:
		return fmt.Errorf("promote version %.12s of %s: %w", version, table, err)
	}
	return nil
}

// Accept takes over, as of today's code, what older code computed: all else about the partitions stays as it is judged. It gives those that
// were accepted.
func (c *Coordinator) Accept(ctx context.Context, sight *Sight, table string, set calendar.Set, reason string) (calendar.Set, error) {
	var old calendar.Set
	if err := sight.View.With(ctx, func(w *plan.World) error {
		j := w.Judge(table)
		// Rows that also lack a newer input are stale for more than their code: to call them fresh would hide that.
		old = j.Code.Intersect(set).Minus(calendar.UnionAll(j.Input, j.Lookback, j.Marked, j.Unreadable()))
		return nil
	}); err != nil {
		return old, fmt.Errorf("judge %s: %w", table, err)
	}
	if old.Empty() {
		return old, nil
	}
	_, err := c.Mark(ctx, MarkRequest{Table: table, Set: old, Kind: ledger.MarkFresh, Reason: reason, code: true})
	return old, err
}
