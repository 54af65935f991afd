package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// fileColumn is the column of a copy that says from which file a row came.
const fileColumn = "_headway_file"

// How often a source is read anew because its files changed meanwhile.
const maxReads = 3

// A sourceCopy is a source's copy as it is recorded beside it.
type sourceCopy struct {
	catalog string             // where it lies
	Table   string             `json:"-"`
	Version string             `json:"-"` // of all files and of the declared types
	Files   []copiedFile       `json:"files"`
	Columns []warehouse.Column `json:"columns"` // without fileColumn
	Drift   *drift             `json:"drift,omitempty"`
}

// A copiedFile is a file as it was when it was copied.
type copiedFile struct {
	sourceFile
	Number int // in fileColumn
	// Guesses tells, for each column whose type was not declared, which types its values could have.
	Guesses map[string]guess `json:"guesses,omitempty"`
}

// Observe looks at a source; files whose names, sizes, times and inodes have not moved are not read again.
func (w *Warehouse) Observe(ctx context.Context, req warehouse.SourceRequest) (*warehouse.SourceState, error) {
	var out *warehouse.SourceState
	what := "look at the source " + req.Target.Relation
	done, err := w.lockSource(ctx, req.Target.Relation)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	err = w.use(ctx, what, func(c *conn) error {
		if err := c.zone(ctx, req.Target.Axis); err != nil {
			return err
		}
		var err error
		if req.Files == "" {
			out, err = c.observeRelation(ctx, req)
		} else {
			out, err = c.observeFiles(ctx, req)
		}
		return err
	})
	return out, err
}

// lockSource waits until nobody else copies the source.
func (w *Warehouse) lockSource(ctx context.Context, source string) (func(), error) {
	w.mu.Lock()
	turn := w.sources[source]
	if turn == nil {
		turn = make(chan struct{}, 1)
		w.sources[source] = turn
	}
	w.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// observeRelation looks at a source that lies in the file already. It has no version that would be cheaper than looking.
func (c *conn) observeRelation(ctx context.Context, req warehouse.SourceRequest) (*warehouse.SourceState, error) {
	there, err := c.find(ctx, parseRelation(req.Target.Relation))
	if err != nil {
		return nil, err
	}
	if len(there.columns) == 0 {
		return nil, &warehouse.SourceError{
			Source: req.Target.Relation, What: "there is no such table or view in " + c.w.path, Next: "correct `relation`, or say which `files` it comes from",
		}
	}
	return c.state(ctx, req, there.at, there.columns, "")
}

// state counts and fingerprints what a relation holds.
func (c *conn) state(ctx context.Context, req warehouse.SourceRequest, at string, columns []warehouse.Column, version string) (*warehouse.SourceState, error) {
	cut, err := newCutter(req.Target, req.Target.Relation, columns)
	if err != nil {
		return nil, err
	}
	out := &warehouse.SourceState{Version: version, Columns: columns}
	if out.Contents, out.Nulls, err = c.fingerprints(ctx, reading{at, cut, columns, req.Target.Digits, calendar.All()}); err != nil {
		return nil, err
	}
	out.Rows = out.Nulls
	for _, one := range out.Contents {
		out.Rows += one.Rows
	}
	return out, nil
}

func (c *conn) observeFiles(ctx context.Context, req warehouse.SourceRequest) (*warehouse.SourceState, error) {
	for range maxReads {
		files, version, err := listFiles(req)
		if err != nil {
			return nil, err
		}
		standing, err := c.copyOf(ctx, req.Target.Relation)
		if err != nil {
			return nil, err
		}
		if standing == nil || standing.Version != version {
			changed, err := c.copyFiles(ctx, req, files, version, standing)
			if err != nil {
				return nil, err
			}
			if changed {
				continue
			}
			if standing, err = c.copyOf(ctx, req.Target.Relation); err != nil {
				return nil, err
			}
		}
		if req.Known == version {
			out := &warehouse.SourceState{Unchanged: true, Version: version, Columns: standing.Columns}
			standing.Drift.tell(out)
			return out, nil
		}
		out, err := c.state(ctx, req, relation{headway, standing.Table}.in(standing.catalog), standing.Columns, version)
		if err == nil {
			standing.Drift.tell(out)
		}
		return out, err
	}
	return nil, &warehouse.SourceError{
		Source: req.Target.Relation, File: req.Files, What: fmt.Sprintf("it changed while it was read, %d times", maxReads),
		Next: "run again when whoever writes it is done; files should be written under another name and renamed",
	}
}

// copyOf is the copy that stands, nil where there is none. A copy in memory, made because the file is only read, is the newer one.
func (c *conn) copyOf(ctx context.Context, source string) (*sourceCopy, error) {
	catalogs := []string{memoryCatalog}
	if c.ready {
		catalogs = append(catalogs, c.w.catalog)
	}
	for _, catalog := range catalogs {
		out := &sourceCopy{catalog: catalog}
		var state string
		err := c.c.QueryRowContext(ctx, "SELECT copy, version, state FROM "+relation{headway, "source"}.in(catalog)+" WHERE relation = ?",
			sourceKey(source)).Scan(&out.Table, &out.Version, &state)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			err = json.Unmarshal([]byte(state), out)
		}
		return out, err
	}
	return nil, nil //nolint:nilnil // no copy is no error
}

func sourceKey(source string) string {
	r := parseRelation(source)
	return strings.ToLower(r.schema + "." + r.table)
}

// copyFiles brings the copy to the version of the files, in one transaction: readers see the old copy or the new one. changed says that
// the files were not the same before and after; then nothing was done.
func (c *conn) copyFiles(ctx context.Context, req warehouse.SourceRequest, files []sourceFile, version string, standing *sourceCopy) (changed bool, err error) {
	l, err := newLoad(c, req, files)
	if err != nil {
		return false, err
	}
	l.version = version
	l.reuse(standing)
	changed, err = l.transact(ctx)
	if errors.Is(err, errTypesMoved) {
		return c.copyFiles(ctx, req, files, version, nil)
	}
	if unfit := new(unfitError); errors.As(err, &unfit) {
		return c.copyDrifted(ctx, req, files, version, unfit.err)
	}
	return changed, err
}

// copyDrifted copies files of which some values do not fit, without the partitions that those are of. whole is the error for when it
// cannot be told which.
func (c *conn) copyDrifted(ctx context.Context, req warehouse.SourceRequest, files []sourceFile, version string, whole error) (changed bool, err error) {
	if unpartitioned(req.Target) {
		return false, whole
	}
	l, err := newLoad(c, req, files)
	if err != nil {
		return false, err
	}
	l.version, l.whole = version, whole
	return l.transact(ctx)
}

// transact copies while the compressed files are read to their ends beside it, and takes it all back if they moved.
func (l *load) transact(ctx context.Context) (changed bool, err error) {
	group, verifying := errgroup.WithContext(ctx)
	const atOnce = 2
	group.SetLimit(atOnce)
	for _, f := range l.read {
		group.Go(func() error { return verify(verifying, l.req.Target.Relation, f) })
	}
	errMoved := errors.New("the files have moved")
	_, err = l.c.transact(ctx, func() error {
		loadErr := l.run(ctx)
		if l.c.w.copied != nil {
			l.c.w.copied()
		}
		// A file that is cut off is the better explanation of rows that cannot be read.
		if err := group.Wait(); err != nil {
			return err
		}
		// What happened to files that moved under the reader's eyes is not worth telling.
		if _, now, err := listFiles(l.req); err == nil && now != l.version {
			return errMoved
		}
		if loadErr != nil {
			return l.unfit(loadErr)
		}
		return l.record(ctx)
	})
	if errors.Is(err, errMoved) {
		return true, nil
	}
	return false, err
}

// sourceNames leads from copies to the sources that they are of, schema.table.
func (c *conn) sourceNames(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	catalogs := []string{memoryCatalog}
	if c.ready {
		catalogs = append(catalogs, c.w.catalog)
	}
	for _, catalog := range catalogs {
		err := c.rows(ctx, "SELECT copy, relation FROM "+relation{headway, "source"}.in(catalog), func(r *sql.Rows) error {
			var table, source string
			if err := r.Scan(&table, &source); err != nil {
				return err
			}
			out[headway+"."+table] = source
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// record writes down what the copy now is, and makes the view that reads it by the source's name.
func (l *load) record(ctx context.Context) error {
	state, err := json.Marshal(sourceCopy{Files: l.files, Columns: l.columns, Drift: l.drift})
	if err != nil {
		return err
	}
	c := l.c
	own := relation{headway, "source"}.in(l.catalog)
	if _, err := c.exec(ctx, "INSERT INTO "+own+" (relation, copy, version, state) VALUES (?, ?, ?, ?) ON CONFLICT (relation) DO UPDATE SET "+
		"copy = excluded.copy, version = excluded.version, state = excluded.state",
		sourceKey(l.req.Target.Relation), l.table, l.version, string(state)); err != nil {
		return err
	}
	r := parseRelation(l.req.Target.Relation)
	there, err := c.find(ctx, r)
	if err != nil {
		return err
	}
	view, err := c.isView(ctx, r)
	if err != nil {
		return err
	}
	if len(there.columns) > 0 && !view {
		return &warehouse.SourceError{
			Source: l.req.Target.Relation, What: "a table of this name stands in " + c.w.path + " already", Next: "give the source another `relation`",
		}
	}
	if err := c.makeSchema(ctx, l.catalog, r.schema); err != nil {
		return err
	}
	from := name(headway) + "." + name(l.table) // without the catalog: the file may be opened under another name
	if l.catalog == memoryCatalog {
		from = relation{headway, l.table}.in(memoryCatalog)
	}
	_, err = c.exec(ctx, "CREATE OR REPLACE VIEW "+r.in(l.catalog)+" AS SELECT * EXCLUDE ("+name(fileColumn)+") FROM "+from)
	return err
}

// unpartitioned reports whether the source is one partition.
func unpartitioned(t warehouse.Target) bool { return t.Axis.Grain == calendar.None || t.Column == "" }
