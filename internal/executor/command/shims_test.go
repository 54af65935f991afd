//go:build unix

package command

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/headway-data/headway/internal/executor/shim"
)

// TestShimsAreUsedAgain: a shim runs one command after the other; one that somebody has killed meanwhile is replaced, and nobody is told.
func TestShimsAreUsedAgain(t *testing.T) {
	pool := NewShims(shim.Self())
	defer pool.Close()
	pool.Warm()
	pool.Warm()
	run := func() {
		t.Helper()
		if _, _, log, err := produce(t, &store{}, task(t, set(5), "echo", "said"), Options{Shims: pool}); err != nil || log != "said\n" {
			t.Errorf("log %q, %v", log, err)
		}
	}
	run()
	if len(pool.idle) != 1 {
		t.Fatalf("%d shims wait, want the one that has run the command", len(pool.idle))
	}
	first := pool.idle[0]
	run()
	if len(pool.idle) != 1 || pool.idle[0] != first {
		t.Error("the second command did not run under the shim of the first")
	}
	pid := first.pid
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range first.reports {
	}
	run()
	if len(pool.idle) != 1 || pool.idle[0] == first {
		t.Error("no other has taken the place of a shim that was killed")
	}
	last := pool.idle[0]
	pool.Close()
	if err := syscall.Kill(last.pid, 0); err != syscall.ESRCH {
		t.Errorf("the shim %d is left: %v", last.pid, err)
	}
}

// TestShimsAtOnce: commands that run at the same time have shims of their own, and of those that wait there are not too many.
func TestShimsAtOnce(t *testing.T) {
	pool := NewShims(shim.Self())
	defer pool.Close()
	var wg sync.WaitGroup
	for range 2 * maxIdle {
		wg.Go(func() {
			one := task(t, set(5), "both")
			if _, _, log, err := produce(t, &store{}, one, Options{Shims: pool}); err != nil || strings.Count(log, "\n") != 401 {
				t.Errorf("log %q, %v", log, err)
			}
		})
	}
	wg.Wait()
	if n := len(pool.idle); n > maxIdle {
		t.Errorf("%d shims wait, want at most %d", n, maxIdle)
	}
}
