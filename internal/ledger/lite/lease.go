package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Acquire grants all claims or none.
func (l *Ledger) Acquire(ctx context.Context, req ledger.LeaseRequest) (lease *ledger.Lease, err error) {
	if req.ID == "" || req.TTL <= 0 || len(req.Writes)+len(req.Reads) == 0 {
		return nil, errors.New("a lease needs an id, a time to live and at least one claim")
	}
	// Expiring others must last even if this request is then refused, so it is a transaction of its own.
	if err := l.do(ctx, func(t *txn) error { return t.expire() }); err != nil {
		return nil, err
	}
	err = l.do(ctx, func(t *txn) error {
		var err error
		lease, err = t.acquire(req)
		return err
	})
	return lease, err
}

func (t *txn) acquire(req ledger.LeaseRequest) (*ledger.Lease, error) {
	var answer string
	var active bool
	switch err := t.row(`SELECT answer, active FROM lease WHERE id = ?`, []any{req.ID}, &answer, &active); {
	case err == nil && !active:
		return nil, fmt.Errorf("lease %s: %w", req.ID, ledger.ErrLost)
	case err == nil:
		var again ledger.Lease
		return &again, json.Unmarshal([]byte(answer), &again)
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	lease := &ledger.Lease{ID: req.ID, Run: req.Run, TTL: req.TTL, Tokens: map[string]history.Token{}}
	conflict := &ledger.ConflictError{}
	// Sorted, so that every request looks at tables in the same order.
	writes := slices.Clone(req.Writes)
	slices.SortFunc(writes, func(a, b ledger.Claim) int {
		if a.Table < b.Table {
			return -1
		}
		return 1
	})
	for _, c := range writes {
		r, err := t.table(c.Table, c.Axis)
		if err != nil {
			return nil, err
		}
		if err := t.conflicts(r.id, c, conflict); err != nil {
			return nil, err
		}
		left, err := t.unsettled(r.id)
		if err != nil {
			return nil, err
		}
		if left = left.Intersect(c.Set); !left.Empty() {
			lease.Settle = append(lease.Settle, ledger.Claim{Table: c.Table, Axis: c.Axis, Set: left})
		}
	}
	if err := t.readConflicts(req, conflict); err != nil {
		return nil, err
	}
	if len(conflict.Conflicts) > 0 {
		return nil, conflict
	}
	if len(lease.Settle) > 0 && !req.Settles {
		c := lease.Settle[0]
		return nil, fmt.Errorf("%d partitions of %s: %w", c.Set.Count(), c.Table, ledger.ErrUnsettled)
	}
	return lease, t.grant(req, writes, lease)
}

// grant stores a lease that nothing stands in the way of.
func (t *txn) grant(req ledger.LeaseRequest, writes []ledger.Claim, lease *ledger.Lease) error {
	for _, c := range writes {
		r, err := t.find(c.Table)
		if err != nil {
			return err
		}
		token, err := t.token(r.id)
		if err != nil {
			return err
		}
		lease.Tokens[c.Table] = token
		for _, iv := range c.Set.Intervals() {
			if err := t.exec(`INSERT INTO claim VALUES (?,?,?,?)`, r.id, iv.Start, iv.End, req.ID); err != nil {
				return err
			}
		}
	}
	answer, err := encodeJSON(lease)
	if err != nil {
		return err
	}
	holder, err := encodeJSON(req.Holder)
	if err != nil {
		return err
	}
	o := &t.ledger.opts
	return t.exec(`INSERT INTO lease VALUES (?,?,?,1,?,?,?,?,?,?)`, req.ID, req.Run, string(req.Class), int64(req.TTL),
		int64(o.Machine.Clock()+req.TTL), holder, encodeTime(o.Now()), req.Reason, answer)
}

// token draws a table's next fencing token.
func (t *txn) token(tbl int64) (token history.Token, err error) {
	err = t.row(`UPDATE tbl SET token = token + 1 WHERE id = ? RETURNING token`, []any{tbl}, &token)
	return token, err
}

// conflicts adds the leases that hold partitions of a claim.
func (t *txn) conflicts(tbl int64, c ledger.Claim, to *ledger.ConflictError) error {
	overlaps := map[string][]calendar.Interval{}
	var order []string
	for _, iv := range c.Set.Intervals() {
		err := t.rows(`SELECT start, "end", lease FROM claim`+fmt.Sprintf(overlapping, "claim"), []any{tbl, iv.Start, iv.End}, func(scan func(...any) error) error {
			var held calendar.Interval
			var id string
			err := scan(&held.Start, &held.End, &id)
			if overlaps[id] == nil {
				order = append(order, id)
			}
			overlaps[id] = append(overlaps[id], held.Intersect(iv))
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, id := range order {
		one, err := t.conflict(id)
		if err != nil {
			return err
		}
		one.Table, one.Overlap = c.Table, calendar.NewSet(overlaps[id]...)
		to.Conflicts = append(to.Conflicts, one)
	}
	return nil
}

// conflict tells who has a lease.
func (t *txn) conflict(id string) (ledger.Conflict, error) {
	out := ledger.Conflict{Lease: ledger.LeaseID(id)}
	var holder string
	var since int64
	err := t.row(`SELECT run, class, holder, since, reason FROM lease WHERE id = ?`, []any{id}, &out.Run, &out.Class, &holder, &since, &out.Reason)
	if err != nil {
		return out, err
	}
	out.Since = decodeTime(since)
	if err := json.Unmarshal([]byte(holder), &out.Holder); err != nil {
		return out, err
	}
	var record string
	if err := t.row(`SELECT record FROM run WHERE id = ?`, []any{out.Run}, &record); err == nil {
		r, err := unpackRun(record)
		if err != nil {
			return out, err
		}
		out.Command, out.Done, out.Total = r.Command, r.Done, r.Total
	} else if !errors.Is(err, sql.ErrNoRows) {
		return out, err
	}
	return out, nil
}

// readConflicts adds what other runs are writing right now, or have left unsettled, of what the request reads (I1).
func (t *txn) readConflicts(req ledger.LeaseRequest, to *ledger.ConflictError) error {
	for _, c := range req.Reads {
		r, err := t.table(c.Table, c.Axis)
		if err != nil {
			return err
		}
		type writing struct {
			run, lease, set, open string
		}
		var all []writing
		err = t.rows(`SELECT run, lease, "set", open FROM attempt WHERE tbl = ? AND state IN ('running', 'unsettled')`, []any{r.id}, func(scan func(...any) error) error {
			var w writing
			err := scan(&w.run, &w.lease, &w.set, &w.open)
			all = append(all, w)
			return err
		})
		if err != nil {
			return err
		}
		for _, w := range all {
			set, err := decodeSet(w.set)
			if err != nil {
				return err
			}
			if set = set.Intersect(c.Set); set.Empty() || w.run == string(req.Run) {
				continue
			}
			one, err := t.conflict(w.lease)
			if err != nil {
				return err
			}
			one.Table, one.Overlap = c.Table, set
			to.Conflicts = append(to.Conflicts, one)
		}
	}
	return nil
}

// expire ends the leases whose time is over or whose holder is known to be dead. A live lease of another machine is never judged by this
// one's clock (rule 8).
func (t *txn) expire() error {
	var over []string
	err := t.rows(`SELECT id, deadline, holder FROM lease WHERE active = 1`, nil, func(scan func(...any) error) error {
		var id, text string
		var deadline int64
		if err := scan(&id, &deadline, &text); err != nil {
			return err
		}
		var h ledger.Holder
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			return err
		}
		if t.ledger.opts.Machine.Ended(h, time.Duration(deadline)) {
			over = append(over, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range over {
		if err := t.endLease(id); err != nil {
			return err
		}
	}
	return nil
}

// endLease ends a lease: what it had in flight is unsettled until somebody has fenced it and looked (rule 2), the rest is free.
func (t *txn) endLease(id string) error {
	if err := t.exec(`UPDATE lease SET active = 0 WHERE id = ?`, id); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM claim WHERE lease = ?`, id); err != nil {
		return err
	}
	return t.unsettle(id, calendar.All(), 0)
}

// unsettle makes the running attempts of a lease that touch the set unsettled; tbl 0 is every table.
func (t *txn) unsettle(lease string, set calendar.Set, tbl int64) error {
	type running struct {
		id, set string
		tbl     int64
	}
	var all []running
	err := t.rows(`SELECT id, "set", tbl FROM attempt WHERE lease = ? AND state = 'running'`, []any{lease}, func(scan func(...any) error) error {
		var r running
		err := scan(&r.id, &r.set, &r.tbl)
		if tbl == 0 || tbl == r.tbl {
			all = append(all, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		own, err := decodeSet(r.set)
		if err != nil {
			return err
		}
		if !own.Overlaps(set) {
			continue
		}
		if err := t.exec(`UPDATE attempt SET state = 'unsettled', open = "set" WHERE id = ?`, r.id); err != nil {
			return err
		}
		if err := t.touch(r.tbl); err != nil {
			return err
		}
	}
	return nil
}

// unsettled is what attempts of ended leases have left open in a table.
func (t *txn) unsettled(tbl int64) (calendar.Set, error) {
	var sets []calendar.Set
	err := t.rows(`SELECT open FROM attempt WHERE tbl = ? AND state = 'unsettled'`, []any{tbl}, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		set, err := decodeSet(text)
		sets = append(sets, set)
		return err
	})
	return calendar.UnionAll(sets...), err
}

// Renew extends the leases that are still live.
func (l *Ledger) Renew(ctx context.Context, leases []ledger.LeaseID) (live []ledger.LeaseID, err error) {
	err = l.do(ctx, func(t *txn) error {
		live = nil
		for _, id := range leases {
			var ttl int64
			err := t.row(`SELECT ttl FROM lease WHERE id = ? AND active = 1`, []any{id}, &ttl)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if err := t.exec(`UPDATE lease SET deadline = ? WHERE id = ?`, int64(t.ledger.opts.Machine.Clock())+ttl, id); err != nil {
				return err
			}
			live = append(live, id)
		}
		return nil
	})
	return live, err
}

// Release gives partitions back.
func (l *Ledger) Release(ctx context.Context, lease ledger.LeaseID, claims []ledger.Claim) error {
	return l.do(ctx, func(t *txn) error {
		if claims == nil {
			return t.endLease(string(lease))
		}
		for _, c := range claims {
			r, err := t.find(c.Table)
			if errors.Is(err, ledger.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			held, err := t.claimed(string(lease), r.id)
			if err != nil {
				return err
			}
			if !held.Overlaps(c.Set) {
				continue
			}
			if err := t.unsettle(string(lease), c.Set.Intersect(held), r.id); err != nil {
				return err
			}
			if err := t.exec(`DELETE FROM claim WHERE lease = ? AND tbl = ?`, string(lease), r.id); err != nil {
				return err
			}
			for _, iv := range held.Minus(c.Set).Intervals() {
				if err := t.exec(`INSERT INTO claim VALUES (?,?,?,?)`, r.id, iv.Start, iv.End, string(lease)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// claimed is what an active lease holds of a table.
func (t *txn) claimed(lease string, tbl int64) (calendar.Set, error) {
	var ivs []calendar.Interval
	err := t.rows(`SELECT start, "end" FROM claim WHERE lease = ? AND tbl = ?`, []any{lease, tbl}, func(scan func(...any) error) error {
		var iv calendar.Interval
		err := scan(&iv.Start, &iv.End)
		ivs = append(ivs, iv)
		return err
	})
	return calendar.NewSet(ivs...), err
}

// Settle folds what was found in the warehouse into the ledger.
func (l *Ledger) Settle(ctx context.Context, lease ledger.LeaseID, table string, set calendar.Set, found []ledger.Commit) (seq history.Seq, err error) {
	err = l.do(ctx, func(t *txn) error {
		r, err := t.find(table)
		if err != nil {
			return err
		}
		held, err := t.claimed(string(lease), r.id)
		if err != nil {
			return err
		}
		if !held.Covers(set) {
			return fmt.Errorf("lease %s does not hold what is to be settled of %s: %w", lease, table, ledger.ErrLost)
		}
		for _, c := range found {
			if _, err := t.record(c); err != nil {
				return err
			}
		}
		if err := t.close(r.id, set); err != nil {
			return err
		}
		if seq = t.seq; seq == 0 {
			seq, err = t.clock()
		}
		return err
	})
	return seq, err
}

// close takes a set out of what is unsettled. An attempt of which nothing is open any more has ended: lost, unless it was recorded.
func (t *txn) close(tbl int64, set calendar.Set) error {
	type open struct{ id, open string }
	var all []open
	err := t.rows(`SELECT id, open FROM attempt WHERE tbl = ? AND state = 'unsettled'`, []any{tbl}, func(scan func(...any) error) error {
		var o open
		err := scan(&o.id, &o.open)
		all = append(all, o)
		return err
	})
	if err != nil {
		return err
	}
	for _, o := range all {
		was, err := decodeSet(o.open)
		if err != nil {
			return err
		}
		left := was.Minus(set)
		if left.Equal(was) {
			continue
		}
		state := "unsettled"
		if left.Empty() {
			state = "lost"
		}
		if err := t.exec(`UPDATE attempt SET state = ?, open = ?, ended = ?, reason = 'its lease ended before it said what it did' WHERE id = ?`,
			state, encodeSet(left), encodeTime(t.ledger.wall()), o.id); err != nil {
			return err
		}
		if err := t.touch(tbl); err != nil {
			return err
		}
	}
	return nil
}
