package plan

import (
	"cmp"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
)

// A State is the one word shown for a partition. The list is closed.
type State string

// The states, in the order of precedence: a partition has the first that holds (docs/glossary.md says why in this order).
const (
	StateNotDue      State = "not_due"
	StateInFlight    State = "in_flight"
	StateInDoubt     State = "in_doubt"
	StateForeign     State = "foreign"
	StateHeld        State = "held"
	StateFailing     State = "failing"
	StateQuarantined State = "quarantined"
	StateFailed      State = "failed"
	StateBlocked     State = "blocked"
	StateMissing     State = "missing"
	StateStale       State = "stale"
	StateSkipped     State = "skipped"
	StateEmpty       State = "empty"
	StateBootstrap   State = "bootstrap"
	StateShort       State = "short"
	StateFresh       State = "fresh"
)

// A StateInterval is a stretch of expected (or coming) partitions of one state. Start and End bridge what is not expected.
type StateInterval struct {
	calendar.Interval
	State State
	// Partitions is the number of expected ones.
	Partitions int
}

// layers gives the sets of the states but not_due, in order of precedence.
func (j *Judgement) layers() []struct {
	state State
	set   calendar.Set
} {
	work := j.Expected.Minus(j.Fresh)
	return []struct {
		state State
		set   calendar.Set
	}{
		{StateInFlight, j.InFlight},
		{StateInDoubt, j.InDoubt.Union(j.Unsettled)},
		{StateForeign, j.Foreign},
		{StateHeld, j.Held},
		{StateFailing, j.Failing},
		{StateQuarantined, j.Drifted.Union(j.Quarantined.Intersect(j.Repeats))},
		{StateFailed, j.Failed.Intersect(j.Repeats)},
		{StateBlocked, work.Intersect(j.NotReady)},
		{StateMissing, j.Missing},
		{StateStale, work},
		{StateSkipped, j.Skipped},
		{StateEmpty, j.Empty},
		{StateBootstrap, j.Bootstrap},
		{StateShort, j.Short},
		{StateFresh, j.Fresh},
	}
}

// ByState splits a table's expected partitions within a set by their states. Partitions that the calendar names and that are not due are
// not_due; states without partitions are left out.
func (w *World) ByState(table string, set calendar.Set) map[State]calendar.Set {
	out := map[State]calendar.Set{}
	j := w.JudgeWithin(table, set)
	if coming := w.Coming[table].Minus(w.Expected[table]).Intersect(set); !coming.Empty() {
		out[StateNotDue] = coming
	}
	rest := j.Expected
	for _, l := range j.layers() {
		if here := rest.Intersect(l.set); !here.Empty() {
			out[l.state] = here
			rest = rest.Minus(here)
		}
	}
	return out
}

// States lists a table's partitions within a set, in order, as stretches of one state.
func (w *World) States(table string, set calendar.Set) []StateInterval {
	n := w.named[table]
	if n == nil {
		return nil
	}
	var flat []StateInterval
	for state, s := range w.ByState(table, set) {
		for _, iv := range s.Intervals() {
			flat = append(flat, StateInterval{iv, state, iv.Count()})
		}
	}
	slices.SortFunc(flat, func(a, b StateInterval) int { return cmp.Compare(a.Start, b.Start) })
	var out []StateInterval
	for _, s := range flat {
		if k := len(out) - 1; k >= 0 && out[k].State == s.State && n.index.Rank(s.Start) == n.index.Rank(out[k].End) {
			out[k].End = s.End
			out[k].Partitions += s.Partitions
			continue
		}
		out = append(out, s)
	}
	return out
}

// State is the state of one partition; "" if it is neither expected nor coming.
func (w *World) State(table string, p calendar.Partition) State {
	for state := range w.ByState(table, calendar.Of(p)) {
		return state
	}
	return ""
}

// Watermark is the last partition of the unbroken fresh prefix of a table; ok is false where the first is not fresh, or none is expected.
func (w *World) Watermark(table string) (p calendar.Partition, ok bool) {
	j := w.Judge(table)
	prefix := j.Fresh
	if first, broken := j.Expected.Minus(j.Fresh).First(); broken {
		prefix = prefix.Within(calendar.Interval{Start: calendar.Beginning, End: first})
	}
	return prefix.Last()
}
