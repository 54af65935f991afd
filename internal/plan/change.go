package plan

import (
	"slices"
	"sort"
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
	history *history.Table
	of      *Columns // nil until they are needed; see node.columns
	// unlogged are moves that nobody has logged yet.
	unlogged []history.Move
	// Made when a reader needs them: the content, all moves, and those that dense columns do not tell of.
	content, moved, stray *column
}

// newChanges reads a history. What the calendar gained or lost and nobody has logged yet counts as moved just now, at seq+1.
func newChanges(h *history.Table, columns *Columns, expected calendar.Set, seq history.Seq) changes {
	c := changes{history: h, of: columns}
	if !alike(h.Known, expected) {
		gained := history.Spread(history.Move{Seq: seq + 1, Gained: true}, expected.Minus(h.Known))
		lost := history.Spread(history.Move{Seq: seq + 1}, h.Known.Minus(expected))
		c.unlogged = history.Overlay(gained, lost)
	}
	return c
}

// newest is the latest sequence of all changes of a table.
func (n *node) newest() history.Seq {
	out := n.columns().newest
	if k := len(n.changes.unlogged); k > 0 {
		out = max(out, n.changes.unlogged[k-1].Seq) // they all have the same
	}
	return out
}

// columns are the content and all moves.
func (c *changes) columns() (content, moved *column) {
	if c.content == nil {
		c.content = &column{}
		for i := range c.history.Segments {
			c.content.add(c.history.Segments[i].Interval, c.history.Segments[i].ChangedSeq)
		}
		c.moved = moves(history.Overlay(c.history.Moves, c.unlogged))
	}
	return c.content, c.moved
}

// after appends what changed after a sequence within a window, and what moved after it within a reach.
func (c *changes) after(out []calendar.Interval, window, reach calendar.Interval, seq history.Seq) []calendar.Interval {
	for _, s := range rowsIn(c.history.Segments, window) {
		if s.ChangedSeq > seq {
			out = append(out, s.Interval.Intersect(window))
		}
	}
	for _, moves := range [][]history.Move{c.history.Moves, c.unlogged} {
		for _, m := range rowsIn(moves, reach) {
			if m.Seq > seq {
				out = append(out, m.Interval.Intersect(reach))
			}
		}
	}
	return out
}

// strays are the moves that dense columns do not tell of.
func (c *changes) strays() *column {
	if c.stray == nil {
		c.stray = moves(history.Overlay(c.of.stray, c.unlogged))
	}
	return c.stray
}

func moves(rows []history.Move) *column {
	c := &column{}
	for i := range rows {
		c.add(rows[i].Interval, rows[i].Seq)
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
	if len(reads) <= fewReadings && e.read.changes.content == nil {
		return e.changedNear(out, reads)
	}
	content, moved := e.read.changes.columns()
	out = e.changedIn(out, content, reads, narrow)
	return e.changedIn(out, moved, reads, wide)
}

// fewReadings are looked at one by one, in the rows that their windows meet: then nobody has to look at all rows. (A variable for tests,
// whose histories are short.)
var fewReadings = 64

// changedNear is changed for few readings.
func (e *edge) changedNear(out []calendar.Interval, reads []reading) []calendar.Interval {
	var buf [8]calendar.Interval
	for _, r := range reads {
		for k := range e.spans {
			s := &e.spans[k]
			for _, width := range []width{narrow, wide} {
				hull := calendar.Interval{Start: s.lo(r.Start, width), End: s.hi(r.End-1, width)}
				near := buf[:0]
				if width == narrow {
					near = e.read.changes.after(near, hull, calendar.Interval{}, r.seq)
				} else {
					near = e.read.changes.after(near, calendar.Interval{}, hull, r.seq)
				}
				for _, iv := range near {
					at := len(out)
					out = s.downstream(out, iv, width)
					for i := at; i < len(out); i++ {
						out[i] = out[i].Intersect(r.Interval)
					}
				}
			}
		}
	}
	return out
}

// changedIn walks readings and changes side by side: as neither end of a window decreases, neither do the rows that it meets.
func (e *edge) changedIn(out []calendar.Interval, c *column, reads []reading, width width) []calendar.Interval {
	if len(c.rows) == 0 || len(reads) == 0 {
		return out
	}
	var buf [8]calendar.Interval
	for k := range e.spans {
		s := &e.spans[k]
		lo := s.lo(reads[0].Start, width)
		i := sort.Search(len(c.rows), func(i int) bool { return c.rows[i].End > lo })
		j := i
		for _, r := range reads {
			lo, hi := s.lo(r.Start, width), s.hi(r.End-1, width)
			for i < len(c.rows) && c.rows[i].End <= lo {
				i++
			}
			for j = max(i, j); j < len(c.rows) && c.rows[j].Start < hi; {
				j++
			}
			if i == j || c.latest(i, j) <= r.seq {
				continue
			}
			for row := i; row < j; row++ {
				if c.seqs[row] <= r.seq {
					continue
				}
				for _, iv := range s.downstream(buf[:0], c.rows[row], width) {
					if iv = iv.Intersect(r.Interval); !iv.Empty() {
						out = append(out, iv)
					}
				}
			}
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
			if name := in.Windows[i].Within; name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if t.SQL != nil && strings.Contains(t.SQL.Text, "_start") {
		for name := range w.Periods {
			if strings.Contains(t.SQL.Text, name+"_start") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
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
