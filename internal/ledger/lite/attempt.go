package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// An attemptRow is what the store holds of an attempt.
type attemptRow struct {
	id, run, lease, version, state, code string
	tbl                                  int64
	set                                  calendar.Set
	token                                history.Token
	readSeq, seq                         history.Seq
	intent                               []byte
}

// attempt reads an attempt; ErrNotFound where there is none.
func (t *txn) attempt(id ledger.AttemptID) (*attemptRow, error) {
	a := &attemptRow{id: string(id)}
	var set string
	err := t.row(`SELECT run, lease, tbl, "set", token, read_seq, version, state, code, intent, seq FROM attempt WHERE id = ?`, []any{id},
		&a.run, &a.lease, &a.tbl, &set, &a.token, &a.readSeq, &a.version, &a.state, &a.code, &a.intent, &a.seq)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("attempt %s: %w", id, ledger.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	a.set, err = decodeSet(set)
	return a, err
}

// live reports whether a lease is still active.
func (t *txn) live(lease string) (bool, error) {
	var active bool
	err := t.row(`SELECT active FROM lease WHERE id = ?`, []any{lease}, &active)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return active, err
}

// StartAttempt draws the attempt's token and puts its partitions in flight.
func (l *Ledger) StartAttempt(ctx context.Context, req ledger.AttemptRequest) (a *ledger.Attempt, err error) {
	if req.ID == "" || req.Set.Empty() {
		return nil, errors.New("an attempt needs an id and partitions")
	}
	err = l.do(ctx, func(t *txn) error {
		var err error
		a, err = t.startAttempt(req)
		return err
	})
	return a, err
}

func (t *txn) startAttempt(req ledger.AttemptRequest) (*ledger.Attempt, error) {
	out := &ledger.Attempt{ID: req.ID, Lease: req.Lease, Run: req.Run, Table: req.Table, Set: req.Set, ReadSeq: req.ReadSeq, Version: req.Version}
	if was, err := t.attempt(req.ID); err == nil {
		out.Token = was.token
		return out, nil
	} else if !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	r, err := t.find(req.Table)
	if err != nil {
		return nil, err
	}
	if live, err := t.live(string(req.Lease)); err != nil || !live {
		return nil, errors.Join(err, fmt.Errorf("lease %s: %w", req.Lease, ledger.ErrLost))
	}
	held, err := t.claimed(string(req.Lease), r.id)
	if err != nil {
		return nil, err
	}
	if !held.Covers(req.Set) {
		return nil, fmt.Errorf("lease %s does not hold all %d partitions of %s: %w", req.Lease, req.Set.Count(), req.Table, ledger.ErrLost)
	}
	if err := t.clear(r.id, req); err != nil {
		return nil, err
	}
	if out.Token, err = t.token(r.id); err != nil {
		return nil, err
	}
	code, err := encodeJSON(req.Code)
	if err != nil {
		return nil, err
	}
	bounds := req.Set.Bounds()
	err = t.exec(`INSERT INTO attempt (id, run, lease, tbl, start, "end", "set", token, read_seq, version, state, code, started, position)
		VALUES (?,?,?,?,?,?,?,?,?,?,'running',?,?, (SELECT coalesce(max(position), 0) + 1 FROM attempt WHERE run = ?))`,
		req.ID, req.Run, req.Lease, r.id, bounds.Start, bounds.End, encodeSet(req.Set), out.Token, req.ReadSeq, req.Version, code, encodeTime(req.At), req.Run)
	if err != nil {
		return nil, err
	}
	if req.Guarded {
		return out, t.doubt(r.id, out)
	}
	return out, nil
}

// clear refuses partitions that are unsettled or in flight.
func (t *txn) clear(tbl int64, req ledger.AttemptRequest) error {
	left, err := t.unsettled(tbl)
	if err != nil {
		return err
	}
	if left.Overlaps(req.Set) {
		return fmt.Errorf("%d partitions of %s: %w", left.Intersect(req.Set).Count(), req.Table, ledger.ErrUnsettled)
	}
	return t.rows(`SELECT id, "set" FROM attempt WHERE tbl = ? AND state = 'running'`, []any{tbl}, func(scan func(...any) error) error {
		var id, text string
		if err := scan(&id, &text); err != nil {
			return err
		}
		set, err := decodeSet(text)
		if err == nil && set.Overlaps(req.Set) {
			err = fmt.Errorf("%d partitions of %s are in flight in attempt %s: %w", set.Intersect(req.Set).Count(), req.Table, id, ledger.ErrUnsettled)
		}
		return err
	})
}

// doubt makes partitions unreadable before a writer that is not fenced begins (rule 14).
func (t *txn) doubt(tbl int64, a *ledger.Attempt) error {
	seq, err := t.tick()
	if err != nil {
		return err
	}
	row := history.Segment{ReadSeq: a.ReadSeq, ChangedSeq: seq, Version: a.Version, Attempt: string(a.ID), Content: history.InDoubt}
	if err := t.putSegments(tbl, history.Spread(row, a.Set)); err != nil {
		return err
	}
	return t.touch(tbl)
}

// Intend stores what an attempt is about to publish.
func (l *Ledger) Intend(ctx context.Context, in ledger.Intent) error {
	return l.do(ctx, func(t *txn) error {
		a, err := t.attempt(in.Attempt)
		if err != nil {
			return err
		}
		live, err := t.live(a.lease)
		if err != nil {
			return err
		}
		if a.state != "running" || !live || a.token != in.Token {
			return fmt.Errorf("attempt %s: %w", in.Attempt, ledger.ErrLost)
		}
		// What was read is the attempt's own: nobody can claim a later reading.
		in.ReadSeq, in.Version = a.readSeq, a.version
		text, err := json.Marshal(storedIntent(in))
		if err != nil {
			return err
		}
		return t.exec(`UPDATE attempt SET intent = ? WHERE id = ?`, text, in.Attempt)
	})
}

// Intents are the intents of attempts that have not ended.
func (l *Ledger) Intents(ctx context.Context, tables []string) (out []ledger.Intent, err error) {
	for _, key := range tables {
		rows, err := l.read.QueryContext(ctx, `SELECT a.intent FROM attempt a JOIN tbl ON tbl.id = a.tbl
			WHERE tbl.key = ? AND a.state IN ('running', 'unsettled') AND a.intent IS NOT NULL ORDER BY a.token`, key)
		if err != nil {
			return nil, l.explain(err)
		}
		err = drain(rows, func(scan func(...any) error) error {
			var text []byte
			if err := scan(&text); err != nil {
				return err
			}
			in, err := loadIntent(text)
			out = append(out, in)
			return err
		})
		if err != nil {
			return nil, l.explain(err)
		}
	}
	return out, nil
}

// A packedIntent is an intent as the store keeps it: sets and contents packed.
type packedIntent struct {
	ledger.Intent
	Publish    []byte                        `json:"publish"`
	Metrics    []byte                        `json:"metrics"`
	Empty      string                        `json:"empty"`
	Quarantine string                        `json:"quarantine"`
	Shortfall  []packedShort                 `json:"shortfall"`
	Reasons    map[calendar.Partition]string `json:"reasons"`
}

type packedShort struct {
	Set       string            `json:"set"`
	Shortfall history.Shortfall `json:"shortfall"`
}

func storedIntent(in ledger.Intent) packedIntent {
	p := packedIntent{
		Publish: encodeContents(in.Publish), Metrics: encodeMetrics(in.Metrics), Empty: encodeSet(in.Empty), Quarantine: encodeSet(in.Quarantine),
		Reasons: in.Reasons,
	}
	for _, s := range in.Shortfall {
		p.Shortfall = append(p.Shortfall, packedShort{encodeSet(s.Set), s.Shortfall})
	}
	in.Publish, in.Metrics, in.Shortfall, in.Reasons = nil, nil, nil, nil
	in.Empty, in.Quarantine = calendar.Set{}, calendar.Set{}
	p.Intent = in
	return p
}

func loadIntent(text []byte) (ledger.Intent, error) {
	var p packedIntent
	if err := json.Unmarshal(text, &p); err != nil {
		return ledger.Intent{}, fmt.Errorf("an intent in the state cannot be read: %w", err)
	}
	in := p.Intent
	var errs [4]error
	in.Reasons = p.Reasons
	in.Publish, errs[0] = decodeContents(p.Publish)
	in.Metrics, errs[1] = decodeMetrics(p.Metrics)
	in.Empty, errs[2] = decodeSet(p.Empty)
	in.Quarantine, errs[3] = decodeSet(p.Quarantine)
	for _, s := range p.Shortfall {
		set, err := decodeSet(s.Set)
		if err != nil {
			return in, err
		}
		in.Shortfall = append(in.Shortfall, ledger.ShortSet{Set: set, Shortfall: s.Shortfall})
	}
	return in, errors.Join(errs[:]...)
}
