package catalog

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A checkDraft is a check while it is read.
type checkDraft struct {
	Check
	name string
}

// Fields that several kinds of checks have.
var (
	checkColumn = field[checkDraft]{"column", func(l *loader, n node, c *checkDraft) {
		if s, ok := l.text(n); ok {
			c.Columns = []string{s}
		}
	}}
	checkColumns = field[checkDraft]{"columns", func(l *loader, n node, c *checkDraft) { c.Columns = l.texts(n) }}
	checkShare   = field[checkDraft]{"min", func(l *loader, n node, c *checkDraft) {
		if f, ok := l.share(n); ok {
			c.Min = &f
		}
	}}
	checkMin   = field[checkDraft]{"min", func(l *loader, n node, c *checkDraft) { l.bound(n, &c.Min) }}
	checkMax   = field[checkDraft]{"max", func(l *loader, n node, c *checkDraft) { l.bound(n, &c.Max) }}
	checkWhere = field[checkDraft]{"where", func(l *loader, n node, c *checkDraft) { c.Where, _ = l.text(n) }}
	checkRest  = []field[checkDraft]{
		{"name", func(l *loader, n node, c *checkDraft) {
			if s, ok := l.text(n); ok && l.name(s, n.pos(), "check", identifier) {
				c.name = s
			}
		}},
		{"severity", func(l *loader, n node, c *checkDraft) {
			if i, ok := l.choice(n, "block", "warn"); ok {
				c.Warn = i == 1
			}
		}},
	}
)

func checkObject(kind CheckKind, fields ...field[checkDraft]) object[checkDraft] {
	return object[checkDraft]{name: "check_" + string(kind), fields: append(fields, checkRest...)}
}

// checkObjects are the kinds of checks.
var checkObjects = map[CheckKind]object[checkDraft]{
	CheckUnique:  checkObject(CheckUnique, checkColumn, checkColumns, checkWhere),
	CheckNotNull: checkObject(CheckNotNull, checkColumn, checkColumns, checkShare, checkWhere),
	CheckRows: checkObject(CheckRows, checkMin, checkMax, checkWhere, field[checkDraft]{"equals", func(l *loader, n node, c *checkDraft) {
		if _, isText := n.ast.(*ast.StringNode); isText || n.literal() {
			if c.Equals, _ = l.text(n); c.Equals != "" && !strings.ContainsAny(c.Equals, " \n") {
				l.wrong(n, fmt.Sprintf("is %q", c.Equals), "write a query that gives a partition and a number, or one number")
			}
			return
		}
		if f, ok := l.number(n, 0, math.MaxInt64); ok {
			c.Min, c.Max = &f, &f
		}
	}}),
	CheckRange: checkObject(CheckRange, checkColumn, checkMin, checkMax, checkWhere),
	CheckAccepted: checkObject(CheckAccepted, checkColumn, checkWhere, field[checkDraft]{"values", func(l *loader, n node, c *checkDraft) {
		items, _ := l.items(n, false)
		for _, item := range items {
			if s, ok := l.scalar(item); ok {
				c.Values = append(c.Values, s)
			}
		}
	}}),
	CheckRelationship: checkObject(CheckRelationship, checkColumn, checkColumns, checkShare, checkWhere,
		field[checkDraft]{"to", func(l *loader, n node, c *checkDraft) { c.To, _ = l.text(n) }},
		field[checkDraft]{"to_columns", func(l *loader, n node, c *checkDraft) { c.ToColumns = l.texts(n) }}),
	CheckPattern: checkObject(CheckPattern, checkColumn, checkWhere,
		field[checkDraft]{"pattern", func(l *loader, n node, c *checkDraft) { c.Pattern, _ = l.pattern(n) }}),
	CheckSQL: checkObject(CheckSQL, checkMin, checkMax,
		field[checkDraft]{"query", func(l *loader, n node, c *checkDraft) { c.Query, _ = l.text(n) }}),
}

// checkKinds are the kinds in the order of the documentation.
var checkKinds = []CheckKind{
	CheckUnique, CheckNotNull, CheckRows, CheckRange, CheckAccepted, CheckRelationship, CheckPattern, CheckSQL,
}

func kindNames() []string {
	out := make([]string, len(checkKinds))
	for i, k := range checkKinds {
		out[i] = string(k)
	}
	return out
}

// checks reads a list of {kind: what}.
func (l *loader) checks(n node, d *draft) {
	items, ok := l.items(n, false)
	if !ok {
		return
	}
	first := map[string]Pos{}
	for _, item := range items {
		entries, ok := l.entries(item)
		if !ok {
			continue
		}
		if len(entries) != 1 {
			l.wrong(item, fmt.Sprintf("has %d keys in one element", len(entries)), "write one check an element: - unique: [id]")
			continue
		}
		kind := CheckKind(entries[0].key)
		if !slices.Contains(checkKinds, kind) {
			l.fail(entries[0].at, fmt.Sprintf("unknown check %q in %s", kind, item.what), meant(string(kind), kindNames(), "checks"))
			continue
		}
		for _, c := range l.check(entries[0], kind, d.t.Name) {
			if was, twice := first[c.ID]; twice {
				l.fail(c.Pos, fmt.Sprintf("two checks have the id %s, the first at %s", c.ID, was), "give one of them a name: {..., name: other}")
				continue
			}
			first[c.ID] = c.Pos
			d.t.Checks = append(d.t.Checks, c)
		}
	}
}

// check reads one element; a not_null over several columns is a check for each.
func (l *loader) check(e entry, kind CheckKind, table string) []*Check {
	c := checkDraft{Check: Check{Kind: kind, Pos: e.at}}
	before := len(l.errs)
	what := said{}
	short := kind == CheckUnique || kind == CheckNotNull // these may be just columns
	switch e.value.ast.(type) {
	case *ast.SequenceNode, *ast.StringNode:
		if !short {
			l.mistyped(e.value, "keys and values, like {column: c}")
			return nil
		}
		c.Columns = l.texts(e.value)
	default:
		if what = checkObjects[kind].read(l, e.value, &c); what == nil {
			return nil
		}
	}
	if what.has("column") && what.has("columns") {
		l.fail(e.at, e.value.what+" has both column and columns", "keep one")
	}
	if len(l.errs) == before {
		l.checkKeys(e, what, &c)
	}
	if len(l.errs) > before {
		return nil
	}
	if kind == CheckNotNull && len(c.Columns) > 1 {
		if c.name != "" {
			l.fail(e.at, e.value.what+" is several checks, which cannot share a name", "leave the name away, or write one check a column")
			return nil
		}
		out := make([]*Check, len(c.Columns))
		for i, column := range c.Columns {
			one := c.Check
			one.Columns = []string{column}
			one.ID = checkID(table, "", one)
			out[i] = &one
		}
		return out
	}
	c.ID = checkID(table, c.name, c.Check)
	return []*Check{&c.Check}
}

// checkID is T.name, T.column.kind, or T.kind where the check is about no column or several.
func checkID(table, name string, c Check) string {
	switch {
	case name != "":
		return table + "." + name
	case len(c.Columns) == 1:
		return table + "." + c.Columns[0] + "." + string(c.Kind)
	}
	return table + "." + string(c.Kind)
}

// checkKeys checks that what a check says is enough, and makes sense.
func (l *loader) checkKeys(e entry, what said, c *checkDraft) {
	var msg, next string
	switch {
	case len(c.Columns) == 0 && c.Kind != CheckRows && c.Kind != CheckSQL:
		msg, next = "names no column", "write column: NAME"
	case c.Min != nil && c.Max != nil && *c.Min > *c.Max:
		msg, next = fmt.Sprintf("has min %v above max %v", *c.Min, *c.Max), "swap them"
	default:
		msg, next = c.lacks(what)
	}
	if msg != "" {
		l.fail(e.at, e.value.what+" "+msg, next)
	}
}

// lacks tells what a check of its kind must say and this one does not; "" where there is nothing.
func (c *checkDraft) lacks(what said) (msg, next string) {
	bounded := what.has("min") || what.has("max")
	switch {
	case c.Kind == CheckRows && what.has("equals") == bounded:
		return "needs either equals, or min and max", "write {min: 1}, or {equals: \"select ...\"}"
	case c.Kind == CheckAccepted && len(c.Values) == 0:
		return "names no values", "write values: [a, b]"
	case c.Kind == CheckRelationship && c.To == "":
		return "does not say to which table", "write to: TABLE"
	case c.Kind == CheckRelationship && len(c.ToColumns) > 0 && len(c.ToColumns) != len(c.Columns):
		return fmt.Sprintf("has %d columns and %d to_columns", len(c.Columns), len(c.ToColumns)), "name as many on both sides"
	case c.Kind == CheckPattern && c.Pattern == "":
		return "has no pattern", "write pattern: '^...$'"
	case c.Kind == CheckSQL && (c.name == "" || c.Query == ""):
		return "needs name and query", "write {name: identity, query: \"select ...\", min: 1.0}"
	case (c.Kind == CheckRange || c.Kind == CheckSQL) && !bounded:
		return "has neither min nor max", "say what the value must be, like min: 1.0"
	}
	return "", ""
}
