package calendar

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestSetJSON: a set written and read back is the set, also inside other values and when it is empty or open.
func TestSetJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ivs []Interval
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			start := rapid.Int64Range(-500, 500).Draw(t, "start")
			ivs = append(ivs, Interval{Partition(start), Partition(start + rapid.Int64Range(0, 40).Draw(t, "length"))})
		}
		in := struct{ Set Set }{NewSet(ivs...)}
		if rapid.Bool().Draw(t, "open") {
			in.Set = in.Set.Union(Range(1000, Horizon))
		}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out struct{ Set Set }
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		if !in.Set.Equal(out.Set) {
			t.Fatalf("%s became %v, want %v", text, out.Set, in.Set)
		}
	})
	var s Set
	if err := json.Unmarshal([]byte(`[[5,9],[1,3],[2,6],[7,7]]`), &s); err != nil || !s.Equal(Range(1, 9)) {
		t.Errorf("pairs in disorder gave %v, %v", s, err)
	}
	if err := json.Unmarshal([]byte(`{"a":1}`), &s); err == nil {
		t.Error("an object was read as a set")
	}
}
