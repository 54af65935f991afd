package sqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/ledger"
)

// TestRunsByIndex: which runs are active, and what became of one, is found without looking at all runs that ever were.
func TestRunsByIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	l, err := Open(t.Context(), path, Options{})
	must0(t, err)
	must0(t, l.Close())
	db, err := sql.Open("sqlite", path)
	must0(t, err)
	defer db.Close() //nolint:errcheck // it was only read
	for index, f := range map[string]ledger.RunFilter{
		"run_newest":             {},
		"USING INDEX run_active": {Active: true},
		"(name>? AND name<?)":    {ID: "r-a"},
	} {
		query, args := runsQuery(f)
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
		must0(t, err)
		var way []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must0(t, rows.Scan(&id, &parent, &unused, &detail))
			way = append(way, detail)
		}
		must0(t, errors.Join(rows.Err(), rows.Close())) //nolint:sqlclosecheck // one after the other, in a loop
		if !strings.Contains(strings.Join(way, "; "), index) {
			t.Errorf("%+v: %q, want %s", f, way, index)
		}
	}
}
