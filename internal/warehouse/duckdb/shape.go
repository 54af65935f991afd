package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

const (
	// maxRounds bounds how often the queries of a loop are bound anew until the types of their columns stand still.
	maxRounds = 8
	// untyped is the type of a column of which no type is known: what NULL has, and fits everywhere.
	untyped = `"NULL"`
)

// A draft is a relation whose columns are being found out.
type draft struct {
	warehouse.Draft
	at       relation
	columns  []warehouse.Column // as believed so far
	standing []warehouse.Column // none: there is no such relation
	settled  bool               // nothing is left to find out
	outline  outline
	moves    map[string][]string // the types that each column has had, by name
}

// lacks reports whether the relation is missing, or a column of it.
func (d *draft) lacks() bool { return len(d.columns) > len(d.standing) }

// Shapes reads the names of columns from the queries' texts, gives those of unknown type the type of NULL, and binds the queries over
// relations that are only pretended, until what they give stands still.
func (w *Warehouse) Shapes(ctx context.Context, drafts []warehouse.Draft) ([]warehouse.Shape, error) {
	var out []warehouse.Shape
	err := w.use(ctx, "find out the columns of relations that are to be made", func(c *conn) error {
		all, err := c.drafts(ctx, drafts)
		if err != nil || !slices.ContainsFunc(all, (*draft).lacks) {
			return err
		}
		if err := c.settle(ctx, all); err != nil {
			return err
		}
		for _, d := range all {
			if d.lacks() {
				out = append(out, warehouse.Shape{Target: d.Target, Columns: d.columns})
			}
		}
		return nil
	})
	return out, err
}

// drafts looks what stands, and what can be told without binding anything.
func (c *conn) drafts(ctx context.Context, drafts []warehouse.Draft) ([]*draft, error) {
	o := &outliner{c: c, drafts: map[relation]*draft{}, open: map[*draft]bool{}, done: map[*draft]outline{}}
	all := make([]*draft, len(drafts))
	for i, one := range drafts {
		d := &draft{Draft: one, at: parseRelation(one.Target.Relation), moves: map[string][]string{}}
		there, err := c.find(ctx, d.at)
		if err != nil {
			return nil, err
		}
		d.standing, d.columns = there.columns, slices.Clone(there.columns)
		if declared, err := c.declared(ctx, one.Target); err != nil {
			return nil, err
		} else if len(declared) > 0 {
			d.settled = true
			d.widen(declared)
		}
		all[i], o.drafts[d.at.lower()] = d, d
	}
	for _, d := range all {
		if d.settled {
			continue
		}
		var err error
		if d.outline, err = o.of(ctx, d); err != nil {
			return nil, err
		}
		d.begin()
	}
	return all, nil
}

// begin believes what the outline says.
func (d *draft) begin() {
	if d.Target.Column != "" {
		d.widen([]warehouse.Column{{Name: d.Target.Column, Type: axisType(d.Target.Axis), Nullable: true}})
	}
	for _, n := range d.outline.names {
		d.widen([]warehouse.Column{{Name: n, Type: untyped, Nullable: true}})
	}
	d.settled = !d.lacks()
}

// axisType is the type of the partition column where its query does not say.
func axisType(axis calendar.Axis) string {
	if axis.Grain == calendar.Hour {
		return "TIMESTAMP WITH TIME ZONE"
	}
	return "DATE"
}

// widen adds the columns that are not there.
func (d *draft) widen(columns []warehouse.Column) {
	for _, col := range columns {
		if _, ok := findColumn(d.columns, col.Name); !ok {
			d.columns = append(d.columns, col)
		}
	}
}

// settle binds the queries over what is believed of their relations, and believes what they give, until nothing changes.
func (c *conn) settle(ctx context.Context, all []*draft) error {
	return c.pretending(ctx, func(p *pretence) error {
		for _, d := range all {
			if d.lacks() {
				if err := p.put(ctx, d.at, d.columns); err != nil {
					return err
				}
			}
		}
		for range maxRounds {
			still := true
			for _, d := range all {
				if d.settled {
					continue
				}
				moved, err := d.bind(ctx, p)
				if err != nil {
					return err
				}
				still = still && !moved
			}
			if still {
				return p.believable(ctx, all)
			}
		}
		return restless(all)
	})
}

// bind gives the draft the columns that its query has now.
func (d *draft) bind(ctx context.Context, p *pretence) (moved bool, err error) {
	found, err := p.c.bound(ctx, p.rewrite(d.Query))
	if err != nil {
		return false, d.unbound(err)
	}
	was := d.columns
	d.columns = slices.Clone(d.standing)
	d.widen(found)
	for i, col := range d.columns {
		if strings.EqualFold(col.Name, d.Target.Column) && col.Type == untyped {
			d.columns[i].Type = axisType(d.Target.Axis)
		}
		if types := d.moves[col.Name]; len(types) == 0 || types[len(types)-1] != d.columns[i].Type {
			d.moves[col.Name] = append(types, d.columns[i].Type)
		}
	}
	if slices.Equal(was, d.columns) {
		return false, nil
	}
	return true, p.put(ctx, d.at, d.columns)
}

// unbound is why a query could not be bound over what is believed.
func (d *draft) unbound(err error) error {
	switch kind(err) {
	case duck.ErrorTypeBinder, duck.ErrorTypeCatalog, duck.ErrorTypeParser, duck.ErrorTypeSyntax, duck.ErrorTypeConversion, duck.ErrorTypeInvalidInput:
		what := "its query cannot be bound: " + firstLine(err.Error())
		if len(d.outline.doubts) > 0 {
			what += " (" + strings.Join(d.outline.doubts, "; ") + ")"
		}
		return &warehouse.ShapeError{
			Table: d.Target.Table, Relation: d.Target.Relation, What: what, Err: &warehouse.QueryError{What: "bind the query", Err: err},
		}
	}
	return err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// lowest is the type that gives way to every other: what still has it when a column of the relation does was only passed on.
const lowest = "BOOLEAN"

// believable refuses what stands still and still says too little. Queries turn nulls into integers where they pass them on through WITH.
func (p *pretence) believable(ctx context.Context, all []*draft) error {
	for _, d := range all {
		if d.settled || !d.lacks() {
			continue
		}
		if _, err := newCutter(d.Target, d.Target.Relation, d.columns); err != nil {
			return err
		}
		for i, col := range d.columns {
			told := !strings.Contains(col.Type, untyped)
			if col.Type == "INTEGER" && i >= len(d.standing) {
				other := slices.Clone(d.columns)
				other[i].Type = lowest
				if err := p.put(ctx, d.at, other); err != nil {
					return err
				}
				found, err := p.c.bound(ctx, p.rewrite(d.Query))
				passed, _ := findColumn(found, col.Name)
				told = err != nil || passed.Type != lowest
				if err := p.put(ctx, d.at, d.columns); err != nil {
					return err
				}
			}
			if !told {
				return &warehouse.ShapeError{
					Table: d.Target.Table, Relation: d.Target.Relation, What: fmt.Sprintf("nothing but itself gives column %q its type", col.Name),
				}
			}
		}
	}
	return nil
}

// restless is the error about columns whose types change with every round.
func restless(all []*draft) error {
	for _, d := range all {
		for _, col := range d.columns {
			const shown = 3
			types := d.moves[col.Name]
			if len(types) <= shown {
				continue
			}
			return &warehouse.ShapeError{
				Table: d.Target.Table, Relation: d.Target.Relation,
				What: fmt.Sprintf("column %q rests on itself, and its type never stands still: %s, …", col.Name, strings.Join(types[len(types)-shown:], ", ")),
			}
		}
	}
	d := all[len(all)-1]
	for _, one := range all {
		if one.outline.self {
			d = one
		}
	}
	what := "its columns are others each time its query is bound over them"
	if len(d.outline.doubts) > 0 {
		what += ": " + strings.Join(d.outline.doubts, "; ")
	}
	return &warehouse.ShapeError{Table: d.Target.Table, Relation: d.Target.Relation, What: what}
}

// bound lists the columns that a query gives; those of which nothing is known but that they are null are untyped.
func (c *conn) bound(ctx context.Context, query string) ([]warehouse.Column, error) {
	inner := "SELECT * FROM (\n" + trim(query) + "\n)"
	columns, err := c.describe(ctx, inner)
	if err != nil {
		return nil, ofQuery(err, 1)
	}
	// DESCRIBE calls a null an INTEGER.
	if !slices.ContainsFunc(columns, func(col warehouse.Column) bool { return strings.Contains(col.Type, "INTEGER") }) {
		return columns, nil
	}
	types := make([]string, len(columns))
	places, parts := make([]any, len(columns)), make([]string, len(columns))
	for i, col := range columns {
		places[i], parts[i] = &types[i], "typeof(q."+name(col.Name)+")"
	}
	err = c.rows(ctx, "SELECT "+strings.Join(parts, ", ")+" FROM (SELECT 1) AS one LEFT JOIN ("+inner+" WHERE false) AS q ON true",
		func(r *sql.Rows) error { return r.Scan(places...) })
	for i := range columns {
		if strings.Contains(types[i], untyped) {
			columns[i].Type = types[i]
		}
	}
	return columns, ofQuery(err, 1)
}

// declared are a target's declared columns, their types as DESCRIBE writes them.
func (c *conn) declared(ctx context.Context, t warehouse.Target) ([]warehouse.Column, error) {
	out := make([]warehouse.Column, len(t.Columns))
	for i, col := range t.Columns {
		if known, ok := c.w.types.Load(col.Type); ok {
			out[i] = warehouse.Column{Name: col.Name, Type: known.(string), Nullable: true} //nolint:forcetypeassert // as stored
			continue
		}
		found, err := c.describe(ctx, "SELECT CAST(NULL AS "+col.Type+") AS t")
		if err != nil || len(found) != 1 {
			return nil, &warehouse.ShapeError{
				Table: t.Table, Relation: t.Relation, What: fmt.Sprintf("column %q is declared as %s, which is no type here", col.Name, col.Type), Err: err,
			}
		}
		c.w.types.Store(col.Type, found[0].Type)
		out[i] = warehouse.Column{Name: col.Name, Type: found[0].Type, Nullable: true}
	}
	return out, nil
}

// A pretence is relations that are there for one connection and for a while only.
type pretence struct {
	c    *conn
	puts map[relation]bool
}

// pretending runs fn in a transaction that is taken back. Relations that fn puts hide those of the file. One at a time pretends: two could
// not make the same relation.
func (c *conn) pretending(ctx context.Context, fn func(p *pretence) error) error {
	select {
	case c.w.pretends <- struct{}{}:
		defer func() { <-c.w.pretends }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	errUndo := errors.New("take it back")
	_, err := c.transact(ctx, func() error {
		if err := fn(&pretence{c, map[relation]bool{}}); err != nil {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}

// put makes a relation, or makes it anew.
func (p *pretence) put(ctx context.Context, at relation, columns []warehouse.Column) error {
	if err := p.c.makeSchema(ctx, memoryCatalog, at.schema); err != nil {
		return err
	}
	defs := make([]string, 0, len(columns)+1)
	for _, col := range columns {
		defs = append(defs, name(col.Name)+" "+col.Type)
	}
	if len(defs) == 0 {
		defs = append(defs, "headway_unknown INTEGER") // a table has a column
	}
	p.puts[at] = true
	_, err := p.c.exec(ctx, "CREATE OR REPLACE TABLE "+at.in(memoryCatalog)+" ("+strings.Join(defs, ", ")+")")
	return err
}

// rewrite makes a query read what is pretended. A schema is looked for in the file alone when the file has it, and a table without one in
// the file first.
func (p *pretence) rewrite(query string) string {
	for at := range p.puts {
		for _, written := range []string{at.in(p.c.w.catalog), name(at.schema) + "." + name(at.table)} {
			query = replaceName(query, written, at.in(memoryCatalog))
		}
		if at.schema == "main" {
			bare := regexp.MustCompile(`(?i)\b((?:from|join)\s+)` + regexp.QuoteMeta(name(at.table)))
			query = bare.ReplaceAllString(query, "${1}"+strings.ReplaceAll(at.in(memoryCatalog), "$", "$$"))
		}
	}
	return query
}

// replaceName replaces a quoted name with dots where it is not the end of a longer one.
func replaceName(query, written, by string) string {
	var b strings.Builder
	for {
		i := strings.Index(query, written)
		if i < 0 {
			b.WriteString(query)
			return b.String()
		}
		b.WriteString(query[:i])
		if i > 0 && query[i-1] == '.' {
			b.WriteString(written)
		} else {
			b.WriteString(by)
		}
		query = query[i+len(written):]
	}
}

// Prepare makes the relation of a shape, or adds the columns that it lacks.
func (w *Warehouse) Prepare(ctx context.Context, shape warehouse.Shape) error {
	done, err := w.lockPublishing(ctx)
	if err != nil {
		return fmt.Errorf("make %s: %w", shape.Target.Relation, err)
	}
	defer done()
	return w.use(ctx, "make "+shape.Target.Relation, func(c *conn) error {
		_, err := c.transact(ctx, func() error {
			at := parseRelation(shape.Target.Relation)
			there, err := c.find(ctx, at)
			if err != nil {
				return err
			}
			if len(there.columns) == 0 {
				return c.create(ctx, at, shape.Columns)
			}
			if err := c.noView(ctx, at, shape.Target.Relation); err != nil {
				return err
			}
			_, err = c.addColumns(ctx, at, there.columns, shape.Columns)
			return err
		})
		return err
	})
}
