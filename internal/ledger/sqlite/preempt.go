package sqlite

import (
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// claimsTaken is what a request takes, by table.
func (t *tx) claimsTaken(all []taking) (out []ledger.Claim, err error) {
	sets := map[string]calendar.Set{}
	for _, one := range all {
		sets[one.key] = sets[one.key].Union(one.set)
	}
	for _, key := range sortedKeys(sets) {
		tab, err := t.known(key)
		if err != nil {
			return nil, err
		}
		out = append(out, ledger.Claim{Table: key, Axis: tab.axis, Set: sets[key]})
	}
	return out, nil
}

// take takes partitions from live leases. One that has nothing left ends.
func (t *tx) take(all []taking) error {
	for _, one := range all {
		tab, err := t.known(one.key)
		if err != nil {
			return err
		}
		if err := t.takeFrom(one.from, tab, one.set); err != nil {
			return err
		}
		if err := t.endEmpty(one.from); err != nil {
			return err
		}
	}
	return nil
}

// notePreempted keeps what a lease that was just granted has taken.
func (t *tx) notePreempted(req ledger.LeaseRequest, all []taking) error {
	for _, one := range all {
		tab, err := t.known(one.key)
		if err != nil {
			return err
		}
		tab.whole = false
		for _, iv := range one.set.Intervals() {
			_, err := t.exec(`INSERT INTO preemption (run, table_id, start, end, token, by, at, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				string(one.from.run), tab.id, iv.Start, iv.End, tab.token, string(req.Run), t.ledger.opts.Now(), req.Reason)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// republished notes that an attempt has published what was taken before it began.
func (t *tx) republished(tab *table, a *attempt, set calendar.Set) error {
	if set.Empty() || tab.whole {
		return nil
	}
	some, err := t.first(func(row) error { return nil }, `SELECT 1 FROM preemption WHERE table_id = ? LIMIT 1`, tab.id)
	tab.whole = err == nil && !some
	if err != nil || !some {
		return err
	}
	type stored struct {
		id    int64
		whole calendar.Interval
	}
	var all []stored
	over := set.Bounds()
	err = t.query(func(r row) error {
		if iv := r.interval(1); !set.Within(iv).Empty() {
			all = append(all, stored{r.int(0), iv})
		}
		return nil
	}, `SELECT id, start, end FROM preemption WHERE table_id = ? AND start < ? AND end > ? AND token < ?`, tab.id, over.End, over.Start, a.Token)
	if err != nil {
		return err
	}
	for _, p := range all {
		for _, iv := range calendar.NewSet(p.whole).Minus(set).Intervals() {
			_, err := t.exec(`INSERT INTO preemption (run, table_id, start, end, token, by, at, reason)
				SELECT run, table_id, ?2, ?3, token, by, at, reason FROM preemption WHERE id = ?1`, p.id, iv.Start, iv.End)
			if err != nil {
				return err
			}
		}
		if _, err := t.exec(`DELETE FROM preemption WHERE id = ?`, p.id); err != nil {
			return err
		}
	}
	return nil
}

// preemptedOf is what was taken from a run and nobody has published since.
func (s *session) preemptedOf(run ledger.RunID) (out []ledger.Preemption, err error) {
	err = s.query(func(r row) error {
		out = append(out, ledger.Preemption{
			Table: r.text(0), Axis: calendar.Axis{Grain: calendar.Grain(r.int(1)), Zone: r.text(2)}, //nolint:gosec // as written
			Set: calendar.NewSet(r.interval(3)), By: ledger.RunID(r.text(5)), At: r.time(6), Reason: r.text(7),
		})
		return nil
	}, `SELECT t.key, t.grain, t.zone, p.start, p.end, p.by, p.at, p.reason FROM preemption p JOIN tables t ON t.id = p.table_id
		WHERE p.run = ?`, string(run))
	return ledger.MergePreemptions(out), err
}
