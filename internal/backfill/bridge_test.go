package backfill

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
)

// TestBridge: a bridged set holds what it was made of, nothing expected beside that, begins and ends every interval with a member, and
// bridges all it may: between two of its intervals there is always something expected that was not asked for.
func TestBridge(t *testing.T) {
	draw := func(t *rapid.T, name string) calendar.Set {
		var ps []calendar.Partition
		for _, p := range rapid.SliceOfN(rapid.Int64Range(0, 40), 0, 25).Draw(t, name) {
			ps = append(ps, calendar.Partition(p))
		}
		return calendar.Of(ps...)
	}
	rapid.Check(t, func(t *rapid.T) {
		set, expected := draw(t, "set"), draw(t, "expected")
		got := Bridge(set, expected)
		if !got.Covers(set) {
			t.Fatalf("Bridge(%v, %v) = %v: members are lost", set, expected, got)
		}
		if foreign := got.Intersect(expected).Minus(set); !foreign.Empty() {
			t.Fatalf("Bridge(%v, %v) = %v: bridges %v, which is expected", set, expected, got, foreign)
		}
		ivs := got.Intervals()
		for i, iv := range ivs {
			if !set.Contains(iv.Start) || !set.Contains(iv.End-1) {
				t.Fatalf("Bridge(%v, %v) = %v: %v does not begin and end with a member", set, expected, got, iv)
			}
			if i > 0 && !expected.Minus(set).Overlaps(calendar.Range(ivs[i-1].End, iv.Start)) {
				t.Fatalf("Bridge(%v, %v) = %v: nothing stands between %v and %v", set, expected, got, ivs[i-1], iv)
			}
		}
	})
}
