package lite

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A tableRow is a row of tbl.
type tableRow struct {
	id   int64
	axis calendar.Axis
}

// find looks a table up; ErrNotFound where it was never used.
func (t *txn) find(key string) (tableRow, error) {
	var r tableRow
	err := t.row(`SELECT id, grain, zone FROM tbl WHERE key = ?`, []any{key}, &r.id, &r.axis.Grain, &r.axis.Zone)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("table %s: %w", key, ledger.ErrNotFound)
	}
	return r, err
}

// table looks a table up and makes it at its first use. It keeps the axis that it was first used with.
func (t *txn) table(key string, axis calendar.Axis) (tableRow, error) {
	r, err := t.find(key)
	if errors.Is(err, ledger.ErrNotFound) {
		if err := t.exec(`INSERT INTO tbl (key, grain, zone) VALUES (?, ?, ?)`, key, int(axis.Grain), axis.Zone); err != nil {
			return r, err
		}
		return t.find(key)
	}
	if err == nil && r.axis != axis {
		return r, fmt.Errorf("table %s: %w: it was %s %s, and is now said to be %s %s", key, ledger.ErrAxis, r.axis.Grain, r.axis.Zone, axis.Grain, axis.Zone)
	}
	return r, err
}

// A segmentRow is a segment and the clock when it was written.
type segmentRow struct {
	history.Segment
	at history.Seq
}

func (r segmentRow) Bounds() calendar.Interval { return r.Interval }
func (r segmentRow) WithBounds(iv calendar.Interval) segmentRow {
	r.Interval = iv
	return r
}
func (r segmentRow) SameAs(o segmentRow) bool { return r.at == o.at && r.Segment.SameAs(o.Segment) }

// A verdictRow is a verdict and the clock when it was written.
type verdictRow struct {
	history.Verdict
	at history.Seq
}

func (r verdictRow) Bounds() calendar.Interval { return r.Interval }
func (r verdictRow) WithBounds(iv calendar.Interval) verdictRow {
	r.Interval = iv
	return r
}
func (r verdictRow) SameAs(o verdictRow) bool { return r.at == o.at && r.Verdict.SameAs(o.Verdict) }

// overlapping selects the rows of one table that reach into [?2, ?3): the one that begins before it, if it reaches that far, and those
// that begin in it. Rows of a table are disjoint.
const overlapping = ` WHERE tbl = ?1 AND start < ?3 AND "end" > ?2
	AND start >= coalesce((SELECT max(x.start) FROM %[1]s x WHERE x.tbl = ?1 AND x.start <= ?2), ?2) ORDER BY start`

var (
	selectSegments = `SELECT start, "end", read_seq, changed_seq, version, attempt, content, shortfall, accepted, stale, read_at, at FROM segment` +
		fmt.Sprintf(overlapping, "segment")
	selectVerdicts = `SELECT start, "end", outcome, attempt, read_seq, version, check_version, reason, at FROM verdict` + fmt.Sprintf(overlapping, "verdict")
	selectMoves    = `SELECT start, "end", seq, gained FROM move` + fmt.Sprintf(overlapping, "move")
)

func scanSegment(scan func(...any) error) (r segmentRow, err error) {
	var readAt int64
	err = scan(&r.Start, &r.End, &r.ReadSeq, &r.ChangedSeq, &r.Version, &r.Attempt, &r.Content, &r.Shortfall, &r.Accepted, &r.Stale, &readAt, &r.at)
	r.ReadAt = decodeTime(readAt)
	return r, err
}

func scanVerdict(scan func(...any) error) (r verdictRow, err error) {
	err = scan(&r.Start, &r.End, &r.Outcome, &r.Attempt, &r.ReadSeq, &r.Version, &r.CheckVersion, &r.Reason, &r.at)
	return r, err
}

func scanMove(scan func(...any) error) (m history.Move, err error) {
	err = scan(&m.Start, &m.End, &m.Seq, &m.Gained)
	return m, err
}

// segments are a table's segments that reach into the interval.
func (t *txn) segments(tbl int64, iv calendar.Interval) (out []segmentRow, err error) {
	err = t.rows(selectSegments, []any{tbl, iv.Start, iv.End}, func(scan func(...any) error) error {
		r, err := scanSegment(scan)
		out = append(out, r)
		return err
	})
	return out, err
}

// putSegments lays rows over what stands there.
func (t *txn) putSegments(tbl int64, rows []history.Segment) error {
	if len(rows) == 0 {
		return nil
	}
	seq, err := t.tick()
	if err != nil {
		return err
	}
	newer := make([]segmentRow, len(rows))
	for i, r := range rows {
		newer[i] = segmentRow{r, seq}
	}
	old, err := t.segments(tbl, calendar.Interval{Start: rows[0].Start, End: rows[len(rows)-1].End})
	if err != nil {
		return err
	}
	return replace(t, "segment", tbl, old, history.Overlay(old, newer), func(r segmentRow) error {
		return t.exec(`INSERT INTO segment VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`, tbl, r.Start, r.End, r.ReadSeq, r.ChangedSeq, r.Version, r.Attempt,
			int(r.Content), int(r.Shortfall), r.Accepted, r.Stale, encodeTime(r.ReadAt), r.at)
	})
}

// putVerdicts lays rows over what stands there, and takes away the verdicts on cleared.
func (t *txn) putVerdicts(tbl int64, rows []history.Verdict, cleared calendar.Set) error {
	bounds := cleared.Union(history.Covered(rows)).Bounds()
	if bounds.Empty() {
		return nil
	}
	var old []verdictRow
	err := t.rows(selectVerdicts, []any{tbl, bounds.Start, bounds.End}, func(scan func(...any) error) error {
		r, err := scanVerdict(scan)
		old = append(old, r)
		return err
	})
	if err != nil || len(old) == 0 && len(rows) == 0 {
		return err
	}
	seq, err := t.tick()
	if err != nil {
		return err
	}
	newer := make([]verdictRow, len(rows))
	for i, r := range rows {
		newer[i] = verdictRow{r, seq}
	}
	return replace(t, "verdict", tbl, old, history.Overlay(history.Without(old, cleared), newer), func(r verdictRow) error {
		return t.exec(`INSERT INTO verdict VALUES (?,?,?,?,?,?,?,?,?,?)`, tbl, r.Start, r.End, int(r.Outcome), r.Attempt, r.ReadSeq, r.Version,
			r.CheckVersion, r.Reason, r.at)
	})
}

// putMoves lays rows over what stands there.
func (t *txn) putMoves(tbl int64, rows []history.Move) error {
	if len(rows) == 0 {
		return nil
	}
	var old []history.Move
	bounds := calendar.Interval{Start: rows[0].Start, End: rows[len(rows)-1].End}
	err := t.rows(selectMoves, []any{tbl, bounds.Start, bounds.End}, func(scan func(...any) error) error {
		m, err := scanMove(scan)
		old = append(old, m)
		return err
	})
	if err != nil {
		return err
	}
	return replace(t, "move", tbl, old, history.Overlay(old, rows), func(m history.Move) error {
		return t.exec(`INSERT INTO move VALUES (?,?,?,?,?)`, tbl, m.Start, m.End, m.Seq, m.Gained)
	})
}

// replace writes the rows that differ. A row that stays as it is is left alone.
func replace[T history.Row[T]](t *txn, name string, tbl int64, old, now []T, insert func(T) error) error {
	same := func(a, b T) bool { return a.Bounds() == b.Bounds() && a.SameAs(b) }
	kept := map[calendar.Partition]bool{}
	j := 0
	for _, o := range old {
		for j < len(now) && now[j].Bounds().Start < o.Bounds().Start {
			j++
		}
		if j < len(now) && same(o, now[j]) {
			kept[o.Bounds().Start] = true
			continue
		}
		if err := t.exec(`DELETE FROM `+name+` WHERE tbl = ? AND start = ?`, tbl, o.Bounds().Start); err != nil {
			return err
		}
	}
	for _, n := range now {
		if kept[n.Bounds().Start] {
			continue
		}
		if err := insert(n); err != nil {
			return err
		}
	}
	return nil
}

// wall is the wall clock of the store.
func (l *Ledger) wall() time.Time { return l.opts.Now() }
