package plan

import (
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"pgregory.net/rapid"
)

// Comparing whole columns gives what looking at every window would.
func TestColumnsAgainstEveryWindow(t *testing.T) {
	draw := func(t *rapid.T) *Columns {
		h := &history.Table{}
		first := calendar.Partition(rapid.IntRange(-3, 3).Draw(t, "first"))
		for i := range rapid.IntRange(fewSegments+1, 12).Draw(t, "segments") {
			h.Segments = append(h.Segments, history.Segment{
				Interval: single(first + calendar.Partition(i)),
				ReadSeq:  history.Seq(rapid.IntRange(0, 5).Draw(t, "read")), ChangedSeq: history.Seq(rapid.IntRange(0, 5).Draw(t, "changed")),
			})
		}
		if rapid.Bool().Draw(t, "moved") {
			at := calendar.Partition(rapid.IntRange(-4, 14).Draw(t, "at"))
			iv := calendar.Interval{Start: at, End: at + calendar.Partition(rapid.IntRange(1, 4).Draw(t, "length"))}
			h.Moves = []history.Move{{Interval: iv, Seq: history.Seq(rapid.IntRange(1, 6).Draw(t, "seq"))}}
		}
		return NewColumns(h)
	}
	rapid.Check(t, func(t *rapid.T) {
		reader, input := draw(t), draw(t)
		if !reader.dense || !input.dense {
			t.Fatal("single partitions side by side are not dense")
		}
		first := calendar.Partition(rapid.IntRange(-6, 6).Draw(t, "window"))
		last := first + calendar.Partition(rapid.IntRange(0, 5).Draw(t, "width"))
		var want calendar.Set
		for i, r := range reader.read {
			p := reader.first + calendar.Partition(i)
			for q := p + first; q <= p+last; q++ {
				changed := history.Seq(0)
				if k := int(q - input.first); k >= 0 && k < input.n {
					changed = input.segments[k].ChangedSeq
					for _, m := range input.moves {
						if m.Contains(q) {
							changed = max(changed, m.Seq)
						}
					}
				}
				if changed > r {
					want = want.Union(calendar.Of(p))
				}
			}
		}
		if got := calendar.NewSet(reader.stale(nil, input, first, last)...); !got.Equal(want) {
			t.Fatalf("stale %v, want %v", got.Intervals(), want.Intervals())
		}
		for _, m := range input.moves {
			outside := m.Start < input.first || m.End > input.first+calendar.Partition(input.n)
			if outside != (len(input.stray) == 1) {
				t.Fatalf("move %v of [%d, %d): strays %v", m.Interval, input.first, int(input.first)+input.n, input.stray)
			}
		}
	})
}

// Whoever hands on columns of other rows is found out.
func TestColumnsOfOtherRowsAreNotUsed(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 9), seg(0, 9, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 9), seg(0, 9, 4, 5))
	b.in.Columns = map[string]*Columns{"raw": NewColumns(&history.Table{Segments: []history.Segment{seg(0, 9, 0, 9)}})}
	wantSet(t, "fresh", b.world().Judge("a").Fresh, calendar.Range(0, 9))
}

func TestSetsGiveTheirOperandsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) calendar.Set {
			bits := rapid.Uint16().Draw(t, what)
			var ps []calendar.Partition
			for i := range 16 {
				if bits&(1<<i) != 0 {
					ps = append(ps, calendar.Partition(i))
				}
			}
			return calendar.Of(ps...)
		}
		a, b := draw("a"), draw("b")
		for what, sets := range map[string][2]calendar.Set{
			"join": {join(a, b), a.Union(b)}, "meet": {meet(a, b), a.Intersect(b)}, "cut": {cut(a, b), a.Minus(b)},
			"joined": {joined(a, calendar.Set{}, b), a.Union(b)}, "setOf": {setOf(append([]calendar.Interval{}, a.Intervals()...), b), a.Intersect(b)},
		} {
			if !sets[0].Equal(sets[1]) {
				t.Fatalf("%s of %v and %v: %v", what, a.Intervals(), b.Intervals(), sets[0].Intervals())
			}
		}
	})
}
