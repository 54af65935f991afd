package catalog

import (
	"fmt"
)

var inputObject = object[Input]{name: "input", fields: []field[Input]{
	{"window", func(l *loader, n node, in *Input) { in.Windows = l.windows(n) }},
	{"complete", func(l *loader, n node, in *Input) {
		if share, ok := l.share(n); ok {
			in.Complete = share
		}
	}},
	{"min", func(l *loader, n node, in *Input) { l.natural(n, &in.Min) }},
	{"restates", func(l *loader, n node, in *Input) {
		if yes, ok := l.boolean(n); ok {
			in.Restates = yes
		}
	}},
	{"columns", func(l *loader, n node, in *Input) { in.Columns = l.texts(n) }},
}}

// inputs reads a list of names, and of names with what is read of them.
func (l *loader) inputs(n node, d *draft) {
	items, ok := l.items(n, false)
	if !ok {
		return
	}
	first := map[string]Pos{}
	for _, item := range items {
		in := &Input{Complete: 1, Restates: true, Pos: item.pos()}
		if s, ok := item.scalarText(); ok {
			in.Table = s
		} else if !l.input(item, in) {
			continue
		}
		if was, twice := first[in.Table]; twice {
			l.fail(in.Pos, fmt.Sprintf("%s is an input of %s twice, first at %s", in.Table, d.what, was), "give one input a list of windows")
			continue
		}
		first[in.Table] = in.Pos
		if in.Windows == nil {
			in.Windows = []Window{{Kind: Same, Pos: in.Pos}}
		}
		d.t.Inputs = append(d.t.Inputs, in)
	}
}

// input reads {table: {window: ...}}.
func (l *loader) input(n node, in *Input) bool {
	entries, ok := l.entries(n)
	if !ok {
		return false
	}
	if len(entries) == 0 {
		l.wrong(n, "has an empty element", "name what is read: - name, or - name: {window: same}")
		return false
	}
	if len(entries) != 1 {
		l.wrong(n, fmt.Sprintf("has %d keys in one element", len(entries)), "write one input an element: - name: {window: same}")
		return false
	}
	e := entries[0]
	in.Table, in.Pos = e.key, e.at
	if s, ok := e.value.scalarText(); ok {
		l.wrong(e.value, fmt.Sprintf("is %q", s), fmt.Sprintf("write {window: %s}", s))
		return false
	}
	return inputObject.read(l, e.value, in) != nil
}

// settleInputs checks what inputs name, once all tables are known.
func (l *loader) settleInputs(d *draft) {
	for _, in := range d.t.Inputs {
		if !l.known("table", in.Table, in.Pos, d.what+".inputs") {
			continue
		}
		from := l.byName[in.Table]
		if from == nil { // declared, but not readable: told already
			continue
		}
		for _, w := range in.Windows {
			l.settleWindow(d, from, w)
		}
	}
}

// settleWindow checks a window against the tables at both of its ends.
func (l *loader) settleWindow(d, from *draft, w Window) {
	if w.Within != "" {
		l.known("period", w.Within, w.Pos, d.what+".inputs."+from.t.Name+".window")
	}
	if w.Kind == Same || w.Kind == Everything {
		return
	}
	for _, whole := range []*draft{d, from} {
		if whole.partition.none {
			l.fail(w.Pos, fmt.Sprintf("%s.inputs.%s: the window %q needs partitions, and %s has none", d.what, from.t.Name, w, whole.t.Name),
				"write window: all")
			return
		}
	}
}
