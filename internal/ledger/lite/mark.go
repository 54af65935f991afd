package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Mark changes what the ledger holds of partitions because a person says so.
func (l *Ledger) Mark(ctx context.Context, m ledger.Mark) (seq history.Seq, err error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	err = l.do(ctx, func(t *txn) error {
		var err error
		seq, err = t.mark(m)
		return err
	})
	return seq, err
}

func (t *txn) mark(m ledger.Mark) (history.Seq, error) {
	// A mark that is repeated, because its answer was lost, happens once.
	var text string
	switch err := t.row(`SELECT entry FROM audit ORDER BY position DESC LIMIT 1`, nil, &text); {
	case err == nil:
		last, err := loadEntry(text)
		if err != nil {
			return 0, err
		}
		if m.Repeats(last) {
			return ledger.SeqOf(last.After), nil
		}
	case !errors.Is(err, sql.ErrNoRows):
		return 0, err
	}
	r, err := t.table(m.Table, m.Axis)
	if err != nil {
		return 0, err
	}
	seq, err := t.tick()
	if err != nil {
		return 0, err
	}
	var head string
	if err := t.row(`SELECT head FROM tbl WHERE id = ?`, []any{r.id}, &head); err != nil {
		return 0, err
	}
	before, err := t.segments(r.id, m.Set.Bounds())
	if err != nil {
		return 0, err
	}
	old := make([]history.Segment, 0, len(before))
	for _, row := range history.Clip(before, m.Set) {
		old = append(old, row.Segment)
	}
	now, newHead, err := t.marked(r.id, m, old, head, seq)
	if err != nil {
		return 0, err
	}
	if err := t.putSegments(r.id, now); err != nil {
		return 0, err
	}
	if m.Kind == ledger.MarkFresh || m.Kind == ledger.MarkSkipped {
		if err := t.putVerdicts(r.id, nil, m.Set); err != nil {
			return 0, err
		}
	}
	if err := t.touch(r.id); err != nil {
		return 0, err
	}
	return seq, t.append(ledger.AuditEntry{
		At: m.At.Truncate(0), Actor: m.Actor, Action: "mark." + string(m.Kind), Table: m.Table, Set: m.Set, Reason: m.Reason,
		Before: ledger.Describe(seq-1, head, old), After: ledger.Describe(seq, newHead, now),
	})
}

// marked makes the rows that a mark leaves.
func (t *txn) marked(tbl int64, m ledger.Mark, old []history.Segment, head string, seq history.Seq) ([]history.Segment, string, error) {
	switch m.Kind {
	case ledger.MarkHeadTo:
		var position int64
		if err := t.row(`SELECT position FROM version WHERE tbl = ? AND version = ?`, []any{tbl, m.Version}, &position); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				err = fmt.Errorf("version %s of %s: %w", m.Version, m.Table, ledger.ErrNotFound)
			}
			return nil, head, err
		}
		return nil, m.Version, t.exec(`UPDATE tbl SET head = ? WHERE id = ?`, m.Version, tbl)
	case ledger.MarkStale:
		for i := range old {
			old[i].Stale = true
		}
		return old, head, nil
	case ledger.MarkSkipped:
		base := history.Segment{ReadSeq: seq, ChangedSeq: seq, Version: m.Version, Content: history.Skipped, ReadAt: m.At}
		rows := history.Spread(base, m.Set)
		for _, o := range old {
			if o.Content == history.Skipped || o.Content == history.Empty {
				// Nothing was there and nothing will be: no reader sees a difference.
				kept := base.WithBounds(o.Interval)
				kept.ChangedSeq = o.ChangedSeq
				rows = history.Overlay(rows, []history.Segment{kept})
			}
		}
		return rows, head, t.forget(tbl, m.Set)
	}
	return t.accepted(tbl, m, old, head, seq)
}

// forget records that partitions hold no rows.
func (t *txn) forget(tbl int64, set calendar.Set) error {
	var none []ledger.Content
	for p := range set.Partitions() {
		none = append(none, ledger.Content{Partition: p})
	}
	return t.putContents(tbl, set.Bounds(), none)
}

// accepted takes content over as it is, as of today's inputs and code. Rows that are the ones the ledger knew keep their ChangedSeq.
func (t *txn) accepted(tbl int64, m ledger.Mark, old []history.Segment, head string, seq history.Seq) ([]history.Segment, string, error) {
	was, err := t.contents(tbl, m.Set)
	if err != nil {
		return nil, head, err
	}
	base := history.Segment{ReadSeq: seq, ChangedSeq: seq, Version: m.Version, Accepted: true, ReadAt: m.At}
	rows := history.Spread(base, m.Set)
	same := m.Set
	if m.Contents != nil {
		var equal []calendar.Partition
		for _, c := range m.Contents {
			if known, ok := was[c.Partition]; ok && known.Fingerprint == c.Fingerprint && known.Rows == c.Rows {
				equal = append(equal, c.Partition)
			}
		}
		same = calendar.Of(equal...)
		if err := t.putContents(tbl, m.Set.Bounds(), m.Contents); err != nil {
			return nil, head, err
		}
	}
	var kept []history.Segment
	for _, o := range history.Clip(old, same) {
		if !o.Content.Readable() {
			continue // it could not be read before, so whoever reads it now sees something new
		}
		one := base.WithBounds(o.Interval)
		one.ChangedSeq, one.Content, one.Shortfall, one.Attempt = o.ChangedSeq, o.Content, o.Shortfall, o.Attempt
		kept = append(kept, one)
	}
	return history.Overlay(rows, kept), head, nil
}

// append adds an entry to the audit log.
func (t *txn) append(e ledger.AuditEntry) error {
	var count int64
	var previous string
	if err := t.row(`SELECT value FROM meta WHERE key = 'audit_count'`, nil, &count); err != nil {
		return err
	}
	if err := t.row(`SELECT value FROM meta WHERE key = 'audit_head'`, nil, &previous); err != nil {
		return err
	}
	e.At = e.At.UTC()
	e = e.Sealed(count+1, previous)
	text, err := storeEntry(e)
	if err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO audit VALUES (?,?,?,?)`, e.Position, text, e.Previous, e.Hash); err != nil {
		return err
	}
	if err := t.exec(`UPDATE meta SET value = ? WHERE key = 'audit_count'`, e.Position); err != nil {
		return err
	}
	return t.exec(`UPDATE meta SET value = ? WHERE key = 'audit_head'`, e.Hash)
}

// A packedEntry is an audit entry as the store keeps it.
type packedEntry struct {
	ledger.AuditEntry
	Set string
}

func storeEntry(e ledger.AuditEntry) (string, error) {
	p := packedEntry{AuditEntry: e, Set: encodeSet(e.Set)}
	p.AuditEntry.Set = calendar.Set{}
	return encodeJSON(p)
}

func loadEntry(text string) (ledger.AuditEntry, error) {
	var p packedEntry
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return ledger.AuditEntry{}, fmt.Errorf("an audit entry cannot be read: %w", err)
	}
	var err error
	p.AuditEntry.Set, err = decodeSet(p.Set)
	return p.AuditEntry, err
}

// Audit lists entries, oldest first; of too many the newest are kept.
func (l *Ledger) Audit(ctx context.Context, f ledger.AuditFilter) (out []ledger.AuditEntry, err error) {
	const defaultLimit = 1000
	limit := limitOr(f.Limit, defaultLimit)
	err = l.entries(ctx, `ORDER BY position DESC`, func(_ int64, e ledger.AuditEntry, _ error) error {
		if len(out) < limit && (f.Table == "" || e.Table == f.Table) && !e.At.Before(f.Since) {
			out = append(out, e)
		}
		return nil
	})
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, err
}

// VerifyAudit walks the whole chain.
func (l *Ledger) VerifyAudit(ctx context.Context) (int, error) {
	var chain ledger.Chain
	err := l.entries(ctx, `ORDER BY position`, func(position int64, e ledger.AuditEntry, bad error) error {
		if bad != nil || e.Position != position {
			return &ledger.ChainError{Position: position, What: "edited"}
		}
		return chain.Add(e)
	})
	if err != nil {
		return chain.Entries, err
	}
	var count int64
	var head string
	if err := l.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'audit_count'`).Scan(&count); err != nil {
		return chain.Entries, l.explain(err)
	}
	if err := l.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'audit_head'`).Scan(&head); err != nil {
		return chain.Entries, l.explain(err)
	}
	return chain.Entries, chain.End(count, head)
}

// entries reads the log. each gets an entry that cannot be read with the reason.
func (l *Ledger) entries(ctx context.Context, order string, each func(position int64, e ledger.AuditEntry, bad error) error) error {
	rows, err := l.read.QueryContext(ctx, `SELECT position, entry, previous, hash FROM audit `+order)
	if err != nil {
		return l.explain(err)
	}
	err = drain(rows, func(scan func(...any) error) error {
		var position int64
		var text, previous, hash string
		if err := scan(&position, &text, &previous, &hash); err != nil {
			return err
		}
		e, bad := loadEntry(text)
		if bad == nil && (e.Previous != previous || e.Hash != hash) {
			bad = errors.New("its columns are not its text")
		}
		return each(position, e, bad)
	})
	var chain *ledger.ChainError
	if errors.As(err, &chain) {
		return err
	}
	return l.explain(err)
}
