package plan

import (
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"pgregory.net/rapid"
)

// naiveWithout is what goes with what others have: partition by partition, whatever of the plan reads something that has gone, through tables
// that are not planned as well, until nothing more goes.
func (s *sim) naiveWithout(p *Plan, taken map[string]calendar.Set) map[string]calendar.Set {
	m := s.model()
	gone, through := map[string]calendar.Set{}, map[string]calendar.Set{}
	for name, set := range taken {
		gone[name] = set.Intersect(stepOf(p, name))
		through[name] = gone[name]
	}
	for moved := true; moved; {
		moved = false
		add := func(name string, set calendar.Set) {
			if more := set.Minus(through[name]); !more.Empty() {
				moved = true
				through[name] = through[name].Union(more)
				gone[name] = gone[name].Union(more.Intersect(stepOf(p, name)))
			}
		}
		for _, t := range s.tables {
			for q := range s.in.Expected[t.Name].Partitions() {
				for _, in := range t.Inputs {
					for _, read := range m.members(t, in, q) {
						if through[in.Table].Contains(read) {
							add(t.Name, calendar.Of(q))
						}
					}
				}
			}
			if t.Producer == "" || t.Write != catalog.Direct {
				continue
			}
			for _, other := range s.tables { // what writes by itself writes all its tables
				if other.Producer == t.Producer && other != t {
					add(other.Name, through[t.Name].Intersect(stepOf(p, other.Name)))
				}
			}
		}
	}
	return gone
}

// Trim follows the lineage (rule 6): what is left to others takes its downstream within the plan with it, and nothing else goes.
func TestRule6_TrimFollowsTheLineage(t *testing.T) {
	trimmed, followed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		s.settleSources()
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			s.step()
		}
		p, err := Make(s.world(), s.request())
		if err != nil {
			t.Fatal(err)
		}
		taken := map[string]calendar.Set{}
		for _, step := range p.Steps {
			if rapid.IntRange(0, 2).Draw(t, "taken") == 0 {
				bounds := step.Set.Bounds()
				from := bounds.Start + calendar.Partition(rapid.IntRange(0, int(bounds.End-bounds.Start)-1).Draw(t, "from"))
				taken[step.Table] = taken[step.Table].Union(calendar.Range(from, from+calendar.Partition(rapid.IntRange(1, 4).Draw(t, "length"))))
			}
		}
		rest, left := p.Without(taken)
		want := s.naiveWithout(p, taken)
		for _, table := range s.tables {
			name := table.Name
			if !left[name].Equal(want[name]) {
				t.Fatalf("%s: %v was left out, want %v", name, left[name].Intervals(), want[name].Intervals())
			}
		}
		for _, step := range p.Steps {
			if kept := stepOf(rest, step.Table); kept.Overlaps(left[step.Table]) || !kept.Union(left[step.Table]).Equal(stepOf(p, step.Table)) {
				t.Fatalf("%s: %v is left of %v without %v", step.Table, kept.Intervals(), stepOf(p, step.Table).Intervals(), left[step.Table].Intervals())
			}
		}
		for name, set := range left {
			trimmed += set.Count()
			followed += set.Minus(taken[name]).Count()
		}
	})
	if trimmed == 0 || followed == 0 {
		t.Fatalf("%d partitions were trimmed, %d of them for the lineage: the test has seen nothing", trimmed, followed)
	}
}
