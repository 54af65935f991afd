package catalog

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Folder is where a project lies, and for which environment it is read.
type Folder struct {
	FS   fs.FS  // the project folder; every path of a project is relative to it
	File string // the project file in it, like headway.yaml
	// Env names the environment; "" takes default_environment, or none where the project declares none.
	Env string
}

// Load reads a project: its file, what that includes, and the SQL files. It gives a project in which every name is resolved and every
// value in range, or Errors with all that is wrong. It reads through the Folder only.
//
// Values that are resolved when a connection opens or a command starts (state, the warehouses' places, commands' env) keep their ${…} as
// written: see Resolve.
func Load(in Folder) (*Project, error) {
	l := &loader{fs: in.FS, docs: map[string]*document{}, seen: map[string]map[string]Pos{}, project: &Project{Guard: Guard{}}}
	root, ok := l.parse(in.File)
	if !ok {
		return nil, l.errs.asError()
	}
	l.root = Pos{File: in.File, Line: 1, Column: 1}
	what := projectObject.read(l, root, &l.raw)
	if what == nil {
		return nil, l.errs.asError()
	}
	l.include(what)
	l.head(what)
	l.environment(in.Env, what)
	l.tables()
	l.producers()
	l.settle()
	l.gates()
	if len(l.errs) == 0 {
		l.project.lines = l.lines()
		if _, err := NewGraph(l.project); err != nil {
			return nil, err
		}
	}
	if len(l.errs) > 0 {
		return nil, l.errs.asError()
	}
	return l.project, nil
}

// A loader holds what is known while a project is read.
type loader struct {
	fs      fs.FS
	docs    map[string]*document
	errs    Errors
	root    Pos
	raw     raw
	project *Project
	base    *draft // what the defaults say
	drafts  []*draft
	byName  map[string]*draft
	seen    map[string]map[string]Pos // kind → name → where it was declared
}

// raw is what the files say, before anything that needs the rest of them.
type raw struct {
	version      bool
	zone         string
	state        string
	statePos     Pos
	environments []environment
	defaults     *node
	tables       []pending
	producers    []pending
	gates        []pending
}

// A pending declaration is read once all files are.
type pending struct {
	name   string
	at     Pos
	value  node
	source bool
}

// projectObject is the project file; included files have the sections of includeObject.
var projectObject = object[raw]{name: "project", fields: append([]field[raw]{
	{"version", func(l *loader, n node, r *raw) {
		_, r.version = l.integer(n, 1, 1)
	}},
	{"project", func(l *loader, n node, _ *raw) {
		if s, ok := l.text(n); ok && l.name(s, n.pos(), "project", label) {
			l.project.Name = s
		}
	}},
	{"timezone", func(l *loader, n node, r *raw) { l.timezone(n, &r.zone) }},
	{"state", func(l *loader, n node, r *raw) { l.state(n, &r.state, &r.statePos) }},
	{"environments", func(l *loader, n node, r *raw) { l.environments(n, r) }},
	{"default_environment", func(_ *loader, _ node, _ *raw) {}}, // by environment
	{"include", func(_ *loader, _ node, _ *raw) {}},             // by include
	{"defaults", func(_ *loader, n node, r *raw) { r.defaults = &n }},
	{"guard", func(l *loader, n node, _ *raw) { guardObject.read(l, n, &l.project.Guard) }},
	{"max_parallel", func(l *loader, n node, _ *raw) { l.positive(n, &l.project.MaxParallel) }},
}, includeObject.fields...)}

// includeObject is a file that a project includes.
var includeObject = object[raw]{name: "include", fields: []field[raw]{
	{"warehouses", func(l *loader, n node, _ *raw) { l.warehouses(n) }},
	{"calendars", func(l *loader, n node, _ *raw) { l.calendars(n) }},
	{"periods", func(l *loader, n node, _ *raw) { l.periods(n) }},
	{"sources", func(l *loader, n node, r *raw) { l.pend(n, "table", identifier, true, &r.tables) }},
	{"tables", func(l *loader, n node, r *raw) { l.pend(n, "table", identifier, false, &r.tables) }},
	{"producers", func(l *loader, n node, r *raw) { l.pend(n, "producer", label, false, &r.producers) }},
	{"gates", func(l *loader, n node, r *raw) { l.pend(n, "gate", label, false, &r.gates) }},
}}

// named goes over a mapping of names to declarations. A name that was declared before, in any file, is an error.
func (l *loader) named(n node, kind string, pattern *regexp.Regexp, each func(e entry)) {
	entries, ok := l.entries(n)
	if !ok {
		return
	}
	if l.seen[kind] == nil {
		l.seen[kind] = map[string]Pos{}
	}
	for _, e := range entries {
		if !l.name(e.key, e.at, kind, pattern) {
			continue
		}
		if was, twice := l.seen[kind][e.key]; twice {
			l.fail(e.at, fmt.Sprintf("%s %q is declared twice, first at %s", kind, e.key, was), "rename one of them")
			continue
		}
		l.seen[kind][e.key] = e.at
		each(e)
	}
}

func (l *loader) pend(n node, kind string, pattern *regexp.Regexp, source bool, to *[]pending) {
	l.named(n, kind, pattern, func(e entry) {
		*to = append(*to, pending{name: e.key, at: e.at, value: e.value, source: source})
	})
}

// names are the declared names of a kind, in order.
func (l *loader) names(kind string) []string { return slices.Sorted(maps.Keys(l.seen[kind])) }

// known tells of a name that was not declared.
func (l *loader) known(kind, name string, at Pos, what string) bool {
	if _, ok := l.seen[kind][name]; ok {
		return true
	}
	l.fail(at, fmt.Sprintf("%s names the %s %q, which is not declared", what, kind, name), meant(name, l.names(kind), kind+"s"))
	return false
}

// include reads the files that the project names.
func (l *loader) include(what said) {
	e, ok := what["include"]
	if !ok {
		return
	}
	items, ok := l.items(e.value, true)
	if !ok {
		return
	}
	for _, item := range items {
		pattern, ok := l.inside(item)
		if !ok {
			continue
		}
		found, err := Glob(l.fs, pattern)
		switch {
		case err != nil:
			l.wrong(item, "cannot be read", reason(err))
		case len(found) == 0:
			l.wrong(item, fmt.Sprintf("%q matches no file", pattern), "correct the pattern, or leave it away")
		}
		for _, name := range found {
			if l.docs[name] != nil { // two patterns may match one file
				continue
			}
			if len(l.docs) > maxFiles {
				l.wrong(item, fmt.Sprintf("names more than %d files", maxFiles), "put several tables into one file")
				return
			}
			if root, ok := l.parse(name); ok {
				includeObject.read(l, root, &l.raw)
			}
		}
	}
}

// head checks what a project must say about itself.
func (l *loader) head(what said) {
	if !what.has("version") {
		l.fail(l.root, "version is missing", "write version: 1 at the top")
	}
	if !what.has("project") {
		l.fail(l.root, "project is missing", "name the project, like project: nba")
	}
	p := l.project
	p.Zone, p.State, p.StatePos = l.raw.zone, l.raw.state, l.raw.statePos
	if len(p.Warehouses) == 0 && len(l.raw.tables)+len(l.raw.producers) > 0 {
		l.fail(l.root, "no warehouse is declared", "write warehouses: {main: {type: duckdb, path: "+strings.ToLower(p.Name)+".duckdb}}")
	}
}

// lines keeps the text of every file, so that later errors can show theirs.
func (l *loader) lines() map[string][]string {
	out := make(map[string][]string, len(l.docs))
	for name, doc := range l.docs {
		out[name] = doc.lines
	}
	return out
}
