package mem

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Snapshot reads histories.
func (l *Ledger) Snapshot(ctx context.Context, keys []string) (*history.Snapshot, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := l.empty()
	for _, key := range keys {
		s.Tables[key] = l.history(key, 0)
	}
	return s, nil
}

// Changes reads what has changed.
func (l *Ledger) Changes(ctx context.Context, since history.Seq, keys []string) (*history.Snapshot, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := l.empty()
	for _, key := range keys {
		if t := l.tables[key]; t != nil && (t.touched > since || l.hasOverdue(key)) {
			s.Tables[key] = l.history(key, since)
		}
	}
	return s, nil
}

func (l *Ledger) empty() *history.Snapshot {
	return &history.Snapshot{Ledger: l.opts.ID, Seq: l.clock, Tables: map[string]*history.Table{}, Periods: maps.Clone(l.periods)}
}

// Head is the clock.
func (l *Ledger) Head(ctx context.Context) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	return l.clock, nil
}

// hasOverdue reports whether a lease or a hold over the table has ended that nobody has noticed.
func (l *Ledger) hasOverdue(key string) bool {
	for _, x := range l.leases {
		if l.over(x) && !x.writes[key].Empty() {
			return true
		}
	}
	for _, h := range l.holds {
		if !h.sets[key].Empty() && l.standing(h, key).Empty() {
			return true
		}
	}
	return false
}

func (l *Ledger) history(key string, since history.Seq) *history.Table {
	t := l.tables[key]
	if t == nil {
		return &history.Table{}
	}
	h := &history.Table{
		Segments: t.segments(since), Known: t.known, Moves: slices.Clone(t.moves), Verdicts: t.verdictRows(since), Meta: t.meta,
	}
	for _, v := range t.versions {
		h.Versions = append(h.Versions, history.Version{Version: v.Version, Producer: v.Producer, Head: v.Head})
	}
	for _, x := range l.leases {
		if !l.over(x) {
			h.Reserved = h.Reserved.Union(x.writes[key])
		}
	}
	for _, x := range l.holds {
		h.Held = h.Held.Union(l.standing(x, key))
	}
	for _, a := range l.attempts {
		if a.rec.Table != key {
			continue
		}
		h.Unsettled = h.Unsettled.Union(a.unsettled)
		if l.over(l.leases[a.lease]) {
			h.Unsettled = h.Unsettled.Union(a.flight)
		} else {
			h.InFlight = h.InFlight.Union(a.flight)
		}
	}
	return h
}

// segments gives what was written after since, neighbours alike joined.
func (t *table) segments(since history.Seq) []history.Segment {
	var out []history.Segment
	for _, p := range slices.Sorted(maps.Keys(t.cells)) {
		if c := t.cells[p]; c.written > since {
			out = join(out, c.WithBounds(calendar.Single(p)))
		}
	}
	return out
}

func (t *table) verdictRows(since history.Seq) []history.Verdict {
	var out []history.Verdict
	for _, p := range slices.Sorted(maps.Keys(t.verdicts)) {
		if v := t.verdicts[p]; v.written > since {
			out = join(out, v.WithBounds(calendar.Single(p)))
		}
	}
	return out
}

func join[T history.Row[T]](rows []T, next T) []T {
	if n := len(rows); n > 0 && rows[n-1].Bounds().End == next.Bounds().Start && rows[n-1].SameAs(next) {
		rows[n-1] = rows[n-1].WithBounds(calendar.Interval{Start: rows[n-1].Bounds().Start, End: next.Bounds().End})
		return rows
	}
	return append(rows, next)
}

// Metrics gives the latest value of each check.
func (l *Ledger) Metrics(ctx context.Context, key string, set calendar.Set) ([]ledger.Metric, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.Metric
	if t := l.tables[key]; t != nil {
		for p, checks := range t.metrics {
			if set.Contains(p) {
				out = slices.AppendSeq(out, maps.Values(checks))
			}
		}
	}
	slices.SortFunc(out, func(a, b ledger.Metric) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Check, b.Check))
	})
	return out, nil
}

// Contents gives rows and fingerprints.
func (l *Ledger) Contents(ctx context.Context, key string, set calendar.Set) ([]ledger.Content, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.Content
	if t := l.tables[key]; t != nil {
		for p, c := range t.contents {
			if set.Contains(p) {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b ledger.Content) int { return cmp.Compare(a.Partition, b.Partition) })
	return out, nil
}
