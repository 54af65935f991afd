package mem

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Recheck records what checking rows that stand there came to.
func (l *Ledger) Recheck(ctx context.Context, r ledger.Recheck) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := r.Check(l.clock); err != nil {
		return 0, err
	}
	if err := l.checkAxis(r.Table, r.Axis); err != nil {
		return 0, err
	}
	t := l.tables[r.Table]
	if t == nil {
		return l.clock, nil
	}
	var busy calendar.Set
	for _, a := range l.attempts {
		if a.rec.Table == r.Table {
			busy = calendar.UnionAll(busy, a.flight, a.unsettled)
		}
	}
	next, moved := l.clock+1, map[calendar.Partition]bool{}
	for p := range r.Passing.Union(r.Failing).Minus(busy).Partitions() {
		moved[p] = t.recheck(r, p, next)
	}
	for _, m := range r.Metrics {
		if moved[m.Partition] {
			t.measure(m, next)
		}
	}
	if t.touched == next {
		l.clock = next
	}
	return l.clock, nil
}

// recheck is Recheck for one partition. It reports whether anything changed.
func (t *table) recheck(r ledger.Recheck, p calendar.Partition, seq history.Seq) bool {
	old, ok := t.cells[p]
	if !ok || !r.Concerns(old.Segment) {
		return false
	}
	rows := int64(-1)
	if c, known := t.contents[p]; known {
		rows = c.Rows
	}
	var was *history.Verdict
	if v, judged := t.verdicts[p]; judged {
		v.Interval = calendar.Single(p)
		was = &v.Verdict
	}
	now, says := r.Of(old.WithBounds(calendar.Single(p)), rows, was)
	same := now.SameAs(old.Segment) && (says == nil) == (was == nil) && (says == nil || says.SameAs(*was))
	if same {
		return false
	}
	t.write(p, now, old.token, seq)
	if says != nil {
		says.Interval = calendar.Interval{}
		t.verdicts[p] = verdict{written: seq, Verdict: *says}
	}
	return true
}
