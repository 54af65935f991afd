package catalog

import (
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
)

// A partition is what was said about a table's partitions, its own keys over the defaults'.
type partition struct {
	none bool
	bad  bool             // it was neither none nor keys; that has been told
	at   *node            // where it was said; nil where nobody did
	keys map[string]entry // column, grain, calendar, start
	own  map[string]bool  // the table's own, not from the defaults
}

var partitionObject = object[partition]{name: "partition", fields: []field[partition]{
	keep("column"), keep("grain"), keep("calendar"), keep("start"),
}}

// keep leaves a key for later: it depends on the others.
func keep(key string) field[partition] {
	return field[partition]{key, func(_ *loader, n node, p *partition) {
		if p.keys == nil {
			p.keys = map[string]entry{}
		}
		if p.own == nil {
			p.own = map[string]bool{}
		}
		p.keys[key] = entry{key: key, at: n.pos(), value: n}
		p.own[key] = true
	}}
}

// read takes `none` or keys.
func (p *partition) read(l *loader, n node) {
	p.at, p.own = &n, nil
	if s, ok := n.scalarText(); ok {
		if p.none = s == "none"; !p.none {
			p.bad = true
			l.wrong(n, fmt.Sprintf("is %q", s), "write {column: game_date, grain: day}, or none for a table that is replaced whole")
		}
		return
	}
	p.none, p.bad = false, false
	partitionObject.read(l, n, p)
}

// inherit makes everything said so far somebody else's word.
func (p *partition) inherit() { p.own = nil }

// settle fills the table's axis, column, calendar and start.
func (p *partition) settle(l *loader, d *draft) {
	t := d.t
	if p.none {
		t.Axis = calendar.Whole()
		return
	}
	switch {
	case p.bad:
		return
	case p.at == nil:
		l.fail(d.at, d.what+" has no partition", "write partition: {column: game_date, grain: day}, or partition: none")
		return
	}
	column, ok := p.keys["column"]
	if !ok {
		l.fail(p.at.pos(), d.what+": partition has no column", "name the column with the date, like {column: game_date, grain: day}")
	} else {
		t.Column, _ = l.text(column.value)
	}
	grain, ok := p.keys["grain"]
	if !ok {
		l.fail(p.at.pos(), d.what+": partition has no grain", "write grain: hour, day or month")
		return
	}
	i, ok := l.choice(grain.value, "hour", "day", "month")
	if !ok {
		return
	}
	t.Axis = calendar.Axis{Grain: []calendar.Grain{calendar.Hour, calendar.Day, calendar.Month}[i], Zone: d.zone}
	if e, ok := p.keys["calendar"]; ok {
		p.settleCalendar(l, t, e.value)
	}
	if e, ok := p.keys["start"]; ok {
		p.settleStart(l, t, e.value)
	}
	if _, told := p.keys["start"]; !told && !t.IsSource() && p.endless(l, t) {
		l.fail(p.at.pos(), d.what+" has no start, and its calendar has no first date", "write start in its partition, like start: 2021-10-19")
	}
}

// endless reports whether a table's calendar has no first date of its own. Where the calendar is wrong, that error is enough.
func (p *partition) endless(l *loader, t *Table) bool {
	if t.Calendar == "" {
		return p.keys["calendar"].value.ast == nil
	}
	c := l.project.Calendar(t.Calendar)
	return c != nil && (c.Every || c.Weekdays)
}

// settleCalendar takes a calendar's name, or a calendar written in place, which gets a name that nobody can type.
func (p *partition) settleCalendar(l *loader, t *Table, n node) {
	name, named := n.scalarText()
	if named {
		if !l.known("calendar", name, n.pos(), n.what) {
			return
		}
		t.Calendar = name
	} else {
		name = "@" + n.what
		if l.project.Calendar(name) == nil {
			c, ok := l.calendar(n, name, n.pos())
			if !ok {
				return
			}
			l.project.Calendars = append(l.project.Calendars, c)
		}
		t.Calendar = name
	}
	if c := l.project.Calendar(name); c != nil && c.Every && c.Grain != t.Axis.Grain {
		l.wrong(n, fmt.Sprintf("expects every %s, but the grain of %s is %s", c.Grain, t.Name, t.Axis.Grain),
			fmt.Sprintf("write calendar: {every: %s} with the table", t.Axis.Grain))
	}
}

// settleStart reads the first partition. One from the defaults may be of another grain: the first partition that overlaps it is meant.
func (p *partition) settleStart(l *loader, t *Table, n node) {
	s, ok := l.scalar(n)
	if !ok {
		return
	}
	start, err := t.Axis.Parse(s)
	if err == nil {
		t.Start, t.HasStart = start, true
		return
	}
	for _, grain := range []calendar.Grain{calendar.Month, calendar.Day, calendar.Hour} {
		other := calendar.Axis{Grain: grain, Zone: t.Axis.Zone}
		at, failed := other.Parse(s)
		if failed != nil {
			continue
		}
		first := other.Convert(calendar.Single(at), t.Axis).Start
		if !p.own["start"] {
			t.Start, t.HasStart = first, true
			return
		}
		l.wrong(n, fmt.Sprintf("is %q, not aligned to the grain %s", s, t.Axis.Grain), "write "+t.Axis.ID(first))
		return
	}
	l.fail(n.pos(), n.what+": "+err.Error(), "")
}
