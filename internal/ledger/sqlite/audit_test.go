package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// audited is a store whose audit log has five entries.
func audited(t *testing.T) *Ledger {
	t.Helper()
	l := openAt(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	for i := range 5 {
		_, err := l.Mark(t.Context(), ledger.Mark{
			Kind: ledger.MarkSkipped, Table: "t", Axis: benchDay, Set: calendar.Range(0, calendar.Partition(i+1)), Reason: "because",
			Actor: ledger.Actor{User: "ada"}, At: time.Unix(int64(i), 0),
		})
		must0(t, err)
	}
	return l
}

// tamper changes the file behind the ledger's back.
func tamper(t *testing.T, l *Ledger, statements ...string) {
	t.Helper()
	must0(t, l.write(t.Context(), func(x *tx) error {
		for _, s := range statements {
			if _, err := x.exec(s); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestVerifyAuditFinds(t *testing.T) {
	n, err := audited(t).VerifyAudit(t.Context())
	if err != nil || n != 5 {
		t.Fatalf("an honest log: %d, %v", n, err)
	}
	columns := `at, user, host, pid, action, key, partitions, reason, before, after, previous, hash`
	for _, c := range []struct {
		name       string
		statements []string
		position   int64
		what       string
	}{
		{"AnEditedReason", []string{`UPDATE audit SET reason = 'no reason' WHERE position = 3`}, 3, "edited"},
		{"AnEditedUser", []string{`UPDATE audit SET user = 'eve' WHERE position = 1`}, 1, "edited"},
		{"AnEditedTime", []string{`UPDATE audit SET at = at + 1 WHERE position = 5`}, 5, "edited"},
		{"AnEditedSet", []string{`UPDATE audit SET partitions = x'0102' WHERE position = 2`}, 2, "edited"},
		{"AnEditedHash", []string{`UPDATE audit SET hash = 'x' WHERE position = 4`}, 4, "edited"},
		{"ARemovedFirst", []string{`DELETE FROM audit WHERE position = 1`}, 1, "removed"},
		{"ARemovedEntry", []string{`DELETE FROM audit WHERE position = 3`}, 3, "removed"},
		{"ARemovedLast", []string{`DELETE FROM audit WHERE position = 5`}, 5, "removed"},
		{"AllRemoved", []string{`DELETE FROM audit`}, 1, "removed"},
		{"RenumberedAfterARemoval", []string{
			`DELETE FROM audit WHERE position = 3`, `UPDATE audit SET position = 3 WHERE position = 4`, `UPDATE audit SET position = 4 WHERE position = 5`,
		}, 3, "edited"},
		{"ExchangedEntries", []string{
			`UPDATE audit SET position = 100 WHERE position = 2`, `UPDATE audit SET position = 2 WHERE position = 3`,
			`UPDATE audit SET position = 3 WHERE position = 100`,
		}, 2, "edited"},
		{"ADoubledEntry", []string{`INSERT INTO audit (position, ` + columns + `) SELECT 6, ` + columns + ` FROM audit WHERE position = 5`}, 6, "edited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := audited(t)
			tamper(t, l, c.statements...)
			_, err := l.VerifyAudit(t.Context())
			var broken *ledger.ChainError
			if !errors.As(err, &broken) {
				t.Fatalf("found %v", err)
			}
			if broken.Position != c.position || broken.What != c.what {
				t.Errorf("found entry %d %s, want %d %s", broken.Position, broken.What, c.position, c.what)
			}
		})
	}
}

// Somebody who knows how entries are sealed seals one anew: what follows it, or the count and hash kept apart, gives it away.
func TestVerifyAuditFindsResealedEntries(t *testing.T) {
	for position := range int64(5) {
		l := audited(t)
		entries, err := l.Audit(t.Context(), ledger.AuditFilter{})
		must0(t, err)
		e := entries[position]
		e.Reason = "another"
		e = e.Sealed(e.Position, e.Previous)
		must0(t, l.write(t.Context(), func(x *tx) error {
			_, err := x.exec(`UPDATE audit SET reason = ?2, hash = ?3 WHERE position = ?1`, e.Position, e.Reason, e.Hash)
			return err
		}))
		var broken *ledger.ChainError
		if _, err := l.VerifyAudit(t.Context()); !errors.As(err, &broken) {
			t.Errorf("entry %d was sealed anew and found good: %v", e.Position, err)
		}
	}
}
