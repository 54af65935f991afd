package backfill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/executor/query"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// bind gives every table its key, its target, its code version and its executor.
func (c *Coordinator) bind(ctx context.Context, readOnly bool) error {
	for _, w := range c.Project.Warehouses {
		opened, err := c.OpenWarehouse(ctx, w, c.Dir, readOnly)
		if err != nil {
			return fmt.Errorf("open warehouse %s: %w", w.Name, err)
		}
		c.warehouses[w.Name] = opened
	}
	c.Tables = map[string]*worker.Table{}
	c.Keys = map[string]string{}
	for _, component := range c.Graph.Order() {
		for _, t := range component.Tables {
			bound, err := c.bindTable(ctx, t)
			if err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			if other, taken := c.Keys[bound.Key]; taken {
				return &InputError{
					What: fmt.Sprintf("%s: tables %s and %s are the same relation %s", t.Pos, other, t.Name, bound.Target.Relation),
					Next: "give one of them another `relation`",
				}
			}
			c.Tables[t.Name] = bound
			c.Keys[bound.Key] = t.Name
		}
	}
	for _, t := range c.Tables {
		for _, name := range c.Project.Made(t.Table) {
			t.Together = append(t.Together, c.Tables[name])
		}
	}
	return nil
}

func (c *Coordinator) bindTable(ctx context.Context, t *catalog.Table) (*worker.Table, error) {
	wh := c.warehouses[t.Warehouse]
	if wh == nil {
		return nil, &InputError{What: fmt.Sprintf("%s: no warehouse is named %q", t.Pos, t.Warehouse)}
	}
	relation := c.relation(t)
	bound := &worker.Table{Table: t, Key: c.key(t, wh, relation), Warehouse: wh}
	bound.Target = warehouse.Target{Table: bound.Key, Relation: relation, Column: t.Column, Axis: t.Axis, Digits: t.Digits, Columns: declaredColumns(t)}
	bound.CheckVersion = t.CheckVersion()
	for _, check := range t.Checks {
		parsed, err := query.ParseCheck(t, check)
		if err != nil {
			return nil, err
		}
		bound.Checks = append(bound.Checks, worker.Check{Check: check, Query: parsed})
	}
	if t.IsSource() || (t.SQL == nil && t.Command == nil) {
		return bound, nil
	}
	c.inheritDue(t)
	var err error
	if bound.Version, err = c.codeVersion(ctx, t); err != nil {
		return nil, err
	}
	switch {
	case t.SQL != nil:
		bound.Executor, err = query.New(t, wh)
	case t.Command != nil:
		bound.Executor, err = command.New(t, wh, c.commandOptions(t))
	}
	if bad, ok := errors.AsType[*command.BoundError](err); ok {
		where := t.Command.Pos.String() + ": "
		if c.wrap.writes(t.Name) {
			where = ""
		}
		err = &InputError{What: where + bad.Error(), Next: "leave it out"}
	}
	return bound, err
}

func (c *Coordinator) commandOptions(t *catalog.Table) command.Options {
	o := command.Options{Shims: c.Shims, Grace: c.grace()}
	if c.wrap.writes(t.Name) {
		o.Streams, o.Ended = c.wrap.Streams, c.wrap.Ended
	}
	return o
}

// inheritDue makes a table due no earlier than what it reads: a partition that is expected before its inputs are would be computed
// without them, since what is not due never blocks.
func (c *Coordinator) inheritDue(t *catalog.Table) {
	for _, in := range t.Inputs {
		if up := c.Graph.Table(in.Table); up != nil {
			t.DueAfter = max(t.DueAfter, up.DueAfter)
		}
	}
}

// relation is where a table lives in this environment: its schema under the environment's prefix.
func (c *Coordinator) relation(t *catalog.Table) string {
	name := firstOf(t.Relation, t.Name)
	if c.Project.SchemaPrefix == "" || t.IsSource() {
		return name
	}
	if schema, table, ok := strings.Cut(name, "."); ok {
		return c.Project.SchemaPrefix + schema + "." + table
	}
	return c.Project.SchemaPrefix + "main." + name
}

// key is the ledger's name of a table: the place of its warehouse and its relation, so that two projects, paths or aliases that lead to one
// table meet (rule 9). Sources of files are known by their glob. Places on this machine are written as seen from the state, which every
// project that shares it agrees on, and which moves along when a project is moved with its state.
func (c *Coordinator) key(t *catalog.Table, wh warehouse.Warehouse, relation string) string {
	if t.IsSource() && t.Source.Files != "" {
		return "files:" + c.fromState(c.files(t))
	}
	return c.place(wh) + ":" + strings.TrimPrefix(strings.ToLower(relation), "main.")
}

// place is where a warehouse is, as keys have it.
func (c *Coordinator) place(wh warehouse.Warehouse) string {
	if location := wh.Location(); filepath.IsAbs(location) {
		return c.fromState(location)
	}
	return wh.Location()
}

// fromState writes an absolute path as seen from the folder of a state in a file.
func (c *Coordinator) fromState(path string) string {
	file, ok := strings.CutPrefix(c.Ledger.URL(), "sqlite:")
	if !ok {
		return filepath.ToSlash(path)
	}
	// The folder of the pattern may be reached by links; the pattern itself is no file.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	rel, err := filepath.Rel(filepath.Dir(file), path)
	if err != nil {
		return filepath.ToSlash(path)
	}
	return filepath.ToSlash(rel)
}

// Files is a source's glob, absolute.
func (c *Coordinator) files(t *catalog.Table) string {
	if t.Source.Files == "" || filepath.IsAbs(t.Source.Files) {
		return t.Source.Files
	}
	return filepath.Join(c.Dir, filepath.FromSlash(t.Source.Files))
}

// expected is the set of a table's partitions that should exist at an instant: its calendar from its start on, as far as it is due.
func expected(t *catalog.Table, listed calendar.Set, now time.Time) calendar.Set {
	if !t.Partitioned() {
		return calendar.Of(0)
	}
	due := t.Axis.DueBefore(now, t.DueAfter)
	if t.HasStart {
		due.Start = t.Start
	}
	return listed.Within(due)
}
