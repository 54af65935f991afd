package run

import (
	"container/heap"
	"fmt"
)

// A queue finds the next chunk under the limits. Chunks that are ready wait in a lane per table, ordered by their place in the plan (tables
// that are in chunks together share one); a
// lane that may start something stands in its warehouse's heap, ordered by its first chunk. So a table or a warehouse that is full costs
// nothing to pass by, and each step is O(log n) in the ready chunks and tables, and linear in the warehouses, of which there are few.
type queue struct {
	lanes      map[string]*lane
	warehouses []*house
	overall    int
	running    int
}

// A lane is the ready chunks of one table, or of those that share chunks.
type lane struct {
	table   string // the first of them
	house   *house
	limit   int // the least of theirs; 0: none
	running int
	ready   readyHeap
	slot    int // its place in the house's heap; -1 when it is not in
}

// A house is a warehouse and its lanes that may start something.
type house struct {
	name    string
	limit   int
	running int
	lanes   laneHeap
}

func (q *queue) open(chunks []node, limits Limits) error {
	q.overall = limits.Overall
	q.lanes = map[string]*lane{}
	first := together(chunks)
	houses := map[string]*house{}
	for i := range chunks {
		n := &chunks[i]
		h := houses[n.Warehouse]
		if h == nil {
			h = &house{name: n.Warehouse, limit: limits.Warehouse[n.Warehouse]}
			houses[n.Warehouse] = h
			q.warehouses = append(q.warehouses, h)
		}
		name := first(n.Table)
		l := q.lanes[name]
		if l == nil {
			l = &lane{table: name, house: h, slot: -1}
			q.lanes[name] = l
		}
		for _, p := range n.Parts() {
			if limit := limits.Table[p.Table]; limit > 0 && (l.limit == 0 || limit < l.limit) {
				l.limit = limit
			}
		}
		if l.house != h {
			return fmt.Errorf("chunk %d: table %s is in warehouse %s and cannot be in %s as well", n.ID, n.Table, l.house.name, h.name)
		}
		n.lane = l
	}
	return nil
}

// together finds the tables that are in chunks together, by some way: first gives the same one for all of them.
func together(chunks []node) (first func(table string) string) {
	up := map[string]string{}
	first = func(table string) string {
		for {
			next, ok := up[table]
			if !ok {
				return table
			}
			table = next
		}
	}
	for i := range chunks {
		for _, p := range chunks[i].With {
			if a, b := first(chunks[i].Table), first(p.Table); a != b {
				up[b] = a
			}
		}
	}
	return first
}

// push lets a chunk wait in its lane.
func (q *queue) push(n *node) {
	heap.Push(&n.lane.ready, n)
	n.lane.settle()
}

// start takes a ready chunk out of its lane and counts it. It refuses what the limits do not admit.
func (q *queue) start(n *node) error {
	l := n.lane
	switch {
	case q.running >= q.overall:
		return fmt.Errorf("%d chunks run already, and no more may", q.running)
	case full(l.house.running, l.house.limit):
		return fmt.Errorf("%d chunks run already in warehouse %s, and no more may", l.house.running, l.house.name)
	case full(l.running, l.limit):
		return fmt.Errorf("%d chunks of %s run already, and no more may", l.running, l.table)
	}
	q.running++
	l.house.running++
	l.running++
	heap.Remove(&l.ready, n.slot)
	l.settle()
	return nil
}

// end counts a chunk that ran.
func (q *queue) end(n *node) {
	q.running--
	n.lane.house.running--
	n.lane.running--
	n.lane.settle()
}

// next is the place of the first chunk that may start.
func (q *queue) next() (place int, ok bool) {
	if q.running >= q.overall {
		return 0, false
	}
	for _, h := range q.warehouses {
		if len(h.lanes) == 0 || full(h.running, h.limit) {
			continue
		}
		if first := h.lanes[0].ready[0].place; !ok || first < place {
			place, ok = first, true
		}
	}
	return place, ok
}

func full(running, limit int) bool { return limit > 0 && running >= limit }

// settle puts the lane where it belongs in its warehouse's heap after something in it has changed.
func (l *lane) settle() {
	may := len(l.ready) > 0 && !full(l.running, l.limit)
	switch {
	case may && l.slot < 0:
		heap.Push(&l.house.lanes, l)
	case may:
		heap.Fix(&l.house.lanes, l.slot)
	case l.slot >= 0:
		heap.Remove(&l.house.lanes, l.slot)
	}
}

// A readyHeap orders ready chunks by their place in the plan.
type readyHeap []*node

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, j int) bool { return h[i].place < h[j].place }
func (h readyHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push is heap.Interface's.
func (h *readyHeap) Push(x any) {
	n := x.(*node) //nolint:forcetypeassert // the heap holds nothing else
	n.slot = len(*h)
	*h = append(*h, n)
}

// Pop is heap.Interface's.
func (h *readyHeap) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}

// A laneHeap orders lanes by their first ready chunk.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].ready[0].place < h[j].ready[0].place }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push is heap.Interface's.
func (h *laneHeap) Push(x any) {
	l := x.(*lane) //nolint:forcetypeassert // the heap holds nothing else
	l.slot = len(*h)
	*h = append(*h, l)
}

// Pop is heap.Interface's.
func (h *laneHeap) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	last.slot = -1
	return last
}
