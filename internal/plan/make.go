package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
)

// A draft is a plan being made.
type draft struct {
	w    *World
	req  *Request
	kind Reprocess
	// whole: all partitions of all tables are asked for.
	whole  bool
	tables []planned // by node
	roots  map[Ref]*Chain
}

// planned is what a draft knows of a table.
type planned struct {
	// asked are the partitions that the plan answers for; named, those that the request names itself.
	asked, named calendar.Set
	// scope are the asked partitions and all that they rest on.
	scope calendar.Set
	// written are the partitions of the step.
	written calendar.Set
	// bad are the expected partitions that will not be fresh when all steps have succeeded.
	bad calendar.Set
	// shaken are fresh partitions that the steps may make stale and that no step mends.
	shaken calendar.Set

	blocked, held calendar.Set
	causes        []Cause
	skipped       []Skipped
}

// Make resolves a request. It fails only for a request that names what is not there.
func Make(w *World, req Request) (*Plan, error) {
	if req.Class == "scheduled" && !w.LeaveCode && !(req.Explicit && req.reprocess().has(Code)) {
		in := w.Inputs
		in.LeaveCode = true
		w = NewWorld(in)
	}
	d := &draft{w: w, req: &req, kind: req.reprocess(), tables: make([]planned, len(w.nodes)), roots: map[Ref]*Chain{}}
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
	d.whole = len(names) == 0 && d.req.Range == nil && len(d.req.Sets) == 0
	for i := range d.w.nodes {
		n := &d.w.nodes[i]
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
		d.tables[i].named, d.tables[i].asked = set, set
	}
	return nil
}

// widen follows the lineage of what was named, down and up, as far as the request wants; finds what a judgement of it rests on; and has
// that judged.
func (d *draft) widen() {
	asked := func(i int) *calendar.Set { return &d.tables[i].asked }
	scope := func(i int) *calendar.Set { return &d.tables[i].scope }
	if d.req.Downstream && !d.whole {
		d.spread(asked, true)
	}
	if d.req.Upstream && !d.whole {
		d.spread(asked, false)
	}
	for i := range d.tables {
		n, t := &d.w.nodes[i], &d.tables[i]
		t.scope = t.asked
		if n.table.IsSource() {
			t.asked = calendar.Set{}
		}
		if d.whole {
			t.scope = n.expected
		}
	}
	if !d.whole {
		for i := range d.tables {
			for _, m := range d.w.nodes[i].bound() { // what is written with it must be known as well
				t := &d.tables[m.id]
				t.scope = join(t.scope, meet(d.tables[i].asked, m.expected))
			}
		}
		d.spread(scope, false)
	}
	for i := range d.tables {
		d.w.need[i] = cut(d.tables[i].scope, d.w.nodes[i].valid)
	}
	for i := range d.w.parts {
		d.w.judgePart(&d.w.parts[i])
	}
	for i := range d.tables {
		d.tables[i].bad = d.w.nodes[i].lacking()
	}
}

// spread closes sets under lineage, downstream or upstream. Within a loop only what was added is followed, until nothing is.
func (d *draft) spread(sets func(i int) *calendar.Set, down bool) {
	parts := d.w.parts
	for k := range parts {
		p := &parts[k]
		if !down {
			p = &parts[len(parts)-1-k]
		}
		var news []added
		for _, n := range p.nodes {
			if set := *sets(n.id); !set.Empty() {
				news = append(news, added{n, set})
			}
		}
		for len(news) > 0 {
			var next []added
			for _, a := range news {
				next = d.pass(next, a, sets, down)
			}
			news = next
		}
	}
}

// added are partitions that lineage has just led to.
type added struct {
	n   *node
	set calendar.Set
}

// pass gives what was added to the neighbours of its table, and appends what is new to those of its own component.
func (d *draft) pass(next []added, a added, sets func(i int) *calendar.Set, down bool) []added {
	edges := a.n.inputs
	if down {
		edges = a.n.readers
	}
	for _, e := range edges {
		to := e.read
		if down {
			to = e.reader
		}
		known := sets(to.id)
		if alike(*known, to.expected) {
			continue
		}
		var more calendar.Set
		if down {
			more = e.downstream(a.set)
		} else {
			more = e.upstream(a.set)
		}
		if more = cut(more, *known); more.Empty() {
			continue
		}
		*known = join(*known, more)
		if to.part == a.n.part {
			next = append(next, added{to, more})
		}
	}
	return next
}

// part plans a component: a loop in the order in which its partitions read one another.
func (d *draft) part(p *part) {
	if !p.loop {
		for _, n := range p.nodes {
			d.table(n, d.tables[n.id].scope)
		}
		d.together(p.nodes, calendar.All())
		return
	}
	rest := make([]calendar.Set, len(p.nodes))
	for i, n := range p.nodes {
		rest[i] = d.tables[n.id].scope
	}
	sweep(p.nodes, rest, d.table, d.together)
	for i, n := range p.nodes {
		d.table(n, rest[i])
	}
}

// table plans a set of a table whose inputs have been planned.
func (d *draft) table(n *node, set calendar.Set) {
	if set.Empty() || n.table.IsSource() {
		return
	}
	t, j := &d.tables[n.id], &n.judged
	made, loose := d.touched(n, set)
	fresh := meet(j.Fresh, set)
	named := calendar.Set{}
	if d.kind.has(All) {
		named = meet(t.named, set)
	}
	if alike(fresh, set) && made.Empty() && loose.Empty() && named.Empty() && (!d.w.LeaveCode || j.Code.Empty()) {
		return
	}
	asked := meet(t.asked, set)
	again := cut(cut(d.again(j, asked), made), named)
	// What only waits for its inputs to be fresh again needs no work of its own.
	rests := meet(cut(j.Upstream, d.work(j)), set)
	todo := cut(joined(cut(cut(asked, fresh), cut(rests, made)), meet(made, asked), named), again)
	if d.w.LeaveCode {
		d.skip(n, cut(meet(j.Code, asked), todo), "code: class scheduled leaves out what only newer code would change")
	}
	todo = d.choose(n, todo, made)
	held := calendar.Set{}
	for _, m := range n.bound() {
		held = join(held, meet(m.judged.Held, todo))
	}
	todo = cut(todo, held)
	unmet := d.unmet(n, joined(todo, rests, again))
	for _, m := range n.bound() {
		if m != n {
			unmet = join(unmet, d.unmet(m, meet(todo, m.expected)))
		}
	}
	write := cut(todo, unmet)
	shaken := meet(cut(fresh, write), join(made, loose))
	blocked := joined(held, meet(unmet, asked), meet(shaken, asked))
	for _, s := range t.skipped {
		blocked = cut(blocked, cut(s.Set, unmet))
	}
	t.causes = d.explain(n, t.causes, write, made)
	t.written = join(t.written, write)
	t.bad = cut(cut(t.bad, write), cut(join(cut(rests, made), again), unmet))
	t.shaken = join(t.shaken, shaken)
	t.held = join(t.held, held)
	t.blocked = join(t.blocked, blocked)
}

// again are failing partitions that it may be enough to check again: only the checks have changed, or what those read. They may be readable
// before the first step begins.
func (d *draft) again(j *Judgement, asked calendar.Set) calendar.Set {
	if d.kind.has(Quarantined) && d.req.Explicit {
		return calendar.Set{}
	}
	return meet(cut(meet(j.Failing, j.Unchecked), joined(j.Code, j.Input, j.Marked, j.Lookback)), asked)
}

// work is what of a table needs computing whatever becomes of its inputs.
func (d *draft) work(j *Judgement) calendar.Set {
	own := joined(j.Missing, j.Unreadable(), j.Input, j.Marked, j.Lookback)
	if !d.w.LeaveCode {
		own = join(own, j.Code)
	}
	return own
}

// touched are the partitions of the set that the steps so far may make stale: made, because a step may change what they read, and
// loose, because what they read may go stale without a step that mends it. What never goes stale by its inputs is in neither.
func (d *draft) touched(n *node, set calendar.Set) (made, loose calendar.Set) {
	if d.follows(n) {
		made = meet(n.judged.NotReady, set)
	} else {
		made = d.reached(n, set, func(e *edge) calendar.Set {
			if !e.in.Restates {
				return calendar.Set{}
			}
			return d.tables[e.read.id].written
		})
	}
	loose = d.reached(n, set, func(e *edge) calendar.Set { return d.tables[e.read.id].shaken })
	return cut(made, n.judged.Settled), cut(loose, n.judged.Settled)
}

// follows reports whether the steps write exactly what the table's inputs lack, as in most plans: then what the steps touch is what was
// not ready, and known.
func (d *draft) follows(n *node) bool {
	for _, e := range n.inputs {
		if !e.in.Restates || e.in.Complete < 1 || e.in.Min > 0 || !alike(d.tables[e.read.id].written, e.read.lacking()) {
			return false
		}
	}
	return true
}

// reached is the part of a set of a table whose windows meet what from gives of its inputs.
func (d *draft) reached(n *node, set calendar.Set, from func(e *edge) calendar.Set) calendar.Set {
	ivs := d.w.scratch[:0]
	for _, e := range n.inputs {
		if changed := from(e); !changed.Empty() {
			ivs = e.meeting(ivs, changed.Intervals(), narrow)
		}
	}
	d.w.scratch = ivs
	return setOf(ivs, set)
}

// unmet is the part of a set of a table that will lack inputs even when all steps so far have succeeded.
func (d *draft) unmet(n *node, set calendar.Set) calendar.Set {
	if set.Empty() {
		return set
	}
	ivs := d.w.scratch[:0]
	for _, e := range n.inputs {
		ivs = e.unmet(ivs, set, d.tables[e.read.id].bad)
	}
	d.w.scratch = ivs
	return setOf(ivs, set)
}

// stirred are the partitions whose verdicts the steps so far may change: what they read may change, whether or not it restates them, or
// what their checks read.
func (d *draft) stirred(n *node) calendar.Set {
	for _, e := range n.watched {
		if !d.tables[e.read.id].written.Empty() {
			return n.expected
		}
	}
	return d.reached(n, n.expected, func(e *edge) calendar.Set { return d.tables[e.read.id].written })
}

// choose leaves out what the request does not want or what must not be written, and says why.
func (d *draft) choose(n *node, todo, made calendar.Set) calendar.Set {
	j := &n.judged
	if todo.Empty() {
		return todo
	}
	if dropped := meet(n.dropped, todo); !dropped.Empty() {
		d.skip(n, dropped, "the calendar does not name it any more, though it is materialized: nothing is done until a person says that this is right ("+
			strings.Join(acceptLoss(n.table).Argv, " ")+")")
		todo = cut(todo, dropped)
	}
	if n.table.Immutable {
		standing := cut(cut(todo, j.Missing), j.Unreadable())
		d.skip(n, standing, "immutable: what stands there is not computed again; rewriting it needs --override")
		todo = cut(todo, standing)
	}
	if !d.kind.has(Quarantined) || !d.req.Explicit {
		if again := meet(meet(j.Quarantined, j.Repeats), todo); !again.Empty() {
			again = again.Minus(d.stirred(n)) // what the plan itself changes is worth another try
			failing := meet(again, j.Failing)
			d.skip(n, failing, "failing, and nothing that its rows were computed from has changed since: others would fail the same way (--reprocess quarantined tries all the same)")
			d.skip(n, cut(again, failing), "quarantined, and nothing it was computed from has changed since: it would end the same way (--reprocess quarantined tries all the same)")
			todo = cut(todo, again)
		}
	}
	if d.kind.has(All) || d.kind&Default == Default {
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
	t := &d.tables[n.id]
	for i := range t.skipped {
		if s := &t.skipped[i]; s.Why == why {
			s.Set = s.Set.Union(set)
			return
		}
	}
	t.skipped = append(t.skipped, Skipped{n.table.Name, n.table.Axis, set, why})
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
	unclear := join(j.InDoubt, j.Unsettled)
	code := j.Code
	if d.w.LeaveCode {
		code = calendar.Set{}
	}
	return []kindOf{
		{CauseFailed, join(j.Failed, unclear), Failed},
		{CauseQuarantined, join(j.Quarantined, j.Failing), Quarantined},
		{CauseMissing, join(j.Missing, j.Foreign), Missing},
		{CauseMarked, j.Marked, Stale},
		{CauseCode, code, Code},
		{CauseInput, j.Input, Input},
		{CauseLookback, j.Lookback, Lookback},
		{CauseUpstream, made, Input},
	}
}
