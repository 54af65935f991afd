package plan

import (
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
)

// bound are the tables that are written whenever one of them is, because one command makes them and writes to them itself: this one among
// them. What such a command does to one table cannot be kept apart from what it does to the others. Others are bound to none.
func (n *node) bound() []*node {
	if len(n.with) == 1 || n.table.Write == catalog.Direct {
		return n.with
	}
	return []*node{n}
}

// together widens what is written of tables that are bound to one another to what is written of any of them.
func (d *draft) together(with []*node, within calendar.Set) {
	if len(with[0].bound()) == 1 {
		return
	}
	var all calendar.Set
	for _, n := range with {
		all = join(all, meet(d.tables[n.id].written, within))
	}
	for _, n := range with {
		t := &d.tables[n.id]
		more := cut(meet(all, n.expected), t.written)
		if more.Empty() {
			continue
		}
		t.causes = d.addCause(n, t.causes, CauseProducer, more)
		t.written = join(t.written, more)
		t.bad, t.shaken, t.blocked, t.held = cut(t.bad, more), cut(t.shaken, more), cut(t.blocked, more), cut(t.held, more)
		for i := range t.skipped {
			t.skipped[i].Set = cut(t.skipped[i].Set, more)
		}
		t.skipped = slices.DeleteFunc(t.skipped, func(s Skipped) bool { return s.Set.Empty() })
	}
}
