package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/sqlite"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// NewProcess is the process as main knows it: this is where the clock, randomness, variables and drivers come in.
func NewProcess(dir, version string, signal func() int) *Process {
	return &Process{
		Environment: backfill.Environment{
			Now:           time.Now,
			NewID:         newID,
			Lookup:        os.LookupEnv,
			Holder:        sqlite.ThisProcess(),
			Log:           Logger(os.Stderr),
			OpenLedger:    openLedger,
			OpenWarehouse: openWarehouse,
		},
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Dir:      dir,
		Version:  version,
		Terminal: terminalOf,
		Signal:   signal,
	}
}

// newID is a random id of 50 bits behind a prefix: short enough to type, long enough never to meet another of its store.
func newID(prefix string) string {
	const letters = 10
	return prefix + "-" + strings.ToLower(rand.Text()[:letters])
}

func openLedger(ctx context.Context, url, dir string, readOnly bool) (ledger.Ledger, error) {
	kind, path, ok := strings.Cut(url, ":")
	if !ok || kind != "sqlite" {
		return nil, &backfill.InputError{
			What: fmt.Sprintf("state %q is of a kind that this version cannot open", url), Next: "write sqlite:PATH",
		}
	}
	path = strings.TrimPrefix(path, "//")
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return sqlite.Open(ctx, path, sqlite.Options{ReadOnly: readOnly})
}

func openWarehouse(ctx context.Context, w *catalog.Warehouse, dir string, readOnly bool) (warehouse.Warehouse, error) {
	if w.Type != "duckdb" {
		return nil, &backfill.InputError{What: fmt.Sprintf("%s: warehouses of type %s cannot be opened by this version", w.Pos, w.Type), Next: "use duckdb"}
	}
	path := w.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	const patience = 30 * time.Second
	return duckdb.Open(ctx, path, duckdb.Options{LocationBase: dir, OpenWait: patience, ReadOnly: readOnly})
}
