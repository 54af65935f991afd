package catalog

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A draft is a table while it is read: its own keys over the project's defaults.
type draft struct {
	t         *Table
	at        Pos
	what      string // "tables.x"
	said      said   // the table's own keys
	zone      string
	partition partition
	warehouse node // its name; no ast where nobody said one
	write     mode
	files     *node // patterns of the files of the command
	env       []EnvVar
}

// A mode is a word for who writes, and whether the table itself said it.
type mode struct {
	word string
	at   node
	own  bool
}

// field builders for keys that several objects share.
func zoneField() field[draft] {
	return field[draft]{"timezone", func(l *loader, n node, d *draft) { l.timezone(n, &d.zone) }}
}

func intField(key string, low, high int, of func(*draft) *int) field[draft] {
	return field[draft]{key, func(l *loader, n node, d *draft) {
		if i, ok := l.integer(n, low, high); ok {
			*of(d) = i
		}
	}}
}

func durationField(key string, of func(*draft) *time.Duration) field[draft] {
	return field[draft]{key, func(l *loader, n node, d *draft) {
		if v, ok := l.duration(n); ok {
			*of(d) = v
		}
	}}
}

// sharedFields may stand with sources, tables and defaults.
var sharedFields = []field[draft]{
	zoneField(),
	{"warehouse", func(_ *loader, n node, d *draft) { d.warehouse = n }},
	{"partition", func(l *loader, n node, d *draft) { d.partition.read(l, n) }},
	{"due", func(l *loader, n node, d *draft) { dueObject.read(l, n, d) }},
	intField("digits", 1, 17, func(d *draft) *int { return &d.t.Digits }),
}

// madeFields are about tables that Headway makes, and may stand in defaults.
var madeFields = []field[draft]{
	{"write", func(l *loader, n node, d *draft) { writeObject.read(l, n, &d.write) }},
	{"batch", func(l *loader, n node, d *draft) { batchObject.read(l, n, &d.t.Batch) }},
	{"bootstrap", func(l *loader, n node, d *draft) { d.bootstrap(l, n) }},
	{"empty", func(l *loader, n node, d *draft) {
		if i, ok := l.choice(n, "refuse", "allow"); ok {
			d.t.Empty = []EmptyPolicy{RefuseEmpty, AllowEmpty}[i]
		}
	}},
	{"on_code_change", func(l *loader, n node, d *draft) {
		if i, ok := l.choice(n, "restate", "forward"); ok {
			d.t.OnCodeChange = []CodeChange{Restate, Forward}[i]
		}
	}},
	intField("lookback", 0, maxCount, func(d *draft) *int { return &d.t.Lookback }),
	intField("retries", 0, 1000, func(d *draft) *int { return &d.t.Retries }),
	durationField("timeout", func(d *draft) *time.Duration { return &d.t.Timeout }),
	durationField("keep", func(d *draft) *time.Duration { return &d.t.Keep }),
}

var defaultsObject = object[draft]{name: "defaults", fields: slices.Concat(sharedFields, madeFields)}

// ownFields are what only a single table or source can say.
var ownFields = []field[draft]{
	{"relation", func(l *loader, n node, d *draft) { d.relation(l, n) }},
	{"tags", func(l *loader, n node, d *draft) { d.t.Tags = l.texts(n) }},
	{"checks", func(l *loader, n node, d *draft) { l.checks(n, d) }},
}

var tableObject = object[draft]{name: "table", fields: slices.Concat(ownFields, sharedFields, madeFields, commandFields, []field[draft]{
	{"inputs", func(l *loader, n node, d *draft) { l.inputs(n, d) }},
	{"columns", func(l *loader, n node, d *draft) { d.columns(l, n) }},
	{"sql", func(l *loader, n node, d *draft) { d.sql(l, n) }},
	{"immutable", func(l *loader, n node, d *draft) { d.t.Immutable, _ = l.boolean(n) }},
	{"schedule", func(l *loader, n node, d *draft) { l.schedule(n, &d.t.Schedule) }},
})}

var sourceObject = object[draft]{name: "source", fields: slices.Concat(ownFields, sharedFields, []field[draft]{
	{"files", func(l *loader, n node, d *draft) { d.t.Source.Files, _ = l.text(n) }},
	{"observe", func(l *loader, n node, d *draft) { observeObject.read(l, n, &d.t.Source.Observe) }},
	{"contract", func(l *loader, n node, d *draft) { d.t.Source.Contract = l.contract(n) }},
})}

var dueObject = object[draft]{name: "due", fields: []field[draft]{
	durationField("after", func(d *draft) *time.Duration { return &d.t.DueAfter }),
}}

var writeObject = object[mode]{name: "write", fields: []field[mode]{
	{"mode", func(l *loader, n node, m *mode) {
		words := []string{"replace", "staged", "direct"}
		if s, ok := l.scalar(n); ok && strings.EqualFold(s, "merge") {
			l.wrong(n, "is merge, which Headway does not have: a key that moves between dates would write outside its lease",
				"partition by a date that does not change, or write partition: none")
			return
		}
		if i, ok := l.choice(n, words...); ok {
			m.word, m.at, m.own = words[i], n, true
		}
	}},
}}

var batchObject = object[Batch]{name: "batch", fields: []field[Batch]{
	{"size", func(l *loader, n node, b *Batch) { l.positive(n, &b.Size) }},
	{"parallel", func(l *loader, n node, b *Batch) { l.positive(n, &b.Parallel) }},
}}

var bootstrapObject = object[BootstrapRule]{name: "bootstrap", fields: []field[BootstrapRule]{
	{"partitions", func(l *loader, n node, b *BootstrapRule) { l.positive(n, &b.Partitions) }},
	{"of", func(l *loader, n node, b *BootstrapRule) {
		if s, ok := l.text(n); ok && l.known("period", s, n.pos(), n.what) {
			b.Of = s
		}
	}},
}}

func (d *draft) bootstrap(l *loader, n node) {
	rule := BootstrapRule{}
	if d.t.Bootstrap != nil {
		rule = *d.t.Bootstrap // key by key over the defaults
	}
	before := len(l.errs)
	if bootstrapObject.read(l, n, &rule) == nil || len(l.errs) > before {
		return
	}
	if rule.Partitions == 0 || rule.Of == "" {
		l.wrong(n, "needs partitions and of", "write {partitions: 14, of: season}")
		return
	}
	d.t.Bootstrap = &rule
}

func (d *draft) relation(l *loader, n node) {
	s, ok := l.text(n)
	if !ok {
		return
	}
	if !relation.MatchString(s) {
		l.wrong(n, fmt.Sprintf("is %q, not the name of a relation", s), "write table or schema.table, without quotes inside")
		return
	}
	d.t.Relation = s
}

// columnType is a type as warehouses write it: a word, with what stands in parentheses or brackets behind it.
var columnType = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*( [A-Za-z]+)*( ?[(\[<][A-Za-z0-9_ ,"'()\[\]<>]*)?$`)

// columns reads the declared columns of a table's rows.
func (d *draft) columns(l *loader, n node) {
	entries, ok := l.entries(n)
	if ok && len(entries) == 0 {
		l.wrong(n, "is empty", "name each column of the table's rows with its type, or leave it away")
	}
	for _, e := range entries {
		typ, ok := l.text(e.value)
		switch {
		case !ok:
		case !columnType.MatchString(typ):
			l.wrong(e.value, fmt.Sprintf("is %q, which is no type", typ), "write the type as the warehouse does, like "+e.key+": varchar")
		case slices.ContainsFunc(d.t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, e.key) }):
			l.fail(e.at, fmt.Sprintf("%s has %q twice: warehouses do not tell upper case from lower", n.what, e.key), "keep one of them")
		default:
			d.t.Columns = append(d.t.Columns, Column{Name: e.key, Type: typ, Pos: e.at})
		}
	}
}

// tables reads all tables and sources, in the order of the files.
func (l *loader) tables() {
	base := &draft{t: &Table{Digits: 9}, zone: l.project.Zone}
	if n := l.raw.defaults; n != nil {
		defaultsObject.read(l, *n, base)
		base.write.own = false
		base.partition.inherit()
	}
	for _, p := range l.raw.tables {
		d := l.draft(base, p)
		if p.source {
			d.t.Source = &Source{Observe: Observe{By: "fingerprint"}}
			d.said = sourceObject.read(l, p.value, d)
		} else {
			d.said = tableObject.read(l, p.value, d)
		}
		if d.said != nil {
			l.drafts = append(l.drafts, d)
			l.project.Tables = append(l.project.Tables, d.t)
		}
	}
	l.base = base
}

// draft begins a table with what the defaults say about its kind.
func (l *loader) draft(base *draft, p pending) *draft {
	d := *base
	d.at, d.what = p.at, p.value.what
	d.partition.keys = maps.Clone(base.partition.keys)
	t := *base.t
	if p.source {
		t = Table{Digits: base.t.Digits, DueAfter: base.t.DueAfter}
		d.write = mode{}
	}
	if t.Bootstrap != nil {
		rule := *t.Bootstrap
		t.Bootstrap = &rule
	}
	t.Name, t.Relation, t.Pos = p.name, p.name, p.at
	d.t = &t
	return &d
}
