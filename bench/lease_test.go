package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// What is promised of acquiring: the slowest of a hundred takes at most so long.
const acquireGoal = time.Millisecond

// The leases that are live meanwhile, and how many more are acquired and released, one after the other.
const (
	liveLeases   = 100_000
	leaseRounds  = 3_000
	filledAtOnce = 64
)

// BenchmarkLease acquires and releases among 100,000 live leases of one table, beside what it is made of: a file lock, which excludes without
// remembering, and a transaction of SQLite that writes one row and is as durable. The three take turns, so that what else the machine does
// falls on all alike.
func BenchmarkLease(b *testing.B) {
	l, err := openLedger(b.Context(), filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // thrown away
	fillLeases(b, l)
	bare, flock := newBare(b), newFlock(b)
	for b.Loop() {
		var acquire, release, lock, row durations
		for i := range leaseRounds {
			id := ledger.LeaseID(fmt.Sprintf("l-%d-%d", b.N, i))
			day := calendar.Partition(2*(i*7919%liveLeases) + 1) // between two that are live
			acquire.time(b, func() error {
				_, err := l.Acquire(b.Context(), leaseOf(id, day))
				return err
			})
			release.time(b, func() error { return l.Release(b.Context(), id, nil) })
			row.time(b, func() error { return bare(i) })
			lock.time(b, flock)
		}
		acquire.report(b, "acquire")
		release.report(b, "release")
		row.report(b, "row")
		lock.report(b, "flock")
		b.ReportMetric(float64(acquire.at(99))/float64(acquireGoal), "of-1ms")
	}
}

func leaseOf(id ledger.LeaseID, day calendar.Partition) ledger.LeaseRequest {
	return ledger.LeaseRequest{
		ID: id, Run: ledger.RunID(id), Class: ledger.ClassBackfill, Holder: thisProcess(), TTL: time.Hour,
		Writes: []ledger.Claim{{Table: "t", Axis: calendar.Axis{Grain: calendar.Day}, Set: calendar.Of(day)}},
	}
}

func fillLeases(b *testing.B, l ledger.Ledger) {
	b.Helper()
	var wg sync.WaitGroup
	for w := range filledAtOnce {
		wg.Go(func() {
			for i := w; i < liveLeases; i += filledAtOnce {
				if _, err := l.Acquire(context.Background(), leaseOf(ledger.LeaseID(fmt.Sprintf("live-%d", i)), calendar.Partition(2*i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// newBare gives a transaction that writes one row, durable as the ledger's.
func newBare(b *testing.B) func(i int) error {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_pragma=busy_timeout(1000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE lease (id INTEGER PRIMARY KEY, start INTEGER NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	insert, err := db.PrepareContext(b.Context(), "INSERT INTO lease (start) VALUES (?)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = insert.Close() })
	return func(i int) error {
		_, err := insert.ExecContext(b.Context(), i)
		return err
	}
}

// newFlock gives a lock and unlock of a file.
func newFlock(b *testing.B) func() error {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "lock"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return func() error {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return err
		}
		return unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
}

// durations are how long each of many calls took.
type durations []time.Duration

func (d *durations) time(b *testing.B, fn func() error) {
	b.Helper()
	at := b.Elapsed()
	if err := fn(); err != nil {
		b.Fatal(err)
	}
	*d = append(*d, b.Elapsed()-at)
}

// at is the time that so many of a hundred calls do not exceed.
func (d *durations) at(percent int) time.Duration {
	slices.Sort(*d)
	return (*d)[min(len(*d)*percent/100, len(*d)-1)]
}

func (d *durations) report(b *testing.B, name string) {
	b.Helper()
	b.ReportMetric(float64(d.at(50).Nanoseconds())/1000, name+"-p50-us")
	b.ReportMetric(float64(d.at(99).Nanoseconds())/1000, name+"-p99-us")
}
