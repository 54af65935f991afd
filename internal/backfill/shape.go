package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor/query"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// preparations are what was found before the first attempt of a run on each table.
type preparations struct {
	mu    sync.Mutex
	found map[string]string // by table: why it cannot be computed, "" if it can
}

// prepare is asked before each attempt on a table, and does its work once in a run: it refuses a query whose inputs' relations are not
// there, and makes, empty, the relations of a loop's tables that are missing, since each of them is read before it can be made.
func (r *runner) prepare(ctx context.Context, table string) (why string, err error) {
	r.preparations.mu.Lock()
	defer r.preparations.mu.Unlock()
	if known, ok := r.preparations.found[table]; ok {
		return known, nil
	}
	t := r.Tables[table]
	if t.SQL != nil {
		component := r.componentOf(table)
		err = r.inputsStand(ctx, t, component, r.sight)
		if err == nil && component.Loop {
			err = r.prepareLoop(ctx, t, component)
		}
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		why, err = refused.Error(), nil
	}
	if err == nil {
		if r.preparations.found == nil {
			r.preparations.found = map[string]string{}
		}
		r.preparations.found[table] = why
	}
	return why, err
}

func (c *Coordinator) componentOf(table string) catalog.Component {
	for _, component := range c.Graph.Order() {
		if slices.ContainsFunc(component.Tables, func(t *catalog.Table) bool { return t.Name == table }) {
			return component
		}
	}
	return catalog.Component{}
}

// stands reports whether a table's relation is there.
func (c *Coordinator) stands(ctx context.Context, t *worker.Table) (bool, error) {
	_, err := t.Warehouse.Bind(ctx, "select * from "+t.Warehouse.Relation(t.Target.Relation))
	if missing := new(warehouse.QueryError); errors.As(err, &missing) {
		return false, nil
	}
	return err == nil, err
}

// inputsStand refuses a query that reads a relation which is not there, though nothing of it is required. Of its own loop relations are
// made. Of what the ledger has a history the relation was made: nobody has to look.
func (c *Coordinator) inputsStand(ctx context.Context, t *worker.Table, component catalog.Component, sight *Sight) error {
	known := map[string]bool{}
	if err := sight.View.With(ctx, func(w *plan.World) error {
		for _, in := range t.Inputs {
			h := w.Tables[in.Table]
			known[in.Table] = h != nil && len(h.Segments) > 0
		}
		return nil
	}); err != nil {
		return err
	}
	for _, in := range t.Inputs {
		up := c.Tables[in.Table]
		if known[in.Table] || slices.Contains(component.Tables, up.Table) {
			continue
		}
		switch there, err := c.stands(ctx, up); {
		case err != nil:
			return fmt.Errorf("look for %s, which %s reads: %w", up.Name, t.Name, err)
		case !there:
			return &RefusedError{
				What: fmt.Sprintf("%s: %s reads %s, whose relation %s is not there: nothing of it was ever made", in.Pos, t.Name, up.Name, up.Target.Relation),
				Next: "make some of it first: headway run " + up.Name,
			}
		}
	}
	return nil
}

// prepareLoop makes the missing relations of the tables that read one another. Tables made by commands whose columns nobody declares make
// their own.
func (r *runner) prepareLoop(ctx context.Context, t *worker.Table, component catalog.Component) error {
	shapes, err := r.shapesOf(ctx, r.sight, t, component)
	if err != nil {
		return err
	}
	for _, shape := range shapes {
		name := r.Keys[shape.Target.Table]
		if !slices.Contains(component.Tables, r.Tables[name].Table) {
			continue
		}
		if err := t.Warehouse.Prepare(ctx, shape); err != nil {
			return fmt.Errorf("make the relation of %s, which is read before it can be made: %w", name, err)
		}
	}
	return nil
}

// shapesOf finds out the columns that are missing of the relations of a loop's tables, and of what they read, where they live with t.
func (c *Coordinator) shapesOf(ctx context.Context, sight *Sight, t *worker.Table, component catalog.Component) ([]warehouse.Shape, error) {
	names := make([]string, 0, len(component.Tables))
	for _, one := range component.Tables {
		names = append(names, one.Name)
	}
	names, err := c.unmadeBelow(ctx, names)
	if err != nil {
		return nil, err
	}
	drafts := make([]warehouse.Draft, 0, len(names))
	for _, name := range names {
		if one := c.Tables[name]; one.Warehouse == t.Warehouse {
			draft, err := c.draft(ctx, sight, one)
			if err != nil {
				return nil, err
			}
			if draft != nil {
				drafts = append(drafts, *draft)
			}
		}
	}
	shapes, err := t.Warehouse.Shapes(ctx, drafts)
	if unknown := new(warehouse.ShapeError); errors.As(err, &unknown) {
		return nil, c.undeclarable(ctx, unknown)
	}
	return shapes, err
}

// unmadeBelow gives the names and those of the tables below them whose relations are not there, each after those that it reads.
func (c *Coordinator) unmadeBelow(ctx context.Context, names []string) ([]string, error) {
	var failed error
	all := Closure(names, func(name string) []string {
		var out []string
		for _, in := range c.Tables[name].Inputs {
			there, err := c.stands(ctx, c.Tables[in.Table])
			failed = errors.Join(failed, err)
			if !there {
				out = append(out, in.Table)
			}
		}
		return out
	})
	if failed != nil {
		return nil, failed
	}
	wanted := map[string]bool{}
	for _, name := range all {
		wanted[name] = true
	}
	out := make([]string, 0, len(all))
	for _, component := range c.Graph.Order() {
		for _, t := range component.Tables {
			if wanted[t.Name] {
				out = append(out, t.Name)
			}
		}
	}
	return out, nil
}

// draft is what is known of a relation that may be missing; nil for a source, and for what a command makes as it likes.
func (c *Coordinator) draft(ctx context.Context, sight *Sight, t *worker.Table) (*warehouse.Draft, error) {
	draft := &warehouse.Draft{Target: t.Target}
	switch {
	case len(t.Target.Columns) > 0:
		return draft, nil
	case t.SQL == nil:
		return nil, nil //nolint:nilnil // nothing is known, and that is no error
	}
	set := calendar.Of(0)
	if first, ok := sight.Expected[t.Name].First(); ok && t.Partitioned() {
		set = calendar.Of(first)
	}
	var err error
	draft.Query, err = c.RenderQuery(ctx, sight, t.Name, set)
	return draft, err
}

// undeclarable says of which table the columns must be declared.
func (c *Coordinator) undeclarable(ctx context.Context, unknown *warehouse.ShapeError) error {
	t := c.Tables[c.Keys[unknown.Table]]
	out := &RefusedError{
		What: fmt.Sprintf("%s: %s: %v", t.Pos, t.Name, unknown),
		Next: fmt.Sprintf("declare `columns:` for table %s, or make the query say it (cast(... as ...), no select *)", t.Name),
	}
	if t.SQL == nil {
		out.Next = "correct `columns:` of table " + t.Name
		return out
	}
	if at, _ := query.Place(t.SQL.File, unknown.Err); at.Line > 0 {
		out.What = fmt.Sprintf("%s (%s)", out.What, at)
	}
	for _, in := range t.Inputs {
		up := c.Tables[in.Table]
		if up.SQL != nil || up.IsSource() || len(up.Target.Columns) > 0 {
			continue
		}
		if there, err := c.stands(ctx, up); err == nil && !there {
			out.Next = fmt.Sprintf("declare `columns:` for table %s (%s), which a command makes", up.Name, up.Pos)
		}
	}
	return out
}

// shapesBelow are the shapes, of those that are known, of what a table reads.
func shapesBelow(t *catalog.Table, known map[string]warehouse.Shape) []warehouse.Shape {
	var out []warehouse.Shape
	for _, in := range t.Inputs {
		if shape, ok := known[in.Table]; ok {
			out = append(out, shape)
		}
	}
	return out
}

func declaredColumns(t *catalog.Table) []warehouse.Column {
	out := make([]warehouse.Column, 0, len(t.Columns))
	for _, col := range t.Columns {
		out = append(out, warehouse.Column{Name: col.Name, Type: strings.TrimSpace(col.Type), Nullable: true})
	}
	return out
}
