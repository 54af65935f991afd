package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// explain adds to the causes of a table those of a set that is to be written: of the kinds that were asked for first, so that a failed
// partition without rows is missing to whoever asks for missing ones.
func (d *draft) explain(n *node, causes []Cause, write, made calendar.Set) []Cause {
	if write.Empty() {
		return causes
	}
	if own := d.work(&n.judged); own.Empty() && alike(made, write) && len(n.history.Verdicts) == 0 {
		return d.addCause(n, causes, CauseUpstream, write)
	}
	rest := write
	kinds := d.kinds(n, made)
	for _, wanted := range []bool{true, false} {
		for _, k := range kinds {
			if d.kind.has(k.wants) != wanted {
				continue
			}
			if here := meet(k.set, rest); !here.Empty() {
				rest = cut(rest, here)
				causes = d.addCause(n, causes, k.cause, here)
			}
		}
	}
	if !rest.Empty() {
		causes = d.addCause(n, causes, CauseAsked, rest)
	}
	return causes
}

func (d *draft) addCause(n *node, causes []Cause, kind CauseKind, set calendar.Set) []Cause {
	for i := range causes {
		if causes[i].Kind == kind {
			causes[i].Set = causes[i].Set.Union(set)
			return causes
		}
	}
	c := Cause{Kind: kind, Set: set}
	first, _ := set.First()
	switch kind {
	case CauseCode:
		c.To = d.w.Versions[n.table.Name]
		if seg := segmentAt(n.history.Segments, first); seg != nil {
			c.From = seg.Version
		}
	case CauseInput:
		if seg := segmentAt(n.history.Segments, first); seg != nil {
			c.Because = n.changedRefs(first, seg.ReadSeq, maxBecause)
		}
	case CauseUpstream:
		for _, e := range n.inputs {
			if written := d.tables[e.read.id].written; e.in.Restates && !written.Empty() && len(c.Because) < maxBecause {
				c.Because = appendRefs(c.Because, e.read, e.windows(first).Intersect(written), maxBecause)
			}
		}
	}
	return append(causes, c)
}

// changedRefs names input partitions that changed, came or went since p was read.
func (n *node) changedRefs(p calendar.Partition, seq history.Seq, limit int) []Ref {
	var refs []Ref
	for _, e := range n.inputs {
		if !e.in.Restates {
			continue
		}
		var found []calendar.Interval
		for i := range e.spans {
			found = e.read.changes.after(found, e.spans[i].at(p, narrow), e.spans[i].at(p, wide), seq)
		}
		refs = appendRefs(refs, e.read, calendar.NewSet(found...), limit)
	}
	return refs
}

func appendRefs(refs []Ref, n *node, set calendar.Set, limit int) []Ref {
	for p := range set.Partitions() {
		if len(refs) >= limit {
			break
		}
		refs = append(refs, Ref{n.table.Name, n.table.Axis, p})
	}
	return refs
}

func segmentAt(segments []history.Segment, p calendar.Partition) *history.Segment {
	if i := firstSegment(segments, p); i < len(segments) && segments[i].Contains(p) {
		return &segments[i]
	}
	return nil
}

// finish makes the plan of the draft.
func (d *draft) finish() *Plan {
	p := &Plan{Request: *d.req, AsOf: d.w.Now, Seq: d.w.Seq, world: d.w}
	steps := 0
	for i := range d.tables {
		if !d.tables[i].written.Empty() {
			steps++
		}
	}
	p.Steps = make([]Step, 0, steps)
	for i := range d.w.parts {
		part := &d.w.parts[i]
		loop := 0
		if part.loop {
			loop = i + 1
		}
		for _, n := range part.nodes {
			t := &d.tables[n.id]
			if !t.written.Empty() {
				p.Steps = append(p.Steps, Step{n.table.Name, n.table.Producer, n.table.Axis, guarantee(n.table), t.written, t.causes, loop})
			}
			if !t.blocked.Empty() {
				p.Blocked = append(p.Blocked, d.block(n, t.blocked))
			}
			p.Skipped = append(p.Skipped, t.skipped...)
			if set := meet(n.judged.Unchecked, t.asked); !set.Empty() {
				p.recheck(d.w, n, cut(cut(set, d.surely(n)), n.judged.InFlight))
			}
		}
	}
	p.ID = p.identify()
	return p
}

// surely is what the steps write of a table whatever becomes of its inputs. What is only there because an input may change may be found fresh
// when its turn comes, and is not checked by anybody then.
func (d *draft) surely(n *node) calendar.Set {
	t := &d.tables[n.id]
	if d.kind.has(All) {
		return meet(t.written, join(d.work(&n.judged), t.named))
	}
	return meet(t.written, d.work(&n.judged))
}

// recheck adds what of a table is to be checked again, and why.
func (p *Plan) recheck(w *World, n *node, set calendar.Set) {
	if set.Empty() {
		return
	}
	never, other := false, false
	var seen []reading
	eachSegment(n.history.Segments, set, func(seg *history.Segment, iv calendar.Interval) {
		switch seg.CheckVersion {
		case w.CheckVersions[n.table.Name]:
			seen = append(seen, reading{iv, seg.CheckSeq})
		case "":
			never = true
		default:
			other = true
		}
	})
	var why []string
	if other {
		why = append(why, "its checks have changed")
	}
	if never {
		why = append(why, "no checks have seen what stands there")
	}
	for _, e := range n.watched {
		if slices.ContainsFunc(seen, func(r reading) bool { return e.read.newest() > r.seq }) {
			why = append(why, fmt.Sprintf("%s has changed, which its checks read", e.read.table.Name))
		}
	}
	p.Rechecks = append(p.Rechecks, Recheck{n.table.Name, n.table.Axis, set, strings.Join(why, "; ")})
}

// guarantee is what is promised of a table's writes.
func guarantee(t *catalog.Table) string {
	switch {
	case t.Command == nil:
		return "fenced"
	case t.Write == catalog.Direct:
		return "guarded"
	}
	return "staged"
}

func (d *draft) block(n *node, set calendar.Set) Blocked {
	b := Blocked{Table: n.table.Name, Axis: n.table.Axis, Set: set, Held: meet(d.tables[n.id].held, set)}
	for p := range set.Partitions() {
		if len(b.Items) == maxBlocked {
			break
		}
		item := BlockedItem{Partition: p, Held: b.Held.Contains(p)}
		for _, m := range n.bound() {
			for _, e := range m.inputs {
				lacking := e.windows(p).Intersect(join(d.tables[e.read.id].bad, d.tables[e.read.id].shaken))
				if m.expected.Contains(p) && !lacking.Empty() && len(item.Missing) < maxLacks {
					item.Missing = append(item.Missing, Lack{e.read.table.Name, e.read.table.Axis, lacking})
				}
			}
		}
		item.Fix = d.mend(n, item)
		b.Items = append(b.Items, item)
	}
	return b
}

// mend is what would unblock a partition: lifting the hold, building the first input it lacks, or, where a run alone would not make that,
// what its own root cause wants.
func (d *draft) mend(n *node, item BlockedItem) Fix {
	if item.Held || len(item.Missing) == 0 {
		for _, m := range n.bound() {
			if m.judged.Held.Contains(item.Partition) {
				return unhold(m.table, item.Partition)
			}
		}
		return unhold(n.table, item.Partition)
	}
	lack := item.Missing[0]
	first, _ := lack.Set.First()
	root := Ref{lack.Table, lack.Axis, first}
	chain := d.roots[root]
	if chain == nil { // most blocked partitions of a season wait for the same one
		chain = d.w.Why(lack.Table, first)
		d.roots[root] = chain
	}
	read := d.w.named[lack.Table].table
	switch {
	case chain.source != nil:
		return unlessSkipped(chain.Fix, n.table, item.Partition)
	case chain.Fix.Text == "" || chain.computable:
		return build(read, lack.Set.Bounds())
	}
	return chain.Fix
}

// identify hashes what a plan says.
func (p *Plan) identify() string {
	var b hashed
	b.text(p.Request.Env)
	b.text(p.Request.Class)
	b.number(int64(p.Seq))
	for i := range p.Steps {
		s := &p.Steps[i]
		b.text(s.Table)
		b.number(int64(s.Loop))
		for k := range s.Causes {
			c := &s.Causes[k]
			b.text(string(c.Kind))
			b.text(c.From)
			b.text(c.To)
			b.set(c.Set)
		}
	}
	for i := range p.Blocked {
		b.text(p.Blocked[i].Table)
		b.set(p.Blocked[i].Set)
	}
	for i := range p.Skipped {
		b.text(p.Skipped[i].Table)
		b.text(p.Skipped[i].Why)
		b.set(p.Skipped[i].Set)
	}
	for i := range p.Rechecks {
		b.text(p.Rechecks[i].Table)
		b.text(p.Rechecks[i].Why)
		b.set(p.Rechecks[i].Set)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// hashed gathers what is hashed, so that no two lists of things look alike.
type hashed []byte

func (b *hashed) text(s string) {
	b.number(int64(len(s)))
	*b = append(*b, s...)
}

func (b *hashed) number(n int64) {
	*b = binary.AppendVarint(*b, n)
}

func (b *hashed) set(s calendar.Set) {
	b.number(int64(len(s.Intervals())))
	for _, iv := range s.Intervals() {
		b.number(int64(iv.Start))
		b.number(int64(iv.End))
	}
}
