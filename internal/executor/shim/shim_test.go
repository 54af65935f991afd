//go:build unix

package shim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/bootclock"
)

func TestMain(m *testing.M) {
	if Asked(os.Args) {
		os.Exit(Main(os.Args))
	}
	os.Exit(m.Run())
}

// A shimmed is a shell's script under a shim.
type shimmed struct {
	*exec.Cmd
	orders  *os.File
	reports chan Report
	out     *bufio.Reader
}

// begin starts a script; the test speaks to its shim.
func begin(t *testing.T, s Settings) *shimmed {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ordersR, ordersW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reportsR, reportsW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// A shim that does not do what it is told ends all the same, and its command with it.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	c := &shimmed{Cmd: exec.CommandContext(ctx, self, s.Arguments()...), orders: ordersW, reports: make(chan Report, 100)}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out, c.ExtraFiles = bufio.NewReader(out), []*os.File{ordersR, reportsW}
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{ordersR, reportsW} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer close(c.reports)
		Read(reportsR, func(r Report) { c.reports <- r })
		_ = reportsR.Close()
	}()
	t.Cleanup(func() { _ = ordersW.Close() })
	context.AfterFunc(ctx, func() { _ = out.Close() }) // what it has left behind is not waited for
	return c
}

// script is how a shell runs a text.
func script(text string) Settings {
	return Settings{Grace: time.Minute, Drain: time.Minute, Path: "/bin/sh", Args: []string{"sh", "-c", text}}
}

// ready waits until the script says that it is.
func (c *shimmed) ready(t *testing.T) {
	t.Helper()
	if line, err := c.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
}

// end waits for the shim's end, and gives its exit code, the kinds of its reports after the first, which is that it has started, and what the
// script has written meanwhile.
func (c *shimmed) end(t *testing.T) (code int, kinds []Kind, out string) {
	t.Helper()
	text, err := io.ReadAll(c.out)
	if err != nil {
		t.Fatal(err)
	}
	for r := range c.reports {
		if r.Kind != Started {
			kinds = append(kinds, r.Kind)
		}
	}
	if err := c.Wait(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatal(err)
		}
		return exit.ExitCode(), kinds, string(text)
	}
	return 0, kinds, string(text)
}

func TestExitCodes(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		settings Settings
		code     int
		last     Kind
	}{
		{script("exit 0"), 0, Exit},
		{script("exit 3"), 3, Exit},
		{script("exit 255"), 255, Exit},
		{script("kill -TERM $$"), 128 + 15, Exit},
		{script("kill -KILL $$"), 128 + 9, Exit},
		{Settings{Path: "/none/such", Args: []string{"such"}}, 127, Refused},
		{Settings{Path: file, Args: []string{"file"}}, 126, Refused},
		{Settings{Path: self, Args: []string{"self"}, Until: 1}, 126, Deadline},
	} {
		code, kinds, _ := begin(t, tt.settings).end(t)
		if n := len(kinds); code != tt.code || n == 0 || kinds[n-1] != tt.last {
			t.Errorf("%s %q: exit %d after %v, want %d, %s", tt.settings.Path, tt.settings.Args, code, kinds, tt.code, tt.last)
		}
	}
}

// TestArguments: what the shim is started with comes out as it went in.
func TestArguments(t *testing.T) {
	in := Settings{Until: 1, Grace: 2, Drain: 3, Path: "/p", Args: []string{"", "-x", "a b", "--", Word}}
	out, err := settingsOf(in.Arguments())
	if err != nil || fmt.Sprintf("%q", out) != fmt.Sprintf("%q", in) {
		t.Errorf("got %q, %v", out, err)
	}
	for _, bad := range [][]string{{Word}, {Word, "1", "2", "3", "/p"}, {Word, "1", "x", "3", "/p", "p"}} {
		if _, err := settingsOf(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestPassesThrough: the streams, the arguments, the variables and the folder are the command's; the shim's pipes are not.
func TestPassesThrough(t *testing.T) {
	s := script(`read line; echo "$0 $1 $line $MARK $PWD"; echo err >&2; for f in 3 4; do if [ -e /dev/fd/$f ]; then echo $f; fi; done`)
	s.Args = append(s.Args, "zero", "one")
	c := &shimmed{}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Cmd = exec.Command(self, s.Arguments()...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // nothing was written
	defer r.Close() //nolint:errcheck // nothing was read
	c.Dir, c.Env, c.Stdin, c.ExtraFiles = "/", []string{"MARK=mark", "PATH=/bin:/usr/bin", "GORACE=atexit_sleep_ms=0"}, strings.NewReader("line\n"), []*os.File{r, w}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := c.CombinedOutput()
	want := "zero one line mark /\nerr\n"
	if err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// TestSignals: INT is passed on, TERM stops the command, and nothing else that can be caught ends the shim.
func TestSignals(t *testing.T) {
	c := begin(t, script(`trap 'echo int' INT; trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 100 & wait $!; done`))
	c.ready(t)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGUSR1, syscall.SIGALRM, syscall.SIGINT} {
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	// Signals that come together may be heard in any order.
	if line, err := c.out.ReadString('\n'); line != "int\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code, kinds, out := c.end(t)
	if code != 7 || !slices.Equal(kinds, []Kind{Exit}) || out != "term\n" {
		t.Errorf("exit %d after %v: %q", code, kinds, out)
	}
}

// TestOrders: what ends a command, and what is told of it.
func TestOrders(t *testing.T) {
	for _, tt := range []struct {
		script string
		orders []string // then the pipe is closed, if there are none
		until  time.Duration
		code   int
		kinds  []Kind
	}{
		{"echo ready; exec sleep 1000", []string{OrderStop}, 0, 128 + 15, []Kind{Exit}},
		{"echo ready; exec sleep 1000", []string{OrderKill}, 0, 128 + 9, []Kind{Exit}},
		{"echo ready; exec sleep 1000", nil, 0, 128 + 9, []Kind{Exit}},
		{"echo ready; exec sleep 1000", []string{OrderUntil(1)}, 0, 128 + 15, []Kind{Deadline, Exit}},
		{"echo ready; exec sleep 1000", []string{OrderUntil(time.Duration(1) << 62), OrderStop}, time.Minute, 128 + 15, []Kind{Exit}},
		{"trap '' TERM; echo ready; exec sleep 1000", []string{OrderStop}, 0, 128 + 9, []Kind{Killing, Exit}},
		// What forgot the first word hears another.
		{`trap 'exit 0' TERM; (n=0; trap 'n=$((n+1)); [ $n -lt 2 ] || exit 0' TERM; echo ready; for i in 0 1 2 3 4 5 6 7 8 9; do sleep 4; done) & wait`, []string{OrderStop}, 0, 0, []Kind{Exit}},
	} {
		s := script(tt.script)
		if tt.until > 0 {
			s.Until = bootclock.Now() + tt.until
		}
		if slices.Contains(tt.kinds, Killing) {
			s.Grace = 20 * time.Millisecond
		}
		c := begin(t, s)
		c.ready(t)
		for _, order := range tt.orders {
			if _, err := c.orders.WriteString(order); err != nil {
				t.Fatal(err)
			}
		}
		if len(tt.orders) == 0 {
			_ = c.orders.Close()
		}
		if code, kinds, _ := c.end(t); code != tt.code || !slices.Equal(kinds, tt.kinds) {
			t.Errorf("%s, %q: exit %d after %v, want %d, %v", tt.script, tt.orders, code, kinds, tt.code, tt.kinds)
		}
	}
}

// TestDeadlineFollowsTheBootClock: a supervisor asks the clock that it was given, however long its timers slept.
func TestDeadlineFollowsTheBootClock(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Hour
	s := &supervisor{Settings: Settings{Until: now + time.Minute, Grace: time.Second}, clock: func() time.Duration { return now }, reports: w}
	s.tree.command = 1 << 30 // there is none
	if next := s.act(); next != longest || s.phase != running {
		t.Errorf("a minute before: phase %d, looks again after %s", s.phase, next)
	}
	now += time.Minute - time.Millisecond
	if next := s.act(); next != time.Millisecond || s.phase != running {
		t.Errorf("just before: phase %d, looks again after %s", s.phase, next)
	}
	now += time.Hour // the machine slept
	if s.act(); s.phase != stopping {
		t.Errorf("after: phase %d", s.phase)
	}
	now += time.Second
	if s.act(); s.phase != killing {
		t.Errorf("after the time of grace: phase %d", s.phase)
	}
	_ = w.Close()
	var kinds []Kind
	Read(r, func(r Report) { kinds = append(kinds, r.Kind) })
	if !slices.Equal(kinds, []Kind{Deadline, Killing}) {
		t.Errorf("told %v", kinds)
	}
}
