package catalog

import (
	"slices"
	"strings"
)

// An Edge leads from a table to one that it reads.
type Edge struct {
	Reader, Read *Table
	// Input is what is read; nil where only a check names the table. Such an edge says that Read's partition comes first, and no more.
	Input *Input
	Pos   Pos
}

// OrderOnly reports whether the edge is only there because a check of Reader names Read.
func (e *Edge) OrderOnly() bool { return e.Input == nil }

// Within reports whether the edge is only there because a check of a table names another one that the same command makes: both are there
// at once, and it gives no order.
func (e *Edge) Within() bool {
	return e.OrderOnly() && e.Reader.Producer != "" && e.Reader.Producer == e.Read.Producer
}

// windows are those of the input. What a check names comes first for the partitions of the same time.
func (e *Edge) windows() []Window {
	if e.OrderOnly() {
		return []Window{{Kind: Same}}
	}
	return e.Input.Windows
}

// A Graph is the tables of a project and what they read of one another. It never changes.
type Graph struct {
	tables     map[string]*Table
	out, in    map[string][]*Edge  // by reader, by what is read; in the order of the file
	makes      map[string][]*Table // by producer, in the order of the file
	components []Component
}

// A Component is a table, the tables of a producer, or tables that read one another in a loop. What one table of a producer reads comes before
// all of them, and what reads one comes after all.
type Component struct {
	// Tables are in the order of the file; in a loop each comes after those that it reads at the same time.
	Tables []*Table
	// Loop: the tables read one another, or the one table reads itself; the tables of a producer count as one.
	Loop bool
	// Span is the smallest sum of lags round a loop, at least 1: what a partition leads back to ends at least this much earlier. It counts
	// cells where Cells is set, because all tables of the loop have one axis, and hours otherwise.
	Span  int64
	Cells bool
}

// MaxChunk is how many neighbouring cells of a table of the loop may be computed at once, so that none depends on another (rule 20); 0
// where there is no bound.
func (c Component) MaxChunk(t *Table) int {
	switch {
	case !c.Loop:
		return 0
	case c.Cells:
		return int(c.Span)
	}
	// The ends of n cells are at most n-1 of the longest cells apart, which must be less than the span.
	longest := int64(hoursIn[t.Axis.Grain][1])
	return int((c.Span-1)/longest) + 1
}

// NewGraph builds the graph of a project. A loop of tables whose partitions loop too is an error: Errors, one for each such loop found.
// Inputs that name no table of the project are left out; Load has told of them.
func NewGraph(p *Project) (*Graph, error) {
	g := &Graph{tables: make(map[string]*Table, len(p.Tables)), out: map[string][]*Edge{}, in: map[string][]*Edge{}, makes: map[string][]*Table{}}
	for _, t := range p.Tables {
		g.tables[t.Name] = t
		if t.Producer != "" {
			g.makes[t.Producer] = append(g.makes[t.Producer], t)
		}
	}
	names := relationNames(p)
	for _, t := range p.Tables {
		for _, in := range t.Inputs {
			if read := g.tables[in.Table]; read != nil {
				g.link(&Edge{Reader: t, Read: read, Input: in, Pos: in.Pos})
			}
		}
		g.linkChecks(t, names)
	}
	var errs Errors
	for _, tables := range g.strong(p.Tables) {
		c, loop := g.component(tables)
		if loop != nil {
			errs = append(errs, g.loopError(p, loop))
			continue
		}
		g.components = append(g.components, c)
	}
	if len(errs) > 0 {
		return nil, errs.asError()
	}
	return g, nil
}

func (g *Graph) link(e *Edge) {
	g.out[e.Reader.Name] = append(g.out[e.Reader.Name], e)
	g.in[e.Read.Name] = append(g.in[e.Read.Name], e)
}

// linkChecks adds what the checks of a table read and its inputs do not name.
func (g *Graph) linkChecks(t *Table, names map[string]string) {
	for _, c := range t.Checks {
		for _, name := range c.reads(names) {
			read := g.tables[name]
			known := func(e *Edge) bool { return e.Read == read }
			if read == nil || read == t || slices.ContainsFunc(g.out[t.Name], known) {
				continue
			}
			g.link(&Edge{Reader: t, Read: read, Pos: c.Pos})
		}
	}
}

// relationNames leads from the ways to write a table in a query to its name, in lower case.
func relationNames(p *Project) map[string]string {
	out := make(map[string]string, 2*len(p.Tables))
	for _, t := range p.Tables {
		out[strings.ToLower(t.Relation)] = t.Name
	}
	for _, t := range p.Tables {
		if t.IsSource() {
			out[strings.ToLower(t.Name)] = t.Name // a source's copy is read by the source's name
		}
	}
	return out
}

// reads are the tables that a check reads beside its own rows: those it names by template, and those its query names by relation.
func (c *Check) reads(names map[string]string) []string {
	var out []string
	if c.To != "" {
		out = append(out, c.To)
	}
	for _, text := range []string{c.Equals, c.Query} {
		for _, ref := range templateRefs(text) {
			out = append(out, ref.table)
		}
		for _, name := range sqlRelations(text) {
			if table, ok := names[strings.ToLower(name)]; ok {
				out = append(out, table)
			}
		}
	}
	return out
}

// Order gives the components so that each comes after all that its tables read. Where nothing decides, the order of the file does.
func (g *Graph) Order() []Component { return g.components }

// Table finds a table by name; nil where there is none.
func (g *Graph) Table(name string) *Table { return g.tables[name] }

// Inputs are the edges to what a table reads, in the order of the file; edges that are OrderOnly come last.
func (g *Graph) Inputs(name string) []*Edge { return g.out[name] }

// Consumers are the edges from those that read a table.
func (g *Graph) Consumers(name string) []*Edge { return g.in[name] }

// Upstream are the names of the tables that a table reads, in the order of the file.
func (g *Graph) Upstream(name string) []string {
	var out []string
	for _, e := range g.out[name] {
		if !e.OrderOnly() {
			out = append(out, e.Read.Name)
		}
	}
	return out
}

// Downstream are the names of the tables that read a table.
func (g *Graph) Downstream(name string) []string {
	var out []string
	for _, e := range g.in[name] {
		if !e.OrderOnly() {
			out = append(out, e.Reader.Name)
		}
	}
	return out
}

// Watched are the names of the tables that only the checks of a table read: they count for order, and carry no data (rule 15).
func (g *Graph) Watched(name string) []string {
	var out []string
	for _, e := range g.out[name] {
		if e.OrderOnly() {
			out = append(out, e.Read.Name)
		}
	}
	return out
}

// before are the tables that a table is tied to in the order: those that it reads, and those that are made with it.
func (g *Graph) before(t *Table) []*Table {
	edges, with := g.out[t.Name], g.makes[t.Producer]
	out := make([]*Table, 0, len(edges)+len(with))
	for _, e := range edges {
		out = append(out, e.Read)
	}
	return append(out, with...)
}

// strong gives the strongly connected components, each after those it reads (R. Tarjan, "Depth-First Search and Linear Graph Algorithms",
// 1972), without recursion: a chain of tables may be long.
func (g *Graph) strong(tables []*Table) [][]*Table {
	type frame struct {
		t      *Table
		before []*Table
		next   int // of before
	}
	place := make(map[*Table]int, len(tables))
	for i, t := range tables {
		place[t] = i
	}
	index, low := map[*Table]int{}, map[*Table]int{}
	onStack := map[*Table]bool{}
	var stack []*Table
	var out [][]*Table
	enter := func(t *Table) frame {
		index[t] = len(index) + 1
		low[t] = index[t]
		stack, onStack[t] = append(stack, t), true
		return frame{t: t, before: g.before(t)}
	}
	for _, root := range tables {
		if index[root] != 0 {
			continue
		}
		frames := []frame{enter(root)}
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			if f.next < len(f.before) {
				read := f.before[f.next]
				f.next++
				if index[read] == 0 {
					frames = append(frames, enter(read))
				} else if onStack[read] {
					low[f.t] = min(low[f.t], index[read])
				}
				continue
			}
			t := f.t
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				up := frames[len(frames)-1].t
				low[up] = min(low[up], low[t])
			}
			if low[t] != index[t] {
				continue
			}
			at := slices.Index(stack, t)
			members := slices.Clone(stack[at:])
			stack = stack[:at]
			for _, m := range members {
				onStack[m] = false
			}
			slices.SortFunc(members, func(a, b *Table) int { return place[a] - place[b] })
			out = append(out, members)
		}
	}
	return out
}

// oneAxis reports whether all tables have the same axis.
func oneAxis(tables []*Table) bool {
	return !slices.ContainsFunc(tables, func(t *Table) bool { return t.Axis != tables[0].Axis })
}
