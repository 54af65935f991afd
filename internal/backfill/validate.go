package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor/query"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// A Problem is something wrong with a table of a project, at its place.
type Problem struct {
	Table string
	Error catalog.Error
	Warn  bool // told, but nothing is refused for it
}

// CheckTemplates finds errors in the templates of queries and checks, without connecting to anything.
func CheckTemplates(p *catalog.Project) error {
	names := make([]string, 0, len(p.Tables))
	for _, t := range p.Tables {
		names = append(names, t.Name)
	}
	var all catalog.Errors
	for _, t := range p.Tables {
		if t.SQL != nil {
			template, err := query.Parse(t.SQL.File, t.SQL.Text)
			if err == nil {
				err = template.Verify(t, names)
			}
			all = appendErrors(all, err)
		}
		for _, check := range t.Checks {
			_, err := query.ParseCheck(t, check)
			all = appendErrors(all, err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func appendErrors(all catalog.Errors, err error) catalog.Errors {
	if err == nil {
		return all
	}
	if list, ok := err.(catalog.Errors); ok { //nolint:errorlint // the templates give these and no others
		return append(all, list...)
	}
	return append(all, catalog.Error{Msg: err.Error()})
}

// BindAll binds every query in its warehouse without running it: errors of names and types, and reads that are not declared. What was
// never made is taken to have the columns that its own query gives, or that are declared. Tables that read what a command makes, and that
// is not there, cannot be bound; that is told as a warning. Nothing is made.
func (c *Coordinator) BindAll(ctx context.Context, sight *Sight) ([]Problem, error) {
	if err := CheckTemplates(c.Project); err != nil {
		return nil, err
	}
	var out []Problem
	known := map[string]warehouse.Shape{}
	for _, component := range c.Graph.Order() {
		found, err := c.knowLoop(ctx, sight, component, known)
		if err != nil {
			return nil, err
		}
		if out = append(out, found...); len(found) > 0 {
			continue // its queries cannot be bound
		}
		for _, t := range component.Tables {
			found, err := c.bindQuery(ctx, sight, t, known)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	return out, nil
}

// knowLoop finds out the shapes of tables that read one another and were never made.
func (c *Coordinator) knowLoop(ctx context.Context, sight *Sight, component catalog.Component, known map[string]warehouse.Shape) ([]Problem, error) {
	if !component.Loop {
		return nil, nil
	}
	first := c.Tables[component.Tables[0].Name]
	shapes, err := c.shapesOf(ctx, sight, first, component)
	if refused := new(RefusedError); errors.As(err, &refused) {
		if missing := c.unmade(ctx, first.Table, component, known); missing != "" {
			return []Problem{{first.Name, c.notBefore(first.Table, missing), true}}, nil
		}
		return []Problem{{first.Name, catalog.Error{Msg: refused.What, Next: refused.Next}, false}}, nil
	}
	for _, shape := range shapes {
		known[c.Keys[shape.Target.Table]] = shape
	}
	return nil, err
}

// notBefore warns that a query cannot be tried yet.
func (c *Coordinator) notBefore(t *catalog.Table, missing string) catalog.Error {
	return c.Project.At(t.Pos, fmt.Sprintf("the query cannot be bound before %s was made", missing), "run it once, then validate again; or declare `columns:` for "+missing)
}

func (c *Coordinator) bindQuery(ctx context.Context, sight *Sight, t *catalog.Table, known map[string]warehouse.Shape) ([]Problem, error) {
	bound := c.Tables[t.Name]
	if t.SQL == nil {
		return nil, c.know(ctx, bound, declaredColumns(t), known)
	}
	set := calendar.Of(0)
	if t.Partitioned() {
		first, ok := sight.Expected[t.Name].First()
		if !ok {
			return []Problem{{t.Name, c.Project.At(t.Pos, "no partition is expected: its query cannot be tried", ""), true}}, nil
		}
		set = calendar.Of(first)
	}
	text, err := c.RenderQuery(ctx, sight, t.Name, set)
	if err != nil {
		return nil, err
	}
	binding, err := bound.Warehouse.Bind(ctx, text, shapesBelow(t, known)...)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		if missing := c.unmade(ctx, t, catalog.Component{}, known); missing != "" {
			return []Problem{{t.Name, c.notBefore(t, missing), true}}, nil
		}
		at, line := query.Place(t.SQL.File, err)
		return []Problem{{t.Name, catalog.Error{
			Pos: at, Line: line, Msg: "the query cannot be bound: " + query.Brief(err), Next: "see it with `headway render " + t.Name + "`",
		}, false}}, nil
	}
	var out []Problem
	if t.Column != "" && !hasColumn(binding.Columns, t.Column) {
		out = append(out, Problem{t.Name, catalog.Error{
			Pos: catalog.Pos{File: t.SQL.File}, Msg: fmt.Sprintf("the query gives no column %q, by which %s is partitioned", t.Column, t.Name),
			Next: "select it",
		}, false})
	}
	columns := binding.Columns
	if declared := declaredColumns(t); len(declared) > 0 {
		columns = declared
	}
	return append(out, c.undeclared(t, binding.Reads)...), c.know(ctx, bound, columns, known)
}

// know notes the columns that a table's relation will have which was never made.
func (c *Coordinator) know(ctx context.Context, t *worker.Table, columns []warehouse.Column, known map[string]warehouse.Shape) error {
	if _, ok := known[t.Name]; ok || t.IsSource() || len(columns) == 0 {
		return nil
	}
	there, err := c.stands(ctx, t)
	if err == nil && !there {
		known[t.Name] = warehouse.Shape{Target: t.Target, Columns: columns}
	}
	return err
}

// undeclared warns of tables of the project that a query reads and does not declare.
func (c *Coordinator) undeclared(t *catalog.Table, reads []string) []Problem {
	declared := map[string]bool{}
	for _, in := range t.Inputs {
		declared[relationOf(c.Tables[in.Table])] = true
	}
	var out []Problem
	for _, read := range reads {
		read = strings.TrimPrefix(strings.ToLower(read), "main.")
		if declared[read] {
			continue
		}
		next := "declare it as an input if it is one"
		for name, other := range c.Tables {
			if relationOf(other) == read {
				next = fmt.Sprintf("declare %s as an input: what is not declared is neither waited for nor noticed when it changes", name)
			}
		}
		out = append(out, Problem{t.Name, catalog.Error{
			Pos: catalog.Pos{File: path.Clean(t.SQL.File)}, Msg: fmt.Sprintf("the query of %s reads %s, which is not declared", t.Name, read), Next: next,
		}, true})
	}
	return out
}

func relationOf(t *worker.Table) string {
	return strings.TrimPrefix(strings.ToLower(t.Target.Relation), "main.")
}

// unmade names an input, not in the loop, whose relation does not exist yet and whose shape is not known.
func (c *Coordinator) unmade(ctx context.Context, t *catalog.Table, loop catalog.Component, known map[string]warehouse.Shape) string {
	for _, in := range t.Inputs {
		inLoop := slices.ContainsFunc(loop.Tables, func(own *catalog.Table) bool { return own.Name == in.Table })
		if _, ok := known[in.Table]; ok || inLoop {
			continue
		}
		if there, err := c.stands(ctx, c.Tables[in.Table]); err == nil && !there {
			return in.Table
		}
	}
	return ""
}

// RenderCommand is the command lines that a table's command would be run with for a set, one for each contiguous range.
func (c *Coordinator) RenderCommand(ctx context.Context, sight *Sight, table string, set calendar.Set) ([]string, error) {
	t := c.Tables[table]
	task, err := c.taskWithReach(ctx, sight, t, set)
	if err != nil {
		return nil, err
	}
	task.Expected = sight.Expected[table]
	for _, other := range t.Together { // nor does it bridge what is not asked for of another table of its producer
		task.Expected = task.Expected.Union(sight.Expected[other.Name])
	}
	return worker.RenderCommand(t, task)
}

// GuaranteeOf is the weakest guarantee of what a run writes: fenced, staged or guarded.
func (c *Coordinator) GuaranteeOf(r *ledger.RunRecord) string {
	var asked execRequest
	if json.Unmarshal(r.Request, &asked) == nil && asked.Guarantee != "" {
		return asked.Guarantee
	}
	weakest := fenced
	for _, s := range r.Sets {
		if t := c.Tables[c.NameOf(s.Table)]; t != nil && weakest != guarded && guaranteeOf(t.Table) != fenced {
			weakest = guaranteeOf(t.Table)
		}
	}
	return weakest
}

// The guarantees, as people and JSON see them.
const (
	fenced  = "fenced"
	staged  = "staged"
	guarded = "guarded"
)

func guaranteeOf(t *catalog.Table) string {
	switch {
	case t.Command == nil:
		return fenced
	case t.Write == catalog.Direct:
		return guarded
	}
	return staged
}

func hasColumn(columns []warehouse.Column, name string) bool {
	for _, col := range columns {
		if strings.EqualFold(col.Name, name) {
			return true
		}
	}
	return false
}
