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

// Record tells what the warehouse has committed.
func (l *Ledger) Record(ctx context.Context, c ledger.Commit) (seq history.Seq, err error) {
	err = l.do(ctx, func(t *txn) error {
		var err error
		seq, err = t.record(c)
		return err
	})
	return seq, err
}

// record never looks at the lease or the token: what the warehouse has committed is a fact, whoever finds it (rule 11).
func (t *txn) record(c ledger.Commit) (history.Seq, error) {
	a, err := t.attempt(c.Attempt)
	if err != nil {
		return 0, err
	}
	if a.state != "running" && a.state != "unsettled" && a.state != "lost" {
		return a.seq, nil // it was recorded before
	}
	if a.intent == nil {
		return 0, fmt.Errorf("attempt %s has no intent: what it published cannot be known", c.Attempt)
	}
	in, err := loadIntent(a.intent)
	if err != nil {
		return 0, err
	}
	if extra := c.Published.Minus(a.set); !extra.Empty() {
		return 0, fmt.Errorf("attempt %s: %d published partitions are not its own", c.Attempt, extra.Count())
	}
	seq, err := t.tick()
	if err != nil {
		return 0, err
	}
	rows, err := t.materialize(a, in, c, seq)
	if err != nil {
		return 0, err
	}
	if err := t.putSegments(a.tbl, rows); err != nil {
		return 0, err
	}
	if err := t.putVerdicts(a.tbl, verdicts(a, in.Quarantine, history.Quarantined, in.CheckVersion, "", in.Reasons), c.Published); err != nil {
		return 0, err
	}
	if err := t.keep(a.tbl, in, c.Published, seq); err != nil {
		return 0, err
	}
	if !c.Published.Empty() {
		if err := t.register(a, seq, encodeTime(c.At)); err != nil {
			return 0, err
		}
	}
	state := "published"
	if !c.Published.Equal(a.set) {
		state = "partial"
	}
	if err := t.endAttempt(a, state, "", c.Published, in, seq, encodeTime(c.At)); err != nil {
		return 0, err
	}
	return seq, t.touch(a.tbl)
}

// materialize makes the segments of what was published. Unchanged partitions keep their ChangedSeq; where the ledger knew of none there is
// nothing to keep, and they count as changed.
func (t *txn) materialize(a *attemptRow, in ledger.Intent, c ledger.Commit, seq history.Seq) ([]history.Segment, error) {
	base := history.Segment{ReadSeq: a.readSeq, ChangedSeq: seq, Version: a.version, Attempt: a.id, ReadAt: in.ReadAt}
	rows := history.Spread(base, c.Published)
	if same := c.Unchanged.Intersect(c.Published); !same.Empty() {
		old, err := t.segments(a.tbl, same.Bounds())
		if err != nil {
			return nil, err
		}
		var kept []history.Segment
		for _, o := range history.Clip(old, same) {
			one := base.WithBounds(o.Interval)
			one.ChangedSeq = o.ChangedSeq
			kept = append(kept, one)
		}
		rows = history.Overlay(rows, kept)
	}
	rows = alter(rows, in.Empty.Intersect(c.Published), func(s *history.Segment) { s.Content = history.Empty })
	for _, short := range in.Shortfall {
		rows = alter(rows, short.Set.Intersect(c.Published), func(s *history.Segment) { s.Shortfall = short.Shortfall })
	}
	return rows, nil
}

// alter changes the rows of a set.
func alter(rows []history.Segment, set calendar.Set, change func(*history.Segment)) []history.Segment {
	if set.Empty() {
		return rows
	}
	changed := history.Clip(rows, set)
	for i := range changed {
		change(&changed[i])
	}
	return history.Overlay(rows, changed)
}

// verdicts makes a row for each stretch of partitions with the same reason.
func verdicts(a *attemptRow, set calendar.Set, outcome history.Outcome, checkVersion, otherwise string, reasons map[calendar.Partition]string) []history.Verdict {
	base := history.Verdict{Outcome: outcome, Attempt: a.id, ReadSeq: a.readSeq, Version: a.version, CheckVersion: checkVersion, Reason: otherwise}
	if len(reasons) == 0 {
		return history.Spread(base, set)
	}
	var out []history.Verdict
	for p := range set.Partitions() {
		one := base
		one.Interval = calendar.Single(p)
		if why, ok := reasons[p]; ok {
			one.Reason = why
		}
		if n := len(out); n > 0 && out[n-1].End == p && out[n-1].SameAs(one) {
			out[n-1].End = p + 1
			continue
		}
		out = append(out, one)
	}
	return out
}

// keep stores rows, fingerprints and metrics of what was published.
func (t *txn) keep(tbl int64, in ledger.Intent, published calendar.Set, seq history.Seq) error {
	if published.Empty() {
		return nil
	}
	contents := in.Publish
	if len(contents) != published.Count() {
		contents = nil
		for _, c := range in.Publish {
			if published.Contains(c.Partition) {
				contents = append(contents, c)
			}
		}
	}
	if err := t.putContents(tbl, published.Bounds(), contents); err != nil {
		return err
	}
	var metrics []ledger.Metric
	for _, m := range in.Metrics {
		if published.Contains(m.Partition) {
			metrics = append(metrics, m)
		}
	}
	if len(metrics) == 0 {
		return nil
	}
	b := published.Bounds()
	return t.exec(`INSERT INTO metric (tbl, start, "end", seq, "values") VALUES (?,?,?,?,?)`, tbl, b.Start, b.End, seq, encodeMetrics(metrics))
}

func (t *txn) putContents(tbl int64, b calendar.Interval, contents []ledger.Content) error {
	if len(contents) == 0 {
		return nil
	}
	return t.exec(`INSERT INTO publication (tbl, start, "end", contents) VALUES (?,?,?,?)`, tbl, b.Start, b.End, encodeContents(contents))
}

// register makes a code version known at its first publish: it becomes the table's head (rule 22).
func (t *txn) register(a *attemptRow, seq history.Seq, at int64) error {
	if a.version == "" {
		return nil
	}
	var position int64
	err := t.row(`SELECT position FROM version WHERE tbl = ? AND version = ?`, []any{a.tbl, a.version}, &position)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var record ledger.VersionRecord
	if err := json.Unmarshal([]byte(a.code), &record); err != nil {
		return fmt.Errorf("the code of attempt %s cannot be read: %w", a.id, err)
	}
	record.Version, record.Seq, record.At = a.version, seq, decodeTime(at)
	text, err := encodeJSON(record)
	if err != nil {
		return err
	}
	err = t.exec(`INSERT INTO version VALUES (?1, (SELECT coalesce(max(position), 0) + 1 FROM version WHERE tbl = ?1), ?2, ?3)`, a.tbl, a.version, text)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE tbl SET head = ? WHERE id = ?`, a.version, a.tbl)
}

// endAttempt stores how an attempt ended. Of its intent only the hulls are kept: the rest stands in the history now.
func (t *txn) endAttempt(a *attemptRow, state, reason string, published calendar.Set, in ledger.Intent, seq history.Seq, at int64) error {
	hulls, err := encodeJSON(in.Hulls)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE attempt SET state = ?, reason = ?, published = ?, quarantined = ?, hulls = ?, seq = ?, ended = ?, open = '[]', intent = NULL WHERE id = ?`,
		state, reason, encodeSet(published), encodeSet(in.Quarantine), hulls, seq, at, a.id)
}

// Fail ends an attempt that published nothing.
func (l *Ledger) Fail(ctx context.Context, f ledger.Failure) (seq history.Seq, err error) {
	err = l.do(ctx, func(t *txn) error {
		var err error
		seq, err = t.fail(f)
		return err
	})
	return seq, err
}

func (t *txn) fail(f ledger.Failure) (history.Seq, error) {
	a, err := t.attempt(f.Attempt)
	if err != nil {
		return 0, err
	}
	if a.token != f.Token {
		return 0, fmt.Errorf("attempt %s: %w", f.Attempt, ledger.ErrLost)
	}
	if a.state == "unsettled" || a.state == "lost" {
		return 0, fmt.Errorf("attempt %s: %w", f.Attempt, ledger.ErrLost)
	}
	if a.state != "running" {
		return a.seq, nil
	}
	seq, err := t.tick()
	if err != nil {
		return 0, err
	}
	state, in := f.Outcome.String(), ledger.Intent{}
	switch {
	case f.Cancelled:
		state = "cancelled"
	default:
		if f.Outcome == history.Quarantined {
			in.Quarantine = a.set
		}
		if err := t.putVerdicts(a.tbl, verdicts(a, a.set, f.Outcome, f.CheckVersion, f.Reason, f.Reasons), calendar.Set{}); err != nil {
			return 0, err
		}
	}
	if err := t.endAttempt(a, state, f.Reason, calendar.Set{}, in, seq, encodeTime(f.At)); err != nil {
		return 0, err
	}
	return seq, t.touch(a.tbl)
}
