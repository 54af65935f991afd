package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
)

// An engine is the instance in memory, with the file attached to it or not.
type engine struct {
	w         *Warehouse
	connector *duck.Connector
	pool      *sql.DB // whose connections have the file as their default; nil while it is not attached
	ready     bool    // _headway's relations are there
}

// unclosed keeps the instance alive when a pool over it is closed.
type unclosed struct{ *duck.Connector }

func (unclosed) Close() error { return nil }

// use gives fn a connection, with the file open. Everything that touches the engine goes through here.
func (w *Warehouse) use(ctx context.Context, what string, fn func(c *conn) error) error {
	if err := w.uses.Acquire(ctx, 1); err != nil {
		return w.failed(ctx, what, err)
	}
	defer w.uses.Release(1)
	if err := w.enter(ctx, true); err != nil {
		return err
	}
	defer w.exit(ctx)
	e, err := w.opened(ctx)
	if err != nil {
		return err
	}
	sc, err := e.pool.Conn(ctx)
	if err != nil {
		return w.failed(ctx, what, err)
	}
	defer sc.Close() //nolint:errcheck // it goes back to the pool
	if err := fn(&conn{w: w, c: sc, ready: e.ready}); err != nil {
		if isFatal(err) {
			w.forget(e)
		}
		return w.failed(ctx, what, err)
	}
	return nil
}

// opened is the engine with the file attached.
func (w *Warehouse) opened(ctx context.Context) (*engine, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrClosed
	}
	if w.engine == nil {
		e, err := w.start(ctx)
		if err != nil {
			return nil, w.failed(ctx, "start the engine for "+w.path, err)
		}
		w.engine = e
	}
	if w.engine.pool == nil {
		if err := w.engine.attach(ctx); err != nil {
			return nil, err
		}
	}
	return w.engine, nil
}

// forget drops an engine that has failed for good; the next use starts another. Stages in its memory are lost.
func (w *Warehouse) forget(e *engine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.engine == e {
		w.engine = nil
		w.dead = append(w.dead, e)
	}
}

func (w *Warehouse) start(ctx context.Context) (*engine, error) {
	connector, err := duck.NewConnector("", nil)
	if err != nil {
		return nil, err
	}
	e := &engine{w: w, connector: connector}
	settings := []string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL autoinstall_known_extensions = false",
		// A file is rewritten when its log has grown to this, and when it is closed: not after each of many publishes, while which nobody
		// else can publish.
		"SET GLOBAL wal_autocheckpoint = '256MB'",
		"SET GLOBAL temp_directory = " + text(w.path+".tmp"),
		"CREATE SCHEMA IF NOT EXISTS " + memoryCatalog + "." + stages,
		"CREATE SCHEMA IF NOT EXISTS " + memoryCatalog + "." + headway,
		sourceTable(memoryCatalog),
	}
	if w.opts.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET GLOBAL threads = %d", w.opts.Threads))
	}
	if w.opts.MemoryLimit != "" {
		settings = append(settings, "SET GLOBAL memory_limit = "+text(w.opts.MemoryLimit))
	}
	if err := e.control(ctx, settings...); err != nil {
		return nil, errors.Join(err, connector.Close())
	}
	return e, nil
}

// control runs statements over a connection of its own, which does not have the file as its default.
func (e *engine) control(ctx context.Context, statements ...string) error {
	db := sql.OpenDB(unclosed{e.connector})
	defer db.Close() //nolint:errcheck // nothing is pending
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // as above
	for _, s := range statements {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// newFile is how a file is made: with row groups of a quarter of the engine's own size. What is inserted is written through in whole row
// groups, packed, by the thread that inserts; what is left over goes through the log, and is packed when the log is folded in, by one thread
// while nobody publishes. And a date that is replaced makes fewer rows to write anew.
const (
	newFile  = " (ROW_GROUP_SIZE 30720)"
	readOnly = " (READ_ONLY)"
)

// attach opens the file, waiting for another process that has it open, and makes what is Headway's in it.
func (e *engine) attach(ctx context.Context) error {
	w := e.w
	target := text(w.path)
	options := ""
	_, err := os.Stat(w.path)
	switch missing := errors.Is(err, os.ErrNotExist); {
	case missing && w.opts.ReadOnly:
		target = "':memory:'"
	case missing:
		options = newFile
	case w.opts.ReadOnly:
		options = readOnly
	}
	if err := e.attachPatiently(ctx, "ATTACH "+target+" AS "+name(w.catalog)+options); err != nil {
		return err
	}
	if options != readOnly {
		if err := e.control(ctx, prepare(w.catalog)...); err != nil {
			return errors.Join(w.failed(ctx, "prepare "+w.path, err), e.control(context.WithoutCancel(ctx), "DETACH "+name(w.catalog)))
		}
	}
	path := text(w.catalog + ".main," + memoryCatalog + ".main")
	if strings.ContainsAny(w.catalog, `."',`) || w.catalog != strings.ToLower(w.catalog) {
		path = text(name(w.catalog) + ".main," + memoryCatalog + ".main")
	}
	e.pool = sql.OpenDB(withInit{unclosed{e.connector}, "SET search_path = " + path})
	e.pool.SetMaxOpenConns(maxConnections)
	e.pool.SetMaxIdleConns(maxConnections)
	e.ready = options != readOnly || e.hasRelations(ctx)
	return nil
}

func (e *engine) hasRelations(ctx context.Context) bool {
	var n int
	err := e.pool.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = 'fence'",
		e.w.catalog, headway).Scan(&n)
	return err == nil && n == 1
}

// withInit runs a statement on every new connection.
type withInit struct {
	unclosed
	statement string
}

func (i withInit) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := i.unclosed.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.(driver.ExecerContext).ExecContext(ctx, i.statement, nil); err != nil { //nolint:forcetypeassert // the driver's connections do this
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// attachPatiently tries to attach until OpenWait is over. It is our turn: who has the file open takes none.
func (e *engine) attachPatiently(ctx context.Context, statement string) error {
	w := e.w
	first := e.control(ctx, statement)
	if !isLocked(first) || w.opts.OpenWait <= 0 {
		return w.unopened(ctx, first)
	}
	patient, cancel := context.WithTimeout(ctx, w.opts.OpenWait)
	defer cancel()
	const again = 50 * time.Millisecond
	tick := time.NewTicker(again)
	defer tick.Stop()
	tell := time.NewTimer(w.turn.tellIn)
	defer tell.Stop()
	last := first
	for isLocked(last) {
		select {
		case <-patient.Done():
			return w.unopened(ctx, last)
		case <-tell.C:
			w.opts.Log.Warn("waiting for a process that takes no turns to close the file", "file", w.path, "holder", holderIn(last), "at most", w.opts.OpenWait)
		case <-tick.C:
			last = e.control(ctx, statement)
		}
	}
	return w.unopened(ctx, last)
}

// detach lets the file go; the engine stays.
func (e *engine) detach(ctx context.Context) error {
	if e.pool == nil {
		return nil
	}
	if err := e.pool.Close(); err != nil {
		return err
	}
	e.pool = nil
	return e.control(context.WithoutCancel(ctx), "DETACH "+name(e.w.catalog))
}

func (e *engine) close(ctx context.Context) error {
	err := e.detach(ctx)
	return errors.Join(err, e.connector.Close())
}

// A conn is a connection in use.
type conn struct {
	w     *Warehouse
	c     *sql.Conn
	ready bool // _headway's relations are there
}

func (c *conn) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	r, err := c.c.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// rows runs a query and gives each row to fn.
func (c *conn) rows(ctx context.Context, query string, fn func(r *sql.Rows) error, args ...any) error {
	r, err := c.c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		if err := fn(r); err != nil {
			return err
		}
	}
	return r.Err()
}

// zone sets the session's time zone: the axis's for days and months, UTC for what is counted in instants.
func (c *conn) zone(ctx context.Context, axis calendar.Axis) error {
	zone := "UTC"
	if axis.Zone != "" && axis.Grain != calendar.Hour {
		zone = axis.Zone
	}
	_, err := c.exec(ctx, "SET TimeZone = "+text(zone))
	return err
}

// transact runs fn in a transaction. After an error of fn everything is undone. A commit that fails may have been done all the same.
func (c *conn) transact(ctx context.Context, fn func() error) (unknown bool, err error) {
	if _, err := c.exec(ctx, "BEGIN TRANSACTION"); err != nil {
		return false, err
	}
	settled := context.WithoutCancel(ctx)
	if err := fn(); err != nil {
		if _, undo := c.exec(settled, "ROLLBACK"); undo != nil && !noTransaction(undo) {
			return false, errors.Join(err, undo)
		}
		return false, err
	}
	// A cancelled commit would be neither done nor undone.
	if _, err := c.exec(settled, "COMMIT"); err != nil {
		_, _ = c.exec(settled, "ROLLBACK")
		return true, err
	}
	return false, nil
}
