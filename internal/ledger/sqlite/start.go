package sqlite

import (
	"cmp"
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// StartAttempt puts partitions in flight.
func (l *Ledger) StartAttempt(ctx context.Context, req ledger.AttemptRequest) (out *ledger.Attempt, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		out, err = t.start(req)
		return err
	})
	return out, err
}

func (t *tx) start(req ledger.AttemptRequest) (*ledger.Attempt, error) {
	if err := req.Check(t.clock); err != nil {
		return nil, err
	}
	x, err := t.holding(req.Lease)
	if err != nil {
		return nil, err
	}
	tab, refusal := t.startable(req, x)
	var older *ledger.OlderCodeError
	if refusal == nil {
		older, refusal = t.older(&req, tab)
	}
	if refusal == nil {
		added, err := t.addAttempt(req, x, tab, older != nil)
		if err != nil {
			return nil, err
		}
		if added {
			return t.begun(req, tab, older)
		}
	}
	a, err := t.attempt(req.ID) // it may have been started before
	if err == nil {
		right := a.right()
		return &right, nil
	}
	return nil, cmp.Or(refusal, err)
}

// begun draws the token of a new attempt and puts its partitions in doubt if it is guarded (rule 14).
func (t *tx) begun(req ledger.AttemptRequest, tab *table, older *ledger.OlderCodeError) (*ledger.Attempt, error) {
	before := t.clock
	seq, token := t.touch(tab), t.draw(tab)
	if older != nil {
		if err := t.noteDowngrade(&req, older, tab, before, seq); err != nil {
			return nil, err
		}
	}
	if req.Guarded {
		doubt := segment{
			Segment: history.Segment{ReadSeq: req.ReadSeq, ChangedSeq: seq, Version: req.Version, Attempt: string(req.ID), Content: history.InDoubt},
			token:   token, written: seq,
		}
		if err := t.putInDoubt(tab, doubt, req.Set); err != nil {
			return nil, err
		}
	}
	return &ledger.Attempt{
		ID: req.ID, Lease: req.Lease, Run: req.Run, Table: req.Table, Set: req.Set, Token: token, ReadSeq: req.ReadSeq, Version: req.Version,
	}, nil
}

// putInDoubt lays doubt over partitions. What class fix wrote there may be there still.
func (t *tx) putInDoubt(tab *table, doubt segment, set calendar.Set) error {
	standing, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, set)
	if err != nil {
		return err
	}
	rows := history.Spread(doubt, set)
	for _, s := range standing {
		if s.FixedBy != "" {
			doubt.FixedBy = s.FixedBy
			rows = history.Overlay(rows, []segment{doubt.WithBounds(s.Interval)})
		}
	}
	return t.putSegments(tab, rows, doubt.written)
}

// addAttempt stores an attempt and its flights; false if it is there already.
func (t *tx) addAttempt(req ledger.AttemptRequest, x *holding, tab *table, downgrade bool) (bool, error) {
	bounds := req.Set.Bounds()
	a := &attempt{
		leaseID: x.id, tableID: tab.id, lease: req.Lease, class: x.class, settled: true, downgrade: downgrade, code: req.Code,
		AttemptRecord: ledger.AttemptRecord{
			ID: req.ID, Run: req.Run, Table: req.Table, Set: req.Set, Token: tab.token + 1, ReadSeq: req.ReadSeq, Version: req.Version,
			State: ledger.AttemptRunning, StartedAt: req.At,
		},
	}
	added, err := t.first(func(r row) error { a.id = r.int(0); return nil },
		`INSERT INTO attempt (name, lease_id, run, table_id, token, start, end, state, beginning, downgrade)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?, ?) ON CONFLICT (name) DO NOTHING RETURNING id`,
		string(req.ID), x.id, string(req.Run), tab.id, a.Token, bounds.Start, bounds.End, packBeginning(&req), downgrade)
	if err != nil || !added {
		return false, err
	}
	if err := t.putFlights(tab.id, flight{lease: x.id, attempt: a.id}, req.Set, false); err != nil {
		return false, err
	}
	t.rights.keep(a)
	return true, nil
}

// startable refuses partitions that the lease does not hold, or that are unsettled, in flight, or read by another run.
func (t *tx) startable(req ledger.AttemptRequest, x *holding) (*table, error) {
	tab, err := t.find(req.Table)
	if err != nil {
		return nil, err
	}
	var held calendar.Set
	var unsettled, flying int
	if tab != nil {
		if held, err = t.heldOf(x, tab); err != nil {
			return nil, err
		}
		err = t.flightsOver(tab.id, req.Set, func(f flight) {
			if f.unsettled {
				unsettled += f.set.Count()
			} else {
				flying += f.set.Count()
			}
		})
		if err != nil {
			return nil, err
		}
	}
	switch {
	case !held.Covers(req.Set):
		return nil, fmt.Errorf("lease %s does not hold all the partitions of %s: %w", req.Lease, req.Table, ledger.ErrLost)
	case x.paused:
		return nil, fmt.Errorf("run %s: %w", x.run, ledger.ErrPaused)
	case unsettled > 0:
		return nil, fmt.Errorf("%d partitions of %s: %w", unsettled, req.Table, ledger.ErrUnsettled)
	case flying > 0:
		return nil, fmt.Errorf("another attempt is already writing %d partitions of %s", flying, req.Table)
	}
	return tab, t.unread(req, tab, x.run)
}

// unread refuses partitions that a lease of another run reads.
func (t *tx) unread(req ledger.AttemptRequest, tab *table, run ledger.RunID) error {
	if none, err := t.nobodyReads(tab); none || err != nil {
		return err
	}
	sets := map[int64]calendar.Set{}
	over := req.Set.Bounds()
	err := t.query(func(r row) error {
		if part := req.Set.Within(r.interval(0)); !part.Empty() {
			sets[r.int(2)] = sets[r.int(2)].Union(part)
		}
		return nil
	}, `SELECT start, end, lease_id FROM reading WHERE table_id = ? + 0 AND start < ? + 0 AND end > ? + 0`, tab.id, over.End, over.Start)
	if err != nil {
		return err
	}
	var readers []ledger.Conflict
	for _, id := range sortedKeys(sets) {
		x, err := t.lease(id)
		if err != nil {
			return err
		}
		if x.run == run || t.ledger.over(x) {
			continue
		}
		c, err := t.conflict(x, tab.key, sets[id])
		if err != nil {
			return err
		}
		readers = append(readers, c)
	}
	if len(readers) > 0 {
		ledger.SortConflicts(readers)
		return &ledger.ConflictError{Conflicts: readers}
	}
	return nil
}
