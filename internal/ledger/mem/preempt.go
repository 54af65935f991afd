package mem

import (
	"maps"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A taking is what a request takes of a live lease, by table.
type taking struct {
	from *lease
	sets map[string]calendar.Set
}

// A preemption is what was taken from a run.
type preemption struct {
	run   ledger.RunID
	token history.Token // of the lease that took it
	ledger.Preemption
}

func preempts(req ledger.LeaseRequest, x *lease) bool {
	return req.Preempt && x.req.Class.Rank() < req.Class.Rank()
}

// takes lists what a request takes of live leases if it is granted.
func (l *Ledger) takes(req ledger.LeaseRequest) []taking {
	var out []taking
	for _, x := range l.sorted() {
		if sets := l.takenFrom(x, req); len(sets) > 0 {
			out = append(out, taking{x, sets})
		}
	}
	return out
}

func (l *Ledger) takenFrom(x *lease, req ledger.LeaseRequest) map[string]calendar.Set {
	out := map[string]calendar.Set{}
	if l.over(x) {
		return out
	}
	for key, has := range x.writes {
		set := has.Intersect(l.wants(req, key))
		switch {
		case preempts(req, x):
			set = set.Minus(l.publishing(x, key))
		case x.req.Run != req.Run && l.pausedOf(x.req.Run).Asked():
			set = set.Minus(l.flying(x, key))
		default:
			continue
		}
		if !set.Empty() {
			out[key] = set
		}
	}
	return out
}

// wants is what a request would write of a table.
func (l *Ledger) wants(req ledger.LeaseRequest, key string) calendar.Set {
	for _, c := range req.Writes {
		if c.Table == key {
			return c.Set
		}
	}
	return calendar.Set{}
}

// flying is what a lease has in flight of a table; publishing is what of it an attempt is about to publish.
func (l *Ledger) flying(x *lease, key string) (out calendar.Set) {
	for _, a := range l.attempts {
		if a.lease == x.req.ID && a.rec.Table == key {
			out = out.Union(a.flight)
		}
	}
	return out
}

func (l *Ledger) publishing(x *lease, key string) (out calendar.Set) {
	for _, a := range l.attempts {
		if a.lease == x.req.ID && a.rec.Table == key && a.intent != nil {
			out = out.Union(a.flight)
		}
	}
	return out
}

func union(all []taking) map[string]calendar.Set {
	out := map[string]calendar.Set{}
	for _, t := range all {
		for key, set := range t.sets {
			out[key] = out[key].Union(set)
		}
	}
	return out
}

func (l *Ledger) take(all []taking, seq history.Seq) {
	for _, t := range all {
		for key, set := range t.sets {
			l.takeFrom(t.from, key, set, seq)
		}
		t.from.ended = len(t.from.writes)+len(t.from.reads) == 0
	}
}

func (l *Ledger) notePreempted(all []taking, by *lease) {
	for _, t := range all {
		for _, key := range slices.Sorted(maps.Keys(t.sets)) {
			l.preempted = append(l.preempted, preemption{t.from.req.Run, by.tokens[key], ledger.Preemption{
				Table: key, Axis: l.tables[key].axis, Set: t.sets[key], By: by.req.Run, At: by.since, Reason: by.req.Reason,
			}})
		}
	}
}

// republished notes that an attempt has published what was taken before it began.
func (l *Ledger) republished(a *attempt, set calendar.Set) {
	for i := range l.preempted {
		if p := &l.preempted[i]; p.Table == a.rec.Table && p.token < a.rec.Token {
			p.Set = p.Set.Minus(set)
		}
	}
	l.preempted = slices.DeleteFunc(l.preempted, func(p preemption) bool { return p.Set.Empty() })
}

// preemptedOf is what was taken from a run and nobody has published since.
func (l *Ledger) preemptedOf(run ledger.RunID) []ledger.Preemption {
	var out []ledger.Preemption
	for _, p := range l.preempted {
		if p.run == run {
			out = append(out, p.Preemption)
		}
	}
	return ledger.MergePreemptions(out)
}
