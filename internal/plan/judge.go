package plan

import (
	"slices"

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
	// What stands there may not be read. Drifted partitions of a table that is no source are those that its calendar has dropped.
	InDoubt, Foreign, Failing, Drifted, Unsettled calendar.Set
	// Unchecked: today's checks have not seen what stands there, or not since what they read has changed. It may be fresh, and is as
	// readable as it was (see unchecked).
	Unchecked calendar.Set
	// What stands there, readable or failing, is out of date: computed by other code, from inputs that changed, by a person's word, or before late data.
	Code, Input, Marked, Lookback calendar.Set
	// Upstream: what stands there may be right, but too few of its inputs are fresh.
	Upstream calendar.Set

	// NotReady partitions could not be computed now: fewer inputs in a window are fresh than it must have.
	NotReady calendar.Set

	// Failed and Quarantined are about the last attempt, whose rows were not published; what is Failing is Quarantined too. Repeats are
	// those of either that would end the same way: neither code nor checks nor anything read has changed since.
	Failed, Quarantined, Repeats calendar.Set
	Held, InFlight               calendar.Set

	// How fresh content came about.
	Empty, Skipped, Bootstrap, Short calendar.Set
	// Settled content is never stale by itself: skipped by a person, or of an immutable table.
	Settled calendar.Set
}

// sets lists every set of a judgement.
func (j *Judgement) sets() [25]*calendar.Set {
	return [25]*calendar.Set{
		&j.Expected, &j.Fresh, &j.Missing, &j.InDoubt, &j.Foreign, &j.Failing, &j.Drifted, &j.Unsettled, &j.Code, &j.Input, &j.Marked,
		&j.Lookback, &j.Upstream, &j.NotReady, &j.Failed, &j.Quarantined, &j.Repeats, &j.Held, &j.InFlight, &j.Empty, &j.Skipped,
		&j.Bootstrap, &j.Short, &j.Settled, &j.Unchecked,
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
	return joined(j.InDoubt, j.Foreign, j.Failing, j.Drifted, j.Unsettled)
}

// Stale is the set of partitions that stand there, out of date.
func (j *Judgement) Stale() calendar.Set {
	return joined(j.Code, j.Input, j.Marked, j.Lookback, j.Upstream)
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
	n.lacksKnown = false
	if n.valid.Empty() {
		n.judged = Judgement{}
		w.evaluate(n, set, &n.judged)
		n.valid = set
		return
	}
	var part Judgement
	w.evaluate(n, set, &part)
	n.lacksKnown = false
	news := part.sets()
	for i, old := range n.judged.sets() {
		*old = replaced(*old, set, *news[i])
	}
	n.valid = n.valid.Union(set)
}

// replaced is old with the members of a set taken out and those of news, which lie in the set, put in.
func replaced(old, set, news calendar.Set) calendar.Set {
	if !old.Empty() {
		old = old.Minus(set)
	}
	return old.Union(news)
}

// evaluate is the definition of freshness (rule 16).
func (w *World) evaluate(n *node, set calendar.Set, j *Judgement) {
	j.Table, j.Expected = n.table.Name, set
	h := n.history
	j.Held, j.InFlight, j.Unsettled = h.Held.Intersect(set), h.InFlight.Intersect(set), h.Unsettled.Intersect(set)
	reads, all := w.contents(n, set, j)
	if dropped := meet(n.dropped, set); !dropped.Empty() {
		j.Drifted = join(j.Drifted, dropped)
	}
	standing := cut(cut(set, j.Missing), j.Unreadable())
	if n.table.IsSource() {
		j.Fresh = standing
		return
	}
	if n.table.OnCodeChange == catalog.Forward {
		j.Code = calendar.Set{}
	}
	if len(n.table.Checks) > 0 || !j.Failing.Empty() {
		j.Unchecked = w.unchecked(n, set, j)
	}
	w.inputsChanged(n, set, reads, all, j)
	ivs := w.scratch[:0]
	for _, e := range n.inputs {
		ivs = e.unmet(ivs, set, e.read.lacking())
	}
	j.NotReady = setOf(ivs, set)
	w.scratch = ivs
	if len(h.Verdicts) > 0 {
		w.verdicts(n, set, j)
	}
	j.Upstream = cut(meet(j.NotReady, standing), j.Settled)
	stale := joined(j.Input, j.Marked, j.Lookback, j.Upstream)
	if !w.LeaveCode {
		stale = join(stale, j.Code)
	}
	j.Fresh = cut(standing, stale)
	if alike(standing, n.expected) {
		n.lacks, n.lacksKnown = stale, true
	}
}

// lacking are the expected partitions that are not known to be fresh.
func (n *node) lacking() calendar.Set {
	if !n.lacksKnown {
		n.lacks, n.lacksKnown = cut(n.expected, n.judged.Fresh), true
	}
	return n.lacks
}

// contents sorts what stands in the partitions of the set, and gives what those read that can be stale by their inputs; all says that it is
// the whole of the history, which is not written down.
func (w *World) contents(n *node, set calendar.Set, j *Judgement) (reads []reading, all bool) {
	if len(n.history.Segments) == 0 {
		j.Missing = set
		return nil, false
	}
	switch c := n.whole(set); {
	case c == nil:
	case c.plain && (n.table.IsSource() || n.table.Lookback == 0 && !n.table.Immutable && c.n > fewSegments):
		if !alike(c.covered, set) {
			j.Missing = set.Minus(c.covered)
		}
		if head := w.Versions[n.table.Name]; !n.table.IsSource() && head != "" && c.version != head {
			j.Code = set.Minus(j.Missing)
		}
		return nil, true
	}
	s := sorter{w: w, n: n, head: w.Versions[n.table.Name]}
	eachSegment(n.history.Segments, set, s.sort)
	j.Missing = set.Minus(s.covered.within(set))
	j.InDoubt, j.Foreign, j.Failing, j.Drifted = s.inDoubt.set(), s.foreign.set(), s.failing.set(), s.drifted.set()
	j.Code, j.Marked, j.Lookback = s.code.set(), s.marked.set(), s.lookback.set()
	j.Empty, j.Skipped, j.Bootstrap, j.Short, j.Settled = s.empty.set(), s.skipped.set(), s.bootstrap.set(), s.short.set(), s.settled.set()
	return s.reads, false
}

// whole gives the columns of a table's history where so much of it is judged that they are worth making.
func (n *node) whole(set calendar.Set) *Columns {
	if len(n.history.Segments) > fewSegments && set.Count() <= fewReadings {
		return nil
	}
	return n.columns()
}

// inputsChanged fills Input: what was read has changed since (see change.go). With all the reads are those of the whole history.
func (w *World) inputsChanged(n *node, set calendar.Set, reads []reading, all bool, j *Judgement) {
	c := n.whole(set)
	write := func() []reading {
		if all && reads == nil {
			reads = readings(n.history.Segments, set)
		}
		return reads
	}
	var ivs []calendar.Interval
	for _, e := range n.inputs {
		switch {
		case !e.in.Restates:
		case c == nil:
			ivs = e.changedNear(ivs, reads)
		case e.read.newest() <= c.oldest:
		case all && c.dense && e.dense():
			for i := range e.spans {
				ivs = c.stale(ivs, e.read.columns(), e.spans[i].first, e.spans[i].last)
			}
			if stray := e.read.changes.strays(); len(stray.rows) > 0 {
				ivs = e.changedIn(ivs, stray, write(), wide)
			}
		default:
			ivs = e.changed(ivs, write())
		}
	}
	if len(n.redefined) > 0 {
		ivs = n.redefinedSince(ivs, write())
	}
	j.Input = setOf(ivs, set)
}

// dense reports whether the input has dense columns and all windows are shifts: then reach and window are one, so that content and moves
// can be looked at together.
func (e *edge) dense() bool {
	for i := range e.spans {
		if !e.spans[i].shift {
			return false
		}
	}
	return e.read.columns().dense
}

// readings is what the partitions of a set read.
func readings(segments []history.Segment, set calendar.Set) []reading {
	var out []reading
	eachSegment(segments, set, func(seg *history.Segment, iv calendar.Interval) { out = append(out, reading{iv, seg.ReadSeq}) })
	return out
}

// verdicts fills what the last attempts at the partitions came to. A verdict stands as long as its key does (rule 15): code, checks, what
// was read, and what the checks read. Inputs that do not restate count here too: another reading of them may pass.
func (w *World) verdicts(n *node, set calendar.Set, j *Judgement) {
	if len(n.history.Verdicts) == 0 {
		return
	}
	var failed, quarantined []calendar.Interval
	var same, looked []reading // when the rows were read, and when the checks looked
	for _, v := range history.Clip(n.history.Verdicts, set) {
		if v.Outcome == history.Failed {
			failed = append(failed, v.Interval)
		} else {
			quarantined = append(quarantined, v.Interval)
		}
		if v.Version == w.Versions[n.table.Name] && v.CheckVersion == w.CheckVersions[n.table.Name] {
			same, looked = append(same, reading{v.Interval, v.ReadSeq}), append(looked, reading{v.Interval, v.CheckSeq})
		}
	}
	j.Failed, j.Quarantined = calendar.NewSet(failed...), calendar.NewSet(quarantined...)
	var moved, kept []calendar.Interval
	for _, e := range n.inputs {
		moved = e.changed(moved, same)
	}
	moved = n.redefinedSince(moved, same)
	for _, r := range looked {
		kept = append(kept, r.Interval)
		if n.watchedSince(r.seq) {
			moved = append(moved, r.Interval)
		}
	}
	j.Repeats = calendar.NewSet(kept...).Minus(calendar.NewSet(moved...))
}

// watchedSince reports whether anything changed since in the tables that only the checks read.
func (n *node) watchedSince(seq history.Seq) bool {
	return slices.ContainsFunc(n.watched, func(e *edge) bool { return e.read.newest() > seq })
}

// unchecked is the part of a set where something stands that is to be checked again (rule 15): it was checked by other checks than today's,
// or a table that only the checks read has changed since.
//
// Which partitions of that table a check looks at is not known: its query may read any. What is readable is checked again for changes in
// partitions of the same time. That is the window by which the two are ordered, and most checks join on it; and a table that grows by a
// day every day must not have its neighbour's whole history checked every day. A check that looks further back names an input, or asks for
// `headway check`. What is failing is checked again for any change there: it is little, and somebody waits for it to be mended.
func (w *World) unchecked(n *node, set calendar.Set, j *Judgement) calendar.Set {
	today := w.CheckVersions[n.table.Name]
	if today == "" {
		return calendar.Set{}
	}
	if c := n.whole(set); c != nil && c.checks == today && !n.watchedSince(c.checked) {
		return calendar.Set{}
	}
	var out collector
	var looked []reading
	eachSegment(n.history.Segments, set, func(seg *history.Segment, iv calendar.Interval) {
		failing := seg.Content == history.Failing
		switch {
		case !seg.Content.Checkable() || len(n.table.Checks) == 0 && !failing:
		case seg.CheckVersion != today || failing && n.watchedSince(seg.CheckSeq):
			out.add(iv)
		default:
			looked = append(looked, reading{iv, seg.CheckSeq})
		}
	})
	ivs := out.ivs
	for _, e := range n.watched {
		ivs = e.changed(ivs, looked)
	}
	return cut(cut(setOf(ivs, set), j.Unsettled), n.dropped)
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
