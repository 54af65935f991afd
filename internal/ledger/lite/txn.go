package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// The bounds of group commit.
const (
	maxQueued = 1024 // operations that wait for the writer; more block
	maxGroup  = 64   // operations in one transaction: other processes wait meanwhile
)

// An operation is one business transaction that waits for the writer.
type operation struct {
	ctx    context.Context //nolint:containedctx // it is the caller's, and lives as long as the call
	fn     func(t *txn) error
	result chan error // has room for one
	err    error
}

// do runs fn as one transaction. fn may be run again after a rollback of the whole group, so it must build what it returns anew.
func (l *Ledger) do(ctx context.Context, fn func(t *txn) error) error {
	if l.opts.ReadOnly {
		return fmt.Errorf("the state %s was opened to be read only", l.path)
	}
	op := &operation{ctx: ctx, fn: fn, result: make(chan error, 1)}
	select {
	case l.queue <- op:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.done:
		return errClosed
	}
	select {
	case err := <-op.result:
		return l.explain(err)
	case <-l.done:
		select {
		case err := <-op.result:
			return l.explain(err)
		default:
			return errClosed
		}
	}
}

var errClosed = errors.New("the ledger is closed")

// A writer owns the one connection that writes.
type writer struct {
	ledger *Ledger
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt // prepared once, for as long as the connection lives
}

// loop takes operations until the ledger is closed and nothing waits any more.
func (w *writer) loop() {
	defer close(w.ledger.done)
	defer w.conn.Close() //nolint:errcheck // nothing is uncommitted, and the file is closed next
	for {
		select {
		case op := <-w.ledger.queue:
			w.commit(w.gather(op))
		case <-w.ledger.quit:
			select {
			case op := <-w.ledger.queue:
				w.commit(w.gather(op))
			default:
				return
			}
		}
	}
}

// gather takes what else waits.
func (w *writer) gather(first *operation) []*operation {
	group := []*operation{first}
	for len(group) < maxGroup {
		select {
		case op := <-w.ledger.queue:
			group = append(group, op)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction and answers everybody.
func (w *writer) commit(group []*operation) {
	err := w.run(group)
	for _, op := range group {
		switch {
		case op.err != nil:
			op.result <- op.err // it had changed nothing, whatever became of the others
		default:
			op.result <- err
		}
	}
}

// run gives an error only when nobody's work was committed, or nobody knows.
func (w *writer) run(group []*operation) error {
	// The transaction must not end with one caller's patience: others are in it too.
	ctx := context.Background()
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	changed := false
	for _, op := range group {
		if op.err = context.Cause(op.ctx); op.err != nil {
			continue
		}
		t := &txn{writer: w, ctx: ctx}
		if err := w.exec(ctx, "SAVEPOINT op"); err != nil {
			return errors.Join(err, w.exec(ctx, "ROLLBACK"))
		}
		if op.err = t.call(op.fn); op.err != nil {
			if err := errors.Join(w.exec(ctx, "ROLLBACK TO op"), w.exec(ctx, "RELEASE op")); err != nil {
				return errors.Join(err, w.exec(ctx, "ROLLBACK"))
			}
			continue
		}
		changed = true
		if err := w.exec(ctx, "RELEASE op"); err != nil {
			return errors.Join(err, w.exec(ctx, "ROLLBACK"))
		}
	}
	if !changed {
		return w.exec(ctx, "ROLLBACK")
	}
	return w.end(ctx)
}

// end commits. After an error of the commit itself the transaction is rolled back where it still stands: then nothing has happened.
func (w *writer) end(ctx context.Context) error {
	if fault := w.ledger.opts.Fault; fault != nil {
		if err := fault("before"); err != nil {
			return errors.Join(err, w.exec(ctx, "ROLLBACK"))
		}
	}
	if err := w.exec(ctx, "COMMIT"); err != nil {
		if w.exec(ctx, "ROLLBACK") == nil {
			return err
		}
		return fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
	}
	if fault := w.ledger.opts.Fault; fault != nil {
		if err := fault("after"); err != nil {
			return fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
		}
	}
	return nil
}

func (w *writer) exec(ctx context.Context, query string) error {
	_, err := w.conn.ExecContext(ctx, query)
	return err
}

// A txn is one operation's part of the transaction.
type txn struct {
	*writer
	ctx context.Context //nolint:containedctx // it lives as long as the operation
	seq history.Seq     // drawn by tick, once
}

// call runs fn; a panic fails this operation and no other.
func (t *txn) call(fn func(t *txn) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a mistake in the program: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(t)
}

// stmt prepares a statement once for the connection.
func (t *txn) stmt(query string) (*sql.Stmt, error) {
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	t.stmts[query] = s
	return s, nil
}

func (t *txn) exec(query string, args ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(t.ctx, args...)
	return err
}

// row reads the one row of a query; sql.ErrNoRows where there is none.
func (t *txn) row(query string, args []any, to ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(t.ctx, args...).Scan(to...)
}

// rows calls each for every row of a query.
func (t *txn) rows(query string, args []any, each func(scan func(...any) error) error) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	return drain(rows, each)
}

func drain(rows *sql.Rows, each func(scan func(...any) error) error) error {
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tick draws the operation's reading of the logical clock: one, however often it is asked for.
func (t *txn) tick() (history.Seq, error) {
	if t.seq > 0 {
		return t.seq, nil
	}
	err := t.row(`UPDATE meta SET value = value + 1 WHERE key = 'seq' RETURNING value`, nil, &t.seq)
	return t.seq, err
}

// clock is the logical clock as it stands.
func (t *txn) clock() (seq history.Seq, err error) {
	err = t.row(`SELECT value FROM meta WHERE key = 'seq'`, nil, &seq)
	return seq, err
}

// touch marks a table as changed now.
func (t *txn) touch(tbl int64) error {
	seq, err := t.tick()
	if err != nil {
		return err
	}
	return t.exec(`UPDATE tbl SET changed = ? WHERE id = ?`, seq, tbl)
}
