package plan

import (
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// A Judgement says how the expected partitions of a table stand. Content, last verdict, hold and shortfall are kept apart; a partition
// may be in several of the sets. Whoever reads it must not change it.
type Judgement struct {
	Table    string
	Expected calendar.Set
	// Fresh partitions are up to date, readable, settled, and every input in their windows is fresh too, down to the sources. Those
	// computed from less than their windows ask for are among them.
	Fresh calendar.Set

	// Missing: nothing stands there.
	Missing calendar.Set
	// What stands there may not be read.
	InDoubt, Foreign, Failing, Drifted, Unsettled calendar.Set
	// What stands there is out of date: computed by other code, from inputs that changed, by a person's word, or before late data.
	Code, Input, Marked, Lookback calendar.Set
	// Upstream: what stands there may be right, but too few of its inputs are fresh.
	Upstream calendar.Set

	// NotReady partitions could not be computed now: fewer inputs in a window are fresh than it must have.
	NotReady calendar.Set

	// Failed and Quarantined are about the last attempt, whose rows were not published. Repeats are those of either that would end the
	// same way: neither code nor checks nor anything read has changed since.
	Failed, Quarantined, Repeats calendar.Set
	Held, InFlight               calendar.Set

	// How fresh content came about.
	Empty, Skipped, Bootstrap, Short calendar.Set
	// Settled content is never stale by itself: skipped by a person, or of an immutable table.
	Settled calendar.Set
}

// sets lists every set of a judgement.
func (j *Judgement) sets() [24]*calendar.Set {
	return [24]*calendar.Set{
		&j.Expected, &j.Fresh, &j.Missing, &j.InDoubt, &j.Foreign, &j.Failing, &j.Drifted, &j.Unsettled, &j.Code, &j.Input, &j.Marked,
		&j.Lookback, &j.Upstream, &j.NotReady, &j.Failed, &j.Quarantined, &j.Repeats, &j.Held, &j.InFlight, &j.Empty, &j.Skipped,
		&j.Bootstrap, &j.Short, &j.Settled,
	}
}

// within is the judgement of some of the partitions.
func (j *Judgement) within(set calendar.Set) *Judgement {
	out := *j
	for _, s := range out.sets() {
		*s = s.Intersect(set)
	}
	return &out
}

// Unreadable is the set of partitions where rows stand that consumers may not read.
func (j *Judgement) Unreadable() calendar.Set {
	return calendar.UnionAll(j.InDoubt, j.Foreign, j.Failing, j.Drifted, j.Unsettled)
}

// Stale is the set of partitions that stand there, out of date.
func (j *Judgement) Stale() calendar.Set {
	return calendar.UnionAll(j.Code, j.Input, j.Marked, j.Lookback, j.Upstream)
}

// Judge judges all expected partitions of a table. Answers are remembered until Replace touches what they rest on.
func (w *World) Judge(table string) *Judgement {
	n := w.named[table]
	if n == nil {
		return &Judgement{Table: table}
	}
	w.ensure(n, n.expected)
	j := n.judged
	return &j
}

// JudgeWithin judges some partitions of a table and, of what has not been judged yet, only what they rest on.
func (w *World) JudgeWithin(table string, set calendar.Set) *Judgement {
	n := w.named[table]
	if n == nil {
		return &Judgement{Table: table}
	}
	set = set.Intersect(n.expected)
	w.ensure(n, set)
	return n.judged.within(set)
}

// learn judges a set of a table whose inputs have been judged as far as the set rests on them, and remembers it.
func (w *World) learn(n *node, set calendar.Set) {
	if set.Empty() {
		return
	}
	part := w.evaluate(n, set)
	if n.valid.Empty() {
		n.judged, n.valid = part, set
		return
	}
	part.Table = n.table.Name
	news := part.sets()
	for i, old := range n.judged.sets() {
		*old = old.Minus(set).Union(*news[i])
	}
	n.valid = n.valid.Union(set)
}

// evaluate is the definition of freshness (rule 16).
func (w *World) evaluate(n *node, set calendar.Set) Judgement {
	j := Judgement{Table: n.table.Name, Expected: set}
	reads := w.contents(n, set, &j)
	h := n.history
	j.Held, j.InFlight, j.Unsettled = h.Held.Intersect(set), h.InFlight.Intersect(set), h.Unsettled.Intersect(set)
	if n.table.IsSource() {
		j.Fresh = set.Minus(j.Missing).Minus(j.Unreadable())
		return j
	}
	if n.table.OnCodeChange == catalog.Forward {
		j.Code = calendar.Set{}
	}
	w.inputsChanged(n, reads, &j)
	for _, e := range n.inputs {
		j.NotReady = j.NotReady.Union(e.unmet(set, e.read.judged.Fresh))
	}
	w.verdicts(n, set, &j)
	standing := set.Minus(j.Missing).Minus(j.Unreadable())
	j.Upstream = j.NotReady.Intersect(standing).Minus(j.Settled)
	stale := calendar.UnionAll(j.Input, j.Marked, j.Lookback, j.Upstream)
	if !w.LeaveCode {
		stale = stale.Union(j.Code)
	}
	j.Fresh = standing.Minus(stale)
	return j
}

// contents sorts what stands in the partitions of the set, and gives what they read for those that can be stale by their inputs.
func (w *World) contents(n *node, set calendar.Set, j *Judgement) []reading {
	var covered, inDoubt, foreign, failing, drifted, code, marked, lookback, empty, skipped, bootstrap, short, settled collector
	var reads []reading
	head := w.Versions[n.table.Name]
	source := n.table.IsSource()
	eachSegment(n.history.Segments, set, func(seg *history.Segment, iv calendar.Interval) {
		covered.add(iv)
		switch seg.Content {
		case history.InDoubt:
			inDoubt.add(iv)
			return
		case history.Foreign:
			foreign.add(iv)
			return
		case history.Failing:
			failing.add(iv)
			return
		case history.Drifted:
			drifted.add(iv)
			return
		case history.Empty:
			empty.add(iv)
		case history.Skipped:
			skipped.add(iv)
		}
		if source {
			return
		}
		switch seg.Shortfall {
		case history.Bootstrap:
			bootstrap.add(iv)
		case history.Short:
			short.add(iv)
		}
		if seg.Stale {
			marked.add(iv)
		}
		if seg.Content == history.Skipped || n.table.Immutable {
			settled.add(iv)
			return
		}
		if head != "" && seg.Version != head && !seg.Accepted {
			code.add(iv)
		}
		if n.table.Lookback > 0 {
			w.late(n, seg, iv, &lookback)
		}
		if k := len(reads) - 1; k >= 0 && reads[k].End == iv.Start && reads[k].seq == seg.ReadSeq {
			reads[k].End = iv.End
		} else {
			reads = append(reads, reading{iv, seg.ReadSeq})
		}
	})
	j.Missing = set.Minus(covered.set())
	j.InDoubt, j.Foreign, j.Failing, j.Drifted = inDoubt.set(), foreign.set(), failing.set(), drifted.set()
	j.Code, j.Marked, j.Lookback = code.set(), marked.set(), lookback.set()
	j.Empty, j.Skipped, j.Bootstrap, j.Short, j.Settled = empty.set(), skipped.set(), bootstrap.set(), short.set(), settled.set()
	return reads
}

// late collects the partitions that were read before the last of their next Lookback partitions was due. Of content whose reading has no
// known wall clock nothing is said: it would be stale for ever.
func (w *World) late(n *node, seg *history.Segment, iv calendar.Interval, out *collector) {
	if seg.ReadAt.IsZero() {
		return
	}
	for p := iv.Start; p < iv.End; p++ {
		rank := n.index.Rank(p)
		next := min(rank+n.table.Lookback, n.index.Len()-1)
		if next > rank && seg.ReadAt.Before(n.table.Axis.Due(n.index.Select(next), n.table.DueAfter)) {
			out.add(calendar.Single(p))
		}
	}
}

// inputsChanged fills Input: what was read has changed since (see change.go).
func (w *World) inputsChanged(n *node, reads []reading, j *Judgement) {
	var ivs []calendar.Interval
	for _, e := range n.inputs {
		if e.in.Restates {
			ivs = e.changed(ivs, reads)
		}
	}
	ivs = n.redefinedSince(ivs, reads)
	if len(ivs) > 0 {
		j.Input = calendar.NewSet(ivs...)
	}
}

// verdicts fills what the last attempts at the partitions came to. A verdict stands as long as its key does (rule 15): code, checks, what
// was read, and what the checks read. Inputs that do not restate count here too: another reading of them may pass.
func (w *World) verdicts(n *node, set calendar.Set, j *Judgement) {
	if len(n.history.Verdicts) == 0 {
		return
	}
	var failed, quarantined []calendar.Interval
	var same []reading
	for _, v := range history.Clip(n.history.Verdicts, set) {
		if v.Outcome == history.Failed {
			failed = append(failed, v.Interval)
		} else {
			quarantined = append(quarantined, v.Interval)
		}
		if v.Version == w.Versions[n.table.Name] && v.CheckVersion == w.CheckVersions[n.table.Name] {
			same = append(same, reading{v.Interval, v.ReadSeq})
		}
	}
	j.Failed, j.Quarantined = calendar.NewSet(failed...), calendar.NewSet(quarantined...)
	var moved, kept []calendar.Interval
	for _, e := range n.inputs {
		moved = e.changed(moved, same)
	}
	moved = n.redefinedSince(moved, same)
	for _, r := range same {
		kept = append(kept, r.Interval)
		for _, e := range n.watched {
			if max(e.read.changes.content.max, e.read.changes.moves.max) > r.seq {
				moved = append(moved, r.Interval)
			}
		}
	}
	j.Repeats = calendar.NewSet(kept...).Minus(calendar.NewSet(moved...))
}

// A collector gathers intervals in order.
type collector struct{ ivs []calendar.Interval }

func (c *collector) add(iv calendar.Interval) {
	if n := len(c.ivs); n > 0 && c.ivs[n-1].End == iv.Start {
		c.ivs[n-1].End = iv.End
		return
	}
	c.ivs = append(c.ivs, iv)
}

func (c *collector) set() calendar.Set {
	if len(c.ivs) == 0 {
		return calendar.Set{}
	}
	return calendar.NewSet(c.ivs...)
}

// eachSegment calls fn for the parts of segments that lie in the set, in order.
func eachSegment(segments []history.Segment, set calendar.Set, fn func(seg *history.Segment, iv calendar.Interval)) {
	ivs := set.Intervals()
	i := firstSegment(segments, set.Bounds().Start)
	for k := 0; i < len(segments) && k < len(ivs); {
		if iv := segments[i].Interval.Intersect(ivs[k]); !iv.Empty() {
			fn(&segments[i], iv)
		}
		if segments[i].End <= ivs[k].End {
			i++
		} else {
			k++
		}
	}
}

// firstSegment is the index of the first segment that ends after p.
func firstSegment(segments []history.Segment, p calendar.Partition) int {
	lo, hi := 0, len(segments)
	for lo < hi {
		mid := (lo + hi) / 2
		if segments[mid].End <= p {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
