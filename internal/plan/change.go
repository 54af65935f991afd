package plan

import (
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// Staleness by inputs (rule 17). A partition p that was read at sequence r is stale by an input if the rows that today's window of p
// names are not those that it read then. No hull is stored per partition; it follows from what the ledger logs:
//
//	p is stale by an input iff some input partition in today's window has content with ChangedSeq > r, or some partition in today's
//	reach came or went (a Move) with Seq > r, or the period that begins the window then began elsewhere.
//
// Why that suffices: the reach holds every partition whose coming or going can alter the window. For windows by overlap or civil offset
// that is the window itself. A window {partitions: [-n, -1]} counts n expected partitions back from the start of p; its reach goes from
// the n-th (or from the beginning, if there are fewer) up to the start of p. If nothing in there came or went since r, then at r the
// same n partitions stood in it, so counting gave the same window; and if a window is the same, with the same members and no content
// changed since r, then p read what it would read today. Windows that end in the future, or skip the last few, extend the same way.
// A window that begins with a period ends by counting, so its reach goes from the period's start to the start of p.
//
// The rule errs on one side only: a date that came and went again inside the reach, but outside of the window, makes p stale too.
// Content that changes outside of the window never does.

// changes are the rows of a history that can make readers stale.
type changes struct {
	content column
	moves   column
}

// A column is a function from partitions to sequences: rows sorted by Start and disjoint, zero elsewhere.
type column struct {
	rows []calendar.Interval
	seqs []history.Seq
	max  history.Seq
}

func (c *column) add(iv calendar.Interval, seq history.Seq) {
	if seq <= 0 {
		return
	}
	c.max = max(c.max, seq)
	if n := len(c.rows); n > 0 && c.rows[n-1].End == iv.Start && c.seqs[n-1] == seq {
		c.rows[n-1].End = iv.End
		return
	}
	c.rows = append(c.rows, iv)
	c.seqs = append(c.seqs, seq)
}

// newChanges reads a history. What the calendar gained or lost and nobody has logged yet counts as moved just now, at seq+1.
func newChanges(h *history.Table, expected calendar.Set, seq history.Seq) *changes {
	c := &changes{}
	for i := range h.Segments {
		c.content.add(h.Segments[i].Interval, h.Segments[i].ChangedSeq)
	}
	moves := h.Moves
	if !h.Known.Equal(expected) {
		gained := history.Spread(history.Move{Seq: seq + 1, Gained: true}, expected.Minus(h.Known))
		lost := history.Spread(history.Move{Seq: seq + 1}, h.Known.Minus(expected))
		moves = history.Overlay(history.Overlay(moves, gained), lost)
	}
	for _, m := range moves {
		c.moves.add(m.Interval, m.Seq)
	}
	return c
}

// A reading says at which sequence partitions read their inputs.
type reading struct {
	calendar.Interval
	seq history.Seq
}

// changed appends the partitions of the readings whose input changed since they read it.
func (e *edge) changed(out []calendar.Interval, reads []reading) []calendar.Interval {
	if len(reads) == 0 {
		return out
	}
	oldest := reads[0].seq
	for _, r := range reads {
		oldest = min(oldest, r.seq)
	}
	c := e.read.changes
	out = e.changedIn(out, &c.content, reads, oldest, narrow)
	return e.changedIn(out, &c.moves, reads, oldest, wide)
}

func (e *edge) changedIn(out []calendar.Interval, c *column, reads []reading, oldest history.Seq, width width) []calendar.Interval {
	if c.max <= oldest {
		return out
	}
	var buf [8]calendar.Interval
	for i, seq := range c.seqs {
		if seq <= oldest {
			continue
		}
		for j := range e.spans {
			for _, iv := range e.spans[j].downstream(buf[:0], c.rows[i], width) {
				out = readBefore(out, reads, iv, seq)
			}
		}
	}
	return out
}

// readBefore appends what was read before seq within an interval.
func readBefore(out []calendar.Interval, reads []reading, iv calendar.Interval, seq history.Seq) []calendar.Interval {
	lo, hi := 0, len(reads)
	for lo < hi {
		mid := (lo + hi) / 2
		if reads[mid].End <= iv.Start {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < len(reads) && reads[lo].Start < iv.End; lo++ {
		if reads[lo].seq < seq {
			out = append(out, reads[lo].Intersect(iv))
		}
	}
	return out
}

// A redefinition says that readings from sequence from up to before until saw another beginning of a period for the partitions of differ.
type redefinition struct {
	period      string
	from, until history.Seq
	differ      calendar.Set
}

// redefinitions compares the periods that a table depends on with how they were defined before: those of its windows, and those whose
// start its SQL reads. Before the first logged definition there was none.
func (w *World) redefinitions(n *node) []redefinition {
	var out []redefinition
	for _, name := range w.dependsOn(n.table) {
		today := w.beginnings(n, w.Periods[name])
		logged := w.PeriodChanges[name]
		var before []calendar.Interval
		from := history.Seq(0)
		for i := 0; i <= len(logged); i++ {
			until := history.Seq(1<<62 - 1)
			if i < len(logged) {
				until = logged[i].Seq
			}
			if differ := n.expected.Minus(agree(today, w.beginnings(n, before))); !differ.Empty() && from < until {
				out = append(out, redefinition{name, from, until, differ})
			}
			if i < len(logged) {
				before, from = logged[i].Intervals, logged[i].Seq
			}
		}
	}
	return out
}

func (w *World) dependsOn(t *catalog.Table) []string {
	var names []string
	for _, in := range t.Inputs {
		for i := range in.Windows {
			if name := in.Windows[i].Within; name != "" && !contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if t.SQL != nil && strings.Contains(t.SQL.Text, "_start") {
		for name := range w.Periods {
			if strings.Contains(t.SQL.Text, name+"_start") && !contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// beginnings lays a period on a table's axis, each season with the civil day on which it begins.
func (w *World) beginnings(n *node, days []calendar.Interval) []season {
	return seasons(days, n.table.Axis, calendar.Axis{Grain: calendar.Day, Zone: n.table.Axis.Zone})
}

// agree is the set of partitions for which two definitions of a period give the same beginning, or both none.
func agree(a, b []season) calendar.Set {
	var same, inA, inB []calendar.Interval
	for _, x := range a {
		inA = append(inA, x.over)
		for _, y := range b {
			if x.floor == y.floor {
				same = append(same, x.over.Intersect(y.over))
			}
		}
	}
	for _, y := range b {
		inB = append(inB, y.over)
	}
	either := calendar.NewSet(inA...).Union(calendar.NewSet(inB...))
	return calendar.NewSet(same...).Union(calendar.All().Minus(either))
}

// redefinedSince appends the partitions of the readings for which a period begins elsewhere than when they were read.
func (n *node) redefinedSince(out []calendar.Interval, reads []reading) []calendar.Interval {
	for _, d := range n.redefined {
		for _, r := range reads {
			if d.from <= r.seq && r.seq < d.until {
				out = append(out, d.differ.Within(r.Interval).Intervals()...)
			}
		}
	}
	return out
}

// differences is the set of partitions about which two histories of a table say different things.
func differences(a, b *history.Table) calendar.Set {
	ivs := rowsDiffer(nil, a.Segments, b.Segments)
	ivs = rowsDiffer(ivs, a.Verdicts, b.Verdicts)
	ivs = rowsDiffer(ivs, a.Moves, b.Moves)
	out := calendar.NewSet(ivs...)
	for _, s := range [][2]calendar.Set{
		{a.Known, b.Known}, {a.Held, b.Held}, {a.InFlight, b.InFlight}, {a.Reserved, b.Reserved}, {a.Unsettled, b.Unsettled},
	} {
		if !s[0].Equal(s[1]) {
			out = calendar.UnionAll(out, s[0].Minus(s[1]), s[1].Minus(s[0]))
		}
	}
	return out
}

// rowsDiffer appends the intervals in which two lists of rows differ.
func rowsDiffer[T history.Row[T]](out []calendar.Interval, a, b []T) []calendar.Interval {
	at := calendar.Beginning
	for i, j := 0, 0; i < len(a) || j < len(b); {
		x, y := upcoming(a, i, at), upcoming(b, j, at)
		start := min(x.Start, y.Start)
		var end calendar.Partition
		switch {
		case x.Start > start: // only b speaks here
			end = min(y.End, x.Start)
			out = append(out, calendar.Interval{Start: start, End: end})
		case y.Start > start:
			end = min(x.End, y.Start)
			out = append(out, calendar.Interval{Start: start, End: end})
		default:
			end = min(x.End, y.End)
			if !a[i].SameAs(b[j]) {
				out = append(out, calendar.Interval{Start: start, End: end})
			}
		}
		at = end
		if i < len(a) && a[i].Bounds().End <= at {
			i++
		}
		if j < len(b) && b[j].Bounds().End <= at {
			j++
		}
	}
	return out
}

// upcoming is the part of row i from a partition on; beyond the last row, an interval that never comes.
func upcoming[T history.Row[T]](rows []T, i int, at calendar.Partition) calendar.Interval {
	if i == len(rows) {
		return calendar.Interval{Start: calendar.Horizon, End: calendar.Horizon}
	}
	iv := rows[i].Bounds()
	iv.Start = max(iv.Start, at)
	return iv
}
