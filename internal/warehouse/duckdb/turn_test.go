package duckdb_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// turnsEach is how many turns each of several processes takes, and turnRows what each writes in one: enough to last a while.
const (
	turnsEach = 40
	turnRows  = 20_000
)

// takeTurns publishes a partition in each of many turns, to a table of its own, and writes down when each began and ended. The argument is
// the file, and a name.
func takeTurns(arg string) int {
	path, name, _ := strings.Cut(arg, " ")
	ctx := context.Background()
	w, err := duckdb.Open(ctx, path, duckdb.Options{OpenWait: time.Minute, Threads: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	log, err := os.OpenFile(path+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = waitForAll(ctx, w)
	}
	for i := 0; i < turnsEach && err == nil; i++ {
		err = oneTurn(ctx, w, log, name, i)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return 1
	}
	return 0
}

// waitForAll says that the process is there, and waits until its input ends: then all are.
func waitForAll(ctx context.Context, w *duckdb.Warehouse) error {
	if _, err := w.Markers(ctx, "t", calendar.Of(1)); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	_ = err // its end is what is waited for
	return nil
}

func oneTurn(ctx context.Context, w *duckdb.Warehouse, log *os.File, name string, i int) error {
	end, err := w.Turn(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := fmt.Fprintf(log, "+%s %d\n", name, i); err != nil {
		return err
	}
	target := fullTarget
	target.Table, target.Relation = name, name
	day := calendar.Of(19723 + calendar.Partition(i))
	if err := w.Raise(ctx, warehouse.Fence{Table: name, Set: day, Token: 1}); err != nil {
		return err
	}
	stage, err := w.Stage(ctx, warehouse.StageRequest{
		Target: target, Set: day, Attempt: fmt.Sprint(i),
		Query: fmt.Sprintf("select date '2024-01-01' + %d as d, md5(i::varchar) as v from range(%d) as t(i)", i, turnRows),
	})
	if err != nil {
		return err
	}
	_, err = w.Publish(ctx, warehouse.Publication{Target: target, Stage: stage, Set: day, Token: 1, Attempt: fmt.Sprint(i), At: time.Unix(0, 0)})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "-%s %d\n", name, i)
	return errors.Join(err, w.Discard(ctx, stage))
}

// TestProcessesTakeTurns: several processes that want the file for long get it by turns, one at a time, and all come to their end.
func TestProcessesTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared.duckdb")
	names := []string{"a", "b", "c"}
	var all []*exec.Cmd
	gates := make([]func() error, 0, len(names))
	for _, name := range names {
		cmd := play(t, "turns", path+" "+name)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("%s: %q, %v", name, line, err)
		}
		all, gates = append(all, cmd), append(gates, in.Close)
	}
	for _, open := range gates {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s: %v", names[i], err)
		}
	}
	text, err := os.ReadFile(path + ".log")
	if err != nil {
		t.Fatal(err)
	}
	// Whoever began has ended before anybody else begins; and nobody has several turns' worth before others have had theirs.
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	changes, last := map[string]int{}, ""
	for i := 0; i < len(lines); i += 2 {
		if i+1 >= len(lines) || lines[i][0] != '+' || lines[i+1] != "-"+lines[i][1:] {
			t.Fatalf("line %d: %q is not followed by its end:\n%s", i, lines[i], text)
		}
		name, _, _ := strings.Cut(lines[i][1:], " ")
		if name != last {
			changes[name]++
		}
		last = name
	}
	if len(lines) != 2*len(names)*turnsEach {
		t.Errorf("%d lines", len(lines))
	}
	const several = 3
	for _, name := range names {
		if changes[name] < several {
			t.Errorf("%s had %d turns:\n%s", name, changes[name], text)
		}
	}
	t.Logf("turns: %v", changes)
	w := openFile(t, path)
	for _, name := range names {
		target := fullTarget
		target.Table, target.Relation = name, name
		if found, err := w.Contents(t.Context(), target, calendar.All()); err != nil || len(found) != turnsEach {
			t.Errorf("%s: %d partitions, %v", name, len(found), err)
		}
	}
}

// grab keeps its turn with a file, and the file open, until it is killed.
func grab(path string) int {
	ctx := context.Background()
	w, err := duckdb.Open(ctx, path, duckdb.Options{OpenWait: time.Minute})
	if err == nil {
		_, err = w.Turn(ctx)
	}
	if err == nil {
		_, err = w.Claim(ctx, warehouse.Ledger{ID: "grabber"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("grabbed")
	select {}
}

// TestAKilledHolderBlocksNobody: while it lives, who waits is told who it is; when it is killed, the next has its turn at once.
func TestAKilledHolderBlocksNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grabbed.duckdb")
	cmd := play(t, "grab", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "grabbed\n" {
		t.Fatalf("%q, %v", line, err)
	}
	impatient, err := duckdb.Open(t.Context(), path, duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = impatient.Claim(t.Context(), warehouse.Ledger{ID: "l"})
	var locked *warehouse.LockedError
	if !errors.As(err, &locked) || !strings.Contains(locked.Holder, fmt.Sprintf("pid %d, %s", cmd.Process.Pid, os.Args[0])) {
		t.Errorf("error %v, want one that names process %d and its command", err, cmd.Process.Pid)
	}
	var log bytes.Buffer
	w, err := duckdb.Open(t.Context(), path, duckdb.Options{OpenWait: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // the limit for others does not end it: the context does
	if _, err = w.Turn(brief); !errors.As(err, &locked) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(locked.Holder, "pid ") {
		t.Errorf("error %v, want a LockedError that says why the wait has ended", err)
	}
	cancel()
	got := make(chan error, 1)
	go func() {
		_, err := w.Claim(t.Context(), warehouse.Ledger{ID: "grabber"})
		got <- err
	}()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), impatient.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestAStoppedHolderIsPassed: a process that was stopped has no turn; others go on, if it does not have the file itself open. When it goes
// on, it has its turn again.
func TestAStoppedHolderIsPassed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stopped.duckdb")
	cmd := play(t, "lend", path)
	in, err1 := cmd.StdinPipe()
	pipe, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "lent\n" {
		t.Fatalf("%q, %v", line, err)
	}
	w, err := duckdb.Open(t.Context(), path, duckdb.Options{OpenWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := w.Claim(t.Context(), warehouse.Ledger{ID: "l"})
		got <- err
	}()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if line, err := out.ReadString('\n'); line != "had it again\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := errors.Join(cmd.Wait(), w.Close()); err != nil {
		t.Error(err)
	}
}

// lend lends the file until its input ends, and uses it again then.
func lend(path string) int {
	ctx := context.Background()
	w, err := duckdb.Open(ctx, path, duckdb.Options{OpenWait: time.Minute})
	if err == nil {
		err = w.Lend(ctx, func(context.Context) error {
			fmt.Println("lent")
			_, err := bufio.NewReader(os.Stdin).ReadString('\n')
			_ = err // its end is what is waited for
			return nil
		})
	}
	if err == nil {
		_, err = w.Claim(ctx, warehouse.Ledger{ID: "l"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("had it again")
	if w.Close() != nil {
		return 1
	}
	return 0
}
