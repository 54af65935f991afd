package catalog

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
)

// An arc is an edge within a component, with its lag.
type arc struct {
	from, to int // reader, read: places in the component
	lag      lag
	edge     *Edge
}

// component measures the loops of tables that read one another. loop is a loop of partitions, where there is one.
func (g *Graph) component(tables []*Table) (c Component, loop []arc) {
	// The tables of a producer are at one place: they are made at once.
	place := make(map[*Table]int, len(tables))
	for i, t := range tables {
		place[t] = i
		if with := g.makes[t.Producer]; len(with) > 0 {
			place[t] = place[with[0]] // which comes first: both go by the file
		}
	}
	one := oneAxis(tables)
	r := ruler{cells: one}
	var arcs []arc
	for _, t := range tables {
		for _, e := range g.out[t.Name] {
			j, inside := place[e.Read]
			if !inside || e.Within() {
				continue
			}
			arcs = append(arcs, arc{from: place[t], to: j, lag: r.edge(e.windows(), t.Axis, e.Read.Axis), edge: e})
		}
	}
	if len(arcs) == 0 {
		return Component{Tables: tables}, nil
	}
	if unbounded := endless(len(tables), arcs); unbounded != nil {
		return Component{}, unbounded
	}
	lead, loop := leads(len(tables), arcs)
	if loop != nil {
		return Component{}, loop
	}
	order, _ := orderWithin(len(tables), arcs)
	for i := range arcs { // what is left of each lag beside the leads: none is below 0 now, and loops have the sums they had
		arcs[i].lag -= lead[arcs[i].to] - lead[arcs[i].from]
	}
	c = Component{Loop: true, Cells: one, Span: int64(spanOf(len(tables), arcs))}
	for _, i := range order {
		for _, t := range tables {
			if place[t] == i {
				c.Tables = append(c.Tables, t)
			}
		}
	}
	return c, nil
}

// endless is the shortest loop through the first arc that reads without bound, if there is one: all arcs of a component are on loops.
func endless(n int, arcs []arc) []arc {
	for _, a := range arcs {
		if a.lag == never {
			return append([]arc{a}, shortest(n, arcs, a.to, a.from)...)
		}
	}
	return nil
}

// shortest is a way of the fewest arcs from one place to another; empty where they are one.
func shortest(n int, arcs []arc, from, to int) []arc {
	via := make([]int, n)
	for i := range via {
		via[i] = -1
	}
	reached := []int{from}
	for k := 0; k < len(reached) && reached[k] != to; k++ {
		for i, a := range arcs {
			if a.from == reached[k] && a.to != from && via[a.to] < 0 {
				via[a.to] = i
				reached = append(reached, a.to)
			}
		}
	}
	var way []arc
	for at := to; at != from; at = arcs[via[at]].from {
		way = append(way, arcs[via[at]])
	}
	slices.Reverse(way)
	return way
}

// leads finds a number for each table so that lead[read] - lead[reader] <= lag on every arc (R. Bellman, L. Ford), or a loop whose lags sum
// to nothing or less.
func leads(n int, arcs []arc) (lead []lag, loop []arc) {
	// A loop that sums to 0 must be found like one below 0: take a little from every arc, less in all than what the least sum above 0 has.
	scale := lag(n + 1)
	dist, via := make([]lag, n), make([]int, n)
	for i := range via {
		via[i] = -1
	}
	for range n {
		moved := -1
		for i, a := range arcs {
			if d := dist[a.from] + a.lag*scale - 1; d < dist[a.to] {
				dist[a.to], via[a.to], moved = d, i, a.to
			}
		}
		if moved < 0 {
			return exactLeads(n, arcs), nil
		}
		if back := backwards(via, arcs, moved); back != nil {
			return nil, back
		}
	}
	return exactLeads(n, arcs), nil
}

// exactLeads are the shortest sums of lags from anywhere, which exist where no loop sums to less than 0.
func exactLeads(n int, arcs []arc) []lag {
	dist := make([]lag, n)
	for range n {
		moved := false
		for _, a := range arcs {
			if d := dist[a.from] + a.lag; d < dist[a.to] {
				dist[a.to], moved = d, true
			}
		}
		if !moved {
			break
		}
	}
	return dist
}

// backwards follows the arcs by which sums were found, and gives the loop that they make, if they make one: its sum is below 0.
func backwards(via []int, arcs []arc, at int) []arc {
	for range via { // to a place that is on the loop, not only before it
		if via[at] < 0 {
			return nil
		}
		at = arcs[via[at]].from
	}
	var loop []arc
	for place := at; ; {
		if via[place] < 0 {
			return nil
		}
		a := arcs[via[place]]
		loop = append(loop, a)
		place = a.from
		if place == at {
			break
		}
	}
	slices.Reverse(loop)
	return loop
}

// orderWithin orders tables so that what is read at the same time, or later, comes first. ok is false where that loops.
func orderWithin(n int, arcs []arc) (order []int, ok bool) {
	waits := make([]int, n)
	readers := make([][]int, n)
	for _, a := range arcs {
		if a.lag <= 0 {
			waits[a.from]++
			readers[a.to] = append(readers[a.to], a.from)
		}
	}
	ready := &places{}
	for i, w := range waits {
		if w == 0 {
			heap.Push(ready, i)
		}
	}
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int) //nolint:forcetypeassert // only ints are pushed
		order = append(order, i)
		for _, r := range readers[i] {
			if waits[r]--; waits[r] == 0 {
				heap.Push(ready, r)
			}
		}
	}
	return order, len(order) == n
}

// places is a heap of places: the first of the file first.
type places []int

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i] < p[j] }
func (p places) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *places) Push(x any)        { *p = append(*p, x.(int)) } //nolint:forcetypeassert // only ints are pushed
func (p *places) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// spanOf is the least sum of lags around a loop, where no lag is below 0: the shortest way from each table back to it (E. Dijkstra).
func spanOf(n int, arcs []arc) lag {
	out := make([][]arc, n)
	for _, a := range arcs {
		out[a.from] = append(out[a.from], a)
	}
	const far = lag(1) << 60
	least := far
	for start := range n {
		dist := make([]lag, n)
		for i := range dist {
			dist[i] = far
		}
		queue := &reached{{start, 0}}
		for queue.Len() > 0 {
			at := heap.Pop(queue).(reach) //nolint:forcetypeassert // only reaches are pushed
			if at.sum >= least {
				break
			}
			for _, a := range out[at.place] {
				if sum := at.sum + a.lag; sum < dist[a.to] {
					dist[a.to] = sum
					heap.Push(queue, reach{a.to, sum})
				}
			}
		}
		least = min(least, dist[start])
	}
	return least
}

type reach struct {
	place int
	sum   lag
}

type reached []reach

func (r reached) Len() int           { return len(r) }
func (r reached) Less(i, j int) bool { return r[i].sum < r[j].sum }
func (r reached) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *reached) Push(x any)        { *r = append(*r, x.(reach)) } //nolint:forcetypeassert // only reaches are pushed
func (r *reached) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// loopError prints a loop of partitions with the windows that make it, beginning with the table that the file has first.
func (g *Graph) loopError(p *Project, loop []arc) Error {
	first := 0
	for i, a := range loop {
		if slices.Index(p.Tables, a.edge.Reader) < slices.Index(p.Tables, loop[first].edge.Reader) {
			first = i
		}
	}
	turned := slices.Concat(loop[first:], loop[:first])
	var b strings.Builder
	b.WriteString(turned[0].edge.Reader.Name)
	for i, a := range turned {
		fmt.Fprintf(&b, " -> %s (%s)", a.edge.Read.Name, a.edge.how())
		if next := turned[(i+1)%len(turned)].edge.Reader; next != a.edge.Read {
			fmt.Fprintf(&b, ", which %s makes with %s", next.Producer, next.Name)
		}
	}
	return p.At(turned[0].edge.Pos, b.String()+": this loop leads a partition back to itself or to a later one",
		"give one of these inputs a window that ends earlier, like {days: [-7, -1]}")
}

// how tells by which windows an edge reads.
func (e *Edge) how() string {
	if e.OrderOnly() {
		return "named by a check"
	}
	windows := make([]string, len(e.Input.Windows))
	for i, w := range e.Input.Windows {
		windows[i] = w.String()
	}
	return strings.Join(windows, "; ")
}
