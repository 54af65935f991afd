package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
)

// someProject is a project of a few tables with any inputs, so that many have loops.
func someProject(t *rapid.T, grains []calendar.Grain) *Project {
	p := &Project{}
	n := rapid.IntRange(1, 5).Draw(t, "tables")
	for i := range n {
		p.Tables = append(p.Tables, &Table{
			Name: fmt.Sprintf("t%d", i), Relation: fmt.Sprintf("t%d", i), Axis: calendar.Axis{Grain: rapid.SampledFrom(grains).Draw(t, "grain")},
		})
	}
	if rapid.Bool().Draw(t, "producer") {
		for _, x := range p.Tables {
			if x.Axis == p.Tables[0].Axis && rapid.Bool().Draw(t, "made together") {
				x.Producer = "pair"
			}
		}
	}
	for _, x := range p.Tables {
		for _, in := range p.Tables {
			switch rapid.IntRange(0, 5).Draw(t, "edge") {
			case 0, 1:
				x.Inputs = append(x.Inputs, &Input{Table: in.Name, Windows: rapid.SliceOfN(rapid.Custom(shortWindow), 1, 2).Draw(t, "windows")})
			case 2:
				x.Checks = append(x.Checks, &Check{Kind: CheckRelationship, To: in.Name})
			}
		}
	}
	return p
}

func shortWindow(t *rapid.T) Window {
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return Window{Kind: Same}
	case 1:
		to := rapid.IntRange(-3, 0).Draw(t, "to")
		return Window{Kind: Partitions, From: to - 1, To: to}
	case 2:
		return Window{Kind: Offset, Unit: calendar.Month, From: -2, To: rapid.IntRange(-2, 0).Draw(t, "to")}
	}
	to := rapid.IntRange(-4, 2).Draw(t, "to")
	return Window{Kind: Offset, Unit: calendar.Day, From: to - 1, To: to}
}

// A cell is one partition of one table, for the naive model.
type cell struct {
	table string
	p     calendar.Partition
}

// together reports whether two tables are one, or made at once.
func together(a, b *Table) bool { return a == b || a.Producer != "" && a.Producer == b.Producer }

// cellsRead are the cells that a cell, or what is made with it, reads, by definition, within bounds.
func cellsRead(g *Graph, c cell) []cell {
	var out []cell
	for _, t := range g.tables {
		if together(t, g.tables[c.table]) {
			out = append(out, tableReads(g, t, c)...)
		}
	}
	return out
}

func tableReads(g *Graph, t *Table, c cell) []cell {
	var out []cell
	for _, e := range g.out[t.Name] {
		if e.Within() {
			continue
		}
		for _, w := range e.windows() {
			last := lastRead(w, t.Axis, c.p, e.Read.Axis)
			out = append(out, cell{e.Read.Name, last})
			if w.Kind == Offset || w.Kind == Partitions { // and the first of the window: it may be on another way round
				from := w
				from.To = w.From
				out = append(out, cell{e.Read.Name, lastRead(from, t.Axis, c.p, e.Read.Axis)})
			}
		}
	}
	return out
}

// unchecked builds a graph without judging its loops.
func unchecked(p *Project) *Graph {
	g := &Graph{tables: map[string]*Table{}, out: map[string][]*Edge{}, in: map[string][]*Edge{}}
	for _, t := range p.Tables {
		g.tables[t.Name] = t
	}
	for _, t := range p.Tables {
		for _, in := range t.Inputs {
			g.link(&Edge{Reader: t, Read: g.tables[in.Table], Input: in})
		}
		g.linkChecks(t, relationNames(p))
	}
	return g
}

// TestLoopsOfCells: a project whose graph is taken has no partition that leads back to itself or to a later one of its table, and chunks
// of the size that is allowed hold no two partitions of which one depends on the other.
func TestLoopsOfCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grains := rapid.SampledFrom([][]calendar.Grain{
			{calendar.Day}, {calendar.Month}, {calendar.Day, calendar.Month}, {calendar.Hour, calendar.Day},
		}).Draw(t, "grains")
		p := someProject(t, grains)
		g, err := NewGraph(p)
		if err != nil {
			return
		}
		chunk := map[string]calendar.Partition{}
		for _, c := range g.Order() {
			for _, x := range c.Tables {
				chunk[x.Name] = calendar.Partition(c.MaxChunk(x))
			}
		}
		for _, x := range p.Tables {
			start := cell{x.Name, someTime(t, x.Axis)}
			seen := map[cell]bool{}
			todo := []cell{start}
			for len(todo) > 0 && len(seen) < 2000 {
				at := todo[0]
				todo = todo[1:]
				for _, next := range cellsRead(g, at) {
					if together(g.tables[next.table], x) && next.p > start.p-max(chunk[x.Name], 1) {
						t.Fatalf("%s of %v leads to %v, and chunks have %d", x.Axis.Grain, start, next, chunk[x.Name])
					}
					if !seen[next] {
						seen[next] = true
						todo = append(todo, next)
					}
				}
			}
		}
	})
}

// TestLoopsOfCellsRefused: where all tables have days and windows are exact, a loop that is refused is one of partitions: following it from
// a partition leads to that one or a later one.
func TestLoopsOfCellsRefused(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		p := someProject(t, []calendar.Grain{calendar.Day})
		for _, x := range p.Tables {
			for _, in := range x.Inputs {
				in.Windows = slices.DeleteFunc(in.Windows, func(w Window) bool { return w.Unit == calendar.Month })
				if len(in.Windows) == 0 {
					in.Windows = []Window{{Kind: Same}}
				}
			}
		}
		_, err := NewGraph(p)
		if err == nil {
			return
		}
		refused++
		var es Errors
		if !errors.As(err, &es) {
			t.Fatal(err)
		}
		for _, e := range es {
			if !realLoop(unchecked(p), p, strings.Split(e.Msg, ": ")[0]) {
				t.Fatalf("%s is no loop", e.Msg)
			}
		}
	})
	if refused == 0 {
		t.Error("no project was refused: the test shows nothing")
	}
}

// realLoop follows a printed loop by the latest partition of each input.
func realLoop(g *Graph, p *Project, printed string) bool {
	var names []string
	reader := map[int]string{} // where it is another table of the producer that reads on
	for i, part := range strings.Split(printed, " -> ") {
		name, _, _ := strings.Cut(part, " ")
		reader[i] = name
		if _, other, ok := strings.Cut(part, ", which pair makes with "); ok {
			if reader[i] = other; !together(p.Table(name), p.Table(other)) {
				return false
			}
		}
		if names = append(names, name); i > 0 && p.Table(name) == nil {
			return false
		}
	}
	at := calendar.Partition(20000)
	for i := 1; i < len(names); i++ {
		k := slices.IndexFunc(g.out[reader[i-1]], func(e *Edge) bool { return e.Read.Name == names[i] })
		if k < 0 {
			return false
		}
		latest := calendar.Beginning
		for _, w := range g.out[reader[i-1]][k].windows() {
			latest = max(latest, lastRead(w, calendar.Axis{Grain: calendar.Day}, at, calendar.Axis{Grain: calendar.Day}))
		}
		at = latest
	}
	return names[0] == reader[len(names)-1] && at >= 20000
}

// TestOrder: each component comes after all that it reads, every table is in one, and within a loop what is read at the same time first.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := someProject(t, []calendar.Grain{calendar.Day})
		g, err := NewGraph(p)
		if err != nil {
			return
		}
		place, part := map[string]int{}, map[string]int{}
		for i, c := range g.Order() {
			within := func(e *Edge) bool { return slices.Contains(c.Tables, e.Read) && !e.Within() }
			loop := slices.ContainsFunc(c.Tables, func(x *Table) bool { return slices.ContainsFunc(g.Inputs(x.Name), within) })
			if c.Loop != loop || !loop && slices.ContainsFunc(c.Tables, func(x *Table) bool { return !together(x, c.Tables[0]) }) {
				t.Fatalf("loop %v of %d tables", c.Loop, len(c.Tables))
			}
			if c.Loop && (c.Span < 1 || !c.Cells) {
				t.Fatalf("a loop with span %d", c.Span)
			}
			for _, x := range c.Tables {
				place[x.Name], part[x.Name] = len(place), i
			}
		}
		for _, x := range p.Tables {
			for _, y := range p.Tables {
				if together(x, y) && part[x.Name] != part[y.Name] {
					t.Fatalf("%s and %s are made together, and stand apart", x.Name, y.Name)
				}
			}
		}
		if len(place) != len(p.Tables) {
			t.Fatalf("%d of %d tables", len(place), len(p.Tables))
		}
		for _, x := range p.Tables {
			for _, e := range g.Inputs(x.Name) {
				same := ruler{cells: true}.edge(e.windows(), x.Axis, e.Read.Axis) <= 0
				if part[e.Read.Name] > part[x.Name] || (same && !e.Within() && place[e.Read.Name] >= place[x.Name]) {
					t.Fatalf("%s comes before %s, which it reads", x.Name, e.Read.Name)
				}
			}
		}
	})
}

func table(name string, inputs ...*Input) *Table {
	return &Table{Name: name, Relation: name, Axis: calendar.Axis{Grain: calendar.Day}, Inputs: inputs}
}

func input(name string, to int) *Input {
	return &Input{Table: name, Windows: []Window{{Kind: Offset, Unit: calendar.Day, From: to - 3, To: to}}}
}

func TestComponent(t *testing.T) {
	p := &Project{Tables: []*Table{
		table("accuracy", input("predictions", 0), input("games", 0)),
		table("predictions", input("accuracy", -7), input("predictions", -9)),
		table("games"),
		table("report", input("accuracy", 0)),
		{Name: "elsewhere", Relation: "s.elsewhere", Axis: calendar.Axis{Grain: calendar.Day}},
	}}
	p.Tables[3].Checks = []*Check{
		{Kind: CheckSQL, Query: `select d, count(*) from {{staged}} s, Games g join "predictions" as p using (d), elsewhere`},
		{Kind: CheckRelationship, To: "accuracy"},
	}
	g, err := NewGraph(p)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range g.Order() {
		for _, x := range c.Tables {
			order = append(order, x.Name)
		}
	}
	if want := []string{"games", "predictions", "accuracy", "report", "elsewhere"}; !slices.Equal(order, want) {
		t.Errorf("order %v", order)
	}
	c := g.Order()[1]
	if !c.Loop || !c.Cells || c.Span != 7 || c.MaxChunk(p.Tables[0]) != 7 {
		t.Errorf("the loop: %+v", c)
	}
	if g.Order()[0].MaxChunk(p.Tables[2]) != 0 {
		t.Error("a table outside loops has no bound")
	}
	if have := g.Watched("report"); !slices.Equal(have, []string{"games", "predictions"}) {
		t.Errorf("watched %v", have)
	}
	if have := g.Upstream("predictions"); !slices.Equal(have, []string{"accuracy", "predictions"}) {
		t.Errorf("upstream %v", have)
	}
	if have := g.Downstream("accuracy"); !slices.Equal(have, []string{"predictions", "report"}) {
		t.Errorf("downstream %v", have)
	}
	if len(g.Consumers("games")) != 2 || g.Table("games") != p.Tables[2] || g.Table("nothing") != nil {
		t.Error("consumers or tables")
	}
}

// TestProducerInTheOrder: what one table of a producer reads comes before all of them, what reads one of them after all; a producer whose
// tables read one another at the same time, whichever way round, cannot be run, and one that reads its own earlier partitions is a loop.
func TestProducerInTheOrder(t *testing.T) {
	made := func(x *Table) *Table { x.Producer = "box"; return x }
	order := func(tables ...*Table) string {
		g, err := NewGraph(&Project{Tables: tables})
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, c := range g.Order() {
			var names []string
			for _, x := range c.Tables {
				names = append(names, x.Name)
			}
			out = append(out, strings.Join(names, "+")+fmt.Sprint(c.Span))
		}
		return strings.Join(out, " ")
	}
	for want, tables := range map[string][]*Table{
		"x0 y0 a+b0 r0": {made(table("a", input("x", 0))), table("x"), table("r", input("a", 0)), table("y"), made(table("b", input("y", 0)))},
		"c+a+b2":        {made(table("a")), table("c", input("a", -2)), made(table("b", input("c", 0)))},
		"a+b3":          {made(table("a", input("a", -3))), made(table("b", input("a", -5)))},
		"a -> b (days -3 to 0), which box makes with a: this loop":                     {made(table("a", input("b", 0))), made(table("b"))},
		"c -> a (days -3 to 0), which box makes with b -> c (days -3 to 0): this loop": {made(table("a")), table("c", input("a", 0)), made(table("b", input("c", 0)))},
	} {
		if got := order(tables...); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestMixedGrains: an hour that reads the day before, which reads its hours, is a loop that ends; chunks of it are at most a day.
func TestMixedGrains(t *testing.T) {
	hours := &Table{Name: "hours", Relation: "hours", Axis: calendar.Axis{Grain: calendar.Hour}, Inputs: []*Input{input("days", -1)}}
	days := table("days", &Input{Table: "hours", Windows: []Window{{Kind: Same}}})
	g, err := NewGraph(&Project{Tables: []*Table{hours, days}})
	if err != nil {
		t.Fatal(err)
	}
	c := g.Order()[0]
	if c.Cells || c.Span != 1 || c.MaxChunk(hours) != 1 || c.MaxChunk(days) != 1 {
		t.Errorf("%+v %d %d", c, c.MaxChunk(hours), c.MaxChunk(days))
	}
	hours.Inputs = []*Input{input("days", -8)}
	if g, err = NewGraph(&Project{Tables: []*Table{hours, days}}); err != nil {
		t.Fatal(err)
	}
	if c = g.Order()[0]; c.MaxChunk(hours) < 160 || c.MaxChunk(days) != 7 {
		t.Errorf("%+v %d %d", c, c.MaxChunk(hours), c.MaxChunk(days))
	}
}

// TestLongChain: a thousand tables one after the other, and in one loop.
func TestLongChain(t *testing.T) {
	p := &Project{Tables: []*Table{table("t0")}}
	for i := 1; i < 1000; i++ {
		p.Tables = append(p.Tables, table(fmt.Sprintf("t%d", i), input(fmt.Sprintf("t%d", i-1), 0)))
	}
	slices.Reverse(p.Tables)
	g, err := NewGraph(p)
	if err != nil {
		t.Fatal(err)
	}
	if g.Order()[0].Tables[0].Name != "t0" || len(g.Order()) != 1000 {
		t.Error("the chain is not in order")
	}
	p.Tables[999].Inputs = []*Input{input("t999", -5)}
	if g, err = NewGraph(p); err != nil {
		t.Fatal(err)
	}
	if c := g.Order()[0]; c.Span != 5 || len(c.Tables) != 1000 || c.Tables[0].Name != "t0" {
		t.Errorf("span %d of %d tables", c.Span, len(c.Tables))
	}
	p.Tables[999].Inputs = []*Input{input("t999", 0)}
	if _, err = NewGraph(p); err == nil {
		t.Error("a loop of a thousand was taken")
	}
}
