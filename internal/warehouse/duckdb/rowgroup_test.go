package duckdb

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
)

// TestAFileOfOtherRowGroups: of two processes that find no file, the second attaches what the first has made; and files of people are as the
// engine makes them.
func TestAFileOfOtherRowGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.duckdb")
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t AS SELECT range AS n FROM range(200000)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := Open(t.Context(), filepath.Join(t.TempDir(), "own.duckdb"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // nothing was written
	err = w.use(t.Context(), "attach a file that is there", func(c *conn) error {
		if _, err := c.exec(context.WithoutCancel(t.Context()), "ATTACH "+text(path)+" AS other"+newFile); err != nil {
			return err
		}
		n, err := c.exec(t.Context(), "DELETE FROM other.t WHERE n >= 100000")
		if err == nil && n != 100_000 {
			t.Errorf("deleted %d rows", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
