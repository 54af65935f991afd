//go:build unix

package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/executor"
)

// A leash is a FIFO that test programs hold while they live.
type leash struct {
	path string
	r    *os.File
}

func newLeash(t *testing.T) *leash {
	t.Helper()
	l := &leash{path: filepath.Join(t.TempDir(), "leash")}
	if err := syscall.Mkfifo(l.path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(l.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.r = f
	t.Cleanup(func() { _ = f.Close() })
	return l
}

// dead waits until nobody holds the leash any more.
func (l *leash) dead(t *testing.T) {
	t.Helper()
	if err := l.r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, l.r); err != nil {
		t.Errorf("a program still lives: %v", err)
	}
}

// stopped runs a task, ends its context when the program says that it is ready (and suspends one that says its number), and gives the log and the error.
func stopped(t *testing.T, one executor.Task, o Options) (string, error) {
	t.Helper()
	e, err := New(one.Table, &store{}, withShim(o))
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	one.Log = w
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		_, _, err := e.Produce(ctx, one)
		_ = w.Close()
		ended <- err
	}()
	var log []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line, pid, _ := strings.Cut(lines.Text(), "ready ")
		if pid != "" {
			line = "ready"
			if err := syscall.Kill(number(pid), syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
		}
		log = append(log, line)
		if line == "ready" {
			cancel(errLost)
		}
	}
	return strings.Join(log, "\n"), <-ended
}

var errLost = errors.New("the lease is lost")

func TestStopped(t *testing.T) {
	for _, tt := range []struct {
		program []string
		grace   time.Duration
		log     string
		err     string
	}{
		{[]string{"hang"}, time.Minute, "ready\nheadway: stopping: the lease is lost", ""},
		{[]string{"graceful"}, time.Minute, "ready\nheadway: stopping: the lease is lost\ntidied up\nterminated", "terminated"},
		{[]string{"stubborn"}, 50 * time.Millisecond, "ready\nheadway: stopping: the lease is lost\nheadway: killing: it has not ended within 50ms", ""},
		{[]string{"suspendable"}, time.Minute, "ready\nheadway: stopping: the lease is lost", ""},
		// A shell dies at once of TERM; what it started has the rest of the time of grace.
		{[]string{"waiter", "hang"}, time.Minute, "ready\nheadway: stopping: the lease is lost", ""},
		{[]string{"waiter", "graceful"}, time.Minute, "ready\nheadway: stopping: the lease is lost\ntidied up", ""},
	} {
		l := newLeash(t)
		args := slices.Concat(tt.program[:1], []string{l.path}, tt.program[1:])
		began := time.Now()
		log, err := stopped(t, task(t, set(5, 6), args...), Options{Grace: tt.grace})
		if !errors.Is(err, errLost) || !strings.Contains(err.Error(), "was stopped") || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%v: %v", tt.program, err)
		}
		sorted := func(s string) []string { out := strings.Split(s, "\n"); slices.Sort(out); return out }
		if !slices.Equal(sorted(log), sorted(tt.log)) { // the two streams are not in step
			t.Errorf("%v: log %q, want %q", tt.program, log, tt.log)
		}
		l.dead(t)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%v: took %s", tt.program, took)
		}
	}
}

// TestStoppedBeforeItStarts: nothing is started under a context that has ended.
func TestStoppedBeforeItStarts(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLost)
	one := task(t, set(5), "echo", "no")
	e, err := New(one.Table, &store{}, withShim(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = e.Produce(ctx, one); !errors.Is(err, errLost) {
		t.Errorf("got %v", err)
	}
	if log := one.Log.(*strings.Builder).String(); log != "" {
		t.Errorf("log %q", log)
	}
}

// TestLeftBehind: what a program leaves in its group when it ends by itself is killed, after a moment in which it may end by itself.
func TestLeftBehind(t *testing.T) {
	l := newLeash(t)
	one := task(t, set(5), "parent", l.path, "hang")
	if _, _, _, err := produce(t, &store{}, one, Options{Drain: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	l.dead(t)
	one = task(t, set(5), "parent", l.path, "brief")
	if _, _, log, err := produce(t, &store{}, one, Options{Drain: time.Minute}); err != nil || log != "a last word\n" {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestLongOutput(t *testing.T) {
	_, _, log, err := produce(t, &store{}, task(t, set(5), "long"), Options{})
	lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	if err != nil || len(lines) != 2 || lines[1] != "after" || len(lines[0]) > maxLine+100 || !strings.HasSuffix(lines[0], "is not logged]") {
		t.Errorf("%d lines, first of %d bytes, %v", len(lines), len(lines[0]), err)
	}
	_, _, log, err = produce(t, &store{}, task(t, set(5), "flood", "100000"), Options{MaxOutput: 1000})
	if len(log) > 1100 || !strings.HasSuffix(log, "headway: the output beyond 1000 bytes is not logged\n") {
		t.Errorf("%d bytes: %q", len(log), log[max(len(log)-200, 0):])
	}
	// The error tells the last words all the same, bounded.
	failed, ok := errors.AsType[*ExitError](err)
	if !ok || len(failed.Last) != 1 || len(failed.Last[0]) > maxLastLine || !strings.HasSuffix(failed.Last[0], "é…") {
		t.Errorf("got %v", err)
	}
}

// TestBothStreams: lines of the two streams are not torn, and a last line without an end counts.
func TestBothStreams(t *testing.T) {
	_, _, log, err := produce(t, &store{}, task(t, set(5), "both"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		if line == "no end of line" {
			continue
		}
		stream, n, _ := strings.Cut(line, " ")
		if n != fmt.Sprint(next[stream]) {
			t.Fatalf("line %q, want number %d", line, next[stream])
		}
		next[stream]++
	}
	if next["out"] != 200 || next["err"] != 200 || !strings.Contains(log, "no end of line\n") {
		t.Errorf("%v", next)
	}
}

// brokenLog cannot be written to.
type brokenLog struct{}

func (brokenLog) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestBrokenLog: a full disk under the log does not fail what is computed, nor block it.
func TestBrokenLog(t *testing.T) {
	for _, log := range []io.Writer{brokenLog{}, nil} {
		one := task(t, set(5), "both")
		one.Log = log
		e, err := New(one.Table, &store{}, withShim(Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = e.Produce(t.Context(), one); err != nil {
			t.Error(err)
		}
	}
}

// TestShell runs what people run: a shell by its name, found in PATH, with a pipeline of its own.
func TestShell(t *testing.T) {
	one := task(t, set(5, 6))
	one.Table.Command.Args = []string{"sh", "-c", `printf '%s\n' "$HEADWAY_FROM" "$0" | sort -r; echo >&2 "$PWD"`, "{to}"}
	_, _, log, err := produce(t, &store{}, one, Options{})
	dir, evalErr := filepath.EvalSymlinks(one.Dir)
	if evalErr != nil {
		t.Fatal(evalErr)
	}
	if err != nil || !strings.Contains(log, "2024-01-06\n2024-01-05\n") || !strings.Contains(log, dir) {
		t.Errorf("log %q, %v", log, err)
	}
}
