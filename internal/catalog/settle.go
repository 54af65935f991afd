package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// settle resolves what tables say of one another, once all are known.
func (l *loader) settle() {
	l.byName = make(map[string]*draft, len(l.drafts))
	for _, d := range l.drafts {
		l.byName[d.t.Name] = d
	}
	relations := map[string]*draft{}
	for _, d := range l.drafts {
		l.settleWarehouse(d)
		d.partition.settle(l, d)
		if d.t.IsSource() {
			l.settleSource(d)
		} else {
			l.settleMaker(d)
		}
		l.settleWhole(d)
		l.settleColumns(d)
		l.settleRelation(d, relations)
	}
	firsts := map[string]*draft{}
	for _, d := range l.drafts {
		l.settleInputs(d)
		l.settleQueries(d)
		if d.t.Producer != "" {
			l.settleProducer(d, firsts)
		}
	}
}

// settleProducer holds a table against the first one of its producer.
func (l *loader) settleProducer(d *draft, firsts map[string]*draft) {
	first := firsts[d.t.Producer]
	switch {
	case first == nil:
		firsts[d.t.Producer] = d
	case first.t.Axis != d.t.Axis:
		l.fail(d.at, fmt.Sprintf("%s and %s are made by one command, but their partitions differ", d.t.Name, first.t.Name),
			"give all tables of a producer the same grain and time zone")
	case first.t.Warehouse != d.t.Warehouse:
		l.fail(d.at, fmt.Sprintf("%s and %s are made by one command, but lie in the warehouses %s and %s", d.t.Name, first.t.Name, d.t.Warehouse, first.t.Warehouse),
			"give all tables of a producer one warehouse, or make a producer for each")
	case d.t.Write == Direct && (d.t.Immutable || first.t.Immutable):
		l.fail(d.at, fmt.Sprintf("%s and %s are written by one command, and one of them is immutable", d.t.Name, first.t.Name),
			"write: {mode: staged}, or make the immutable table by a command of its own")
	}
}

func (l *loader) settleWarehouse(d *draft) {
	all := l.project.Warehouses
	switch {
	case d.warehouse.ast != nil:
		if s, ok := l.text(d.warehouse); ok && l.known("warehouse", s, d.warehouse.pos(), d.warehouse.what) {
			d.t.Warehouse = s
		}
	case len(all) == 1:
		d.t.Warehouse = all[0].Name
	case len(all) > 1:
		l.fail(d.at, fmt.Sprintf("%s does not say in which of %d warehouses it lives", d.what, len(all)),
			"write warehouse: "+strings.Join(l.names("warehouse"), " or ")+", with the table or in defaults")
	}
}

func (l *loader) settleSource(d *draft) {
	if d.said.has("files") && d.said.has("relation") {
		l.fail(d.said["relation"].at, d.what+" has files and a relation", "keep one of them")
	}
}

// settleMaker decides between query and command.
func (l *loader) settleMaker(d *draft) {
	t := d.t
	switch {
	case t.Producer != "":
	case t.Command != nil && d.said.has("sql"):
		l.fail(d.said["command"].at, d.what+" has a query and a command", "keep one of them")
	case t.Command != nil:
		d.finishCommand(l)
	case d.said.has("command"): // told already
	default:
		for _, key := range []string{"files", "env"} {
			if e, has := d.said[key]; has {
				l.fail(e.at, fmt.Sprintf("%s has %s, which goes with a command, and no command", d.what, key), "write command: [...], or leave it away")
			}
		}
		l.query(d)
	}
	if t.Command == nil {
		if d.write.own && d.write.word != "replace" {
			l.wrong(d.write.at, fmt.Sprintf("is %s, which is for commands", d.write.word), "write mode: replace, or leave it away")
		}
		return
	}
	if d.write.own && d.write.word == "replace" {
		l.wrong(d.write.at, "is replace, which is for queries", "commands write staged (the default) or direct")
	}
	if d.write.word == "direct" {
		t.Write = Direct
	}
}

// settleWhole drops, or refuses, what has no meaning for a table that is replaced whole.
func (l *loader) settleWhole(d *draft) {
	if !d.partition.none {
		return
	}
	d.t.Bootstrap, d.t.Lookback, d.t.DueAfter = nil, 0, 0
	if e, has := d.said.first("bootstrap", "lookback", "due"); has {
		l.fail(e.at, fmt.Sprintf("%s has partition: none, so %s means nothing", d.what, e.key), "leave it away")
	}
}

// settleColumns refuses declared columns that do not tell of the column by which the table is partitioned.
func (l *loader) settleColumns(d *draft) {
	t := d.t
	if len(t.Columns) == 0 || t.Column == "" || slices.ContainsFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, t.Column) }) {
		return
	}
	l.fail(d.said["columns"].at, fmt.Sprintf("%s.columns does not name %q, by which the table is partitioned", d.what, t.Column),
		fmt.Sprintf("add it: columns: {%s: date, ...}", t.Column))
}

// settleRelation finds two tables in one place: leases are kept by the place, so one would not see the other's writers.
func (l *loader) settleRelation(d *draft, relations map[string]*draft) {
	place := d.t.Warehouse + "\x00" + strings.ToLower(d.t.Relation)
	if other := relations[place]; other != nil {
		l.fail(d.at, fmt.Sprintf("%s and %s are the same relation %s", d.t.Name, other.t.Name, d.t.Relation),
			fmt.Sprintf("the other is at %s: keep one, or give one another relation", other.at))
		return
	}
	relations[place] = d
}

// settleQueries checks the tables that templates name: a query reads its inputs and nothing else, a check may read any table.
func (l *loader) settleQueries(d *draft) {
	if sql := d.t.SQL; sql != nil {
		inputs := make([]string, len(d.t.Inputs))
		for i, in := range d.t.Inputs {
			inputs[i] = in.Table
		}
		for _, ref := range templateRefs(sql.Text) {
			at := Pos{File: sql.File, Line: ref.line, Column: ref.column}
			if !slices.Contains(inputs, ref.table) {
				next := fmt.Sprintf("declare it: inputs: [%s: {window: ...}]", ref.table)
				if near := Nearest(ref.table, inputs); near != "" {
					next = fmt.Sprintf("did you mean %q?", near)
				}
				l.fail(at, fmt.Sprintf("{{%s %q}} is not an input of %s", ref.function, ref.table, d.t.Name), next)
			}
		}
	}
	for _, c := range d.t.Checks {
		if c.Kind == CheckRelationship {
			l.known("table", c.To, c.Pos, "check "+c.ID)
		}
		for _, text := range []string{c.Equals, c.Query} {
			for _, ref := range templateRefs(text) {
				l.known("table", ref.table, c.Pos, fmt.Sprintf("check %s: {{%s}}", c.ID, ref.function))
			}
		}
	}
}
