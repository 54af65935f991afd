package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

var errBoom = errors.New("boom")

// Two writers have one file open and lay rows in turns, alone and many in a group, some of which fail afterwards: whatever either keeps
// from before, what the file holds is what those that did not fail have laid.
func TestWritersSeeWhatTheOtherWrote(t *testing.T) {
	fewer(t)
	path := filepath.Join(t.TempDir(), "state.db")
	writers := []*Ledger{openAt(t, path, Options{careless: true}), openAt(t, path, Options{careless: true})}
	table := 0
	rapid.Check(t, func(rt *rapid.T) {
		table++
		var want []content
		for range rapid.IntRange(1, 12).Draw(rt, "groups") {
			l := writers[rapid.IntRange(0, 1).Draw(rt, "writer")]
			var group []*job
			for range rapid.IntRange(1, 4).Draw(rt, "jobs") {
				start := calendar.Partition(rapid.IntRange(0, 300).Draw(rt, "start"))
				n := calendar.Partition(rapid.IntRange(1, 40).Draw(rt, "rows"))
				var rows []content
				for p := start; p < start+n; p++ {
					rows = append(rows, content{calendar.Single(p), rapid.Int64Range(0, 1).Draw(rt, "count"), fmt.Sprintf("a long fingerprint of %d", p)})
				}
				rows = joined(rows)
				fails := rapid.IntRange(0, 5).Draw(rt, "fails") == 0
				group = append(group, &job{ctx: t.Context(), done: make(chan struct{}), fn: func(x *tx) error {
					tab, err := x.use(fmt.Sprint(table), benchDay)
					if err == nil {
						err = lay(x, contentCodec{}, shelf{tab.id, contents}, rows, calendar.Set{}, x.touch(tab))
					}
					if err == nil && fails {
						err = errBoom
					}
					return err
				}})
				if !fails {
					want = history.Overlay(want, rows)
				}
			}
			together(t, l, group)
			for _, j := range group {
				if j.err != nil && !errors.Is(j.err, errBoom) {
					rt.Fatal(j.err)
				}
			}
		}
		var id int64
		must0(t, writers[0].read(t.Context(), func(s *session) error {
			_, err := s.first(func(r row) error { id = r.int(0); return nil }, `SELECT id FROM tables WHERE key = ?`, fmt.Sprint(table))
			return err
		}))
		if id != 0 {
			kept(t, rt, writers[0], id, want)
		}
	})
}

// together puts jobs before the writer so that they come into one group.
func together(t *testing.T, l *Ledger, group []*job) {
	t.Helper()
	release := blocked(t, l)
	for _, j := range group {
		must0(t, l.writer.put(j))
	}
	release()
	for _, j := range group {
		<-j.done
	}
}

// begun opens a file twice and starts an attempt through the first, which then remembers lease, claims and attempt.
func begun(t *testing.T) (mine, other *Ledger, a *ledger.Attempt) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	mine, other = openAt(t, path, Options{careless: true}), openAt(t, path, Options{careless: true})
	_, err := mine.Acquire(t.Context(), request(mine, "l"))
	must0(t, err)
	a, err = mine.StartAttempt(t.Context(), starting("a", 0))
	must0(t, err)
	return mine, other, a
}

func starting(id string, p calendar.Partition) ledger.AttemptRequest {
	return ledger.AttemptRequest{
		ID: ledger.AttemptID(id), Lease: "l", Run: "l", Table: "t", Set: calendar.Of(p), Version: "v1", ReadSeq: 1, At: time.Unix(9, 0),
	}
}

func intending(a *ledger.Attempt) ledger.Intent {
	in := ledger.Intent{Attempt: a.ID, Table: a.Table, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version}
	for p := range a.Set.Partitions() {
		in.Publish = append(in.Publish, ledger.Content{Partition: p, Rows: 1, Fingerprint: "f"})
	}
	return in
}

// What a writer remembers of its leases and attempts is no longer true when a lease has ended, by its own hand or another's.
func TestRightsEnd(t *testing.T) {
	for _, by := range []string{"mine", "other"} {
		t.Run("the lease is released by "+by, func(t *testing.T) {
			mine, other, a := begun(t)
			must0(t, map[string]*Ledger{"mine": mine, "other": other}[by].Release(t.Context(), "l", nil))
			if err := mine.Intend(t.Context(), intending(a)); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("an intent under a lease that has ended: %v", err)
			}
			if _, err := mine.StartAttempt(t.Context(), starting("b", 1)); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("an attempt under a lease that has ended: %v", err)
			}
		})
		t.Run("a partition is given back by "+by, func(t *testing.T) {
			mine, other, a := begun(t)
			part := []ledger.Claim{{Table: "t", Axis: benchDay, Set: calendar.Range(0, 2)}}
			must0(t, map[string]*Ledger{"mine": mine, "other": other}[by].Release(t.Context(), "l", part))
			if err := mine.Intend(t.Context(), intending(a)); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("an intent over what was given back: %v", err)
			}
			if _, err := mine.StartAttempt(t.Context(), starting("b", 1)); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("an attempt over what was given back: %v", err)
			}
			_, err := mine.StartAttempt(t.Context(), starting("c", 3))
			must0(t, err)
		})
		t.Run("the table is read by "+by, func(t *testing.T) {
			mine, other, _ := begun(t)
			_, err := map[string]*Ledger{"mine": mine, "other": other}[by].Acquire(t.Context(), ledger.LeaseRequest{
				ID: "reader", Run: "reader", Class: ledger.ClassBackfill, Holder: ThisProcess(), TTL: time.Hour,
				Reads: []ledger.Claim{{Table: "t", Axis: benchDay, Set: calendar.Range(1, 2)}},
			})
			must0(t, err)
			_, err = mine.StartAttempt(t.Context(), starting("b", 1))
			if _, ok := errors.AsType[*ledger.ConflictError](err); !ok {
				t.Errorf("an attempt over what another run reads: %v", err)
			}
		})
		t.Run("the attempt is recorded by "+by, func(t *testing.T) {
			mine, other, a := begun(t)
			must0(t, mine.Intend(t.Context(), intending(a)))
			first, err := map[string]*Ledger{"mine": mine, "other": other}[by].Record(t.Context(), ledger.Commit{Attempt: a.ID, Published: a.Set})
			must0(t, err)
			again, err := mine.Record(t.Context(), ledger.Commit{Attempt: a.ID, Published: a.Set})
			if err != nil || again != first {
				t.Errorf("recorded at %d, and again at %d, %v", first, again, err)
			}
			_, err = mine.Fail(t.Context(), ledger.Failure{Attempt: a.ID, Token: a.Token, Outcome: history.Failed})
			if !errors.Is(err, ledger.ErrLost) {
				t.Errorf("a failure after the record: %v", err)
			}
		})
	}
}

// An attempt that was begun in a transaction that came to nothing is not remembered.
func TestRightsOfAFailedGroup(t *testing.T) {
	fails := false
	path := filepath.Join(t.TempDir(), "state.db")
	l := openAt(t, path, Options{careless: true, Fault: func(when string) error {
		if fails && when == "before" {
			return errBoom
		}
		return nil
	}})
	_, err := l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
	fails = true
	if _, err := l.StartAttempt(t.Context(), starting("a", 0)); !errors.Is(err, errBoom) {
		t.Fatal(err)
	}
	fails = false
	lost := &ledger.Attempt{ID: "a", Table: "t", Set: calendar.Of(0), Token: 2, ReadSeq: 1, Version: "v1"}
	if err := l.Intend(t.Context(), intending(lost)); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("an intent of an attempt that never was: %v", err)
	}
	a, err := l.StartAttempt(t.Context(), starting("a", 0))
	must0(t, err)
	must0(t, l.Intend(t.Context(), intending(a)))
	_, err = l.Record(t.Context(), ledger.Commit{Attempt: a.ID, Published: a.Set})
	must0(t, err)
}

// Who waits comes into one group, up to its bound; a caller that is alone, and one whose company has left, does not wait for ever.
func TestGather(t *testing.T) {
	w := &writer{queue: make(chan *job, maxQueued), timer: time.NewTimer(0), cost: time.Hour}
	for range maxGroup + 2 {
		w.queue <- &job{}
	}
	if n := len(w.gather(<-w.queue)); n != maxGroup {
		t.Errorf("a group of %d", n)
	}
	if n := len(w.gather(<-w.queue)); n != 2 {
		t.Errorf("a group of %d of the 2 that are left", n)
	}
	// There were three callers: the last of them comes while it waits. (Its patience is bounded: without it, it goes on with two.)
	w.callers = 3
	w.queue <- &job{}
	w.queue <- &job{}
	if n := len(w.gather(<-w.queue)); n != 2 {
		t.Errorf("a group of %d where nobody came any more", n)
	}
	close(w.queue)
	if n := len(w.gather(&job{})); n != 1 {
		t.Errorf("a group of %d when it was closed", n)
	}
}
