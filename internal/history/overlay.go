package history

import (
	"sort"

	"github.com/headway-data/headway/internal/calendar"
)

// A Row is one interval with what is known of it: Segment, Move and Verdict are rows.
type Row[T any] interface {
	Bounds() calendar.Interval
	WithBounds(calendar.Interval) T
	// SameAs reports whether two rows differ in nothing but their bounds, so that neighbours may be joined.
	SameAs(T) bool
}

// Bounds is the interval of the segment.
func (s Segment) Bounds() calendar.Interval { return s.Interval }

// WithBounds is the same segment over another interval.
func (s Segment) WithBounds(iv calendar.Interval) Segment { s.Interval = iv; return s }

// SameAs reports whether the segments differ in nothing but their bounds. Times are compared as instants: the same one read from a
// store and from a clock may be written in two ways.
func (s Segment) SameAs(o Segment) bool {
	like := o.WithBounds(s.Interval)
	like.ReadAt = s.ReadAt
	return like == s && s.ReadAt.Equal(o.ReadAt)
}

// Bounds is the interval of the move.
func (m Move) Bounds() calendar.Interval { return m.Interval }

// WithBounds is the same move over another interval.
func (m Move) WithBounds(iv calendar.Interval) Move { m.Interval = iv; return m }

// SameAs reports whether the moves differ in nothing but their bounds.
func (m Move) SameAs(o Move) bool { return o.WithBounds(m.Interval) == m }

// Bounds is the interval of the verdict.
func (v Verdict) Bounds() calendar.Interval { return v.Interval }

// WithBounds is the same verdict over another interval.
func (v Verdict) WithBounds(iv calendar.Interval) Verdict { v.Interval = iv; return v }

// SameAs reports whether the verdicts differ in nothing but their bounds.
func (v Verdict) SameAs(o Verdict) bool { return o.WithBounds(v.Interval) == v }

// Overlay puts newer rows (sorted, disjoint) over older ones: where both speak, the newer row holds. Neighbours alike are joined, among the
// newer rows and where they meet older ones. Neither operand is changed. Older rows that lie before or behind the newer ones are copied
// and not looked at.
func Overlay[T Row[T]](older, newer []T) []T {
	if len(newer) == 0 {
		return older
	}
	// The older rows that meet newer ones or touch them.
	from := sort.Search(len(older), func(i int) bool { return older[i].Bounds().End >= newer[0].Bounds().Start })
	end := newer[len(newer)-1].Bounds().End
	to := from + sort.Search(len(older)-from, func(i int) bool { return older[from+i].Bounds().Start > end })
	rest := Without(older[from:to], Covered(newer))
	out := make([]T, 0, from+len(rest)+len(newer)+len(older)-to)
	out = append(out, older[:from]...)
	i, j := 0, 0
	for i < len(rest) || j < len(newer) {
		var next T
		if j == len(newer) || (i < len(rest) && rest[i].Bounds().Start < newer[j].Bounds().Start) {
			next = rest[i]
			i++
		} else {
			next = newer[j]
			j++
		}
		out = appendJoined(out, next)
	}
	return append(out, older[to:]...)
}

// Without cuts a set out of rows.
func Without[T Row[T]](rows []T, cut calendar.Set) []T {
	if cut.Empty() {
		return rows
	}
	var out []T
	ivs, k := cut.Intervals(), 0
	for _, r := range rows {
		iv := r.Bounds()
		for k < len(ivs) && ivs[k].End <= iv.Start {
			k++
		}
		at := iv.Start
		for i := k; i < len(ivs) && ivs[i].Start < iv.End; i++ {
			if ivs[i].Start > at {
				out = append(out, r.WithBounds(calendar.Interval{Start: at, End: ivs[i].Start}))
			}
			at = max(at, ivs[i].End)
		}
		if at < iv.End {
			out = append(out, r.WithBounds(calendar.Interval{Start: at, End: iv.End}))
		}
	}
	return out
}

// Clip keeps the parts of rows that lie in the set.
func Clip[T Row[T]](rows []T, keep calendar.Set) []T {
	var out []T
	ivs, k, bounds := keep.Intervals(), 0, keep.Bounds()
	first := sort.Search(len(rows), func(i int) bool { return rows[i].Bounds().End > bounds.Start })
	for _, r := range rows[first:] {
		iv := r.Bounds()
		if iv.Start >= bounds.End {
			break
		}
		for k < len(ivs) && ivs[k].End <= iv.Start {
			k++
		}
		for i := k; i < len(ivs) && ivs[i].Start < iv.End; i++ {
			out = append(out, r.WithBounds(ivs[i].Intersect(iv)))
		}
	}
	return out
}

// Spread makes one row per interval of the set.
func Spread[T Row[T]](row T, over calendar.Set) []T {
	out := make([]T, 0, len(over.Intervals()))
	for _, iv := range over.Intervals() {
		out = append(out, row.WithBounds(iv))
	}
	return out
}

// Covered is the set that the rows speak of.
func Covered[T Row[T]](rows []T) calendar.Set {
	ivs := make([]calendar.Interval, len(rows))
	for i, r := range rows {
		ivs[i] = r.Bounds()
	}
	return calendar.NewSet(ivs...)
}

func appendJoined[T Row[T]](out []T, r T) []T {
	if n := len(out); n > 0 {
		last := out[n-1]
		if last.Bounds().End == r.Bounds().Start && last.SameAs(r) {
			out[n-1] = last.WithBounds(calendar.Interval{Start: last.Bounds().Start, End: r.Bounds().End})
			return out
		}
	}
	return append(out, r)
}
