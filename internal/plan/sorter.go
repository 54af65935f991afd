package plan

import (
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A sorter gathers the partitions of segments by what stands there.
type sorter struct {
	w                                         *World
	n                                         *node
	head                                      string
	covered                                   collector
	inDoubt, foreign, failing, drifted        collector
	code, marked, lookback                    collector
	empty, skipped, bootstrap, short, settled collector
	reads                                     []reading
}

func (s *sorter) sort(seg *history.Segment, iv calendar.Interval) {
	s.covered.add(iv)
	t := s.n.table
	if !s.known(seg.Content, iv) || t.IsSource() {
		return
	}
	if seg.Stale {
		s.marked.add(iv)
	}
	if seg.Content != history.Failing {
		switch seg.Shortfall {
		case history.Bootstrap:
			s.bootstrap.add(iv)
		case history.Short:
			s.short.add(iv)
		}
		if seg.Content == history.Skipped || t.Immutable {
			s.settled.add(iv)
		}
	}
	if seg.Content == history.Skipped || t.Immutable {
		return
	}
	if s.head != "" && seg.Version != s.head {
		s.code.add(iv)
	}
	if t.Lookback > 0 {
		s.w.late(s.n, seg, iv, &s.lookback)
	}
	if k := len(s.reads) - 1; k >= 0 && s.reads[k].End == iv.Start && s.reads[k].seq == seg.ReadSeq {
		s.reads[k].End = iv.End
	} else {
		s.reads = append(s.reads, reading{iv, seg.ReadSeq})
	}
}

// known notes what stands there, and says whether more can be said of it: not of what nobody knows the origin of.
func (s *sorter) known(content history.Content, iv calendar.Interval) bool {
	switch content {
	case history.InDoubt:
		s.inDoubt.add(iv)
		return false
	case history.Foreign:
		s.foreign.add(iv)
		return false
	case history.Drifted:
		s.drifted.add(iv)
		return false
	case history.Failing:
		s.failing.add(iv)
	case history.Empty:
		s.empty.add(iv)
	case history.Skipped:
		s.skipped.add(iv)
	}
	return true
}

// late collects the partitions that were read before the last of their next Lookback partitions was due. Of content whose reading has no
// known wall clock nothing is said: it would be stale for ever.
func (w *World) late(n *node, seg *history.Segment, iv calendar.Interval, out *collector) {
	if seg.ReadAt.IsZero() {
		return
	}
	for p := iv.Start; p < iv.End; p++ {
		rank := n.index.Rank(p)
		next := min(rank+n.table.Lookback, n.index.Len()-1)
		if next > rank && seg.ReadAt.Before(n.table.Axis.Due(n.index.Select(next), n.table.DueAfter)) {
			out.add(calendar.Single(p))
		}
	}
}

// A collector gathers intervals in order.
type collector struct{ ivs []calendar.Interval }

func (c *collector) add(iv calendar.Interval) {
	if n := len(c.ivs); n > 0 && c.ivs[n-1].End == iv.Start {
		c.ivs[n-1].End = iv.End
		return
	}
	c.ivs = append(c.ivs, iv)
}

// within is the set, and other itself where it is the same.
func (c *collector) within(other calendar.Set) calendar.Set {
	if slices.Equal(c.ivs, other.Intervals()) {
		return other
	}
	return c.set()
}

func (c *collector) set() calendar.Set {
	if len(c.ivs) == 0 {
		return calendar.Set{}
	}
	return calendar.NewSet(c.ivs...)
}
