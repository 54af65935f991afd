package sqlite

import (
	"context"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Recheck records what checking rows that stand there came to.
func (l *Ledger) Recheck(ctx context.Context, r ledger.Recheck) (seq history.Seq, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		seq, err = t.recheck(r)
		return err
	})
	return seq, err
}

func (t *tx) recheck(r ledger.Recheck) (history.Seq, error) {
	if err := r.Check(t.clock); err != nil {
		return 0, err
	}
	tab, err := t.find(r.Table)
	if err != nil || tab == nil {
		return t.clock, err
	}
	if tab, err = t.use(r.Table, r.Axis); err != nil { // it is there, and must have this axis
		return 0, err
	}
	set := r.Passing.Union(r.Failing)
	err = t.flightsOver(tab.id, set, func(f flight) { set = set.Minus(f.set) })
	if err != nil || set.Empty() {
		return t.clock, err
	}
	rows, said, err := t.rechecked(tab, r, set)
	if err != nil || len(rows) == 0 {
		return t.clock, err
	}
	seq := t.touch(tab)
	for i := range rows {
		rows[i].written = seq
	}
	for i := range said {
		said[i].written = seq
	}
	if err := t.putSegments(tab, joined(rows), seq); err != nil {
		return 0, err
	}
	if err := lay(t, verdictCodec{}, shelf{tab.id, verdicts}, joined(said), calendar.Set{}, seq); err != nil {
		return 0, err
	}
	moved := history.Covered(rows)
	return seq, t.measure(tab, slices.DeleteFunc(slices.Clone(r.Metrics), func(m ledger.Metric) bool { return !moved.Contains(m.Partition) }), seq)
}

// rechecked are the segments of a set that a recheck changes, one for each partition, and the verdicts over them.
func (t *tx) rechecked(tab *table, r ledger.Recheck, set calendar.Set) (rows []segment, said []verdict, err error) {
	standing, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, set)
	if err != nil {
		return nil, nil, err
	}
	known, err := rowsOver(t, contentCodec{}, shelf{tab.id, contents}, set)
	if err != nil {
		return nil, nil, err
	}
	judged, err := rowsOver(t, verdictCodec{}, shelf{tab.id, verdicts}, set)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range standing {
		if !r.Concerns(s.Segment) {
			continue
		}
		for p := range set.Within(s.Interval).Partitions() {
			count := int64(-1)
			if c := rowAt(known, p); c != nil {
				count = c.rows
			}
			var was *history.Verdict
			if v := rowAt(judged, p); v != nil {
				was = &v.Verdict
			}
			s.Interval = calendar.Single(p)
			now, says := r.Of(s.Segment, count, was)
			if now.SameAs(s.Segment) && (says == nil) == (was == nil) && (says == nil || says.SameAs(*was)) {
				continue
			}
			rows = append(rows, segment{Segment: now, token: s.token})
			if says != nil {
				said = append(said, verdict{Verdict: says.WithBounds(calendar.Single(p))})
			}
		}
	}
	return rows, said, nil
}

// rowAt is the row over a partition; nil where there is none.
func rowAt[T history.Row[T]](rows []T, p calendar.Partition) *T {
	i, found := slices.BinarySearchFunc(rows, p, func(r T, p calendar.Partition) int {
		switch iv := r.Bounds(); {
		case iv.End <= p:
			return -1
		case iv.Start > p:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &rows[i]
}
