// Package plan judges which partitions are fresh and says what has to be done about those that are not. It is pure: a World is what a
// judgement rests on, as data; there is no I/O, no clock and no context.
//
// Freshness has one definition, in judge.go. Plans, status, why, gates, and the executor that asks again before each chunk use it.
package plan

import (
	"maps"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// Inputs are what a World is made of. Maps are keyed by table name unless they say otherwise; a missing entry is an empty one.
type Inputs struct {
	Graph *catalog.Graph
	// Expected are the partitions that are due now: the calendar from the table's start to what is due.
	Expected map[string]calendar.Set
	// Coming are partitions that the calendar names and that are not due yet. Only States looks at them.
	Coming map[string]calendar.Set
	// Dropped are expected partitions that the calendar does not name any more, although they are materialized: drift until a person says
	// that it is right (rule 18).
	Dropped map[string]calendar.Set
	// Misfits are why partitions of sources cannot be read, as far as that is known. Only Why looks at them.
	Misfits map[string][]Misfit
	// Periods are today's, by name, in civil days; PeriodChanges are the ones the ledger has logged, oldest first.
	Periods       map[string][]calendar.Interval
	PeriodChanges map[string][]history.PeriodChange
	// Tables are the histories. Reserved must not hold what the asking run itself has reserved.
	Tables map[string]*history.Table
	Seq    history.Seq
	// Columns are what NewColumns made of the histories, where somebody did so already.
	Columns map[string]*Columns
	// Versions are the code versions to judge by: today's code, or the ledger's head where today's code is an older registered one.
	// Without one no content is stale by code.
	Versions      map[string]string
	CheckVersions map[string]string
	Now           time.Time
	// LeaveCode: what is stale by its code alone counts as up to date (class scheduled). Judgements still list it as Code.
	LeaveCode bool
}

// A Misfit is why some partitions of a source cannot be read: a value that is not of its column's type, and where it stands.
type Misfit struct {
	Set    calendar.Set
	Reason string
}

// A World is everything a judgement rests on, with what has been judged so far. One goroutine owns it. Its Inputs are read only;
// Replace is the way to change them. (Seq may be set forward: judgements do not depend on it once calendars are logged.)
type World struct {
	Inputs
	nodes []node
	named map[string]*node
	// parts are the components in topological order.
	parts []part
	// Scratch, by node: of ensure and of invalidate. And of whoever gathers intervals.
	need, lost []calendar.Set
	scratch    []calendar.Interval
	owned      bool // Tables is the world's own map
}

// A part is one component of the graph: a table, or the tables of a loop.
type part struct {
	nodes []*node
	loop  bool
}

// A node is a table of the world.
type node struct {
	id, part  int
	table     *catalog.Table
	history   *history.Table
	changes   changes
	expected  calendar.Set
	dropped   calendar.Set
	index     *calendar.Index
	bootstrap calendar.Set
	inputs    []*edge
	readers   []*edge
	fan       int // how many readers
	// with are the tables that are made at once with this one, itself among them, in the order of the nodes; one alone is made by itself.
	with []*node
	// watched are tables that only the checks of this one read: they come first, and their changes alter its verdicts.
	watched  []*edge
	watchers []*node
	// redefined are the periods that the table depends on and that were once defined otherwise.
	redefined []redefinition
	// judged holds for the partitions in valid.
	judged Judgement
	valid  calendar.Set
	// lacks is what lacking gives, while lacksKnown.
	lacks      calendar.Set
	lacksKnown bool
}

// NewWorld prepares a world. It keeps and never changes what it is given.
func NewWorld(in Inputs) *World {
	order := in.Graph.Order()
	w := &World{Inputs: in, parts: make([]part, len(order))}
	tables := 0
	for i := range order {
		tables += len(order[i].Tables)
	}
	w.nodes, w.named = make([]node, tables), make(map[string]*node, tables)
	w.need, w.lost = make([]calendar.Set, tables), make([]calendar.Set, tables)
	pointers := make([]*node, 0, tables)
	indexes := indexer{}
	edges := 0
	for i := range order {
		from := len(pointers)
		for _, t := range order[i].Tables {
			id := len(pointers)
			n := &w.nodes[id]
			n.id, n.part, n.table, n.expected = id, i, t, in.Expected[t.Name]
			n.dropped = in.Dropped[t.Name]
			n.index = indexes.of(n.expected)
			n.set(in.Tables[t.Name], in.Columns[t.Name], in.Seq)
			w.named[t.Name] = n
			pointers = append(pointers, n)
			edges += len(t.Inputs)
		}
		w.parts[i] = part{pointers[from:len(pointers):len(pointers)], order[i].Loop}
		w.parts[i].group()
	}
	w.connect(edges)
	return w
}

// group ties together what is made at once. All tables of a producer are in one component.
func (p *part) group() {
	for i, n := range p.nodes {
		n.with = p.nodes[i : i+1 : i+1]
		if n.table.Producer == "" || len(p.nodes) == 1 {
			continue
		}
		n.with = nil
		for _, m := range p.nodes {
			if m.table.Producer == n.table.Producer {
				n.with = append(n.with, m)
			}
		}
	}
}

// An indexer makes one index for tables that share a calendar.
type indexer map[*calendar.Interval]*calendar.Index

func (x indexer) of(s calendar.Set) *calendar.Index {
	ivs := s.Intervals()
	if len(ivs) == 0 {
		return calendar.NewIndex(s)
	}
	if known := x[&ivs[0]]; known != nil && len(known.Set().Intervals()) == len(ivs) {
		return known
	}
	made := calendar.NewIndex(s)
	x[&ivs[0]] = made
	return made
}

// set gives a node its history.
func (n *node) set(h *history.Table, columns *Columns, seq history.Seq) {
	if h == nil {
		h = &history.Table{}
	}
	if !columns.belongs(h) {
		columns = nil
	}
	n.history, n.changes = h, newChanges(h, columns, n.expected, seq)
}

// columns are made when somebody looks at the whole of a history.
func (n *node) columns() *Columns {
	if n.changes.of == nil {
		n.changes.of = NewColumns(n.history)
	}
	return n.changes.of
}

// checked is the window by which checks read other tables, as far as order goes: the partition of the same time comes first.
var checked = catalog.Window{Kind: catalog.Same}

// connect makes the edges.
func (w *World) connect(count int) {
	edges := make([]edge, 0, count)
	ins := make([]*edge, 0, count)
	for i := range w.nodes {
		n := &w.nodes[i]
		from := len(ins)
		for _, in := range n.table.Inputs {
			read := w.named[in.Table]
			if read == nil {
				continue // the catalog refuses unknown tables; a world of a part of one has edges that leave it
			}
			edges = append(edges, edge{in: in, reader: n, read: read})
			e := &edges[len(edges)-1]
			e.spans = e.one[:0]
			for k := range in.Windows {
				e.spans = append(e.spans, newSpan(&in.Windows[k], n, read, w.period(in.Windows[k].Within)))
			}
			ins = append(ins, e)
			read.fan++
		}
		n.inputs = ins[from:len(ins):len(ins)]
		if len(n.table.Checks) > 0 {
			w.watch(n)
		}
		n.bootstrap = w.bootstrap(n)
		n.redefined = w.redefinitions(n)
	}
	readers := make([]*edge, 0, len(edges))
	for i := range w.nodes {
		n := &w.nodes[i]
		from := len(readers)
		readers = readers[:from+n.fan]
		n.readers = readers[from : from : from+n.fan]
	}
	for i := range edges {
		e := &edges[i]
		e.read.readers = append(e.read.readers, e)
	}
}

// watch finds the tables that a table's checks read beside its inputs.
func (w *World) watch(n *node) {
	for _, order := range w.Graph.Inputs(n.table.Name) {
		if read := w.named[order.Read.Name]; order.OrderOnly() && read != nil {
			n.watched = append(n.watched, &edge{reader: n, read: read, spans: []span{newSpan(&checked, n, read, nil)}})
			read.watchers = append(read.watchers, n)
		}
	}
}

func (w *World) period(name string) []calendar.Interval {
	if name == "" {
		return nil
	}
	return w.Periods[name]
}

// bootstrap is the set of the first expected partitions of each period, as the table declares.
func (w *World) bootstrap(n *node) calendar.Set {
	rule := n.table.Bootstrap
	if rule == nil {
		return calendar.Set{}
	}
	var ivs []calendar.Interval
	for _, season := range seasons(w.Periods[rule.Of], n.table.Axis, n.table.Axis) {
		first := n.index.Rank(season.over.Start)
		end := min(n.index.Select(first+rule.Partitions), season.over.End)
		ivs = append(ivs, n.expected.Within(calendar.Interval{Start: season.over.Start, End: end}).Intervals()...)
	}
	return calendar.NewSet(ivs...)
}

// Replace gives a table its new history, as of seq. What rests on a partition whose history differs is judged again when it is asked for.
func (w *World) Replace(table string, h *history.Table, seq history.Seq) {
	w.Update(table, h, seq, calendar.All())
}

// Update is Replace for who knows that the rows of the new history, its segments, verdicts and moves, are those of the old one but for
// some partitions: it does not look at the others.
func (w *World) Update(table string, h *history.Table, seq history.Seq, but calendar.Set) {
	w.Seq = max(w.Seq, seq)
	n := w.named[table]
	if n == nil {
		return
	}
	if !w.owned {
		w.Tables, w.owned = maps.Clone(w.Tables), true
		if w.Tables == nil {
			w.Tables = map[string]*history.Table{}
		}
	}
	was := n.history
	n.set(h, nil, w.Seq)
	w.Tables[table] = n.history
	if differ := differences(was, n.history, but); !differ.Empty() {
		w.invalidate(n, differ)
	}
}

// Upstream is the set of expected input partitions in the windows of a table's partitions.
func (w *World) Upstream(table string, in *catalog.Input, set calendar.Set) calendar.Set {
	if e := w.edge(table, in); e != nil {
		return e.upstream(set.Intersect(e.reader.expected))
	}
	return calendar.Set{}
}

// Reach is the hull of the windows of a table's partitions, on the input's axis, clipped to nothing: open windows end at Beginning or
// Horizon. It is empty where no partition of the set has a window.
func (w *World) Reach(table string, in *catalog.Input, set calendar.Set) calendar.Interval {
	e := w.edge(table, in)
	if e == nil {
		return calendar.Interval{}
	}
	var ivs []calendar.Interval
	for i := range e.spans {
		ivs = e.spans[i].upstream(ivs, set.Intersect(e.reader.expected), narrow)
	}
	return calendar.NewSet(ivs...).Bounds()
}

// Downstream is the set of a consumer's expected partitions whose windows hold one of the changed, expected, input partitions.
func (w *World) Downstream(consumer string, in *catalog.Input, changed calendar.Set) calendar.Set {
	if e := w.edge(consumer, in); e != nil {
		return e.downstream(changed)
	}
	return calendar.Set{}
}

func (w *World) edge(table string, in *catalog.Input) *edge {
	if n := w.named[table]; n != nil {
		for _, e := range n.inputs {
			if e.in == in {
				return e
			}
		}
	}
	return nil
}
