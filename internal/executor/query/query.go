package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/warehouse"
)

// An Executor computes one table by its query.
type Executor struct {
	template  *Template
	warehouse warehouse.Warehouse
}

var _ executor.Executor = (*Executor)(nil)

// New parses a table's query. Errors are catalog.Errors.
func New(t *catalog.Table, w warehouse.Warehouse) (*Executor, error) {
	if t.SQL == nil {
		return nil, fmt.Errorf("table %s is not computed by a query", t.Name)
	}
	template, err := Parse(t.SQL.File, t.SQL.Text)
	if err != nil {
		return nil, err
	}
	return &Executor{template: template, warehouse: w}, nil
}

// Template is the table's query.
func (e *Executor) Template() *Template { return e.template }

// Produce renders the query and stages its rows, in one statement.
func (e *Executor) Produce(ctx context.Context, t executor.Task) (*warehouse.Stage, *executor.Report, error) {
	t.Dialect = e.warehouse
	text, err := e.template.Render(t, "")
	if err != nil {
		return nil, nil, err
	}
	stage, err := e.warehouse.Stage(ctx, warehouse.StageRequest{Target: t.Target, Set: t.Set, Query: text, Attempt: t.Attempt})
	if err != nil {
		if at, _ := Place(t.Table.SQL.File, err); at.Line > 0 {
			return nil, nil, fmt.Errorf("%s: %w", at, err)
		}
		return nil, nil, err //nolint:wrapcheck // it says itself what was computed
	}
	return stage, nil, nil
}

// IsTemplateError reports whether an error is about what a template says: trying again will not help.
func IsTemplateError(err error) bool {
	_, ok := errors.AsType[catalog.Errors](err)
	return ok
}

// A Renderer writes a query for a task; *Template is the one.
type Renderer interface {
	Render(t executor.Task, staged string) (string, error)
}

// ParseCheck parses the query of a check; nil without an error for checks that have none. Errors are catalog.Errors.
func ParseCheck(t *catalog.Table, c *catalog.Check) (Renderer, error) {
	text := c.Query
	if c.Kind == catalog.CheckRows {
		text = c.Equals
	}
	if text == "" {
		return nil, nil //nolint:nilnil // most checks have no query, and that is no error
	}
	template, err := Parse(fmt.Sprintf("%s (check %s of %s)", c.Pos, c.ID, t.Name), text)
	if err != nil {
		return nil, err
	}
	template.check = true
	return template, nil
}
