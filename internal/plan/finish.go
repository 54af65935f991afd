package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// explain adds to the causes of a table those of a set that is to be written.
func (d *draft) explain(n *node, causes []Cause, write, made calendar.Set) []Cause {
	if write.Empty() {
		return causes
	}
	rest := write
	kinds := append(d.kinds(n, made), kindOf{CauseAsked, write, All})
	for _, wanted := range []bool{true, false} {
		for _, k := range kinds {
			if d.kind.has(k.wants) != wanted && k.cause != CauseAsked {
				continue
			}
			if k.cause == CauseAsked && wanted {
				continue // fresh, and named all the same: only what nothing else explains
			}
			here := rest.Intersect(k.set)
			if here.Empty() {
				continue
			}
			rest = rest.Minus(here)
			causes = d.addCause(n, causes, k.cause, here)
			if rest.Empty() {
				return causes
			}
		}
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
			if e.in.Restates {
				c.Because = appendRefs(c.Because, e.read, e.windows(first).Intersect(d.written[e.read.id]), maxBecause)
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
			found = e.read.changes.content.after(found, e.spans[i].at(p, narrow), seq)
			found = e.read.changes.moves.after(found, e.spans[i].at(p, wide), seq)
		}
		refs = appendRefs(refs, e.read, calendar.NewSet(found...), limit)
	}
	return refs
}

// after appends the parts of an interval whose sequence is greater.
func (c *column) after(out []calendar.Interval, iv calendar.Interval, seq history.Seq) []calendar.Interval {
	if c.max <= seq {
		return out
	}
	for i, row := range c.rows {
		if c.seqs[i] > seq && row.Overlaps(iv) {
			out = append(out, row.Intersect(iv))
		}
	}
	return out
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
	for i := range d.w.parts {
		part := &d.w.parts[i]
		loop := 0
		if part.loop {
			loop = i + 1
		}
		for _, n := range part.nodes {
			if set := d.written[n.id]; !set.Empty() {
				p.Steps = append(p.Steps, Step{n.table.Name, n.table.Axis, guarantee(n.table), set, d.causes[n.id], loop})
			}
			if set := d.blocked[n.id]; !set.Empty() {
				p.Blocked = append(p.Blocked, d.block(n, set))
			}
			p.Skipped = append(p.Skipped, d.skipped[n.id]...)
		}
	}
	p.ID = p.identify()
	return p
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
	b := Blocked{Table: n.table.Name, Axis: n.table.Axis, Set: set, Held: d.held[n.id].Intersect(set)}
	for p := range set.Partitions() {
		if len(b.Items) == maxBlocked {
			break
		}
		item := BlockedItem{Partition: p, Held: b.Held.Contains(p)}
		for _, e := range n.inputs {
			lacking := e.windows(p).Intersect(e.read.expected).Minus(d.good[e.read.id].Minus(d.shaken[e.read.id]))
			if !lacking.Empty() && len(item.Missing) < maxLacks {
				item.Missing = append(item.Missing, Lack{e.read.table.Name, e.read.table.Axis, lacking})
			}
		}
		item.Fix = d.mend(n, item)
		b.Items = append(b.Items, item)
	}
	return b
}

// mend is what would unblock a partition: lifting the hold, looking at the source again, or building the first input it lacks.
func (d *draft) mend(n *node, item BlockedItem) Fix {
	if item.Held || len(item.Missing) == 0 {
		return unhold(n.table, item.Partition)
	}
	lack := item.Missing[0]
	return build(d.w.named[lack.Table].table, lack.Set.Bounds())
}

// identify hashes what a plan says.
func (p *Plan) identify() string {
	h := sha256.New()
	text(h, p.Request.Env)
	text(h, p.Request.Class)
	number(h, int64(p.Seq))
	for i := range p.Steps {
		s := &p.Steps[i]
		text(h, s.Table)
		number(h, int64(s.Loop))
		for _, c := range s.Causes {
			text(h, string(c.Kind))
			text(h, c.From)
			text(h, c.To)
			numbers(h, c.Set)
		}
	}
	for i := range p.Blocked {
		text(h, p.Blocked[i].Table)
		numbers(h, p.Blocked[i].Set)
	}
	for i := range p.Skipped {
		text(h, p.Skipped[i].Table)
		text(h, p.Skipped[i].Why)
		numbers(h, p.Skipped[i].Set)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// text writes a string so that no two lists of strings look alike.
func text(h hash.Hash, s string) {
	number(h, int64(len(s)))
	_, _ = io.WriteString(h, s) // a hash never fails
}

func number(h hash.Hash, n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func numbers(h hash.Hash, s calendar.Set) {
	number(h, int64(len(s.Intervals())))
	for _, iv := range s.Intervals() {
		number(h, int64(iv.Start))
		number(h, int64(iv.End))
	}
}
