package catalog

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
)

// A span is one interval of a period as people write it: both dates are in.
type span struct {
	from, to calendar.Date
	at       Pos
}

var spanObject = object[span]{name: "span", fields: []field[span]{
	{"from", func(l *loader, n node, s *span) { s.from = l.date(n) }},
	{"to", func(l *loader, n node, s *span) { s.to = l.date(n) }},
}}

func (l *loader) periods(n node) {
	l.named(n, "period", identifier, func(e entry) {
		items, ok := l.items(e.value, true)
		if !ok {
			return
		}
		if len(items) == 0 {
			l.wrong(e.value, "has no interval", "write [{from: 2024-01-01, to: 2024-12-31}]")
		}
		var spans []span
		for _, item := range items {
			if s, ok := l.span(item); ok {
				spans = append(spans, s)
			}
		}
		slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
		p := &Period{Name: e.key, Pos: e.at}
		for i, s := range spans {
			if i > 0 && s.from <= spans[i-1].to {
				l.fail(s.at, fmt.Sprintf("%s: %s to %s overlaps %s to %s", e.value.what, s.from, s.to, spans[i-1].from, spans[i-1].to),
					"intervals of a period are apart; both of their dates are in")
			}
			p.Intervals = append(p.Intervals, calendar.Interval{Start: calendar.Partition(s.from), End: calendar.Partition(s.to) + 1})
		}
		l.project.Periods = append(l.project.Periods, p)
	})
}

func (l *loader) span(n node) (span, bool) {
	s := span{at: n.pos()}
	before := len(l.errs)
	what := spanObject.read(l, n, &s)
	switch {
	case what == nil || len(l.errs) > before:
		return s, false
	case !what.has("from") || !what.has("to"):
		l.wrong(n, "needs from and to", "write {from: 2024-01-01, to: 2024-12-31}; both dates are in")
	case s.from > s.to:
		l.wrong(n, fmt.Sprintf("ends before it begins: from %s to %s", s.from, s.to), "put the earlier date first")
	default:
		return s, true
	}
	return s, false
}
