package sqlite

import (
	"bytes"
	"math"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A shelf is where the pages of one kind of a table lie.
type shelf struct {
	table int64
	kind  int
}

// A page is a stored page.
type page struct {
	id    int64
	start int64
	blob  []byte
}

// The pages from the one in which a range begins, or the last before it, to where it ends. The sums keep SQLite from planning the statement
// again for every new value of a bare parameter, which costs ten times what the statement does.
const pagesNear = `SELECT id, start, rows FROM page WHERE table_id = ?1 + 0 AND kind = ?2 + 0 AND start < ?4 + 0 AND start >= coalesce(
	(SELECT start FROM page WHERE table_id = ?1 + 0 AND kind = ?2 + 0 AND start <= ?3 + 0 ORDER BY start DESC LIMIT 1), ?3 + 0) ORDER BY start`

// The page after those.
const pageAfter = `SELECT start FROM page WHERE table_id = ?1 + 0 AND kind = ?2 + 0 AND start >= ?3 + 0 ORDER BY start LIMIT 1`

// A stretch is neighbouring pages of a shelf, unpacked. A transaction lays rows over it as often as it likes; they are packed once, when the
// group ends. What it holds is kept for the next group for as long as nobody else has written (tx.begin).
type stretch[T history.Row[T]] struct {
	codec codec[T]
	shelf shelf
	// Of the partitions in known, rows are all that is stored.
	known calendar.Interval
	rows  []T
	pages []page
	// What was changed since they were packed: with which newest reading of the clock, and whether only near the end.
	dirty   bool
	written history.Seq
	atEnd   bool
}

// stretched is a stretch of whatever rows.
type stretched interface {
	// put packs and stores what was changed, and reports whether the stretch is worth keeping.
	put(s *session) (keep bool, err error)
}

// around is one partition more on either side: rows that touch may be joined.
func around(over calendar.Interval) calendar.Interval {
	return calendar.Interval{Start: over.Start - 1, End: over.End + 1}
}

// near reads the pages near a range.
func near[T history.Row[T]](s *session, c codec[T], of shelf, over calendar.Interval) (*stretch[T], error) {
	st := &stretch[T]{codec: c, shelf: of, atEnd: true}
	err := s.query(func(r row) (err error) {
		blob := r.blob(2)
		st.rows, err = readPage(c, st.rows, blob)
		st.pages = append(st.pages, page{r.int(0), r.int(1), blob})
		return err
	}, pagesNear, of.table, of.kind, over.Start, over.End)
	return st, err
}

// load reads the rows over a set, clipped to it.
func load[T history.Row[T]](s *session, c codec[T], of shelf, set calendar.Set) ([]T, error) {
	if set.Empty() {
		return nil, nil
	}
	st, err := near(s, c, of, set.Bounds())
	return history.Clip(st.rows, set), err
}

// open gives a stretch that knows a range. There is one of a shelf at a time.
func open[T history.Row[T]](t *tx, c codec[T], of shelf, over calendar.Interval) (*stretch[T], error) {
	if held, ok := t.open[of].(*stretch[T]); ok {
		if held.known.Start <= over.Start && over.End <= held.known.End {
			return held, nil
		}
		delete(t.open, of)
		if _, err := held.put(t.session); err != nil {
			return nil, err
		}
	}
	st, err := near(t.session, c, of, over)
	if err != nil {
		return nil, err
	}
	st.known = calendar.Interval{Start: math.MinInt64, End: math.MaxInt64}
	if len(st.pages) > 0 && st.pages[0].start <= int64(over.Start) {
		st.known.Start = calendar.Partition(st.pages[0].start)
	}
	_, err = t.first(func(r row) error { st.known.End = calendar.Partition(r.int(0)); return nil }, pageAfter, of.table, of.kind, over.End)
	if err != nil {
		return nil, err
	}
	t.open[of] = st
	return st, nil
}

// rowsOver gives the rows over a set, clipped to it, as the transaction sees them.
func rowsOver[T history.Row[T]](t *tx, c codec[T], of shelf, set calendar.Set) ([]T, error) {
	if set.Empty() {
		return nil, nil
	}
	st, err := open(t, c, of, set.Bounds())
	if err != nil {
		return nil, err
	}
	return history.Clip(st.rows, set), nil
}

// lay puts newer rows over what is stored, and takes away what is stored over cut.
func lay[T history.Row[T]](t *tx, c codec[T], of shelf, newer []T, cut calendar.Set, seq history.Seq) error {
	over := cut.Bounds()
	if len(newer) > 0 {
		first, last := newer[0].Bounds().Start, newer[len(newer)-1].Bounds().End
		if over.Empty() {
			over = calendar.Interval{Start: first, End: last}
		}
		over = calendar.Interval{Start: min(over.Start, first), End: max(over.End, last)}
	}
	if over.Empty() {
		return nil
	}
	st, err := open(t, c, of, around(over))
	if err != nil || len(newer) == 0 && !history.Covered(st.rows).Overlaps(cut) {
		return err
	}
	// Chunks at once come to their ends in any order: what is put near the end of a history makes it grow there.
	if n := len(st.rows); n > 0 && over.Start < st.rows[n-1-n/4].Bounds().Start {
		st.atEnd = false
	}
	st.rows = history.Overlay(history.Without(st.rows, cut), newer)
	st.dirty, st.written, t.changed = true, max(st.written, seq), true
	return nil
}

// maxOpen is how many stretches are kept from group to group.
const maxOpen = 64

// putAway packs and stores all that was laid, and keeps what may be wanted again soon: pages under construction.
func (t *tx) putAway() error {
	for of, st := range t.open {
		keep, err := st.put(t.session)
		if err != nil {
			return err
		}
		if !keep || len(t.open) > maxOpen {
			delete(t.open, of)
		}
	}
	return nil
}

func (st *stretch[T]) put(s *session) (keep bool, err error) {
	if !st.dirty {
		return len(st.pages) <= 1, nil
	}
	parts := split(st.codec, st.rows, st.atEnd)
	var kept []page
	for i, part := range parts {
		var was page
		if i < len(st.pages) {
			was = st.pages[i]
		}
		if was.id, err = st.putPage(s, was, part); err != nil {
			return false, err
		}
		kept = append(kept, page{was.id, int64(part.start), part.blob})
	}
	for _, left := range st.pages[min(len(parts), len(st.pages)):] {
		if _, err := s.exec(`DELETE FROM page WHERE id = ?`, left.id); err != nil {
			return false, err
		}
	}
	if n := len(parts); n > 1 {
		if !st.atEnd {
			return false, nil
		}
		st.rows, st.known.Start, kept = slices.Clone(st.rows[parts[n-1].first:]), parts[n-1].start, kept[n-1:]
	}
	st.pages, st.dirty, st.written, st.atEnd = kept, false, 0, true
	return true, nil
}

// putPage stores a packed page in the place of another, or as a new one where that has no id.
func (st *stretch[T]) putPage(s *session, was page, now packed) (id int64, err error) {
	id = was.id
	switch {
	case id == 0:
		_, err = s.first(func(r row) error { id = r.int(0); return nil },
			`INSERT INTO page (table_id, kind, start, end, written, rows) VALUES (?, ?, ?, ?, ?, ?) RETURNING id`,
			st.shelf.table, st.shelf.kind, now.start, now.end, st.written, now.blob)
	case was.start != int64(now.start):
		_, err = s.exec(`UPDATE page SET start = ?2, end = ?3, written = ?4, rows = ?5 WHERE id = ?1`, id, now.start, now.end, st.written, now.blob)
	case !bytes.Equal(was.blob, now.blob): // the index on start need not change
		_, err = s.exec(`UPDATE page SET end = ?2, written = ?3, rows = ?4 WHERE id = ?1`, id, now.end, st.written, now.blob)
	}
	return id, err
}

// A packed page, and which of the rows is its first.
type packed struct {
	start, end calendar.Partition
	blob       []byte
	first      int
}

// split packs rows into pages. Where a history grows at its end, full pages are left behind; elsewhere the parts are equal, so that each has
// room for what comes between.
func split[T history.Row[T]](c codec[T], rows []T, atEnd bool) []packed {
	if len(rows) == 0 {
		return nil
	}
	pack := func(from, to int) packed {
		return packed{rows[from].Bounds().Start, rows[to-1].Bounds().End, packPage(c, rows[from:to]), from}
	}
	whole := pack(0, len(rows))
	size := len(whole.blob)
	if size <= pageBytes || len(rows) == 1 {
		return []packed{whole}
	}
	n := (size + pageBytes - 1) / pageBytes
	per := (len(rows) + n - 1) / n
	if atEnd {
		per = max(1, len(rows)*pageBytes/size)
	}
	var out []packed
	for from := 0; from < len(rows); from += per {
		out = append(out, pack(from, min(from+per, len(rows))))
	}
	return out
}
