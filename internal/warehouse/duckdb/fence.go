package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// prepare makes Headway's own relations in a catalog.
func prepare(catalog string) []string {
	own := name(catalog) + "." + name(headway)
	return []string{
		"CREATE SCHEMA IF NOT EXISTS " + own,
		"CREATE SCHEMA IF NOT EXISTS " + name(catalog) + "." + name(stages),
		"CREATE TABLE IF NOT EXISTS " + own + ".ledger (id VARCHAR NOT NULL, since TIMESTAMPTZ NOT NULL, url VARCHAR, place VARCHAR)",
		"ALTER TABLE " + own + ".ledger ADD COLUMN IF NOT EXISTS url VARCHAR", // files of older versions
		"ALTER TABLE " + own + ".ledger ADD COLUMN IF NOT EXISTS place VARCHAR",
		"CREATE TABLE IF NOT EXISTS " + own + `.fence (table_key VARCHAR NOT NULL, "partition" BIGINT NOT NULL, token BIGINT NOT NULL, ` +
			`PRIMARY KEY (table_key, "partition"))`,
		"CREATE TABLE IF NOT EXISTS " + own + `.marker (table_key VARCHAR NOT NULL, "partition" BIGINT NOT NULL, attempt VARCHAR NOT NULL, ` +
			"token BIGINT NOT NULL, version VARCHAR NOT NULL, row_count BIGINT NOT NULL, fingerprint VARCHAR NOT NULL, replaced VARCHAR NOT NULL, " +
			`"at" TIMESTAMPTZ NOT NULL)`,
		sourceTable(catalog),
	}
}

func sourceTable(catalog string) string {
	return "CREATE TABLE IF NOT EXISTS " + relation{headway, "source"}.in(catalog) +
		" (relation VARCHAR PRIMARY KEY, copy VARCHAR NOT NULL, version VARCHAR NOT NULL, state VARCHAR NOT NULL)"
}

// own is the full name of one of Headway's relations.
func (w *Warehouse) own(table string) string { return relation{headway, table}.in(w.catalog) }

// Raise puts the fences over all partitions of their sets, or over none.
func (w *Warehouse) Raise(ctx context.Context, fences ...warehouse.Fence) error {
	fences = slices.DeleteFunc(slices.Clone(fences), func(f warehouse.Fence) bool { return f.Set.Empty() })
	if len(fences) == 0 {
		return nil
	}
	what := "raise the fence of " + fences[0].Table
	if more := len(fences) - 1; more > 0 {
		what = fmt.Sprintf("raise the fences of %s and %d more", fences[0].Table, more)
	}
	done, err := lock(ctx, w.raising)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	// Who publishes other partitions is not in the way; a transaction that publishes these conflicts, and is waited for.
	if err = w.raise(ctx, what, fences); !isConflict(err) {
		return err
	}
	published, err := w.lockPublishing(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer published()
	return w.raise(ctx, what, fences)
}

func (w *Warehouse) raise(ctx context.Context, what string, fences []warehouse.Fence) error {
	return w.use(ctx, what, func(c *conn) error {
		_, err := c.transact(ctx, func() error {
			for _, f := range fences {
				if err := c.raise(ctx, f); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
}

func (c *conn) raise(ctx context.Context, f warehouse.Fence) error {
	n, err := c.exec(ctx, fmt.Sprintf(`INSERT INTO %s AS f (table_key, "partition", token) SELECT %s, p, %d FROM %s `+
		"ON CONFLICT DO UPDATE SET token = excluded.token WHERE f.token <= excluded.token", c.w.own("fence"), text(f.Table), f.Token, members(f.Set)))
	if err != nil {
		return err
	}
	if n != int64(f.Set.Count()) {
		return c.fenced(ctx, f.Table, f.Set, f.Token, func(stands history.Token) bool { return stands <= f.Token })
	}
	return nil
}

// demand refuses unless the fence of every partition of the set is the token. It writes the rows it looks at, so that a transaction
// that raises them at the same time conflicts with this one. The token is turned over and back for that: an update that changes nothing is
// none to the engine, and conflicts with nobody.
func (c *conn) demand(ctx context.Context, table string, set calendar.Set, token history.Token) error {
	for _, stands := range []history.Token{token, -token} {
		n, err := c.exec(ctx, fmt.Sprintf(`UPDATE %s SET token = -token WHERE table_key = %s AND token = %d AND "partition" IN (SELECT p FROM %s)`,
			c.w.own("fence"), text(table), stands, members(set)))
		if err != nil {
			return err
		}
		if n != int64(set.Count()) {
			return c.fenced(ctx, table, set, token, func(stands history.Token) bool { return stands == token })
		}
	}
	return nil
}

// fenced is the error that names the partitions of the set whose fence is not as allowed, or is not there. (Those that demand has found may
// be turned over.)
func (c *conn) fenced(ctx context.Context, table string, set calendar.Set, token history.Token, allowed func(stands history.Token) bool) error {
	e := &warehouse.FencedError{Table: table, Token: token}
	var fine []calendar.Partition
	err := c.rows(ctx, fmt.Sprintf(`SELECT "partition", abs(token) FROM %s WHERE table_key = %s AND "partition" IN (SELECT p FROM %s)`,
		c.w.own("fence"), text(table), members(set)), func(r *sql.Rows) error {
		var p, stands int64
		if err := r.Scan(&p, &stands); err != nil {
			return err
		}
		e.Highest = max(e.Highest, history.Token(stands))
		if allowed(history.Token(stands)) {
			fine = append(fine, calendar.Partition(p))
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.Fenced = set.Minus(calendar.Of(fine...))
	return e
}

// Markers gives the newest marker of each partition of the set that has one, in order.
func (w *Warehouse) Markers(ctx context.Context, table string, set calendar.Set) ([]warehouse.Marker, error) {
	var out []warehouse.Marker
	if set.Empty() {
		return nil, nil
	}
	cut := cutter{axis: calendar.Axis{Grain: calendar.Day}, kind: number, column: name("partition")}
	err := w.use(ctx, "read the markers of "+table, func(c *conn) error {
		if !c.ready {
			return nil
		}
		return c.rows(ctx, fmt.Sprintf(`SELECT "partition", attempt, token, version, row_count, fingerprint, replaced, "at" FROM %s `+
			`WHERE table_key = %s AND %s QUALIFY row_number() OVER (PARTITION BY "partition" ORDER BY token DESC, "at" DESC, rowid DESC) = 1 ORDER BY "partition"`,
			w.own("marker"), text(table), cut.filter(set)), func(r *sql.Rows) error {
			m := warehouse.Marker{Table: table}
			if err := r.Scan(&m.Partition, &m.Attempt, &m.Token, &m.Version, &m.Rows, &m.Fingerprint, &m.Replaced, &m.At); err != nil {
				return err
			}
			m.At = m.At.UTC()
			out = append(out, m)
			return nil
		})
	})
	return out, err
}
