package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Observe records what was seen outside.
func (l *Ledger) Observe(ctx context.Context, seen ledger.Observation) (out ledger.Observed, err error) {
	err = l.do(ctx, func(t *txn) error {
		out = ledger.Observed{
			Gained: map[string]calendar.Set{}, Lost: map[string]calendar.Set{}, Changed: map[string]calendar.Set{}, Gone: map[string]calendar.Set{},
		}
		for _, e := range seen.Expected {
			if err := t.expect(e, &out); err != nil {
				return err
			}
		}
		for name, ivs := range seen.Periods {
			if err := t.period(name, ivs); err != nil {
				return err
			}
		}
		for _, s := range seen.Sources {
			if err := t.source(s, &out); err != nil {
				return err
			}
		}
		if out.Seq = t.seq; out.Seq == 0 {
			var err error
			out.Seq, err = t.clock()
			return err
		}
		return nil
	})
	return out, err
}

// expect logs what a table's calendar has gained and lost (rule 17).
func (t *txn) expect(e ledger.Expected, out *ledger.Observed) error {
	r, err := t.table(e.Table, e.Axis)
	if err != nil {
		return err
	}
	var text string
	if err := t.row(`SELECT known FROM tbl WHERE id = ?`, []any{r.id}, &text); err != nil {
		return err
	}
	known, err := decodeSet(text)
	if err != nil || known.Equal(e.Set) {
		return err
	}
	gained, lost := e.Set.Minus(known), known.Minus(e.Set)
	seq, err := t.tick()
	if err != nil {
		return err
	}
	if err := t.putMoves(r.id, history.Spread(history.Move{Seq: seq, Gained: true}, gained)); err != nil {
		return err
	}
	if err := t.putMoves(r.id, history.Spread(history.Move{Seq: seq}, lost)); err != nil {
		return err
	}
	if err := t.exec(`UPDATE tbl SET known = ? WHERE id = ?`, encodeSet(e.Set), r.id); err != nil {
		return err
	}
	if !gained.Empty() {
		out.Gained[e.Table] = gained
	}
	if !lost.Empty() {
		out.Lost[e.Table] = lost
	}
	return t.touch(r.id)
}

// period logs a new definition of a period.
func (t *txn) period(name string, ivs []calendar.Interval) error {
	var text string
	err := t.row(`SELECT intervals FROM period WHERE name = ? ORDER BY seq DESC LIMIT 1`, []any{name}, &text)
	switch {
	case err == nil && text == encodeIntervals(ivs):
		return nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	seq, err := t.tick()
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO period VALUES (?,?,?)`, name, seq, encodeIntervals(ivs))
}

// encodeIntervals keeps neighbours apart, which a set would join: two seasons may touch.
func encodeIntervals(ivs []calendar.Interval) string {
	pairs := make([][2]calendar.Partition, len(ivs))
	for i, iv := range ivs {
		pairs[i] = [2]calendar.Partition{iv.Start, iv.End}
	}
	slices.SortFunc(pairs, func(a, b [2]calendar.Partition) int { return int(a[0] - b[0]) })
	out, err := json.Marshal(pairs)
	if err != nil {
		panic("lite: numbers cannot be written as JSON: " + err.Error())
	}
	return string(out)
}

// source records what a source was found to hold.
func (t *txn) source(s ledger.Seen, out *ledger.Observed) error {
	r, err := t.table(s.Table, s.Axis)
	if err != nil {
		return err
	}
	old, err := t.segments(r.id, s.Looked.Bounds())
	if err != nil {
		return err
	}
	old = history.Clip(old, s.Looked)
	was, err := t.contents(r.id, s.Looked)
	if err != nil {
		return err
	}
	sight := compare(s, old, was)
	if err := t.exec(`UPDATE tbl SET meta = ? WHERE id = ? AND ?1 <> ''`, s.Meta, r.id); err != nil {
		return err
	}
	if len(sight.rows) == 0 {
		return nil
	}
	seq, err := t.tick()
	if err != nil {
		return err
	}
	for i := range sight.rows {
		if sight.rows[i].ChangedSeq == 0 {
			sight.rows[i].ChangedSeq = seq
		}
	}
	if err := t.putSegments(r.id, join(sight.rows)); err != nil {
		return err
	}
	if len(sight.fresh) > 0 {
		b := calendar.Interval{Start: sight.fresh[0].Partition, End: sight.fresh[len(sight.fresh)-1].Partition + 1}
		if err := t.putContents(r.id, b, sight.fresh); err != nil {
			return err
		}
	}
	if !sight.changed.Empty() {
		out.Changed[s.Table] = sight.changed
	}
	if !sight.gone.Empty() {
		out.Gone[s.Table] = sight.gone
	}
	return t.touch(r.id)
}

// A sight is how what was seen differs from what was known. Rows with a ChangedSeq of 0 are to get the new one.
type sight struct {
	rows          []history.Segment // sorted
	fresh         []ledger.Content  // contents that are new or different, sorted
	changed, gone calendar.Set
}

// compare looks at each partition that was looked at or was known.
func compare(s ledger.Seen, old []segmentRow, was map[calendar.Partition]ledger.Content) sight {
	var out sight
	var changed, gone []calendar.Partition
	segment := map[calendar.Partition]*history.Segment{}
	for i := range old {
		for p := old[i].Start; p < old[i].End; p++ {
			segment[p] = &old[i].Segment
		}
	}
	put := func(p calendar.Partition, content history.Content, differs bool) {
		row := history.Segment{Interval: calendar.Single(p), Content: content}
		known := segment[p]
		if known != nil && !differs {
			if known.Content == content {
				return
			}
			row.ChangedSeq = known.ChangedSeq
		}
		out.rows = append(out.rows, row)
	}
	here := map[calendar.Partition]bool{}
	contents := slices.Clone(s.Contents)
	slices.SortFunc(contents, func(a, b ledger.Content) int { return int(a.Partition - b.Partition) })
	for _, c := range contents {
		if !s.Looked.Contains(c.Partition) {
			continue
		}
		here[c.Partition] = true
		before, known := was[c.Partition]
		differs := !known || before.Fingerprint != c.Fingerprint || before.Rows != c.Rows || segment[c.Partition] == nil ||
			segment[c.Partition].Content == history.Empty
		content := history.Rows
		if s.Drifted.Contains(c.Partition) {
			content = history.Drifted
		}
		put(c.Partition, content, differs)
		if differs {
			changed = append(changed, c.Partition)
			out.fresh = append(out.fresh, c)
		}
	}
	for p := range s.Empty.Intersect(s.Looked).Partitions() {
		if here[p] {
			continue
		}
		here[p] = true
		differs := segment[p] == nil || segment[p].Content != history.Empty
		put(p, history.Empty, differs)
		if differs {
			changed = append(changed, p)
		}
	}
	for p, known := range segment {
		if here[p] || known.Content == history.Drifted && !hasRows(was, p) {
			continue
		}
		// It was read, and is not there any more: drift, not a smaller source (rule 18).
		put(p, history.Drifted, true)
		gone = append(gone, p)
		out.fresh = append(out.fresh, ledger.Content{Partition: p})
	}
	slices.SortFunc(out.rows, func(a, b history.Segment) int { return int(a.Start - b.Start) })
	slices.SortFunc(out.fresh, func(a, b ledger.Content) int { return int(a.Partition - b.Partition) })
	out.changed, out.gone = calendar.Of(changed...), calendar.Of(gone...)
	return out
}

func hasRows(was map[calendar.Partition]ledger.Content, p calendar.Partition) bool {
	return was[p].Fingerprint != ""
}

// join puts neighbours that are alike into one row.
func join(rows []history.Segment) []history.Segment {
	out := rows[:0:0]
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1].End == r.Start && out[n-1].SameAs(r) {
			out[n-1].End = r.End
			continue
		}
		out = append(out, r)
	}
	return out
}
