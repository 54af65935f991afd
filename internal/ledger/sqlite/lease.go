package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A lease as it is stored. Its claims and readings lie in tables of their own, for as long as it lives.
type lease struct {
	id       int64
	name     ledger.LeaseID
	run      ledger.RunID
	class    ledger.Class
	ended    bool
	deadline time.Duration
	ttl      time.Duration
	since    time.Time
	holder   ledger.Holder
	reason   string
	tokens   []byte
}

const selectLease = `SELECT id, name, run, class, ended, deadline, ttl, since, host, boot, pid, started, owner, reason, tokens FROM lease `

func (x *lease) read(r row) {
	*x = lease{
		id: r.int(0), name: ledger.LeaseID(r.text(1)), run: ledger.RunID(r.text(2)), class: ledger.Class(r.text(3)), ended: r.bool(4),
		deadline: time.Duration(r.int(5)), ttl: time.Duration(r.int(6)), since: r.time(7),
		holder: ledger.Holder{Host: r.text(8), Boot: r.text(9), PID: int(r.int(10)), Start: r.int(11), User: r.text(12)},
		reason: r.text(13), tokens: r.blob(14),
	}
}

// over reports whether a lease is live no longer though nobody has ended it yet.
func (l *Ledger) over(x *lease) bool {
	return !x.ended && l.opts.Machine.Ended(x.holder, x.deadline)
}

func (s *session) leaseNamed(name ledger.LeaseID) (*lease, error) {
	var x lease
	found, err := s.first(func(r row) error { x.read(r); return nil }, selectLease+`WHERE name = ?`, string(name))
	if err == nil && !found {
		err = fmt.Errorf("lease %s: %w", name, ledger.ErrNotFound)
	}
	return &x, err
}

func (s *session) lease(id int64) (*lease, error) {
	var x lease
	_, err := s.first(func(r row) error { x.read(r); return nil }, selectLease+`WHERE id = ?`, id)
	return &x, err
}

// Acquire grants a lease.
func (l *Ledger) Acquire(ctx context.Context, req ledger.LeaseRequest) (out *ledger.Lease, err error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	var queued error // who is refused and waits is to be committed
	err = l.write(ctx, func(t *tx) (err error) {
		out, queued, err = t.acquire(req)
		return err
	})
	if err == nil {
		err = queued
	}
	return out, err
}

func (t *tx) acquire(req ledger.LeaseRequest) (out *ledger.Lease, queued, err error) {
	var x lease
	found, err := t.first(func(r row) error { x.read(r); return nil }, selectLease+`WHERE name = ?`, string(req.ID))
	if err != nil {
		return nil, nil, err
	}
	if found {
		if x.ended {
			return nil, nil, fmt.Errorf("lease %s: %w", req.ID, ledger.ErrLost)
		}
		out, err = t.answer(&x)
		return out, nil, err
	}
	if err := t.mayWait(req); err != nil {
		return nil, nil, err
	}
	wants, err := t.wants(req)
	if err != nil {
		return nil, nil, err
	}
	way, err := t.inTheWay(req.Run, wants)
	if err != nil {
		return nil, nil, err
	}
	r, err := t.rule(req, wants, way)
	if err != nil {
		return nil, nil, err
	}
	if len(r.conflicts) > 0 {
		queued, err = t.wait(req, wants, &ledger.ConflictError{Conflicts: r.conflicts})
		return nil, queued, err
	}
	if err := way.demandSettled(req, r); err != nil {
		return nil, nil, err
	}
	out, err = t.makeWay(req, r)
	return out, nil, err
}

// makeWay ends what is over and takes what the request takes, and grants it.
func (t *tx) makeWay(req ledger.LeaseRequest, r ruling) (out *ledger.Lease, err error) {
	grant := func() error {
		for _, x := range r.ending {
			if err := t.endLease(x); err != nil {
				return err
			}
		}
		if err := t.take(r.taken); err != nil {
			return err
		}
		if err := t.leave(req.ID); err != nil {
			return err
		}
		lease, err := t.grant(req)
		if err != nil {
			return err
		}
		out = lease
		return t.notePreempted(req, r.taken)
	}
	if len(r.taken) == 0 {
		err := grant()
		return out, err
	}
	claims, err := t.claimsTaken(r.taken)
	if err != nil {
		return nil, err
	}
	_, err = t.ordered(req.Taking(t.ledger.opts.Now()), claims, grant)
	return out, err
}

// endLease ends a lease: what it has in flight becomes unsettled, the rest is free.
func (t *tx) endLease(x *lease) error {
	t.rights = rights{}
	if err := t.touchClaimed(x); err != nil {
		return err
	}
	for _, query := range []string{
		`UPDATE flight SET unsettled = 1 WHERE lease_id = ?`, `DELETE FROM claim WHERE lease_id = ?`, `DELETE FROM reading WHERE lease_id = ?`,
		`UPDATE lease SET ended = 1 WHERE id = ?`,
	} {
		if _, err := t.exec(query, x.id); err != nil {
			return err
		}
	}
	return nil
}

// touchClaimed marks the tables that a lease still claims as changed.
func (t *tx) touchClaimed(x *lease) error {
	var keys []string
	err := t.query(func(r row) error { keys = append(keys, r.text(0)); return nil },
		`SELECT key FROM tables WHERE id IN (SELECT table_id FROM claim WHERE lease_id = ?)`, x.id)
	if err != nil {
		return err
	}
	for _, key := range keys {
		tab, err := t.known(key)
		if err != nil {
			return err
		}
		t.touch(tab)
	}
	return nil
}

// grant stores a lease.
func (t *tx) grant(req ledger.LeaseRequest) (*ledger.Lease, error) {
	t.tick()
	var tokens packer
	tokens.count(len(req.Writes))
	tables := make([]*table, len(req.Writes))
	for i, c := range req.Writes {
		tab, err := t.known(c.Table)
		if err != nil {
			return nil, err
		}
		if err := t.dropPast(tab); err != nil {
			return nil, err
		}
		t.touch(tab)
		tables[i] = tab
		tokens.text(c.Table)
		tokens.int(int64(t.draw(tab)))
	}
	x := lease{
		name: req.ID, run: req.Run, class: req.Class, deadline: t.ledger.opts.Machine.Clock() + req.TTL, ttl: req.TTL, since: t.ledger.opts.Now(),
		holder: req.Holder, reason: req.Reason, tokens: tokens.b,
	}
	h := x.holder
	_, err := t.first(func(r row) error { x.id = r.int(0); return nil },
		`INSERT INTO lease (name, run, class, ended, deadline, ttl, since, host, boot, pid, started, owner, reason, tokens)
		VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		string(x.name), string(x.run), string(x.class), x.deadline, x.ttl, x.since, h.Host, h.Boot, h.PID, h.Start, h.User, x.reason, x.tokens)
	if err != nil {
		return nil, err
	}
	for i, c := range req.Writes {
		for _, iv := range c.Set.Intervals() {
			if _, err := t.exec(`INSERT INTO claim (table_id, start, end, lease_id) VALUES (?, ?, ?, ?)`, tables[i].id, iv.Start, iv.End, x.id); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range req.Reads {
		tab, err := t.known(c.Table)
		if err != nil {
			return nil, err
		}
		if err := t.putReadings(x.id, tab, c.Set); err != nil {
			return nil, err
		}
	}
	return t.answer(&x)
}

func (t *tx) putReadings(lease int64, tab *table, set calendar.Set) error {
	tab.unread = false
	for _, iv := range set.Intervals() {
		_, err := t.exec(`INSERT INTO reading (lease_id, table_id, start, end) VALUES (?, ?, ?, ?)`, lease, tab.id, iv.Start, iv.End)
		if err != nil {
			return err
		}
	}
	return nil
}

// answer is a lease as its holder gets it.
func (t *tx) answer(x *lease) (*ledger.Lease, error) {
	out := &ledger.Lease{ID: x.name, Run: x.run, TTL: x.ttl, Tokens: map[string]history.Token{}}
	r := reader{s: string(x.tokens)}
	var keys []string
	for range r.count() {
		key := r.text()
		keys = append(keys, key)
		out.Tokens[key] = history.Token(r.int())
	}
	if err := r.err(); err != nil {
		return out, err
	}
	left := map[string][]calendar.Interval{}
	err := t.query(func(r row) error {
		over := r.interval(1).Intersect(r.interval(3))
		left[r.text(0)] = append(left[r.text(0)], over)
		return nil
	}, `SELECT t.key, f.start, f.end, c.start, c.end FROM flight f JOIN tables t ON t.id = f.table_id
		JOIN claim c ON c.table_id = f.table_id AND c.lease_id = ? AND c.start < f.end AND c.end > f.start WHERE f.unsettled = 1`, x.id)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if len(left[key]) == 0 {
			continue
		}
		tab, err := t.known(key)
		if err != nil {
			return nil, err
		}
		out.Settle = append(out.Settle, ledger.Claim{Table: key, Axis: tab.axis, Set: calendar.NewSet(left[key]...)})
	}
	return out, nil
}
