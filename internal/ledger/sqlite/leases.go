package sqlite

import (
	"context"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A holdRow is a stretch of a hold that stands.
type holdRow struct {
	id    int64
	whole calendar.Interval
	part  calendar.Set // as much of it as was asked about
	ledger.LeaseRecord
}

const selectHolds = `SELECT h.id, h.name, h.start, h.end, h.since, h.until, h.owner, h.host, h.pid, h.reason, t.key, t.grain, t.zone
	FROM hold h JOIN tables t ON t.id = h.table_id WHERE (h.until IS NULL OR h.until > ?1) `

func (h *holdRow) read(r row) {
	*h = holdRow{id: r.int(0), whole: r.interval(2), LeaseRecord: ledger.LeaseRecord{
		ID: ledger.LeaseID(r.text(1)), Class: ledger.ClassFix, Since: r.time(4), Reason: r.text(9),
		Holder: ledger.Holder{User: r.text(6), Host: r.text(7), PID: int(r.int(8))},
	}}
	if r[5] != nil {
		h.Until = r.time(5)
	}
}

// holdsOver finds the holds that stand over a set.
func (s *session) holdsOver(table int64, set calendar.Set, l *Ledger) (out []holdRow, err error) {
	over := set.Bounds()
	err = s.query(func(r row) error {
		var h holdRow
		h.read(r)
		if h.part = set.Within(h.whole); !h.part.Empty() {
			out = append(out, h)
		}
		return nil
	}, selectHolds+`AND h.table_id = ?2 AND h.start < ?3 AND h.end > ?4 ORDER BY h.id`, l.opts.Now(), table, over.End, over.Start)
	return out, err
}

// heldConflicts names the holds over what a request would write.
func (v look) heldConflicts(wants []want) ([]ledger.Conflict, error) {
	var out []ledger.Conflict
	for _, w := range wants {
		if !w.write {
			continue
		}
		held, err := v.holdsOver(w.table, w.set, v.ledger)
		if err != nil {
			return nil, err
		}
		at := map[ledger.LeaseID]int{}
		for _, h := range held {
			i, ok := at[h.ID]
			if !ok {
				i = len(out)
				at[h.ID] = i
				out = append(out, ledger.Conflict{
					Lease: h.ID, Class: h.Class, Table: w.key, Holder: h.Holder, Since: h.Since, Hold: true, Reason: h.Reason,
				})
			}
			out[i].Overlap = out[i].Overlap.Union(h.part)
		}
	}
	return out, nil
}

// claimsOf is what leases claim together, by table.
func (s *session) claimsOf(leases ...int64) (out []ledger.Claim, err error) {
	sets := map[string][]calendar.Interval{}
	axes := map[string]calendar.Axis{}
	for _, id := range leases {
		err := s.query(func(r row) error {
			key := r.text(0)
			axes[key] = calendar.Axis{Grain: calendar.Grain(r.int(1)), Zone: r.text(2)} //nolint:gosec // as written
			sets[key] = append(sets[key], r.interval(3))
			return nil
		}, `SELECT t.key, t.grain, t.zone, c.start, c.end FROM claim c JOIN tables t ON t.id = c.table_id WHERE c.lease_id = ?`, id)
		if err != nil {
			return nil, err
		}
	}
	for _, key := range sortedKeys(sets) {
		out = append(out, ledger.Claim{Table: key, Axis: axes[key], Set: calendar.NewSet(sets[key]...)})
	}
	return out, nil
}

// leasesOf are the leases of a run that nobody has ended.
func (s *session) leasesOf(run ledger.RunID) (out []*lease, err error) {
	err = s.query(func(r row) error {
		var x lease
		x.read(r)
		out = append(out, &x)
		return nil
	}, selectLease+`WHERE ended = 0 AND run = ? ORDER BY name`, string(run))
	return out, err
}

// Leases lists leases and holds.
func (l *Ledger) Leases(ctx context.Context, f ledger.LeaseFilter) (out []ledger.LeaseRecord, err error) {
	err = l.read(ctx, func(s *session) (err error) {
		out = nil
		if !f.Holds {
			if out, err = l.liveLeases(s, f); err != nil {
				return err
			}
			if f.Waiting {
				waiting, err := look{session: s, ledger: l}.waiters(f)
				if err != nil {
					return err
				}
				out = append(out, waiting...)
			}
		}
		if f.Run != "" {
			return nil
		}
		held, err := l.holds(s, f)
		out = append(out, held...)
		return err
	})
	ledger.SortLeases(out)
	return out[:min(len(out), f.Most())], err
}

func (l *Ledger) liveLeases(s *session, f ledger.LeaseFilter) ([]ledger.LeaseRecord, error) {
	where, args := []string{"ended = 0"}, []any(nil)
	add := func(condition string, arg string) {
		if arg != "" {
			where, args = append(where, condition), append(args, arg)
		}
	}
	add("name = ?", string(f.ID))
	add("run = ?", string(f.Run))
	add("id IN (SELECT c.lease_id FROM claim c JOIN tables t ON t.id = c.table_id WHERE t.key = ?)", f.Table)
	args = append(args, f.Most())
	var live []lease
	err := s.query(func(r row) error {
		var x lease
		x.read(r)
		x.tokens = append([]byte(nil), x.tokens...)
		live = append(live, x)
		return nil
	}, selectLease+"WHERE "+strings.Join(where, " AND ")+" ORDER BY since, name LIMIT ?", args...)
	if err != nil {
		return nil, err
	}
	out := make([]ledger.LeaseRecord, 0, len(live))
	for i := range live {
		x := &live[i]
		r := ledger.LeaseRecord{
			ID: x.name, Run: x.run, Class: x.class, Holder: x.holder, Since: x.since, Left: x.deadline - l.opts.Machine.Clock(), Over: l.over(x),
			Reason: x.reason, Tokens: map[string]history.Token{},
		}
		rd := reader{s: string(x.tokens)}
		for range rd.count() {
			key := rd.text()
			r.Tokens[key] = history.Token(rd.int())
		}
		if err := rd.err(); err != nil {
			return nil, err
		}
		if r.Writes, err = s.claimsOf(x.id); err != nil {
			return nil, err
		}
		if r.Stop, err = s.stopOf(x.run); err != nil {
			return nil, err
		}
		if r.Paused, err = s.pausedOf(x.run); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// holds lists the holds that stand.
func (l *Ledger) holds(s *session, f ledger.LeaseFilter) ([]ledger.LeaseRecord, error) {
	type whole struct {
		ledger.LeaseRecord
		sets map[string][]calendar.Interval
		axes map[string]calendar.Axis
	}
	all := map[ledger.LeaseID]*whole{}
	err := s.query(func(r row) error {
		var h holdRow
		h.read(r)
		w := all[h.ID]
		if w == nil {
			w = &whole{h.LeaseRecord, map[string][]calendar.Interval{}, map[string]calendar.Axis{}}
			all[h.ID] = w
		}
		key := r.text(10)
		w.sets[key] = append(w.sets[key], h.whole)
		w.axes[key] = calendar.Axis{Grain: calendar.Grain(r.int(11)), Zone: r.text(12)} //nolint:gosec // as written
		return nil
	}, selectHolds+"ORDER BY h.id", l.opts.Now())
	var out []ledger.LeaseRecord
	for _, id := range sortedKeys(all) {
		w := all[id]
		for _, key := range sortedKeys(w.sets) {
			w.Writes = append(w.Writes, ledger.Claim{Table: key, Axis: w.axes[key], Set: calendar.NewSet(w.sets[key]...)})
		}
		if f.Matches(w.LeaseRecord) {
			out = append(out, w.LeaseRecord)
		}
	}
	return out, err
}

// Renew extends leases.
func (l *Ledger) Renew(ctx context.Context, ids []ledger.LeaseID) (live []ledger.LeaseID, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		live, err = t.renew(ids)
		return err
	})
	return live, err
}

func (t *tx) renew(ids []ledger.LeaseID) ([]ledger.LeaseID, error) {
	var live []ledger.LeaseID
	machine := t.ledger.opts.Machine
	for _, id := range ids {
		var x lease
		found, err := t.first(func(r row) error { x.read(r); return nil }, selectLease+`WHERE name = ?`, string(id))
		if err != nil {
			return nil, err
		}
		if !found || x.ended || !machine.Renewable(x.holder) {
			continue
		}
		over, waited := t.over(&x), false
		if over {
			if waited, err = t.waitedFor(&x); err != nil {
				return nil, err
			}
		}
		if waited {
			if err := t.endLease(&x); err != nil {
				return nil, err
			}
			continue
		}
		stop, err := t.stopOf(x.run)
		if err != nil {
			return nil, err
		}
		if stop.Asked() {
			if !over {
				live = append(live, id)
			}
			continue
		}
		if over { // it was shown as ended
			if err := t.touchClaimed(&x); err != nil {
				return nil, err
			}
		}
		if _, err := t.exec(`UPDATE lease SET deadline = ?2 WHERE id = ?1`, x.id, machine.Clock()+x.ttl); err != nil {
			return nil, err
		}
		live = append(live, id)
	}
	return live, nil
}
