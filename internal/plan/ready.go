package plan

import (
	"math"

	"github.com/headway-data/headway/internal/calendar"
)

// unmet is the part of a set of the reader's partitions whose windows do not hold enough inputs of ok: the share Complete and the number
// Min of the expected ones. A window cut off by the beginning of the calendar is not incomplete by itself; in the bootstrap partitions
// of a period Min is not asked for. What a live run will still write is waited for, whatever Complete says (rule 16).
func (e *edge) unmet(set, ok calendar.Set) calendar.Set {
	lacking := e.read.expected.Minus(ok)
	exact := e.in.Complete >= 1
	if e.in.Min <= 0 {
		if lacking.Empty() {
			return calendar.Set{}
		}
		set = e.downstream(lacking, narrow).Intersect(set)
		if exact {
			return set
		}
	}
	if set.Empty() {
		return set
	}
	index := calendar.NewIndex(ok.Intersect(e.read.expected))
	coming := e.read.history.Reserved.Union(e.read.history.InFlight).Intersect(lacking)
	var out collector
	for p := range set.Partitions() {
		if !e.enough(p, index, coming) {
			out.add(calendar.Single(p))
		}
	}
	return out.set()
}

func (e *edge) enough(p calendar.Partition, ok *calendar.Index, coming calendar.Set) bool {
	total, good := 0, 0
	windows := e.windows(p)
	for _, iv := range windows.Intervals() {
		total += e.read.index.Rank(iv.End) - e.read.index.Rank(iv.Start)
		good += ok.Rank(iv.End) - ok.Rank(iv.Start)
	}
	switch {
	case good < need(e.in.Complete, total):
		return false
	case good < e.in.Min && !e.reader.bootstrap.Contains(p):
		return false
	}
	return good == total || !coming.Overlaps(windows)
}

// need is how many of total partitions a share asks for, with room for the rounding of a decimal share.
func need(share float64, total int) int {
	return int(math.Ceil(share*float64(total) - 1e-9))
}
