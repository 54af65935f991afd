// Package unseen is the warehouse of tables that Headway does not reach: a command writes them wherever they are, and only the command
// knows what stands in them. Who may write them when is coordinated all the same; nothing is fenced, staged, checked or looked at.
package unseen

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// ErrUnseen answers what only a look at the data could.
var ErrUnseen = errors.New("this table is in no warehouse that Headway reaches: declare it in a project file")

// A Warehouse is that of tables that are not seen. The zero Warehouse works.
type Warehouse struct{}

var _ warehouse.Warehouse = Warehouse{}

// Location is a word: there is one such warehouse, as far as can be told.
func (Warehouse) Location() string { return "unseen" }

// Claim finds nobody: the state itself is what coordinates.
func (Warehouse) Claim(context.Context, warehouse.Ledger) (map[string]history.Token, error) {
	return nil, nil //nolint:nilnil // no floors
}

// Coordination knows of nobody.
func (Warehouse) Coordination(context.Context) (warehouse.Coordination, error) {
	return warehouse.Coordination{}, nil
}

// Move does nothing: there is nothing to coordinate.
func (Warehouse) Move(context.Context, warehouse.Ledger, map[string]string) (warehouse.Coordination, error) {
	return warehouse.Coordination{}, nil
}

// Raise does nothing: there is no fence, and publishing, which would ask it, is not possible either.
func (Warehouse) Raise(context.Context, ...warehouse.Fence) error { return nil }

// Stage is not possible.
func (Warehouse) Stage(context.Context, warehouse.StageRequest) (*warehouse.Stage, error) {
	return nil, ErrUnseen
}

// OpenStage is not possible.
func (Warehouse) OpenStage(context.Context, warehouse.Target, calendar.Set, string) (string, error) {
	return "", ErrUnseen
}

// SealStage is not possible.
func (Warehouse) SealStage(context.Context, warehouse.Target, calendar.Set, string) (*warehouse.Stage, error) {
	return nil, ErrUnseen
}

// Check can judge nothing; no checks are no problem.
func (Warehouse) Check(_ context.Context, _ warehouse.Target, _ *warehouse.Stage, _ calendar.Set, checks []warehouse.Check) ([]warehouse.Verdict, error) {
	if len(checks) > 0 {
		return nil, ErrUnseen
	}
	return nil, nil
}

// Publish is not possible.
func (Warehouse) Publish(context.Context, warehouse.Publication) (*warehouse.Published, error) {
	return nil, ErrUnseen
}

// Discard finds nothing.
func (Warehouse) Discard(context.Context, *warehouse.Stage) error { return nil }

// Sweep finds nothing.
func (Warehouse) Sweep(context.Context, map[string]bool) error { return nil }

// Markers finds none.
func (Warehouse) Markers(context.Context, string, calendar.Set) ([]warehouse.Marker, error) {
	return nil, nil
}

// Contents says of every partition that something stands there, of which nothing is known: -1 rows, and a fingerprint that is like no other,
// so that nobody takes two of them for the same.
func (Warehouse) Contents(_ context.Context, _ warehouse.Target, set calendar.Set) ([]warehouse.Content, error) {
	if set.Count() > maxContents {
		return nil, fmt.Errorf("%d partitions at once are more than %d", set.Count(), maxContents)
	}
	once := "unseen:" + rand.Text()
	out := make([]warehouse.Content, 0, set.Count())
	for p := range set.Partitions() {
		out = append(out, warehouse.Content{Partition: p, Rows: -1, Fingerprint: once})
	}
	return out, nil
}

// maxContents bounds what is made up at once: hours of a thousand years.
const maxContents = 10_000_000

// Observe is not possible.
func (Warehouse) Observe(context.Context, warehouse.SourceRequest) (*warehouse.SourceState, error) {
	return nil, ErrUnseen
}

// Dates is not possible.
func (Warehouse) Dates(context.Context, string, calendar.Axis) (calendar.Set, error) {
	return calendar.Set{}, ErrUnseen
}

// Bind knows no relation; a query that reads none it lets pass.
func (Warehouse) Bind(context.Context, string, ...warehouse.Shape) (*warehouse.Binding, error) {
	return &warehouse.Binding{}, nil
}

// Shapes knows none.
func (Warehouse) Shapes(context.Context, []warehouse.Draft) ([]warehouse.Shape, error) {
	return nil, nil
}

// Prepare is not possible.
func (Warehouse) Prepare(context.Context, warehouse.Shape) error { return ErrUnseen }

// Relation is the name as it is written.
func (Warehouse) Relation(name string) string { return name }

// Literal is the partition's id in quotes.
func (Warehouse) Literal(axis calendar.Axis, p calendar.Partition) string {
	return "'" + axis.ID(p) + "'"
}

// Cells is no query: nothing is asked here.
func (Warehouse) Cells(calendar.Axis, calendar.Set, map[string][]calendar.Interval) string { return "" }

// Lend runs fn: nothing is open.
func (Warehouse) Lend(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }

// Turn is given at once: nothing is open.
func (Warehouse) Turn(context.Context) (func(), error) { return func() {}, nil }

// Leave does nothing.
func (Warehouse) Leave(context.Context) error { return nil }

// Close does nothing.
func (Warehouse) Close() error { return nil }
