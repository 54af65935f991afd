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
	// maxLate is how long it waits at most for more of them.
	maxLate = time.Millisecond
)

// Between processes there is no queue but the file's lock, for which each tries again and again. Who has written for turn and left the lock
// free for less than pause in all makes a pause that is longer than the others wait between two tries, so that one of them gets through.
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

	tx    tx            // of the group under way
	since time.Time     // when its turn began
	left  time.Time     // when it last let go of the lock
	free  time.Duration // how long the lock was free since

	callers int           // how many there were of late: those of the last group, and those that waited when it was done
	cost    time.Duration // of the last commit
	timer   *time.Timer
}

func newWriter(l *Ledger, conn *sql.Conn) *writer {
	return &writer{ledger: l, conn: conn, queue: make(chan *job, maxQueued), ended: make(chan struct{}), timer: time.NewTimer(0)}
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
		w.tx = tx{look: look{s, w.ledger, new(bool)}}
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

// gather takes what else waits, and what comes soon. Callers that were just answered often ask again at once, and a commit for half of them
// costs as much as one for all: so it waits until there are as many as of late, but no longer than two commits take, which is what somebody
// waits who comes too late. A caller that is alone never waits.
func (w *writer) gather(first *job) []*job {
	group := []*job{first}
	var late <-chan time.Time
	for len(group) < maxGroup {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, j)
			continue
		default:
		}
		if len(group) >= w.callers {
			return group
		}
		if late == nil {
			w.timer.Reset(min(2*w.cost, maxLate))
			late = w.timer.C
		}
		select {
		case j, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, j)
		case <-late:
			return group
		}
	}
	return group
}

// commit runs a group and answers everybody. Where one of several fails after it has changed something, all that the group did is taken
// back, and each gets a transaction of its own: that is rare, and a savepoint around every job would cost more than most jobs do.
func (w *writer) commit(group []*job) {
	if !w.together(group) {
		for _, j := range group {
			w.together([]*job{j})
		}
	}
	w.callers, w.left = len(group)+len(w.queue), time.Now()
	for _, j := range group {
		close(j.done)
	}
}

// together runs a group in one transaction. false: nothing has happened, and nobody may be answered.
func (w *writer) together(group []*job) bool {
	left, err := w.begin(group)
	if err != nil || len(left) == 0 {
		fail(left, err)
		return true
	}
	some := false
	for _, j := range left {
		w.call(j)
		switch failed := j.err != nil || j.panicked != nil; {
		case !failed:
			some = true
		case !w.tx.changed && code(j.err) == 0: // it only looked
		case len(left) > 1:
			_ = w.rollback() // if it fails, so does what comes next
			return false
		}
	}
	if !some {
		fail(left, w.rollback())
		return true
	}
	fail(left, w.end())
	return true
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
	w.free += time.Since(w.left)
	if time.Since(w.since) > turn {
		if w.free < pause { // it gives way, whether others wait or not: it cannot know
			time.Sleep(pause)
		}
		w.since, w.free = time.Now(), 0
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

// call runs a job's function. A panic is the caller's, not the writer's.
func (w *writer) call(j *job) {
	defer func() { j.panicked = recover() }()
	w.tx.ticked, w.tx.changed = false, false
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
	began := time.Now()
	_, err = w.tx.exec("COMMIT")
	w.cost = time.Since(began)
	if err != nil {
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
