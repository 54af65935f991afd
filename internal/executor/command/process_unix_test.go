//go:build unix && !linux

package command

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervise and chain are for tests of what only Linux promises.
func supervise([]string) {}

func chain([]string) {}

// TestRunaway: a descendant with a session of its own escapes, but is not waited for.
func TestRunaway(t *testing.T) {
	l := newLeash(t)
	one := task(t, set(5), "runaway", l.path, "graceful")
	_, _, log, err := produce(t, &store{}, one, Options{Drain: 20 * time.Millisecond})
	if err != nil || !strings.Contains(log, "still holds its output") {
		t.Errorf("log %q, %v", log, err)
	}
	// It has lost its output, and dies when it is told to: find it by what it holds.
	out, err := exec.Command("pgrep", "-f", "graceful-quiet "+l.path).Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	l.dead(t)
}
