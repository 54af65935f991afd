package mem

import (
	"errors"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// A waiter is a request in the queue. It holds nothing.
type waiter struct {
	req      ledger.LeaseRequest
	deadline time.Duration
	since    time.Time
}

// gone reports whether a waiter is over: it counts as having left.
func (l *Ledger) gone(w *waiter) bool { return l.opts.Machine.Ended(w.req.Holder, w.deadline) }

func (l *Ledger) dead(w *waiter) bool { return l.opts.Machine.Dead(w.req.Holder) }

// waitedFor reports whether somebody who still lives waits for what a lease that is over has. Who is gone only because the machine slept counts.
func (l *Ledger) waitedFor(x *lease) bool {
	return slices.ContainsFunc(l.queue, func(w *waiter) bool {
		return w.req.Run != x.req.Run && !l.dead(w) && !l.pausedOf(w.req.Run).Asked() && len(l.inTheWay(w.req, x)) > 0
	})
}

// place is where a waiter stands in the queue; -1 for what is not in it.
func (l *Ledger) place(id ledger.LeaseID) int {
	return slices.IndexFunc(l.queue, func(w *waiter) bool { return w.req.ID == id && !l.gone(w) })
}

// keeps gives the waiter whose place a request has, if it has one.
func (l *Ledger) keeps(req ledger.LeaseRequest) (at int, w *waiter) {
	if i := l.place(req.ID); i >= 0 && req.Narrows(l.queue[i].req) {
		return i, l.queue[i]
	}
	return len(l.queue), nil
}

// ahead gives the conflicts of a request with the waiters ahead of it.
func (l *Ledger) ahead(req ledger.LeaseRequest) []ledger.Conflict {
	place, own := l.keeps(req)
	holder := l.holder(req.Run)
	var out []ledger.Conflict
	for i, w := range l.queue {
		above := w.req.Class.Rank() - req.Class.Rank()
		if w == own || l.gone(w) || l.pausedOf(w.req.Run).Asked() || above < 0 || (above == 0 && i > place) || w.req.ID == req.ID {
			continue
		}
		for key, set := range wanted(req, w.req, !holder) {
			c := l.conflictOf(w.req, w.since, key, set)
			c.Waiting = true
			out = append(out, c)
		}
	}
	return out
}

// wanted is what two requests cannot both have, by table; what the first would read is left out unless reads is true.
func wanted(a, b ledger.LeaseRequest, reads bool) map[string]calendar.Set {
	out := map[string]calendar.Set{}
	add := func(as, bs []ledger.Claim) {
		for _, c := range as {
			for _, d := range bs {
				if set := c.Set.Intersect(d.Set); c.Table == d.Table && !set.Empty() {
					out[c.Table] = out[c.Table].Union(set)
				}
			}
		}
	}
	add(a.Writes, b.Writes)
	add(a.Writes, b.Reads)
	if reads {
		add(a.Reads, b.Writes)
	}
	return out
}

// holder reports whether a run has a live lease to write.
func (l *Ledger) holder(run ledger.RunID) bool {
	for _, x := range l.leases {
		if x.req.Run == run && !x.ended && !l.over(x) && len(x.writes) > 0 {
			return true
		}
	}
	return false
}

var errHolds = errors.New("a run that has a lease cannot wait to write: who waits holds nothing")

// wait puts a refused request into the queue, or keeps it there.
func (l *Ledger) wait(req ledger.LeaseRequest, conflicts []ledger.Conflict) error {
	refusal := &ledger.ConflictError{Conflicts: conflicts}
	if !req.Wait {
		return refusal
	}
	_, w := l.keeps(req)
	if w == nil {
		left := slices.DeleteFunc(slices.Clone(l.queue), func(w *waiter) bool { return l.dead(w) || w.req.ID == req.ID })
		if len(left) >= ledger.MaxWaiters {
			left = slices.DeleteFunc(left, l.gone)
		}
		if len(left) >= ledger.MaxWaiters {
			return refusal
		}
		w = &waiter{since: l.opts.Now()}
		left = append(left, w)
		l.queue = left
		for _, c := range slices.Concat(req.Writes, req.Reads) {
			l.use(c.Table, c.Axis)
		}
	}
	w.req, w.deadline = req, l.opts.Machine.Clock()+req.TTL
	refusal.Queued = true
	return refusal
}

// leave takes waiters out of the queue.
func (l *Ledger) leave(which func(ledger.LeaseRequest) bool) {
	l.queue = slices.DeleteFunc(l.queue, func(w *waiter) bool { return which(w.req) })
}

// waiters lists the queue.
func (l *Ledger) waiters() []ledger.LeaseRecord {
	out := make([]ledger.LeaseRecord, 0, len(l.queue))
	for _, w := range l.queue {
		if l.gone(w) {
			continue
		}
		out = append(out, ledger.LeaseRecord{
			ID: w.req.ID, Run: w.req.Run, Class: w.req.Class, Holder: w.req.Holder, Writes: byTable(w.req.Writes), Reads: byTable(w.req.Reads),
			Since: w.since, Left: w.deadline - l.opts.Machine.Clock(), Reason: w.req.Reason, Stop: l.stopOf(w.req.Run),
			Paused: l.pausedOf(w.req.Run), Waiting: true, WaitsFor: l.conflicts(w.req, l.overdue(w.req)),
		})
	}
	return out
}
