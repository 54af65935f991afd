package sqlite

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

func packRun(v *ledger.RunRecord) []byte {
	var p packer
	p.text(string(v.ID))
	p.text(string(v.State))
	p.text(string(v.Class))
	p.text(v.Command)
	p.text(v.Holder.Host)
	p.text(v.Holder.Boot)
	p.int(int64(v.Holder.PID))
	p.int(v.Holder.Start)
	p.text(v.Holder.User)
	p.text(v.Reason)
	for _, b := range [][]byte{v.Request, v.Plan, v.Report, v.Events} {
		p.bool(b != nil)
		p.text(string(b))
	}
	p.int(int64(v.Done))
	p.int(int64(v.Total))
	p.count(len(v.Sets))
	for _, c := range v.Sets {
		p.text(c.Table)
		p.count(int(c.Axis.Grain))
		p.text(c.Axis.Zone)
		p.set(c.Set)
	}
	p.int(int64(v.Exit))
	p.bool(v.Ended)
	p.time(v.StartedAt)
	p.time(v.EndedAt)
	return p.b
}

// readRun reads a record, whether the run is asked to stop, and whether it is paused.
func readRun(stored row) (ledger.RunRecord, error) {
	v, err := unpackRun(stored.blob(0))
	if err == nil {
		v.Stop, err = readStop(stored.blob(1))
	}
	if err == nil {
		v.Paused, err = readPause(stored.blob(2))
	}
	return v, err
}

func unpackRun(b []byte) (ledger.RunRecord, error) {
	r := reader{s: string(b)}
	v := ledger.RunRecord{ID: ledger.RunID(r.text()), State: ledger.RunState(r.text()), Class: ledger.Class(r.text()), Command: r.text()}
	v.Holder = ledger.Holder{Host: r.text(), Boot: r.text(), PID: int(r.int()), Start: r.int(), User: r.text()}
	v.Reason = r.text()
	for _, to := range []*[]byte{&v.Request, &v.Plan, &v.Report, &v.Events} {
		there := r.bool()
		if text := r.text(); there {
			*to = []byte(text)
		}
	}
	v.Done, v.Total = int(r.int()), int(r.int())
	for range r.count() {
		c := ledger.Claim{Table: r.text()}
		c.Axis = calendar.Axis{Grain: calendar.Grain(r.uint()), Zone: r.text()} //nolint:gosec // as written
		c.Set = r.set()
		v.Sets = append(v.Sets, c)
	}
	v.Exit, v.Ended, v.StartedAt, v.EndedAt = int(r.int()), r.bool(), r.time(), r.time()
	return v, r.err()
}

// storedRun finds a run by its id; nil if there is none.
func (s *session) storedRun(id ledger.RunID) (*ledger.RunRecord, error) {
	var out *ledger.RunRecord
	_, err := s.first(func(r row) error {
		v, err := readRun(r)
		out = &v
		return err
	}, `SELECT record, stop, pause FROM run WHERE name = ?`, string(id))
	return out, err
}

// PutRun stores a run.
func (l *Ledger) PutRun(ctx context.Context, v ledger.RunRecord) error {
	if v.ID == "" {
		return errors.New("a run needs an id")
	}
	return l.write(ctx, func(t *tx) error {
		stored, err := t.storedRun(v.ID)
		if err != nil || (stored != nil && !v.Replaces(*stored)) {
			return err
		}
		var id int64
		_, err = t.first(func(r row) error { id = r.int(0); return nil },
			`INSERT INTO run (name, ended, started, record) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET ended = excluded.ended, started = excluded.started, record = excluded.record RETURNING id`,
			string(v.ID), v.Ended, v.StartedAt, packRun(&v))
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM run_table WHERE run_id = ?`, id); err != nil {
			return err
		}
		for _, c := range v.Sets {
			if _, err := t.exec(`INSERT INTO run_table (key, run_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, c.Table, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Runs lists runs.
func (l *Ledger) Runs(ctx context.Context, f ledger.RunFilter) (out []ledger.RunRecord, err error) {
	query, args := runsQuery(f)
	err = l.read(ctx, func(s *session) error {
		out = nil
		err := s.query(func(r row) error {
			v, err := readRun(r)
			out = append(out, v)
			return err
		}, query, args...)
		for i := range out {
			if err == nil {
				out[i].Preempted, err = s.preemptedOf(out[i].ID)
			}
		}
		return err
	})
	return out, err
}

// runsQuery asks for the records that a filter lets through. What every run asks, which others are active, and what became of one, leads over
// an index: it must not take longer with every run that ever was.
func runsQuery(f ledger.RunFilter) (query string, args []any) {
	var where []string
	add := func(condition string, with ...any) { where, args = append(where, condition), append(args, with...) }
	if f.ID != "" {
		add("name >= ? AND name <= ?", string(f.ID), string(f.ID)+string(utf8.MaxRune)) // a prefix, in the index's own order
	}
	if f.Table != "" {
		add("id IN (SELECT run_id FROM run_table WHERE key = ?)", f.Table)
	}
	if f.Active {
		add("ended = 0")
	}
	if f.Preempted {
		add("name IN (SELECT run FROM preemption)")
	}
	query = `SELECT record, stop, pause FROM run`
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY started DESC, id DESC LIMIT ?", append(args, f.Most())
}
