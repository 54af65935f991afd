package sqlite

import (
	"context"
	"errors"
	"slices"

	"github.com/headway-data/headway/internal/ledger"
)

const selectAudit = `SELECT position, at, user, host, pid, action, key, partitions, reason, before, after, previous, hash FROM audit `

func readEntry(r row) (ledger.AuditEntry, error) {
	set, err := readSet(r.blob(7))
	return ledger.AuditEntry{
		Position: r.int(0), At: r.time(1), Actor: ledger.Actor{User: r.text(2), Host: r.text(3), PID: int(r.int(4))}, Action: r.text(5), Table: r.text(6),
		Set: set, Reason: r.text(8), Before: r.text(9), After: r.text(10), Previous: r.text(11), Hash: r.text(12),
	}, err
}

// audit appends an entry. How many there are and the last one's hash are kept apart, so that the end of the log cannot be cut off.
func (t *tx) audit(e ledger.AuditEntry) error {
	e = e.Sealed(t.audited+1, t.hash)
	_, err := t.exec(`INSERT INTO audit (position, at, user, host, pid, action, key, partitions, reason, before, after, previous, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, e.Position, e.At, e.Actor.User, e.Actor.Host, e.Actor.PID, e.Action, e.Table, packSet(e.Set),
		e.Reason, e.Before, e.After, e.Previous, e.Hash)
	if err == nil {
		t.audited, t.hash = e.Position, e.Hash
	}
	return err
}

// Audit lists entries of the audit log: of those that match, the newest.
func (l *Ledger) Audit(ctx context.Context, f ledger.AuditFilter) (out []ledger.AuditEntry, err error) {
	err = l.read(ctx, func(s *session) error {
		out = nil
		return s.query(func(r row) error {
			e, err := readEntry(r)
			out = append(out, e)
			return err
		}, selectAudit+`WHERE (?1 = '' OR key = ?1) AND at >= ?2 ORDER BY position DESC LIMIT ?3`, f.Table, f.Since, f.Most())
	})
	slices.Reverse(out)
	return out, err
}

// VerifyAudit walks the audit log.
func (l *Ledger) VerifyAudit(ctx context.Context) (entries int, err error) {
	err = l.read(ctx, func(s *session) error {
		var chain ledger.Chain
		err := s.query(func(r row) error {
			e, err := readEntry(r)
			if errors.Is(err, errBlob) {
				return &ledger.ChainError{Position: e.Position, What: "edited"}
			}
			return errors.Join(err, chain.Add(e))
		}, selectAudit+`ORDER BY position`)
		entries = chain.Entries
		if err != nil {
			return err
		}
		var count int64
		var hash string
		if _, err := s.first(func(r row) error { count, hash = r.int(0), r.text(1); return nil }, `SELECT audited, audit_hash FROM ledger`); err != nil {
			return err
		}
		return chain.End(count, hash)
	})
	return entries, err
}
