package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// contend takes ranges of ten days that overlap one another, holds each for a moment, and gives it back. It reports how often it got one.
// Who has a range says so in taken, by day, and finds nobody there.
func contend(l *Ledger, name string, rounds int, taken *[10]atomic.Int64) (int, error) {
	ctx := context.Background()
	got := 0
	for i := range rounds {
		start := calendar.Partition((i*7 + len(name)) % 8)
		id := ledger.LeaseID(fmt.Sprintf("%s-%d", name, i))
		lease, err := l.Acquire(ctx, ledger.LeaseRequest{
			ID: id, Run: ledger.RunID(id), Class: ledger.ClassBackfill, Holder: ThisProcess(), TTL: time.Hour,
			Writes: []ledger.Claim{{Table: "t", Axis: benchDay, Set: calendar.Range(start, start+3)}},
		})
		if _, ok := errors.AsType[*ledger.ConflictError](err); ok {
			continue
		}
		if err != nil {
			return got, err
		}
		got++
		for d := start; d < start+3 && taken != nil; d++ {
			if !taken[d].CompareAndSwap(0, int64(lease.Tokens["t"])) {
				return got, fmt.Errorf("day %d is held twice", d)
			}
		}
		for d := start; d < start+3 && taken != nil; d++ {
			taken[d].Store(0)
		}
		if err := l.Release(ctx, id, nil); err != nil {
			return got, err
		}
	}
	return got, nil
}

func TestAcquireRacedByGoroutines(t *testing.T) {
	l, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), Options{careless: true})
	must0(t, err)
	defer l.Close() //nolint:errcheck // of no interest here
	var taken [10]atomic.Int64
	var wg sync.WaitGroup
	var total atomic.Int64
	for g := range 16 {
		wg.Go(func() {
			n, err := contend(l, strings.Repeat("x", g+1), 100, &taken)
			total.Add(int64(n))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if total.Load() == 0 {
		t.Error("nobody ever got a lease")
	}
}

// Four processes race for leases on one file; the trigger and the tokens, which never repeat, tell whether two held the same day.
func TestAcquireRacedByProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if from := os.Getenv("HEADWAY_RACE"); from != "" {
		race(t, from)
		return
	}
	l := openAt(t, path, Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestAcquireRacedByProcesses$")
			cmd.Env = append(os.Environ(), fmt.Sprintf("HEADWAY_RACE=%s@%d", path, i))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	var granted, tokens int64
	must0(t, l.write(t.Context(), func(x *tx) error {
		_, err := x.first(func(r row) error { granted = r.int(0); return nil }, `SELECT count(*) FROM lease`)
		if err != nil {
			return err
		}
		_, err = x.first(func(r row) error { tokens = r.int(0); return nil }, `SELECT token FROM tables`)
		return err
	}))
	if granted == 0 || granted != tokens {
		t.Errorf("%d leases were granted with %d tokens", granted, tokens)
	}
}

func race(t *testing.T, from string) {
	path, name, _ := strings.Cut(from, "@")
	l := openAt(t, path, Options{})
	// Who asks only while another holds, and is not scheduled while it does not, is refused each time; nobody is for ever.
	n := 0
	for i := 0; i < 100 && n == 0; i++ {
		var err error
		n, err = contend(l, fmt.Sprintf("p%s.%d", name, i), 60, nil)
		must0(t, err)
	}
	if n == 0 {
		t.Error("this process starved")
	}
}

// blocked holds the writer back until release is called, so that what is asked meanwhile comes into one group.
func blocked(t *testing.T, l *Ledger) (release func()) {
	t.Helper()
	started, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- l.write(context.Background(), func(*tx) error { close(started); <-gate; return nil })
	}()
	<-started
	return func() { close(gate); must0(t, <-done) }
}

func TestAGroupRollsBackOnlyWhatFailed(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	release := blocked(t, l)
	const jobs = 20
	errs := make([]error, jobs)
	ran := make(chan struct{}, jobs)
	var wg sync.WaitGroup
	boom := errors.New("boom")
	for i := range jobs {
		wg.Go(func() {
			ran <- struct{}{}
			errs[i] = l.write(context.Background(), func(x *tx) error {
				tab, err := x.use(fmt.Sprintf("t%d", i), benchDay)
				if err != nil {
					return err
				}
				x.draw(tab)
				x.touch(tab)
				if i%3 == 0 {
					return boom
				}
				return nil
			})
		})
	}
	for range jobs {
		<-ran
	}
	for len(l.writer.queue) < jobs {
		time.Sleep(time.Millisecond) // until all of them wait
	}
	release()
	wg.Wait()
	keys := make([]string, jobs)
	for i := range keys {
		keys[i] = fmt.Sprintf("t%d", i)
	}
	failed := 0
	for i, err := range errs {
		if (i%3 == 0) != errors.Is(err, boom) {
			t.Errorf("job %d: %v", i, err)
		}
		if err != nil {
			failed++
		}
	}
	var tables int64
	must0(t, l.read(t.Context(), func(s *session) error {
		_, err := s.first(func(r row) error { tables = r.int(0); return nil }, `SELECT count(*) FROM tables WHERE token = 1`)
		return err
	}))
	head, err := l.Head(t.Context())
	if err != nil || int(tables) != jobs-failed || head != history.Seq(1+jobs-failed) {
		t.Errorf("%d tables and clock %d after %d failures of %d, %v", tables, head, failed, jobs, err)
	}
}

func TestAPanicIsTheCallers(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	func() {
		defer func() {
			if p := recover(); p != "oops" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = l.write(t.Context(), func(x *tx) error {
			if _, err := x.use("t", benchDay); err != nil {
				return err
			}
			panic("oops")
		})
		t.Error("the panic was swallowed")
	}()
	_, err := l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
	if head, err := l.Head(t.Context()); err != nil || head != 2 {
		t.Errorf("clock %d, %v", head, err)
	}
}

func TestCloseWaitsAndThenRefuses(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	release := blocked(t, l)
	answered := make(chan error, 1)
	go func() {
		_, err := l.Acquire(context.Background(), request(l, "l"))
		answered <- err
	}()
	for len(l.writer.queue) == 0 {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	release()
	must0(t, <-answered)
	must0(t, <-closed)
	must0(t, l.Close())
	if _, err := l.Acquire(t.Context(), request(l, "m")); err == nil {
		t.Error("a closed ledger granted a lease")
	}
	if _, err := l.Head(t.Context()); err == nil {
		t.Error("a closed ledger was read")
	}
}

func TestTheTriggerHoldsWhatTheProbeMisses(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	_, err := l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
	for _, over := range [][2]int{{0, 5}, {-3, 1}, {4, 9}, {-1, 9}, {2, 3}} {
		err := l.write(t.Context(), func(x *tx) error {
			_, err := x.exec(`INSERT INTO claim (table_id, start, end, lease_id) VALUES (1, ?, ?, 1)`, over[0], over[1])
			return err
		})
		if err == nil {
			t.Errorf("%v was claimed over [0 5)", over)
		}
	}
	for _, beside := range [][2]int{{-3, 0}, {5, 9}} {
		must0(t, l.write(t.Context(), func(x *tx) error {
			_, err := x.exec(`INSERT INTO claim (table_id, start, end, lease_id) VALUES (1, ?, ?, 1)`, beside[0], beside[1])
			return err
		}))
	}
}

// TestTheTriggersKeepHoldsAndClaimsApart whatever the code has looked at.
func TestTheTriggersKeepHoldsAndClaimsApart(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	_, err := l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
	put := func(query string, at [2]int) error {
		return l.write(t.Context(), func(x *tx) error {
			_, err := x.exec(query, at[0], at[1])
			return err
		})
	}
	const (
		hold = `INSERT INTO hold (name, table_id, start, end, since, owner, host, pid, reason) VALUES ('h', 1, ?, ?, 0, '', '', 0, '')`
		take = `INSERT INTO claim (table_id, start, end, lease_id) VALUES (1, ?, ?, 1)`
	)
	for _, over := range [][2]int{{0, 5}, {-3, 1}, {4, 9}, {-1, 9}, {2, 3}} {
		if put(hold, over) == nil {
			t.Errorf("%v was held over the claim of [0 5)", over)
		}
	}
	for _, beside := range [][2]int{{5, 9}, {7, 12}, {6, 20}} { // over one another they may be
		must0(t, put(hold, beside))
	}
	for _, over := range [][2]int{{5, 6}, {8, 10}, {19, 30}} {
		if put(take, over) == nil {
			t.Errorf("%v was claimed over the holds of [5 20)", over)
		}
	}
	must0(t, put(take, [2]int{20, 30}))
}
