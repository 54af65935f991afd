package foreign

import (
	"bufio"
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// start starts a script that says on its first line who is to be gone.
func start(t *testing.T, script string) (*exec.Cmd, []int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", "-c", script)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for word := range strings.FieldsSeq(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return c, pids
}

func yes() bool { return true }

func TestFind(t *testing.T) {
	c, _ := start(t, "echo 1; while :; do sleep 100; done")
	p, err := Find(c.Process.Pid)
	if err != nil || p.Command != "sh -c echo 1; while :; do sleep 100; done" || p.User == "" {
		t.Errorf("got %+v, %v", p, err)
	}
	_ = c.Process.Kill()
	for { // until it is a zombie
		if _, err := Find(c.Process.Pid); err != nil {
			break
		}
	}
	_ = c.Wait()
	for _, pid := range []int{0, 1, -5, c.Process.Pid} {
		if _, err := Find(pid); err == nil {
			t.Errorf("process %d was found", pid)
		}
	}
}

// TestEnd: the whole tree ends, sessions of their own, nohup and deaf ears notwithstanding.
func TestEnd(t *testing.T) {
	for name, script := range map[string]string{
		"alone":     "echo $$; exec sleep 100",
		"children":  "sleep 100 & a=$!; setsid sleep 100 & b=$!; echo $$ $a $b; wait",
		"deaf":      "trap '' TERM; (trap '' TERM; exec sleep 100) & echo $$ $!; wait; sleep 100",
		"suspended": "sleep 100 & echo $$ $!; kill -STOP $! $$; wait",
	} {
		c, pids := start(t, script)
		gone := make(chan error, 1)
		go func() { gone <- c.Wait() }()
		if err := End(t.Context(), c.Process.Pid, yes, 300*time.Millisecond); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-gone; err == nil {
			t.Errorf("%s: it ended as if nobody had ended it", name)
		}
		for _, pid := range pids {
			if s, ok := statOf(pid); ok && !s.dead {
				t.Errorf("%s: process %d lives", name, pid)
			}
		}
	}
}

func TestEndLeavesOthersAlone(t *testing.T) {
	c, _ := start(t, "echo 1; exec sleep 100")
	if err := End(t.Context(), c.Process.Pid, func() bool { return false }, time.Second); err != nil {
		t.Error(err)
	}
	if _, err := Find(c.Process.Pid); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	deaf, _ := start(t, "trap '' TERM; echo 1; while :; do sleep 1; done")
	if err := End(ctx, deaf.Process.Pid, yes, time.Minute); err == nil || !strings.Contains(err.Error(), "has not yet") {
		t.Errorf("got %v", err)
	}
	if err := End(t.Context(), 1<<30, yes, time.Second); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}
