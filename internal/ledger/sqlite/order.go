package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Order carries out a person's word.
func (l *Ledger) Order(ctx context.Context, o ledger.Order) (seq history.Seq, err error) {
	if err := o.Check(); err != nil {
		return 0, err
	}
	err = l.write(ctx, func(t *tx) (err error) {
		seq, err = t.order(o)
		return err
	})
	return seq, err
}

func (t *tx) order(o ledger.Order) (seq history.Seq, err error) {
	done := false
	err = t.query(func(r row) error {
		e, err := readEntry(r)
		if was, ok := o.Repeats(e); err == nil && ok {
			seq, done = was, true
		}
		return err
	}, selectAudit+`WHERE at = ? AND action = ?`, o.At, string(o.Kind))
	if err != nil || done {
		return seq, err
	}
	switch o.Kind {
	case ledger.OrderBreak:
		return t.breakLease(o)
	case ledger.OrderStop:
		return t.stop(o)
	case ledger.OrderPause, ledger.OrderResume:
		return t.pause(o)
	case ledger.OrderStopHold:
		return t.stopHold(o)
	case ledger.OrderUnhold:
		return t.unhold(o)
	case ledger.OrderAdopt:
		stored, err := t.storedRun(o.Run)
		if err == nil && stored == nil {
			err = fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
		}
		if err != nil {
			return 0, err
		}
		return t.ordered(o, stored.Sets, func() error { return nil })
	}
	claims := []ledger.Claim{{Table: o.Table, Axis: o.Axis, Set: o.Set}}
	overdue, err := t.holdable(claims, "")
	if err != nil {
		return 0, err
	}
	return t.ordered(o, claims, func() error { return t.hold(o, claims, overdue) })
}

// holdable gives the leases over claims that are over, or a conflict for those that are not; those of a run are passed by.
func (t *tx) holdable(claims []ledger.Claim, but ledger.RunID) ([]*lease, error) {
	var way obstacles
	for _, c := range claims {
		tab, err := t.use(c.Table, c.Axis)
		if err != nil {
			return nil, err
		}
		err = t.claimsOver(tab.id, c.Set, func(set calendar.Set, lease int64) {
			way = append(way, obstacle{key: c.Table, set: set, lease: lease, write: true})
		})
		if err != nil {
			return nil, err
		}
	}
	kept := way[:0]
	for _, o := range way {
		x, err := t.lease(o.lease)
		if err != nil {
			return nil, err
		}
		if but == "" || x.run != but {
			kept = append(kept, o)
		}
	}
	r, err := t.standAside(kept, nil)
	if err == nil && len(r.conflicts) > 0 {
		ledger.SortConflicts(r.conflicts)
		err = &ledger.ConflictError{Conflicts: r.conflicts}
	}
	return r.ending, err
}

// hold puts a hold on.
func (t *tx) hold(o ledger.Order, claims []ledger.Claim, ending []*lease) error {
	for _, x := range ending {
		if err := t.endLease(x); err != nil {
			return err
		}
	}
	var until any // NULL
	if !o.Until.IsZero() {
		until = o.Until
	}
	for _, c := range claims {
		tab, err := t.use(c.Table, c.Axis)
		if err != nil {
			return err
		}
		if err := t.dropPast(tab); err != nil {
			return err
		}
		t.touch(tab)
		for _, iv := range c.Set.Intervals() {
			_, err := t.exec(`INSERT INTO hold (name, table_id, start, end, since, until, owner, host, pid, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				string(o.ID), tab.id, iv.Start, iv.End, o.At, until, o.Actor.User, o.Actor.Host, o.Actor.PID, o.Reason)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// dropPast removes holds of a table that have ended by themselves.
func (t *tx) dropPast(tab *table) error {
	_, err := t.exec(`DELETE FROM hold WHERE table_id = ? AND until <= ?`, tab.id, t.ledger.opts.Now())
	return err
}

func (t *tx) unhold(o ledger.Order) (history.Seq, error) {
	tab, err := t.find(o.Table)
	if err != nil || tab == nil {
		return t.clock, err
	}
	if _, err := t.use(o.Table, o.Axis); err != nil { // of the same axis
		return 0, err
	}
	held, err := t.holdsOver(tab.id, o.Set, t.ledger)
	if err != nil || len(held) == 0 {
		return t.clock, err
	}
	claims := []ledger.Claim{{Table: o.Table, Axis: o.Axis, Set: o.Set}}
	return t.ordered(o, claims, func() error {
		t.touch(tab)
		for _, h := range held {
			for _, iv := range calendar.NewSet(h.whole).Minus(o.Set).Intervals() {
				_, err := t.exec(`INSERT INTO hold (name, table_id, start, end, since, until, owner, host, pid, reason)
					SELECT name, table_id, ?2, ?3, since, until, owner, host, pid, reason FROM hold WHERE id = ?1`, h.id, iv.Start, iv.End)
				if err != nil {
					return err
				}
			}
			if _, err := t.exec(`DELETE FROM hold WHERE id = ?`, h.id); err != nil {
				return err
			}
		}
		return t.dropPast(tab)
	})
}

func (t *tx) breakLease(o ledger.Order) (history.Seq, error) {
	if w, err := t.waiter(o.Lease); err != nil || w != nil {
		if err != nil {
			return 0, err
		}
		return t.ordered(o, w.req.Writes, func() error { return t.leave(o.Lease) })
	}
	x, err := t.leaseNamed(o.Lease)
	if err != nil {
		return 0, err
	}
	if x.ended {
		return 0, fmt.Errorf("lease %s: %w", o.Lease, ledger.ErrLost)
	}
	claims, err := t.claimsOf(x.id)
	if err != nil {
		return 0, err
	}
	return t.ordered(o, claims, func() error { return t.endLease(x) })
}

func (t *tx) stop(o ledger.Order) (history.Seq, error) {
	stored, err := t.storedRun(o.Run)
	if err != nil {
		return 0, err
	}
	if stored == nil {
		return 0, fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
	}
	if stored.Ended || stored.Stop.Asked() {
		return t.clock, nil
	}
	return t.ordered(o, stored.Sets, func() error { return t.ask(o, false) })
}

// ask stores that a run is to stop.
func (t *tx) ask(o ledger.Order, hold bool) error {
	var p packer
	p.text(o.Actor.User)
	p.text(o.Actor.Host)
	p.int(int64(o.Actor.PID))
	p.text(o.Reason)
	p.bool(hold)
	p.time(o.At)
	_, err := t.exec(`UPDATE run SET stop = ? WHERE name = ?`, p.b, string(o.Run))
	return err
}

// readStop reads what ask stored; nil is nothing.
func readStop(blob []byte) (ledger.StopRequest, error) {
	if blob == nil {
		return ledger.StopRequest{}, nil
	}
	r := reader{s: string(blob)}
	s := ledger.StopRequest{Actor: ledger.Actor{User: r.text(), Host: r.text(), PID: int(r.int())}, Reason: r.text(), Hold: r.bool(), At: r.time()}
	return s, r.err()
}

func (s *session) stopOf(run ledger.RunID) (out ledger.StopRequest, err error) {
	_, err = s.first(func(r row) (err error) { out, err = readStop(r.blob(0)); return err }, `SELECT stop FROM run WHERE name = ?`, string(run))
	return out, err
}

func (t *tx) stopHold(o ledger.Order) (history.Seq, error) {
	stored, err := t.storedRun(o.Run)
	if err != nil {
		return 0, err
	}
	if stored == nil {
		return 0, fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
	}
	ending, err := t.leasesOf(o.Run)
	if err != nil {
		return 0, err
	}
	own := make([]int64, len(ending))
	for i, x := range ending {
		own[i] = x.id
	}
	claims, err := t.claimsOf(own...)
	if err != nil {
		return 0, err
	}
	if len(claims) == 0 {
		claims = stored.Sets
	}
	overdue, err := t.holdable(claims, o.Run)
	if err != nil {
		return 0, err
	}
	return t.ordered(o, claims, func() error {
		if err := t.hold(o, claims, append(ending, overdue...)); err != nil {
			return err
		}
		if err := t.leaveOf(o.Run); err != nil || stored.Ended {
			return err
		}
		return t.ask(o, true)
	})
}

// ordered makes a change and audits it, table by table.
func (t *tx) ordered(o ledger.Order, claims []ledger.Claim, change func() error) (history.Seq, error) {
	if len(claims) == 0 {
		claims = []ledger.Claim{{}}
	}
	before := make([]string, len(claims))
	for i, c := range claims {
		on, err := t.on(c)
		if err != nil {
			return 0, err
		}
		before[i] = o.Describe(t.clock, on)
	}
	seq := t.tick()
	if err := change(); err != nil {
		return 0, err
	}
	for i, c := range claims {
		on, err := t.on(c)
		if err != nil {
			return 0, err
		}
		if err := t.audit(o.Entry(c.Table, c.Set, before[i], o.Describe(seq, on))); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// on is what stands on the partitions of a claim.
func (t *tx) on(c ledger.Claim) (out ledger.Standing, err error) {
	tab, err := t.find(c.Table)
	if err != nil || tab == nil {
		return out, err
	}
	held, err := t.holdsOver(tab.id, c.Set, t.ledger)
	if err != nil {
		return out, err
	}
	for _, h := range held {
		out.Held = out.Held.Union(h.part)
	}
	var leases []int64
	err = t.claimsOver(tab.id, c.Set, func(part calendar.Set, lease int64) {
		out.Claimed, leases = out.Claimed.Union(part), append(leases, lease)
	})
	if err != nil {
		return out, err
	}
	for _, id := range leases {
		x, err := t.lease(id)
		if err != nil {
			return out, err
		}
		out.Leases = append(out.Leases, x.name)
	}
	slices.Sort(out.Leases)
	out.Leases = slices.Compact(out.Leases)
	err = t.flightsOver(tab.id, c.Set, func(f flight) {
		if f.unsettled {
			out.Unsettled = out.Unsettled.Union(f.set)
		} else {
			out.InFlight = out.InFlight.Union(f.set)
		}
	})
	return out, err
}
