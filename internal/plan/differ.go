package plan

import (
	"sort"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// differences is the set of partitions about which two histories of a table say different things. Rows are compared within a set only.
func differences(a, b *history.Table, within calendar.Set) calendar.Set {
	var ivs []calendar.Interval
	for _, iv := range within.Intervals() {
		ivs = rowsDiffer(ivs, rowsIn(a.Segments, iv), rowsIn(b.Segments, iv))
		ivs = rowsDiffer(ivs, rowsIn(a.Verdicts, iv), rowsIn(b.Verdicts, iv))
		ivs = rowsDiffer(ivs, rowsIn(a.Moves, iv), rowsIn(b.Moves, iv))
	}
	out := calendar.NewSet(ivs...)
	for _, s := range [][2]calendar.Set{
		{a.Known, b.Known}, {a.Held, b.Held}, {a.InFlight, b.InFlight}, {a.Reserved, b.Reserved}, {a.Unsettled, b.Unsettled},
	} {
		if !alike(s[0], s[1]) {
			out = calendar.UnionAll(out, s[0].Minus(s[1]), s[1].Minus(s[0]))
		}
	}
	return out
}

// rowsIn are the rows that meet an interval, whole.
func rowsIn[T history.Row[T]](rows []T, iv calendar.Interval) []T {
	if iv.Empty() {
		return nil
	}
	i := sort.Search(len(rows), func(i int) bool { return rows[i].Bounds().End > iv.Start })
	n := sort.Search(len(rows)-i, func(k int) bool { return rows[i+k].Bounds().Start >= iv.End })
	return rows[i : i+n]
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
