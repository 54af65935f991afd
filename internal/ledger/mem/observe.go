package mem

import (
	"context"
	"maps"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Observe records what was seen outside.
func (l *Ledger) Observe(ctx context.Context, seen ledger.Observation) (ledger.Observed, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return ledger.Observed{}, err
	}
	defer unlock()
	if err := seen.Check(); err != nil {
		return ledger.Observed{}, err
	}
	for _, e := range seen.Expected {
		if err := l.checkAxis(e.Table, e.Axis); err != nil {
			return ledger.Observed{}, err
		}
	}
	for _, s := range seen.Sources {
		if err := l.checkAxis(s.Table, s.Axis); err != nil {
			return ledger.Observed{}, err
		}
	}
	out := ledger.Observed{
		Gained: map[string]calendar.Set{}, Lost: map[string]calendar.Set{}, Changed: map[string]calendar.Set{}, Gone: map[string]calendar.Set{},
	}
	next, moved := l.clock+1, false // the clock moves only if something is new
	for _, e := range seen.Expected {
		moved = l.expect(e, next, &out) || moved
	}
	for _, name := range slices.Sorted(maps.Keys(seen.Periods)) {
		moved = l.define(name, seen.Periods[name], next) || moved
	}
	for _, s := range seen.Sources {
		moved = l.see(s, next, &out) || moved
	}
	if moved {
		l.clock = next
	}
	out.Seq = l.clock
	return out, nil
}

func (l *Ledger) expect(e ledger.Expected, seq history.Seq, out *ledger.Observed) bool {
	t := l.use(e.Table, e.Axis)
	gained, lost := e.Set.Minus(t.known), t.known.Minus(e.Set)
	if gained.Empty() && lost.Empty() {
		return false
	}
	t.moves = history.Overlay(t.moves, history.Spread(history.Move{Seq: seq, Gained: true}, gained))
	t.moves = history.Overlay(t.moves, history.Spread(history.Move{Seq: seq}, lost))
	t.known, t.touched = e.Set, seq
	put(out.Gained, e.Table, gained)
	put(out.Lost, e.Table, lost)
	return true
}

func put(sets map[string]calendar.Set, key string, set calendar.Set) {
	if !set.Empty() {
		sets[key] = set.Union(sets[key])
	}
}

func (l *Ledger) define(name string, ivs []calendar.Interval, seq history.Seq) bool {
	changes := l.periods[name]
	if n := len(changes); n > 0 && slices.Equal(changes[n-1].Intervals, ivs) {
		return false
	}
	l.periods[name] = append(slices.Clone(changes), history.PeriodChange{Seq: seq, Intervals: slices.Clone(ivs)})
	return true
}

// see compares a source with what was known of it.
func (l *Ledger) see(s ledger.Seen, seq history.Seq, out *ledger.Observed) bool {
	t := l.use(s.Table, s.Axis)
	var changed, gone []calendar.Partition
	now := map[calendar.Partition]ledger.Content{}
	for _, c := range s.Contents {
		now[c.Partition] = c
	}
	for p := range s.Empty.Partitions() {
		now[p] = ledger.Content{Partition: p}
	}
	for p, c := range now {
		kind := history.Rows
		switch {
		case s.Drifted.Contains(p):
			kind = history.Drifted
		case s.Empty.Contains(p):
			kind = history.Empty
		}
		before, known := t.contents[p]
		if old, ok := t.cells[p]; ok && old.Content == kind && known && before == c {
			continue
		}
		t.write(p, history.Segment{ChangedSeq: seq, Content: kind}, 0, seq)
		t.contents[p] = c
		changed = append(changed, p)
	}
	for p := range s.Drifted.Partitions() {
		_, present := now[p]
		old, ok := t.cells[p]
		if _, known := t.contents[p]; present || (ok && old.Content == history.Drifted && !known) {
			continue
		}
		now[p] = ledger.Content{Partition: p}
		t.write(p, history.Segment{ChangedSeq: seq, Content: history.Drifted}, 0, seq)
		delete(t.contents, p)
		changed = append(changed, p)
	}
	for p, old := range t.cells {
		_, present := now[p]
		_, known := t.contents[p]
		settled := !known && (old.Content == history.Drifted || old.Content == history.Skipped)
		if present || !s.Looked.Contains(p) || s.Drifted.Contains(p) || settled {
			continue
		}
		t.write(p, history.Segment{ChangedSeq: seq, Content: history.Drifted}, 0, seq)
		delete(t.contents, p)
		gone = append(gone, p)
	}
	put(out.Changed, s.Table, calendar.Of(changed...))
	put(out.Gone, s.Table, calendar.Of(gone...))
	meta := s.Meta != t.meta
	if meta {
		t.meta, t.touched = s.Meta, seq
	}
	return meta || len(changed)+len(gone) > 0
}
