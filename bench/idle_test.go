package bench

import (
	"context"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/unseen"
)

// idle is a warehouse that does nothing: each partition has one row, which is there at once. What a run costs with it is Headway's own.
type idle struct {
	unseen.Warehouse // the rest
	mu               sync.Mutex
	fence            map[string]map[calendar.Partition]history.Token
}

var _ warehouse.Warehouse = (*idle)(nil)

func newIdle() *idle { return &idle{fence: map[string]map[calendar.Partition]history.Token{}} }

func (w *idle) Location() string { return "idle" }

func (w *idle) Claim(context.Context, warehouse.Ledger) (map[string]history.Token, error) {
	return map[string]history.Token{}, nil
}

func (w *idle) Raise(_ context.Context, fences ...warehouse.Fence) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range fences {
		if w.fence[f.Table] == nil {
			w.fence[f.Table] = map[calendar.Partition]history.Token{}
		}
		for p := range f.Set.Partitions() {
			w.fence[f.Table][p] = f.Token
		}
	}
	return nil
}

func (w *idle) Stage(_ context.Context, req warehouse.StageRequest) (*warehouse.Stage, error) {
	s := &warehouse.Stage{Relation: "stage", Attempt: req.Attempt, Set: req.Set}
	for p := range req.Set.Partitions() {
		s.Contents = append(s.Contents, warehouse.Content{Partition: p, Rows: 1, Fingerprint: "00112233445566778899aabbccddeeff"})
	}
	return s, nil
}

func (w *idle) OpenStage(context.Context, warehouse.Target, calendar.Set, string) (string, error) {
	return "stage", nil
}

func (w *idle) SealStage(_ context.Context, _ warehouse.Target, set calendar.Set, attempt string) (*warehouse.Stage, error) {
	return w.Stage(context.Background(), warehouse.StageRequest{Set: set, Attempt: attempt})
}

func (w *idle) Check(_ context.Context, _ warehouse.Target, _ *warehouse.Stage, set calendar.Set, checks []warehouse.Check) ([]warehouse.Verdict, error) {
	var out []warehouse.Verdict
	for _, c := range checks {
		for p := range set.Partitions() {
			out = append(out, warehouse.Verdict{Check: c.ID, Partition: p, Value: 1, Weight: 1, Passed: true})
		}
	}
	return out, nil
}

func (w *idle) Publish(_ context.Context, p warehouse.Publication) (*warehouse.Published, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fenced := calendar.Set{}
	for at := range p.Set.Partitions() {
		if w.fence[p.Target.Table][at] != p.Token {
			fenced = fenced.Union(calendar.Of(at))
		}
	}
	if !fenced.Empty() {
		return nil, &warehouse.FencedError{Table: p.Target.Table, Token: p.Token, Fenced: fenced}
	}
	return &warehouse.Published{Inserted: p.Stage.Contents}, nil
}

func (w *idle) Discard(context.Context, *warehouse.Stage) error { return nil }
func (w *idle) Sweep(context.Context, map[string]bool) error    { return nil }
func (w *idle) Close() error                                    { return nil }
func (w *idle) Shapes(context.Context, []warehouse.Draft) ([]warehouse.Shape, error) {
	return nil, nil
}

func (w *idle) Prepare(context.Context, warehouse.Shape) error { return nil }

func (w *idle) Bind(context.Context, string, ...warehouse.Shape) (*warehouse.Binding, error) {
	return &warehouse.Binding{}, nil
}

func (w *idle) Markers(context.Context, string, calendar.Set) ([]warehouse.Marker, error) {
	return nil, nil
}

func (w *idle) Contents(context.Context, warehouse.Target, calendar.Set) ([]warehouse.Content, error) {
	return nil, nil
}

func (w *idle) Observe(context.Context, warehouse.SourceRequest) (*warehouse.SourceState, error) {
	return &warehouse.SourceState{Unchanged: true}, nil
}

func (w *idle) Dates(context.Context, string, calendar.Axis) (calendar.Set, error) {
	return calendar.Set{}, nil
}

func (w *idle) Relation(name string) string { return name }

func (w *idle) Literal(axis calendar.Axis, p calendar.Partition) string {
	return "DATE '" + axis.ID(p) + "'"
}

func (w *idle) Cells(calendar.Axis, calendar.Set, map[string][]calendar.Interval) string {
	return "(select 1)"
}

func (w *idle) Leave(context.Context) error { return nil }

func (w *idle) Lend(ctx context.Context, fn func(ctx context.Context) error) error { return fn(ctx) }
