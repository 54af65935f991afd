package mem

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A hold is a person's stop on partitions.
type hold struct {
	ledger.LeaseRecord
	sets map[string]calendar.Set
}

// standing is what a hold keeps of a table today.
func (l *Ledger) standing(h *hold, key string) calendar.Set {
	if !h.Until.IsZero() && !l.opts.Now().Before(h.Until) {
		return calendar.Set{}
	}
	return h.sets[key]
}

func (h *hold) conflict(key string, overlap calendar.Set) ledger.Conflict {
	return ledger.Conflict{
		Lease: h.ID, Class: h.Class, Table: key, Overlap: overlap, Holder: h.Holder, Since: h.Since, Hold: true, Reason: h.Reason,
	}
}

// stopOf is whether a run is asked to stop.
func (l *Ledger) stopOf(id ledger.RunID) ledger.StopRequest {
	if i := l.run(id); i >= 0 {
		return l.runs[i].Stop
	}
	return ledger.StopRequest{}
}

// pausedOf is whether a run is paused.
func (l *Ledger) pausedOf(id ledger.RunID) ledger.PauseRequest {
	if i := l.run(id); i >= 0 {
		return l.runs[i].Paused
	}
	return ledger.PauseRequest{}
}

// Leases lists leases and holds.
func (l *Ledger) Leases(ctx context.Context, f ledger.LeaseFilter) ([]ledger.LeaseRecord, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.LeaseRecord
	for _, x := range l.sorted() {
		r := ledger.LeaseRecord{
			ID: x.req.ID, Run: x.req.Run, Class: x.req.Class, Holder: x.req.Holder, Writes: l.claims(x.writes), Tokens: maps.Clone(x.tokens),
			Since: x.since, Left: x.deadline - l.opts.Machine.Clock(), Over: l.over(x), Reason: x.req.Reason, Stop: l.stopOf(x.req.Run),
			Paused: l.pausedOf(x.req.Run),
		}
		if f.Matches(r) {
			out = append(out, r)
		}
	}
	for _, h := range l.holds {
		r, sets := h.LeaseRecord, map[string]calendar.Set{}
		for key := range h.sets {
			if set := l.standing(h, key); !set.Empty() {
				sets[key] = set
			}
		}
		if r.Writes = l.claims(sets); len(sets) > 0 && f.Matches(r) {
			out = append(out, r)
		}
	}
	for _, r := range l.waiters() {
		if f.Matches(r) {
			out = append(out, r)
		}
	}
	ledger.SortLeases(out)
	return out[:min(len(out), f.Most())], nil
}

func byTable(claims []ledger.Claim) []ledger.Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b ledger.Claim) int { return cmp.Compare(a.Table, b.Table) })
}

// claims are sets as claims, by table.
func (l *Ledger) claims(sets map[string]calendar.Set) []ledger.Claim {
	var out []ledger.Claim
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		out = append(out, ledger.Claim{Table: key, Axis: l.tables[key].axis, Set: sets[key]})
	}
	return out
}

// Order carries out a person's word.
func (l *Ledger) Order(ctx context.Context, o ledger.Order) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := o.Check(); err != nil {
		return 0, err
	}
	for _, e := range l.audit {
		if seq, ok := o.Repeats(e); ok {
			return seq, nil
		}
	}
	switch o.Kind {
	case ledger.OrderBreak:
		return l.breakLease(o)
	case ledger.OrderStop, ledger.OrderStopHold:
		return l.stop(o)
	case ledger.OrderPause, ledger.OrderResume:
		return l.pause(o)
	case ledger.OrderAdopt:
		i := l.run(o.Run)
		if i < 0 {
			return 0, fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
		}
		return l.ordered(o, l.runs[i].Sets, func(history.Seq) {}), nil
	}
	if err := l.checkAxis(o.Table, o.Axis); err != nil {
		return 0, err
	}
	claims := []ledger.Claim{{Table: o.Table, Axis: o.Axis, Set: o.Set}}
	if o.Kind == ledger.OrderHold {
		overdue, err := l.holdable(claims, "")
		if err != nil {
			return 0, err
		}
		return l.ordered(o, claims, func(seq history.Seq) { l.hold(o, claims, overdue, seq) }), nil
	}
	held := calendar.Set{}
	for _, h := range l.holds {
		held = held.Union(l.standing(h, o.Table))
	}
	if !held.Overlaps(o.Set) {
		return l.clock, nil
	}
	return l.ordered(o, claims, func(seq history.Seq) {
		for _, h := range l.holds {
			shrink(h.sets, claims[0])
		}
		l.tables[o.Table].touched = seq
	}), nil
}

// holdable gives the leases over claims that are over, or a conflict for those that are not; those of a run are passed by.
func (l *Ledger) holdable(claims []ledger.Claim, but ledger.RunID) ([]*lease, error) {
	var overdue []*lease
	var conflicts []ledger.Conflict
	for _, x := range l.sorted() {
		for _, c := range claims {
			overlap := x.writes[c.Table].Intersect(c.Set)
			switch {
			case overlap.Empty() || (but != "" && x.req.Run == but):
			case l.over(x):
				overdue = append(overdue, x)
			default:
				conflicts = append(conflicts, l.conflict(x, c.Table, overlap))
			}
		}
	}
	if len(conflicts) > 0 {
		ledger.SortConflicts(conflicts)
		return nil, &ledger.ConflictError{Conflicts: conflicts}
	}
	return overdue, nil
}

// hold puts a hold on.
func (l *Ledger) hold(o ledger.Order, claims []ledger.Claim, ending []*lease, seq history.Seq) {
	for _, x := range ending {
		l.end(x, seq)
	}
	h := &hold{sets: map[string]calendar.Set{}, LeaseRecord: ledger.LeaseRecord{
		ID: o.ID, Class: ledger.ClassFix, Holder: ledger.Holder{Host: o.Actor.Host, PID: o.Actor.PID, User: o.Actor.User}, Since: o.At,
		Until: o.Until, Reason: o.Reason,
	}}
	for _, c := range claims {
		h.sets[c.Table] = c.Set
		l.use(c.Table, c.Axis).touched = seq
	}
	l.holds = append(l.holds, h)
}

func (l *Ledger) breakLease(o ledger.Order) (history.Seq, error) {
	if i := l.place(o.Lease); i >= 0 {
		return l.ordered(o, byTable(l.queue[i].req.Writes), func(history.Seq) {
			l.leave(func(w ledger.LeaseRequest) bool { return w.ID == o.Lease })
		}), nil
	}
	x := l.leases[o.Lease]
	if x == nil {
		return 0, fmt.Errorf("lease %s: %w", o.Lease, ledger.ErrNotFound)
	}
	if x.ended {
		return 0, fmt.Errorf("lease %s: %w", o.Lease, ledger.ErrLost)
	}
	return l.ordered(o, l.claims(x.writes), func(seq history.Seq) { l.end(x, seq) }), nil
}

func (l *Ledger) stop(o ledger.Order) (history.Seq, error) {
	i := l.run(o.Run)
	if i < 0 {
		return 0, fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
	}
	r := &l.runs[i]
	asked := ledger.StopRequest{Actor: o.Actor, Reason: o.Reason, Hold: o.Kind == ledger.OrderStopHold, At: o.At}
	if o.Kind == ledger.OrderStop {
		if r.Ended || r.Stop.Asked() {
			return l.clock, nil
		}
		return l.ordered(o, r.Sets, func(history.Seq) { r.Stop = asked }), nil
	}
	own := map[string]calendar.Set{}
	var ending []*lease
	for _, x := range l.sorted() {
		if x.req.Run == o.Run {
			ending = append(ending, x)
			for key, set := range x.writes {
				own[key] = own[key].Union(set)
			}
		}
	}
	claims := l.claims(own)
	if len(claims) == 0 {
		claims = r.Sets
	}
	for _, c := range claims {
		if err := l.checkAxis(c.Table, c.Axis); err != nil {
			return 0, err
		}
	}
	overdue, err := l.holdable(claims, o.Run)
	if err != nil {
		return 0, err
	}
	return l.ordered(o, claims, func(seq history.Seq) {
		l.hold(o, claims, append(ending, overdue...), seq)
		l.leave(func(w ledger.LeaseRequest) bool { return w.Run == o.Run })
		if !r.Ended {
			r.Stop = asked
		}
	}), nil
}

func (l *Ledger) pause(o ledger.Order) (history.Seq, error) {
	i := l.run(o.Run)
	if i < 0 {
		return 0, fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
	}
	r := &l.runs[i]
	if pause := o.Kind == ledger.OrderPause; r.Ended || r.Paused.Asked() == pause {
		return l.clock, nil
	}
	return l.ordered(o, r.Sets, func(history.Seq) {
		r.Paused = ledger.PauseRequest{}
		if o.Kind == ledger.OrderPause {
			r.Paused = ledger.PauseRequest{Actor: o.Actor, Reason: o.Reason, At: o.At}
		}
	}), nil
}

// ordered makes a change and audits it, table by table.
func (l *Ledger) ordered(o ledger.Order, claims []ledger.Claim, change func(seq history.Seq)) history.Seq {
	claims = slices.Clone(claims) // a change may take from what they were read from
	if len(claims) == 0 {
		claims = []ledger.Claim{{}}
	}
	before := make([]string, len(claims))
	for i, c := range claims {
		before[i] = o.Describe(l.clock, l.on(c))
	}
	seq := l.tick()
	change(seq)
	for i, c := range claims {
		previous := ""
		if n := len(l.audit); n > 0 {
			previous = l.audit[n-1].Hash
		}
		l.audit = append(l.audit, o.Entry(c.Table, c.Set, before[i], o.Describe(seq, l.on(c))).Sealed(int64(len(l.audit))+1, previous))
	}
	return seq
}

// on is what stands on the partitions of a claim.
func (l *Ledger) on(c ledger.Claim) ledger.Standing {
	var s ledger.Standing
	for _, h := range l.holds {
		s.Held = s.Held.Union(l.standing(h, c.Table).Intersect(c.Set))
	}
	for _, x := range l.sorted() {
		if has := x.writes[c.Table].Intersect(c.Set); !has.Empty() {
			s.Claimed, s.Leases = s.Claimed.Union(has), append(s.Leases, x.req.ID)
		}
	}
	for _, a := range l.attempts {
		if a.rec.Table == c.Table {
			s.InFlight, s.Unsettled = s.InFlight.Union(a.flight.Intersect(c.Set)), s.Unsettled.Union(a.unsettled.Intersect(c.Set))
		}
	}
	return s
}
