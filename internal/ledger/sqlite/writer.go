package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/ledger"
)

// The bounds of group commit.
const (
	maxQueued = 256 // operations that wait for the writer; more block
	maxGroup  = 64  // operations in one transaction: other processes wait meanwhile
)

// Between processes there is no queue but the file's lock, for which each tries again and again. Who has written for turn without a pause
// makes one that is longer than the others wait between two tries, so that one of them gets through.
const (
	turn  = 25 * time.Millisecond
	pause = 2 * time.Millisecond
	retry = time.Millisecond
)

var errClosed = errors.New("the ledger is closed")

// A job is one business transaction that waits for the writer.
type job struct {
	ctx      context.Context //nolint:containedctx // the caller's, and it lives as long as the call
	fn       func(t *tx) error
	err      error
	panicked any
	done     chan struct{}
}

// A writer owns the one connection that writes. Its goroutine ends with close, when every job that it took is answered.
type writer struct {
	ledger *Ledger
	conn   *sql.Conn
	queue  chan *job
	ended  chan struct{}

	mu     sync.RWMutex // jobs are put into the queue under its read lock
	closed bool

	tx    tx        // of the group under way
	since time.Time // when it last paused
}

func newWriter(l *Ledger, conn *sql.Conn) *writer {
	return &writer{ledger: l, conn: conn, queue: make(chan *job, maxQueued), ended: make(chan struct{})}
}

// do runs fn in a transaction and waits until that is committed. A caller whose context ends before its turn has come gets the context's
// error, and nothing has happened.
func (w *writer) do(ctx context.Context, fn func(t *tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := w.put(j); err != nil {
		return err
	}
	<-j.done // bounded: by the group's transaction and the wait for other processes, which ends with the context
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

func (w *writer) put(j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- j:
		return nil
	case <-j.ctx.Done():
		return context.Cause(j.ctx)
	}
}

// close refuses new jobs and waits until those in the queue are done.
func (w *writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.ended
	return w.conn.Close()
}

func (w *writer) loop() {
	defer close(w.ended)
	err := w.conn.Raw(func(c any) error {
		s := &session{conn: c.(driver.Conn), stmts: map[string]*statement{}} //nolint:forcetypeassert // the driver's connection is one
		w.tx = tx{session: s, ledger: w.ledger}
		// From here on waiting for the lock is the writer's own business.
		if _, err := s.exec("PRAGMA busy_timeout = 0"); err != nil {
			return err
		}
		for j := range w.queue {
			w.commit(w.gather(j))
		}
		return s.finalize()
	})
	for j := range w.queue { // only where the loop above never began
		j.err = err
		close(j.done)
	}
}

// gather takes what else waits.
func (w *writer) gather(first *job) []*job {
	group := []*job{first}
	for len(group) < maxGroup {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction and answers everybody.
func (w *writer) commit(group []*job) {
	defer func() {
		for _, j := range group {
			close(j.done)
		}
	}()
	left, err := w.begin(group)
	if err != nil || len(left) == 0 {
		fail(left, err)
		return
	}
	for _, j := range left {
		if err := w.run(j, len(left) > 1); err != nil { // the transaction itself is broken
			fail(left, errors.Join(err, w.rollback()))
			return
		}
	}
	changed := false
	for _, j := range left {
		changed = changed || (j.err == nil && j.panicked == nil)
	}
	if !changed {
		fail(left, w.rollback())
		return
	}
	fail(left, w.end())
}

// fail gives an error to the jobs that have none.
func fail(group []*job, err error) {
	for _, j := range group {
		if j.err == nil {
			j.err = err
		}
	}
}

// begin waits for the file's lock. It gives the jobs that still want to be done.
func (w *writer) begin(group []*job) ([]*job, error) {
	if time.Since(w.since) > turn {
		// After idling there is nothing to make up for. Otherwise it gives way, whether others wait or not: it cannot know.
		if time.Since(w.since) < 2*turn {
			time.Sleep(pause)
		}
		w.since = time.Now()
	}
	started := time.Now()
	for {
		var left []*job
		for _, j := range group {
			if j.err = context.Cause(j.ctx); j.err == nil {
				left = append(left, j)
			}
		}
		if len(left) == 0 {
			return nil, nil
		}
		_, err := w.tx.exec("BEGIN IMMEDIATE")
		if err == nil {
			if err = w.tx.begin(); err != nil {
				err = errors.Join(err, w.rollback())
			}
			return left, err
		}
		if !isBusy(err) || time.Since(started) > w.ledger.opts.BusyWait {
			return left, err
		}
		time.Sleep(retry)
	}
}

// run runs one job. Its own failure is its own; an error is one of the transaction.
func (w *writer) run(j *job, shared bool) error {
	if shared {
		if _, err := w.tx.exec("SAVEPOINT job"); err != nil {
			return err
		}
	}
	w.call(j)
	failed := j.err != nil || j.panicked != nil
	w.tx.close(failed)
	if !shared {
		return nil // the whole transaction is this job
	}
	if failed {
		if _, err := w.tx.exec("ROLLBACK TO job"); err != nil {
			return err
		}
	}
	_, err := w.tx.exec("RELEASE job")
	return err
}

// call runs a job's function. A panic is the caller's, not the writer's.
func (w *writer) call(j *job) {
	defer func() { j.panicked = recover() }()
	j.err = j.fn(&w.tx)
}

func (w *writer) rollback() error {
	w.tx.forget()
	_, err := w.tx.exec("ROLLBACK")
	return err
}

// end commits. After an error the transaction is rolled back where it still stands: then nothing has happened, unless the disk failed,
// which may show what was written all the same when it is read again.
func (w *writer) end() error {
	fault := w.ledger.opts.Fault
	err := w.tx.flush()
	if err == nil && fault != nil {
		err = fault("before")
	}
	if err != nil {
		return errors.Join(err, w.rollback())
	}
	if _, err := w.tx.exec("COMMIT"); err != nil {
		if w.rollback() == nil && !isDisk(err) {
			return err
		}
		return fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
	}
	if fault != nil {
		if err := fault("after"); err != nil {
			return fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
		}
	}
	return nil
}
