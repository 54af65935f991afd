package mem

import (
	"context"
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Mark changes what is held of partitions because a person says so.
func (l *Ledger) Mark(ctx context.Context, m ledger.Mark) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := m.Check(); err != nil {
		return 0, err
	}
	for _, e := range l.audit {
		if m.Repeats(e) {
			return ledger.SeqOf(e.After), nil
		}
	}
	if m.Kind == ledger.MarkHeadTo {
		return l.promote(m)
	}
	if err := l.checkAxis(m.Table, m.Axis); err != nil {
		return 0, err
	}
	t := l.use(m.Table, m.Axis)
	before := ledger.Describe(l.clock, "", history.Clip(t.segments(0), m.Set))
	seq := l.tick()
	t.touched = seq
	switch m.Kind {
	case ledger.MarkGone:
		t.moves = history.Overlay(t.moves, history.Spread(history.Move{Seq: seq}, t.known.Intersect(m.Set)))
		t.known = t.known.Minus(m.Set)
	case ledger.MarkStale:
		for p, c := range t.cells {
			if m.Set.Contains(p) && !c.Stale {
				c.Stale = true
				t.write(p, c.Segment, c.token, seq)
			}
		}
	default:
		for p := range m.Set.Partitions() {
			t.mark(m, p, seq)
		}
	}
	l.note(m, before, ledger.Describe(seq, "", history.Clip(t.segments(0), m.Set)))
	return seq, nil
}

// mark takes one partition over as fresh or as skipped.
func (t *table) mark(m ledger.Mark, p calendar.Partition, seq history.Seq) {
	old, stood := t.cells[p]
	s := history.Segment{ReadSeq: seq, ChangedSeq: seq, Version: m.Version, Accepted: true, ReadAt: m.At}
	if m.Kind == ledger.MarkSkipped {
		s.Content = history.Skipped
		if stood && old.Content == history.Skipped {
			s.ChangedSeq = old.ChangedSeq
		}
		delete(t.contents, p)
		t.write(p, s, old.token, seq)
		return
	}
	given := slices.IndexFunc(m.Contents, func(c ledger.Content) bool { return c.Partition == p })
	s.CheckVersion, s.CheckSeq = m.CheckVersion, seq
	if m.CheckVersion == "" {
		s.CheckVersion, s.CheckSeq = old.CheckVersion, old.CheckSeq
	}
	if stood {
		s.FixedBy = old.FixedBy
	}
	if stood && old.Content.Readable() {
		s.Content, s.Shortfall, s.Attempt, s.ChangedSeq = old.Content, old.Shortfall, old.Attempt, old.ChangedSeq
	}
	if given >= 0 {
		c := m.Contents[given]
		s.Content = history.Rows
		if c.Rows == 0 {
			s.Content = history.Empty
		}
		if before, known := t.contents[p]; !known || before != c || s.Content != old.Content {
			s.ChangedSeq, s.Attempt, s.FixedBy = seq, "", ""
		}
		t.contents[p] = c
	}
	t.write(p, s, old.token, seq)
}

// promote makes a registered version the head of its producer.
func (l *Ledger) promote(m ledger.Mark) (history.Seq, error) {
	t := l.tables[m.Table]
	var v *version
	if t != nil {
		v = t.version(m.Version)
	}
	if v == nil {
		return 0, fmt.Errorf("version %s of %s: %w", m.Version, m.Table, ledger.ErrNotFound)
	}
	was := ""
	if head := t.head(v.Producer); head != nil {
		was = head.Version
	}
	before := ledger.Describe(l.clock, was, nil)
	seq := l.tick()
	t.touched = seq
	t.crown(v, t.token)
	l.note(m, before, ledger.Describe(seq, v.Version, nil))
	return seq, nil
}

// seal writes an entry into the audit log.
func (l *Ledger) seal(e ledger.AuditEntry) {
	previous := ""
	if n := len(l.audit); n > 0 {
		previous = l.audit[n-1].Hash
	}
	l.audit = append(l.audit, e.Sealed(int64(len(l.audit))+1, previous))
}

// note writes a mark into the audit log.
func (l *Ledger) note(m ledger.Mark, before, after string) {
	l.seal(ledger.AuditEntry{
		At: m.At, Actor: m.Actor, Action: "mark." + string(m.Kind), Table: m.Table, Set: m.Set, Reason: m.Reason, Before: before, After: after,
	})
}

// Audit lists entries of the audit log.
func (l *Ledger) Audit(ctx context.Context, f ledger.AuditFilter) ([]ledger.AuditEntry, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.AuditEntry
	for _, e := range l.audit {
		if (f.Table == "" || e.Table == f.Table) && !e.At.Before(f.Since) {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-f.Most()):], nil
}

// VerifyAudit walks the audit log.
func (l *Ledger) VerifyAudit(ctx context.Context) (int, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	var chain ledger.Chain
	for _, e := range l.audit {
		if err := chain.Add(e); err != nil {
			return chain.Entries, err
		}
	}
	return chain.Entries, nil
}
