package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// Head is the logical clock.
func (l *Ledger) Head(ctx context.Context) (seq history.Seq, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'seq'`).Scan(&seq)
	return seq, l.explain(err)
}

// Snapshot reads the histories of the tables at one moment.
func (l *Ledger) Snapshot(ctx context.Context, tables []string) (*history.Snapshot, error) {
	return l.snapshot(ctx, -1, tables)
}

// Changes is a snapshot of what has changed after since.
func (l *Ledger) Changes(ctx context.Context, since history.Seq, tables []string) (*history.Snapshot, error) {
	// Most often nothing has: one look at the clock tells.
	if head, err := l.Head(ctx); err != nil || head == since {
		return &history.Snapshot{Ledger: l.id, Seq: head, Tables: map[string]*history.Table{}, Periods: map[string][]history.PeriodChange{}}, err
	}
	return l.snapshot(ctx, since, tables)
}

// A reading is one transaction that reads.
type reading struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the call
	tx     *sql.Tx
	since  history.Seq // rows written after it; -1: all
	tables map[int64]*history.Table
	texts  map[string]string // each text once: versions and attempts come again and again
}

func (l *Ledger) snapshot(ctx context.Context, since history.Seq, tables []string) (*history.Snapshot, error) {
	tx, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, l.explain(err)
	}
	defer tx.Rollback() //nolint:errcheck // it has only read
	out := &history.Snapshot{Ledger: l.id, Tables: make(map[string]*history.Table, len(tables)), Periods: map[string][]history.PeriodChange{}}
	r := &reading{ctx: ctx, tx: tx, since: since, tables: map[int64]*history.Table{}, texts: map[string]string{}}
	if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'seq'`).Scan(&out.Seq); err != nil {
		return nil, l.explain(err)
	}
	if err := r.heads(tables, out); err != nil {
		return nil, l.explain(err)
	}
	if len(r.tables) > 0 {
		for _, read := range []func() error{r.segments, r.moves, r.verdicts, r.versions, r.attempts, r.claims} {
			if err := read(); err != nil {
				return nil, l.explain(err)
			}
		}
	}
	return out, l.explain(r.periods(out))
}

// heads finds the tables, and makes a history for each.
func (r *reading) heads(keys []string, out *history.Snapshot) error {
	wanted := make(map[string]bool, len(keys))
	for _, k := range keys {
		wanted[k] = true
	}
	return r.rows(`SELECT id, key, known, meta, head FROM tbl WHERE changed > ?`, []any{r.since}, func(scan func(...any) error) error {
		var id int64
		var key, known string
		t := &history.Table{}
		if err := scan(&id, &key, &known, &t.Meta, &t.Head); err != nil || !wanted[key] {
			return err
		}
		var err error
		t.Known, err = decodeSet(known)
		r.tables[id], out.Tables[key] = t, t
		return err
	})
}

func (r *reading) rows(query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := r.tx.QueryContext(r.ctx, query, args...)
	if err != nil {
		return err
	}
	return drain(rows, each)
}

// byTable runs a query for one table, or for all when many are wanted: then one walk is cheaper than many looks. The query has a place
// for the condition on tbl.
func (r *reading) byTable(query string, each func(scan func(...any) error) error, args ...any) error {
	const few = 8
	run := func(condition string, args []any) error {
		return r.rows(fmt.Sprintf(query, condition), args, each)
	}
	if len(r.tables) > few {
		return run("1", args)
	}
	for id := range r.tables {
		if err := run(fmt.Sprintf("tbl = %d", id), args); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) text(s string) string {
	if kept, ok := r.texts[s]; ok {
		return kept
	}
	r.texts[s] = s
	return s
}

func (r *reading) segments() error {
	var tbl, readAt int64
	var seg history.Segment
	to := []any{
		&tbl, &seg.Start, &seg.End, &seg.ReadSeq, &seg.ChangedSeq, &seg.Version, &seg.Attempt, &seg.Content, &seg.Shortfall, &seg.Accepted, &seg.Stale, &readAt,
	}
	return r.byTable(`SELECT tbl, start, "end", read_seq, changed_seq, version, attempt, content, shortfall, accepted, stale, read_at
		FROM segment WHERE %s AND at > ? ORDER BY tbl, start`, func(scan func(...any) error) error {
		if err := scan(to...); err != nil {
			return err
		}
		t := r.tables[tbl]
		if t == nil {
			return nil
		}
		seg.Version, seg.Attempt, seg.ReadAt = r.text(seg.Version), r.text(seg.Attempt), decodeTime(readAt)
		// Rows written at different times are kept apart in the store; in a snapshot neighbours that are alike are one.
		if n := len(t.Segments); n > 0 && t.Segments[n-1].End == seg.Start && t.Segments[n-1].SameAs(seg) {
			t.Segments[n-1].End = seg.End
			return nil
		}
		t.Segments = append(t.Segments, seg)
		return nil
	}, r.since)
}

func (r *reading) moves() error {
	return r.byTable(`SELECT tbl, start, "end", seq, gained FROM move WHERE %s ORDER BY tbl, start`, func(scan func(...any) error) error {
		var tbl int64
		var m history.Move
		err := scan(&tbl, &m.Start, &m.End, &m.Seq, &m.Gained)
		if t := r.tables[tbl]; err == nil && t != nil {
			t.Moves = append(t.Moves, m)
		}
		return err
	})
}

func (r *reading) verdicts() error {
	return r.byTable(`SELECT tbl, start, "end", outcome, attempt, read_seq, version, check_version, reason FROM verdict WHERE %s AND at > ? ORDER BY tbl, start`,
		func(scan func(...any) error) error {
			var tbl int64
			var v history.Verdict
			err := scan(&tbl, &v.Start, &v.End, &v.Outcome, &v.Attempt, &v.ReadSeq, &v.Version, &v.CheckVersion, &v.Reason)
			if t := r.tables[tbl]; err == nil && t != nil {
				t.Verdicts = append(t.Verdicts, v)
			}
			return err
		}, r.since)
}

func (r *reading) versions() error {
	return r.byTable(`SELECT tbl, version FROM version WHERE %s ORDER BY tbl, position`, func(scan func(...any) error) error {
		var tbl int64
		var v string
		err := scan(&tbl, &v)
		if t := r.tables[tbl]; err == nil && t != nil {
			t.Versions = append(t.Versions, v)
		}
		return err
	})
}

// attempts tells what is in flight, and what attempts of ended leases have left unsettled.
func (r *reading) attempts() error {
	return r.byTable(`SELECT tbl, state, "set", open FROM attempt WHERE %s AND state IN ('running', 'unsettled')`, func(scan func(...any) error) error {
		var tbl int64
		var state, set, open string
		err := scan(&tbl, &state, &set, &open)
		t := r.tables[tbl]
		if err != nil || t == nil {
			return err
		}
		if state == "unsettled" {
			left, err := decodeSet(open)
			t.Unsettled = t.Unsettled.Union(left)
			return err
		}
		flying, err := decodeSet(set)
		t.InFlight = t.InFlight.Union(flying)
		return err
	})
}

func (r *reading) claims() error {
	held := map[int64][]calendar.Interval{}
	err := r.byTable(`SELECT tbl, start, "end" FROM claim WHERE %s ORDER BY tbl, start`, func(scan func(...any) error) error {
		var tbl int64
		var iv calendar.Interval
		err := scan(&tbl, &iv.Start, &iv.End)
		held[tbl] = append(held[tbl], iv)
		return err
	})
	for tbl, ivs := range held {
		if t := r.tables[tbl]; t != nil {
			t.Reserved = calendar.NewSet(ivs...)
		}
	}
	return err
}

// periods reads all definitions: there are few.
func (r *reading) periods(out *history.Snapshot) error {
	return r.rows(`SELECT name, seq, intervals FROM period ORDER BY name, seq`, nil, func(scan func(...any) error) error {
		var name, text string
		var change history.PeriodChange
		if err := scan(&name, &change.Seq, &text); err != nil {
			return err
		}
		var pairs [][2]calendar.Partition
		if err := json.Unmarshal([]byte(text), &pairs); err != nil {
			return fmt.Errorf("a period in the state cannot be read: %w", err)
		}
		for _, p := range pairs {
			change.Intervals = append(change.Intervals, calendar.Interval{Start: p[0], End: p[1]})
		}
		out.Periods[name] = append(out.Periods[name], change)
		return nil
	})
}
