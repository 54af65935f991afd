package mem

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

type lease struct {
	req      ledger.LeaseRequest
	tokens   map[string]history.Token
	deadline time.Duration
	since    time.Time
	writes   map[string]calendar.Set // what is left of its claims
	reads    map[string]calendar.Set
	ended    bool
}

// over reports whether a lease is live no longer though nobody has ended it yet.
func (l *Ledger) over(x *lease) bool {
	return !x.ended && l.opts.Machine.Ended(x.req.Holder, x.deadline)
}

// Acquire grants a lease.
func (l *Ledger) Acquire(ctx context.Context, req ledger.LeaseRequest) (*ledger.Lease, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := req.Check(); err != nil {
		return nil, err
	}
	if x := l.leases[req.ID]; x != nil {
		if x.ended {
			return nil, fmt.Errorf("lease %s: %w", req.ID, ledger.ErrLost)
		}
		return l.answer(x), nil
	}
	if req.Wait && len(req.Writes) > 0 && l.holder(req.Run) {
		return nil, errHolds
	}
	for _, c := range slices.Concat(req.Writes, req.Reads) {
		if err := l.checkAxis(c.Table, c.Axis); err != nil {
			return nil, err
		}
	}
	overdue := l.overdue(req)
	taken := l.takes(req)
	if conflicts := l.conflicts(req, overdue); len(conflicts) > 0 {
		return nil, l.wait(req, conflicts)
	}
	if err := l.demandSettled(req, overdue, taken); err != nil {
		return nil, err
	}
	if len(taken) == 0 {
		return l.answer(l.grant(req, overdue, l.tick())), nil
	}
	var x *lease
	l.ordered(req.Taking(l.opts.Now()), l.claims(union(taken)), func(seq history.Seq) {
		l.take(taken, seq)
		x = l.grant(req, overdue, seq)
		l.notePreempted(taken, x)
	})
	return l.answer(x), nil
}

// grant makes a lease.
func (l *Ledger) grant(req ledger.LeaseRequest, overdue []*lease, seq history.Seq) *lease {
	for _, x := range overdue {
		l.end(x, seq)
	}
	x := &lease{
		req: req, tokens: map[string]history.Token{}, deadline: l.opts.Machine.Clock() + req.TTL, since: l.opts.Now(),
		writes: map[string]calendar.Set{}, reads: map[string]calendar.Set{},
	}
	for _, c := range req.Writes {
		t := l.use(c.Table, c.Axis)
		t.token++
		t.touched = seq
		x.tokens[c.Table], x.writes[c.Table] = t.token, c.Set
	}
	for _, c := range req.Reads {
		l.use(c.Table, c.Axis)
		x.reads[c.Table] = c.Set
	}
	l.leases[req.ID] = x
	l.leave(func(w ledger.LeaseRequest) bool { return w.ID == req.ID })
	return x
}

// answer is a lease as its holder gets it.
func (l *Ledger) answer(x *lease) *ledger.Lease {
	out := &ledger.Lease{ID: x.req.ID, Run: x.req.Run, TTL: x.req.TTL, Tokens: map[string]history.Token{}}
	maps.Copy(out.Tokens, x.tokens)
	for _, c := range x.req.Writes {
		if left := l.unsettled(c.Table, nil).Intersect(x.writes[c.Table]); !left.Empty() {
			out.Settle = append(out.Settle, ledger.Claim{Table: c.Table, Axis: c.Axis, Set: left})
		}
	}
	return out
}

// overdue lists the leases that are over and stand in the way of a request.
func (l *Ledger) overdue(req ledger.LeaseRequest) []*lease {
	var out []*lease
	for _, x := range l.sorted() {
		if l.over(x) && len(l.inTheWay(req, x)) > 0 {
			out = append(out, x)
		}
	}
	return out
}

func (l *Ledger) sorted() []*lease {
	out := make([]*lease, 0, len(l.leases))
	for _, x := range l.leases {
		if !x.ended {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b *lease) int { return cmp.Compare(a.req.ID, b.req.ID) })
	return out
}

// An overlap is what a lease has of a claim: of one to write, or of one to read.
type overlap struct {
	ledger.Claim
	writes bool
}

// inTheWay gives what a lease has that a request cannot share: partitions that both would write, and partitions in flight that the request
// of another run would read.
func (l *Ledger) inTheWay(req ledger.LeaseRequest, x *lease) []overlap {
	var out []overlap
	for _, c := range req.Writes {
		if set := c.Set.Intersect(x.writes[c.Table]); !set.Empty() {
			out = append(out, overlap{ledger.Claim{Table: c.Table, Set: set}, true})
		}
	}
	if x.req.Run == req.Run && !l.over(x) {
		return out // what the run itself has in flight it may read
	}
	for _, c := range req.Reads {
		for _, a := range l.attempts {
			if set := c.Set.Intersect(a.flight); a.lease == x.req.ID && a.rec.Table == c.Table && !set.Empty() {
				out = append(out, overlap{ledger.Claim{Table: c.Table, Set: set}, false})
			}
		}
	}
	return out
}

func (l *Ledger) conflicts(req ledger.LeaseRequest, overdue []*lease) []ledger.Conflict {
	var out []ledger.Conflict
	for _, x := range l.sorted() {
		if slices.Contains(overdue, x) {
			continue
		}
		taken, sets := l.takenFrom(x, req), map[string]calendar.Set{}
		for _, c := range l.inTheWay(req, x) {
			if c.writes {
				c.Set = c.Set.Minus(taken[c.Table])
			}
			sets[c.Table] = sets[c.Table].Union(c.Set)
		}
		for key, set := range sets {
			if !set.Empty() {
				c := l.conflict(x, key, set)
				c.Publishing = preempts(req, x) && l.publishing(x, key).Overlaps(l.wants(req, key))
				out = append(out, c)
			}
		}
	}
	for _, h := range l.holds {
		for _, c := range req.Writes {
			if overlap := l.standing(h, c.Table).Intersect(c.Set); !overlap.Empty() {
				out = append(out, h.conflict(c.Table, overlap))
			}
		}
	}
	out = append(out, l.ahead(req)...)
	ledger.SortConflicts(out)
	return out
}

func (l *Ledger) conflict(x *lease, key string, overlap calendar.Set) ledger.Conflict {
	return l.conflictOf(x.req, x.since, key, overlap)
}

func (l *Ledger) conflictOf(with ledger.LeaseRequest, since time.Time, key string, overlap calendar.Set) ledger.Conflict {
	c := ledger.Conflict{
		Lease: with.ID, Run: with.Run, Class: with.Class, Table: key, Overlap: overlap, Holder: with.Holder, Since: since, Reason: with.Reason,
	}
	if i := l.run(with.Run); i >= 0 {
		r := &l.runs[i]
		c.Command, c.Done, c.Total, c.StartedAt = r.Command, r.Done, r.Total, r.StartedAt
	}
	return c
}

// demandSettled refuses what would write over unsettled partitions without settling them, or read them.
func (l *Ledger) demandSettled(req ledger.LeaseRequest, overdue []*lease, taken []taking) error {
	if !req.Settles {
		for _, c := range req.Writes {
			left := l.unsettled(c.Table, overdue)
			for _, t := range taken {
				left = left.Union(l.flying(t.from, c.Table))
			}
			if left = left.Intersect(c.Set); !left.Empty() {
				return fmt.Errorf("%d partitions of %s: %w", left.Count(), c.Table, ledger.ErrUnsettled)
			}
		}
	}
	for _, c := range req.Reads {
		if left := l.unsettled(c.Table, overdue).Intersect(c.Set); !left.Empty() {
			return fmt.Errorf("%d partitions of %s: %w", left.Count(), c.Table, ledger.ErrUnsettled)
		}
	}
	return nil
}

// unsettled gives the unsettled partitions of a table, those of leases that are about to end included.
func (l *Ledger) unsettled(key string, ending []*lease) calendar.Set {
	var out calendar.Set
	for _, a := range l.attempts {
		if a.rec.Table != key {
			continue
		}
		out = out.Union(a.unsettled)
		if slices.Contains(ending, l.leases[a.lease]) {
			out = out.Union(a.flight)
		}
	}
	return out
}

// end ends a lease: what it has in flight becomes unsettled, the rest is free.
func (l *Ledger) end(x *lease, seq history.Seq) {
	for key := range x.writes {
		l.tables[key].touched = seq
	}
	for _, a := range l.attempts {
		if a.lease == x.req.ID {
			a.unsettled, a.flight = a.unsettled.Union(a.flight), calendar.Set{}
		}
	}
	x.writes, x.reads, x.ended = nil, nil, true
}

// Renew extends leases.
func (l *Ledger) Renew(ctx context.Context, ids []ledger.LeaseID) ([]ledger.LeaseID, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var live []ledger.LeaseID
	var seq history.Seq
	drawn := func() history.Seq {
		if seq == 0 {
			seq = l.tick()
		}
		return seq
	}
	for _, id := range ids {
		x := l.leases[id]
		if x == nil || x.ended || !l.opts.Machine.Renewable(x.req.Holder) {
			continue
		}
		if l.over(x) && l.waitedFor(x) {
			l.end(x, drawn())
			continue
		}
		if l.stopOf(x.req.Run).Asked() {
			if !l.over(x) {
				live = append(live, id)
			}
			continue
		}
		if l.over(x) && len(x.writes) > 0 { // it was shown as ended
			for key := range x.writes {
				l.tables[key].touched = drawn()
			}
		}
		x.deadline = l.opts.Machine.Clock() + x.req.TTL
		live = append(live, id)
	}
	return live, nil
}

// Release gives partitions back.
func (l *Ledger) Release(ctx context.Context, id ledger.LeaseID, claims []ledger.Claim) error {
	unlock, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if claims == nil {
		l.leave(func(w ledger.LeaseRequest) bool { return w.ID == id })
	}
	x := l.leases[id]
	if x == nil || x.ended {
		return nil
	}
	if claims == nil {
		var seq history.Seq
		if len(x.writes) > 0 {
			seq = l.tick()
		}
		l.end(x, seq)
		return nil
	}
	var seq history.Seq
	for _, c := range claims {
		shrink(x.reads, c)
		back := x.writes[c.Table].Intersect(c.Set)
		if back.Empty() {
			continue
		}
		if seq == 0 {
			seq = l.tick()
		}
		l.takeFrom(x, c.Table, back, seq)
	}
	x.ended = len(x.writes)+len(x.reads) == 0
	return nil
}

// takeFrom takes partitions from a lease that has them: what is in flight there becomes unsettled.
func (l *Ledger) takeFrom(x *lease, key string, set calendar.Set, seq history.Seq) {
	shrink(x.writes, ledger.Claim{Table: key, Set: set})
	l.tables[key].touched = seq
	for _, a := range l.attempts {
		if a.lease == x.req.ID && a.rec.Table == key {
			a.unsettled = a.unsettled.Union(a.flight.Intersect(set))
			a.flight = a.flight.Minus(set)
		}
	}
}

func shrink(sets map[string]calendar.Set, c ledger.Claim) {
	left := sets[c.Table].Minus(c.Set)
	if left.Empty() {
		delete(sets, c.Table)
		return
	}
	sets[c.Table] = left
}
