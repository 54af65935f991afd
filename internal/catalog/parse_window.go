package catalog

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/headway-data/headway/internal/calendar"
)

// A windowDraft is a window while it is read.
type windowDraft struct {
	Window
	list bool // partitions was a list of two, not a number
}

var windowObject = object[windowDraft]{name: "window", fields: []field[windowDraft]{
	offsetField("hours", calendar.Hour),
	offsetField("days", calendar.Day),
	offsetField("months", calendar.Month),
	{"partitions", func(l *loader, n node, w *windowDraft) {
		if _, ok := n.scalarText(); ok {
			w.Kind = PerParts
			l.positive(n, &w.Count)
			return
		}
		w.Kind, w.list = Partitions, true
		l.offsets(n, &w.Window)
	}},
	{"rows", func(l *loader, n node, w *windowDraft) {
		w.Kind = PerRows
		l.positive(n, &w.Count)
	}},
	{"since", func(l *loader, n node, w *windowDraft) {
		w.Kind = Since
		w.Within, _ = l.text(n)
	}},
	{"per", func(l *loader, n node, w *windowDraft) { w.Per, _ = l.text(n) }},
	{"through", func(l *loader, n node, w *windowDraft) {
		if i, ok := l.integer(n, -maxCount, 0); ok {
			w.To = i
		}
	}},
	{"within", func(l *loader, n node, w *windowDraft) {
		if s, ok := n.scalarText(); ok {
			w.Within = s
			return
		}
		withinObject.read(l, n, &w.Days)
		if w.Days == 0 {
			l.wrong(n, "needs a period or a number of days", "write within: season, or within: {days: 120}")
		}
	}},
}}

var withinObject = object[int]{name: "within", fields: []field[int]{
	{"days", func(l *loader, n node, days *int) { l.positive(n, days) }},
}}

func offsetField(key string, unit calendar.Grain) field[windowDraft] {
	return field[windowDraft]{key, func(l *loader, n node, w *windowDraft) {
		w.Kind, w.Unit = Offset, unit
		l.offsets(n, &w.Window)
	}}
}

// maxOffset bounds offsets, so that arithmetic on them stays far from its limits.
const maxOffset = 100_000

// offsets reads [from, to], both ends in.
func (l *loader) offsets(n node, w *Window) {
	if _, number := n.ast.(*ast.IntegerNode); number {
		l.wrong(n, "is one number", "write the first and the last, both in, like [-7, -1]")
		return
	}
	items, ok := l.items(n, false)
	if !ok {
		return
	}
	if len(items) != 2 {
		l.wrong(n, fmt.Sprintf("has %d numbers", len(items)), "write the first and the last, both in, like [-7, -1]")
		return
	}
	from, ok1 := l.integer(items[0], -maxOffset, maxOffset)
	to, ok2 := l.integer(items[1], -maxOffset, maxOffset)
	if !ok1 || !ok2 {
		return
	}
	if from > to {
		l.wrong(n, fmt.Sprintf("ends before it begins: [%d, %d]", from, to), fmt.Sprintf("write [%d, %d]", to, from))
		return
	}
	w.From, w.To = from, to
}

// windows reads a window or a list of windows. What it gives is not empty, unless it has told of an error.
func (l *loader) windows(n node) []Window {
	items, ok := l.items(n, true)
	if !ok {
		return nil
	}
	if len(items) == 0 {
		l.wrong(n, "is an empty list", "write at least one window, like same")
	}
	var out []Window
	for _, item := range items {
		if w, ok := l.window(item); ok {
			out = append(out, w)
		}
	}
	return out
}

func (l *loader) window(n node) (Window, bool) {
	if _, ok := n.scalarText(); ok {
		i, ok := l.choice(n, "same", "all")
		return Window{Kind: []WindowKind{Same, Everything}[i], Pos: n.pos()}, ok
	}
	w := windowDraft{Window: Window{Pos: n.pos()}}
	before := len(l.errs)
	what := windowObject.read(l, n, &w)
	if what == nil || len(l.errs) > before {
		return Window{}, false
	}
	return w.Window, l.windowKeys(n, what, w)
}

// windowKeys checks that the keys of a window make one window.
func (l *loader) windowKeys(n node, what said, w windowDraft) bool {
	forms := 0
	for _, key := range []string{"hours", "days", "months", "partitions", "rows", "since"} {
		if what.has(key) {
			forms++
		}
	}
	if forms != 1 {
		l.wrong(n, "needs exactly one of hours, days, months, partitions, rows, since", "write one window, or a list of windows")
		return false
	}
	var must []string
	var example string
	switch w.Kind {
	case PerRows, PerParts:
		must = []string{"per", "through", "within"}
		example = "{rows: 10, per: player_id, through: -1, within: season}"
	case Since:
		must = []string{"through"}
		example = "{since: season, through: -1}; through: 0 takes the partition itself in"
	default:
		example = "{days: [-7, -1]}"
	}
	for _, key := range must {
		if !what.has(key) {
			l.wrong(n, "needs "+key, "write it like "+example)
			return false
		}
	}
	for _, key := range []string{"per", "through", "within"} {
		if e, has := what[key]; has && !slices.Contains(must, key) {
			l.fail(e.at, fmt.Sprintf("%s: key %q does not belong to this window", n.what, key), "write it like "+example)
			return false
		}
	}
	return true
}

// String is the window as people write it.
func (w Window) String() string {
	switch w.Kind {
	case Same:
		return "same"
	case Offset:
		if w.From == w.To {
			return fmt.Sprintf("%ss %d", w.Unit, w.To)
		}
		return fmt.Sprintf("%ss %d to %d", w.Unit, w.From, w.To)
	case Partitions:
		return fmt.Sprintf("partitions %d to %d", w.From, w.To)
	case Since:
		return fmt.Sprintf("since %s through %d", w.Within, w.To)
	case Everything:
		return "all"
	case PerRows:
		return fmt.Sprintf("%d rows per %s through %d", w.Count, w.Per, w.To)
	case PerParts:
		return fmt.Sprintf("%d partitions per %s through %d", w.Count, w.Per, w.To)
	}
	return "unknown"
}
