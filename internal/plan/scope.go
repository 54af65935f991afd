package plan

import (
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// ensure judges a set of a table, and first whatever that rests on, as far as it is not known. The set must be expected.
func (w *World) ensure(n *node, set calendar.Set) {
	need := set.Minus(n.valid)
	if need.Empty() {
		return
	}
	w.need[n.id] = need
	first := n.part
	for i := n.part; i >= 0; i-- {
		if w.gather(&w.parts[i]) {
			first = i
		}
	}
	for i := first; i <= n.part; i++ {
		w.judgePart(&w.parts[i])
	}
}

// gather adds to the need of earlier parts what the need of this one rests on. It reports whether there was any.
func (w *World) gather(p *part) bool {
	if p.loop {
		w.gatherLoop(p)
	}
	found := false
	for _, n := range p.nodes {
		need := w.need[n.id]
		if need.Empty() {
			continue
		}
		found = true
		for _, e := range n.inputs {
			if e.read.part == n.part || covers(e.read.valid, e.read.expected) {
				continue
			}
			more := e.upstream(need).Minus(e.read.valid)
			w.need[e.read.id] = w.need[e.read.id].Union(more)
		}
	}
	return found
}

func covers(s, o calendar.Set) bool { return s.Equal(o) || s.Covers(o) }

// gatherLoop widens the need within a loop: everything not yet judged up to the last partition that the need reaches. (The exact
// closure would take as many steps as there are partitions, and would mostly be the same.)
func (w *World) gatherLoop(p *part) {
	last := map[*node]calendar.Partition{}
	for _, n := range p.nodes {
		if q, ok := w.need[n.id].Last(); ok {
			last[n] = q
		}
	}
	if len(last) == 0 {
		return
	}
	for round := 0; round <= len(p.nodes); round++ {
		moved := false
		for _, n := range p.nodes {
			q, ok := last[n]
			if !ok {
				continue
			}
			for _, e := range n.inputs {
				if e.read.part != n.part {
					continue
				}
				up, found := e.upstream(n.expected.Within(calendar.Interval{Start: calendar.Beginning, End: q + 1})).Last()
				if was, has := last[e.read]; found && (!has || up > was) {
					last[e.read] = up
					moved = true
				}
			}
		}
		if !moved {
			break
		}
		if round == len(p.nodes) { // a loop that does not go back in time, which the catalog refuses
			for n := range last {
				last[n] = calendar.Horizon - 1
			}
		}
	}
	for n, q := range last {
		w.need[n.id] = n.expected.Within(calendar.Interval{Start: calendar.Beginning, End: q + 1}).Minus(n.valid)
	}
}

// judgePart judges the need of a component.
func (w *World) judgePart(p *part) {
	if !p.loop {
		for _, n := range p.nodes {
			w.learn(n, w.need[n.id])
			w.need[n.id] = calendar.Set{}
		}
		return
	}
	rest := make([]calendar.Set, len(p.nodes))
	for i, n := range p.nodes {
		rest[i], w.need[n.id] = w.need[n.id], calendar.Set{}
	}
	sweep(p.nodes, rest, func(n *node, set calendar.Set) { w.learn(n, set) }, nil)
	// What is left reads itself, in a loop that the catalog should have refused: it is never ready.
	for i, n := range p.nodes {
		for _, s := range n.judged.sets() {
			*s = s.Minus(rest[i])
		}
		n.lacksKnown = false
	}
	for i, n := range p.nodes {
		w.learn(n, rest[i])
	}
}

// sweep hands out the partitions of a loop's tables so that each comes after those it reads, in sets none of whose members reads another
// (rule 20). It takes them out of rest; what stays there waits for itself. Tables that are made at once are visited one after the other,
// over the same time, and then together is called for them, if it is given: an input of any is one of all.
func sweep(nodes []*node, rest []calendar.Set, visit func(n *node, set calendar.Set), together func(with []*node, set calendar.Set)) {
	place := make(map[*node]int, len(nodes))
	for i, n := range nodes {
		place[n] = i
	}
	for moved := true; moved; {
		moved = false
		for _, n := range nodes {
			if n != n.with[0] {
				continue
			}
			set := runnable(n.with, rest, place)
			if set.Empty() {
				continue
			}
			for _, m := range n.with {
				here := set.Intersect(rest[place[m]])
				rest[place[m]] = rest[place[m]].Minus(set)
				if !here.Empty() {
					visit(m, here)
				}
			}
			if together != nil {
				together(n.with, set)
			}
			moved = true
		}
	}
}

// runnable is the longest run of first partitions that are left of any of the tables, which are made at once, and read nothing that is left.
func runnable(with []*node, rest []calendar.Set, place map[*node]int) calendar.Set {
	var all calendar.Set
	for _, n := range with {
		all = join(all, rest[place[n]])
	}
	first, ok := all.First()
	if !ok {
		return calendar.Set{}
	}
	end := calendar.Horizon
	for _, n := range with {
		own := all
		if len(with) > 1 {
			own = all.Intersect(n.expected.Union(rest[place[n]]))
		}
		for _, e := range slices.Concat(n.inputs, n.watched) {
			j, inside := place[e.read]
			if !inside || rest[j].Empty() || e.in == nil && slices.Contains(with, e.read) && len(with) > 1 {
				continue
			}
			for k := range e.spans {
				end = min(end, e.spans[k].blocked(own, rest[j]))
			}
		}
	}
	return all.Within(calendar.Interval{Start: first, End: end})
}

// blocked is the first partition of a set whose window holds a member of left; Horizon if there is none.
func (s *span) blocked(set, left calendar.Set) calendar.Partition {
	p, ok := set.First()
	for ok {
		window := s.at(p, narrow)
		if !left.Within(window).Empty() {
			return p
		}
		// The next candidate is the first whose window ends after the next member of left.
		q, more := left.Within(calendar.Interval{Start: max(window.Start, calendar.Beginning), End: calendar.Horizon}).First()
		if window.Empty() {
			q, more = left.First()
		}
		if !more {
			return calendar.Horizon
		}
		at := s.search(func(x calendar.Partition) bool { return x > p && s.hi(x, narrow) > q })
		p, ok = set.Within(calendar.Interval{Start: s.reader.index.Select(at), End: calendar.Horizon}).First()
	}
	return calendar.Horizon
}

// invalidate forgets what is known of a set of a table and of what rests on it.
func (w *World) invalidate(n *node, differ calendar.Set) {
	lost := w.lost
	lost[n.id] = differ
	for i := n.part; i < len(w.parts); i++ {
		p := &w.parts[i]
		if p.loop {
			spread(p, lost)
		}
		for _, m := range p.nodes {
			if lost[m.id].Empty() {
				continue
			}
			m.valid = m.valid.Minus(lost[m.id])
			changed := lost[m.id].Intervals()
			for _, e := range m.readers {
				// What is not valid has been passed on when it became so.
				if r := e.reader; r.part != m.part && !r.valid.Empty() {
					w.scratch = e.meeting(e.meeting(w.scratch[:0], changed, wide), changed, narrow)
					lost[r.id] = join(lost[r.id], setOf(w.scratch, r.valid))
				}
			}
		}
	}
	clear(lost)
	w.forgetWatched(n, differ)
}

// forgetWatched forgets what of the tables whose checks read a table rests on a set of it: what was not passed, wherever it is, and what
// was checked of the same time.
func (w *World) forgetWatched(n *node, differ calendar.Set) {
	changed := differ.Intervals()
	for _, m := range n.watchers {
		for _, e := range m.watched {
			if e.read == n {
				m.valid = cut(m.valid, calendar.NewSet(e.meeting(e.meeting(nil, changed, wide), changed, narrow)...))
			}
		}
		m.valid = cut(m.valid, join(history.Covered(m.history.Verdicts), m.judged.Failing))
	}
}

// spread widens what is lost within a loop to everything after it.
func spread(p *part, lost []calendar.Set) {
	low := map[*node]calendar.Partition{}
	for _, n := range p.nodes {
		if q, ok := lost[n.id].First(); ok {
			low[n] = q
		}
	}
	for round := 0; round <= len(p.nodes) && len(low) > 0; round++ {
		moved := false
		for _, n := range p.nodes {
			q, ok := low[n]
			if !ok {
				continue
			}
			for _, e := range n.readers {
				if e.reader.part != n.part {
					continue
				}
				from := []calendar.Interval{{Start: q, End: calendar.Horizon}}
				down, found := calendar.NewSet(e.meeting(e.meeting(nil, from, wide), from, narrow)...).Intersect(e.reader.expected).First()
				if was, has := low[e.reader]; found && (!has || down < was) {
					low[e.reader] = down
					moved = true
				}
			}
		}
		if !moved {
			break
		}
		if round == len(p.nodes) {
			for n := range low {
				low[n] = calendar.Beginning
			}
		}
	}
	for n, q := range low {
		lost[n.id] = lost[n.id].Union(calendar.Range(q, calendar.Horizon))
	}
}
