package mem

import (
	"context"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Tokens gives the last token drawn of every table.
func (l *Ledger) Tokens(ctx context.Context) (map[string]history.Token, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := make(map[string]history.Token, len(l.tables))
	for key, t := range l.tables {
		out[key] = t.token
	}
	return out, nil
}

// RaiseTokens raises the counters that are lower than the floors.
func (l *Ledger) RaiseTokens(ctx context.Context, floors []ledger.Floor) error {
	unlock, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, f := range floors {
		if err := l.checkAxis(f.Table, f.Axis); err != nil {
			return err
		}
	}
	for _, f := range floors {
		t := l.use(f.Table, f.Axis)
		t.token = max(t.token, f.Token)
	}
	return nil
}

// Note writes into the audit log.
func (l *Ledger) Note(ctx context.Context, e ledger.AuditEntry) error {
	unlock, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	previous := ""
	for _, old := range l.audit {
		if e.Repeats(old) {
			return nil
		}
		previous = old.Hash
	}
	l.audit = append(l.audit, e.Sealed(int64(len(l.audit))+1, previous))
	return nil
}
