package plan

import (
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
)

// defaultBatch is how many partitions a chunk of a table has that does not say: a statement over many dates costs little more than one
// over one date, and a chunk is what a failure loses.
const defaultBatch = 365

// A Chunk is what is computed at once: of one table, or of several that one command makes.
type Chunk struct {
	Table string
	Set   calendar.Set
	With  []Part // the further tables
}

// A Part is a table of a chunk, and what the chunk is for there.
type Part struct {
	Table string
	Set   calendar.Set
}

// Chunks cuts steps into waves of chunks: the waves one after another, the chunks of a wave in any order or at once. It takes one step,
// or all steps of a producer or of a loop (Plan.Stages gives them so). No chunk holds p and q where q depends on p (rule 20): in a loop a chunk
// spans at most the loop's smallest total lag, and its tables interleave. Chunks have at most the table's batch size; the chunk of a command is
// one contiguous interval, bridging what is not expected, unless the command takes {dates}. The steps of a producer are cut over the union
// of what they need; of each table a chunk has what is in its own step. The error names a loop whose partitions wait for one another.
func Chunks(w *World, steps ...Step) ([][]Chunk, error) {
	var waves [][]Chunk
	planned := map[*node]calendar.Set{}
	var first *node
	for _, s := range steps {
		n := w.named[s.Table]
		if n == nil {
			return nil, &ChunkError{Tables: []string{s.Table}, What: "are not of this project"}
		}
		if first == nil {
			first = n
		}
		planned[n] = planned[n].Union(s.Set)
	}
	if first == nil {
		return nil, nil
	}
	cut := func(with []*node, set calendar.Set) {
		if wave := chunksOf(with, set, planned); len(wave) > 0 {
			waves = append(waves, wave)
		}
	}
	loop := &w.parts[first.part]
	if !loop.loop {
		for _, s := range steps {
			if n := w.named[s.Table]; !planned[n].Empty() {
				cut(n.with, calendar.All())
				for _, m := range n.with {
					delete(planned, m)
				}
			}
		}
		return waves, nil
	}
	rest := w.after(loop, planned)
	sweep(loop.nodes, rest, func(*node, calendar.Set) {}, cut)
	e := &ChunkError{What: "wait for one another: their windows lead back to the same partition"}
	for i, n := range loop.nodes {
		if rest[i].Overlaps(planned[n]) {
			e.Tables = append(e.Tables, n.table.Name)
		}
	}
	if len(e.Tables) > 0 {
		return nil, e
	}
	return waves, nil
}

// after is, for the tables of a loop, what is planned and all that may come after it. What is not planned has its place in the order too:
// a partition may rest on a planned one through others that are only judged again.
func (w *World) after(p *part, planned map[*node]calendar.Set) []calendar.Set {
	lost := make([]calendar.Set, len(w.nodes))
	for n, set := range planned {
		lost[n.id] = set
	}
	spread(p, lost)
	rest := make([]calendar.Set, len(p.nodes))
	for i, n := range p.nodes {
		rest[i] = lost[n.id].Intersect(n.expected).Union(planned[n])
	}
	return rest
}

// A ChunkError says which tables cannot be cut into chunks.
type ChunkError struct {
	Tables []string
	What   string
}

func (e *ChunkError) Error() string {
	return "partitions of " + strings.Join(e.Tables, " and ") + " " + e.What
}

// chunksOf cuts what is planned, within a set, of tables that are made at once. Its members do not depend on one another.
func chunksOf(with []*node, within calendar.Set, planned map[*node]calendar.Set) []Chunk {
	var out []Chunk
	var all calendar.Set
	for _, n := range with {
		all = join(all, meet(planned[n], within))
	}
	if all.Empty() {
		return nil
	}
	n := with[0] // they have one command, and one batch
	size := n.table.Batch.Size
	if size < 1 {
		size = defaultBatch
	}
	whole := []calendar.Set{all}
	if n.table.Command != nil && !n.takesDates() {
		whole = contiguous(all, indexOf(with))
	}
	for _, run := range whole {
		for _, part := range stretches(run, n.table.Batch.Span) {
			for _, s := range part.Chunks(size) {
				out = append(out, chunkOf(with, s, planned))
			}
		}
	}
	return out
}

// chunkOf gives each table what of a set is planned there.
func chunkOf(with []*node, set calendar.Set, planned map[*node]calendar.Set) Chunk {
	if len(with) == 1 {
		return Chunk{Table: with[0].table.Name, Set: set}
	}
	var c Chunk
	for _, n := range with {
		switch here := set.Intersect(planned[n]); {
		case here.Empty():
		case c.Table == "":
			c.Table, c.Set = n.table.Name, here
		default:
			c.With = append(c.With, Part{n.table.Name, here})
		}
	}
	return c
}

// indexOf numbers what is expected of any of the tables.
func indexOf(with []*node) *calendar.Index {
	if len(with) == 1 {
		return with[0].index
	}
	var all calendar.Set
	for _, n := range with {
		all = all.Union(n.expected)
	}
	return calendar.NewIndex(all)
}

// stretches cuts a set into parts that span at most so many cells, from its first member on; 0: it stays whole.
func stretches(set calendar.Set, most int) []calendar.Set {
	if most < 1 || set.Empty() {
		return []calendar.Set{set}
	}
	var out []calendar.Set
	bounds := set.Bounds()
	for start := bounds.Start; start < bounds.End; start += calendar.Partition(most) {
		if part := set.Within(calendar.Interval{Start: start, End: start + calendar.Partition(most)}); !part.Empty() {
			out = append(out, part)
		}
	}
	return out
}

// takesDates reports whether the table's command is told its partitions one by one.
func (n *node) takesDates() bool {
	for _, arg := range n.table.Command.Args {
		if strings.Contains(arg, "{dates}") {
			return true
		}
	}
	return false
}

// contiguous cuts a set where an expected partition lies between that is not in it. What is not expected does not break a run.
func contiguous(set calendar.Set, expected *calendar.Index) []calendar.Set {
	var out []calendar.Set
	var run []calendar.Interval
	for _, iv := range set.Intervals() {
		if k := len(run); k > 0 && expected.Rank(iv.Start) != expected.Rank(run[k-1].End) {
			out = append(out, calendar.NewSet(run...))
			run = nil
		}
		run = append(run, iv)
	}
	if len(run) > 0 {
		out = append(out, calendar.NewSet(run...))
	}
	return out
}

// RestsOn says which planned partitions a set of a table must come after: those in its windows, and those that it rests on through
// partitions which are not planned and not fresh either, because they wait for a planned one themselves. (dim is to be built; what reads
// it without being restated is not, but is fresh again only after dim; so whatever reads that waits for dim too.) Tables that only its
// checks read count as well. The answer is by table.
func (w *World) RestsOn(table string, set calendar.Set, planned map[string]calendar.Set) map[string]calendar.Set {
	out := map[string]calendar.Set{}
	n := w.named[table]
	if n == nil {
		return out
	}
	seen := map[*node]calendar.Set{}
	var follow func(set calendar.Set, edges []*edge)
	follow = func(set calendar.Set, edges []*edge) {
		for _, e := range edges {
			name := e.read.table.Name
			up := e.upstream(set)
			if here := up.Intersect(planned[name]); !here.Empty() {
				out[name] = out[name].Union(here)
			}
			through := up.Minus(planned[name]).Minus(seen[e.read])
			if through.Empty() || e.read.table.IsSource() {
				continue
			}
			w.ensure(e.read, through)
			if through = through.Minus(e.read.judged.Fresh); !through.Empty() {
				seen[e.read] = seen[e.read].Union(through)
				follow(through, e.read.inputs)
			}
		}
	}
	follow(set.Intersect(n.expected), slices.Concat(n.inputs, n.watched))
	return out
}
