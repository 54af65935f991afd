package plan

import (
	"math"

	"github.com/headway-data/headway/internal/calendar"
)

// unmet appends the part of a set of the reader's partitions whose windows do not hold enough inputs, if those of lacking are not there:
// the share Complete and the number Min of the expected ones. A window cut off by the beginning of the calendar is not incomplete by
// itself; in the bootstrap partitions of a period Min is not asked for. What a live run will still write is waited for, whatever Complete
// says (rule 16). Lacking holds expected partitions only. What is appended may reach beyond the set.
func (e *edge) unmet(out []calendar.Interval, set, lacking calendar.Set) []calendar.Interval {
	if e.in.Min <= 0 {
		if lacking.Empty() {
			return out
		}
		if e.in.Complete >= 1 {
			return e.meeting(out, lacking.Intervals(), narrow)
		}
		set = meet(e.downstream(lacking), set)
	}
	if set.Empty() {
		return out
	}
	index := calendar.NewIndex(e.read.expected.Minus(lacking))
	coming := e.read.history.Reserved.Union(e.read.history.InFlight).Intersect(lacking)
	for p := range set.Partitions() {
		if !e.enough(p, index, coming) {
			out = append(out, calendar.Single(p))
		}
	}
	return out
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
