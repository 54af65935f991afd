package calendar

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// A Set is an immutable set of partitions, kept as sorted, disjoint, non-adjacent, non-empty intervals. The zero value is empty.
// All operations are linear in the number of intervals, never in the number of partitions; none changes its operands.
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
func (s Set) Covers(o Set) bool { return o.Minus(s).Empty() }

// Overlaps reports whether the sets have a member in common.
func (s Set) Overlaps(o Set) bool {
	for i, j := 0, 0; i < len(s.ivs) && j < len(o.ivs); {
		if s.ivs[i].Overlaps(o.ivs[j]) {
			return true
		}
		if s.ivs[i].End <= o.ivs[j].End {
			i++
		} else {
			j++
		}
	}
	return false
}

// Union is the set of the members of either.
func (s Set) Union(o Set) Set {
	switch {
	case s.Empty():
		return o
	case o.Empty():
		return s
	}
	out := make([]Interval, 0, len(s.ivs)+len(o.ivs))
	i, j := 0, 0
	for i < len(s.ivs) || j < len(o.ivs) {
		if j == len(o.ivs) || (i < len(s.ivs) && s.ivs[i].Start <= o.ivs[j].Start) {
			out = append(out, s.ivs[i])
			i++
		} else {
			out = append(out, o.ivs[j])
			j++
		}
	}
	return Set{merge(out)}
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
	if s.Empty() || o.Empty() {
		return Set{}
	}
	var out []Interval
	for i, j := 0, 0; i < len(s.ivs) && j < len(o.ivs); {
		if iv := s.ivs[i].Intersect(o.ivs[j]); !iv.Empty() {
			out = append(out, iv)
		}
		if s.ivs[i].End <= o.ivs[j].End {
			i++
		} else {
			j++
		}
	}
	return Set{out}
}

// Within is the part of the set that lies in the interval.
func (s Set) Within(iv Interval) Set {
	if iv.Empty() {
		return Set{}
	}
	lo := s.after(iv.Start)
	hi := sort.Search(len(s.ivs), func(i int) bool { return s.ivs[i].Start >= iv.End })
	if lo >= hi {
		return Set{}
	}
	first, last := s.ivs[lo], s.ivs[hi-1]
	if first.Start >= iv.Start && last.End <= iv.End {
		return Set{s.ivs[lo:hi:hi]}
	}
	out := slices.Clone(s.ivs[lo:hi])
	out[0].Start = max(out[0].Start, iv.Start)
	out[len(out)-1].End = min(out[len(out)-1].End, iv.End)
	return Set{out}
}

// Minus is the set of the members of s that o does not have.
func (s Set) Minus(o Set) Set {
	if s.Empty() || o.Empty() {
		return s
	}
	var out []Interval
	j := 0
	for _, iv := range s.ivs {
		for j < len(o.ivs) && o.ivs[j].End <= iv.Start {
			j++
		}
		at := iv.Start
		for k := j; k < len(o.ivs) && o.ivs[k].Start < iv.End; k++ {
			if o.ivs[k].Start > at {
				out = append(out, Interval{at, o.ivs[k].Start})
			}
			at = max(at, o.ivs[k].End)
		}
		if at < iv.End {
			out = append(out, Interval{at, iv.End})
		}
	}
	return Set{out}
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
