package duckdb_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
	"github.com/headway-data/headway/internal/warehouse/warehousetest"
)

func TestSuite(t *testing.T) {
	warehousetest.Run(t, func(t *testing.T) warehousetest.Harness {
		path := filepath.Join(t.TempDir(), "suite.duckdb")
		current := openFile(t, path)
		return warehousetest.Harness{
			Warehouse: current,
			Double:    "DOUBLE",
			Timestamp: "TIMESTAMP",
			Instant:   "TIMESTAMPTZ",
			Crash: func(t *testing.T) warehouse.Warehouse {
				path = copyFile(t, path)
				current = openFile(t, path)
				return current
			},
			Elsewhere: func(t *testing.T, statement string) error {
				return current.Lend(t.Context(), func(ctx context.Context) error { return elsewhere(ctx, path, statement) })
			},
			Quarantined: func(t *testing.T, attempt string) int {
				n := 0
				err := current.Lend(t.Context(), func(ctx context.Context) error { return quarantined(ctx, path, attempt, &n) })
				if err != nil {
					t.Fatal(err)
				}
				return n
			},
		}
	})
}

func openFile(t *testing.T, path string) *duckdb.Warehouse {
	t.Helper()
	w, err := duckdb.Open(t.Context(), path, duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close %s: %v", path, err)
		}
	})
	return w
}

// copyFile copies the file with its log as they are at this moment: what a kill would leave.
func copyFile(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	for _, end := range []string{"", ".wal"} {
		data, err := os.ReadFile(path + end)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+end, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// elsewhere runs a statement as another program would.
func elsewhere(ctx context.Context, path, statement string) error {
	connector, err := duck.NewConnector(path, nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

func quarantined(ctx context.Context, path, attempt string, n *int) error {
	connector, err := duck.NewConnector(path, nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	err = db.QueryRowContext(ctx, "SELECT coalesce(sum(estimated_size), 0) FROM duckdb_tables() WHERE schema_name = '_headway_stage' AND "+
		"starts_with(table_name, 'q_' || regexp_replace(?, '[^a-z0-9]', '_', 'g'))", attempt).Scan(n)
	return errors.Join(err, db.Close())
}
