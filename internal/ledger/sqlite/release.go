package sqlite

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// Release gives partitions back.
func (l *Ledger) Release(ctx context.Context, id ledger.LeaseID, claims []ledger.Claim) error {
	return l.write(ctx, func(t *tx) error { return t.release(id, claims) })
}

func (t *tx) release(id ledger.LeaseID, claims []ledger.Claim) error {
	var x lease
	found, err := t.first(func(r row) error { x.read(r); return nil }, selectLease+`WHERE name = ?`, string(id))
	if err == nil && !found && claims == nil {
		return t.leave(id)
	}
	if err != nil || !found || x.ended {
		return err
	}
	if claims == nil {
		return t.endLease(&x)
	}
	for _, c := range claims {
		tab, err := t.find(c.Table)
		if err != nil {
			return err
		}
		if tab == nil {
			continue
		}
		if err := t.giveBack(&x, tab, c.Set); err != nil {
			return err
		}
	}
	return t.endEmpty(&x)
}

// endEmpty ends a lease that has nothing any more.
func (t *tx) endEmpty(x *lease) error {
	_, err := t.exec(`UPDATE lease SET ended = 1 WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM claim WHERE lease_id = ?1)
		AND NOT EXISTS (SELECT 1 FROM reading WHERE lease_id = ?1)`, x.id)
	return err
}

// giveBack takes a set out of what a lease has of a table.
func (t *tx) giveBack(x *lease, tab *table, set calendar.Set) error {
	var read []calendar.Interval
	err := t.query(func(r row) error { read = append(read, r.interval(0)); return nil },
		`SELECT start, end FROM reading WHERE lease_id = ? AND table_id = ?`, x.id, tab.id)
	if err != nil {
		return err
	}
	if has := calendar.NewSet(read...); has.Overlaps(set) {
		if _, err := t.exec(`DELETE FROM reading WHERE lease_id = ? AND table_id = ?`, x.id, tab.id); err != nil {
			return err
		}
		if err := t.putReadings(x.id, tab, has.Minus(set)); err != nil {
			return err
		}
	}
	return t.takeFrom(x, tab, set)
}

// takeFrom takes what a lease has claimed of a set: what is in flight there becomes unsettled.
func (t *tx) takeFrom(x *lease, tab *table, set calendar.Set) error {
	var back, whole []calendar.Interval
	over := set.Bounds()
	err := t.query(func(r row) error {
		if part := set.Within(r.interval(0)); r.int(2) == x.id && !part.Empty() {
			back, whole = append(back, part.Intervals()...), append(whole, r.interval(0))
		}
		return nil
	}, selectClaims, tab.id, over.Start, over.End)
	if err != nil || len(back) == 0 {
		return err
	}
	t.touch(tab)
	for _, iv := range whole {
		if _, err := t.exec(`DELETE FROM claim WHERE table_id = ? AND start = ?`, tab.id, iv.Start); err != nil {
			return err
		}
	}
	for _, iv := range calendar.NewSet(whole...).Minus(set).Intervals() {
		_, err := t.exec(`INSERT INTO claim (table_id, start, end, lease_id) VALUES (?, ?, ?, ?)`, tab.id, iv.Start, iv.End, x.id)
		if err != nil {
			return err
		}
	}
	return t.moveFlights(tab, calendar.NewSet(back...), func(f flight) (keep, unsettled bool) {
		return f.lease == x.id && !f.unsettled, true
	})
}

// moveFlights makes the parts of flights over a set unsettled, or ends them. which says of a flight whether it is meant, and whether its
// part is to be unsettled.
func (t *tx) moveFlights(tab *table, set calendar.Set, which func(flight) (meant, unsettled bool)) error {
	var all []flight
	t.rights = rights{}
	if err := t.flightsOver(tab.id, set, func(f flight) { all = append(all, f) }); err != nil {
		return err
	}
	for _, f := range all {
		meant, unsettled := which(f)
		if !meant {
			continue
		}
		if _, err := t.exec(`DELETE FROM flight WHERE table_id = ? AND start = ?`, tab.id, f.whole.Start); err != nil {
			return err
		}
		rest := calendar.NewSet(f.whole).Minus(f.set)
		if err := t.putFlights(tab.id, f, rest, f.unsettled); err != nil {
			return err
		}
		if unsettled {
			if err := t.putFlights(tab.id, f, f.set, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) putFlights(table int64, f flight, set calendar.Set, unsettled bool) error {
	for _, iv := range set.Intervals() {
		_, err := t.exec(`INSERT INTO flight (table_id, start, end, attempt_id, lease_id, unsettled) VALUES (?, ?, ?, ?, ?, ?)`,
			table, iv.Start, iv.End, f.attempt, f.lease, unsettled)
		if err != nil {
			return err
		}
	}
	return nil
}
