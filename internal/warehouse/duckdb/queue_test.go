package duckdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// TestQueueAgainstAList: places are had in the order in which they were taken, and who only reads shares.
func TestQueueAgainstAList(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var queue []*place
		defer func() {
			for _, p := range queue {
				p.leave()
			}
		}()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if len(queue) > 0 && rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				i := rapid.IntRange(0, len(queue)-1).Draw(t, "who")
				queue[i].leave()
				queue = append(queue[:i], queue[i+1:]...)
			} else {
				p, err := takePlace(path, rapid.Bool().Draw(t, "shared"))
				if err != nil {
					t.Fatal(err)
				}
				queue = append(queue, p)
			}
			for i, p := range queue {
				alone := func(others []*place) bool {
					for _, o := range others {
						if !p.shared || !o.shared {
							return false
						}
					}
					return true
				}
				first, err1 := p.first()
				wanted, err2 := p.wanted()
				if err := errors.Join(err1, err2); err != nil || first != alone(queue[:i]) || first && wanted == alone(queue[i+1:]) {
					t.Fatalf("place %d of %d: first %v, wanted %v, %v", i, len(queue), first, wanted, err)
				}
			}
		}
	})
}

// TestAPlaceThatComesTooLate: between looking for the end of the queue and taking the place there, somebody has come and has the turn.
func TestAPlaceThatComesTooLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	take := func() *place {
		p, err := takePlace(path, false)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	holder, late := take(), take()
	late.leave()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	late = &place{f: f}
	defer late.leave()
	at, err := late.end()
	if err != nil {
		t.Fatal(err)
	}
	gone, lucky := take(), take()
	defer lucky.leave()
	gone.leave()
	holder.leave()
	if first, err := lucky.first(); !first || err != nil {
		t.Fatalf("first %v, %v", first, err)
	}
	if ok, err := late.lock(at); ok || err != nil {
		t.Errorf("taken %v, %v: two have the turn", ok, err)
	}
	if wanted, err := lucky.wanted(); wanted || err != nil {
		t.Errorf("wanted %v, %v: the place was not given back", wanted, err)
	}
}

// waiting is how many places of the queue for a file are taken.
func waiting(t *testing.T, w *Warehouse) int {
	t.Helper()
	look, err := takePlace(w.path+turnFileName, false)
	if err != nil {
		t.Fatal(err)
	}
	defer look.leave()
	ahead, err := look.ahead()
	if err != nil {
		t.Fatal(err)
	}
	return len(ahead)
}

// TestTurnsGoRound: engines that want the file again and again have it in a fixed order, each as often as the others. What one has staged
// in memory is there in its next turn.
func TestTurnsGoRound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "round.duckdb")
	const engines, rounds = 3, 4
	var order []int // written by who has the turn; what keeps them apart is nothing that the race detector knows of
	var mu sync.Mutex
	turns := func() int { mu.Lock(); defer mu.Unlock(); return len(order) }
	var all sync.WaitGroup
	for i := range engines {
		w := openAt(t, path, Options{OpenWait: time.Minute, Threads: 1})
		w.turn.every = time.Millisecond
		all.Go(func() {
			target := tableOf(fmt.Sprintf("t%d", i))
			stage := (*warehouse.Stage)(nil)
			for round := range rounds {
				end, err := w.Turn(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				if round == 0 {
					stage, err = w.Stage(t.Context(), warehouse.StageRequest{
						Target: target, Set: calendar.Of(monday), Attempt: "a", Query: "select date '2024-01-01' as d, 1 as v",
					})
				} else {
					var n int
					err = w.use(t.Context(), "count", func(c *conn) error {
						return c.c.QueryRowContext(t.Context(), "SELECT count(*) FROM "+stage.Relation).Scan(&n)
					})
					if n != 1 && err == nil {
						err = fmt.Errorf("%d rows are staged", n)
					}
				}
				if err != nil {
					t.Errorf("engine %d, round %d: %v", i, round, err)
				}
				for turns() == 1 && waiting(t, w) < engines {
					runtime.Gosched()
				}
				for round+1 < rounds && !asked(w) { // all others have as many rounds to go, and wait
					runtime.Gosched()
				}
				end()
			}
		})
	}
	all.Wait()
	for i := engines; i < len(order); i++ {
		if order[i] != order[i-engines] {
			t.Fatalf("the turns went %v", order)
		}
	}
	if len(order) != engines*rounds {
		t.Errorf("%d turns", len(order))
	}
}

func asked(w *Warehouse) bool {
	w.turn.mu.Lock()
	defer w.turn.mu.Unlock()
	return w.turn.asked
}

// TestTurnsOfOneProcessOverlap: what is part of a turn under way goes on though somebody else waits; what would begin another waits behind.
func TestTurnsOfOneProcessOverlap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overlap.duckdb")
	w, other := openAt(t, path, Options{OpenWait: time.Minute}), openAt(t, path, Options{OpenWait: time.Minute})
	w.turn.every = time.Millisecond
	end1, err1 := w.Turn(t.Context())
	end2, err2 := w.Turn(t.Context())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 2)
	var both sync.WaitGroup
	both.Go(func() {
		end, err := other.Turn(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		order <- "other"
		end()
	})
	for !asked(w) {
		runtime.Gosched()
	}
	both.Go(func() {
		end, err := w.Turn(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		order <- "w again"
		end()
	})
	end1()
	end1() // a no-op
	fence := warehouse.Fence{Table: "t", Set: calendar.Of(monday), Token: 1}
	if err := w.Raise(t.Context(), fence); err != nil {
		t.Error(err)
	}
	if err := w.Lend(t.Context(), func(context.Context) error { // it stays our turn
		if n := waiting(t, w); n != 2 {
			t.Errorf("%d places are taken while the file is lent, want ours and the other's", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if len(order) > 0 {
		t.Errorf("%s had a turn within ours", <-order)
	}
	end2()
	both.Wait()
	if one, two := <-order, <-order; one != "other" || two != "w again" {
		t.Errorf("first %s, then %s", one, two)
	}
}

// TestWhoIsIdleGivesTheFileUp: an engine that nobody uses has the file open only until somebody else wants it.
func TestWhoIsIdleGivesTheFileUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "idle.duckdb")
	w, other := openAt(t, path, Options{}), openAt(t, path, Options{OpenWait: time.Minute})
	w.turn.every = time.Millisecond
	fence := warehouse.Fence{Table: "t", Set: calendar.Of(monday), Token: 1}
	if err := w.Raise(t.Context(), fence); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	if w.engine.pool == nil {
		t.Error("the file was closed though nobody wants it")
	}
	w.mu.Unlock()
	fence.Token = 2
	if err := other.Raise(t.Context(), fence); err != nil {
		t.Fatal(err)
	}
	if err := other.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	fence.Token = 1
	var fenced *warehouse.FencedError
	if err := w.Raise(t.Context(), fence); !errors.As(err, &fenced) {
		t.Errorf("error %v, want what the other has done to be seen", err)
	}
}

// TestWaitingIsTold: who waits says for whom.
func TestWaitingIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "told.duckdb")
	w := openAt(t, path, Options{})
	end, err := w.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	other := openAt(t, path, Options{OpenWait: time.Minute, Log: slog.New(slog.NewTextHandler(writeTo(said), nil))})
	other.turn.tellIn = time.Millisecond
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("told")
	go func() {
		if line := <-said; !strings.Contains(line, fmt.Sprintf("pid %d", os.Getpid())) || !strings.Contains(line, "told.duckdb") {
			t.Errorf("told %q", line)
		}
		cancel(stop)
	}()
	if _, err := other.Turn(ctx); !errors.Is(err, stop) {
		t.Errorf("error %v, want the context's cause", err)
	}
	end()
}

type writeTo chan<- string

func (w writeTo) Write(p []byte) (int, error) {
	w <- string(bytes.Clone(p))
	return len(p), nil
}

// TestNoQueue: where there can be none the database's own lock must do.
func TestNoQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.duckdb")
	if err := os.Mkdir(path+turnFileName, 0o700); err != nil {
		t.Fatal(err)
	}
	w := openAt(t, path, Options{})
	end, err := w.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if err := w.Raise(t.Context(), warehouse.Fence{Table: "t", Set: calendar.Of(monday), Token: 1}); err != nil {
		t.Error(err)
	}
}

// TestLendingKeepsTheTurn: while a command has the file nobody else who takes turns opens it.
func TestLendingKeepsTheTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lent.duckdb")
	w, other := openAt(t, path, Options{OpenWait: time.Minute}), openAt(t, path, Options{OpenWait: time.Minute})
	w.turn.every = time.Millisecond
	got := make(chan error, 1)
	err := w.Lend(t.Context(), func(context.Context) error {
		go func() {
			end, err := other.Turn(t.Context())
			if err == nil {
				end()
			}
			got <- err
		}()
		for !asked(w) && len(got) == 0 {
			runtime.Gosched()
		}
		if len(got) > 0 {
			t.Error("another had its turn while the file was lent")
		}
		return nil
	})
	if err := errors.Join(err, <-got); err != nil {
		t.Fatal(err)
	}
}
