package calendar

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The naive model of a set: which of the days 0 to span-1 are members. Sets under test lie there.
const span = 64

type days [span]bool

func (d days) members() []Partition {
	var out []Partition
	for i, in := range d {
		if in {
			out = append(out, Partition(i))
		}
	}
	return out
}

func (d days) count() int { return len(d.members()) }

// drawSet draws a set together with its model. Intervals come in any order, empty and inverted ones among them.
func drawSet(t *rapid.T, label string) (Set, days) {
	n := rapid.IntRange(0, 8).Draw(t, label+" intervals")
	var model days
	ivs := make([]Interval, n)
	for i := range ivs {
		start := rapid.IntRange(0, span).Draw(t, label+" start")
		end := min(start+rapid.IntRange(-3, 12).Draw(t, label+" length"), span)
		ivs[i] = Interval{Partition(start), Partition(end)}
		for p := start; p < end; p++ {
			model[p] = true
		}
	}
	return NewSet(ivs...), model
}

type failer interface {
	Fatalf(format string, args ...any)
}

// same demands that a set is canonical (sorted, disjoint, not touching, without empty intervals) and has the model's members.
func same(t failer, op string, s Set, want days) {
	for i, iv := range s.Intervals() {
		if iv.Empty() {
			t.Fatalf("%s: interval %v is empty", op, iv)
		}
		if i > 0 && s.Intervals()[i-1].End >= iv.Start {
			t.Fatalf("%s: intervals %v and %v are not apart", op, s.Intervals()[i-1], iv)
		}
	}
	if got := slices.Collect(s.Partitions()); !slices.Equal(got, want.members()) {
		t.Fatalf("%s: members %v, want %v", op, got, want.members())
	}
}

// pointwise applies a boolean operation to two models.
func pointwise(a, b days, f func(x, y bool) bool) days {
	var out days
	for i := range out {
		out[i] = f(a[i], b[i])
	}
	return out
}

func or(x, y bool) bool     { return x || y }
func and(x, y bool) bool    { return x && y }
func andNot(x, y bool) bool { return x && !y }

func TestSetOperationsAgreeWithDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ma := drawSet(t, "a")
		b, mb := drawSet(t, "b")
		c, mc := drawSet(t, "c")
		before := fmt.Sprint(a, b, c)

		same(t, "new", a, ma)
		same(t, "union", a.Union(b), pointwise(ma, mb, or))
		same(t, "intersect", a.Intersect(b), pointwise(ma, mb, and))
		same(t, "minus", a.Minus(b), pointwise(ma, mb, andNot))
		same(t, "union of all", UnionAll(a, b, c), pointwise(pointwise(ma, mb, or), mc, or))
		same(t, "of", Of(ma.members()...), ma)
		if got, want := a.Overlaps(b), pointwise(ma, mb, and).count() > 0; got != want {
			t.Fatalf("overlaps: %v, want %v", got, want)
		}
		if got, want := a.Covers(b), pointwise(mb, ma, andNot).count() == 0; got != want {
			t.Fatalf("covers: %v, want %v", got, want)
		}
		if got, want := a.Equal(b), ma == mb; got != want {
			t.Fatalf("equal: %v, want %v", got, want)
		}
		if got := fmt.Sprint(a, b, c); got != before {
			t.Fatalf("operands changed: %s, were %s", got, before)
		}
	})
}

func TestSetQuestionsAgreeWithDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := drawSet(t, "set")
		for p := Partition(-2); p < span+2; p++ {
			if got, want := s.Contains(p), p >= 0 && p < span && m[p]; got != want {
				t.Fatalf("contains %d: %v, want %v", p, got, want)
			}
		}
		members := m.members()
		if s.Count() != len(members) || s.Empty() != (len(members) == 0) {
			t.Fatalf("count %d, empty %v, of %v", s.Count(), s.Empty(), members)
		}
		first, okFirst := s.First()
		last, okLast := s.Last()
		if len(members) == 0 {
			if okFirst || okLast || s.Bounds() != (Interval{}) {
				t.Fatalf("an empty set has a first %d, a last %d or bounds %v", first, last, s.Bounds())
			}
			return
		}
		if first != members[0] || last != members[len(members)-1] || !okFirst || !okLast || s.Bounds() != (Interval{first, last + 1}) {
			t.Fatalf("first %d, last %d, bounds %v of %v", first, last, s.Bounds(), members)
		}
	})
}

func TestWithinAgreesWithDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := drawSet(t, "set")
		start := rapid.IntRange(-2, span+2).Draw(t, "start")
		end := rapid.IntRange(-2, span+2).Draw(t, "end")
		iv := Interval{Partition(start), Partition(end)}
		var inside days
		for i := range inside {
			inside[i] = iv.Contains(Partition(i))
		}
		before := fmt.Sprint(s)
		part := s.Within(iv)
		same(t, fmt.Sprint("within ", iv), part, pointwise(m, inside, and))
		// Appending to the part must not reach into the set it came from.
		_ = append(part.Intervals(), Interval{1000, 1001})
		if fmt.Sprint(s) != before {
			t.Fatalf("the part shares room with the set: %v, was %s", s, before)
		}
	})
}

func TestChunksPartitionTheSetInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := drawSet(t, "set")
		size := rapid.OneOf(rapid.IntRange(-1, 5), rapid.IntRange(-1, span+1)).Draw(t, "size")
		chunks := s.Chunks(size)
		var all []Partition
		for i, c := range chunks {
			var one days
			for p := range c.Partitions() {
				one[p] = true
			}
			same(t, "chunk", c, one)
			all = append(all, one.members()...)
			if size >= 1 && (c.Count() > size || (c.Count() < size && i < len(chunks)-1)) {
				t.Fatalf("chunk %d of %d has %d members, size %d", i, len(chunks), c.Count(), size)
			}
		}
		if !slices.Equal(all, m.members()) {
			t.Fatalf("chunks hold %v, want %v", all, m.members())
		}
		if size < 1 && len(chunks) > 1 {
			t.Fatalf("size %d made %d chunks", size, len(chunks))
		}
	})
}

func TestIndexAgreesWithDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := drawSet(t, "set")
		x := NewIndex(s)
		members := m.members()
		if x.Len() != len(members) || !x.Set().Equal(s) {
			t.Fatalf("index of %d, want %d", x.Len(), len(members))
		}
		for p := Partition(-2); p < span+2; p++ {
			want := 0
			for _, q := range members {
				if q < p {
					want++
				}
			}
			if got := x.Rank(p); got != want {
				t.Fatalf("rank of %d in %v: %d, want %d", p, members, got, want)
			}
		}
		for k := -2; k < len(members)+2; k++ {
			want := Beginning
			switch {
			case k >= len(members):
				want = Horizon
			case k >= 0:
				want = members[k]
			}
			if got := x.Select(k); got != want {
				t.Fatalf("select %d of %v: %d, want %d", k, members, got, want)
			}
		}
	})
}

func TestIndexAtTheEdges(t *testing.T) {
	x := NewIndex(NewSet(Interval{10, 20}, Interval{30, Horizon}))
	for _, c := range []struct {
		p    Partition
		want int
	}{
		{math.MinInt64, 0},
		{Beginning, 0},
		{10, 0},
		{11, 1},
		{20, 10},
		{30, 10},
		{31, 11},
		{Horizon, x.Len()},
		{math.MaxInt64, x.Len()},
	} {
		if got := x.Rank(c.p); got != c.want {
			t.Errorf("rank of %d: %d, want %d", c.p, got, c.want)
		}
	}
	for _, c := range []struct {
		k    int
		want Partition
	}{
		{math.MinInt, Beginning},
		{-1, Beginning},
		{9, 19},
		{10, 30},
		{x.Len() - 1, Horizon - 1},
		{x.Len(), Horizon},
		{math.MaxInt, Horizon},
	} {
		if got := x.Select(c.k); got != c.want {
			t.Errorf("select %d: %d, want %d", c.k, got, c.want)
		}
	}
}

func TestEverythingIsTheLimit(t *testing.T) {
	all := NewSet(Interval{math.MinInt64, math.MaxInt64})
	if !all.Equal(All()) {
		t.Fatalf("all of int64 is %v, want %v", all, All())
	}
	if got, want := all.Count(), int(Horizon-Beginning); got != want {
		t.Fatalf("count of all: %d, want %d", got, want)
	}
	if !Of(Horizon, Beginning-1, math.MaxInt64).Empty() {
		t.Fatal("a set holds partitions outside Everything")
	}
	hole := All().Minus(Of(5))
	if got := hole.Intervals(); !slices.Equal(got, []Interval{{Beginning, 5}, {6, Horizon}}) {
		t.Fatalf("all but 5: %v", got)
	}
	if !hole.Union(Of(5)).Equal(All()) {
		t.Fatal("all but 5, and 5, is not all")
	}
}

func TestPartitionsStopsWhenAsked(t *testing.T) {
	n := 0
	for range All().Partitions() {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Fatalf("%d partitions, want 3", n)
	}
}

func TestIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) Interval {
			return Interval{Partition(rapid.IntRange(-5, 5).Draw(t, label)), Partition(rapid.IntRange(-5, 5).Draw(t, label))}
		}
		a, b := draw("a"), draw("b")
		count, common := 0, 0
		for p := Partition(-6); p < 6; p++ {
			if a.Contains(p) {
				count++
			}
			if a.Contains(p) && b.Contains(p) {
				common++
			}
			if got, want := a.Intersect(b).Contains(p), a.Contains(p) && b.Contains(p); got != want {
				t.Fatalf("%v and %v: contains %d: %v", a, b, p, got)
			}
		}
		if a.Count() != count || a.Empty() != (count == 0) || a.Overlaps(b) != (common > 0) {
			t.Fatalf("%v: count %d, empty %v, overlaps %v %v", a, a.Count(), a.Empty(), b, a.Overlaps(b))
		}
	})
}
