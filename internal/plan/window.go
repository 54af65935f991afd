package plan

import (
	"sort"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
)

// An edge is an input of a table with its windows made ready for arithmetic.
type edge struct {
	in     *catalog.Input
	reader *node
	read   *node
	spans  []span
}

// A span is one window of an edge. To each partition p of the reader it gives an interval [lo(p), hi(p)) of the input's axis. Both ends
// never decrease in p; everything here rests on that: lineage against its direction is a binary search, and no window needs an inverse.
//
// A span has two widths. The narrow one is the window: what is read. The wide one is the reach: all partitions whose coming or going
// could have given p another window. They differ where a window counts in the input's calendar; see changed in change.go.
type span struct {
	window        *catalog.Window
	reader, input calendar.Axis
	index         *calendar.Index // the input's expected partitions
	domain        *calendar.Index // the reader's
	// shift: the window is [p+first, p+last] on a shared axis.
	shift       bool
	first, last calendar.Partition
	// periods are set for windows that begin with a period.
	periods []season
	// over are the reader's partitions whose window is not empty for want of a period, by width.
	over [2]calendar.Set
}

// A width selects one of the two intervals of a span.
type width int

const (
	narrow width = iota
	wide
)

// A season is one interval of a period, for one reader and one input.
type season struct {
	over  calendar.Interval  // the reader's partitions in it; one that overlaps two belongs to the earlier
	floor calendar.Partition // the input's partition in which it begins
}

// seasons lays a period out on a reader's and an input's axes.
func seasons(days []calendar.Interval, reader, input calendar.Axis) []season {
	civil := calendar.Axis{Grain: calendar.Day, Zone: reader.Zone}
	out := make([]season, 0, len(days))
	end := calendar.Beginning
	for _, iv := range days {
		if iv.Empty() {
			continue
		}
		over := civil.Convert(iv, reader)
		over.Start = max(over.Start, end)
		if over.Empty() {
			continue
		}
		end = over.End
		out = append(out, season{over, civil.Convert(calendar.Single(iv.Start), input).Start})
	}
	return out
}

func newSpan(w *catalog.Window, reader, read *node, days []calendar.Interval) span {
	s := span{window: w, reader: reader.table.Axis, input: read.table.Axis, index: read.index, domain: reader.index}
	switch {
	case s.reader != s.input:
	case w.Kind == catalog.Same:
		s.shift = true
	case w.Kind == catalog.Offset && w.Unit == s.reader.Grain:
		s.shift, s.first, s.last = true, calendar.Partition(w.From), calendar.Partition(w.To)
	}
	s.over = [2]calendar.Set{calendar.All(), calendar.All()}
	if w.Within == "" {
		return s
	}
	s.periods = seasons(days, s.reader, s.input)
	for _, width := range []width{narrow, wide} {
		ivs := make([]calendar.Interval, 0, len(s.periods))
		for _, season := range s.periods {
			// The first partitions of a period may end before it begins for them: `through: -3` reads nothing on its third date.
			i := s.search(func(p calendar.Partition) bool { return p >= season.over.Start && s.hi(p, width) > season.floor })
			ivs = append(ivs, calendar.Interval{Start: s.domain.Select(i), End: season.over.End})
		}
		s.over[width] = calendar.NewSet(ivs...)
	}
	return s
}

// search is the rank of the reader's first expected partition for which ok holds; ok must be monotone.
func (s *span) search(ok func(calendar.Partition) bool) int {
	return sort.Search(s.domain.Len(), func(i int) bool { return ok(s.domain.Select(i)) })
}

// overlap is the interval of input partitions that overlap p.
func (s *span) overlap(p calendar.Partition) calendar.Interval {
	if s.reader == s.input {
		return calendar.Single(p)
	}
	return s.reader.Convert(calendar.Single(p), s.input)
}

// lo is the first input partition of the window or reach of p.
func (s *span) lo(p calendar.Partition, width width) calendar.Partition {
	switch s.window.Kind {
	case catalog.Same:
		return s.overlap(p).Start
	case catalog.Offset:
		if s.shift {
			return p + s.first
		}
		return s.reader.Offset(p, s.window.Unit, s.window.From, s.window.To, s.input).Start
	case catalog.Partitions:
		return s.counted(p, width)
	case catalog.Since, catalog.PerRows, catalog.PerParts:
		if s.window.Within == "" {
			return s.reader.Offset(p, calendar.Day, -s.window.Days, 0, s.input).Start
		}
		return s.floor(p)
	}
	return calendar.Beginning
}

// counted is the lower end of a window of partitions. With fewer partitions than the window asks for it is Beginning: an earlier one
// that comes would belong to it.
func (s *span) counted(p calendar.Partition, width width) calendar.Partition {
	c, from := s.overlap(p), s.window.From
	switch {
	case from < 0:
		return s.index.Select(s.index.Rank(c.Start) + from)
	case from == 0:
		return c.Start
	case width == wide:
		return c.End
	}
	return s.index.Select(s.index.Rank(c.End) + from - 1)
}

// floor is where the period of p begins; between periods, where the next one does.
func (s *span) floor(p calendar.Partition) calendar.Partition {
	i := sort.Search(len(s.periods), func(i int) bool { return s.periods[i].over.End > p })
	if i == len(s.periods) {
		return calendar.Horizon
	}
	return s.periods[i].floor
}

// hi is one past the last input partition of the window or reach of p.
func (s *span) hi(p calendar.Partition, width width) calendar.Partition {
	switch s.window.Kind {
	case catalog.Same:
		return s.overlap(p).End
	case catalog.Offset:
		if s.shift {
			return p + s.last + 1
		}
		return s.reader.Offset(p, s.window.Unit, s.window.From, s.window.To, s.input).End
	case catalog.Partitions, catalog.Since, catalog.PerRows, catalog.PerParts:
		return s.through(p, width)
	}
	return calendar.Horizon
}

// through is the upper end of a window that ends To input partitions from p: 0 is the last that overlaps p.
func (s *span) through(p calendar.Partition, width width) calendar.Partition {
	c, to := s.overlap(p), s.window.To
	switch {
	case to < 0 && width == wide:
		return c.Start
	case to < 0:
		if i := s.index.Rank(c.Start) + to; i >= 0 {
			return s.index.Select(i) + 1
		}
		return calendar.Beginning
	case to == 0:
		return c.End
	}
	return min(s.index.Select(s.index.Rank(c.End)+to-1)+1, calendar.Horizon)
}

// at is the window or reach of one partition.
func (s *span) at(p calendar.Partition, width width) calendar.Interval {
	if s.window.Within != "" && !s.over[width].Contains(p) {
		return calendar.Interval{}
	}
	return calendar.Interval{Start: s.lo(p, width), End: s.hi(p, width)}
}

// tight reports whether the windows of neighbouring partitions leave no expected input partition out between them, so that the windows
// of an interval are the hull of its ends.
func (s *span) tight() bool {
	switch s.window.Kind {
	case catalog.Offset:
		// A month before is not so long after March 30 and 31.
		return s.window.Unit <= s.reader.Grain && !s.gaps()
	case catalog.Partitions:
		return s.reader == s.input
	}
	return !s.gaps()
}

// gaps reports whether single partitions within the span may have empty windows: {rows: 3, through: -2, within: {days: 1}} may end before
// it begins, and hours that the clock skips have no length.
func (s *span) gaps() bool {
	switch s.window.Kind {
	case catalog.Offset:
		return !s.shift && s.reader.Grain == calendar.Hour
	case catalog.PerRows, catalog.PerParts:
		return s.window.Within == ""
	}
	return false
}

// upstream appends the windows of the reader's partitions in the set.
func (s *span) upstream(out []calendar.Interval, set calendar.Set, width width) []calendar.Interval {
	if s.window.Kind == catalog.Everything && !set.Empty() {
		return append(out, calendar.Everything())
	}
	if s.window.Within != "" {
		set = set.Intersect(s.over[width])
	}
	if !s.tight() {
		for p := range set.Partitions() {
			out = append(out, s.at(p, width))
		}
		return out
	}
	for _, iv := range set.Intervals() {
		if s.window.Within == "" {
			out = append(out, calendar.Interval{Start: s.lo(iv.Start, width), End: s.hi(iv.End-1, width)})
			continue
		}
		// Between two periods that touch, the later partitions do not read what the earlier ones did.
		for at := iv.Start; at < iv.End; {
			i := sort.Search(len(s.periods), func(i int) bool { return s.periods[i].over.End > at })
			end := iv.End
			if i < len(s.periods) {
				end = min(end, s.periods[i].over.End)
			}
			out = append(out, calendar.Interval{Start: s.lo(at, width), End: s.hi(end-1, width)})
			at = end
		}
	}
	return out
}

// downstream appends the reader's partitions whose window or reach meets the interval. They may include partitions that are not expected.
func (s *span) downstream(out []calendar.Interval, iv calendar.Interval, width width) []calendar.Interval {
	if iv.Empty() {
		return out
	}
	if s.shift {
		return append(out, calendar.Interval{
			Start: max(iv.Start-s.last, calendar.Beginning),
			End:   min(iv.End-s.first, calendar.Horizon),
		})
	}
	if s.window.Kind == catalog.Everything {
		return append(out, calendar.Everything())
	}
	i := s.search(func(p calendar.Partition) bool { return s.hi(p, width) > iv.Start })
	j := s.search(func(p calendar.Partition) bool { return s.lo(p, width) >= iv.End })
	if i >= j {
		return out
	}
	found := calendar.Interval{Start: s.domain.Select(i), End: s.domain.Select(j-1) + 1}
	switch {
	case s.gaps():
		for ; i < j; i++ {
			if p := s.domain.Select(i); s.at(p, width).Overlaps(iv) {
				out = append(out, calendar.Single(p))
			}
		}
		return out
	case s.window.Within == "":
		return append(out, found)
	}
	return append(out, s.over[width].Within(found).Intervals()...)
}

// upstream is the set of expected input partitions in the windows of the reader's partitions.
func (e *edge) upstream(set calendar.Set) calendar.Set {
	if set.Empty() || e.read.expected.Empty() {
		return calendar.Set{}
	}
	var ivs []calendar.Interval
	for i := range e.spans {
		ivs = e.spans[i].upstream(ivs, set, narrow)
	}
	return calendar.NewSet(ivs...).Intersect(e.read.expected)
}

// downstream is the set of the reader's expected partitions whose window (or reach) meets the set. For windows only expected input
// partitions count; for reaches all do.
func (e *edge) downstream(changed calendar.Set, width width) calendar.Set {
	if width == narrow {
		changed = changed.Intersect(e.read.expected)
	}
	if changed.Empty() || e.reader.expected.Empty() {
		return calendar.Set{}
	}
	return calendar.NewSet(e.meeting(nil, changed.Intervals(), width)...).Intersect(e.reader.expected)
}

// meeting appends, for every interval, the reader's partitions whose window or reach meets it.
func (e *edge) meeting(out, changed []calendar.Interval, width width) []calendar.Interval {
	for i := range e.spans {
		for _, iv := range changed {
			out = e.spans[i].downstream(out, iv, width)
		}
	}
	return out
}

// windows is the union of the windows of one partition.
func (e *edge) windows(p calendar.Partition) calendar.Set {
	if len(e.spans) == 1 {
		return calendar.NewSet(e.spans[0].at(p, narrow))
	}
	ivs := make([]calendar.Interval, len(e.spans))
	for i := range e.spans {
		ivs[i] = e.spans[i].at(p, narrow)
	}
	return calendar.NewSet(ivs...)
}
