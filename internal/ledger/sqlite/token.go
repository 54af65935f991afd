package sqlite

import (
	"context"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Tokens gives the last token drawn of every table.
func (l *Ledger) Tokens(ctx context.Context) (map[string]history.Token, error) {
	out := map[string]history.Token{}
	err := l.read(ctx, func(s *session) error {
		return s.query(func(r row) error {
			out[r.text(0)] = history.Token(r.int(1))
			return nil
		}, `SELECT key, token FROM tables`)
	})
	return out, err
}

// RaiseTokens raises the counters that are lower than the floors.
func (l *Ledger) RaiseTokens(ctx context.Context, floors []ledger.Floor) error {
	return l.write(ctx, func(t *tx) error {
		for _, f := range floors {
			tab, err := t.use(f.Table, f.Axis)
			if err != nil {
				return err
			}
			if tab.token < f.Token {
				t.change(tab).token = f.Token
			}
		}
		return nil
	})
}

// Note writes into the audit log.
func (l *Ledger) Note(ctx context.Context, e ledger.AuditEntry) error {
	return l.write(ctx, func(t *tx) error {
		done := false
		err := t.query(func(r row) error {
			old, err := readEntry(r)
			done = done || e.Repeats(old)
			return err
		}, selectAudit+`WHERE at = ? AND action = ?`, e.At, e.Action)
		if err != nil || done {
			return err
		}
		t.changed = true
		return t.audit(e)
	})
}
