package backfill

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/worker"
)

// An IntervalID is a half-open interval as JSON carries it. An open side is empty.
type IntervalID struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// Intervals writes a set of a table's partitions for JSON: half-open, by ids. Intervals bridge cells that are not expected, so that a
// season is one interval and not one per run of game days.
func (c *Coordinator) Intervals(table string, set calendar.Set) []IntervalID {
	out := []IntervalID{}
	t := c.Tables[table]
	if t == nil {
		return out
	}
	for _, iv := range set.Intervals() {
		out = append(out, IntervalID{boundID(t.Axis, iv.Start), boundID(t.Axis, iv.End)})
	}
	return out
}

func boundID(axis calendar.Axis, p calendar.Partition) string {
	if p <= calendar.Beginning || p >= calendar.Horizon {
		return ""
	}
	return axis.ID(p)
}

// Bridge joins the intervals of a set over cells that are not in expected.
func Bridge(set, expected calendar.Set) calendar.Set {
	if set.Empty() {
		return set
	}
	bounds := set.Bounds()
	// What may not be bridged: expected partitions that are not in the set.
	foreign := expected.Within(bounds).Minus(set)
	return calendar.NewSet(bounds).Minus(foreign).Intersect(hullsOf(set, foreign))
}

// hullsOf gives, between any two foreign partitions, the hull of what the set has there: bridged intervals begin and end with a member.
func hullsOf(set, foreign calendar.Set) calendar.Set {
	if foreign.Empty() {
		return calendar.NewSet(set.Bounds())
	}
	gaps := calendar.NewSet(set.Bounds()).Minus(foreign)
	out := make([]calendar.Interval, 0, len(gaps.Intervals()))
	for _, gap := range gaps.Intervals() {
		if part := set.Within(gap); !part.Empty() {
			out = append(out, part.Bounds())
		}
	}
	return calendar.NewSet(out...)
}

// Format writes a set for people: inclusive, at most three ranges.
func (c *Coordinator) Format(table string, set calendar.Set) string {
	t := c.Tables[table]
	if t == nil {
		return fmt.Sprintf("%d partitions", set.Count())
	}
	const ranges = 3
	return t.Axis.FormatSet(set, ranges)
}

// NameOf is the name of a table by its ledger key; the key itself for a table that is not in this project.
func (c *Coordinator) NameOf(key string) string {
	if name, ok := c.Keys[key]; ok {
		return name
	}
	return strings.TrimPrefix(key, UnseenWarehouse+":")
}

// LogPath is where the output of an attempt is kept.
func (c *Coordinator) LogPath(id ledger.AttemptID) string {
	return filepath.Join(c.logs, string(id)+".log")
}

// FindRun finds a run by an id, a unique prefix of one, "last", or the name of a table that it wrote.
func (c *Coordinator) FindRun(ctx context.Context, name string) (*ledger.RunRecord, error) {
	filter := ledger.RunFilter{Limit: 1}
	switch {
	case name == "last" || name == "":
	case c.Tables[name] != nil:
		filter.Table = c.Tables[name].Key
	default:
		filter = ledger.RunFilter{ID: ledger.RunID(strings.ToLower(name)), Limit: 2}
	}
	runs, err := c.Ledger.Runs(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("look for run %s: %w", name, err)
	}
	switch len(runs) {
	case 0:
		return nil, &InputError{What: fmt.Sprintf("no run matches %q", name), Next: "list them with `headway ps --all`"}
	case 1:
		return &runs[0], nil
	}
	return nil, &InputError{
		What: fmt.Sprintf("%q is the beginning of several runs: %s, %s, …", name, runs[0].ID, runs[1].ID), Next: "write one more letter",
	}
}

// Relations are the quoted relations of all tables by name, as queries write them.
func (c *Coordinator) Relations() map[string]string {
	out := make(map[string]string, len(c.Tables))
	for name, t := range c.Tables {
		out[name] = t.Warehouse.Relation(t.Target.Relation)
	}
	return out
}

// task is a table's set as the executors see it, outside any attempt: to render a query or a check.
func (c *Coordinator) task(t *worker.Table, set calendar.Set) executor.Task {
	relations := c.Relations()
	task := executor.Task{
		Table: t.Table, Target: t.Target, Dialect: t.Warehouse, Set: set, Inputs: map[string]executor.Input{}, Tables: relations,
		Periods: c.periods(), Dir: c.Dir, Lookup: c.Lookup,
	}
	for _, in := range t.Inputs {
		task.Inputs[in.Table] = executor.Input{Relation: relations[in.Table], Axis: c.Tables[in.Table].Axis}
	}
	return task
}

// Provenance finds the attempt that wrote what stands in a partition; nil for what no attempt wrote.
func (c *Coordinator) Provenance(ctx context.Context, table string, p calendar.Partition) (*ledger.AttemptRecord, error) {
	t := c.Tables[table]
	snapshot, err := c.Ledger.Snapshot(ctx, []string{t.Key})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	for _, s := range snapshot.Table(t.Key).Segments {
		if !s.Contains(p) || s.Attempt == "" {
			continue
		}
		found, err := c.Ledger.Attempts(ctx, ledger.AttemptFilter{ID: ledger.AttemptID(s.Attempt), Limit: 1})
		if err != nil || len(found) == 0 || found[0].EndedAt.IsZero() {
			return nil, err // of one that is at work, or was when its process died, nobody knows what it has written
		}
		return &found[0], nil
	}
	return nil, nil //nolint:nilnil // nothing stands there, or nobody knows who wrote it
}

// taskWithReach is task with what the windows of the set reach of each input.
func (c *Coordinator) taskWithReach(ctx context.Context, sight *Sight, t *worker.Table, set calendar.Set) (executor.Task, error) {
	task := c.task(t, set)
	err := sight.View.With(ctx, func(w *plan.World) error {
		for _, in := range t.Inputs {
			x := task.Inputs[in.Table]
			x.Reach = w.Reach(t.Name, in, set)
			task.Inputs[in.Table] = x
		}
		return nil
	})
	return task, err
}

// ShownURL is a state's URL as it may be shown: without its password.
func ShownURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	who, where, has := strings.Cut(rest, "@")
	if !ok || !has {
		return text
	}
	if at := strings.LastIndex(where, "@"); at >= 0 { // a password with an @ of its own
		where = where[at+1:]
	}
	user, _, _ := strings.Cut(who, ":")
	return scheme + "://" + user + ":xxxxx@" + where
}

// StateDead is what a run is called whose process is gone without having told its end: it was killed, or the machine went down.
const StateDead = "dead"

// StateOf is the state of a run as people see it: a run of this machine whose process is gone is dead, whatever it last said of itself, and
// one that was asked to stop is stopping.
func (c *Coordinator) StateOf(r *ledger.RunRecord) string {
	if !r.Ended && r.Holder.Host == c.Holder.Host && !c.Alive(r.Holder) {
		return StateDead
	}
	if !r.Ended && r.Stop.Asked() {
		return string(run.Stopping)
	}
	if !r.Ended && r.Paused.Asked() {
		return StatePaused
	}
	return string(r.State)
}
