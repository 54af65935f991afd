package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

// Faults lets the n-th mutating call of a process go wrong. A call that changes nothing is not counted, but fails too once the process is
// dead.
type faults struct {
	mu    sync.Mutex
	calls int
	names []string
	at    int
	after bool // the call is done, and its answer lost; else it fails before it does anything
	dies  bool // with it, everything that follows fails: the process is dead
	dead  bool
}

var (
	errInjected = errors.New("injected failure")
	errDead     = errors.New("the process is dead")
)

// mutate does one mutating call.
func (f *faults) mutate(name string, unknown error, fn func() error) error {
	if f == nil {
		return fn()
	}
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return errDead
	}
	f.calls++
	f.names = append(f.names, name)
	hit := f.calls == f.at
	if hit && !f.after {
		f.dead = f.dies
		f.mu.Unlock()
		return fmt.Errorf("%s: %w", name, errInjected)
	}
	f.mu.Unlock()
	err := fn()
	if hit && err == nil {
		f.mu.Lock()
		f.dead = f.dies
		f.mu.Unlock()
		return fmt.Errorf("%s: %w: %w", name, errInjected, unknown)
	}
	return err
}

// ask lets a call that changes nothing through while the process lives.
func (f *faults) ask() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errDead
	}
	return nil
}

// Seen is what the drivers have really done, over all processes of a site.
type seen struct {
	mu        sync.Mutex
	committed map[string]map[calendar.Partition]int // publishes by table key
	recorded  map[string]map[calendar.Partition]int // records that the caller was told of
	stages    int
	beforePub func(p warehouse.Publication) // called before each publish
	afterPub  func(p warehouse.Publication)
	settled   func()                    // called after each Settle
	failed    func()                    // called after each Fail
	staging   func() error              // called before each Stage, which it may let fail
	published func(ctx context.Context) // called after each publish, with its context
	raised    func(ctx context.Context) // called before each Raise, with its context
}

func newSeen() *seen {
	return &seen{committed: map[string]map[calendar.Partition]int{}, recorded: map[string]map[calendar.Partition]int{}}
}

func count(into map[string]map[calendar.Partition]int, table string, set calendar.Set) {
	if into[table] == nil {
		into[table] = map[calendar.Partition]int{}
	}
	for p := range set.Partitions() {
		into[table][p]++
	}
}

func (s *seen) publishes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, of := range s.committed {
		for _, times := range of {
			n += times
		}
	}
	return n
}

// A watchedLedger is a ledger whose calls are counted and go wrong as told.
type watchedLedger struct {
	ledger.Ledger
	faults *faults
	seen   *seen
}

func (l *watchedLedger) do(name string, fn func() error) error {
	return l.faults.mutate("ledger."+name, ledger.ErrUnknown, fn)
}

func (l *watchedLedger) Snapshot(ctx context.Context, tables []string) (*history.Snapshot, error) {
	if err := l.faults.ask(); err != nil {
		return nil, err
	}
	return l.Ledger.Snapshot(ctx, tables)
}

func (l *watchedLedger) Changes(ctx context.Context, since history.Seq, tables []string) (*history.Snapshot, error) {
	if err := l.faults.ask(); err != nil {
		return nil, err
	}
	return l.Ledger.Changes(ctx, since, tables)
}

func (l *watchedLedger) Observe(ctx context.Context, o ledger.Observation) (out ledger.Observed, err error) {
	err = l.do("Observe", func() error { out, err = l.Ledger.Observe(ctx, o); return err })
	return out, err
}

func (l *watchedLedger) Recheck(ctx context.Context, r ledger.Recheck) (out history.Seq, err error) {
	err = l.do("Recheck", func() error { out, err = l.Ledger.Recheck(ctx, r); return err })
	return out, err
}

func (l *watchedLedger) Acquire(ctx context.Context, req ledger.LeaseRequest) (out *ledger.Lease, err error) {
	err = l.do("Acquire", func() error { out, err = l.Ledger.Acquire(ctx, req); return err })
	return out, err
}

func (l *watchedLedger) Renew(ctx context.Context, leases []ledger.LeaseID) ([]ledger.LeaseID, error) {
	if err := l.faults.ask(); err != nil {
		return nil, err
	}
	return l.Ledger.Renew(ctx, leases)
}

func (l *watchedLedger) Release(ctx context.Context, lease ledger.LeaseID, claims []ledger.Claim) error {
	return l.do("Release", func() error { return l.Ledger.Release(ctx, lease, claims) })
}

func (l *watchedLedger) Settle(ctx context.Context, lease ledger.LeaseID, table string, set calendar.Set, found []ledger.Commit) (seq history.Seq, err error) {
	err = l.do("Settle", func() error { seq, err = l.Ledger.Settle(ctx, lease, table, set, found); return err })
	if err == nil && l.seen.settled != nil {
		l.seen.settled()
	}
	return seq, err
}

func (l *watchedLedger) PutRun(ctx context.Context, run ledger.RunRecord) error {
	return l.do("PutRun", func() error { return l.Ledger.PutRun(ctx, run) })
}

func (l *watchedLedger) StartAttempt(ctx context.Context, req ledger.AttemptRequest) (out *ledger.Attempt, err error) {
	err = l.do("StartAttempt", func() error { out, err = l.Ledger.StartAttempt(ctx, req); return err })
	return out, err
}

func (l *watchedLedger) Intend(ctx context.Context, intent ledger.Intent) error {
	return l.do("Intend", func() error { return l.Ledger.Intend(ctx, intent) })
}

func (l *watchedLedger) Record(ctx context.Context, c ledger.Commit) (seq history.Seq, err error) {
	err = l.do("Record", func() error { seq, err = l.Ledger.Record(ctx, c); return err })
	return seq, err
}

func (l *watchedLedger) Fail(ctx context.Context, f ledger.Failure) (seq history.Seq, err error) {
	err = l.do("Fail", func() error { seq, err = l.Ledger.Fail(ctx, f); return err })
	if err == nil && l.seen.failed != nil {
		l.seen.failed()
	}
	return seq, err
}

func (l *watchedLedger) Mark(ctx context.Context, m ledger.Mark) (seq history.Seq, err error) {
	err = l.do("Mark", func() error { seq, err = l.Ledger.Mark(ctx, m); return err })
	return seq, err
}

// A watchedWarehouse is a warehouse whose calls are counted and go wrong as told.
type watchedWarehouse struct {
	warehouse.Warehouse
	faults *faults
	seen   *seen
}

func (w *watchedWarehouse) do(name string, fn func() error) error {
	return w.faults.mutate("warehouse."+name, warehouse.ErrUnknown, fn)
}

func (w *watchedWarehouse) Claim(ctx context.Context, by warehouse.Ledger) (floors map[string]history.Token, err error) {
	err = w.do("Claim", func() error { floors, err = w.Warehouse.Claim(ctx, by); return err })
	return floors, err
}

func (w *watchedWarehouse) Prepare(ctx context.Context, shape warehouse.Shape) error {
	return w.do("Prepare", func() error { return w.Warehouse.Prepare(ctx, shape) })
}

func (w *watchedWarehouse) Raise(ctx context.Context, fences ...warehouse.Fence) error {
	if w.seen.raised != nil {
		w.seen.raised(ctx)
	}
	return w.do("Raise", func() error { return w.Warehouse.Raise(ctx, fences...) })
}

func (w *watchedWarehouse) Stage(ctx context.Context, req warehouse.StageRequest) (out *warehouse.Stage, err error) {
	err = w.do("Stage", func() error {
		if w.seen.staging != nil {
			if err := w.seen.staging(); err != nil {
				return err
			}
		}
		out, err = w.Warehouse.Stage(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	w.seen.mu.Lock()
	w.seen.stages++
	w.seen.mu.Unlock()
	return out, nil
}

func (w *watchedWarehouse) OpenStage(ctx context.Context, target warehouse.Target, set calendar.Set, attempt string) (name string, err error) {
	err = w.do("OpenStage", func() error { name, err = w.Warehouse.OpenStage(ctx, target, set, attempt); return err })
	return name, err
}

func (w *watchedWarehouse) SealStage(ctx context.Context, target warehouse.Target, set calendar.Set, attempt string) (out *warehouse.Stage, err error) {
	err = w.do("SealStage", func() error { out, err = w.Warehouse.SealStage(ctx, target, set, attempt); return err })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (w *watchedWarehouse) Check(ctx context.Context, target warehouse.Target, stage *warehouse.Stage, set calendar.Set, checks []warehouse.Check) (out []warehouse.Verdict, err error) {
	// A check may set rows aside.
	err = w.do("Check", func() error { out, err = w.Warehouse.Check(ctx, target, stage, set, checks); return err })
	return out, err
}

func (w *watchedWarehouse) Publish(ctx context.Context, p warehouse.Publication) (out *warehouse.Published, err error) {
	w.seen.mu.Lock()
	before, after := w.seen.beforePub, w.seen.afterPub
	w.seen.mu.Unlock()
	if before != nil {
		before(p)
	}
	err = w.do("Publish", func() error {
		if out, err = w.Warehouse.Publish(ctx, p); err != nil {
			return err
		}
		w.seen.mu.Lock()
		count(w.seen.committed, p.Target.Table, p.Set)
		w.seen.mu.Unlock()
		if after != nil {
			after(p)
		}
		if w.seen.published != nil {
			w.seen.published(ctx)
		}
		return nil
	})
	return out, err
}

func (w *watchedWarehouse) Discard(ctx context.Context, stage *warehouse.Stage) error {
	return w.do("Discard", func() error { return w.Warehouse.Discard(ctx, stage) })
}

func (w *watchedWarehouse) Sweep(ctx context.Context, keep map[string]bool) error {
	return w.do("Sweep", func() error { return w.Warehouse.Sweep(ctx, keep) })
}

func (w *watchedWarehouse) Markers(ctx context.Context, table string, set calendar.Set) ([]warehouse.Marker, error) {
	if err := w.faults.ask(); err != nil {
		return nil, err
	}
	return w.Warehouse.Markers(ctx, table, set)
}

func (w *watchedWarehouse) Observe(ctx context.Context, req warehouse.SourceRequest) (out *warehouse.SourceState, err error) {
	err = w.do("Observe", func() error { out, err = w.Warehouse.Observe(ctx, req); return err })
	return out, err
}

func (w *watchedWarehouse) Lend(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := w.faults.ask(); err != nil {
		return err
	}
	return w.Warehouse.Lend(ctx, fn)
}
