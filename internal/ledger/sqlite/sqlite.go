// Package sqlite is the ledger in a SQLite file.
//
// All writes go through one goroutine, which puts those that wait together into one transaction. A commit costs a write to the disk
// (synchronous=FULL: leases and records survive a power cut), so ten waiting operations cost little more than one. Reads have connections
// of their own and see the last commit. Other processes take turns through the file's lock.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/ledger"
)

// Options say how a store is used. The zero value is right outside of tests.
type Options struct {
	// ReadOnly opens a store that is never written to. One that is not there yet, or of an older schema, is made or brought up to date first.
	ReadOnly bool
	// Machine judges leases: this one, unless a test says otherwise.
	Machine ledger.Machine
	// Now is the wall clock, for what people read.
	Now func() time.Time
	// BusyWait is how long to wait for other processes' transactions before giving up; 0 is 30 seconds.
	BusyWait time.Duration
	// Fault is asked before ("before") and after ("after") every commit in tests; an error from it takes the commit's place.
	Fault func(when string) error

	careless bool // for tests that are about answers, not about power cuts: commits do not wait for the disk
}

const defaultBusyWait = 30 * time.Second

// A Ledger is a store in one file.
type Ledger struct {
	path string
	id   string
	opts Options

	readers *pool
	writes  *sql.DB // one connection, the writer's; nil when read only
	writer  *writer
	closing sync.Once
	closed  error
}

var _ ledger.Ledger = (*Ledger)(nil)

// Open opens the store at path, and makes it, with its folder, if there is none. Links are followed: every way to a file is one store.
// A store of a newer schema is refused with ErrSchema.
func Open(ctx context.Context, path string, opts Options) (*Ledger, error) {
	opts.fill()
	file, err := canonical(path)
	if err != nil {
		return nil, err
	}
	// SQLite does not wait for the lock wherever waiting could mean a deadlock: two that turn a new file into one with a log of changes, one of
	// which makes the schema, are told "locked" at once. Nothing has happened then, and it is tried again.
	for began := opts.Machine.Clock(); ; {
		l := &Ledger{path: file, opts: opts}
		err := l.open(ctx)
		if err == nil {
			return l, nil
		}
		closed := l.Close()
		if !isBusy(err) || opts.Machine.Clock()-began > opts.BusyWait || ctx.Err() != nil {
			return nil, errors.Join(l.explain(err), closed)
		}
		again := time.NewTimer(retry)
		select {
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

func (l *Ledger) open(ctx context.Context) error {
	state, err := probe(ctx, l.path)
	if err != nil {
		return err
	}
	if state != current {
		if err := migrate(ctx, l.dsn(writing)); err != nil {
			return err
		}
	}
	how := reading
	if l.opts.ReadOnly {
		how = onlyReading(l.path)
	}
	if l.readers, err = newPool(l.dsn(how)); err != nil {
		return err
	}
	err = l.readers.with(ctx, func(s *session) error {
		_, err := s.first(func(r row) error { l.id = r.text(0); return nil }, `SELECT id FROM ledger`)
		return err
	})
	if err != nil || l.opts.ReadOnly {
		return err
	}
	if l.writes, err = sql.Open("sqlite", l.dsn(writing)); err != nil {
		return err
	}
	l.writes.SetMaxOpenConns(1)
	conn, err := l.writes.Conn(ctx)
	if err != nil {
		return err
	}
	l.writer = newWriter(l, conn)
	go l.writer.loop()
	return nil
}

// ID is the ledger's name.
func (l *Ledger) ID() string { return l.id }

// URL is where the store is.
func (l *Ledger) URL() string { return "sqlite:" + l.path }

// Close waits for what is under way and closes the file. Closing again does nothing.
func (l *Ledger) Close() error {
	l.closing.Do(func() {
		var errs []error
		if l.writer != nil {
			errs = append(errs, l.writer.close())
		}
		if l.writes != nil {
			errs = append(errs, l.writes.Close())
		}
		if l.readers != nil {
			errs = append(errs, l.readers.close())
		}
		if err := errors.Join(errs...); err != nil {
			l.closed = fmt.Errorf("close the state %s: %w", l.path, err)
		}
	})
	return l.closed
}

// write runs fn as one transaction: what it gives back is durable when it returned nil. fn must not keep what it was given. It
// may run twice, the first time for nothing (writer.commit).
func (l *Ledger) write(ctx context.Context, fn func(t *tx) error) error {
	if l.writer == nil {
		return fmt.Errorf("the state %s was opened to be read only", l.path)
	}
	return l.explain(l.writer.do(ctx, fn))
}

// read runs fn on one consistent reading.
func (l *Ledger) read(ctx context.Context, fn func(s *session) error) error {
	return l.explain(l.readers.with(ctx, func(s *session) (err error) {
		if _, err := s.exec("BEGIN"); err != nil {
			return err
		}
		defer func() {
			_, end := s.exec("ROLLBACK")
			err = errors.Join(err, end)
		}()
		return fn(s)
	}))
}
