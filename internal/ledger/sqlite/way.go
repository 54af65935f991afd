package sqlite

import (
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// An obstacle is what a lease has of a claim.
type obstacle struct {
	key       string
	set       calendar.Set
	lease     int64
	attempt   int64 // of what is in flight
	write     bool  // the claim is to write
	flight    bool  // it is in flight; otherwise it is reserved
	unsettled bool
}

type obstacles []obstacle

// A want is a claim of a request, with the table's id.
type want struct {
	key   string
	table int64
	set   calendar.Set
	write bool
}

// wants makes ready the tables of a request.
func (t *tx) wants(req ledger.LeaseRequest) ([]want, error) {
	out := make([]want, 0, len(req.Writes)+len(req.Reads))
	for i, c := range slices.Concat(req.Writes, req.Reads) {
		tab, err := t.use(c.Table, c.Axis)
		if err != nil {
			return nil, err
		}
		out = append(out, want{c.Table, tab.id, c.Set, i < len(req.Writes)})
	}
	return out, nil
}

// A look is a session that judges leases.
type look struct {
	*session
	ledger *Ledger
	quiet  *bool // of a transaction: it is known that nobody waits
}

// over reports whether a lease is live no longer though nobody has ended it yet.
func (v look) over(x *lease) bool { return v.ledger.over(x) }

// inTheWay finds all that lies over what a run wants: what is reserved or in flight where it would write, what is in flight where it would
// read, but for what it has in flight itself.
func (v look) inTheWay(run ledger.RunID, wants []want) (obstacles, error) {
	var out obstacles
	for _, w := range wants {
		if w.write {
			err := v.claimsOver(w.table, w.set, func(set calendar.Set, lease int64) {
				out = append(out, obstacle{key: w.key, set: set, lease: lease, write: true})
			})
			if err != nil {
				return nil, err
			}
		}
		err := v.flightsOver(w.table, w.set, func(f flight) {
			out = append(out, obstacle{key: w.key, set: f.set, lease: f.lease, attempt: f.attempt, write: w.write, flight: true, unsettled: f.unsettled})
		})
		if err != nil {
			return nil, err
		}
	}
	err := v.dropOwn(run, &out)
	return out, err
}

// rule judges a request by all that it meets: live leases, holds, and waiters ahead.
func (v look) rule(req ledger.LeaseRequest, wants []want, way obstacles) (ruling, error) {
	r, err := v.standAside(way, &req)
	if err != nil {
		return r, err
	}
	held, err := v.heldConflicts(wants)
	if err != nil {
		return r, err
	}
	ahead, err := v.ahead(req, wants)
	if err != nil {
		return r, err
	}
	r.conflicts = slices.Concat(r.conflicts, held, ahead)
	ledger.SortConflicts(r.conflicts)
	return r, nil
}

// dropOwn takes away what the run itself has in flight, under a live lease, where it would read.
func (v look) dropOwn(run ledger.RunID, all *obstacles) error {
	kept := (*all)[:0]
	for _, o := range *all {
		if !o.write && !o.unsettled {
			x, err := v.lease(o.lease)
			if err != nil {
				return err
			}
			if x.run == run && !v.over(x) {
				continue
			}
		}
		kept = append(kept, o)
	}
	*all = kept
	return nil
}

// The rows of a table that reach into [?2, ?3): the last that begins before it, and those that begin in it. They are disjoint. (For the
// sums see pagesNear.)
const (
	selectClaims = `SELECT start, end, lease_id FROM claim WHERE table_id = ?1 + 0 AND start < ?3 + 0 AND start >= coalesce(
	(SELECT start FROM claim WHERE table_id = ?1 + 0 AND start <= ?2 + 0 ORDER BY start DESC LIMIT 1), ?2 + 0) ORDER BY start`
	selectFlights = `SELECT start, end, lease_id, attempt_id, unsettled FROM flight WHERE table_id = ?1 + 0 AND start < ?3 + 0 AND start >= coalesce(
	(SELECT start FROM flight WHERE table_id = ?1 + 0 AND start <= ?2 + 0 ORDER BY start DESC LIMIT 1), ?2 + 0) ORDER BY start`
)

// claimsOver calls each for every part of a set that a live lease has claimed.
func (s *session) claimsOver(table int64, set calendar.Set, each func(part calendar.Set, lease int64)) error {
	over := set.Bounds()
	return s.query(func(r row) error {
		if part := set.Within(r.interval(0)); !part.Empty() {
			each(part, r.int(2))
		}
		return nil
	}, selectClaims, table, over.Start, over.End)
}

type flight struct {
	set            calendar.Set // as much of it as was asked about
	whole          calendar.Interval
	lease, attempt int64
	unsettled      bool
}

// flightsOver calls each for every part of a set that is in flight or unsettled.
func (s *session) flightsOver(table int64, set calendar.Set, each func(flight)) error {
	over := set.Bounds()
	return s.query(func(r row) error {
		if part := set.Within(r.interval(0)); !part.Empty() {
			each(flight{part, r.interval(0), r.int(2), r.int(3), r.bool(4)})
		}
		return nil
	}, selectFlights, table, over.Start, over.End)
}

// A ruling is what becomes of the leases in the way of a request.
type ruling struct {
	ending    []*lease // they are over
	taken     []taking // of those that are not, what the request takes
	conflicts []ledger.Conflict
}

// A taking is what a request takes of a live lease.
type taking struct {
	from *lease
	key  string
	set  calendar.Set
}

// A meeting is what a lease has of what a request wants of a table.
type meeting struct {
	reserved calendar.Set // of what it would write
	flying   obstacles    // of that
	read     calendar.Set // in flight, of what it would read
}

// standAside judges the leases in the way. Without a request nothing is taken.
func (v look) standAside(way obstacles, req *ledger.LeaseRequest) (out ruling, err error) {
	met := map[int64]map[string]*meeting{}
	for _, o := range way {
		if o.unsettled {
			continue // of a lease that has ended
		}
		if met[o.lease] == nil {
			met[o.lease] = map[string]*meeting{}
		}
		m := met[o.lease][o.key]
		if m == nil {
			m = &meeting{}
			met[o.lease][o.key] = m
		}
		switch {
		case !o.write:
			m.read = m.read.Union(o.set)
		case o.flight:
			m.flying = append(m.flying, o)
		default:
			m.reserved = m.reserved.Union(o.set)
		}
	}
	for _, id := range sortedKeys(met) {
		x, err := v.lease(id)
		if err != nil {
			return out, err
		}
		if v.over(x) {
			out.ending = append(out.ending, x)
			continue
		}
		for _, key := range sortedKeys(met[id]) {
			if err := v.meet(x, key, met[id][key], req, &out); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// meet judges what a live lease has of a table.
func (v look) meet(x *lease, key string, m *meeting, req *ledger.LeaseRequest, out *ruling) (err error) {
	stays, publishing := m.reserved, calendar.Set{}
	switch {
	case req == nil:
	case req.Preempt && x.class.Rank() < req.Class.Rank():
		if publishing, err = v.publishing(m.flying); err != nil {
			return err
		}
		stays = publishing
	case x.run != req.Run && !m.reserved.Empty():
		paused, err := v.pausedOf(x.run)
		if err != nil {
			return err
		}
		if paused.Asked() {
			stays = calendar.Set{}
			for _, o := range m.flying {
				stays = stays.Union(o.set)
			}
		}
	}
	if taken := m.reserved.Minus(stays); !taken.Empty() {
		out.taken = append(out.taken, taking{x, key, taken})
	}
	if stays = stays.Union(m.read); stays.Empty() {
		return nil
	}
	c, err := v.conflict(x, key, stays)
	c.Publishing = !publishing.Empty()
	out.conflicts = append(out.conflicts, c)
	return err
}

// publishing gives those of some flights whose attempts have stored what they are about to publish.
func (v look) publishing(flying obstacles) (out calendar.Set, err error) {
	for _, o := range flying {
		intended, err := v.first(func(row) error { return nil }, `SELECT 1 FROM attempt WHERE id = ? AND intent IS NOT NULL`, o.attempt)
		if err != nil {
			return out, err
		}
		if intended {
			out = out.Union(o.set)
		}
	}
	return out, nil
}

func (s *session) conflict(x *lease, key string, overlap calendar.Set) (ledger.Conflict, error) {
	c := ledger.Conflict{
		Lease: x.name, Run: x.run, Class: x.class, Table: key, Overlap: overlap, Holder: x.holder, Since: x.since, Reason: x.reason,
	}
	stored, err := s.storedRun(x.run)
	if err != nil || stored == nil {
		return c, err
	}
	c.Command, c.Done, c.Total, c.StartedAt = stored.Command, stored.Done, stored.Total, stored.StartedAt
	return c, nil
}

// demandSettled refuses to write over unsettled partitions without settling them, and to read them.
func (way obstacles) demandSettled(req ledger.LeaseRequest, r ruling) error {
	ends := func(o obstacle) bool {
		return slices.ContainsFunc(r.ending, func(x *lease) bool { return x.id == o.lease }) ||
			(o.write && slices.ContainsFunc(r.taken, func(t taking) bool { return t.from.id == o.lease }))
	}
	left, key := calendar.Set{}, ""
	for _, o := range way {
		doubtful := o.unsettled || (o.flight && ends(o))
		if !doubtful || (o.write && req.Settles) {
			continue
		}
		if key == "" || key == o.key {
			left, key = left.Union(o.set), o.key
		}
	}
	if key == "" {
		return nil
	}
	return fmt.Errorf("%d partitions of %s: %w", left.Count(), key, ledger.ErrUnsettled)
}
