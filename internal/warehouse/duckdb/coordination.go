package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// Claim makes the ledger the one that coordinates here, or finds that it does.
func (w *Warehouse) Claim(ctx context.Context, by warehouse.Ledger) (map[string]history.Token, error) {
	done, err := w.lockPublishing(ctx)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", w.location, err)
	}
	defer done()
	var is warehouse.Coordination
	err = w.use(ctx, "claim "+w.location, func(c *conn) error {
		var err error
		if is, err = c.coordination(ctx); err != nil {
			return err
		}
		place := w.placeOf(by.URL)
		switch {
		case is.ID == "" && !w.opts.ReadOnly:
			_, err = c.exec(ctx, "INSERT INTO "+w.own("ledger")+" (id, since, url, place) VALUES (?, now(), ?, ?)", by.ID, by.URL, place)
			return err
		case is.ID == "":
			return nil // nothing was ever written here, and nothing will be now
		case is.ID != by.ID:
			return &warehouse.ForeignLedgerError{Location: w.location, Ledger: is.ID, URL: is.URL, Since: is.Since}
		case is.Place != "" && is.Place != place:
			return &warehouse.ForeignLedgerError{Location: w.location, Ledger: is.ID, URL: is.URL, Since: is.Since, Asks: by.URL}
		case is.URL != by.URL && !w.opts.ReadOnly: // both were moved, or it was not written down by an older version
			_, err = c.exec(ctx, "UPDATE "+w.own("ledger")+" SET url = ?, place = ?", by.URL, place)
			return err
		}
		return nil
	})
	return is.Floors, err
}

// Coordination tells who coordinates.
func (w *Warehouse) Coordination(ctx context.Context) (out warehouse.Coordination, err error) {
	err = w.use(ctx, "see who coordinates "+w.location, func(c *conn) error {
		out, err = c.coordination(ctx)
		return err
	})
	return out, err
}

// Move makes the ledger the one that coordinates here.
func (w *Warehouse) Move(ctx context.Context, to warehouse.Ledger, keys map[string]string) (before warehouse.Coordination, err error) {
	what := "move the coordination of " + w.location
	done, err := w.lockPublishing(ctx)
	if err != nil {
		return before, fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	err = w.use(ctx, what, func(c *conn) error {
		unknown, err := c.transact(ctx, func() error {
			if before, err = c.coordination(ctx); err != nil {
				return err
			}
			return c.move(ctx, to, keys)
		})
		if unknown {
			return fmt.Errorf("%w: %w", warehouse.ErrUnknown, err)
		}
		return err
	})
	return before, err
}

func (c *conn) move(ctx context.Context, to warehouse.Ledger, keys map[string]string) error {
	ledger, fence, marker := c.w.own("ledger"), c.w.own("fence"), c.w.own("marker")
	if _, err := c.exec(ctx, "DELETE FROM "+ledger); err != nil {
		return err
	}
	if _, err := c.exec(ctx, "INSERT INTO "+ledger+" (id, since, url, place) VALUES (?, now(), ?, ?)", to.ID, to.URL, c.w.placeOf(to.URL)); err != nil {
		return err
	}
	for old, key := range keys {
		if old == key {
			continue
		}
		if _, err := c.exec(ctx, "INSERT INTO "+fence+` (table_key, "partition", token) SELECT ?, "partition", token FROM `+fence+" WHERE table_key = ? "+
			"ON CONFLICT DO UPDATE SET token = greatest(token, excluded.token)", key, old); err != nil {
			return err
		}
		if _, err := c.exec(ctx, "DELETE FROM "+fence+" WHERE table_key = ?", old); err != nil {
			return err
		}
		if _, err := c.exec(ctx, "UPDATE "+marker+" SET table_key = ? WHERE table_key = ?", key, old); err != nil {
			return err
		}
	}
	return nil
}

// coordination reads who coordinates. A file that is only read may be of an older version, which did not write down where.
func (c *conn) coordination(ctx context.Context) (warehouse.Coordination, error) {
	out := warehouse.Coordination{Floors: map[string]history.Token{}}
	if !c.ready {
		return out, nil
	}
	columns, err := c.describe(ctx, c.w.own("ledger"))
	if err != nil {
		return out, err
	}
	where := "NULL, NULL"
	if _, ok := findColumn(columns, "place"); ok {
		where = "url, place"
	}
	err = c.rows(ctx, "SELECT id, since, "+where+" FROM "+c.w.own("ledger"), func(r *sql.Rows) error {
		var since time.Time
		var url, place sql.NullString
		err := r.Scan(&out.ID, &since, &url, &place)
		out.Since, out.URL, out.Place = since.UTC().Format(time.RFC3339), url.String, place.String
		return err
	})
	if err != nil {
		return out, err
	}
	return out, c.rows(ctx, "SELECT table_key, max(token) FROM "+c.w.own("fence")+" GROUP BY table_key", func(r *sql.Rows) error {
		var key string
		var token int64
		if err := r.Scan(&key, &token); err != nil {
			return err
		}
		out.Floors[key] = history.Token(token)
		return nil
	})
}

// placeOf is where a ledger is as seen from the file: the path from its folder, of one in a file of this machine; else its URL.
func (w *Warehouse) placeOf(url string) string {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || !filepath.IsAbs(path) {
		return url
	}
	rel, err := filepath.Rel(filepath.Dir(w.path), path)
	if err != nil {
		return url
	}
	return filepath.ToSlash(rel)
}
