package bench

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// What is promised of acquiring: the slowest of a hundred takes at most so long.
const acquireGoal = time.Millisecond

// The leases that are live meanwhile, and how many more are acquired and released, one after the other, in so many turns with the others.
const (
	liveLeases   = 100_000
	leaseRounds  = 3_000
	leaseTurns   = 10
	filledAtOnce = 64
)

// BenchmarkLease acquires and releases among 100,000 live leases of one table, beside what people use instead and what it is made of: flock(1)
// around a command that does nothing, which excludes without remembering; a transaction of SQLite that inserts a row and one that deletes it, as
// durable; and a PostgreSQL exclusion constraint over as many rows, where there is a server. All take turns, so that what else the machine does falls
// on all alike.
func BenchmarkLease(b *testing.B) {
	l, err := openLedger(b.Context(), filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // thrown away
	fillLeases(b, l)
	bare, lock, server := newBare(b), tool(b, "flock"), newExclusion(b)
	lockFile := filepath.Join(b.TempDir(), "lock")
	for b.Loop() {
		var acquire, release, insert, remove, locked, excluded durations
		for turn := range leaseTurns {
			for i := turn * leaseRounds / leaseTurns; i < (turn+1)*leaseRounds/leaseTurns; i++ {
				id := ledger.LeaseID(fmt.Sprintf("l-%d-%d", b.N, i))
				day := calendar.Partition(2*(i*7919%liveLeases) + 1) // between two that are live
				acquire.time(b, func() error {
					_, err := l.Acquire(b.Context(), leaseOf(id, day))
					return err
				})
				release.time(b, func() error { return l.Release(b.Context(), id, nil) })
				insert.time(b, func() error { return bare.insert(i) })
				remove.time(b, func() error { return bare.remove(i) })
				if lock != "" && i%leaseTurns == 0 {
					locked.time(b, func() error { _, err := call(b.Context(), nil, lock, lockFile, "true"); return err })
				}
			}
			excluded = append(excluded, server.rounds(b, leaseRounds/leaseTurns)...)
		}
		acquire.report(b, "acquire")
		release.report(b, "release")
		insert.report(b, "insert")
		remove.report(b, "delete")
		locked.report(b, "flock")
		excluded.report(b, "exclude")
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

// A bareTable is SQLite without a ledger, as durable.
type bareTable struct{ inserting, removing *sql.Stmt }

func newBare(b *testing.B) *bareTable {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_pragma=busy_timeout(1000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE lease (start INTEGER PRIMARY KEY)"); err != nil {
		b.Fatal(err)
	}
	prepare := func(query string) *sql.Stmt {
		s, err := db.PrepareContext(b.Context(), query)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		return s
	}
	return &bareTable{prepare("INSERT INTO lease (start) VALUES (?)"), prepare("DELETE FROM lease WHERE start = ?")}
}

func (t *bareTable) insert(i int) error {
	_, err := t.inserting.Exec(i)
	return err
}

func (t *bareTable) remove(i int) error {
	_, err := t.removing.Exec(i)
	return err
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
	if len(*d) == 0 {
		return // it was left out, by name
	}
	b.ReportMetric(float64(d.at(50).Nanoseconds())/1000, name+"-p50-us")
	b.ReportMetric(float64(d.at(99).Nanoseconds())/1000, name+"-p99-us")
}
