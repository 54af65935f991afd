package plan

import (
	"sort"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// Columns are the segments and moves of a history turned on their side, with what they have in common. A judgement of a whole table that
// looks at every segment then reads two arrays instead of ten fields a row. Whoever reads a history from a store may make them there and
// hand them on in Inputs; otherwise the world makes them. They belong to the very rows they were made of.
type Columns struct {
	segments []history.Segment
	moves    []history.Move
	n        int // segments
	// covered are the partitions that segments speak of.
	covered calendar.Set
	// plain: every segment has rows, in full, not marked, and all have one version.
	plain   bool
	version string
	// checks are those that all that can be checked was checked with, "" where that differs, and checked when the first of it was.
	checks  string
	checked history.Seq
	// oldest is the smallest ReadSeq, newest the largest ChangedSeq or Seq of a move.
	oldest, newest history.Seq
	// dense: each segment is one partition, next to the one before. Then read is when it read, and changed when its content last changed
	// or it last came or went, from the partition first on. Moves of other partitions are stray.
	dense   bool
	first   calendar.Partition
	read    []history.Seq
	changed []history.Seq
	stray   []history.Move
	// breaks are the places at which changed is less than just before: between them it ascends.
	breaks []int32
}

// fewSegments are looked at as they are. (A variable for tests, whose histories are short.)
var fewSegments = 32

// NewColumns makes the columns of a history. It takes time in proportion to the number of its rows.
func NewColumns(h *history.Table) *Columns {
	c := &Columns{segments: h.Segments, moves: h.Moves, n: len(h.Segments), plain: true}
	for i := range h.Moves {
		c.newest = max(c.newest, h.Moves[i].Seq)
	}
	if c.n == 0 {
		return c
	}
	first := &h.Segments[0]
	c.version, c.oldest, c.first = first.Version, first.ReadSeq, first.Start
	c.dense = c.n > fewSegments && c.n < 1<<31
	var covered collector
	next := first.Start
	some := false
	for i := range h.Segments {
		s := &h.Segments[i]
		switch {
		case !s.Content.Checkable():
		case !some:
			c.checks, c.checked, some = s.CheckVersion, s.CheckSeq, true
		default:
			c.checked = min(c.checked, s.CheckSeq)
			if s.CheckVersion != c.checks {
				c.checks = ""
			}
		}
		c.oldest = min(c.oldest, s.ReadSeq)
		c.newest = max(c.newest, s.ChangedSeq)
		c.plain = c.plain && s.Content == history.Rows && s.Shortfall == history.Full && !s.Stale && s.Version == c.version
		c.dense = c.dense && s.Start == next && s.End == next+1
		next = s.End
		covered.add(s.Interval)
	}
	c.covered = covered.set()
	if c.dense {
		c.fill()
	}
	return c
}

func (c *Columns) fill() {
	both := make([]history.Seq, 2*c.n)
	c.read, c.changed = both[:c.n:c.n], both[c.n:]
	for i := range c.segments {
		c.read[i], c.changed[i] = c.segments[i].ReadSeq, c.segments[i].ChangedSeq
	}
	for _, m := range c.moves {
		here := m.Interval.Intersect(calendar.Interval{Start: c.first, End: c.first + calendar.Partition(c.n)})
		if here != m.Interval {
			c.stray = append(c.stray, m)
		}
		for p := here.Start; p < here.End; p++ {
			c.changed[p-c.first] = max(c.changed[p-c.first], m.Seq)
		}
	}
	for i := 1; i < c.n; i++ {
		if c.changed[i] < c.changed[i-1] {
			c.breaks = append(c.breaks, int32(i))
		}
	}
}

// belongs reports whether the columns were made of a history's rows.
func (c *Columns) belongs(h *history.Table) bool {
	return c != nil && c.n == len(h.Segments) && len(c.moves) == len(h.Moves) &&
		(c.n == 0 || &c.segments[0] == &h.Segments[0]) && (len(h.Moves) == 0 || &c.moves[0] == &h.Moves[0])
}

// stale appends the partitions of a dense history that read before something in their window [p+first, p+last] of a dense input changed.
//
// Where changed ascends, the latest change in a window is its last; the first loop looks only at that. Windows that hold a break have
// another candidate on each side of it: the second loop looks at those.
func (c *Columns) stale(out []calendar.Interval, in *Columns, first, last calendar.Partition) []calendar.Interval {
	// The last of the window of partition c.first+i stands at i+shift in the input.
	shift := int(c.first + last - in.first)
	lo, hi := max(0, -shift), min(c.n, in.n-shift)
	if lo < hi {
		read, changed := c.read[lo:hi], in.changed[lo+shift:hi+shift]
		changed = changed[:len(read)]
		for i, r := range read {
			if changed[i] > r {
				out = appendPartition(out, c.first+calendar.Partition(lo+i))
			}
		}
	}
	// Windows that reach beyond the input's end have its last as their last.
	for i := max(0, hi); i < c.n && i+shift-int(last-first) < in.n; i++ {
		if in.changed[in.n-1] > c.read[i] {
			out = appendPartition(out, c.first+calendar.Partition(i))
		}
	}
	for _, b := range in.breaks {
		// b-1 and b both stand in the window: i+shift-(last-first) <= b-1 and b <= i+shift.
		before := in.changed[b-1]
		for i := max(0, int(b)-shift); i < c.n && i+shift-int(last-first) <= int(b)-1; i++ {
			if before > c.read[i] {
				out = append(out, calendar.Single(c.first+calendar.Partition(i)))
			}
		}
	}
	return out
}

func appendPartition(out []calendar.Interval, p calendar.Partition) []calendar.Interval {
	if n := len(out); n > 0 && out[n-1].End == p {
		out[n-1].End++
		return out
	}
	return append(out, calendar.Single(p))
}

// A column is a function from partitions to sequences: rows sorted by Start and disjoint, zero elsewhere.
type column struct {
	rows   []calendar.Interval
	seqs   []history.Seq
	breaks []int32 // where seqs is less than just before
}

func (c *column) add(iv calendar.Interval, seq history.Seq) {
	if seq <= 0 || iv.Empty() {
		return
	}
	n := len(c.rows)
	if n > 0 && c.rows[n-1].End == iv.Start && c.seqs[n-1] == seq {
		c.rows[n-1].End = iv.End
		return
	}
	if n > 0 && seq < c.seqs[n-1] {
		c.breaks = append(c.breaks, int32(n)) //nolint:gosec // a history of two thousand million rows does not fit anywhere
	}
	c.rows = append(c.rows, iv)
	c.seqs = append(c.seqs, seq)
}

// latest is the greatest sequence of rows i to j-1; there must be one.
func (c *column) latest(i, j int) history.Seq {
	out := c.seqs[j-1]
	for k := sort.Search(len(c.breaks), func(k int) bool { return int(c.breaks[k]) >= j }) - 1; k >= 0 && int(c.breaks[k]) > i; k-- {
		out = max(out, c.seqs[c.breaks[k]-1])
	}
	return out
}
