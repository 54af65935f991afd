package sqlite

import (
	"errors"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// A waiter is a request in the queue as it is stored. What it waits for lies in a table of its own.
type waiter struct {
	id       int64 // its place
	deadline time.Duration
	since    time.Time
	req      ledger.LeaseRequest // without claims, unless somebody asked for them
}

const selectWaiter = `SELECT id, name, run, class, deadline, since, host, boot, pid, started, owner, reason, preempts FROM waiter `

func (w *waiter) read(r row) {
	*w = waiter{id: r.int(0), deadline: time.Duration(r.int(4)), since: r.time(5), req: ledger.LeaseRequest{
		ID: ledger.LeaseID(r.text(1)), Run: ledger.RunID(r.text(2)), Class: ledger.Class(r.text(3)),
		Holder: ledger.Holder{Host: r.text(6), Boot: r.text(7), PID: int(r.int(8)), Start: r.int(9), User: r.text(10)}, Reason: r.text(11),
		Preempt: r.bool(12),
	}}
}

// gone reports whether a waiter is over: it counts as having left.
func (v look) gone(w *waiter) bool { return v.ledger.opts.Machine.Ended(w.req.Holder, w.deadline) }

// waiter finds a waiter by the name of its lease, with its claims; nil if none has it, or it is over.
func (v look) waiter(name ledger.LeaseID) (*waiter, error) {
	if none, err := v.nobodyWaits(); none || err != nil {
		return nil, err
	}
	var w waiter
	found, err := v.first(func(r row) error { w.read(r); return nil }, selectWaiter+`WHERE name = ?`, string(name))
	if err != nil || !found || v.gone(&w) {
		return nil, err
	}
	_, err = v.waitsFor(&w)
	return &w, err
}

// waitsFor reads the claims of a waiter, by table.
func (v look) waitsFor(w *waiter) ([]want, error) {
	type part struct {
		key  string
		read bool
	}
	sets := map[part][]calendar.Interval{}
	axes, ids := map[string]calendar.Axis{}, map[string]int64{}
	err := v.query(func(r row) error {
		p := part{r.text(0), r.bool(6)}
		axes[p.key] = calendar.Axis{Grain: calendar.Grain(r.int(1)), Zone: r.text(2)} //nolint:gosec // as written
		ids[p.key] = r.int(3)
		sets[p] = append(sets[p], r.interval(4))
		return nil
	}, `SELECT t.key, t.grain, t.zone, t.id, w.start, w.end, w.reads FROM waiting w JOIN tables t ON t.id = w.table_id WHERE w.waiter_id = ?`, w.id)
	if err != nil {
		return nil, err
	}
	var out []want
	for _, read := range []bool{false, true} {
		for _, key := range sortedKeys(ids) {
			ivs, ok := sets[part{key, read}]
			if !ok {
				continue
			}
			c := ledger.Claim{Table: key, Axis: axes[key], Set: calendar.NewSet(ivs...)}
			if read {
				w.req.Reads = append(w.req.Reads, c)
			} else {
				w.req.Writes = append(w.req.Writes, c)
			}
			out = append(out, want{key, ids[key], c.Set, !read})
		}
	}
	return out, nil
}

// nobodyWaits reports whether the queue is empty: nearly always, so that this is all that it costs.
func (v look) nobodyWaits() (bool, error) {
	if v.quiet != nil && *v.quiet {
		return true, nil
	}
	some, err := v.first(func(row) error { return nil }, `SELECT 1 FROM waiter LIMIT 1`)
	if v.quiet != nil {
		*v.quiet = err == nil && !some
	}
	return !some, err
}

// ahead gives the conflicts of a request with the waiters ahead of it.
func (v look) ahead(req ledger.LeaseRequest, wants []want) ([]ledger.Conflict, error) {
	if none, err := v.nobodyWaits(); none || err != nil {
		return nil, err
	}
	own, err := v.waiter(req.ID)
	if err != nil {
		return nil, err
	}
	keeps := own != nil && req.Narrows(own.req)
	overlaps, err := v.waitersOver(req, wants)
	if err != nil {
		return nil, err
	}
	var out []ledger.Conflict
	for _, id := range sortedKeys(overlaps) {
		var w waiter
		if _, err := v.first(func(r row) error { w.read(r); return nil }, selectWaiter+`WHERE id = ?`, id); err != nil {
			return nil, err
		}
		above := w.req.Class.Rank() - req.Class.Rank()
		if w.req.ID == req.ID || v.gone(&w) || above < 0 || (above == 0 && keeps && w.id > own.id) {
			continue
		}
		if paused, err := v.pausedOf(w.req.Run); err != nil || paused.Asked() {
			if err != nil {
				return nil, err
			}
			continue
		}
		for key, set := range overlaps[id] {
			c, err := v.conflict(&lease{name: w.req.ID, run: w.req.Run, class: w.req.Class, holder: w.req.Holder, since: w.since, reason: w.req.Reason}, key, set)
			if err != nil {
				return nil, err
			}
			c.Waiting = true
			out = append(out, c)
		}
	}
	return out, nil
}

// waitersOver finds what waiters and a request cannot both have, by the waiter's id and by table. What the run of a live lease would read
// nobody who waits keeps from it.
func (v look) waitersOver(req ledger.LeaseRequest, wants []want) (map[int64]map[string]calendar.Set, error) {
	holds := false
	if slices.ContainsFunc(wants, func(w want) bool { return !w.write }) {
		var err error
		if holds, err = v.holds(req.Run); err != nil {
			return nil, err
		}
	}
	out := map[int64]map[string]calendar.Set{}
	for _, w := range wants {
		if !w.write && holds {
			continue
		}
		over := w.set.Bounds()
		err := v.query(func(r row) error {
			part := w.set.Within(r.interval(0))
			if part.Empty() || (!w.write && r.bool(3)) {
				return nil
			}
			id := r.int(2)
			if out[id] == nil {
				out[id] = map[string]calendar.Set{}
			}
			out[id][w.key] = out[id][w.key].Union(part)
			return nil
		}, `SELECT start, end, waiter_id, reads FROM waiting WHERE table_id = ? + 0 AND start < ? + 0 AND end > ? + 0`, w.table, over.End, over.Start)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// holds reports whether a run has a live lease to write.
func (v look) holds(run ledger.RunID) (bool, error) {
	all, err := v.leasesOf(run)
	if err != nil {
		return false, err
	}
	for _, x := range all {
		some, err := v.first(func(row) error { return nil }, `SELECT 1 FROM claim WHERE lease_id = ? LIMIT 1`, x.id)
		if err != nil || (some && !v.over(x)) {
			return true, err
		}
	}
	return false, nil
}

var errHolds = errors.New("a run that has a lease cannot wait to write: who waits holds nothing")

func (v look) mayWait(req ledger.LeaseRequest) error {
	if !req.Wait || len(req.Writes) == 0 {
		return nil
	}
	holds, err := v.holds(req.Run)
	if err == nil && holds {
		err = errHolds
	}
	return err
}

// wait puts a refused request into the queue, or keeps it there: queued is then the refusal. Who cannot wait is refused as an error.
func (t *tx) wait(req ledger.LeaseRequest, wants []want, refusal *ledger.ConflictError) (queued, err error) {
	if !req.Wait {
		return nil, refusal
	}
	own, err := t.waiter(req.ID)
	if err != nil {
		return nil, err
	}
	if own == nil || !req.Narrows(own.req) {
		full, err := t.full(req.ID)
		if err != nil {
			return nil, err
		}
		if full {
			return nil, refusal
		}
		if err := t.leave(req.ID); err != nil {
			return nil, err
		}
		own = &waiter{since: t.ledger.opts.Now()}
	}
	refusal.Queued = true
	return refusal, t.putWaiter(own, req, wants)
}

// waitedFor reports whether somebody who still lives waits for what a lease that is over has. Who is gone only because the machine slept counts.
func (v look) waitedFor(x *lease) (bool, error) {
	if none, err := v.nobodyWaits(); none || err != nil {
		return false, err
	}
	var all []waiter
	err := v.query(func(r row) error {
		var w waiter
		if w.read(r); w.req.Run != x.run && !v.ledger.opts.Machine.Dead(w.req.Holder) {
			all = append(all, w)
		}
		return nil
	}, selectWaiter)
	if err != nil {
		return false, err
	}
	for i := range all {
		w := &all[i]
		wants, err := v.waitsFor(w)
		if err != nil {
			return false, err
		}
		way, err := v.inTheWay(w.req.Run, wants)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(way, func(o obstacle) bool { return o.lease == x.id && !o.unsettled }) {
			continue
		}
		if paused, err := v.pausedOf(w.req.Run); err != nil || !paused.Asked() {
			return err == nil, err
		}
	}
	return false, nil
}

// full makes room in the queue, and reports whether there is none. The dead leave it, and those who are over only where there is none
// otherwise: they may have slept.
func (t *tx) full(besides ledger.LeaseID) (bool, error) {
	var dead, gone []ledger.LeaseID
	stay := 0
	err := t.query(func(r row) error {
		var w waiter
		w.read(r)
		switch {
		case t.ledger.opts.Machine.Dead(w.req.Holder):
			dead = append(dead, w.req.ID)
		case w.req.ID == besides:
		case t.gone(&w):
			gone = append(gone, w.req.ID)
		default:
			stay++
		}
		return nil
	}, selectWaiter)
	if err != nil || stay >= ledger.MaxWaiters {
		return true, err
	}
	if stay+len(gone) >= ledger.MaxWaiters {
		dead = append(dead, gone...)
	}
	for _, name := range dead {
		if err := t.leave(name); err != nil {
			return false, err
		}
	}
	return false, nil
}

// putWaiter stores a waiter; the id of a new one is zero.
func (t *tx) putWaiter(w *waiter, req ledger.LeaseRequest, wants []want) error {
	*t.quiet = false
	var place any // NULL: the last
	if w.id != 0 {
		place = w.id
	}
	h := req.Holder
	_, err := t.first(func(r row) error { w.id = r.int(0); return nil },
		`INSERT INTO waiter (id, name, run, class, deadline, since, host, boot, pid, started, owner, reason, preempts)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET deadline = excluded.deadline, host = excluded.host, boot = excluded.boot, pid = excluded.pid,
		started = excluded.started, owner = excluded.owner, reason = excluded.reason, preempts = excluded.preempts RETURNING id`,
		place, string(req.ID), string(req.Run), string(req.Class), t.ledger.opts.Machine.Clock()+req.TTL, w.since, h.Host, h.Boot, h.PID, h.Start, h.User,
		req.Reason, req.Preempt)
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM waiting WHERE waiter_id = ?`, w.id); err != nil {
		return err
	}
	for _, want := range wants {
		for _, iv := range want.set.Intervals() {
			_, err := t.exec(`INSERT INTO waiting (table_id, start, end, waiter_id, reads) VALUES (?, ?, ?, ?, ?)`,
				want.table, iv.Start, iv.End, w.id, !want.write)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// leave takes a waiter out of the queue.
func (t *tx) leave(name ledger.LeaseID) error { return t.dequeue(`name = ?`, string(name)) }

// leaveOf takes what a run waits for out of the queue.
func (t *tx) leaveOf(run ledger.RunID) error { return t.dequeue(`run = ?`, string(run)) }

func (t *tx) dequeue(where, arg string) error {
	if none, err := t.nobodyWaits(); none || err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM waiting WHERE waiter_id IN (SELECT id FROM waiter WHERE `+where+`)`, arg); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM waiter WHERE `+where, arg)
	return err
}

// waiters lists the queue.
func (v look) waiters(f ledger.LeaseFilter) ([]ledger.LeaseRecord, error) {
	var all []waiter
	err := v.query(func(r row) error {
		var w waiter
		w.read(r)
		if !v.gone(&w) {
			all = append(all, w)
		}
		return nil
	}, selectWaiter)
	var out []ledger.LeaseRecord
	for i := range all {
		w := &all[i]
		wants, failed := v.waitsFor(w)
		if err != nil || failed != nil {
			return nil, errors.Join(err, failed)
		}
		r := ledger.LeaseRecord{
			ID: w.req.ID, Run: w.req.Run, Class: w.req.Class, Holder: w.req.Holder, Writes: w.req.Writes, Reads: w.req.Reads, Since: w.since,
			Left: w.deadline - v.ledger.opts.Machine.Clock(), Reason: w.req.Reason, Waiting: true,
		}
		if !f.Matches(r) {
			continue
		}
		if r.Stop, err = v.stopOf(w.req.Run); err != nil {
			return nil, err
		}
		if r.Paused, err = v.pausedOf(w.req.Run); err != nil {
			return nil, err
		}
		way, err := v.inTheWay(w.req.Run, wants)
		if err != nil {
			return nil, err
		}
		met, err := v.rule(w.req, wants, way)
		if err != nil {
			return nil, err
		}
		r.WaitsFor = met.conflicts
		out = append(out, r)
	}
	return out, nil
}
