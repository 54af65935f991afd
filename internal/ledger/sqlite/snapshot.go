package sqlite

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Snapshot reads histories.
func (l *Ledger) Snapshot(ctx context.Context, keys []string) (out *history.Snapshot, err error) {
	err = l.read(ctx, func(s *session) error {
		g := l.newGathering(s, 0)
		for _, key := range keys {
			g.snapshot.Tables[key] = &history.Table{}
		}
		out = g.snapshot
		return g.read(func(key string) bool { return g.snapshot.Tables[key] != nil })
	})
	return out, err
}

// Changes reads what has changed.
func (l *Ledger) Changes(ctx context.Context, since history.Seq, keys []string) (out *history.Snapshot, err error) {
	err = l.read(ctx, func(s *session) error {
		g := l.newGathering(s, since)
		out = g.snapshot
		asked := make(map[string]bool, len(keys))
		for _, key := range keys {
			asked[key] = true
		}
		return g.read(func(key string) bool { return asked[key] })
	})
	return out, err
}

// Head is the clock.
func (l *Ledger) Head(ctx context.Context) (seq history.Seq, err error) {
	err = l.explain(l.readers.with(ctx, func(s *session) error {
		_, err := s.first(func(r row) error { seq = r.seq(0); return nil }, `SELECT clock FROM ledger`)
		return err
	}))
	return seq, err
}

// A gathering reads a snapshot.
type gathering struct {
	*session
	ledger   *Ledger
	since    history.Seq
	now      time.Time // wall clock
	snapshot *history.Snapshot
	tables   map[int64]*gathered
	over     map[int64]bool // leases that are live no longer though nobody has ended them
}

// A gathered table is a history and the pieces it is made of.
type gathered struct {
	*history.Table
	pages                               [verdicts + 1][][]byte
	held, inFlight, reserved, unsettled []calendar.Interval
	handed                              bool // to be unpacked: all of it has been read
}

func (l *Ledger) newGathering(s *session, since history.Seq) *gathering {
	return &gathering{
		session: s, ledger: l, since: since, now: l.opts.Now(), tables: map[int64]*gathered{}, over: map[int64]bool{},
		snapshot: &history.Snapshot{Ledger: l.id, Tables: map[string]*history.Table{}, Periods: map[string][]history.PeriodChange{}},
	}
}

func (g *gathering) read(wanted func(key string) bool) error {
	if _, err := g.first(func(r row) error { g.snapshot.Seq = r.seq(0); return nil }, `SELECT clock FROM ledger`); err != nil {
		return err
	}
	for _, step := range []func() error{
		g.readOver,
		func() error { return g.readTables(wanted) },
		g.readPeriods, g.readClaims, g.readHolds, g.readFlights, g.readExpected, g.readVersions, g.readPages,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// readOver judges the live leases.
func (g *gathering) readOver() error {
	judged := map[ledger.Holder]bool{} // of many leases of one process it is asked once
	alive := g.ledger.opts.Machine.Alive
	machine := g.ledger.opts.Machine
	machine.Alive = func(h ledger.Holder) bool {
		lives, ok := judged[h]
		if !ok {
			lives = alive(h)
			judged[h] = lives
		}
		return lives
	}
	var x lease
	return g.query(func(r row) error {
		x.read(r)
		if machine.Ended(x.holder, x.deadline) {
			g.over[x.id] = true
		}
		return nil
	}, selectLease+`WHERE ended = 0`)
}

// readTables finds the tables that are asked for and, where only changes are, have changed.
func (g *gathering) readTables(wanted func(key string) bool) error {
	shaken := map[int64]bool{} // claimed by a lease that is over, or under a hold that is
	err := g.query(func(r row) error { shaken[r.int(0)] = true; return nil }, `SELECT DISTINCT table_id FROM hold WHERE until <= ?`, g.now)
	if err != nil {
		return err
	}
	for lease := range g.over {
		err := g.query(func(r row) error { shaken[r.int(0)] = true; return nil }, `SELECT DISTINCT table_id FROM claim WHERE lease_id = ?`, lease)
		if err != nil {
			return err
		}
	}
	take := func(r row) error {
		if !wanted(r.text(1)) {
			return nil
		}
		h := g.snapshot.Tables[r.text(1)]
		if h == nil {
			h = &history.Table{}
			g.snapshot.Tables[r.text(1)] = h
		}
		g.tables[r.int(0)] = &gathered{Table: h}
		return nil
	}
	least := int64(g.since)
	if least == 0 {
		least = -1 // those that were registered and nothing more
	}
	if err := g.query(take, `SELECT id, key FROM tables WHERE touched > ?`, least); err != nil {
		return err
	}
	for id := range shaken {
		if g.tables[id] != nil {
			continue
		}
		if err := g.query(take, `SELECT id, key FROM tables WHERE id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

// manyTables is from when on it is cheaper to read a whole table of the file than to look one table of the warehouse up after the other.
const manyTables = 24

// each runs a query for the tables that are gathered. The query's first column is a table's id, and it ends where WHERE would stand;
// order is what comes after.
func (g *gathering) each(fn func(t *gathered, r row) error, query, condition, order string, args ...any) error {
	take := func(r row) error {
		if t := g.tables[r.int(0)]; t != nil {
			return fn(t, r)
		}
		return nil
	}
	if len(g.tables) >= manyTables {
		if condition != "" {
			query += " WHERE " + condition
		}
		return g.query(take, query+" ORDER BY table_id, "+order, args...)
	}
	query += " WHERE table_id = ?" + map[bool]string{true: " AND " + condition}[condition != ""] + " ORDER BY " + order
	for id := range g.tables {
		if err := g.query(take, query, append([]any{id}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// readPages takes the pages of segments and verdicts that hold something written after since, and all moves. Histories are unpacked on
// all processors while it goes on reading.
func (g *gathering) readPages() error {
	workers := min(runtime.GOMAXPROCS(0), 1+len(g.tables)/manyTables)
	ready := make(chan *gathered, 2*workers)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for t := range ready {
				errs[w] = errors.Join(errs[w], t.unpack(g.since))
			}
		})
	}
	var last *gathered
	err := g.each(func(t *gathered, r row) error {
		if last != nil && last != t {
			last.handed = true
			ready <- last
		}
		last = t
		t.pages[r.int(1)] = append(t.pages[r.int(1)], r.blob(2))
		return nil
	}, `SELECT table_id, kind, rows FROM page`, `kind <= 2 AND (written > ? OR kind = 1)`, `kind, start`, g.since)
	for _, t := range g.tables {
		if !t.handed {
			ready <- t
		}
	}
	close(ready)
	wg.Wait()
	return errors.Join(errors.Join(errs...), err)
}

func (g *gathering) readClaims() error {
	return g.each(func(t *gathered, r row) error {
		if !g.over[r.int(3)] {
			t.reserved = append(t.reserved, r.interval(1))
		}
		return nil
	}, `SELECT table_id, start, end, lease_id FROM claim`, "", "start")
}

func (g *gathering) readHolds() error {
	return g.each(func(t *gathered, r row) error {
		t.held = append(t.held, r.interval(1))
		return nil
	}, `SELECT table_id, start, end FROM hold`, "(until IS NULL OR until > ?)", "start", g.now)
}

func (g *gathering) readFlights() error {
	return g.each(func(t *gathered, r row) error {
		if r.bool(4) || g.over[r.int(3)] {
			t.unsettled = append(t.unsettled, r.interval(1))
		} else {
			t.inFlight = append(t.inFlight, r.interval(1))
		}
		return nil
	}, `SELECT table_id, start, end, lease_id, unsettled FROM flight`, "", "start")
}

func (g *gathering) readExpected() error {
	return g.each(func(t *gathered, r row) (err error) {
		t.Known, err = readSet(r.blob(1))
		t.Meta = r.text(2)
		return err
	}, `SELECT table_id, known, meta FROM expected`, "", "table_id")
}

func (g *gathering) readVersions() error {
	return g.each(func(t *gathered, r row) error {
		t.Versions = append(t.Versions, history.Version{Version: r.text(1), Producer: r.text(2), Head: r.int(3) != 0})
		return nil
	}, `SELECT table_id, version, producer, headed FROM version`, "", "token")
}

func (g *gathering) readPeriods() error {
	return g.query(func(r row) error {
		rd := reader{s: string(r.blob(2))}
		name := r.text(0)
		g.snapshot.Periods[name] = append(g.snapshot.Periods[name], history.PeriodChange{Seq: r.seq(1), Intervals: rd.intervals()})
		return rd.err()
	}, `SELECT name, seq, intervals FROM period ORDER BY name, seq`)
}

// unpack makes the history of what was read.
func (t *gathered) unpack(since history.Seq) error {
	t.Held, t.InFlight = calendar.NewSet(t.held...), calendar.NewSet(t.inFlight...)
	t.Reserved, t.Unsettled = calendar.NewSet(t.reserved...), calendar.NewSet(t.unsettled...)
	var err error
	t.Segments, err = unpack(segmentCodec{}, t.pages[segments], func(s *segment) (*history.Segment, bool) { return &s.Segment, s.written > since })
	if err != nil {
		return err
	}
	t.Moves, err = unpack(moveCodec{}, t.pages[moves], func(m *history.Move) (*history.Move, bool) { return m, true })
	if err != nil {
		return err
	}
	t.Verdicts, err = unpack(verdictCodec{}, t.pages[verdicts], func(v *verdict) (*history.Verdict, bool) { return &v.Verdict, v.written > since })
	return err
}

// unpack reads pages into rows as readers see them: those that take says, neighbours alike joined.
func unpack[T any, R history.Row[R]](c codec[T], pages [][]byte, take func(*T) (*R, bool)) ([]R, error) {
	n := 0
	for _, blob := range pages {
		n += rowsIn(blob)
	}
	if n == 0 {
		return nil, nil
	}
	out := make([]R, 0, n)
	var r pageReader
	var stored T // read into again and again: every codec sets every field
	for _, blob := range pages {
		r.open(blob)
		for range r.rows {
			c.read(&r, &stored)
			row, ok := take(&stored)
			if !ok {
				continue
			}
			if k := len(out) - 1; k >= 0 && out[k].Bounds().End == (*row).Bounds().Start && out[k].SameAs(*row) {
				out[k] = out[k].WithBounds(calendar.Interval{Start: out[k].Bounds().Start, End: (*row).Bounds().End})
				continue
			}
			out = append(out, *row)
		}
		if err := r.err(); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// tableID finds a table; false if it was never used.
func (s *session) tableID(key string) (id int64, found bool, err error) {
	found, err = s.first(func(r row) error { id = r.int(0); return nil }, `SELECT id FROM tables WHERE key = ?`, key)
	return id, found, err
}

// Metrics gives the latest value of each check.
func (l *Ledger) Metrics(ctx context.Context, key string, set calendar.Set) (out []ledger.Metric, err error) {
	err = l.read(ctx, func(s *session) error {
		out = nil
		id, found, err := s.tableID(key)
		if err != nil || !found || set.Empty() {
			return err
		}
		checks := map[int]string{}
		err = s.query(func(r row) error { checks[measures+int(r.int(0))] = r.text(1); return nil },
			`SELECT id, name FROM measure WHERE id + 16 IN (SELECT DISTINCT kind FROM page WHERE table_id = ? AND kind >= 16)`, id)
		if err != nil {
			return err
		}
		for _, kind := range sortedKeys(checks) {
			rows, err := load(s, measureCodec{}, shelf{id, kind}, set)
			if err != nil {
				return err
			}
			for _, m := range rows {
				for p := m.Start; p < m.End; p++ {
					out = append(out, ledger.Metric{Check: checks[kind], Partition: p, Value: m.value, Weight: m.weight, Passed: m.passed, At: m.at})
				}
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b ledger.Metric) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Check, b.Check))
	})
	return out, err
}

// Contents gives rows and fingerprints.
func (l *Ledger) Contents(ctx context.Context, key string, set calendar.Set) (out []ledger.Content, err error) {
	err = l.read(ctx, func(s *session) error {
		out = nil
		id, found, err := s.tableID(key)
		if err != nil || !found {
			return err
		}
		rows, err := load(s, contentCodec{}, shelf{id, contents}, set)
		for _, c := range rows {
			for p := c.Start; p < c.End; p++ {
				out = append(out, ledger.Content{Partition: p, Rows: c.rows, Fingerprint: c.fingerprint})
			}
		}
		return err
	})
	return out, err
}
