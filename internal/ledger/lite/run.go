package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/ledger"
)

// PutRun stores a run, new or changed.
func (l *Ledger) PutRun(ctx context.Context, run ledger.RunRecord) error {
	packed, err := encodeJSON(packRun(run))
	if err != nil {
		return err
	}
	return l.do(ctx, func(t *txn) error {
		var text string
		err := t.row(`SELECT record FROM run WHERE id = ?`, []any{run.ID}, &text)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			for _, c := range run.Sets {
				r, err := t.table(c.Table, c.Axis)
				if err != nil {
					return err
				}
				if err := t.exec(`INSERT INTO run_table VALUES (?,?) ON CONFLICT DO NOTHING`, run.ID, r.id); err != nil {
					return err
				}
			}
			return t.exec(`INSERT INTO run VALUES (?,?,?,?)`, run.ID, encodeTime(run.StartedAt), run.Ended, packed)
		case err != nil:
			return err
		}
		stored, err := unpackRun(text)
		if err != nil {
			return err
		}
		if !run.Replaces(stored) {
			return nil
		}
		return t.exec(`UPDATE run SET ended = ?, record = ? WHERE id = ?`, run.Ended, packed, run.ID)
	})
}

// A packedRun is a run as the store keeps it.
type packedRun struct {
	ledger.RunRecord
	Sets []packedClaim
}

type packedClaim struct {
	Table string
	Axis  struct {
		Grain uint8
		Zone  string
	}
	Set string
}

func packRun(r ledger.RunRecord) packedRun {
	p := packedRun{RunRecord: r, Sets: []packedClaim{}}
	for _, c := range r.Sets {
		one := packedClaim{Table: c.Table, Set: encodeSet(c.Set)}
		one.Axis.Grain, one.Axis.Zone = uint8(c.Axis.Grain), c.Axis.Zone
		p.Sets = append(p.Sets, one)
	}
	p.RunRecord.Sets = nil
	return p
}

func unpackRun(text string) (ledger.RunRecord, error) {
	var p packedRun
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return ledger.RunRecord{}, fmt.Errorf("a run in the state cannot be read: %w", err)
	}
	for _, c := range p.Sets {
		set, err := decodeSet(c.Set)
		if err != nil {
			return p.RunRecord, err
		}
		p.RunRecord.Sets = append(p.RunRecord.Sets, ledger.Claim{Table: c.Table, Axis: axisOf(c.Axis.Grain, c.Axis.Zone), Set: set})
	}
	return p.RunRecord, nil
}

// Runs lists runs, newest first.
func (l *Ledger) Runs(ctx context.Context, f ledger.RunFilter) (out []ledger.RunRecord, err error) {
	const defaultLimit = 100
	var where []string
	var args []any
	if f.ID != "" {
		where, args = append(where, `substr(id, 1, length(?)) = ?`), append(args, f.ID, f.ID)
	}
	if f.Active {
		where = append(where, `ended = 0`)
	}
	if f.Table != "" {
		where = append(where, `id IN (SELECT run FROM run_table WHERE tbl = (SELECT id FROM tbl WHERE key = ?))`)
		args = append(args, f.Table)
	}
	query := `SELECT record FROM run`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, ` AND `)
	}
	rows, err := l.read.QueryContext(ctx, query+` ORDER BY started DESC, id DESC LIMIT ?`, append(args, limitOr(f.Limit, defaultLimit))...)
	if err != nil {
		return nil, l.explain(err)
	}
	err = drain(rows, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		r, err := unpackRun(text)
		out = append(out, r)
		return err
	})
	return out, l.explain(err)
}

func limitOr(limit, otherwise int) int {
	if limit > 0 {
		return limit
	}
	return otherwise
}

// Attempts lists attempts, oldest first; of too many the newest are kept.
func (l *Ledger) Attempts(ctx context.Context, f ledger.AttemptFilter) (out []ledger.AttemptRecord, err error) {
	const defaultLimit = 1000
	where, args := []string{`1`}, []any{}
	if f.ID != "" {
		where, args = append(where, `a.id = ?`), append(args, f.ID)
	}
	if f.Run != "" {
		where, args = append(where, `a.run = ?`), append(args, f.Run)
	}
	if f.Table != "" {
		where, args = append(where, `tbl.key = ?`), append(args, f.Table)
		if b := f.Set.Bounds(); !b.Empty() {
			where, args = append(where, `a.start < ? AND a."end" > ?`), append(args, b.End, b.Start)
		}
	}
	rows, err := l.read.QueryContext(ctx, `SELECT a.id, a.run, tbl.key, a."set", a.token, a.read_seq, a.version, a.state, a.reason, a.published, a.quarantined,
		a.hulls, a.started, a.ended FROM attempt a JOIN tbl ON tbl.id = a.tbl WHERE `+strings.Join(where, ` AND `)+
		` ORDER BY a.started DESC, a.position DESC, a.id DESC`, args...)
	if err != nil {
		return nil, l.explain(err)
	}
	limit := limitOr(f.Limit, defaultLimit)
	err = drain(rows, func(scan func(...any) error) error {
		if len(out) == limit {
			return nil
		}
		a, err := scanAttempt(scan)
		if err == nil && (f.Set.Empty() || a.Set.Overlaps(f.Set)) {
			out = append(out, a)
		}
		return err
	})
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, l.explain(err)
}

func scanAttempt(scan func(...any) error) (a ledger.AttemptRecord, err error) {
	var set, published, quarantined, hulls string
	var started, ended int64
	err = scan(&a.ID, &a.Run, &a.Table, &set, &a.Token, &a.ReadSeq, &a.Version, &a.State, &a.Reason, &published, &quarantined, &hulls, &started, &ended)
	if err != nil {
		return a, err
	}
	var errs [4]error
	a.Set, errs[0] = decodeSet(set)
	a.Published, errs[1] = decodeSet(published)
	a.Quarantined, errs[2] = decodeSet(quarantined)
	errs[3] = json.Unmarshal([]byte(hulls), &a.Hulls)
	a.StartedAt, a.EndedAt = decodeTime(started), decodeTime(ended)
	return a, errors.Join(errs[:]...)
}

// Versions lists the code versions of a table, oldest first.
func (l *Ledger) Versions(ctx context.Context, table string) (out []ledger.VersionRecord, err error) {
	rows, err := l.read.QueryContext(ctx, `SELECT v.record, v.version = tbl.head FROM version v JOIN tbl ON tbl.id = v.tbl WHERE tbl.key = ? ORDER BY v.position`, table)
	if err != nil {
		return nil, l.explain(err)
	}
	err = drain(rows, func(scan func(...any) error) error {
		var text string
		var v ledger.VersionRecord
		var head bool
		if err := scan(&text, &head); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(text), &v)
		v.Head = head
		out = append(out, v)
		return err
	})
	return out, l.explain(err)
}
