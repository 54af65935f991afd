package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/bootclock"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/executor/shim"
	"github.com/headway-data/headway/internal/warehouse"
)

// term is for how long a lease is trusted that is renewed all the time.
const term = 2 * time.Second

// supervise PROGRAM FIFO TERM: runs a program through an Executor, as a process that will be killed or suspended. It trusts its lease for the
// term, and renews it all the time.
func supervise(args []string) {
	self, err := os.Executable()
	check(err)
	table := &catalog.Table{Name: "box", Axis: daily, Command: &catalog.Command{Args: []string{self, args[0], args[1]}}}
	e, err := New(table, &store{}, withShim(Options{Grace: 50 * time.Millisecond}))
	check(err)
	term, err := time.ParseDuration(args[2])
	check(err)
	trust := executor.NewTrust(bootclock.Now, bootclock.Now()+term)
	go func() {
		for range time.Tick(term / 10) {
			trust.Extend(bootclock.Now() + term)
		}
	}()
	_, _, err = e.Produce(context.Background(), executor.Task{
		Table: table, Target: warehouse.Target{Axis: daily}, Set: calendar.Of(0), Dir: os.TempDir(), Log: os.Stdout, Trust: trust,
	})
	check(err)
}

// chain FIFO: forks as fast as it can, each process into a session of its own, and its parent ends at once: nobody is ever there for long.
// It ends by itself in the end, or nobody could get rid of it if the shim did not.
//
//go:norace
func chain(args []string) {
	hold(args[0])
	fmt.Println("ready")
	const hops = 50_000
	for range hops {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 || pid == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
			continue
		}
		break
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
}

// marked finds the processes that have a variable in their environment: commands and their shims, and all that they started.
func marked(t *testing.T, variable string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(variable)) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// marks gives a variable that only this test's processes have, by the leash that they hold.
func marks(l *leash) string { return "HEADWAY_TEST_MARK=" + l.path }

// marking adds it to what a task's command inherits.
func marking(l *leash) []string { return append(os.Environ(), marks(l)) }

// TestTreeStopped: sessions of their own, orphans and those that do not mind TERM end with the attempt, and are gone when Produce returns.
func TestTreeStopped(t *testing.T) {
	for _, program := range []string{"family", "chain"} {
		l := newLeash(t)
		log, err := stopped(t, task(t, set(5), program, l.path), Options{Grace: 50 * time.Millisecond, Environ: marking(l)})
		if !errors.Is(err, errLost) {
			t.Errorf("%s: %v: %s", program, err, log)
		}
		if left := marked(t, marks(l)); len(left) > 0 {
			t.Errorf("%s: %v are left", program, left)
		}
		l.dead(t)
	}
}

// TestTreeLeftBehind: the same when the command ends by itself.
func TestTreeLeftBehind(t *testing.T) {
	l := newLeash(t)
	_, _, log, err := produce(t, &store{}, task(t, set(5), "familygone", l.path), Options{Drain: 20 * time.Millisecond, Environ: marking(l)})
	if err != nil || log != "headway: killing what the command has left running: processes: 3\n" {
		t.Errorf("log %q, %v", log, err)
	}
	if left := marked(t, marks(l)); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	l.dead(t)
}

// TestDeadline: a command does not outlive the trust in its lease, though this process still runs; renewals reach it.
func TestDeadline(t *testing.T) {
	for _, tt := range []struct {
		program string
		extend  time.Duration
		log     string
		err     error
	}{
		{"hang", 0, "ready\nheadway: stopping: the lease was not renewed in time\n", executor.ErrTrust},
		{"patient", time.Hour, "done\n", nil},
	} {
		l := newLeash(t)
		one := task(t, set(5), tt.program, l.path)
		now := bootclock.Now()
		one.Trust = executor.NewTrust(bootclock.Now, now+2*busy)
		if tt.program == "hang" {
			one.Trust = executor.NewTrust(bootclock.Now, now+term)
		}
		e, err := New(one.Table, &store{}, withShim(Options{Environ: marking(l)}))
		if err != nil {
			t.Fatal(err)
		}
		renewed := make(chan struct{})
		go func() {
			defer close(renewed)
			one.Trust.Extend(now + tt.extend)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, _, err = e.Produce(ctx, one)
		cancel()
		<-renewed
		if log := one.Log.(*strings.Builder).String(); !errors.Is(err, tt.err) || log != tt.log {
			t.Errorf("%s: %v, log %q, want %q", tt.program, err, log, tt.log)
		}
		if left := marked(t, marks(l)); len(left) > 0 {
			t.Errorf("%s: %v are left", tt.program, left)
		}
	}
}

// TestDeadlineOver: nothing is started under a lease that is not trusted any more.
func TestDeadlineOver(t *testing.T) {
	one := task(t, set(5), "echo", "no")
	one.Trust = executor.NewTrust(bootclock.Now, bootclock.Now())
	if _, _, log, err := produce(t, &store{}, one, Options{}); !errors.Is(err, executor.ErrTrust) || strings.Contains(log, "no\n") {
		t.Errorf("log %q, %v", log, err)
	}
}

// TestShimKilled: who kills the shim kills the command with all that it has started, whatever session or parent it has by now.
func TestShimKilled(t *testing.T) {
	for program, want := range map[string]string{
		"killshim": "that supervised it was", "killshimfamily": "that supervised it was", "killshimafter": "that supervised it was",
	} {
		l := newLeash(t)
		one := task(t, set(5), program, l.path)
		one.Attempt = filepath.Base(l.path) + program // its mark, which nobody else has
		_, _, _, err := produce(t, &store{}, one, Options{Environ: marking(l), Drain: time.Minute})
		// Whether a shim that is killed when its command has just ended could still say so is luck.
		if after := program == "killshimafter"; err == nil && !after || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", program, err)
		}
		if left := marked(t, marks(l)); len(left) > 0 {
			t.Errorf("%s: %v are left", program, left)
		}
		l.dead(t)
	}
}

// TestShimSuspended: a shim that does not hear does not keep the command from being stopped.
func TestShimSuspended(t *testing.T) {
	l := newLeash(t)
	one := task(t, set(5), "stopshimfamily", l.path)
	one.Attempt = filepath.Base(l.path)
	if log, err := stopped(t, one, Options{Grace: 50 * time.Millisecond, Environ: marking(l)}); !errors.Is(err, errLost) {
		t.Errorf("%v: %s", err, log)
	}
	if left := marked(t, marks(l)); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	l.dead(t)
}

// TestConfirm: when it is asked whether the program may start, the shim can be found by its mark; and if it may not, nothing is started.
func TestConfirm(t *testing.T) {
	one := task(t, set(5), "echo", "started")
	one.Attempt = "a-" + filepath.Base(t.TempDir()) + t.Name()
	var found []int
	one.Confirm = func(context.Context) error { found = shim.Marked(one.Attempt); return errLost }
	if _, _, log, err := produce(t, &store{}, one, Options{}); !errors.Is(err, errLost) || strings.Contains(log, "started") {
		t.Errorf("%v, log %q", err, log)
	}
	ended(t, found) // the shim is let go of, and not waited for
	if left := shim.Marked(one.Attempt); len(found) != 1 || len(left) > 0 {
		t.Errorf("%v carried the mark, want the shim alone; now %v do", found, left)
	}
}

// TestRunaway: what has a session of its own may still say its last words, too.
func TestRunaway(t *testing.T) {
	l := newLeash(t)
	if _, _, log, err := produce(t, &store{}, task(t, set(5), "runaway", l.path, "brief"), Options{Drain: time.Minute}); err != nil || log != "a last word\n" {
		t.Errorf("log %q, %v", log, err)
	}
	l.dead(t)
}

// TestParent: when this process is killed, so that it can do nothing any more, the whole tree ends; and so it does when this process is
// suspended for longer than its lease is trusted.
func TestParent(t *testing.T) {
	for _, tt := range []struct {
		signal  syscall.Signal
		program string
		term    time.Duration
	}{
		{syscall.SIGKILL, "family", time.Hour}, {syscall.SIGSTOP, "family", term}, {syscall.SIGKILL, "chain", time.Hour}, {syscall.SIGSTOP, "chain", term},
	} {
		t.Run(fmt.Sprint(tt.signal, " ", tt.program), func(t *testing.T) {
			t.Parallel()
			l := newLeash(t)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			c := exec.Command(self, "run", tt.program, l.path, tt.term.String())
			c.Env = append(marking(l), helperVar+"=1", "TMPDIR="+t.TempDir())
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
			if n := len(marked(t, marks(l))); tt.program == "family" && n != 6 {
				t.Errorf("there are %d processes, want 6: this one, the shim, the command and its three", n)
			}
			if err := c.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			l.dead(t)
			if tt.signal == syscall.SIGSTOP {
				_ = c.Process.Kill() // it could do nothing so far
			}
			_, _ = io.Copy(io.Discard, out)
			_ = c.Wait()
			ended(t, marked(t, marks(l)))
		})
	}
}

// ended waits for the end of processes: of the shim, which ends when nothing else is left.
func ended(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		const patience = 20_000 // ms
		n, err := 0, error(unix.EINTR)
		for errors.Is(err, unix.EINTR) { // Go's scheduler interrupts
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, patience)
		}
		if n != 1 {
			t.Errorf("process %d is left: %v", pid, err)
		}
		_ = unix.Close(fd)
	}
}
