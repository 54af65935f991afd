package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/run"
)

func chunks(n int) []run.Chunk {
	out := make([]run.Chunk, n)
	for i := range out {
		out[i] = run.Chunk{ID: i, Table: "t", Warehouse: "main", Set: calendar.Of(calendar.Partition(i))}
	}
	return out
}

func start(t testing.TB, c []run.Chunk, limits run.Limits) *run.Run {
	t.Helper()
	r, err := run.New(c, limits)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func publish(_ context.Context, c run.Chunk) run.Result { return run.Result{Published: c.Set} }

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chunks(20)
		c[19].After = []int{3}
		r := start(t, c, run.Limits{Overall: 4, Table: map[string]int{"t": 3}})
		var now, most atomic.Int32
		var events []run.Event
		began := time.Now()
		err := (&Dispatcher{}).Run(t.Context(), r, func(_ context.Context, c run.Chunk) run.Result {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second) // of the bubble: it costs nothing
			return publish(t.Context(), c)
		}, func(e run.Event) { events = append(events, e) })
		if err != nil || r.State() != run.Done {
			t.Fatalf("%s: %v", r.State(), err)
		}
		if most.Load() != 3 {
			t.Errorf("%d chunks at once, want 3", most.Load())
		}
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("20 chunks, 3 at once, took %s", took)
		}
		again := start(t, c, r.Limits())
		for _, e := range events {
			if err := again.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if again.State() != r.State() || len(events) != 41 {
			t.Errorf("%d events lead to %s", len(events), again.State())
		}
	})
}

// TestStop: nothing more starts, what runs is interrupted with the cause, and everything is accounted for.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := run.Stop{Cause: run.CauseStopped, Signal: 2, Reason: "interrupted"}
		ctx, cancel := context.WithCancelCause(t.Context())
		r := start(t, chunks(10), run.Limits{Overall: 2})
		var started atomic.Int32
		time.AfterFunc(time.Minute, func() { cancel(&dispatch.StopError{Stop: stop}) })
		err := (&Dispatcher{}).Run(ctx, r, func(ctx context.Context, c run.Chunk) run.Result {
			started.Add(1)
			if c.ID == 0 {
				return publish(ctx, c)
			}
			<-ctx.Done()
			if why, ok := errors.AsType[*dispatch.StopError](context.Cause(ctx)); !ok || why.Stop != stop {
				t.Errorf("interrupted by %v", context.Cause(ctx))
			}
			return run.Result{Stopped: c.Set}
		}, nil)
		if err != nil || r.State() != run.Stopped || r.Exit() != 130 || started.Load() != 3 {
			t.Errorf("%s, exit %d, %d started, %v", r.State(), r.Exit(), started.Load(), err)
		}
		if s := r.Summaries()[0]; s.Published.Count() != 1 || s.Stopped.Count() != 9 {
			t.Errorf("%+v", s)
		}
	})
}

// TestGrace: until the time of grace is over, chunks may come to their end by themselves.
func TestGrace(t *testing.T) {
	for name, takes := range map[string]time.Duration{"in time": 5 * time.Second, "too late": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			r := start(t, chunks(3), run.Limits{Overall: 1})
			d := &Dispatcher{Grace: func(ctx context.Context, _ run.Stop) {
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
				}
			}}
			began := time.Now()
			err := d.Run(ctx, r, func(ctx context.Context, c run.Chunk) run.Result {
				cancel()
				select {
				case <-time.After(takes):
					return publish(ctx, c)
				case <-ctx.Done():
					return run.Result{Stopped: c.Set}
				}
			}, nil)
			if err != nil || r.State() != run.Stopped {
				t.Errorf("%s: %s, %v", name, r.State(), err)
			}
			want := min(takes, 10*time.Second)
			if took := time.Since(began); took != want {
				t.Errorf("%s: took %s, want %s", name, took, want)
			}
			if got := r.Summaries()[0].Published.Count(); (got == 1) != (takes == want) {
				t.Errorf("%s: %d published", name, got)
			}
		})
	}
}

// TestStoppedBeforeItBegins: a context that has ended starts nothing.
func TestStoppedBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := start(t, chunks(3), run.Limits{Overall: 2})
	err := (&Dispatcher{}).Run(ctx, r, func(context.Context, run.Chunk) run.Result {
		t.Error("a chunk was started")
		return run.Result{}
	}, nil)
	if err != nil || r.State() != run.Stopped || r.Exit() != 143 {
		t.Errorf("%s, exit %d, %v", r.State(), r.Exit(), err)
	}
}

// TestBadWorkers: panics, ended goroutines and wrong accounts fail their chunk alone, and every goroutine ends with Run.
func TestBadWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	var log bytes.Buffer
	d := &Dispatcher{Log: slog.New(slog.NewTextHandler(&log, nil))}
	r := start(t, chunks(6), run.Limits{Overall: 3})
	err := d.Run(t.Context(), r, func(ctx context.Context, c run.Chunk) run.Result {
		switch c.ID {
		case 1:
			panic("oh no")
		case 2:
			runtime.Goexit()
		case 3:
			return run.Result{Published: calendar.Of(0, 1, 2, 3, 4, 5)}
		}
		return publish(ctx, c)
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "do not belong") {
		t.Errorf("a wrong account gives %v", err)
	}
	if r.State() != run.Partial || r.Exit() != 5 {
		t.Errorf("%s, exit %d", r.State(), r.Exit())
	}
	for id, want := range map[int]string{1: "panic: oh no", 2: "without a result", 3: "do not belong"} {
		if _, _, result, _ := r.Chunk(id); result.Failed.Count() != 1 || !strings.Contains(result.Reason, want) {
			t.Errorf("chunk %d: %+v", id, result)
		}
	}
	if !strings.Contains(log.String(), "oh no") || !strings.Contains(log.String(), "local_test.go") {
		t.Errorf("the log has no stack: %s", log.String())
	}
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); { // the last worker may still be on its way out of its last send
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestFailFast(t *testing.T) {
	r := start(t, chunks(100), run.Limits{Overall: 1, FailFast: true})
	err := (&Dispatcher{}).Run(t.Context(), r, func(ctx context.Context, c run.Chunk) run.Result {
		if c.ID == 2 {
			return run.Result{Failed: c.Set, Reason: "no"}
		}
		return publish(ctx, c)
	}, nil)
	s := r.Summaries()[0]
	if err != nil || r.State() != run.Partial || s.Published.Count() != 2 || s.Failed.Count() != 1 || s.Stopped.Count() != 97 {
		t.Errorf("%s, %+v, %v", r.State(), s, err)
	}
}

func TestRunRefusesWhatIsUnderWay(t *testing.T) {
	for name, events := range map[string][]run.Event{
		"under way": {{Kind: run.RunStarted}, {Kind: run.Started, Chunk: 0}},
		"paused":    {{Kind: run.RunStarted}, {Kind: run.RunPaused}},
	} {
		r := start(t, chunks(2), run.Limits{Overall: 1})
		for _, e := range events {
			if err := r.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := (&Dispatcher{}).Run(t.Context(), r, publish, nil); err == nil {
			t.Errorf("%s: was dispatched", name)
		}
	}
	r := start(t, nil, run.Limits{Overall: 1})
	if err := (&Dispatcher{}).Run(t.Context(), r, publish, nil); err != nil || r.State() != run.Done {
		t.Errorf("nothing to do: %s, %v", r.State(), err)
	}
}

// TestManyRace hands out many chunks with dependencies to many workers, for the race detector.
func TestManyRace(t *testing.T) {
	c := chunks(2000)
	for i := 100; i < len(c); i++ {
		c[i].Table, c[i].After = fmt.Sprint("t", i%7), []int{i - 100, i - 50}
	}
	r := start(t, c, run.Limits{Overall: 16})
	var mu sync.Mutex
	ended := map[int]bool{}
	err := (&Dispatcher{}).Run(t.Context(), r, func(ctx context.Context, c run.Chunk) run.Result {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range c.After {
			if !ended[id] {
				t.Errorf("chunk %d started before %d had ended", c.ID, id)
			}
		}
		ended[c.ID] = true
		return publish(ctx, c)
	}, nil)
	if err != nil || r.State() != run.Done || len(ended) != len(c) {
		t.Errorf("%s, %d ended, %v", r.State(), len(ended), err)
	}
}

// BenchmarkRun must stay below 20 µs a chunk at 10,000 chunks.
func BenchmarkRun(b *testing.B) {
	c := chunks(10_000)
	for b.Loop() {
		r := start(b, c, run.Limits{Overall: 8})
		if err := (&Dispatcher{}).Run(b.Context(), r, publish, func(run.Event) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(c)), "ns/chunk")
}

// TestPause: a paused run starts nothing, and goes on when it is told to; what runs comes to its end.
func TestPause(t *testing.T) {
	pauses, started := make(chan bool), make(chan int, 3)
	release := make(chan struct{})
	r := start(t, chunks(3), run.Limits{Overall: 1})
	done := make(chan error, 1)
	paused := make(chan struct{})
	go func() {
		done <- (&Dispatcher{Pauses: pauses}).Run(t.Context(), r, func(ctx context.Context, c run.Chunk) run.Result {
			started <- c.ID
			<-release
			return publish(ctx, c)
		}, func(e run.Event) {
			if e.Kind == run.RunPaused {
				close(paused)
			}
		})
	}()
	<-started
	pauses <- true
	<-paused
	release <- struct{}{} // the first ends
	pauses <- true        // said again, it is paused still
	if len(started) > 0 {
		t.Error("a paused run has started a chunk")
	}
	pauses <- false
	close(release)
	if err := <-done; err != nil || r.State() != run.Done {
		t.Errorf("%s, %v", r.State(), err)
	}
}
