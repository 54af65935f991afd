package backfill_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// highest is the highest token that the fence of the table daily has.
func (s *site) highest(t *testing.T) (token int) {
	t.Helper()
	db := s.database(t)
	err := db.QueryRowContext(t.Context(), "select max(token) from _headway.fence where ends_with(table_key, ':daily')").Scan(&token)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return token
}

// TestARestoredState: the state is put back from a backup. What was published since is not taken for what stood there before, and nobody's
// token is one that the warehouse has seen.
func TestARestoredState(t *testing.T) {
	s := madeProof(t)
	want := s.look(t)
	backup := folder(t)
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(s.dir, ".headway"))); err != nil {
		t.Fatal(err)
	}
	const old, corrected = "o2024-03-05-1,2024-03-05,41", "o2024-03-05-1,2024-03-05,441"
	s.edit(t, "data/orders_a.csv", old, corrected)
	s.settle(t)
	seen := s.highest(t)
	restore := func() {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(s.dir, ".headway")); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(s.dir, ".headway"), os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
	}
	restore()
	s.edit(t, "data/orders_a.csv", corrected, old) // as the state knows it: nothing but the markers tells that other rows stand there
	report, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
	if err != nil || report.Exit != 0 || report.Published == 0 {
		t.Fatalf("exit %d, %d published, %v%s", report.Exit, report.Published, err, describe(report))
	}
	s.settle(t)
	got := s.look(t)
	for name, rows := range want.rows {
		diff(t, "rows of "+name, got.rows[name], rows)
	}
	if now := s.highest(t); now <= seen {
		t.Errorf("the highest token is %d, and was %d when the state was restored", now, seen)
	}
	s.with(t, func(c *backfill.Coordinator) {
		entries, err := c.Ledger.Audit(t.Context(), ledger.AuditFilter{})
		if err != nil || len(entries) == 0 || entries[0].Action != "mark.stale" || entries[0].Reason == "" {
			t.Errorf("the audit log: %+v, %v", entries, err)
		}
	})
	// Restored once more, and all is asked for: no attempt is refused for a token that the warehouse has seen.
	restore()
	report, _, err = s.run(t.Context(), plan.Request{Reprocess: plan.All}, backfill.RunOptions{})
	if err != nil || report.Exit != 0 {
		t.Fatalf("%v%s", err, fmt.Sprint(describe(report)))
	}
}
