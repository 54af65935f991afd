package duckdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// Stage computes a query's rows into memory and looks at them.
func (w *Warehouse) Stage(ctx context.Context, req warehouse.StageRequest) (*warehouse.Stage, error) {
	at := relation{stages, stageName(prefixStage, req.Attempt, req.Target.Table)}.in(memoryCatalog)
	var out *warehouse.Stage
	what := "compute " + w.describe(req.Target, req.Set)
	err := w.use(ctx, what, func(c *conn) error {
		if err := c.zone(ctx, req.Target.Axis); err != nil {
			return err
		}
		// The parentheses keep a text of several statements from doing anything but fail.
		if _, err := c.exec(ctx, "CREATE OR REPLACE TABLE "+at+" AS SELECT * FROM (\n"+trim(req.Query)+"\n)"); err != nil {
			return ofData(ofQuery(err, 1), w.describe(req.Target, req.Set))
		}
		var err error
		if out, err = c.look(ctx, at, req.Target, req.Set, req.Attempt); err != nil {
			_, _ = c.exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+at)
		}
		return err
	})
	return out, err
}

// describe names a table and a range for messages.
func (w *Warehouse) describe(t warehouse.Target, set calendar.Set) string {
	if t.Axis.Grain == calendar.None {
		return t.Relation
	}
	const shown = 2
	return t.Relation + " " + t.Axis.FormatSet(set, shown)
}

// stageName is a name that needs no quotes, made of the attempt and the table.
func stageName(prefix, attempt, table string) string {
	return prefix + plainName(attempt) + "_" + shortHash(table)
}

// attemptOf is the attempt in a stage's name, as plainName wrote it.
func attemptOf(stage string) string {
	const ends = len("_") + shortHashLength
	if len(stage) < len(prefixStage)+ends {
		return ""
	}
	return stage[len(prefixStage) : len(stage)-ends]
}

func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(s))
}

const shortHashLength = 10

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:shortHashLength]
}

// look counts and fingerprints what was staged, drops what was computed in passing, and refuses what lies outside.
func (c *conn) look(ctx context.Context, at string, target warehouse.Target, set calendar.Set, attempt string) (*warehouse.Stage, error) {
	columns, err := c.describe(ctx, at)
	if err != nil {
		return nil, err
	}
	cut, err := newCutter(target, target.Relation, columns)
	if err != nil {
		return nil, err
	}
	if err := c.asDeclared(ctx, target, columns); err != nil {
		return nil, err
	}
	contents, nulls, err := c.fingerprints(ctx, reading{at, cut, columns, target.Digits, calendar.All()})
	if err != nil {
		return nil, err
	}
	stage := &warehouse.Stage{Relation: at, Attempt: attempt, Set: set, Columns: columns}
	outside := nulls
	bounds := set.Bounds()
	for _, one := range contents {
		switch {
		case set.Contains(one.Partition):
			stage.Contents = append(stage.Contents, one)
		case bounds.Contains(one.Partition):
			stage.Dropped += one.Rows
		default:
			outside += one.Rows
		}
	}
	if outside > 0 {
		return nil, c.outside(ctx, at, target, cut, set, outside, nulls)
	}
	if stage.Dropped > 0 {
		if _, err := c.exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE NOT %s", at, cut.filter(set))); err != nil {
			return nil, err
		}
	}
	return stage, nil
}

// outside is the error about rows that do not belong to the chunk, with one of them.
func (c *conn) outside(ctx context.Context, at string, target warehouse.Target, cut cutter, set calendar.Set, rows, nulls int64) error {
	e := &warehouse.OutsideError{Table: target.Relation, Rows: rows, Nulls: nulls, Chunk: target.Axis.FormatRange(set.Bounds())}
	query := fmt.Sprintf("SELECT CAST(r AS VARCHAR) FROM (SELECT r, %s AS p FROM %s AS r) WHERE p IS NULL OR p < %d OR p >= %d ORDER BY p, 1 LIMIT 1",
		cut.partition(), at, set.Bounds().Start, set.Bounds().End)
	err := c.rows(ctx, query, func(r *sql.Rows) error { return r.Scan(&e.Example) })
	if err != nil {
		return err
	}
	e.Example = shorten(e.Example)
	return e
}

// describe lists the columns that a query gives.
func (c *conn) describe(ctx context.Context, query string) ([]warehouse.Column, error) {
	var out []warehouse.Column
	err := c.rows(ctx, "SELECT column_name, column_type, \"null\" FROM (DESCRIBE "+query+")", func(r *sql.Rows) error {
		var col warehouse.Column
		var null string
		if err := r.Scan(&col.Name, &col.Type, &null); err != nil {
			return err
		}
		col.Nullable = null == "YES"
		out = append(out, col)
		return nil
	})
	return out, err
}

// A found relation is a table or view, with its full name.
type found struct {
	at      string
	columns []warehouse.Column // none: there is no such relation
}

// find looks for a relation in the file, and for a source that was copied into memory because the file is only read.
func (c *conn) find(ctx context.Context, r relation) (found, error) {
	catalogs := []string{c.w.catalog}
	if c.w.opts.ReadOnly {
		catalogs = append(catalogs, memoryCatalog)
	}
	for _, catalog := range catalogs {
		columns, err := c.describe(ctx, r.in(catalog))
		if err == nil {
			return found{at: r.in(catalog), columns: columns}, nil
		}
		// Listing what there is would cost ten times as much as asking for what there should be.
		if kind(err) != duck.ErrorTypeCatalog && kind(err) != duck.ErrorTypeBinder {
			return found{}, err
		}
	}
	return found{}, nil
}

// isView reports whether a relation of the file is a view.
func (c *conn) isView(ctx context.Context, r relation) (bool, error) {
	n := 0
	err := c.c.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_views() WHERE NOT internal AND database_name IN (?, ?) AND "+
		"lower(schema_name) = lower(?) AND lower(view_name) = lower(?)", c.w.catalog, memoryCatalog, r.schema, r.table).Scan(&n)
	return n > 0, err
}

// OpenStage makes room in the file for what a command will write.
func (w *Warehouse) OpenStage(ctx context.Context, target warehouse.Target, set calendar.Set, attempt string) (string, error) {
	at := relation{stages, stageName(prefixWritten, attempt, target.Table)}
	err := w.use(ctx, "open a stage for "+w.describe(target, set), func(c *conn) error {
		if _, err := c.exec(ctx, "DROP TABLE IF EXISTS "+at.in(w.catalog)); err != nil {
			return err
		}
		declared, err := c.declared(ctx, target)
		if err != nil {
			return err
		}
		if len(declared) > 0 {
			return c.create(ctx, at, declared)
		}
		standing, err := c.find(ctx, parseRelation(target.Relation))
		if err != nil || len(standing.columns) == 0 {
			return err
		}
		_, err = c.exec(ctx, "CREATE TABLE "+at.in(w.catalog)+" AS FROM "+standing.at+" LIMIT 0")
		return err
	})
	return at.schema + "." + at.table, err
}

// full is the full name of a table's relation.
func (w *Warehouse) full(s string) string { return parseRelation(s).in(w.catalog) }

// SealStage renames what a command has filled and looks at it.
func (w *Warehouse) SealStage(ctx context.Context, target warehouse.Target, set calendar.Set, attempt string) (*warehouse.Stage, error) {
	open := relation{stages, stageName(prefixWritten, attempt, target.Table)}
	sealed := relation{stages, stageName(prefixSealed, attempt, target.Table)}
	var out *warehouse.Stage
	err := w.use(ctx, "look at what was staged for "+w.describe(target, set), func(c *conn) error {
		filled, err := c.find(ctx, open)
		switch {
		case err != nil:
			return err
		case len(filled.columns) == 0:
			out, err = c.emptyStage(ctx, sealed, target, set, attempt)
			return err
		}
		if view, err := c.isView(ctx, open); err != nil || view {
			return errors.Join(err, fmt.Errorf("%s.%s is a view: the command must leave a table there", open.schema, open.table))
		}
		if _, err := c.exec(ctx, "DROP TABLE IF EXISTS "+sealed.in(w.catalog)); err != nil {
			return err
		}
		if _, err := c.exec(ctx, "ALTER TABLE "+open.in(w.catalog)+" RENAME TO "+name(sealed.table)); err != nil {
			return err
		}
		if err := c.zone(ctx, target.Axis); err != nil {
			return err
		}
		out, err = c.look(ctx, sealed.in(w.catalog), target, set, attempt)
		return err
	})
	return out, err
}

// emptyStage stands for a stage that a command never made: it has the target's columns, or the partition column alone, so that checks
// can read it.
func (c *conn) emptyStage(ctx context.Context, at relation, target warehouse.Target, set calendar.Set, attempt string) (*warehouse.Stage, error) {
	declared, err := c.declared(ctx, target)
	if err != nil {
		return nil, err
	}
	if len(declared) > 0 {
		if _, err := c.exec(ctx, "DROP TABLE IF EXISTS "+at.in(c.w.catalog)); err != nil {
			return nil, err
		}
		return &warehouse.Stage{Relation: at.in(c.w.catalog), Attempt: attempt, Set: set, Columns: declared}, c.create(ctx, at, declared)
	}
	standing, err := c.find(ctx, parseRelation(target.Relation))
	if err != nil {
		return nil, err
	}
	shape := "SELECT 0 AS headway_empty LIMIT 0"
	switch {
	case len(standing.columns) > 0:
		shape = "FROM " + standing.at + " LIMIT 0"
	case target.Column != "":
		shape = "SELECT " + cell(target.Axis, "0") + " AS " + name(target.Column) + " LIMIT 0"
	}
	if _, err := c.exec(ctx, "CREATE OR REPLACE TABLE "+at.in(c.w.catalog)+" AS "+shape); err != nil {
		return nil, err
	}
	return &warehouse.Stage{Relation: at.in(c.w.catalog), Attempt: attempt, Set: set, Columns: standing.columns}, nil
}

// Discard drops a stage. What was kept aside of it stays until Sweep.
func (w *Warehouse) Discard(ctx context.Context, stage *warehouse.Stage) error {
	if stage == nil || !strings.Contains(stage.Relation, name(stages)) {
		return nil // nothing, or a published relation that was looked at like a stage
	}
	return w.use(ctx, "discard "+stage.Relation, func(c *conn) error {
		_, err := c.exec(ctx, "DROP TABLE IF EXISTS "+stage.Relation)
		return err
	})
}

// Sweep drops the stages, quarantined rows included, of attempts that are not in keep.
func (w *Warehouse) Sweep(ctx context.Context, keep map[string]bool) error {
	kept := make(map[string]bool, len(keep))
	for attempt, wanted := range keep {
		if wanted {
			kept[plainName(attempt)] = true
		}
	}
	return w.use(ctx, "sweep stages", func(c *conn) error {
		var drop []string
		err := c.rows(ctx, "SELECT database_name, table_name FROM duckdb_tables() WHERE schema_name = ? AND database_name IN (?, ?)",
			func(r *sql.Rows) error {
				var catalog, table string
				if err := r.Scan(&catalog, &table); err != nil {
					return err
				}
				if !kept[attemptOf(table)] {
					drop = append(drop, relation{stages, table}.in(catalog))
				}
				return nil
			}, stages, memoryCatalog, w.catalog)
		if err != nil {
			return err
		}
		for _, at := range drop {
			if _, err := c.exec(ctx, "DROP TABLE IF EXISTS "+at); err != nil {
				return err
			}
		}
		return nil
	})
}
