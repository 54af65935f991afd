package command

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/warehouse"
)

// supervise FIFO: runs the program hang through an Executor, as a process that will be killed.
func supervise(args []string) {
	self, err := os.Executable()
	check(err)
	table := &catalog.Table{Name: "box", Axis: daily, Command: &catalog.Command{Args: []string{self, "hang", args[0]}}}
	e, err := New(table, &store{}, Options{})
	check(err)
	_, _, err = e.Produce(context.Background(), executor.Task{
		Table: table, Target: warehouse.Target{Axis: daily}, Set: calendar.Of(0), Dir: os.TempDir(), Log: os.Stdout,
	})
	check(err)
}

// TestParentKilled: when this process is killed, so that it can do nothing any more, the program dies with it.
func TestParentKilled(t *testing.T) {
	l := newLeash(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "run", l.path)
	c.Env = append(os.Environ(), helperVar+"=1", "TMPDIR="+t.TempDir())
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = c.Wait()
	l.dead(t)
}

// holder finds the process that has a file open, other than this one.
func holder(t *testing.T, path string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	t.Errorf("nobody holds %s", path)
	return 0
}
