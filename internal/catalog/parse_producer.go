package catalog

import (
	"fmt"
	"slices"
)

// A makerDraft is a producer while it is read.
type makerDraft struct {
	draft
	tables node
}

// producerFields are the keys that a producer has for all tables that it makes: of one command there is one of each.
var producerFields = []string{"command", "files", "env", "write", "batch", "retries", "timeout"}

var producerObject = object[makerDraft]{name: "producer", fields: append([]field[makerDraft]{
	{"tables", func(_ *loader, n node, m *makerDraft) { m.tables = n }},
}, lifted(producerFields, tableObject)...)}

// lifted takes fields of a table over into a producer.
func lifted(keys []string, from object[draft]) []field[makerDraft] {
	out := make([]field[makerDraft], len(keys))
	for i, key := range keys {
		read := from.reader(key)
		out[i] = field[makerDraft]{key, func(l *loader, n node, m *makerDraft) { read(l, n, &m.draft) }}
	}
	return out
}

// producers reads the producers and hands their command to the tables they make. A table that is not declared gets the defaults.
func (l *loader) producers() {
	for _, p := range l.raw.producers {
		m := &makerDraft{draft: *l.draft(l.base, p)}
		m.said = producerObject.read(l, p.value, m)
		if m.said == nil {
			continue
		}
		if m.t.Command == nil {
			if !m.said.has("command") {
				l.fail(p.at, m.what+" has no command", "write command: [python3, job.py, \"{dates}\"]")
			}
			continue
		}
		m.finishCommand(l)
		if m.tables.ast == nil {
			l.fail(p.at, m.what+" makes no tables", "write tables: [a, b]")
			continue
		}
		l.project.Producers = append(l.project.Producers, &Producer{Name: p.name, Tables: l.made(m, p), Pos: p.at})
	}
}

// made are the tables of a producer.
func (l *loader) made(m *makerDraft, p pending) []string {
	items, ok := l.items(m.tables, true)
	if !ok {
		return nil
	}
	var names []string
	for _, item := range items {
		name, ok := l.text(item)
		switch {
		case !ok || !l.name(name, item.pos(), "table", identifier):
		case slices.Contains(names, name):
			l.wrong(item, fmt.Sprintf("has %q twice", name), "keep one of them")
		case l.makes(m, p, name, item):
			names = append(names, name)
		}
	}
	if len(items) == 0 {
		l.wrong(m.tables, "is an empty list", "name what the command makes")
	}
	return names
}

// makes gives a table to its producer.
func (l *loader) makes(m *makerDraft, p pending, name string, item node) bool {
	at := slices.IndexFunc(l.drafts, func(d *draft) bool { return d.t.Name == name })
	if at < 0 {
		if l.seen["table"] == nil {
			l.seen["table"] = map[string]Pos{}
		}
		l.seen["table"][name] = item.pos()
		d := l.draft(l.base, pending{name: name, at: item.pos(), value: node{what: m.what + "." + name}})
		d.said = said{}
		l.drafts = append(l.drafts, d)
		l.project.Tables = append(l.project.Tables, d.t)
		at = len(l.drafts) - 1
	}
	d := l.drafts[at]
	switch {
	case d.t.IsSource():
		l.wrong(item, fmt.Sprintf("names %q, which is a source", name), "a source is only read: declare it under tables, or take it out here")
		return false
	case d.t.Producer != "":
		l.wrong(item, fmt.Sprintf("names %q, which the producer %s makes too", name, d.t.Producer), "a table has one maker")
		return false
	}
	if e, has := d.said.first(append([]string{"sql"}, producerFields...)...); has {
		l.fail(e.at, fmt.Sprintf("%s is made by the producer %s, so it has no %s of its own", d.what, p.name, e.key), "leave it away")
	}
	d.t.Producer, d.t.Command = p.name, m.t.Command
	d.write, d.t.Batch, d.t.Retries, d.t.Timeout = m.write, m.t.Batch, m.t.Retries, m.t.Timeout
	return true
}

// finishCommand adds to a command what stands in keys of its own.
func (d *draft) finishCommand(l *loader) {
	d.t.Command.Env = d.env
	if d.files != nil {
		d.t.Command.Files = l.patterns(*d.files)
	}
}
