package plan

import (
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
)

// A draft is a plan being made. Per table, by node:
type draft struct {
	w    *World
	req  *Request
	kind Reprocess
	// asked are the partitions that the plan answers for; named, those that the request names itself.
	asked, named []calendar.Set
	// scope are the asked partitions and all that they rest on.
	scope []calendar.Set
	// written are the partitions of the steps.
	written []calendar.Set
	// good are the partitions that are fresh, or will be when the steps have succeeded.
	good []calendar.Set
	// shaken are fresh partitions that the steps may make stale and that no step mends.
	shaken []calendar.Set

	causes  [][]Cause
	blocked []calendar.Set
	held    []calendar.Set
	skipped [][]Skipped
}

// Make resolves a request. It fails only for a request that names what is not there.
func Make(w *World, req Request) (*Plan, error) {
	if req.Class == "scheduled" && !w.LeaveCode && !(req.Explicit && req.reprocess().has(Code)) {
		in := w.Inputs
		in.LeaveCode = true
		w = NewWorld(in)
	}
	d := &draft{w: w, req: &req, kind: req.reprocess()}
	for _, s := range []*[]calendar.Set{&d.asked, &d.named, &d.scope, &d.written, &d.good, &d.shaken, &d.blocked, &d.held} {
		*s = make([]calendar.Set, len(w.nodes))
	}
	d.causes = make([][]Cause, len(w.nodes))
	d.skipped = make([][]Skipped, len(w.nodes))
	if err := d.ask(); err != nil {
		return nil, err
	}
	d.widen()
	for i := range w.parts {
		d.part(&w.parts[i])
	}
	return d.finish(), nil
}

// ask resolves the request's names and ranges.
func (d *draft) ask() error {
	names := d.req.Tables
	for _, name := range names {
		if d.w.named[name] == nil {
			return fmt.Errorf("no table is named %q", name)
		}
	}
	for _, n := range d.w.nodes {
		if n.table.IsSource() || (len(names) > 0 && !slices.Contains(names, n.table.Name)) {
			continue
		}
		set := n.expected
		if r := d.req.Range; r != nil {
			set = set.Within(r.Axis.Convert(r.Interval, n.table.Axis))
		}
		if limit, ok := d.req.Sets[n.table.Name]; ok {
			set = set.Intersect(limit)
		}
		d.named[n.id], d.asked[n.id] = set, set
	}
	return nil
}

// widen follows the lineage of what was named, down and up, as far as the request wants; and finds what a judgement of it rests on.
func (d *draft) widen() {
	if d.req.Downstream {
		d.spread(d.asked, true)
	}
	if d.req.Upstream {
		d.spread(d.asked, false)
	}
	for i, set := range d.asked {
		d.scope[i] = set
	}
	d.spread(d.scope, false)
	for _, n := range d.w.nodes {
		if n.table.IsSource() {
			d.asked[n.id] = calendar.Set{}
		}
		d.w.ensure(n, d.scope[n.id])
	}
}

// spread closes sets under lineage, downstream or upstream. Within a loop only what was added is followed, until nothing is.
func (d *draft) spread(sets []calendar.Set, down bool) {
	parts := d.w.parts
	for k := range parts {
		p := &parts[k]
		if !down {
			p = &parts[len(parts)-1-k]
		}
		news := make(map[*node]calendar.Set, len(p.nodes))
		for _, n := range p.nodes {
			if !sets[n.id].Empty() {
				news[n] = sets[n.id]
			}
		}
		for len(news) > 0 {
			next := map[*node]calendar.Set{}
			for _, n := range p.nodes {
				set, ok := news[n]
				if !ok {
					continue
				}
				edges := n.inputs
				if down {
					edges = n.readers
				}
				for _, e := range edges {
					to := e.read
					if down {
						to = e.reader
					}
					if sets[to.id].Equal(to.expected) {
						continue
					}
					found := e.upstream
					if down {
						found = func(s calendar.Set) calendar.Set { return e.downstream(s, narrow) }
					}
					more := found(set).Minus(sets[to.id])
					if more.Empty() {
						continue
					}
					sets[to.id] = sets[to.id].Union(more)
					if to.part == n.part {
						next[to] = next[to].Union(more)
					}
				}
			}
			news = next
		}
	}
}

// part plans a component: a loop in the order in which its partitions read one another.
func (d *draft) part(p *part) {
	if !p.loop {
		d.table(p.nodes[0], d.scope[p.nodes[0].id])
		return
	}
	rest := make([]calendar.Set, len(p.nodes))
	for i, n := range p.nodes {
		rest[i] = d.scope[n.id]
	}
	sweep(p.nodes, rest, func(i int, set calendar.Set) { d.table(p.nodes[i], set) })
	for i, n := range p.nodes {
		d.table(n, rest[i])
	}
}

// table plans a set of a table whose inputs have been planned.
func (d *draft) table(n *node, set calendar.Set) {
	if set.Empty() {
		return
	}
	j := &n.judged
	fresh := j.Fresh.Intersect(set)
	asked := d.asked[n.id].Intersect(set)
	if n.table.IsSource() {
		d.good[n.id] = d.good[n.id].Union(fresh)
		return
	}
	made, loose := d.touched(n, set)
	// What only waits for its inputs to be fresh again needs no work of its own.
	rests := j.Upstream.Intersect(set).Minus(d.work(j))
	todo := asked.Minus(fresh).Minus(rests).Union(made.Intersect(asked))
	if d.kind.has(All) {
		todo = todo.Union(d.named[n.id].Intersect(set))
	}
	if d.w.LeaveCode {
		d.skip(n, asked.Intersect(j.Code).Minus(todo), "code: class scheduled leaves out what only newer code would change")
	}
	todo = d.choose(n, todo, made)
	held := todo.Intersect(j.Held)
	todo = todo.Minus(held)
	weigh := todo.Union(rests)
	unmet := calendar.Set{}
	if !weigh.Empty() {
		for _, e := range n.inputs {
			unmet = unmet.Union(e.unmet(weigh, d.good[e.read.id]))
		}
	}
	write := todo.Minus(unmet)
	d.causes[n.id] = d.explain(n, d.causes[n.id], write, made)
	d.written[n.id] = d.written[n.id].Union(write)
	mended := rests.Minus(made).Minus(unmet)
	d.good[n.id] = calendar.UnionAll(d.good[n.id], fresh, write, mended)
	shaken := fresh.Minus(write).Intersect(made.Union(loose))
	d.shaken[n.id] = d.shaken[n.id].Union(shaken)
	d.held[n.id] = d.held[n.id].Union(held)
	blocked := calendar.UnionAll(held, unmet.Intersect(asked), shaken.Intersect(asked))
	for _, s := range d.skipped[n.id] {
		blocked = blocked.Minus(s.Set.Minus(unmet))
	}
	d.blocked[n.id] = d.blocked[n.id].Union(blocked)
}

// work is what of a table needs computing whatever becomes of its inputs.
func (d *draft) work(j *Judgement) calendar.Set {
	own := calendar.UnionAll(j.Missing, j.Unreadable(), j.Input, j.Marked, j.Lookback)
	if !d.w.LeaveCode {
		own = own.Union(j.Code)
	}
	return own
}

// touched are the partitions of the set that the steps so far may make stale: made, because a step may change what they read, and
// loose, because what they read may go stale without a step that mends it. What never goes stale by its inputs is in neither.
func (d *draft) touched(n *node, set calendar.Set) (made, loose calendar.Set) {
	for _, e := range n.inputs {
		if written := d.written[e.read.id]; e.in.Restates && !written.Empty() {
			made = made.Union(e.downstream(written, narrow))
		}
		if shaken := d.shaken[e.read.id]; !shaken.Empty() {
			loose = loose.Union(e.downstream(shaken, narrow))
		}
	}
	settled := n.judged.Settled
	return made.Intersect(set).Minus(settled), loose.Intersect(set).Minus(settled)
}

// stirred are the partitions whose verdicts the steps so far may change: what they read may change, whether or not it restates them, or
// what their checks read.
func (d *draft) stirred(n *node) calendar.Set {
	var out calendar.Set
	for _, e := range n.inputs {
		out = out.Union(e.downstream(d.written[e.read.id], narrow))
	}
	for _, e := range n.watched {
		if !d.written[e.read.id].Empty() {
			return n.expected
		}
	}
	return out
}

// choose leaves out what the request does not want or what must not be written, and says why.
func (d *draft) choose(n *node, todo, made calendar.Set) calendar.Set {
	j := &n.judged
	if n.table.Immutable {
		standing := todo.Minus(j.Missing).Minus(j.Unreadable())
		d.skip(n, standing, "immutable: what stands there is not computed again; rewriting it needs --override")
		todo = todo.Minus(standing)
	}
	if !d.kind.has(Quarantined) || !d.req.Explicit {
		// What the plan itself changes is worth another try.
		again := todo.Intersect(j.Quarantined).Intersect(j.Repeats)
		if !again.Empty() {
			again = again.Minus(d.stirred(n))
		}
		d.skip(n, again, "quarantined, and nothing it was computed from has changed since: it would end the same way (--reprocess quarantined tries all the same)")
		todo = todo.Minus(again)
	}
	if d.kind.has(All) {
		return todo
	}
	wanted := calendar.Set{}
	kinds := d.kinds(n, made)
	for _, k := range kinds {
		if d.kind.has(k.wants) {
			wanted = wanted.Union(k.set)
		}
	}
	left := todo.Minus(wanted)
	todo = todo.Intersect(wanted)
	for _, k := range kinds {
		if here := left.Intersect(k.set); !here.Empty() {
			d.skip(n, here, fmt.Sprintf("%s, which --reprocess does not name", k.cause))
			left = left.Minus(here)
		}
	}
	return todo
}

func (d *draft) skip(n *node, set calendar.Set, why string) {
	if set.Empty() {
		return
	}
	for i := range d.skipped[n.id] {
		if s := &d.skipped[n.id][i]; s.Why == why {
			s.Set = s.Set.Union(set)
			return
		}
	}
	d.skipped[n.id] = append(d.skipped[n.id], Skipped{n.table.Name, n.table.Axis, set, why})
}

// A kindOf ties a cause to the set it holds for and to what asks for it.
type kindOf struct {
	cause CauseKind
	set   calendar.Set
	wants Reprocess
}

// kinds gives the causes of a table's partitions in the order in which they are told.
func (d *draft) kinds(n *node, made calendar.Set) []kindOf {
	j := &n.judged
	unclear := calendar.UnionAll(j.InDoubt, j.Failing, j.Unsettled)
	code := j.Code
	if d.w.LeaveCode {
		code = calendar.Set{}
	}
	return []kindOf{
		{CauseFailed, j.Failed.Union(unclear), Failed},
		{CauseQuarantined, j.Quarantined, Quarantined},
		{CauseMissing, j.Missing.Union(j.Foreign), Missing},
		{CauseMarked, j.Marked, Stale},
		{CauseCode, code, Code},
		{CauseInput, j.Input, Input},
		{CauseLookback, j.Lookback, Lookback},
		{CauseUpstream, made, Input},
	}
}
