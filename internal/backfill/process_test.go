package backfill_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program builds the headway binary, once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "headway-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "headway")
	build := exec.Command("go", "build", "-o", path, "../../cmd/headway")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build headway: %w: %s", err, out)
	}
	return path, nil
})

// headway prepares a command of the real program in the site's folder.
func (s *site) headway(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), path, args...)
	c.Dir = s.dir
	return c
}

// exits runs the program and wants its exit code; it gives its standard output.
func (s *site) exits(t testing.TB, code int, args ...string) string {
	t.Helper()
	c := s.headway(t, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if got := exitOf(err); got != code {
		t.Fatalf("headway %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String()
}

func exitOf(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -2
	}
	return 0
}

// TestStatusWhileAnotherHasTheFile: a run may take hours; how it stands can be asked all the same, from what was seen last.
func TestStatusWhileAnotherHasTheFile(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "data/orders_a.csv", "o2024-03-05-1,", "x2024-03-05-1,")
	db := s.database(t)
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status", "--exit-code"}, {"why", "daily", "2024-03-05"}} {
		c := s.headway(t, args...)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "is open in another process") || !strings.Contains(string(out), "as they were seen last") {
			t.Errorf("headway %v: %v\n%s", args, err, out)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.exits(t, 3, "status", "--exit-code") // now the change is seen
}

// TestWaitHoldsNothing: who waits for partitions must not keep from the file who makes them.
func TestWaitHoldsNothing(t *testing.T) {
	s := newProof(t, folder(t))
	waiter := s.headway(t, "wait", "totals", "--timeout", "2m")
	errs, err := waiter.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := waiter.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errs)
	waits := false
	for !waits && lines.Scan() {
		waits = strings.Contains(lines.Text(), "waiting for 1 partition of totals")
	}
	s.exits(t, 0, "run", "--yes")
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := waiter.Wait(); err != nil {
		t.Errorf("the waiter: %v", err)
	}
}

// slowProof is the project cut into many small chunks, so that a run takes a while.
func slowProof(t testing.TB) *site {
	s := newProof(t, folder(t))
	s.edit(t, "headway.yaml", "    batch: {size: 16}\n    checks:\n      - unique", "    batch: {size: 1}\n    checks:\n      - unique")
	s.edit(t, "headway.yaml", "    batch: {size: 16}\n", "    batch: {size: 2}\n")
	s.edit(t, "headway.yaml", "    inputs: [daily: {window: {since", "    batch: {size: 2}\n    inputs: [daily: {window: {since")
	return s
}

// interrupt starts a run, and after so many lines of its event log and a moment more sends it a signal. It gives the exit code, and what
// the process had to say.
func (s *site) interrupt(t testing.TB, after int, moment time.Duration, signal syscall.Signal) (exit int, told string) {
	t.Helper()
	c := s.headway(t, "run", "--yes", "-o", "jsonl")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for range after {
		if !lines.Scan() {
			break
		}
	}
	time.Sleep(moment) // the moment at which it strikes is what is tried
	if err := c.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	for lines.Scan() {
		told += lines.Text() + "\n"
	}
	return exitOf(c.Wait()), told + errs.String()
}

// wantOnce complains of partitions that were published more than once: each publish leaves a marker.
func (s *site) wantOnce(t testing.TB) {
	t.Helper()
	for _, row := range s.query(t, `select table_key, "partition", count(*) as times from _headway.marker group by all having times > 1 order by all`) {
		t.Errorf("published more than once: %s", row)
	}
}

// A psRun is a run as ps tells it.
type psRun struct {
	Run   string `json:"run"`
	State string `json:"state"`
	Exit  *int   `json:"exit"`
}

func (s *site) ps(t testing.TB, args ...string) []psRun {
	t.Helper()
	var answer struct {
		Runs []psRun `json:"runs"`
	}
	text := s.exits(t, 0, append([]string{"ps", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return answer.Runs
}

// TestKilledProcess kills the real program at random moments of a run. The next run does exactly what is left. HEADWAY_SEED repeats a
// sequence of moments, as far as moments can be repeated; HEADWAY_FAULTS=all makes it long.
func TestKilledProcess(t *testing.T) {
	rounds := 6
	if os.Getenv("HEADWAY_FAULTS") == "all" {
		rounds = 30
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HEADWAY_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HEADWAY_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	base := slowProof(t)
	whole := base.copyTo(t, folder(t))
	whole.exits(t, 0, "run", "--yes", "-q")
	want := whole.look(t)
	whole.wantOnce(t)
	killed := 0
	for round := range rounds {
		s := base.copyTo(t, folder(t))
		for range 1 + random.IntN(3) {
			after, moment := random.IntN(60)-5, time.Duration(random.IntN(30_000))*time.Microsecond
			exit, _ := s.interrupt(t, max(after, 0), moment, syscall.SIGKILL)
			if exit == -1 {
				killed++
			} else if exit != 0 {
				t.Fatalf("round %d: exit %d", round, exit)
			}
		}
		s.exits(t, 0, "run", "--yes", "-q")
		s.look(t).same(t, want)
		s.wantOnce(t)
		for _, r := range s.ps(t) {
			t.Errorf("round %d: run %s is still said to be %s", round, r.Run, r.State)
		}
		for _, r := range s.ps(t, "--all") {
			if r.Exit == nil || r.State != "done" && r.State != "stopped" && r.State != "partial" {
				t.Errorf("round %d: ps --all says of run %s that it is %s", round, r.Run, r.State)
			}
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if killed < rounds {
		t.Errorf("only %d processes were killed while they ran", killed)
	}
}

// TestKilledRunIsShownAsDead: nobody who asks is told that a run is under way whose process is gone; the next run ends its record.
func TestKilledRunIsShownAsDead(t *testing.T) {
	s := slowProof(t)
	if exit, told := s.interrupt(t, 10, 0, syscall.SIGKILL); exit != -1 {
		t.Fatalf("exit %d: %s", exit, told)
	}
	if runs := s.ps(t, "--all"); len(runs) != 1 || runs[0].State != "dead" {
		t.Errorf("the killed run is shown as %+v", runs)
	}
	s.exits(t, 0, "run", "--yes", "-q")
	if runs := s.ps(t); len(runs) > 0 {
		t.Errorf("after the next run: %+v", runs)
	}
	runs := s.ps(t, "--all")
	if len(runs) != 2 || runs[1].State != "stopped" || runs[1].Exit == nil || *runs[1].Exit != 137 {
		t.Errorf("the killed run is shown as %+v", runs)
	}
}

// TestSignals: a run that is told to stop stops cleanly: with the signal's exit code, its record ended, and nothing lost.
func TestSignals(t *testing.T) {
	base := slowProof(t)
	whole := base.copyTo(t, folder(t))
	whole.exits(t, 0, "run", "--yes", "-q")
	want := whole.look(t)
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		s := base.copyTo(t, folder(t))
		exit, told := s.interrupt(t, 12, 0, signal)
		if exit != code {
			t.Errorf("%s: exit %d, want %d: %s", signal, exit, code, told)
		}
		runs := s.ps(t, "--all")
		if len(runs) != 1 || runs[0].State != "stopped" || runs[0].Exit == nil || *runs[0].Exit != code {
			t.Errorf("%s: the run is shown as %+v", signal, runs)
		}
		if left := s.look(t); len(left.stages) > 0 {
			t.Errorf("%s: stages were left behind: %v", signal, left.stages)
		}
		s.exits(t, 0, "run", "--yes", "-q")
		s.look(t).same(t, want)
		s.wantOnce(t)
	}
}

// turnsProject is two tables that have nothing to do with each other, in one file, of many small chunks each.
const turnsProject = `version: 1
project: turns
warehouses: {main: {type: duckdb, path: proof.duckdb}}
defaults: {partition: {column: d, grain: day, start: 2024-01-01, calendar: days}, batch: {size: 1}}
calendars: {days: {query: "select (date '2024-01-01' + i::int)::date from range(80) as t(i)"}}
tables: {left: {}, right: {}}
`

const turnsQuery = "select partition_start as d, md5(i::varchar) as v from {{partitions}}, range(20000) as t(i)\n"

// TestRunsTakeTurns: two runs of two tables in one file go on at the same time, each chunk by chunk, and both come to their end; one that is
// killed in between blocks nobody.
func TestRunsTakeTurns(t *testing.T) {
	s := newSite(folder(t))
	for name, text := range map[string]string{"headway.yaml": turnsProject, "sql/left.sql": turnsQuery, "sql/right.sql": turnsQuery} {
		path := filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	start := func(table string) (c *exec.Cmd, published func() bool) {
		c = s.headway(t, "run", table, "--yes", "-o", "jsonl")
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		return c, func() bool {
			for lines.Scan() {
				if strings.Contains(lines.Text(), `chunk.finished`) {
					return true
				}
			}
			return false
		}
	}
	// The first is under way when the second begins, and is killed when the second has published.
	first, published := start("left")
	if !published() {
		t.Fatal("the first run has published nothing")
	}
	second, alsoPublished := start("right")
	if !alsoPublished() {
		t.Fatal("the second run has published nothing")
	}
	if err := errors.Join(first.Process.Kill(), ignoreExit(first.Wait())); err != nil {
		t.Fatal(err)
	}
	third, more := start("left")
	for _, next := range []func() bool{alsoPublished, more} {
		for next() {
		}
	}
	if err := errors.Join(second.Wait(), third.Wait()); err != nil {
		t.Fatal(err)
	}
	s.exits(t, 0, "status", "--exit-code")
	s.wantOnce(t)
	const several = 6
	n := 0
	if err := s.database(t).QueryRowContext(t.Context(), `select count(*) from (select table_key, lag(table_key) over (order by "at", rowid) as before
		from _headway.marker) where table_key <> before`).Scan(&n); err != nil || n < several {
		t.Errorf("the file changed hands %d times, want %d at least (%v)", n, several, err)
	}
	t.Logf("the file changed hands %d times", n)
}

// ignoreExit is nil for a process that was killed.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}
