package plan

import "github.com/headway-data/headway/internal/catalog"

// A Graph orders tables by what they read.
type Graph struct {
	order []Component
}

// A Component is a table, or tables that read one another in a loop.
type Component struct {
	Tables []*catalog.Table
	Loop   bool
}

// NewGraph sorts tables topologically (Tarjan: components come out in reverse topological order of the edges to inputs, which is the
// order wanted).
func NewGraph(tables []*catalog.Table) *Graph {
	g := &Graph{}
	named := map[string]*catalog.Table{}
	for _, t := range tables {
		named[t.Name] = t
	}
	number, low, onStack := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []*catalog.Table
	var visit func(t *catalog.Table)
	visit = func(t *catalog.Table) {
		number[t.Name] = len(number) + 1
		low[t.Name] = number[t.Name]
		stack = append(stack, t)
		onStack[t.Name] = true
		loop := false
		for _, in := range t.Inputs {
			u := named[in.Table]
			switch {
			case u == nil:
			case u == t:
				loop = true
			case number[u.Name] == 0:
				visit(u)
				low[t.Name] = min(low[t.Name], low[u.Name])
			case onStack[u.Name]:
				low[t.Name] = min(low[t.Name], number[u.Name])
			}
		}
		if low[t.Name] != number[t.Name] {
			return
		}
		c := Component{Loop: loop}
		for {
			u := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			onStack[u.Name] = false
			c.Tables = append(c.Tables, u)
			if u == t {
				break
			}
		}
		c.Loop = c.Loop || len(c.Tables) > 1
		g.order = append(g.order, c)
	}
	for _, t := range tables {
		if number[t.Name] == 0 {
			visit(t)
		}
	}
	return g
}

// Order gives the components, inputs first.
func (g *Graph) Order() []Component { return g.order }
