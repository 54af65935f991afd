package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
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

// Sets reads the dates of a checkpoint as partitions. A date that is both successful and failed counts as failed: what a job says of its
// success is believed only where it says nothing else.
func (k *Checkpoint) Sets(axis calendar.Axis) (successful, failed, skipped calendar.Set, err error) {
	for _, list := range []struct {
		name  string
		dates []string
		to    *calendar.Set
	}{{"successful_dates", k.SuccessfulDates, &successful}, {"failed_dates", k.FailedDates, &failed}, {"skipped_dates", k.SkippedDates, &skipped}} {
		if *list.to, err = calendar.ParseList(axis, list.dates); err != nil {
			return successful, failed, skipped, &InputError{What: fmt.Sprintf("checkpoint, %s: %v", list.name, err)}
		}
	}
	skipped = skipped.Minus(failed)
	return successful.Minus(failed).Minus(skipped), failed, skipped, nil
}

// A MarkRequest is a person's word on partitions of a table.
type MarkRequest struct {
	Table    string
	Set      calendar.Set
	Kind     ledger.MarkKind
	Observed bool // fresh: only what stands in the relation, with its rows and fingerprints
	Reason   string
}

// Marked is what Mark did.
type Marked struct {
	Marked  calendar.Set
	Without calendar.Set // asked for, but no rows stand there
	Rows    int64
}

// Mark changes what the ledger holds of partitions. Freshness by a person's word is of today's code and of the inputs as they are now.
func (c *Coordinator) Mark(ctx context.Context, req MarkRequest) (*Marked, error) {
	t := c.Tables[req.Table]
	if t.IsSource() {
		return nil, &InputError{What: req.Table + " is a source", Next: "sources are observed: `headway observe " + req.Table + "`"}
	}
	out := &Marked{Marked: req.Set}
	mark := ledger.Mark{
		Kind: req.Kind, Table: t.Key, Axis: t.Axis, Set: req.Set, Version: t.Version.Version, Actor: c.Actor(), Reason: req.Reason, At: c.Now(),
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
