package sqlite

import (
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// Rights are live leases and running attempts as this process has stored them, so that a step need not look its own lease and attempt up
// again and again. They are dropped whenever a lease ends or gives something back, flights are settled, a run is paused or resumed, or another
// process has written.
type rights struct {
	leases   map[ledger.LeaseID]*holding
	attempts map[ledger.AttemptID]*attempt
}

// maxRights bounds what is kept.
const maxRights = 1024

// A holding is a live lease of a run with what it has claimed, by the table's id, as far as somebody asked.
type holding struct {
	id      int64
	run     ledger.RunID
	class   ledger.Class
	paused  bool
	claimed map[int64]calendar.Set
}

func (r *rights) keep(a *attempt) {
	if r.attempts == nil || len(r.attempts) >= maxRights {
		r.attempts = map[ledger.AttemptID]*attempt{}
	}
	r.attempts[a.ID] = a
}

// holding finds a live lease under which partitions may be written.
func (t *tx) holding(name ledger.LeaseID) (*holding, error) {
	if x := t.rights.leases[name]; x != nil {
		return x, nil
	}
	x := &holding{claimed: map[int64]calendar.Set{}}
	ended := false
	found, err := t.first(func(r row) error {
		x.id, x.run, ended, x.class, x.paused = r.int(0), ledger.RunID(r.text(1)), r.bool(2), ledger.Class(r.text(3)), r.bool(4)
		return nil
	}, `SELECT id, run, ended, class, (SELECT pause IS NOT NULL FROM run WHERE name = lease.run) FROM lease WHERE name = ?`, string(name))
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("lease %s: %w", name, ledger.ErrNotFound)
	case ended:
		return nil, fmt.Errorf("lease %s: %w", name, ledger.ErrLost)
	}
	if t.rights.leases == nil || len(t.rights.leases) >= maxRights {
		t.rights.leases = map[ledger.LeaseID]*holding{}
	}
	t.rights.leases[name] = x
	return x, nil
}

// heldOf is what a lease has claimed of a table.
func (t *tx) heldOf(x *holding, tab *table) (calendar.Set, error) {
	if set, ok := x.claimed[tab.id]; ok {
		return set, nil
	}
	var ivs []calendar.Interval
	err := t.query(func(r row) error { ivs = append(ivs, r.interval(0)); return nil },
		`SELECT start, end FROM claim WHERE lease_id = ?1 + 0 AND table_id = ?2 + 0`, x.id, tab.id)
	if err != nil {
		return calendar.Set{}, err
	}
	x.claimed[tab.id] = calendar.NewSet(ivs...)
	return x.claimed[tab.id], nil
}

// nobodyReads reports whether no lease reads any partition of a table.
func (t *tx) nobodyReads(tab *table) (bool, error) {
	if tab.unread {
		return true, nil
	}
	some, err := t.first(func(row) error { return nil }, `SELECT 1 FROM reading WHERE table_id = ?1 + 0 LIMIT 1`, tab.id)
	tab.unread = err == nil && !some
	return tab.unread, err
}
