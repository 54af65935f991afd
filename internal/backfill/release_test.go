package backfill

import (
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/run"
)

// TestRule3_WhatNoStepNeedsIsGivenBack: a partition is given back when no remaining step of the run reads or writes it, and one is kept to the end.
func TestRule3_WhatNoStepNeedsIsGivenBack(t *testing.T) {
	g := newGiving([]run.Chunk{
		{ID: 0, Table: "a", Set: calendar.Range(0, 5)},
		{ID: 1, Table: "a", Set: calendar.Range(5, 10)},
		{ID: 2, Table: "b", Set: calendar.Range(0, 5), After: []int{0}},
		{ID: 3, Table: "b", Set: calendar.Range(5, 10), After: []int{0, 1}, With: []run.Part{{Table: "c", Set: calendar.Range(5, 10)}}},
	})
	want := func(what string, sets map[string]calendar.Set) {
		t.Helper()
		got := g.take()
		if len(got) != len(sets) {
			t.Fatalf("%s: got %v, want %v", what, got, sets)
		}
		for name, set := range sets {
			if !got[name].Equal(set) {
				t.Errorf("%s: of %s got %v, want %v", what, name, got[name], set)
			}
		}
	}
	want("nothing has ended", nil)
	g.ended(0)
	want("both of b still read it", nil)
	g.ended(2)
	want("what is written and not read, but for one", map[string]calendar.Set{"b": calendar.Range(0, 4)})
	g.ended(1)
	want("it is read still", nil)
	g.ended(3)
	want("all, but for one", map[string]calendar.Set{"a": calendar.Range(0, 9), "b": calendar.Of(4).Union(calendar.Range(5, 10)), "c": calendar.Range(5, 10)})
	want("the last is kept", nil)
}
