package plan

import "github.com/headway-data/headway/internal/calendar"

// Shortfalls tells which partitions of a set would be computed from less than their windows ask for, if they were computed now: those at
// the beginning of a period that the table declares as bootstrap, and of the others those of which some input is not fresh and `complete`
// admits that. Partitions that could not be computed at all are in neither.
func (w *World) Shortfalls(table string, set calendar.Set) (bootstrap, short calendar.Set) {
	n := w.named[table]
	if n == nil {
		return calendar.Set{}, calendar.Set{}
	}
	set = set.Intersect(n.expected)
	w.ensure(n, set)
	set = set.Minus(n.judged.NotReady)
	bootstrap = n.bootstrap.Intersect(set)
	for _, e := range n.inputs {
		if e.in.Complete >= 1 {
			continue // all of it, fresh, or not at all
		}
		if lacking := e.read.expected.Minus(e.read.judged.Fresh); !lacking.Empty() {
			short = short.Union(e.downstream(lacking).Intersect(set))
		}
	}
	return bootstrap, short.Minus(bootstrap)
}
