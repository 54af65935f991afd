package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/mem"
)

var errFault = errors.New("the disk has failed")

// Faults lets every write of a run fail, once before it is kept and once after, opens the store again and goes on, and compares what came
// of it with a run that nothing disturbed. fault must be asked before ("before") and after ("after") every commit; an error from it takes
// the commit's place.
func Faults(t *testing.T, open func(t *testing.T, fault func(when string) error) Harness) {
	writes := len(typicalRun(NewWorld()))
	for _, when := range []string{"before", "after"} {
		for n := 1; n <= writes; n++ {
			t.Run(fmt.Sprintf("%s/%d", when, n), func(t *testing.T) { faulty(t, open, when, n) })
		}
	}
}

func faulty(t *testing.T, open func(t *testing.T, fault func(when string) error) Harness, when string, n int) {
	commits, armed := 0, false
	h := open(t, func(now string) error {
		if !armed || now != when {
			return nil
		}
		if commits++; commits == n {
			return errFault
		}
		return nil
	})
	f := newFixture(t, h)
	armed = true
	struck := false
	for i, op := range typicalRun(f.w) {
		before := describe(f.tables())
		err := op(f.ctx, f.l)
		if err == nil {
			continue
		}
		struck = true
		unknown := errors.Is(err, ledger.ErrUnknown)
		if !errors.Is(err, errFault) || unknown != (when == "after") {
			t.Fatalf("write %d: %v", i+1, err)
		}
		f.reopen()
		if now := describe(f.tables()); !unknown && now != before {
			t.Fatalf("write %d failed and changed\n%s\nto\n%s", i+1, before, now)
		}
		f.ok(op(f.ctx, f.l)) // asking again settles it
	}
	if !struck {
		t.Fatalf("the run has fewer than %d writes", n)
	}
	f.undisturbed()
}

func (f *fixture) tables() *history.Snapshot {
	f.Helper()
	s, err := f.l.Snapshot(f.ctx, []string{table, "main/s"})
	f.ok(err)
	return s
}

// undisturbed compares the ledger with a model on which the same run was made.
func (f *fixture) undisturbed() {
	f.Helper()
	w := NewWorld()
	model := mem.New(mem.Options{ID: f.l.ID(), Now: w.Now, Machine: w.Machine()})
	for _, op := range typicalRun(w) {
		f.ok(op(f.ctx, model))
	}
	want, err := model.Snapshot(f.ctx, []string{table, "main/s"})
	f.ok(err)
	same(f, "snapshot", describe(f.tables()), describe(want))
	for what, read := range map[string]func(l ledger.Ledger) (any, error){
		"attempts": func(l ledger.Ledger) (any, error) { return l.Attempts(f.ctx, ledger.AttemptFilter{}) },
		"contents": func(l ledger.Ledger) (any, error) { return l.Contents(f.ctx, table, calendar.All()) },
		"metrics":  func(l ledger.Ledger) (any, error) { return l.Metrics(f.ctx, table, calendar.All()) },
		"audit":    func(l ledger.Ledger) (any, error) { return l.Audit(f.ctx, ledger.AuditFilter{}) },
		"runs":     func(l ledger.Ledger) (any, error) { return l.Runs(f.ctx, ledger.RunFilter{}) },
		"leases":   func(l ledger.Ledger) (any, error) { return l.Leases(f.ctx, ledger.LeaseFilter{Waiting: true}) },
	} {
		got, err := read(f.l)
		f.ok(err)
		want, err := read(model)
		f.ok(err)
		same(f, what, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

// typicalRun is what a run writes, one commit each: it plans, takes its lease, publishes, is refused by checks, renews, dies; another takes
// over, settles and ends, while others wait; a fix preempts.
func typicalRun(w *World) []func(ctx context.Context, l ledger.Ledger) error {
	at, first, second := w.Now(), w.Holder(), w.Holder()
	lease := func(id string, holder ledger.Holder) ledger.LeaseRequest {
		return ledger.LeaseRequest{
			ID: ledger.LeaseID("l-" + id), Run: ledger.RunID("r-" + id), Class: ledger.ClassBackfill, Holder: holder,
			Writes: []ledger.Claim{claim(0, 9)}, TTL: ttl, Settles: true,
		}
	}
	attempt := func(run, id string, start, end calendar.Partition) ledger.AttemptRequest {
		return ledger.AttemptRequest{
			ID: ledger.AttemptID(id), Lease: ledger.LeaseID("l-" + run), Run: ledger.RunID("r-" + run), Table: table, Set: days(start, end), Version: "v1",
			ReadSeq: 2, At: at,
		}
	}
	intent := func(req ledger.AttemptRequest, token history.Token) ledger.Intent {
		in := ledger.Intent{Attempt: req.ID, Run: req.Run, Table: table, Token: token, ReadSeq: 2, Version: "v1", CheckVersion: "c1", ReadAt: at}
		for p := range req.Set.Partitions() {
			in.Publish = append(in.Publish, ledger.Content{Partition: p, Rows: 3, Fingerprint: fmt.Sprintf("f%d", p)})
			in.Metrics = append(in.Metrics, ledger.Metric{Check: "t.x", Partition: p, Value: 0.5, Weight: 3, Passed: true})
		}
		return in
	}
	order := func(kind ledger.OrderKind) ledger.Order {
		return ledger.Order{
			ID: ledger.LeaseID("o-" + string(kind)), Kind: kind, Table: table, Axis: day, Set: days(2, 6), Lease: "l-3", Run: "r-1", Reason: "so", At: at,
		}
	}
	lease3 := func() ledger.LeaseRequest { // beside what stays held
		req := lease("3", second)
		req.Writes = []ledger.Claim{claim(0, 8)}
		return req
	}
	waits := func(ctx context.Context, l ledger.Ledger, id string) error {
		req := lease(id, second)
		req.Wait, req.Writes = true, []ledger.Claim{claim(2, 8)}
		_, err := l.Acquire(ctx, req)
		if conflict, ok := errors.AsType[*ledger.ConflictError](err); ok && conflict.Queued {
			return nil
		}
		return err
	}
	a, b, c := attempt("1", "a-1", 0, 3), attempt("1", "a-2", 3, 5), attempt("1", "a-3", 5, 8)
	type ctx = context.Context
	return []func(ctx ctx, l ledger.Ledger) error{
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.Observe(ctx, ledger.Observation{
				Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 9)}},
				Sources: []ledger.Seen{{
					Table: "main/s", Axis: day, Looked: calendar.All(), Contents: []ledger.Content{{Partition: 1, Rows: 2, Fingerprint: "s"}}, Meta: "m",
				}},
				At: at,
			})
			return err
		},
		func(ctx ctx, l ledger.Ledger) error {
			return l.PutRun(ctx, ledger.RunRecord{ID: "r-1", State: "running", Sets: []ledger.Claim{claim(0, 9)}, StartedAt: at})
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Acquire(ctx, lease("1", first)); return err },
		func(ctx ctx, l ledger.Ledger) error { _, err := l.StartAttempt(ctx, a); return err },
		func(ctx ctx, l ledger.Ledger) error { return l.Intend(ctx, intent(a, 2)) },
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.Record(ctx, ledger.Commit{Attempt: a.ID, Published: a.Set, At: at})
			return err
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.StartAttempt(ctx, b); return err },
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.Fail(ctx, ledger.Failure{Attempt: b.ID, Token: 3, Outcome: history.Quarantined, Reason: "low", At: at})
			return err
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Renew(ctx, []ledger.LeaseID{"l-1"}); return err },
		func(ctx ctx, l ledger.Ledger) error {
			return l.Release(ctx, "l-1", []ledger.Claim{claim(0, 3)})
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.StartAttempt(ctx, c); return err },
		func(ctx ctx, l ledger.Ledger) error {
			err := l.Intend(ctx, intent(c, 4))
			if err == nil {
				w.Kill(first) // here the first run dies
			}
			return err
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Acquire(ctx, lease("2", second)); return err },
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.Settle(ctx, "l-2", table, days(5, 8), []ledger.Commit{{Attempt: c.ID, Published: c.Set, At: at}})
			return err
		},
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.Recheck(ctx, ledger.Recheck{
				Table: table, Axis: day, Seq: 2, CheckVersion: "c2", Passing: days(0, 2), Failing: days(2, 3), Reasons: map[calendar.Partition]string{2: "low"},
				Metrics: []ledger.Metric{{Check: "t.x", Partition: 2, Value: 0.25, Weight: 3}},
			})
			return err
		},
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.Mark(ctx, ledger.Mark{Kind: ledger.MarkStale, Table: table, Axis: day, Set: days(0, 2), Reason: "so", At: at.Add(time.Hour)})
			return err
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Order(ctx, order(ledger.OrderStop)); return err },
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Order(ctx, order(ledger.OrderPause)); return err },
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Order(ctx, order(ledger.OrderResume)); return err },
		func(ctx ctx, l ledger.Ledger) error { return waits(ctx, l, "4") },
		func(ctx ctx, l ledger.Ledger) error { return waits(ctx, l, "5") },
		func(ctx ctx, l ledger.Ledger) error { return waits(ctx, l, "4") }, // a heartbeat
		func(ctx ctx, l ledger.Ledger) error { return l.Release(ctx, "l-2", nil) },
		func(ctx ctx, l ledger.Ledger) error { return waits(ctx, l, "4") }, // it is granted
		func(ctx ctx, l ledger.Ledger) error { return l.Release(ctx, "l-4", nil) },
		func(ctx ctx, l ledger.Ledger) error { return l.Release(ctx, "l-5", nil) }, // it gives up
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Order(ctx, order(ledger.OrderStopHold)); return err },
		func(ctx ctx, l ledger.Ledger) error {
			o := order(ledger.OrderUnhold)
			o.Set = days(0, 8)
			_, err := l.Order(ctx, o)
			return err
		},
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Acquire(ctx, lease3()); return err },
		func(ctx ctx, l ledger.Ledger) error {
			_, err := l.StartAttempt(ctx, attempt("3", "a-4", 0, 2))
			return err
		},
		func(ctx ctx, l ledger.Ledger) error {
			req := lease("7", second)
			req.Class, req.Preempt, req.Reason, req.Writes = ledger.ClassFix, true, "the fix", []ledger.Claim{claim(1, 3)}
			_, err := l.Acquire(ctx, req)
			return err
		},
		func(ctx ctx, l ledger.Ledger) error { return l.Release(ctx, "l-7", nil) },
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Order(ctx, order(ledger.OrderBreak)); return err },
		func(ctx ctx, l ledger.Ledger) error { _, err := l.Order(ctx, order(ledger.OrderHold)); return err },
		func(ctx ctx, l ledger.Ledger) error { return waits(ctx, l, "6") },
		func(ctx ctx, l ledger.Ledger) error {
			return l.PutRun(ctx, ledger.RunRecord{ID: "r-1", State: "done", Ended: true, Sets: []ledger.Claim{claim(0, 9)}, StartedAt: at})
		},
	}
}
