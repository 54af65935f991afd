package calendar

import "sort"

// A Period is a named kind of interval that comes again and again, like a season. Its intervals are of civil days (Date), sorted,
// disjoint and not empty.
type Period struct{ Intervals []Interval }

// Containing is the interval of the period in which a partition of the axis lies, as partitions of that axis. A partition that reaches
// into two of them, as a month can, counts to the first. It is false where no interval overlaps the partition.
func (pd Period) Containing(axis Axis, p Partition) (Interval, bool) {
	day := Axis{Day, axis.Zone}
	days := axis.Convert(Single(p), day)
	i := sort.Search(len(pd.Intervals), func(i int) bool { return pd.Intervals[i].End > days.Start })
	if i == len(pd.Intervals) || !pd.Intervals[i].Overlaps(days) {
		return Interval{}, false
	}
	return day.Convert(pd.Intervals[i], axis), true
}

// On gives the period's intervals as partitions of an axis, in order; neighbours share a partition that reaches into both.
func (pd Period) On(axis Axis) []Interval {
	out := make([]Interval, len(pd.Intervals))
	for i, iv := range pd.Intervals {
		out[i] = Axis{Day, axis.Zone}.Convert(iv, axis)
	}
	return out
}

// FirstOf is the set of the first n expected partitions of each interval of the period.
func FirstOf(pd Period, expected *Index, n int, axis Axis) Set {
	if n < 1 {
		return Set{}
	}
	count := min(n, expected.Len()) // so that adding to it cannot overflow
	parts := make([]Set, 0, len(pd.Intervals))
	for _, iv := range pd.On(axis) {
		iv.End = min(iv.End, expected.Select(expected.Rank(iv.Start)+count))
		parts = append(parts, expected.Set().Within(iv))
	}
	return UnionAll(parts...)
}
