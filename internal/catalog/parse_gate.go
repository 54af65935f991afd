package catalog

import (
	"fmt"
	"math"
	"slices"
)

var gateObject = object[gateDraft]{name: "gate", fields: []field[gateDraft]{
	{"tables", func(_ *loader, n node, g *gateDraft) { g.tables = &n }},
	{"require", func(_ *loader, n node, g *gateDraft) { g.require = &n }},
}}

type gateDraft struct{ tables, require *node }

var requirementObject = object[Requirement]{name: "requirement", fields: []field[Requirement]{
	{"fresh", func(l *loader, n node, r *Requirement) {
		if f, ok := l.share(n); ok {
			r.Fresh = &f
		}
	}},
	{"check", func(l *loader, n node, r *Requirement) { r.Check, _ = l.text(n) }},
	{"min", func(l *loader, n node, r *Requirement) { l.bound(n, &r.Min) }},
	{"max", func(l *loader, n node, r *Requirement) { l.bound(n, &r.Max) }},
	{"pooled", func(l *loader, n node, r *Requirement) { r.Pooled, _ = l.boolean(n) }},
}}

// bound reads one end of a range.
func (l *loader) bound(n node, into **float64) {
	if f, ok := l.number(n, math.Inf(-1), math.Inf(1)); ok {
		*into = &f
	}
}

// gates reads the gates, once all tables and checks are known.
func (l *loader) gates() {
	var ids []string
	for _, t := range l.project.Tables {
		for _, c := range t.Checks {
			ids = append(ids, c.ID)
		}
	}
	for _, p := range l.raw.gates {
		var draft gateDraft
		if gateObject.read(l, p.value, &draft) == nil {
			continue
		}
		g := &Gate{Name: p.name, Pos: p.at}
		if draft.tables == nil || draft.require == nil {
			l.fail(p.at, p.value.what+" needs tables and require", "write {tables: [t], require: [{fresh: 1.0}]}")
			continue
		}
		items, _ := l.items(*draft.tables, true)
		for _, item := range items {
			if s, ok := l.text(item); ok && l.known("table", s, item.pos(), item.what) {
				g.Tables = append(g.Tables, s)
			}
		}
		if len(items) == 0 {
			l.wrong(*draft.tables, "is an empty list", "a gate over nothing would say nothing: name its tables")
		}
		items, isList := l.items(*draft.require, true)
		for _, item := range items {
			if r, ok := l.requirement(item, ids); ok {
				g.Requirements = append(g.Requirements, r)
			}
		}
		if isList && len(items) == 0 {
			l.wrong(*draft.require, "is an empty list", "write at least {fresh: 1.0}")
		}
		l.project.Gates = append(l.project.Gates, g)
	}
}

func (l *loader) requirement(n node, ids []string) (Requirement, bool) {
	r := Requirement{Pos: n.pos()}
	before := len(l.errs)
	what := requirementObject.read(l, n, &r)
	switch {
	case what == nil || len(l.errs) > before:
		return r, false
	case what.has("fresh") == what.has("check"):
		l.wrong(n, "needs either fresh or check", "write {fresh: 1.0}, or {check: t.column.not_null, min: 0.95}")
	case what.has("fresh") && (what.has("min") || what.has("max")):
		l.wrong(n, "has fresh with min or max", "write {fresh: 0.99}: the number is the share that must be fresh")
	case what.has("check") && !slices.Contains(ids, r.Check):
		l.fail(what["check"].value.pos(), fmt.Sprintf("%s names the check %q, which is not declared", n.what, r.Check), meant(r.Check, ids, "checks"))
	case what.has("check") && r.Min == nil && r.Max == nil:
		l.wrong(n, "has neither min nor max", "say what the check's value must be, like min: 0.95")
	case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
		l.wrong(n, fmt.Sprintf("has min %v above max %v", *r.Min, *r.Max), "swap them")
	default:
		return r, true
	}
	return r, false
}
