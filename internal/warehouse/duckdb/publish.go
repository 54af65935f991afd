package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// Publish replaces the set's partitions by the stage's rows, in one transaction that ends by looking at what it did.
func (w *Warehouse) Publish(ctx context.Context, p warehouse.Publication) (*warehouse.Published, error) {
	what := "publish " + w.describe(p.Target, p.Set)
	if !p.Stage.Set.Covers(p.Set) {
		return nil, fmt.Errorf("%s: %s was never staged", what, p.Target.Axis.FormatSet(p.Set.Minus(p.Stage.Set), 1))
	}
	done, err := w.lockPublishing(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	var out *warehouse.Published
	err = w.use(ctx, what, func(c *conn) error {
		if err := c.zone(ctx, p.Target.Axis); err != nil {
			return err
		}
		// A fence that is raised meanwhile conflicts, and nothing has happened; the next look at it tells whose it is.
		for again := 0; ; again++ {
			unknown, err := c.transact(ctx, func() error {
				var err error
				out, err = c.replace(ctx, p)
				return err
			})
			if unknown {
				return fmt.Errorf("%w: %w", warehouse.ErrUnknown, err)
			}
			if !isConflict(err) || again == maxConflicts {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// maxConflicts is how often a publish begins anew because a fence of its partitions was raised meanwhile. Who raises it a second time waits
// for the publish.
const maxConflicts = 5

// replace is what happens inside the transaction.
func (c *conn) replace(ctx context.Context, p warehouse.Publication) (*warehouse.Published, error) {
	if err := c.demand(ctx, p.Target.Table, p.Set, p.Token); err != nil {
		return nil, err
	}
	out := &warehouse.Published{}
	columns, err := c.fit(ctx, p, out)
	if err != nil {
		return nil, err
	}
	if len(columns) > 0 {
		if err := c.swap(ctx, p, columns, out); err != nil {
			return nil, err
		}
	}
	return out, c.mark(ctx, p, out)
}

// swap deletes the set's rows, inserts the stage's, and compares.
func (c *conn) swap(ctx context.Context, p warehouse.Publication, columns []warehouse.Column, out *warehouse.Published) error {
	at := c.w.full(p.Target.Relation)
	cut, err := newCutter(p.Target, p.Target.Relation, columns)
	if err != nil {
		return err
	}
	standing := reading{at, cut, columns, p.Target.Digits, p.Set}
	if !out.Created {
		if out.Replaced, err = c.remove(ctx, standing); err != nil {
			return err
		}
	}
	checked, rest := wanted(p)
	var rows int64
	for _, one := range checked {
		rows += one.Rows
	}
	if rows > 0 {
		from := p.Stage.Relation
		if rest {
			staged, err := newCutter(p.Target, p.Stage.Relation, p.Stage.Columns)
			if err != nil {
				return err
			}
			from += " WHERE " + staged.filter(p.Set)
		}
		if _, err := c.exec(ctx, "INSERT INTO "+at+" BY NAME SELECT * FROM "+from); err != nil {
			return err
		}
	}
	if out.Inserted, _, err = c.fingerprints(ctx, standing); err != nil {
		return err
	}
	return compare(p, checked, out.Inserted)
}

// remove deletes the rows of the set's partitions and says what they were. Mostly there are none, which is quickly seen.
func (c *conn) remove(ctx context.Context, standing reading) ([]warehouse.Content, error) {
	where := standing.cut.filter(standing.set)
	some := false
	err := c.rows(ctx, "SELECT 1 FROM "+standing.from+" WHERE "+where+" LIMIT 1", func(r *sql.Rows) error {
		some = true
		var one int
		return r.Scan(&one)
	})
	if err != nil || !some {
		return nil, err
	}
	replaced, _, err := c.fingerprints(ctx, standing)
	if err != nil {
		return nil, err
	}
	_, err = c.exec(ctx, "DELETE FROM "+standing.from+" WHERE "+where)
	return replaced, err
}

// wanted is what was checked of the partitions that are to be published. rest says that the stage holds rows of others too.
func wanted(p warehouse.Publication) (checked []warehouse.Content, rest bool) {
	for _, one := range p.Stage.Contents {
		if p.Set.Contains(one.Partition) {
			checked = append(checked, one)
		} else {
			rest = true
		}
	}
	return checked, rest
}

// compare refuses when what was inserted is not what was checked. Both are sorted by partition.
func compare(p warehouse.Publication, checked, inserted []warehouse.Content) error {
	describe := func(c []warehouse.Content, i int) string {
		if i >= len(c) {
			return "no rows"
		}
		return fmt.Sprintf("%d rows, fingerprint %s", c[i].Rows, c[i].Fingerprint)
	}
	for i := range max(len(checked), len(inserted)) {
		if i < len(checked) && i < len(inserted) && checked[i] == inserted[i] {
			continue
		}
		at := calendar.Horizon
		if i < len(checked) {
			at = min(at, checked[i].Partition)
		}
		if i < len(inserted) {
			at = min(at, inserted[i].Partition)
		}
		return &warehouse.MismatchError{
			Table: p.Target.Relation, Partition: p.Target.Axis.ID(at), Checked: describe(checked, i), Inserted: describe(inserted, i),
		}
	}
	return nil
}

// fit makes the relation, or makes it fit: columns that the stage adds are added. It gives the columns of both; none if there is neither.
func (c *conn) fit(ctx context.Context, p warehouse.Publication, out *warehouse.Published) ([]warehouse.Column, error) {
	at := parseRelation(p.Target.Relation)
	there, err := c.find(ctx, at)
	if err != nil {
		return nil, err
	}
	staged, standing := p.Stage.Columns, there.columns
	if declared, err := c.declared(ctx, p.Target); err != nil {
		return nil, err
	} else if len(declared) > 0 {
		staged = declared // which the staged rows have been held against
	}
	if err := c.noView(ctx, at, p.Target.Relation); err != nil {
		return nil, err
	}
	if len(staged) == 0 || len(standing) == 0 {
		if len(staged) > 0 {
			out.Created = true
			err = c.create(ctx, at, staged)
		}
		return append(standing, staged...), err
	}
	for _, col := range standing {
		found, ok := findColumn(staged, col.Name)
		switch {
		case !ok:
			return nil, &warehouse.SchemaError{
				Relation: p.Target.Relation, Column: col.Name, Found: "no such column", Wanted: col.Type,
				Next: "select it again (NULL will do), or drop it from the table: ALTER TABLE " + c.w.Relation(p.Target.Relation) + " DROP COLUMN " + name(col.Name),
			}
		case !fits(found.Type, col.Type):
			return nil, &warehouse.SchemaError{
				Relation: p.Target.Relation, Column: col.Name, Found: found.Type, Wanted: col.Type,
				Next: fmt.Sprintf("cast it in the query (cast(... as %s)), or change the table first: ALTER TABLE %s ALTER COLUMN %s TYPE %s",
					col.Type, c.w.Relation(p.Target.Relation), name(col.Name), found.Type),
			}
		}
	}
	added, err := c.addColumns(ctx, at, standing, staged)
	for _, col := range added {
		out.Added = append(out.Added, col.Name)
	}
	return append(standing, added...), err
}

// noView refuses a view where a table is to be written to.
func (c *conn) noView(ctx context.Context, at relation, called string) error {
	view, err := c.isView(ctx, at)
	if err == nil && view {
		err = &warehouse.SchemaError{Relation: called, Column: "*", Found: "rows", Wanted: "a view", Next: "drop the view, or name another relation"}
	}
	return err
}

// addColumns adds the wanted columns that do not stand, and says which they were.
func (c *conn) addColumns(ctx context.Context, at relation, standing, wanted []warehouse.Column) ([]warehouse.Column, error) {
	var added []warehouse.Column
	for _, col := range wanted {
		if _, ok := findColumn(standing, col.Name); ok {
			continue
		}
		if _, err := c.exec(ctx, "ALTER TABLE "+at.in(c.w.catalog)+" ADD COLUMN "+name(col.Name)+" "+col.Type); err != nil {
			return nil, err
		}
		added = append(added, warehouse.Column{Name: col.Name, Type: col.Type, Nullable: true})
	}
	return added, nil
}

// asDeclared refuses columns that are not those that are declared.
func (c *conn) asDeclared(ctx context.Context, t warehouse.Target, found []warehouse.Column) error {
	declared, err := c.declared(ctx, t)
	if err != nil || len(declared) == 0 {
		return err
	}
	for _, col := range declared {
		got, ok := findColumn(found, col.Name)
		switch {
		case !ok:
			return &warehouse.SchemaError{
				Relation: t.Relation, Column: col.Name, Found: "no such column", Wanted: col.Type + ", as declared",
				Next: "select it, or take it out of `columns`",
			}
		case !fits(got.Type, col.Type):
			return &warehouse.SchemaError{
				Relation: t.Relation, Column: col.Name, Found: got.Type, Wanted: col.Type + ", as declared",
				Next: fmt.Sprintf("cast it (cast(... as %s)), or correct `columns`", col.Type),
			}
		}
	}
	for _, col := range found {
		if _, ok := findColumn(declared, col.Name); !ok {
			return &warehouse.SchemaError{
				Relation: t.Relation, Column: col.Name, Found: col.Type, Wanted: "no such column, as declared", Next: "declare it in `columns`, or do not select it",
			}
		}
	}
	return nil
}

func (c *conn) create(ctx context.Context, at relation, columns []warehouse.Column) error {
	if err := c.makeSchema(ctx, c.w.catalog, at.schema); err != nil {
		return err
	}
	defs := make([]string, len(columns))
	for i, col := range columns {
		defs[i] = name(col.Name) + " " + col.Type
	}
	_, err := c.exec(ctx, "CREATE TABLE "+at.in(c.w.catalog)+" ("+strings.Join(defs, ", ")+")")
	return err
}

func (c *conn) makeSchema(ctx context.Context, catalog, schema string) error {
	if schema == "main" {
		return nil
	}
	_, err := c.exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+name(catalog)+"."+name(schema))
	return err
}

// mark writes a marker for each partition of the set, rows or none.
func (c *conn) mark(ctx context.Context, p warehouse.Publication, out *warehouse.Published) error {
	before := byPartition(out.Replaced)
	after := byPartition(out.Inserted)
	return c.c.Raw(func(raw any) (err error) {
		dc, ok := raw.(driver.Conn)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", raw)
		}
		a, err := duck.NewAppender(dc, c.w.catalog, headway, "marker")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		for q := range p.Set.Partitions() {
			if err := a.AppendRow(p.Target.Table, int64(q), p.Attempt, int64(p.Token), p.Version, after[q].Rows, after[q].Fingerprint,
				before[q].Fingerprint, p.At.UTC()); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

func byPartition(contents []warehouse.Content) map[calendar.Partition]warehouse.Content {
	out := make(map[calendar.Partition]warehouse.Content, len(contents))
	for _, c := range contents {
		out[c.Partition] = c
	}
	return out
}

// Contents counts and fingerprints what stands in the relation.
func (w *Warehouse) Contents(ctx context.Context, target warehouse.Target, set calendar.Set) ([]warehouse.Content, error) {
	if set.Empty() {
		return nil, nil
	}
	var out []warehouse.Content
	err := w.use(ctx, "look at "+w.describe(target, set), func(c *conn) error {
		there, err := c.find(ctx, parseRelation(target.Relation))
		if err != nil || len(there.columns) == 0 {
			return err
		}
		cut, err := newCutter(target, target.Relation, there.columns)
		if err != nil {
			return err
		}
		if err := c.zone(ctx, target.Axis); err != nil {
			return err
		}
		out, _, err = c.fingerprints(ctx, reading{there.at, cut, there.columns, target.Digits, set})
		return err
	})
	return out, err
}
