package catalog

import "slices"

// Table finds a table or source by name; nil where there is none. It looks at one after the other: see Graph.Table for a loop over many.
func (p *Project) Table(name string) *Table {
	return find(p.Tables, func(t *Table) bool { return t.Name == name })
}

// Calendar finds a calendar by name; nil where there is none.
func (p *Project) Calendar(name string) *Calendar {
	return find(p.Calendars, func(c *Calendar) bool { return c.Name == name })
}

// Period finds a period by name; nil where there is none.
func (p *Project) Period(name string) *Period {
	return find(p.Periods, func(x *Period) bool { return x.Name == name })
}

// Warehouse finds a warehouse by name; nil where there is none.
func (p *Project) Warehouse(name string) *Warehouse {
	return find(p.Warehouses, func(w *Warehouse) bool { return w.Name == name })
}

// Made are the names of the tables that are made together with a table, itself among them, in the order in which its producer names them; nil
// for a table that is made alone.
func (p *Project) Made(t *Table) []string {
	if x := find(p.Producers, func(x *Producer) bool { return x.Name == t.Producer }); x != nil && len(x.Tables) > 1 {
		return x.Tables
	}
	return nil
}

// Gate finds a gate by name; nil where there is none.
func (p *Project) Gate(name string) *Gate {
	return find(p.Gates, func(g *Gate) bool { return g.Name == name })
}

func find[T any](all []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i]
	}
	return nil
}

// At is an error about a place in the project's files, with its line: for what is found out only after loading.
func (p *Project) At(at Pos, msg, next string) Error {
	e := Error{Pos: at, Msg: msg, Next: next}
	if lines := p.lines[at.File]; at.Line > 0 && at.Line <= len(lines) {
		e.Line = lines[at.Line-1]
	}
	return e
}

// Unsupported lists what the project declares and this version cannot run yet, each at its place; nil where it can run everything.
// Loading accepts these, so that a project can be validated and its schema is whole; whoever plans or runs asks first.
func (p *Project) Unsupported() Errors {
	var out Errors
	for _, w := range p.Warehouses {
		if w.Type != "duckdb" {
			out = append(out, p.At(w.Pos, "warehouses of type "+w.Type+" cannot be used by this version", "use type: duckdb"))
		}
	}
	for _, t := range p.Tables {
		for _, in := range t.Inputs {
			for _, w := range in.Windows {
				if w.Kind == PerRows || w.Kind == PerParts {
					out = append(out, p.At(w.Pos, "windows per entity cannot be planned by this version",
						"write {since: PERIOD, through: -1}, which reads at least as much"))
				}
			}
		}
	}
	return out.sorted()
}
