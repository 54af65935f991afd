package calendar

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// A Set is an immutable set of partitions, kept as sorted, disjoint, non-adjacent, non-empty intervals. The zero value is empty.
// All operations are at most linear in the number of intervals, never in the number of partitions (but Partitions, and Chunks, which is
// linear in the chunks it makes); none changes its operands.
type Set struct{ ivs []Interval }

// NewSet makes a set of intervals in any order; they may overlap, touch or be empty. What lies outside Everything is cut off.
func NewSet(ivs ...Interval) Set {
	kept := make([]Interval, 0, len(ivs))
	sorted := true
	for _, given := range ivs {
		iv := given.Intersect(Everything())
		if iv.Empty() {
			continue
		}
		if n := len(kept); n > 0 && iv.Start < kept[n-1].Start {
			sorted = false
		}
		kept = append(kept, iv)
	}
	if !sorted {
		slices.SortFunc(kept, func(a, b Interval) int { return cmp.Compare(a.Start, b.Start) })
	}
	return Set{merge(kept)}
}

// merge joins overlapping and touching neighbours of a sorted slice, in place.
func merge(ivs []Interval) []Interval {
	if len(ivs) == 0 {
		return nil
	}
	out := ivs[:1]
	for _, iv := range ivs[1:] {
		last := &out[len(out)-1]
		if iv.Start <= last.End {
			last.End = max(last.End, iv.End)
			continue
		}
		out = append(out, iv)
	}
	return out
}

// Of is the set of the given partitions, in any order, duplicates allowed.
func Of(ps ...Partition) Set {
	ivs := make([]Interval, len(ps))
	for i, p := range ps {
		ivs[i] = Single(p)
	}
	return NewSet(ivs...)
}

// Range is the set of one interval.
func Range(start, end Partition) Set { return NewSet(Interval{start, end}) }

// All is the set of every partition.
func All() Set { return Set{[]Interval{Everything()}} }

// Intervals gives the set's intervals in order. The slice is the set's own: callers must not change it.
func (s Set) Intervals() []Interval { return s.ivs }

// Partitions iterates over the members in order.
func (s Set) Partitions() iter.Seq[Partition] {
	return func(yield func(Partition) bool) {
		for _, iv := range s.ivs {
			for p := iv.Start; p < iv.End; p++ {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// Empty reports whether the set has no member.
func (s Set) Empty() bool { return len(s.ivs) == 0 }

// Count is the number of members.
func (s Set) Count() int {
	n := 0
	for _, iv := range s.ivs {
		n += int(iv.End - iv.Start)
	}
	return n
}

// Bounds is the smallest interval that holds the set; empty for an empty set.
func (s Set) Bounds() Interval {
	if len(s.ivs) == 0 {
		return Interval{}
	}
	return Interval{s.ivs[0].Start, s.ivs[len(s.ivs)-1].End}
}

// First is the smallest member; ok is false for an empty set.
func (s Set) First() (p Partition, ok bool) {
	if len(s.ivs) == 0 {
		return 0, false
	}
	return s.ivs[0].Start, true
}

// Last is the largest member; ok is false for an empty set.
func (s Set) Last() (p Partition, ok bool) {
	if len(s.ivs) == 0 {
		return 0, false
	}
	return s.ivs[len(s.ivs)-1].End - 1, true
}

// Contains reports whether p is a member.
func (s Set) Contains(p Partition) bool {
	i := s.after(p)
	return i < len(s.ivs) && s.ivs[i].Start <= p
}

// after is the index of the first interval that ends after p.
func (s Set) after(p Partition) int {
	return sort.Search(len(s.ivs), func(i int) bool { return s.ivs[i].End > p })
}

// Equal reports whether both sets have the same members.
func (s Set) Equal(o Set) bool { return slices.Equal(s.ivs, o.ivs) }

// Covers reports whether every member of o is a member of s.
func (s Set) Covers(o Set) bool {
	near := s.touching(o.Bounds())
	i := 0
	for _, iv := range o.ivs {
		for i < len(near) && near[i].End <= iv.Start {
			i++
		}
		if i == len(near) || near[i].Start > iv.Start || near[i].End < iv.End {
			return false
		}
	}
	return true
}

// touching gives the set's intervals that overlap iv, whole. The slice is the set's own.
func (s Set) touching(iv Interval) []Interval {
	if iv.Empty() {
		return nil
	}
	lo := s.after(iv.Start)
	hi := lo + sort.Search(len(s.ivs)-lo, func(i int) bool { return s.ivs[lo+i].Start >= iv.End })
	return s.ivs[lo:hi:hi]
}

// Overlaps reports whether the sets have a member in common.
func (s Set) Overlaps(o Set) bool {
	a, b := s.touching(o.Bounds()), o.touching(s.Bounds())
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i].Overlaps(b[j]) {
			return true
		}
		if a[i].End <= b[j].End {
			i++
		} else {
			j++
		}
	}
	return false
}

// Union is the set of the members of either.
func (s Set) Union(o Set) Set {
	big, small := s.ivs, o.ivs
	if len(big) < len(small) {
		big, small = small, big
	}
	if len(small) == 0 {
		return Set{big}
	}
	// What lies apart from the smaller set on either side is copied as it is.
	lo := sort.Search(len(big), func(i int) bool { return big[i].End >= small[0].Start })
	hi := sort.Search(len(big), func(i int) bool { return big[i].Start > small[len(small)-1].End })
	out := make([]Interval, 0, len(big)+len(small))
	out = append(out, big[:lo]...)
	for i, j := lo, 0; i < hi || j < len(small); {
		if j == len(small) || (i < hi && big[i].Start <= small[j].Start) {
			out = append(out, big[i])
			i++
		} else {
			out = append(out, small[j])
			j++
		}
	}
	out = out[:lo+len(merge(out[lo:]))]
	return Set{append(out, big[hi:]...)}
}

// UnionAll is the union of many sets, sorted once: use it instead of a loop of Union.
func UnionAll(sets ...Set) Set {
	n := 0
	for _, s := range sets {
		n += len(s.ivs)
	}
	out := make([]Interval, 0, n)
	for _, s := range sets {
		out = append(out, s.ivs...)
	}
	return NewSet(out...)
}

// Intersect is the set of the members of both.
func (s Set) Intersect(o Set) Set {
	a, b := s.touching(o.Bounds()), o.touching(s.Bounds())
	if len(a) == 0 || len(b) == 0 {
		return Set{}
	}
	out := make([]Interval, 0, max(len(a), len(b)))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if iv := a[i].Intersect(b[j]); !iv.Empty() {
			out = append(out, iv)
		}
		if a[i].End <= b[j].End {
			i++
		} else {
			j++
		}
	}
	return Set{out}
}

// Within is the part of the set that lies in the interval.
func (s Set) Within(iv Interval) Set {
	near := s.touching(iv)
	if len(near) == 0 {
		return Set{}
	}
	if near[0].Start >= iv.Start && near[len(near)-1].End <= iv.End {
		return Set{near}
	}
	out := slices.Clone(near)
	out[0].Start = max(out[0].Start, iv.Start)
	out[len(out)-1].End = min(out[len(out)-1].End, iv.End)
	return Set{out}
}

// Minus is the set of the members of s that o does not have.
func (s Set) Minus(o Set) Set {
	cuts := o.touching(s.Bounds())
	if len(cuts) == 0 {
		return s
	}
	// What lies apart from the cuts on either side is copied as it is.
	lo := s.after(cuts[0].Start)
	hi := lo + len(s.touching(Interval{cuts[0].Start, cuts[len(cuts)-1].End}))
	out := make([]Interval, 0, len(s.ivs)+len(cuts))
	out = append(out, s.ivs[:lo]...)
	j := 0
	for _, iv := range s.ivs[lo:hi] {
		for j < len(cuts) && cuts[j].End <= iv.Start {
			j++
		}
		at := iv.Start
		for k := j; k < len(cuts) && cuts[k].Start < iv.End; k++ {
			if cuts[k].Start > at {
				out = append(out, Interval{at, cuts[k].Start})
			}
			at = max(at, cuts[k].End)
		}
		if at < iv.End {
			out = append(out, Interval{at, iv.End})
		}
	}
	return Set{append(out, s.ivs[hi:]...)}
}

// Chunks cuts the set, in order, into sets of at most size members. A size below 1 gives the set whole.
func (s Set) Chunks(size int) []Set {
	if s.Empty() {
		return nil
	}
	if size < 1 {
		return []Set{s}
	}
	var out []Set
	var cur []Interval
	room := Partition(size)
	for _, iv := range s.ivs {
		for !iv.Empty() {
			n := min(room, iv.End-iv.Start)
			cur = append(cur, Interval{iv.Start, iv.Start + n})
			iv.Start += n
			if room -= n; room == 0 {
				out = append(out, Set{cur})
				cur, room = nil, Partition(size)
			}
		}
	}
	if len(cur) > 0 {
		out = append(out, Set{cur})
	}
	return out
}

// An Index answers rank and select on a set in O(log intervals).
type Index struct {
	set    Set
	before []int // members in the intervals before this one
	n      int
}

// NewIndex indexes a set.
func NewIndex(s Set) *Index {
	x := &Index{set: s, before: make([]int, len(s.ivs))}
	for i, iv := range s.ivs {
		x.before[i] = x.n
		x.n += int(iv.End - iv.Start)
	}
	return x
}

// Set is what was indexed.
func (x *Index) Set() Set { return x.set }

// Len is the number of members.
func (x *Index) Len() int { return x.n }

// Rank is the number of members smaller than p.
func (x *Index) Rank(p Partition) int {
	i := x.set.after(p)
	switch {
	case i == len(x.set.ivs):
		return x.n
	case p <= x.set.ivs[i].Start: // before subtracting: the difference could overflow
		return x.before[i]
	}
	return x.before[i] + int(p-x.set.ivs[i].Start)
}

// Select is the k-th member, from 0. It is Beginning below 0 and Horizon from Len on.
func (x *Index) Select(k int) Partition {
	switch {
	case k < 0:
		return Beginning
	case k >= x.n:
		return Horizon
	}
	i := sort.Search(len(x.before), func(i int) bool { return x.before[i] > k }) - 1
	return x.set.ivs[i].Start + Partition(k-x.before[i])
}
