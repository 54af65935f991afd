package plan

import (
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// The naive model: everything per partition, by instants and lists, without sets, indexes or binary search. It shares nothing with the
// planner but the calendar's axes and civil offsets.

// before reports whether input partition q ends before p begins.
func before(qa calendar.Axis, q calendar.Partition, pa calendar.Axis, p calendar.Partition) bool {
	if qa.Grain == calendar.None || pa.Grain == calendar.None {
		return false
	}
	_, end := qa.Instants(q)
	start, _ := pa.Instants(p)
	return !end.After(start)
}

func overlaps(qa calendar.Axis, q calendar.Partition, pa calendar.Axis, p calendar.Partition) bool {
	return !before(qa, q, pa, p) && !before(pa, p, qa, q)
}

// naiveSeason is the first civil day of the earliest interval of a period that overlaps p.
func naiveSeason(days []calendar.Interval, pa calendar.Axis, p calendar.Partition) (calendar.Partition, bool) {
	civil := calendar.Axis{Grain: calendar.Day, Zone: pa.Zone}
	for _, iv := range days {
		for d := iv.Start; d < iv.End; d++ {
			if overlaps(civil, d, pa, p) {
				return iv.Start, true
			}
		}
	}
	return 0, false
}

// A position places an input partition for a reader: how many expected ones away (0 overlaps).
func positions(qa calendar.Axis, expected []calendar.Partition, pa calendar.Axis, p calendar.Partition) map[calendar.Partition]int {
	out := map[calendar.Partition]int{}
	var past, future []calendar.Partition
	for _, q := range expected {
		switch {
		case before(qa, q, pa, p):
			past = append(past, q)
		case before(pa, p, qa, q):
			future = append(future, q)
		default:
			out[q] = 0
		}
	}
	slices.Sort(past)
	slices.Sort(future)
	for i, q := range past {
		out[q] = i - len(past)
	}
	for i, q := range future {
		out[q] = i + 1
	}
	return out
}

// naiveWindow reports, for every expected input partition, whether the window of p names it.
func naiveWindow(w catalog.Window, qa calendar.Axis, expected []calendar.Partition, pa calendar.Axis, p calendar.Partition, days []calendar.Interval) []calendar.Partition {
	place := positions(qa, expected, pa, p)
	var out []calendar.Partition
	for _, q := range expected {
		in := false
		switch w.Kind {
		case catalog.Same:
			in = place[q] == 0
		case catalog.Offset:
			in = pa.Offset(p, w.Unit, w.From, w.To, qa).Contains(q)
		case catalog.Partitions:
			in = w.From <= place[q] && place[q] <= w.To
		case catalog.Since, catalog.PerRows, catalog.PerParts:
			civil := calendar.Axis{Grain: calendar.Day, Zone: pa.Zone}
			if w.Within == "" {
				in = q >= pa.Offset(p, calendar.Day, -w.Days, 0, qa).Start && place[q] <= w.To
				break
			}
			start, ok := naiveSeason(days, pa, p)
			in = ok && place[q] <= w.To && !before(qa, q, civil, start)
		case catalog.Everything:
			in = true
		}
		if in {
			out = append(out, q)
		}
	}
	return out
}

// An event is something the ledger logged of an input partition.
type event struct {
	seq  history.Seq
	q    calendar.Partition
	move bool
}

// naiveReach reports whether the coming or going of q can have changed the window of p, by the description in change.go: q lies between
// the first partition that the window counts and the start of p, or in the window's own stretch of time.
func naiveReach(w catalog.Window, qa calendar.Axis, expected []calendar.Partition, pa calendar.Axis, p, q calendar.Partition, days []calendar.Interval) bool {
	place := positions(qa, expected, pa, p)
	// at is where q stands, expected or not: 0 overlaps, else the side.
	side := 0
	switch {
	case before(qa, q, pa, p):
		side = -1
	case before(pa, p, qa, q):
		side = 1
	}
	nth := func(k int) (calendar.Partition, bool) {
		for x, at := range place {
			if at == k {
				return x, true
			}
		}
		return 0, false
	}
	upTo := func(k int) bool { // q is not beyond the k-th, counted from p's start
		switch {
		case k < 0:
			return side < 0
		case k == 0:
			return side <= 0
		}
		x, ok := nth(k)
		return side <= 0 || !ok || q <= x
	}
	switch w.Kind {
	case catalog.Same:
		return side == 0
	case catalog.Offset:
		return pa.Offset(p, w.Unit, w.From, w.To, qa).Contains(q)
	case catalog.Partitions:
		var from bool
		switch {
		case w.From > 0:
			from = side > 0
		case w.From == 0:
			from = side >= 0
		default:
			x, ok := nth(w.From)
			from = !ok || q >= x
		}
		return from && upTo(w.To)
	case catalog.Since, catalog.PerRows, catalog.PerParts:
		if w.Within == "" {
			return q >= pa.Offset(p, calendar.Day, -w.Days, 0, qa).Start && upTo(w.To)
		}
		civil := calendar.Axis{Grain: calendar.Day, Zone: pa.Zone}
		start, ok := naiveSeason(days, pa, p)
		return ok && !before(qa, q, civil, start) && upTo(w.To)
	}
	return true
}

// naiveContent reports whether a change of the content of q, expected or not, is one of what p reads: q lies within the window's bounds.
func naiveContent(w catalog.Window, qa calendar.Axis, expected []calendar.Partition, pa calendar.Axis, p, q calendar.Partition, days []calendar.Interval) bool {
	if !slices.Contains(expected, q) {
		return false // judged by its moves
	}
	return slices.Contains(naiveWindow(w, qa, expected, pa, p, days), q)
}

// A model judges one world naively.
type model struct {
	in     Inputs
	tables map[string]*catalog.Table
	// events of every table, and of readers which clock each partition read at and what it read then.
	events map[string][]event
	reads  map[string]map[calendar.Partition]*record
	fresh  map[string]map[calendar.Partition]bool
}

// A record is what an oracle remembers of a materialization and a ledger does not: each window's members with the content they had.
type record struct {
	seq     history.Seq
	members []map[calendar.Partition]int // by input
	seasons map[string]calendar.Partition
}

func list(s calendar.Set) []calendar.Partition { return slices.Collect(s.Partitions()) }

func (m *model) members(t *catalog.Table, in *catalog.Input, p calendar.Partition) []calendar.Partition {
	read := m.tables[in.Table]
	seen := map[calendar.Partition]bool{}
	for _, w := range in.Windows {
		for _, q := range naiveWindow(w, read.Axis, list(m.in.Expected[in.Table]), t.Axis, p, m.in.Periods[w.Within]) {
			seen[q] = true
		}
	}
	var out []calendar.Partition
	for q := range seen {
		out = append(out, q)
	}
	slices.Sort(out)
	return out
}

// inputChanged is the rule of change.go, event by event.
func (m *model) inputChanged(t *catalog.Table, p calendar.Partition, seq history.Seq, all bool) bool {
	for _, in := range t.Inputs {
		if !in.Restates && !all {
			continue
		}
		read := m.tables[in.Table]
		expected := list(m.in.Expected[in.Table])
		for _, e := range m.events[in.Table] {
			if e.seq <= seq {
				continue
			}
			for _, w := range in.Windows {
				days := m.in.Periods[w.Within]
				if e.move && naiveReach(w, read.Axis, expected, t.Axis, p, e.q, days) {
					return true
				}
				if !e.move && naiveContent(w, read.Axis, expected, t.Axis, p, e.q, days) {
					return true
				}
			}
		}
	}
	for _, in := range t.Inputs {
		for _, w := range in.Windows {
			if w.Within == "" {
				continue
			}
			var then []calendar.Interval
			for _, c := range m.in.PeriodChanges[w.Within] {
				if c.Seq <= seq {
					then = c.Intervals
				}
			}
			a, okA := naiveSeason(then, t.Axis, p)
			b, okB := naiveSeason(m.in.Periods[w.Within], t.Axis, p)
			if okA != okB || a != b {
				return true
			}
		}
	}
	return false
}

func (m *model) ready(t *catalog.Table, p calendar.Partition) bool {
	for _, in := range t.Inputs {
		good, total, coming := 0, 0, false
		for _, q := range m.members(t, in, p) {
			total++
			h := m.in.Tables[in.Table]
			if m.isFresh(m.tables[in.Table], q) {
				good++
			} else if h.Reserved.Contains(q) || h.InFlight.Contains(q) {
				coming = true
			}
		}
		if float64(good) < in.Complete*float64(total)-1e-9 || (good < total && coming) {
			return false
		}
		if good < in.Min && !m.bootstrap(t, p) {
			return false
		}
	}
	return true
}

func (m *model) bootstrap(t *catalog.Table, p calendar.Partition) bool {
	if t.Bootstrap == nil {
		return false
	}
	start, ok := naiveSeason(m.in.Periods[t.Bootstrap.Of], t.Axis, p)
	if !ok {
		return false
	}
	n := 0
	for q := range m.in.Expected[t.Name].Partitions() {
		other, in := naiveSeason(m.in.Periods[t.Bootstrap.Of], t.Axis, q)
		if in && other == start && q < p {
			n++
		}
	}
	return n < t.Bootstrap.Partitions
}

func (m *model) late(t *catalog.Table, p calendar.Partition, readAt time.Time) bool {
	if t.Lookback == 0 || readAt.IsZero() {
		return false
	}
	n := 0
	for q := range m.in.Expected[t.Name].Partitions() {
		if q > p && n < t.Lookback {
			n++
			if readAt.Before(t.Axis.Due(q, t.DueAfter)) {
				return true
			}
		}
	}
	return false
}

// isFresh is rule 16 for one partition.
func (m *model) isFresh(t *catalog.Table, p calendar.Partition) bool {
	if m.fresh[t.Name] == nil {
		m.fresh[t.Name] = map[calendar.Partition]bool{}
	}
	if f, ok := m.fresh[t.Name][p]; ok {
		return f
	}
	f := m.judge(t, p)
	m.fresh[t.Name][p] = f
	return f
}

func (m *model) judge(t *catalog.Table, p calendar.Partition) bool {
	h := m.in.Tables[t.Name]
	s := segmentNaive(h.Segments, p)
	switch {
	case s == nil, !s.Content.Readable(), h.Unsettled.Contains(p), m.in.Dropped[t.Name].Contains(p):
		return false
	case t.Source != nil:
		return true
	case s.Stale:
		return false
	case s.Content == history.Skipped || t.Immutable:
		return true
	case m.in.Versions[t.Name] != s.Version && t.OnCodeChange == catalog.Restate && !m.in.LeaveCode:
		return false
	case m.late(t, p, s.ReadAt), m.inputChanged(t, p, s.ReadSeq, false):
		return false
	}
	return m.ready(t, p)
}

func segmentNaive(segs []history.Segment, p calendar.Partition) *history.Segment {
	for i := range segs {
		if segs[i].Contains(p) {
			return &segs[i]
		}
	}
	return nil
}

// watched are the tables that only a table's checks read.
func (m *model) watched(t *catalog.Table) []string {
	var out []string
	for _, c := range t.Checks {
		if c.To != t.Name && !slices.ContainsFunc(t.Inputs, func(in *catalog.Input) bool { return in.Table == c.To }) {
			out = append(out, c.To)
		}
	}
	return out
}

// watchedChanged reports whether what only the checks read changed after a sequence: anywhere, or in a partition that overlaps p.
func (m *model) watchedChanged(t *catalog.Table, p calendar.Partition, seq history.Seq, anywhere bool) bool {
	for _, name := range m.watched(t) {
		for _, e := range m.events[name] {
			if e.seq > seq && (anywhere || overlaps(m.tables[name].Axis, e.q, t.Axis, p)) {
				return true
			}
		}
	}
	return false
}

// unchecked is rule 15 for what stands in one partition.
func (m *model) unchecked(t *catalog.Table, p calendar.Partition) bool {
	h := m.in.Tables[t.Name]
	s := segmentNaive(h.Segments, p)
	switch {
	case s == nil, !s.Content.Checkable(), h.Unsettled.Contains(p), m.in.Dropped[t.Name].Contains(p), t.Source != nil:
		return false
	case len(t.Checks) == 0 && s.Content != history.Failing:
		return false
	}
	return s.CheckVersion != m.in.CheckVersions[t.Name] || m.watchedChanged(t, p, s.CheckSeq, s.Content == history.Failing)
}
