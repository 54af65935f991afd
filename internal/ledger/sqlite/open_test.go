package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

func openAt(t *testing.T, path string, opts Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// refused demands that a file is refused with an error that says all of says.
func refused(t *testing.T, path string, opts Options, says ...string) error {
	t.Helper()
	l, err := Open(t.Context(), path, opts)
	if err == nil {
		_ = l.Close()
		t.Fatalf("%s was opened", path)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	return err
}

func request(_ *Ledger, id string) ledger.LeaseRequest {
	return ledger.LeaseRequest{
		ID: ledger.LeaseID(id), Run: ledger.RunID(id), Class: ledger.ClassBackfill, Holder: ThisProcess(), TTL: time.Hour,
		Writes: []ledger.Claim{{Table: "t", Axis: benchDay, Set: calendar.Range(0, 5)}},
	}
}

func TestOpenMakesTheFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", ".headway", "state.db")
	l := openAt(t, path, Options{})
	if l.URL() != "sqlite:"+path {
		t.Errorf("URL %s", l.URL())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	refused(t, dir, Options{}, dir, "is a folder")

	text := filepath.Join(dir, "text")
	write(t, text, strings.Repeat("this is no database\n", 100))
	refused(t, text, Options{}, text, "no SQLite database", "name another file")

	other := filepath.Join(dir, "other.db")
	db, err := sql.Open("sqlite", other)
	if err == nil {
		_, err = db.Exec(`CREATE TABLE theirs (x)`)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before := read(t, other)
	refused(t, other, Options{}, other, "another program")
	if read(t, other) != before {
		t.Error("another program's database was changed")
	}

	dangling := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere", "x"), dangling); err != nil {
		t.Fatal(err)
	}
	refused(t, dangling, Options{}, dangling, "nowhere")

	file := filepath.Join(text, "state.db")
	refused(t, file, Options{}, file)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	l := openAt(t, path, Options{})
	must0(t, l.Close())
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec(`PRAGMA user_version = 99`)
	}
	must0(t, errors.Join(err, db.Close()))
	for _, readOnly := range []bool{false, true} {
		if err := refused(t, path, Options{ReadOnly: readOnly}, path, "schema 99", "newer headway"); !errors.Is(err, ledger.ErrSchema) {
			t.Errorf("%v is not ErrSchema", err)
		}
	}
}

func must0(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinksLeadToOneStore(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, filepath.Join(dir, "real", "state.db"), Options{})
	must0(t, os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "folder")))
	must0(t, os.Symlink(filepath.Join(dir, "real", "state.db"), filepath.Join(dir, "file")))
	for _, path := range []string{filepath.Join(dir, "folder", "state.db"), filepath.Join(dir, "file")} {
		if m := openAt(t, path, Options{}); m.URL() != l.URL() || m.ID() != l.ID() {
			t.Errorf("%s is %s", path, m.URL())
		}
	}
}

func TestManyOpenersMakeOneStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			l, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = l.ID()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("ids %v", ids)
		}
	}
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".headway", "state.db")
	empty := openAt(t, path, Options{ReadOnly: true}) // a store that nobody has made yet reads as empty
	if head, err := empty.Head(t.Context()); err != nil || head != 1 {
		t.Fatalf("head %d, %v", head, err)
	}
	l := openAt(t, path, Options{})
	if _, err := l.Acquire(t.Context(), request(l, "l")); err != nil {
		t.Fatal(err)
	}
	s, err := empty.Snapshot(t.Context(), []string{"t"})
	must0(t, err)
	if s.Table("t").Reserved.Count() != 5 {
		t.Error("a reader does not see what was written")
	}
	if _, err := empty.Acquire(t.Context(), request(l, "m")); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a write through a reader gave %v", err)
	}
}

// A process of root may write where nobody else may, so what is read-only is tried as somebody else.
func TestReadOnlyFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "state.db")
	l := openAt(t, path, Options{})
	_, err := l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
	must0(t, l.Close())
	must0(t, os.Chmod(path, 0o444))
	must0(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	if _, err := os.Create(filepath.Join(dir, "probe")); !errors.Is(err, fs.ErrPermission) {
		_ = os.Remove(filepath.Join(dir, "probe"))
		for _, run := range []string{"TestReadOnlyFolder"} {
			asNobody(t, run, dir)
		}
		return
	}
	readOnlyFolder(t, path)
}

func readOnlyFolder(t *testing.T, path string) {
	t.Helper()
	refused(t, path, Options{BusyWait: time.Second}, path, "read-only")
	r := openAt(t, path, Options{ReadOnly: true})
	s, err := r.Snapshot(t.Context(), []string{"t"})
	must0(t, err)
	if s.Table("t").Reserved.Count() != 5 {
		t.Error("what was written cannot be read")
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	l := openAt(t, path, Options{BusyWait: 20 * time.Millisecond})
	unlock := lock(t, path)
	_, err := l.Acquire(t.Context(), request(l, "l"))
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "locked") || errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("a locked file gave %v", err)
	}
	if head, err := l.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("a locked file cannot be read: %d, %v", head, err)
	}
	unlock()
	_, err = l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
}

// lock takes the file's write lock, as another process would.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must0(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`BEGIN IMMEDIATE`)
	must0(t, err)
	return func() {
		_, err := db.Exec(`ROLLBACK`)
		must0(t, errors.Join(err, db.Close()))
	}
}

func TestCancelledWhileLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	l := openAt(t, path, Options{})
	unlock := lock(t, path)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, cancel)
	if _, err := l.Acquire(ctx, request(l, "l")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who gave up got %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	l := openAt(t, path, Options{})
	_, err := l.Acquire(t.Context(), request(l, "l"))
	must0(t, err)
	head, err := l.Head(t.Context())
	must0(t, err)
	limit := func(pages string) {
		must0(t, l.write(t.Context(), func(x *tx) error {
			_, err := x.first(func(row) error { return nil }, `PRAGMA max_page_count = `+pages)
			return err
		}))
	}
	limit("1") // no less than the file has already
	big := ledger.RunRecord{ID: "big", State: "running", Plan: make([]byte, 1<<20)}
	err = l.PutRun(t.Context(), big)
	if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), path) || errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("a full disk gave %v", err)
	}
	if now, err := l.Head(t.Context()); err != nil || now != head {
		t.Errorf("a full disk moved the clock from %d to %d, %v", head, now, err)
	}
	limit("1000000")
	must0(t, l.PutRun(t.Context(), big))
}

func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	l := openAt(t, path, Options{})
	for i := range 50 {
		must0(t, l.PutRun(t.Context(), ledger.RunRecord{ID: ledger.RunID(fmt.Sprint(i)), State: "running", Plan: make([]byte, 2000)}))
	}
	must0(t, l.Close())
	b := []byte(read(t, path))
	for i := 4096; i < len(b); i += 7 {
		b[i] ^= 0x5a
	}
	write(t, path, string(b))
	m, err := Open(t.Context(), path, Options{})
	if err == nil {
		_, err = m.Runs(t.Context(), ledger.RunFilter{})
		_ = m.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file gave %v", err)
	}
}
