package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// The table that most cases write, and its axis.
const table = "main/t"

var day = calendar.Axis{Grain: calendar.Day}

const ttl = time.Minute

// A fixture is a ledger with short words for what the cases do with it. Whatever it does must succeed unless it says so.
type fixture struct {
	*testing.T
	h     Harness
	w     *World
	l     ledger.Ledger
	ctx   context.Context //nolint:containedctx // of the test: it lives as long as the fixture
	names int
}

func newFixture(t *testing.T, h Harness) *fixture {
	f := &fixture{T: t, h: h, w: h.World(), ctx: t.Context()}
	f.reopen()
	return f
}

// reopen closes the store and opens it again.
func (f *fixture) reopen() {
	f.Helper()
	if f.l != nil {
		f.ok(f.l.Close())
	}
	f.l = f.h.Open(f.T)
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want one that is %q", err, want)
	}
}

func same[T any](f *fixture, what string, got, want T) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func (f *fixture) sets(what string, got, want calendar.Set) {
	f.Helper()
	if !got.Equal(want) {
		f.Fatalf("%s: got %v, want %v", what, got.Intervals(), want.Intervals())
	}
}

func (f *fixture) name(prefix string) string {
	f.names++
	return fmt.Sprintf("%s-%d", prefix, f.names)
}

func days(start, end calendar.Partition) calendar.Set { return calendar.Range(start, end) }

func claim(start, end calendar.Partition) ledger.Claim {
	return ledger.Claim{Table: table, Axis: day, Set: days(start, end)}
}

// request asks for days of the table, for a run of its own.
func (f *fixture) request(start, end calendar.Partition) ledger.LeaseRequest {
	return ledger.LeaseRequest{
		ID: ledger.LeaseID(f.name("l")), Run: ledger.RunID(f.name("r")), Class: ledger.ClassBackfill, Holder: f.w.Holder(),
		Writes: []ledger.Claim{claim(start, end)}, TTL: ttl, Settles: true,
	}
}

func (f *fixture) acquire(req ledger.LeaseRequest) *ledger.Lease {
	f.Helper()
	l, err := f.l.Acquire(f.ctx, req)
	f.ok(err)
	return l
}

// refused demands that a request is refused for conflicts, and gives them.
func (f *fixture) refused(req ledger.LeaseRequest) []ledger.Conflict {
	f.Helper()
	_, err := f.l.Acquire(f.ctx, req)
	var conflict *ledger.ConflictError
	if !errors.As(err, &conflict) {
		f.Fatalf("acquire gave %v, want a conflict", err)
	}
	return conflict.Conflicts
}

// attempt starts an attempt over days of the table.
func (f *fixture) attemptRequest(l *ledger.Lease, start, end calendar.Partition) ledger.AttemptRequest {
	f.Helper()
	return ledger.AttemptRequest{
		ID: ledger.AttemptID(f.name("a")), Lease: l.ID, Run: l.Run, Table: table, Set: days(start, end), Version: "v1",
		Code: ledger.VersionRecord{Version: "v1", Producer: "t", Summary: "select"}, ReadSeq: f.head(), At: f.w.Now(),
	}
}

func (f *fixture) start(req ledger.AttemptRequest) *ledger.Attempt {
	f.Helper()
	a, err := f.l.StartAttempt(f.ctx, req)
	f.ok(err)
	return a
}

func (f *fixture) attempt(l *ledger.Lease, start, end calendar.Partition) *ledger.Attempt {
	f.Helper()
	return f.start(f.attemptRequest(l, start, end))
}

// intent is to publish all of the attempt's partitions, each with ten rows.
func (f *fixture) intent(a *ledger.Attempt) ledger.Intent {
	in := ledger.Intent{
		Attempt: a.ID, Run: a.Run, Table: a.Table, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version, CheckVersion: "c1", ReadAt: f.w.Now(),
	}
	for p := range a.Set.Partitions() {
		in.Publish = append(in.Publish, ledger.Content{Partition: p, Rows: 10, Fingerprint: fmt.Sprintf("rows of %d", p)})
	}
	return in
}

func (f *fixture) intend(in ledger.Intent) {
	f.Helper()
	f.ok(f.l.Intend(f.ctx, in))
}

func (f *fixture) record(c ledger.Commit) history.Seq {
	f.Helper()
	c.At = f.w.Now()
	seq, err := f.l.Record(f.ctx, c)
	f.ok(err)
	return seq
}

// publish is an attempt from its start to its record.
func (f *fixture) publish(l *ledger.Lease, start, end calendar.Partition) *ledger.Attempt {
	f.Helper()
	a := f.attempt(l, start, end)
	f.intend(f.intent(a))
	f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
	return a
}

func (f *fixture) head() history.Seq {
	f.Helper()
	seq, err := f.l.Head(f.ctx)
	f.ok(err)
	return seq
}

func (f *fixture) snapshot() *history.Snapshot {
	f.Helper()
	s, err := f.l.Snapshot(f.ctx, []string{table})
	f.ok(err)
	return s
}

func (f *fixture) history() *history.Table {
	f.Helper()
	return f.snapshot().Table(table)
}

// at is the segment over a partition; ok is false where there is none.
func (f *fixture) at(p calendar.Partition) (history.Segment, bool) {
	f.Helper()
	for _, s := range f.history().Segments {
		if s.Contains(p) {
			return s.WithBounds(calendar.Single(p)), true
		}
	}
	return history.Segment{}, false
}

func (f *fixture) must(p calendar.Partition) history.Segment {
	f.Helper()
	s, ok := f.at(p)
	if !ok {
		f.Fatalf("nothing stands in %d", p)
	}
	return s
}

func (f *fixture) observe(o ledger.Observation) ledger.Observed {
	f.Helper()
	o.At = f.w.Now()
	out, err := f.l.Observe(f.ctx, o)
	f.ok(err)
	return out
}

func (f *fixture) attemptRecord(id ledger.AttemptID) ledger.AttemptRecord {
	f.Helper()
	found, err := f.l.Attempts(f.ctx, ledger.AttemptFilter{ID: id})
	f.ok(err)
	if len(found) != 1 {
		f.Fatalf("attempt %s is listed %d times", id, len(found))
	}
	return found[0]
}
