package sqlite

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

var benchDay = calendar.Axis{Grain: calendar.Day}

func benchLedger(b *testing.B) *Ledger {
	b.Helper()
	l, err := Open(b.Context(), b.TempDir()+"/state.db", Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

func must[T any](b *testing.B) func(T, error) T {
	return func(v T, err error) T {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
		return v
	}
}

// 10,000 steps that do nothing: an attempt from its start to its record, from 8 goroutines on 10 tables of 1,000 days.
func BenchmarkSteps(b *testing.B) {
	const tables, days, workers = 10, 1000, 8
	for b.Loop() {
		b.StopTimer()
		l := benchLedger(b)
		req := ledger.LeaseRequest{ID: "l", Run: "r", Class: ledger.ClassBackfill, Holder: ThisProcess(), TTL: time.Hour, Settles: true}
		for i := range tables {
			req.Writes = append(req.Writes, ledger.Claim{Table: fmt.Sprintf("t%d", i), Axis: benchDay, Set: calendar.Range(0, days)})
		}
		must[*ledger.Lease](b)(l.Acquire(b.Context(), req))
		b.StartTimer()
		started, used := time.Now(), cpu()
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < tables*days; i += workers {
					step(b, l, fmt.Sprintf("t%d", i%tables), calendar.Partition(i/tables), fmt.Sprintf("a-%010d", i))
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(tables*days)/time.Since(started).Seconds(), "steps/s")
		b.ReportMetric((cpu() - used).Seconds(), "cpu-s/10k")
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func step(b *testing.B, l *Ledger, table string, p calendar.Partition, id string) {
	ctx := context.Background()
	a, err := l.StartAttempt(ctx, ledger.AttemptRequest{
		ID: ledger.AttemptID(id), Lease: "l", Run: "r", Table: table, Set: calendar.Of(p), Version: "v1", ReadSeq: 1, At: time.Now(),
	})
	if err != nil {
		b.Error(err)
		return
	}
	err = l.Intend(ctx, ledger.Intent{
		Attempt: a.ID, Run: a.Run, Table: table, Token: a.Token, ReadSeq: 1, Version: "v1", CheckVersion: "c1", ReadAt: time.Now(),
		Publish: []ledger.Content{{Partition: p, Rows: 10, Fingerprint: fmt.Sprintf("10:%016x:%016x", p*77777777777, p*99999999999)}},
		Hulls:   []ledger.Hull{{Input: "source", Reach: calendar.Interval{Start: p - 7, End: p + 1}}},
	})
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := l.Record(ctx, ledger.Commit{Attempt: a.ID, Published: a.Set, At: time.Now()}); err != nil {
		b.Error(err)
	}
}

// fillSegments writes histories of one-day segments, no two alike, or of few.
func fillSegments(b *testing.B, l *Ledger, tables, days, each int) []string {
	b.Helper()
	keys := make([]string, tables)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range keys {
		keys[i] = fmt.Sprintf("t%04d", i)
		err := l.write(b.Context(), func(t *tx) error {
			tab, err := t.use(keys[i], benchDay)
			if err != nil {
				return err
			}
			seq := t.touch(tab)
			var rows []segment
			for d := 0; d < days; d += each {
				rows = append(rows, segment{token: history.Token(d + 1), written: seq + history.Seq(d), Segment: history.Segment{
					Interval: calendar.Interval{Start: calendar.Partition(d), End: calendar.Partition(d + each)}, ReadSeq: history.Seq(d + 1),
					ChangedSeq: seq + history.Seq(d), Version: "sha-0123456789abcdef", Attempt: fmt.Sprintf("a-%03d%07d", i%1000, d), ReadAt: at.AddDate(0, 0, d),
				}})
			}
			return t.putSegments(tab, rows, seq)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return keys
}

func benchSnapshot(b *testing.B, days, each int) {
	l := benchLedger(b)
	keys := fillSegments(b, l, 1000, days, each)
	b.ResetTimer()
	used := cpu()
	defer func() { b.ReportMetric(1000*(cpu()-used).Seconds()/float64(b.N), "cpu-ms/op") }()
	for b.Loop() {
		s := must[*history.Snapshot](b)(l.Snapshot(b.Context(), keys))
		if n := len(s.Tables[keys[999]].Segments); n != days/each {
			b.Fatalf("%d segments", n)
		}
	}
}

func BenchmarkSnapshotShared(b *testing.B) { benchSnapshot(b, 3650, 730) }
func BenchmarkSnapshotDaily(b *testing.B)  { benchSnapshot(b, 3650, 1) }

func BenchmarkChangesOfNothing(b *testing.B) {
	l := benchLedger(b)
	keys := fillSegments(b, l, 1000, 3650, 730)
	head := must[history.Seq](b)(l.Head(b.Context()))
	for b.Loop() {
		must[*history.Snapshot](b)(l.Changes(b.Context(), head, keys))
	}
}

// BenchmarkAcquire grants and releases among 100,000 live leases.
func BenchmarkAcquire(b *testing.B) {
	l := benchLedger(b)
	const live = 100_000
	req := func(id string, start calendar.Partition) ledger.LeaseRequest {
		return ledger.LeaseRequest{
			ID: ledger.LeaseID(id), Run: ledger.RunID(id), Class: ledger.ClassBackfill, Holder: ThisProcess(), TTL: time.Hour,
			Writes: []ledger.Claim{{Table: "t", Axis: benchDay, Set: calendar.Range(start, start+1)}},
		}
	}
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < live; i += 64 {
				if _, err := l.Acquire(context.Background(), req(fmt.Sprintf("live-%d", i), calendar.Partition(2*i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	i := 0
	for b.Loop() {
		i++
		id := fmt.Sprintf("l-%d", i)
		must[*ledger.Lease](b)(l.Acquire(b.Context(), req(id, calendar.Partition(2*(i*7919%live)+1))))
		if err := l.Release(b.Context(), ledger.LeaseID(id), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// cpu is what the process has used: wall time says little on a machine that others use too.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
