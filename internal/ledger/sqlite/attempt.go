package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// An attempt as it is stored.
type attempt struct {
	id      int64
	leaseID int64
	tableID int64
	lease   ledger.LeaseID
	class   ledger.Class // of its lease
	lost    bool         // its lease has ended
	settled bool         // it is known that nothing that it has in flight is unsettled
	// downgrade: its code is older, and a person let it write all the same.
	downgrade bool
	code      ledger.VersionRecord
	intent    []byte
	endedSeq  history.Seq
	ledger.AttemptRecord
}

const selectAttempt = `SELECT a.id, a.lease_id, l.ended, a.token, a.state, a.beginning, a.intent, a.outcome, a.table_id, l.class, a.downgrade
	FROM attempt a JOIN lease l ON l.id = a.lease_id `

func (a *attempt) read(r row) error {
	a.id, a.leaseID, a.lost, a.Token, a.State = r.int(0), r.int(1), r.bool(2), history.Token(r.int(3)), r.text(4)
	a.intent, a.tableID, a.class, a.downgrade = r.blob(6), r.int(8), ledger.Class(r.text(9)), r.bool(10)
	if err := a.readBeginning(r.blob(5)); err != nil || r.blob(7) == nil {
		return err
	}
	o := reader{s: textOf(r.blob(7))}
	a.Reason, a.EndedAt, a.endedSeq, a.Published, a.Quarantined, a.Hulls = o.text(), o.time(), history.Seq(o.int()), o.set(), o.set(), o.hulls()
	return o.err()
}

func (a *attempt) readBeginning(blob []byte) error {
	b := reader{s: textOf(blob)}
	a.ID, a.lease, a.Run, a.Table = ledger.AttemptID(b.text()), ledger.LeaseID(b.text()), ledger.RunID(b.text()), b.text()
	a.Set, a.ReadSeq, a.Version, a.code, a.StartedAt = b.set(), history.Seq(b.int()), b.text(), b.code(), b.time()
	return b.err()
}

// packBeginning packs what never changes of an attempt.
func packBeginning(req *ledger.AttemptRequest) []byte {
	var p packer
	p.text(string(req.ID))
	p.text(string(req.Lease))
	p.text(string(req.Run))
	p.text(req.Table)
	p.set(req.Set)
	p.int(int64(req.ReadSeq))
	p.text(req.Version)
	p.code(req.Code)
	p.time(req.At)
	return p.b
}

func (a *attempt) packOutcome() []byte {
	var p packer
	p.text(a.Reason)
	p.time(a.EndedAt)
	p.int(int64(a.endedSeq))
	p.set(a.Published)
	p.set(a.Quarantined)
	p.hulls(a.Hulls)
	return p.b
}

func (a *attempt) running() bool { return a.State == ledger.AttemptRunning }

// right is the attempt as its holder gets it.
func (a *attempt) right() ledger.Attempt {
	return ledger.Attempt{
		ID: a.ID, Lease: a.lease, Run: a.Run, Table: a.Table, Set: a.Set, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version,
	}
}

// attempt finds an attempt. It is the caller's own.
func (t *tx) attempt(id ledger.AttemptID) (*attempt, error) {
	if known := t.rights.attempts[id]; known != nil {
		a := *known
		return &a, nil
	}
	var a attempt
	found, err := t.first(a.read, selectAttempt+`WHERE a.name = ?`, string(id))
	if err == nil && !found {
		err = fmt.Errorf("attempt %s: %w", id, ledger.ErrNotFound)
	}
	return &a, err
}

// Intend stores what an attempt is about to publish.
func (l *Ledger) Intend(ctx context.Context, in ledger.Intent) error {
	return l.write(ctx, func(t *tx) error { return t.intend(in) })
}

func (t *tx) intend(in ledger.Intent) error {
	a, err := t.attempt(in.Attempt)
	if err != nil {
		return err
	}
	lost := in.Token != a.Token || !a.running() || a.lost
	if !lost && !a.settled {
		left, err := t.flying(a)
		if err != nil {
			return err
		}
		lost = !left.Covers(in.Named().Intersect(a.Set))
	}
	if lost {
		return fmt.Errorf("attempt %s: %w", in.Attempt, ledger.ErrLost)
	}
	if err := in.Check(a.right()); err != nil {
		return err
	}
	in.Run = a.Run
	blob := packIntent(&in)
	if a.intent != nil {
		if !bytes.Equal(a.intent, blob) {
			return fmt.Errorf("attempt %s has stated another intent already", in.Attempt)
		}
		return nil
	}
	if _, err := t.exec(`UPDATE attempt SET intent = ?2 WHERE id = ?1`, a.id, blob); err != nil {
		return err
	}
	if known := t.rights.attempts[a.ID]; known != nil {
		known.intent = blob
	}
	return nil
}

// Intents lists the intents not yet recorded or ended.
func (l *Ledger) Intents(ctx context.Context, tables []string) (out []ledger.Intent, err error) {
	err = l.read(ctx, func(s *session) error {
		out = nil
		return s.query(func(r row) error {
			if !slices.Contains(tables, r.text(0)) {
				return nil
			}
			in, err := readIntent(r.blob(1))
			if err != nil {
				return err
			}
			out = append(out, *in)
			return nil
		}, `SELECT t.key, a.intent FROM attempt a JOIN tables t ON t.id = a.table_id
			WHERE a.id IN (SELECT attempt_id FROM flight) AND a.intent IS NOT NULL ORDER BY a.id`)
	})
	return out, err
}

// finish ends an attempt and says as what. Of one that published everything nothing has to be looked up any more.
func (t *tx) finish(a *attempt, seq history.Seq, at time.Time, reason string) error {
	a.State, a.Reason, a.EndedAt, a.endedSeq = ledger.EndState(a.AttemptRecord, a.intent != nil), reason, at, seq
	if a.Published.Union(a.Quarantined).Covers(a.Set) {
		a.Reason = ""
	}
	if a.State == ledger.AttemptPublished {
		a.intent = nil
	}
	return t.closeAttempt(a)
}

func (t *tx) closeAttempt(a *attempt) error {
	if _, err := t.exec(`DELETE FROM flight `+ofAttempt, a.flights()...); err != nil {
		return err
	}
	return t.putAttempt(a)
}

func (t *tx) putAttempt(a *attempt) error {
	delete(t.rights.attempts, a.ID)
	_, err := t.exec(`UPDATE attempt SET state = ?2, intent = ?3, outcome = ?4 WHERE id = ?1`, a.id, a.State, nullable(a.intent), a.packOutcome())
	return err
}

// The flights of an attempt lie within the bounds of its partitions.
const (
	ofAttempt = `WHERE table_id = ?4 + 0 AND start >= ?2 + 0 AND start < ?3 + 0 AND attempt_id = ?1 + 0`
	anyFlight = `SELECT 1 FROM flight ` + ofAttempt
)

// flying is what an attempt has in flight still.
func (t *tx) flying(a *attempt) (calendar.Set, error) {
	if a.settled {
		return a.Set, nil
	}
	var ivs []calendar.Interval
	err := t.query(func(r row) error { ivs = append(ivs, r.interval(0)); return nil },
		`SELECT start, end FROM flight `+ofAttempt+` AND unsettled = 0`, a.flights()...)
	return calendar.NewSet(ivs...), err
}

func (a *attempt) flights() []any {
	over := a.Set.Bounds()
	return []any{a.id, over.Start, over.End, a.tableID}
}

// nullable keeps a nil blob from becoming an empty one.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// Fail ends an attempt that published nothing.
func (l *Ledger) Fail(ctx context.Context, f ledger.Failure) (seq history.Seq, err error) {
	if err := f.Check(); err != nil {
		return 0, err
	}
	err = l.write(ctx, func(t *tx) (err error) {
		seq, err = t.fail(f)
		return err
	})
	return seq, err
}

func (t *tx) fail(f ledger.Failure) (history.Seq, error) {
	a, err := t.attempt(f.Attempt)
	if err != nil {
		return 0, err
	}
	state := f.State()
	if f.Token == a.Token && a.State == state {
		return a.endedSeq, nil
	}
	if f.Token != a.Token || !a.running() || a.lost || !a.Published.Empty() {
		return 0, fmt.Errorf("attempt %s: %w", f.Attempt, ledger.ErrLost)
	}
	tab, err := t.known(a.Table)
	if err != nil {
		return 0, err
	}
	left, err := t.flying(a)
	if err != nil {
		return 0, err
	}
	seq := t.touch(tab)
	if !f.Cancelled {
		if err := t.judge(tab, a, left, f.CheckVersion, f.Outcome, f.ReasonOf, seq); err != nil {
			return 0, err
		}
		lost := a.Set.Minus(left)
		kept := slices.DeleteFunc(slices.Clone(f.Metrics), func(m ledger.Metric) bool { return lost.Contains(m.Partition) })
		if err := t.measure(tab, kept, seq); err != nil {
			return 0, err
		}
	}
	if state == ledger.AttemptQuarantined {
		a.Quarantined = left
	}
	a.State, a.Reason, a.EndedAt, a.endedSeq = state, f.Reason, f.At, seq
	return seq, t.closeAttempt(a)
}

// Attempts lists attempts.
func (l *Ledger) Attempts(ctx context.Context, f ledger.AttemptFilter) (out []ledger.AttemptRecord, err error) {
	var where []string
	var args []any
	add := func(condition string, with ...any) { where, args = append(where, condition), append(args, with...) }
	if f.ID != "" {
		add("a.name = ?", string(f.ID))
	}
	if f.Run != "" {
		add("a.run = ?", string(f.Run))
	}
	if f.Table != "" {
		add("a.table_id = (SELECT id FROM tables WHERE key = ?)", f.Table)
		if !f.Set.Empty() {
			add("a.start < ? AND a.end > ?", f.Set.Bounds().End, f.Set.Bounds().Start)
		}
	}
	query := selectAttempt
	if len(where) > 0 {
		query += "WHERE " + strings.Join(where, " AND ")
	}
	err = l.read(ctx, func(s *session) error {
		out = nil
		return s.query(func(r row) error {
			var a attempt
			if err := a.read(r); err != nil {
				return err
			}
			if f.Matches(a.AttemptRecord) {
				out = append(out, a.AttemptRecord)
			}
			if len(out) == f.Most() {
				return errEnough
			}
			return nil
		}, query+" ORDER BY a.id DESC", args...)
	})
	slices.Reverse(out)
	return out, err
}
