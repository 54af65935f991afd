package plan

import (
	"github.com/headway-data/headway/internal/calendar"
)

// Without leaves partitions out of a plan that somebody else has, by table, and with them all that rests on them within the plan, by any number of
// levels: computed now, it would be computed from what is about to change (rule 6). left are the partitions that were left out, of each table.
// The plan itself stays as it is.
func (p *Plan) Without(taken map[string]calendar.Set) (rest *Plan, left map[string]calendar.Set) {
	d := &draft{w: p.world, tables: make([]planned, len(p.world.nodes))}
	written := make([]calendar.Set, len(p.world.nodes))
	for _, s := range p.Steps {
		if n := p.world.named[s.Table]; n != nil {
			written[n.id] = written[n.id].Union(s.Set)
		}
	}
	for name, set := range taken {
		if n := p.world.named[name]; n != nil {
			d.tables[n.id].asked = set.Intersect(written[n.id])
		}
	}
	// What lies between may not be planned, and rests on what was left out all the same.
	asked := func(i int) *calendar.Set { return &d.tables[i].asked }
	for moved := true; moved; { // what is bound to what was left out is left out as well, and so on
		d.spread(asked, true)
		moved = false
		for i := range p.world.nodes {
			for _, m := range p.world.nodes[i].bound() {
				if more := d.tables[i].asked.Intersect(written[m.id]).Minus(d.tables[m.id].asked); !more.Empty() {
					d.tables[m.id].asked = d.tables[m.id].asked.Union(more)
					moved = true
				}
			}
		}
	}
	out := *p
	out.Steps, left = nil, map[string]calendar.Set{}
	for _, s := range p.Steps {
		gone := calendar.Set{}
		if n := p.world.named[s.Table]; n != nil {
			gone = s.Set.Intersect(d.tables[n.id].asked)
		}
		if !gone.Empty() {
			left[s.Table] = left[s.Table].Union(gone)
			s.Set = s.Set.Minus(gone)
			causes := make([]Cause, 0, len(s.Causes))
			for _, c := range s.Causes {
				if c.Set = c.Set.Minus(gone); !c.Set.Empty() {
					causes = append(causes, c)
				}
			}
			s.Causes = causes
		}
		if !s.Set.Empty() {
			out.Steps = append(out.Steps, s)
		}
	}
	return &out, left
}
