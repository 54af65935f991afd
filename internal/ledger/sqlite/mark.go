package sqlite

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Mark changes what is held of partitions because a person says so.
func (l *Ledger) Mark(ctx context.Context, m ledger.Mark) (seq history.Seq, err error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	err = l.write(ctx, func(t *tx) (err error) {
		seq, err = t.mark(m)
		return err
	})
	return seq, err
}

func (t *tx) mark(m ledger.Mark) (seq history.Seq, err error) {
	seq, err = t.markedBefore(m)
	if err != nil || seq != 0 {
		return seq, err
	}
	if m.Kind == ledger.MarkHeadTo {
		return t.promote(m)
	}
	tab, err := t.use(m.Table, m.Axis)
	if err != nil {
		return 0, err
	}
	old, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, m.Set)
	if err != nil {
		return 0, err
	}
	before := ledger.Describe(t.clock, "", plain(old))
	seq = t.touch(tab)
	switch m.Kind {
	case ledger.MarkStale:
		err = t.markStale(tab, old, seq)
	case ledger.MarkGone:
		err = t.lose(tab, m.Set, seq)
	default:
		err = t.takeOver(tab, m, old, seq)
	}
	if err != nil {
		return 0, err
	}
	now, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, m.Set)
	if err != nil {
		return 0, err
	}
	return seq, t.note(m, before, ledger.Describe(seq, "", plain(now)))
}

// markedBefore gives the clock of the same mark if it was made already.
func (t *tx) markedBefore(m ledger.Mark) (seq history.Seq, err error) {
	err = t.query(func(r row) error {
		e, err := readEntry(r)
		if err == nil && m.Repeats(e) {
			seq = ledger.SeqOf(e.After)
		}
		return err
	}, selectAudit+`WHERE at = ? AND key = ?`, m.At, m.Table)
	return seq, err
}

// plain are segments as readers see them.
func plain(rows []segment) []history.Segment {
	out := make([]history.Segment, len(rows))
	for i, r := range rows {
		out[i] = r.Segment
	}
	return joined(out)
}

func (t *tx) markStale(tab *table, old []segment, seq history.Seq) error {
	var rows []segment
	for _, s := range old {
		if !s.Stale {
			s.Stale, s.written = true, seq
			rows = append(rows, s)
		}
	}
	return t.putSegments(tab, joined(rows), seq)
}

// takeOver marks partitions as fresh or skipped.
func (t *tx) takeOver(tab *table, m ledger.Mark, old []segment, seq history.Seq) error {
	before, err := t.standing(tab, m.Set)
	if err != nil {
		return err
	}
	given := map[calendar.Partition]ledger.Content{}
	for _, c := range m.Contents {
		given[c.Partition] = c
	}
	rows := make([]segment, 0, m.Set.Count())
	k := 0
	for p := range m.Set.Partitions() {
		for k < len(old) && old[k].End <= p {
			k++
		}
		var was segment
		if k < len(old) && old[k].Contains(p) {
			was = old[k]
		}
		s := segment{token: was.token, written: seq, Segment: history.Segment{
			Interval: calendar.Single(p), ReadSeq: seq, ChangedSeq: seq, Version: m.Version, Accepted: true, ReadAt: m.At,
		}}
		c, isGiven := given[p]
		if m.Kind == ledger.MarkSkipped {
			skip(&s, before[p], was)
		} else {
			s.CheckVersion, s.CheckSeq = m.CheckVersion, seq
			if m.CheckVersion == "" {
				s.CheckVersion, s.CheckSeq = was.CheckVersion, was.CheckSeq
			}
			keep(&s, before[p], was, c, isGiven)
		}
		rows = append(rows, s)
	}
	if err := t.putSegments(tab, joined(rows), seq); err != nil {
		return err
	}
	if m.Kind == ledger.MarkSkipped {
		return lay(t, contentCodec{}, shelf{tab.id, contents}, nil, m.Set, seq)
	}
	return t.putContents(tab, m.Contents, m.Set, seq)
}

func skip(s *segment, before standing, was segment) {
	s.Content = history.Skipped
	if before.here && was.Content == history.Skipped {
		s.ChangedSeq = was.ChangedSeq
	}
}

// keep fills in what stays of a partition that is taken over as fresh. What was readable and is the same has not changed.
func keep(s *segment, before standing, was segment, c ledger.Content, given bool) {
	s.FixedBy = was.FixedBy
	if before.here && was.Content.Readable() {
		s.Content, s.Shortfall, s.Attempt, s.ChangedSeq = was.Content, was.Shortfall, was.Attempt, was.ChangedSeq
	}
	if !given {
		return
	}
	s.Content = history.Rows
	if c.Rows == 0 {
		s.Content = history.Empty
	}
	if !before.known || before.content != c || s.Content != was.Content {
		s.ChangedSeq, s.Attempt, s.FixedBy = s.written, "", ""
	}
}

// promote makes a registered version the head of its producer.
func (t *tx) promote(m ledger.Mark) (history.Seq, error) {
	tab, err := t.known(m.Table)
	if err != nil {
		return 0, err
	}
	all, err := t.versionsOf(tab)
	if err != nil {
		return 0, err
	}
	v := find(all, m.Version)
	if v == nil {
		return 0, fmt.Errorf("version %s of %s: %w", m.Version, m.Table, ledger.ErrNotFound)
	}
	was := ""
	if head := headOf(all, v.Producer); head != nil {
		was = head.Version
	}
	before := ledger.Describe(t.clock, was, nil)
	seq := t.touch(tab)
	if err := t.crown(tab, &v.VersionRecord, tab.token); err != nil {
		return 0, err
	}
	return seq, t.note(m, before, ledger.Describe(seq, m.Version, nil))
}

// note writes a mark into the audit log.
func (t *tx) note(m ledger.Mark, before, after string) error {
	return t.audit(ledger.AuditEntry{
		At: m.At, Actor: m.Actor, Action: "mark." + string(m.Kind), Table: m.Table, Set: m.Set, Reason: m.Reason, Before: before, After: after,
	})
}
