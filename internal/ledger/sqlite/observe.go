package sqlite

import (
	"context"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Observe records what was seen outside.
func (l *Ledger) Observe(ctx context.Context, seen ledger.Observation) (out ledger.Observed, err error) {
	if err := seen.Check(); err != nil {
		return out, err
	}
	err = l.write(ctx, func(t *tx) error {
		out = ledger.Observed{
			Gained: map[string]calendar.Set{}, Lost: map[string]calendar.Set{}, Changed: map[string]calendar.Set{}, Gone: map[string]calendar.Set{},
		}
		for _, e := range seen.Expected {
			if err := t.expect(e, &out); err != nil {
				return err
			}
		}
		for _, name := range sortedKeys(seen.Periods) {
			if err := t.define(name, seen.Periods[name]); err != nil {
				return err
			}
		}
		for _, s := range seen.Sources {
			if err := t.see(s, &out); err != nil {
				return err
			}
		}
		out.Seq = t.clock
		return nil
	})
	return out, err
}

func put(sets map[string]calendar.Set, key string, set calendar.Set) {
	if !set.Empty() {
		sets[key] = set.Union(sets[key])
	}
}

// expectation is what is known of the set that a table's calendar names, and a source's cheap version.
func (t *tx) expectation(tab *table) (known calendar.Set, meta string, err error) {
	_, err = t.first(func(r row) error {
		meta = r.text(1)
		known, err = readSet(r.blob(0))
		return err
	}, `SELECT known, meta FROM expected WHERE table_id = ?`, tab.id)
	return known, meta, err
}

func (t *tx) expect(e ledger.Expected, out *ledger.Observed) error {
	tab, err := t.use(e.Table, e.Axis)
	if err != nil {
		return err
	}
	known, _, err := t.expectation(tab)
	if err != nil {
		return err
	}
	gained, lost := e.Set.Minus(known), known.Minus(e.Set)
	if gained.Empty() && lost.Empty() {
		return nil
	}
	put(out.Gained, e.Table, gained)
	put(out.Lost, e.Table, lost)
	return t.move(tab, e.Set, gained, lost, t.touch(tab))
}

// move stores what a table's calendar names now, and logs what came and went.
func (t *tx) move(tab *table, known, gained, lost calendar.Set, seq history.Seq) error {
	rows := history.Overlay(history.Spread(history.Move{Seq: seq, Gained: true}, gained), history.Spread(history.Move{Seq: seq}, lost))
	if err := lay(t, moveCodec{}, shelf{tab.id, moves}, rows, calendar.Set{}, seq); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO expected (table_id, known, meta) VALUES (?, ?, '') ON CONFLICT (table_id) DO UPDATE SET known = excluded.known`,
		tab.id, packSet(known))
	return err
}

// lose takes partitions out of what is known of a calendar.
func (t *tx) lose(tab *table, set calendar.Set, seq history.Seq) error {
	known, _, err := t.expectation(tab)
	if err != nil {
		return err
	}
	return t.move(tab, known.Minus(set), calendar.Set{}, known.Intersect(set), seq)
}

func (t *tx) define(name string, ivs []calendar.Interval) error {
	var last []calendar.Interval
	found, err := t.first(func(r row) error {
		rd := reader{s: string(r.blob(0))}
		last = rd.intervals()
		return rd.err()
	}, `SELECT intervals FROM period WHERE name = ? ORDER BY seq DESC LIMIT 1`, name)
	if err != nil || (found && slices.Equal(last, ivs)) {
		return err
	}
	var p packer
	p.intervals(ivs)
	_, err = t.exec(`INSERT INTO period (name, seq, intervals) VALUES (?, ?, ?)`, name, t.tick(), p.b)
	return err
}

// A standing partition of a source is what is known of it.
type standing struct {
	kind    history.Content
	here    bool // something was recorded of it
	content ledger.Content
	known   bool // its content is
}

func (t *tx) standing(tab *table, set calendar.Set) (map[calendar.Partition]standing, error) {
	out := map[calendar.Partition]standing{}
	stand, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, set)
	if err != nil {
		return nil, err
	}
	for _, s := range stand {
		for p := s.Start; p < s.End; p++ {
			out[p] = standing{kind: s.Content, here: true}
		}
	}
	held, err := rowsOver(t, contentCodec{}, shelf{tab.id, contents}, set)
	if err != nil {
		return nil, err
	}
	for _, c := range held {
		for p := c.Start; p < c.End; p++ {
			s := out[p]
			s.known, s.content = true, ledger.Content{Partition: p, Rows: c.rows, Fingerprint: c.fingerprint}
			out[p] = s
		}
	}
	return out, nil
}

// see compares a source with what was known of it.
func (t *tx) see(s ledger.Seen, out *ledger.Observed) error {
	tab, err := t.use(s.Table, s.Axis)
	if err != nil {
		return err
	}
	before, err := t.standing(tab, s.Looked)
	if err != nil {
		return err
	}
	kinds := map[calendar.Partition]history.Content{} // of what is not as it was
	fresh, gone := compare(s, before, kinds)
	put(out.Gone, s.Table, calendar.Of(gone...))
	for _, p := range gone {
		kinds[p] = history.Drifted
	}
	if err := t.putSeen(tab, kinds, fresh); err != nil {
		return err
	}
	for _, p := range gone {
		delete(kinds, p)
	}
	put(out.Changed, s.Table, calendar.Of(sortedKeys(kinds)...))
	_, meta, err := t.expectation(tab)
	if err != nil || meta == s.Meta {
		return err
	}
	t.touch(tab)
	_, err = t.exec(`INSERT INTO expected (table_id, known, meta) VALUES (?, ?, ?) ON CONFLICT (table_id) DO UPDATE SET meta = excluded.meta`,
		tab.id, packSet(calendar.Set{}), s.Meta)
	return err
}

// compare fills in of which kind each partition is that is not as it was, and gives their contents and the partitions that are gone.
func compare(s ledger.Seen, before map[calendar.Partition]standing, kinds map[calendar.Partition]history.Content) (fresh []ledger.Content, gone []calendar.Partition) {
	present := map[calendar.Partition]bool{}
	look := func(c ledger.Content, kind history.Content) {
		p := c.Partition
		present[p] = true
		if s.Drifted.Contains(p) {
			kind = history.Drifted
		}
		if was := before[p]; was.here && was.kind == kind && was.known && was.content == c {
			return
		}
		kinds[p] = kind
		fresh = append(fresh, c)
	}
	for _, c := range s.Contents {
		look(c, history.Rows)
	}
	for p := range s.Empty.Partitions() {
		look(ledger.Content{Partition: p}, history.Empty)
	}
	lost := func(was standing) bool {
		return was.here && (was.kind == history.Drifted || was.kind == history.Skipped) && !was.known
	}
	for p := range s.Drifted.Partitions() {
		if was := before[p]; !present[p] && (!lost(was) || was.kind != history.Drifted) {
			kinds[p] = history.Drifted
		}
	}
	for p, was := range before {
		if was.here && !present[p] && !s.Drifted.Contains(p) && !lost(was) {
			gone = append(gone, p)
		}
	}
	return fresh, gone
}

// putSeen stores what a source holds now; partitions of which no content is given have none.
func (t *tx) putSeen(tab *table, kinds map[calendar.Partition]history.Content, fresh []ledger.Content) error {
	if len(kinds) == 0 {
		return nil
	}
	seq := t.touch(tab)
	rows := make([]segment, 0, len(kinds))
	all := make([]calendar.Interval, 0, len(kinds))
	for _, p := range sortedKeys(kinds) {
		rows = append(rows, segment{
			Segment: history.Segment{Interval: calendar.Single(p), ChangedSeq: seq, Content: kinds[p]}, written: seq,
		})
		all = append(all, calendar.Single(p))
	}
	if err := t.putSegments(tab, joined(rows), seq); err != nil {
		return err
	}
	held := make([]content, 0, len(fresh))
	for _, c := range fresh {
		held = append(held, contentOf(c))
	}
	slices.SortFunc(held, func(a, b content) int { return int(a.Start - b.Start) })
	return lay(t, contentCodec{}, shelf{tab.id, contents}, joined(held), calendar.NewSet(all...), seq)
}
