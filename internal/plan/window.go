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
	one    [1]span // what spans is made of where there is one window, as there mostly is
}

// A span is one window of an edge. To each partition p of the reader it gives an interval [lo(p), hi(p)) of the input's axis. Both ends
// never decrease in p; everything here rests on that: lineage against its direction is a binary search, and no window needs an inverse.
//
// A span has two widths. The narrow one is the window: what is read. The wide one is the reach: all partitions whose coming or going
// could have given p another window. They differ where a window counts in the input's calendar; see changed in change.go.
type span struct {
	window       *catalog.Window
	reader, read *node
	// same: reader and input have one axis. shift: besides, the window is [p+first, p+last].
	same, shift bool
	first, last calendar.Partition
	// begins is set for windows that begin with a period.
	begins *begins
}

// begins is what a window that begins with a period needs.
type begins struct {
	seasons []season
	// over are the reader's partitions whose window or reach is not empty, by width.
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
	s := span{window: w, reader: reader, read: read, same: reader.table.Axis == read.table.Axis}
	switch {
	case !s.same:
	case w.Kind == catalog.Same:
		s.shift = true
	case w.Kind == catalog.Offset && w.Unit == reader.table.Axis.Grain:
		s.shift, s.first, s.last = true, calendar.Partition(w.From), calendar.Partition(w.To)
	}
	if w.Within == "" {
		return s
	}
	s.begins = &begins{seasons: seasons(days, reader.table.Axis, read.table.Axis)}
	for _, width := range []width{narrow, wide} {
		ivs := make([]calendar.Interval, 0, len(s.begins.seasons))
		for _, season := range s.begins.seasons {
			// The first partitions of a period may end before it begins for them: `through: -3` reads nothing on its third date.
			i := s.search(func(p calendar.Partition) bool { return p >= season.over.Start && s.hi(p, width) > season.floor })
			ivs = append(ivs, calendar.Interval{Start: reader.index.Select(i), End: season.over.End})
		}
		s.begins.over[width] = calendar.NewSet(ivs...)
	}
	return s
}

// search is the rank of the reader's first expected partition for which ok holds; ok must be monotone.
func (s *span) search(ok func(calendar.Partition) bool) int {
	return sort.Search(s.reader.index.Len(), func(i int) bool { return ok(s.reader.index.Select(i)) })
}

// overlap is the interval of input partitions that overlap p.
func (s *span) overlap(p calendar.Partition) calendar.Interval {
	if s.same {
		return calendar.Single(p)
	}
	return s.reader.table.Axis.Convert(calendar.Single(p), s.read.table.Axis)
}

func (s *span) offset(p calendar.Partition) calendar.Interval {
	return s.reader.table.Axis.Offset(p, s.window.Unit, s.window.From, s.window.To, s.read.table.Axis)
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
		return s.offset(p).Start
	case catalog.Partitions:
		return s.counted(p, width)
	case catalog.Since, catalog.PerRows, catalog.PerParts:
		if s.begins == nil {
			return s.reader.table.Axis.Offset(p, calendar.Day, -s.window.Days, 0, s.read.table.Axis).Start
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
		return s.read.index.Select(s.read.index.Rank(c.Start) + from)
	case from == 0:
		return c.Start
	case width == wide:
		return c.End
	}
	return s.read.index.Select(s.read.index.Rank(c.End) + from - 1)
}

// floor is where the period of p begins; between periods, where the next one does.
func (s *span) floor(p calendar.Partition) calendar.Partition {
	i := sort.Search(len(s.begins.seasons), func(i int) bool { return s.begins.seasons[i].over.End > p })
	if i == len(s.begins.seasons) {
		return calendar.Horizon
	}
	return s.begins.seasons[i].floor
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
		return s.offset(p).End
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
		if i := s.read.index.Rank(c.Start) + to; i >= 0 {
			return s.read.index.Select(i) + 1
		}
		return calendar.Beginning
	case to == 0:
		return c.End
	}
	return min(s.read.index.Select(s.read.index.Rank(c.End)+to-1)+1, calendar.Horizon)
}

// at is the window or reach of one partition.
func (s *span) at(p calendar.Partition, width width) calendar.Interval {
	if s.begins != nil && !s.begins.over[width].Contains(p) {
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
		return s.window.Unit <= s.reader.table.Axis.Grain && !s.gaps()
	case catalog.Partitions:
		return s.same
	}
	return !s.gaps()
}

// gaps reports whether single partitions within the span may have empty windows: {rows: 3, through: -2, within: {days: 1}} may end before
// it begins, and hours that the clock skips have no length.
func (s *span) gaps() bool {
	switch s.window.Kind {
	case catalog.Offset:
		return !s.shift && s.reader.table.Axis.Grain == calendar.Hour
	case catalog.PerRows, catalog.PerParts:
		return s.begins == nil
	}
	return false
}

// upstream appends the windows of the reader's partitions in the set.
func (s *span) upstream(out []calendar.Interval, set calendar.Set, width width) []calendar.Interval {
	if s.window.Kind == catalog.Everything && !set.Empty() {
		return append(out, calendar.Everything())
	}
	if s.begins != nil {
		set = set.Intersect(s.begins.over[width])
	}
	if !s.tight() {
		for p := range set.Partitions() {
			out = append(out, s.at(p, width))
		}
		return out
	}
	for _, iv := range set.Intervals() {
		if s.begins == nil {
			out = append(out, calendar.Interval{Start: s.lo(iv.Start, width), End: s.hi(iv.End-1, width)})
			continue
		}
		// Between two periods that touch, the later partitions do not read what the earlier ones did.
		for at := iv.Start; at < iv.End; {
			i := sort.Search(len(s.begins.seasons), func(i int) bool { return s.begins.seasons[i].over.End > at })
			end := iv.End
			if i < len(s.begins.seasons) {
				end = min(end, s.begins.seasons[i].over.End)
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
	found := calendar.Interval{Start: s.reader.index.Select(i), End: s.reader.index.Select(j-1) + 1}
	switch {
	case s.gaps():
		for ; i < j; i++ {
			if p := s.reader.index.Select(i); s.at(p, width).Overlaps(iv) {
				out = append(out, calendar.Single(p))
			}
		}
		return out
	case s.begins == nil:
		return append(out, found)
	}
	return append(out, s.begins.over[width].Within(found).Intervals()...)
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

// downstream is the set of the reader's expected partitions whose window holds an expected input partition of the set.
func (e *edge) downstream(changed calendar.Set) calendar.Set {
	changed = meet(changed, e.read.expected)
	if changed.Empty() {
		return changed
	}
	return setOf(e.meeting(nil, changed.Intervals(), narrow), e.reader.expected)
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
