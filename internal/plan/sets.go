package plan

import "github.com/headway-data/headway/internal/calendar"

// The planner joins and cuts the same sets again and again, and mostly one is the other, or holds it. These give one of their operands
// back where that is the answer, and make a new set only where there is one.

// alike is Equal, at once for sets that are one.
func alike(a, b calendar.Set) bool {
	x, y := a.Intervals(), b.Intervals()
	return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0] || a.Equal(b))
}

// join is the union.
func join(a, b calendar.Set) calendar.Set {
	switch {
	case b.Empty() || alike(a, b) || spans(a, b):
		return a
	case a.Empty() || spans(b, a) || b.Covers(a):
		return b
	case a.Covers(b):
		return a
	}
	return a.Union(b)
}

// meet is the intersection.
func meet(a, b calendar.Set) calendar.Set {
	switch {
	case a.Empty() || spans(b, a) || alike(a, b):
		return a
	case b.Empty() || spans(a, b):
		return b
	}
	return a.Intersect(b)
}

// cut is what a has and b has not.
func cut(a, b calendar.Set) calendar.Set {
	switch {
	case a.Empty() || b.Empty():
		return a
	case spans(b, a) || alike(a, b):
		return calendar.Set{}
	}
	return a.Minus(b)
}

// spans reports whether a is one interval around all of b.
func spans(a, b calendar.Set) bool {
	if x := a.Intervals(); len(x) == 1 {
		y := b.Bounds()
		return x[0].Start <= y.Start && y.End <= x[0].End
	}
	return false
}

// joined is the union of many.
func joined(sets ...calendar.Set) calendar.Set {
	var out calendar.Set
	for _, s := range sets {
		if !s.Empty() {
			out = join(out, s)
		}
	}
	return out
}

// setOf is the part of some intervals, in any order, that lies in a set.
func setOf(ivs []calendar.Interval, within calendar.Set) calendar.Set {
	if len(ivs) == 0 || within.Empty() {
		return calendar.Set{}
	}
	if whole := within.Intervals(); len(whole) == 1 {
		for i := range ivs {
			ivs[i] = ivs[i].Intersect(whole[0])
		}
		return calendar.NewSet(ivs...)
	}
	return calendar.NewSet(ivs...).Intersect(within)
}
