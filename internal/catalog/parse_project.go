package catalog

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
)

// maxCount bounds numbers of partitions, attempts and the like.
const maxCount = 1_000_000

func fsValid(name string) bool { return fs.ValidPath(name) }

func (l *loader) positive(n node, into *int) {
	if i, ok := l.integer(n, 1, maxCount); ok {
		*into = i
	}
}

func (l *loader) natural(n node, into *int) {
	if i, ok := l.integer(n, 0, maxCount); ok {
		*into = i
	}
}

// timezone reads an IANA zone; UTC is "", as in axes.
func (l *loader) timezone(n node, into *string) {
	s, ok := l.text(n)
	if !ok {
		return
	}
	if _, err := calendar.LoadZone(s); err != nil {
		l.fail(n.pos(), n.what+": "+err.Error(), "")
		return
	}
	if s == "UTC" {
		s = ""
	}
	*into = s
}

// state reads where the ledger is.
func (l *loader) state(n node, into *string, at *Pos) {
	if !l.reference(n, into) {
		return
	}
	*at = n.pos()
	if hasRefs(*into) {
		return
	}
	for _, scheme := range []string{"sqlite:", "postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(*into, scheme); ok && rest != "" {
			return
		}
	}
	l.wrong(n, fmt.Sprintf("is %q, which names no store", *into), "write sqlite:PATH or postgres://HOST/DATABASE")
}

// reference reads a text that may hold ${…}, and keeps it as written.
func (l *loader) reference(n node, into *string) bool {
	s, ok := l.text(n)
	if !ok {
		return false
	}
	if err := checkRefs(s); err != nil {
		l.wrong(n, "cannot be resolved", err.Error())
		return false
	}
	*into = s
	return true
}

func (l *loader) reads(n node, into *string) { l.reference(n, into) }

var guardObject = object[Guard]{name: "guard", fields: []field[Guard]{
	{"partitions", func(l *loader, n node, g *Guard) { l.positive(n, &g.Partitions) }},
	{"bytes", func(l *loader, n node, g *Guard) {
		if size, ok := l.size(n); ok {
			g.Bytes = size
		}
	}},
}}

// An environment is a place where the project runs.
type environment struct {
	name, state, prefix string
	statePos            Pos
	protected           bool
}

var schemaPrefix = regexp.MustCompile(`^[A-Za-z0-9_]*$`)

var environmentObject = object[environment]{name: "environment", fields: []field[environment]{
	{"state", func(l *loader, n node, e *environment) { l.state(n, &e.state, &e.statePos) }},
	{"schema_prefix", func(l *loader, n node, e *environment) {
		s, ok := l.scalar(n)
		if ok && !schemaPrefix.MatchString(s) {
			l.wrong(n, fmt.Sprintf("is %q", s), "use letters, digits and _; it becomes part of schema names")
			return
		}
		e.prefix = s
	}},
	{"protected", func(l *loader, n node, e *environment) { e.protected, _ = l.boolean(n) }},
}}

func (l *loader) environments(n node, r *raw) {
	l.named(n, "environment", label, func(e entry) {
		env := environment{name: e.key}
		environmentObject.read(l, e.value, &env)
		r.environments = append(r.environments, env)
	})
}

// environment settles which environment this is.
func (l *loader) environment(asked string, what said) {
	chosen := asked
	if e, ok := what["default_environment"]; ok {
		name, ok := l.text(e.value)
		if !ok || !l.known("environment", name, e.value.pos(), e.value.what) {
			return
		}
		for _, env := range l.raw.environments {
			if env.name == name && env.protected {
				l.wrong(e.value, fmt.Sprintf("is %q, which is protected: it is used only where it is named", name),
					"choose another default, and name this one with --env")
			}
		}
		if chosen == "" {
			chosen = name
		}
	}
	if chosen == "" {
		return
	}
	for _, env := range l.raw.environments {
		if env.name != chosen {
			continue
		}
		p := l.project
		p.Environment, p.Protected, p.SchemaPrefix = env.name, env.protected, env.prefix
		if env.state != "" {
			p.State, p.StatePos = env.state, env.statePos
		}
		return
	}
	l.fail(l.root, fmt.Sprintf("environment %q is not declared", chosen), meant(chosen, l.names("environment"), "environments"))
}

var warehouseObject = object[Warehouse]{name: "warehouse", fields: []field[Warehouse]{
	{"type", func(l *loader, n node, w *Warehouse) {
		if i, ok := l.choice(n, warehouseTypes...); ok {
			w.Type = warehouseTypes[i]
		}
	}},
	{"path", func(l *loader, n node, w *Warehouse) { l.reads(n, &w.Path) }},
	{"url", func(l *loader, n node, w *Warehouse) { l.reads(n, &w.URL) }},
	{"project", func(l *loader, n node, w *Warehouse) { l.reads(n, &w.Project) }},
	{"dataset", func(l *loader, n node, w *Warehouse) { l.reads(n, &w.Dataset) }},
	{"location", func(l *loader, n node, w *Warehouse) { l.reads(n, &w.Location) }},
	{"max_parallel", func(l *loader, n node, w *Warehouse) { l.positive(n, &w.MaxParallel) }},
}}

var warehouseTypes = []string{"duckdb", "postgres", "bigquery"}

// warehouseKeys are the keys that each type of warehouse must (true) or may (false) have.
var warehouseKeys = map[string]map[string]bool{
	"duckdb":   {"path": true},
	"postgres": {"url": true},
	"bigquery": {"project": true, "dataset": true, "location": false},
}

func (l *loader) warehouses(n node) {
	l.named(n, "warehouse", label, func(e entry) {
		w := &Warehouse{Name: e.key, Pos: e.at}
		what := warehouseObject.read(l, e.value, w)
		l.project.Warehouses = append(l.project.Warehouses, w)
		if what == nil {
			return
		}
		if !what.has("type") {
			l.fail(e.at, e.value.what+" has no type", "write type: duckdb, postgres or bigquery")
			return
		}
		keys, ok := warehouseKeys[w.Type]
		if !ok {
			return
		}
		for _, key := range []string{"path", "url", "project", "dataset", "location"} {
			must, may := keys[key]
			said, has := what[key]
			switch {
			case must && !has:
				l.fail(e.at, fmt.Sprintf("%s has no %s", e.value.what, key), fmt.Sprintf("a warehouse of type %s needs it", w.Type))
			case has && !may:
				l.fail(said.at, fmt.Sprintf("%s: key %q does not belong to type %s", e.value.what, key, w.Type), "leave it away")
			}
		}
	})
}

var calendarObject = object[Calendar]{name: "calendar", fields: []field[Calendar]{
	{"query", func(l *loader, n node, c *Calendar) { c.Query, _ = l.text(n) }},
	{"file", func(l *loader, n node, c *Calendar) { c.File, _ = l.text(n) }},
	{"column", func(l *loader, n node, c *Calendar) { c.Column, _ = l.text(n) }},
	{"every", func(l *loader, n node, c *Calendar) {
		if i, ok := l.choice(n, "hour", "day", "month"); ok {
			c.Every, c.Grain = true, []calendar.Grain{calendar.Hour, calendar.Day, calendar.Month}[i]
		}
	}},
	{"weekdays", func(l *loader, n node, c *Calendar) {
		if yes, ok := l.boolean(n); ok {
			c.Weekdays = yes
			if !yes {
				l.wrong(n, "is false, which says nothing", "write {every: day} for every day")
			}
		}
	}},
}}

// calendar reads one calendar; ok is false where it says too little or too much.
func (l *loader) calendar(n node, name string, at Pos) (*Calendar, bool) {
	c := &Calendar{Name: name, Pos: at}
	before := len(l.errs)
	what := calendarObject.read(l, n, c)
	ways := 0
	for _, key := range []string{"query", "file", "every", "weekdays"} {
		if what.has(key) {
			ways++
		}
	}
	switch {
	case what == nil || len(l.errs) > before:
		return nil, false
	case ways != 1:
		l.fail(at, n.what+" needs exactly one of query, file, every, weekdays", "write one, like {every: day}")
	case what.has("file") != what.has("column"):
		l.fail(at, n.what+": file and column go together", "write {file: dates.csv, column: game_date}")
	default:
		return c, true
	}
	return nil, false
}

func (l *loader) calendars(n node) {
	l.named(n, "calendar", label, func(e entry) {
		if c, ok := l.calendar(e.value, e.key, e.at); ok {
			l.project.Calendars = append(l.project.Calendars, c)
		}
	})
}
