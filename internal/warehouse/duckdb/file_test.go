package duckdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// The test binary plays other processes: TestMain runs what this variable names instead of the tests.
const roleVariable = "HEADWAY_DUCKDB_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role, path, _ := strings.Cut(os.Getenv(roleVariable), " "); role {
	case "hold":
		os.Exit(hold(path))
	case "fill":
		os.Exit(fill(path))
	case "turns":
		os.Exit(takeTurns(path))
	case "lend":
		os.Exit(lend(path))
	case "grab":
		os.Exit(grab(path))
	default:
		os.Exit(m.Run())
	}
}

// play starts the test binary in a role.
func play(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// hold keeps a file open, like a program that knows nothing of turns, until its input ends.
func hold(path string) int {
	db, err := sql.Open("duckdb", path)
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("held")
	buf := make([]byte, 1)
	_, _ = os.Stdin.Read(buf) // its end is what is waited for
	if db.Close() != nil {
		return 1
	}
	return 0
}

func TestAFileThatAnotherProcessHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "held.duckdb")
	cmd := play(t, "hold", path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := stdout.Read(line); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []duckdb.Options{{}, {OpenWait: 120 * time.Millisecond}, {ReadOnly: true}} {
		w, err := duckdb.Open(t.Context(), path, opts)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Claim(t.Context(), warehouse.Ledger{ID: "other"})
		var locked *warehouse.LockedError
		if !errors.As(err, &locked) || locked.Path != path || !strings.Contains(locked.Holder, fmt.Sprintf("pid %d", cmd.Process.Pid)) ||
			!strings.Contains(locked.Holder, filepath.Base(os.Args[0])) {
			t.Fatalf("%+v: error %v, want one that names process %d and its command", opts, err, cmd.Process.Pid)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Who waits long enough gets it.
	w, err := duckdb.Open(t.Context(), path, duckdb.Options{OpenWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := w.Claim(context.WithoutCancel(t.Context()), warehouse.Ledger{ID: "holder"})
		got <- err
	}()
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
}

// fill publishes until a file may not grow further, and expects to be told so.
func fill(path string) int {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	w, err := duckdb.Open(ctx, path, duckdb.Options{})
	if err == nil {
		err = w.Raise(ctx, warehouse.Fence{Table: "t", Set: calendar.Of(19723), Token: 2})
	}
	var stage *warehouse.Stage
	if err == nil {
		stage, err = w.Stage(ctx, warehouse.StageRequest{
			Target: fullTarget, Set: calendar.Of(19723), Attempt: "b",
			Query: "select date '2024-01-01' as d, md5(i::varchar) || md5((i + 1)::varchar) as v from range(400000) as t(i)",
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	const limit = 4 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = w.Publish(ctx, warehouse.Publication{Target: fullTarget, Stage: stage, Set: stage.Set, Token: 2, Attempt: "b", At: time.Unix(0, 0)})
	if err == nil || !strings.Contains(err.Error(), "make room") {
		fmt.Fprintf(os.Stderr, "a full disk: %v\n", err)
		return 1
	}
	return 0 // like a process that was killed: the file is not closed
}

var fullTarget = warehouse.Target{Table: "t", Relation: "t", Column: "d", Axis: calendar.Axis{Grain: calendar.Day}, Digits: 9}

func TestAFullDiskLeavesWhatStood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full.duckdb")
	w, err := duckdb.Open(t.Context(), path, duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	day := calendar.Of(19723)
	if err := w.Raise(t.Context(), warehouse.Fence{Table: "t", Set: day, Token: 1}); err != nil {
		t.Fatal(err)
	}
	stage, err := w.Stage(t.Context(), warehouse.StageRequest{Target: fullTarget, Set: day, Attempt: "a", Query: "select date '2024-01-01' as d, 'before' as v"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Publish(t.Context(), warehouse.Publication{Target: fullTarget, Stage: stage, Set: day, Token: 1, Attempt: "a", At: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Lend(t.Context(), func(context.Context) error { return play(t, "fill", path).Run() }); err != nil {
		t.Fatal(err)
	}
	now, err := w.Contents(t.Context(), fullTarget, calendar.All())
	if err != nil || len(now) != 1 || now[0] != stage.Contents[0] {
		t.Fatalf("contents %v, %v; want %v", now, err, stage.Contents)
	}
	if markers, err := w.Markers(t.Context(), "t", day); err != nil || len(markers) != 1 || markers[0].Attempt != "a" {
		t.Fatalf("markers %v, %v", markers, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if _, err := duckdb.Open(t.Context(), filepath.Join(dir, "no", "such.duckdb"), duckdb.Options{}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := duckdb.Open(t.Context(), dir, duckdb.Options{}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
	bad := filepath.Join(dir, "bad.duckdb")
	if err := os.WriteFile(bad, []byte(strings.Repeat("this is no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := duckdb.Open(t.Context(), bad, duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Claim(t.Context(), warehouse.Ledger{ID: "l"}); err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(bad); err != nil || !strings.HasPrefix(string(data), "this is no database") {
		t.Errorf("the damaged file was changed: %v", err)
	}
}

func TestLocation(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "project", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "project"), filepath.Join(dir, "alias")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, base, want string }{
		{"project/data/x.duckdb", "project", "data/x.duckdb"},
		{"alias/data/x.duckdb", "project", "data/x.duckdb"},
		{"project/../project/data/x.duckdb", "alias", "data/x.duckdb"},
		{"x.duckdb", "project", filepath.Join(dir, "x.duckdb")},
		{"alias/x.duckdb", "", filepath.Join(dir, "project", "x.duckdb")},
	} {
		base := c.base
		if base != "" {
			base = filepath.Join(dir, base)
		}
		w, err := duckdb.Open(t.Context(), filepath.Join(dir, filepath.FromSlash(c.path)), duckdb.Options{LocationBase: base})
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Location(); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.path, c.base, got, c.want)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w.duckdb")
	csv := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(csv, []byte("d,v\n2024-01-01,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	raw := fullTarget
	raw.Relation = "raw"
	look := func(w *duckdb.Warehouse) *warehouse.SourceState {
		t.Helper()
		state, err := w.Observe(t.Context(), warehouse.SourceRequest{Target: raw, Files: csv})
		if err != nil {
			t.Fatal(err)
		}
		set, err := w.Dates(t.Context(), "select d from raw", raw.Axis)
		if err != nil || set.Count() != 1 {
			t.Fatalf("dates %v, %v", set, err)
		}
		verdicts, err := w.Check(t.Context(), raw, nil, set, []warehouse.Check{{ID: "u", Kind: "unique", Columns: []string{"v"}}})
		if err != nil || len(verdicts) != 1 || !verdicts[0].Passed {
			t.Fatalf("verdicts %v, %v", verdicts, err)
		}
		return state
	}
	reader := func() *duckdb.Warehouse {
		w, err := duckdb.Open(t.Context(), path, duckdb.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	// A file that does not exist is an empty warehouse, and stays away.
	w := reader()
	missing := look(w)
	if markers, err := w.Markers(t.Context(), "t", calendar.All()); err != nil || len(markers) != 0 {
		t.Fatalf("markers %v, %v", markers, err)
	}
	if floors, err := w.Claim(t.Context(), warehouse.Ledger{ID: "l"}); err != nil || len(floors) != 0 {
		t.Fatalf("floors %v, %v", floors, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the file was made: %v", err)
	}
	// A file that exists is not changed; two may read it at once; what its copy holds already is not copied again.
	rw, err := duckdb.Open(t.Context(), path, duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if state := look(rw); state.Version != missing.Version || state.Contents[0] != missing.Contents[0] {
		t.Fatalf("state %+v, read only %+v", state, missing)
	}
	if err := rw.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one, other := reader(), reader()
	look(one)
	look(other)
	if err := os.WriteFile(csv, []byte("d,v\n2024-01-02,1\n2024-01-02,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if state := look(one); state.Rows != 2 {
		t.Fatalf("state %+v", state)
	}
	err = one.Raise(t.Context(), warehouse.Fence{Table: "t", Set: calendar.Of(1), Token: 1})
	if err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Fatalf("raised a fence: %v", err)
	}
	if err := errors.Join(one.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Fatalf("the file was changed (%v)", err)
	}
}

func TestAStatementEndsWithItsContext(t *testing.T) {
	w, err := duckdb.Open(t.Context(), filepath.Join(t.TempDir(), "w.duckdb"), duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("the lease was lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(200*time.Millisecond, func() { cancel(stop) })
	defer timer.Stop()
	_, err = w.Stage(ctx, warehouse.StageRequest{
		Target: fullTarget, Set: calendar.Of(19723), Attempt: "a",
		Query: "select date '2024-01-01' as d, count(*) as v from range(100000000000) as t(i) where hash(i) = 7",
	})
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want the context's cause", err)
	}
	// The connection is fit for the next.
	if err := w.Raise(t.Context(), warehouse.Fence{Table: "t", Set: calendar.Of(1), Token: 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
