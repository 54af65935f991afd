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
	write     bool // the claim is to write
	flight    bool // it is in flight; otherwise it is reserved
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
			out = append(out, obstacle{key: w.key, set: f.set, lease: f.lease, write: w.write, flight: true, unsettled: f.unsettled})
		})
		if err != nil {
			return nil, err
		}
	}
	err := v.dropOwn(run, &out)
	return out, err
}

// refusals gives the leases in the way that are over, and the conflicts with all that is not: live leases, holds, and waiters ahead.
func (v look) refusals(req ledger.LeaseRequest, wants []want, way obstacles) ([]*lease, []ledger.Conflict, error) {
	ending, conflicts, err := v.standAside(way)
	if err != nil {
		return nil, nil, err
	}
	held, err := v.heldConflicts(wants)
	if err != nil {
		return nil, nil, err
	}
	ahead, err := v.ahead(req, wants)
	if err != nil {
		return nil, nil, err
	}
	conflicts = slices.Concat(conflicts, held, ahead)
	ledger.SortConflicts(conflicts)
	return ending, conflicts, nil
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

// standAside gives the leases in the way that are over, and the conflicts with those that are not.
func (v look) standAside(way obstacles) (ending []*lease, conflicts []ledger.Conflict, err error) {
	leases := map[int64]*lease{}
	overlaps := map[int64]map[string]calendar.Set{}
	for _, o := range way {
		if o.unsettled || (o.write && o.flight) {
			continue // not reserved; or told already by the claim under which it is
		}
		if leases[o.lease] == nil {
			x, err := v.lease(o.lease)
			if err != nil {
				return nil, nil, err
			}
			leases[o.lease], overlaps[o.lease] = x, map[string]calendar.Set{}
		}
		overlaps[o.lease][o.key] = overlaps[o.lease][o.key].Union(o.set)
	}
	for _, id := range sortedKeys(leases) {
		x := leases[id]
		if v.over(x) {
			ending = append(ending, x)
			continue
		}
		for key, set := range overlaps[id] {
			c, err := v.conflict(x, key, set)
			if err != nil {
				return nil, nil, err
			}
			conflicts = append(conflicts, c)
		}
	}
	return ending, conflicts, nil
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
func (way obstacles) demandSettled(req ledger.LeaseRequest, ending []*lease) error {
	left, key := calendar.Set{}, ""
	for _, o := range way {
		doubtful := o.unsettled || (o.flight && slices.ContainsFunc(ending, func(x *lease) bool { return x.id == o.lease }))
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
