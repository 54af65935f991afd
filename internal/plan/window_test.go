package plan

import (
	"slices"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"pgregory.net/rapid"
)

// The law of lineage: q is upstream of p exactly if p is downstream of q. And windows are what the naive model says they are.
func TestLineageLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		w, m := s.world(), s.model()
		for _, table := range s.tables {
			for _, in := range table.Inputs {
				expected := s.in.Expected[table.Name]
				sources := s.in.Expected[in.Table]
				up := map[calendar.Partition]calendar.Set{}
				for p := range expected.Partitions() {
					up[p] = w.Upstream(table.Name, in, calendar.Of(p))
					if naive := calendar.Of(m.members(table, in, p)...); !up[p].Equal(naive) {
						t.Fatalf("%s %s reads %s %v, the model says %v", table.Name, table.Axis.ID(p), in.Table, up[p].Intervals(), naive.Intervals())
					}
				}
				for q := range sources.Partitions() {
					down := w.Downstream(table.Name, in, calendar.Of(q))
					for p := range expected.Partitions() {
						if down.Contains(p) != up[p].Contains(q) {
							t.Fatalf("%s %s reads %s %d: %v upwards, %v downwards", table.Name, table.Axis.ID(p), in.Table, q, up[p].Contains(q), down.Contains(p))
						}
					}
				}
				part := s.someCells(table).Intersect(expected)
				var all calendar.Set
				for p := range part.Partitions() {
					all = all.Union(up[p])
				}
				if got := w.Upstream(table.Name, in, part); !got.Equal(all) {
					t.Fatalf("%s %v reads %s %v, together they say %v", table.Name, part.Intervals(), in.Table, got.Intervals(), all.Intervals())
				}
				if reach := w.Reach(table.Name, in, part); !calendar.NewSet(reach).Covers(all) {
					t.Fatalf("%s: reach %v does not cover %v", table.Name, reach, all.Intervals())
				}
			}
		}
	})
}

// RestsOn names every planned partition that a partition rests on, directly or through what only waits.
func TestRestsOnIsTheClosure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		s.settleSources()
		s.run(Request{})
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			s.step()
		}
		w, m := s.world(), s.model()
		p, err := Make(w, s.request())
		if err != nil {
			t.Fatal(err)
		}
		planned := map[string]calendar.Set{}
		for _, step := range p.Steps {
			planned[step.Table] = step.Set
		}
		for _, step := range p.Steps {
			table := m.tables[step.Table]
			for q := range step.Set.Partitions() {
				want := map[string][]calendar.Partition{}
				seen := map[string][]calendar.Partition{}
				m.restsOn(table.Name, q, planned, want, seen)
				for _, other := range m.watched(table) {
					m.restsOnAll(other, m.beside(table, q, other), planned, want, seen)
				}
				got := w.RestsOn(table.Name, calendar.Of(q), planned)
				for _, other := range s.tables {
					if set := calendar.Of(want[other.Name]...); !set.Equal(got[other.Name]) {
						t.Fatalf("%s %s rests on %s %v, the model says %v", table.Name, table.Axis.ID(q), other.Name, got[other.Name].Intervals(), set.Intervals())
					}
				}
			}
		}
	})
}

func (m *model) restsOn(table string, p calendar.Partition, planned map[string]calendar.Set, out, seen map[string][]calendar.Partition) {
	t := m.tables[table]
	for _, in := range t.Inputs {
		m.restsOnAll(in.Table, m.members(t, in, p), planned, out, seen)
	}
}

func (m *model) restsOnAll(table string, members []calendar.Partition, planned map[string]calendar.Set, out, seen map[string][]calendar.Partition) {
	for _, q := range members {
		switch {
		case slices.Contains(seen[table], q):
		case planned[table].Contains(q):
			seen[table] = append(seen[table], q)
			out[table] = append(out[table], q)
		case !m.isFresh(m.tables[table], q):
			seen[table] = append(seen[table], q)
			m.restsOn(table, q, planned, out, seen)
		}
	}
}

// beside are the expected partitions of another table that overlap p.
func (m *model) beside(t *catalog.Table, p calendar.Partition, other string) []calendar.Partition {
	var out []calendar.Partition
	for _, q := range list(m.in.Expected[other]) {
		if overlaps(m.tables[other].Axis, q, t.Axis, p) {
			out = append(out, q)
		}
	}
	return out
}
