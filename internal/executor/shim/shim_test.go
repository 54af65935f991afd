//go:build unix

package shim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
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
	socket  *net.UnixConn
	reports chan Report
	out     *bufio.Reader
}

// launch starts a shim; the test speaks to it.
func launch(t *testing.T) *shimmed {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	ours, its := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "its")
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	// A shim that does not do what it is told ends all the same, and its command with it.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	c := &shimmed{Cmd: exec.CommandContext(ctx, self, Word), socket: conn.(*net.UnixConn), reports: make(chan Report, 100)}
	c.ExtraFiles = []*os.File{its}
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{ours, its} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer close(c.reports)
		Read(c.socket, func(r Report) { c.reports <- r })
	}()
	t.Cleanup(func() { _ = c.socket.Close() })
	return c
}

// run has it run a command, whose output the test reads.
func (c *shimmed) run(t *testing.T, s Settings) {
	t.Helper()
	c.prepare(t, s)
	if _, err := c.socket.Write([]byte(OrderGo)); err != nil {
		t.Fatal(err)
	}
}

// prepare tells it of a command, which is not to start yet.
func (c *shimmed) prepare(t *testing.T, s Settings) {
	t.Helper()
	if s.Env == nil {
		s.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	}
	order, err := s.Order()
	if err != nil {
		t.Fatal(err)
	}
	in, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inW.WriteString("line\n"); err != nil {
		t.Fatal(err)
	}
	out, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.socket.WriteMsgUnix(order, syscall.UnixRights(int(in.Fd()), int(outW.Fd()), int(outW.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{in, inW, outW} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.out = bufio.NewReader(out)
	t.Cleanup(func() { _ = out.Close() }) // what it has left behind is not waited for
}

// begin starts a script under a shim of its own.
func begin(t *testing.T, s Settings) *shimmed {
	t.Helper()
	c := launch(t)
	c.run(t, s)
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

// end waits for the end of a command, and gives its exit code, the kinds of the reports between the first, which is that it has started,
// and the last, which is that it is over, and what the script has written meanwhile.
func (c *shimmed) end(t *testing.T) (code int, kinds []Kind, out string) {
	t.Helper()
	text, err := io.ReadAll(c.out)
	if err != nil {
		t.Fatal(err)
	}
	for r := range c.reports {
		switch r.Kind {
		case Ready, Started:
		case Over:
			return r.N, kinds, string(text)
		default:
			kinds = append(kinds, r.Kind)
		}
	}
	t.Fatalf("the shim has ended after %v", kinds)
	return 0, nil, ""
}

// gone waits for the end of a shim that nobody speaks to any more.
func (c *shimmed) gone(t *testing.T) {
	t.Helper()
	if err := c.Wait(); err != nil {
		t.Errorf("the shim: %v", err)
	}
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

// TestOneAfterTheOther: a shim runs as many commands as it is told to; orders that come too late mean nothing to the next; and it ends when
// nobody speaks to it any more.
func TestOneAfterTheOther(t *testing.T) {
	c := launch(t)
	for i := range 3 {
		s := script(fmt.Sprintf("echo %d; exit %[1]d", i))
		if i == 1 {
			s.Until = 1 // of a lease that is over: what comes next has another
		}
		c.run(t, s)
		code, kinds, out := c.end(t)
		want, wanted, said := i, Exit, fmt.Sprintln(i)
		if i == 1 {
			want, wanted, said = 126, Deadline, ""
		}
		if code != want || !slices.Equal(kinds, []Kind{wanted}) || out != said {
			t.Errorf("command %d: exit %d after %v: %q", i, code, kinds, out)
		}
		for _, late := range []string{OrderStop, OrderKill, OrderUntil(1)} {
			if _, err := c.socket.Write([]byte(late)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.socket.Close(); err != nil {
		t.Fatal(err)
	}
	c.gone(t)
}

// TestUnder: a shim that waits for a command is no command.
func TestUnder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it cannot be told here: Under says so")
	}
	c := launch(t)
	c.run(t, script("exit 0"))
	c.end(t)
	if Under(os.Getpid()) {
		t.Error("a command runs while the shim waits")
	}
	c.run(t, script("echo ready; exec sleep 1000"))
	c.ready(t)
	if !Under(os.Getpid()) {
		t.Error("no command runs while one does")
	}
	if _, err := c.socket.Write([]byte(OrderKill)); err != nil {
		t.Fatal(err)
	}
	c.end(t)
	if Under(os.Getpid()) {
		t.Error("a command runs after its end")
	}
}

// TestOrderOfSettings: what the shim is told comes out as it went in.
func TestOrderOfSettings(t *testing.T) {
	in := Settings{Until: 1, Grace: 2, Drain: 3, Dir: "/d", Path: "/p", Args: []string{"", "-x", "a\nb", "--", Word}, Env: []string{"A=b", "B=\xff"}}
	text, err := in.Order()
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	out, err := settingsOf(rest)
	if err != nil || fmt.Sprintf("%q", out) != fmt.Sprintf("%q", in) || first != fmt.Sprintf("run %d", len(rest)) {
		t.Errorf("got %s %q, %v", first, out, err)
	}
	for _, bad := range []string{"", "1\x002\x003\x00/d\x00/p\x000", "1\x00x\x003\x00/d\x00/p\x001\x00p", "1\x002\x003\x00/d\x00/p\x002\x00p"} {
		if _, err := settingsOf(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	in.Args[0] = "a\x00b"
	if _, err := in.Order(); err == nil {
		t.Error("a zero byte is accepted")
	}
}

// TestPassesThrough: the streams, the arguments, the variables and the folder are the command's; what the shim has open is not.
func TestPassesThrough(t *testing.T) {
	s := script(`read line; echo "$0 $1 $line $MARK $PWD"; echo err >&2; for f in 3 4 5 6 7 8 9; do if [ -e /dev/fd/$f ]; then echo $f; fi; done`)
	s.Args = append(s.Args, "zero", "one")
	s.Dir, s.Env = "/", []string{"MARK=mark", "PATH=/bin:/usr/bin"}
	c := begin(t, s)
	code, _, out := c.end(t)
	want := "zero one line mark /\nerr\n"
	if code != 0 || out != want {
		t.Errorf("exit %d: got %q, want %q", code, out, want)
	}
}

// TestNothingBeforeGo: without the word nothing is started; the next command may come.
func TestNothingBeforeGo(t *testing.T) {
	c := launch(t)
	c.prepare(t, script("echo started"))
	if _, err := c.socket.Write([]byte(OrderStop)); err != nil {
		t.Fatal(err)
	}
	if code, kinds, out := c.end(t); code != 126 || len(kinds) > 0 || out != "" {
		t.Errorf("exit %d after %v: %q", code, kinds, out)
	}
	c.run(t, script("echo started"))
	if code, _, out := c.end(t); code != 0 || out != "started\n" {
		t.Errorf("exit %d: %q", code, out)
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
	out = strings.ReplaceAll(out, "Terminated\n", "") // what some shells say of the sleep
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
			if _, err := c.socket.Write([]byte(order)); err != nil {
				t.Fatal(err)
			}
		}
		if len(tt.orders) == 0 {
			_ = c.socket.CloseWrite()
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
