package mem

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

const running = ledger.AttemptRunning

type attempt struct {
	rec    ledger.AttemptRecord
	lease  ledger.LeaseID
	code   ledger.VersionRecord
	intent *ledger.Intent
	// Of its partitions, flight are being written under a live lease; unsettled are those whose lease ended meanwhile.
	flight    calendar.Set
	unsettled calendar.Set
	endedSeq  history.Seq
	downgrade bool // its code is older, and a person let it write all the same
}

func (a *attempt) right() ledger.Attempt {
	return ledger.Attempt{
		ID: a.rec.ID, Lease: a.lease, Run: a.rec.Run, Table: a.rec.Table, Set: a.rec.Set, Token: a.rec.Token, ReadSeq: a.rec.ReadSeq,
		Version: a.rec.Version,
	}
}

func (l *Ledger) attempt(id ledger.AttemptID) (*attempt, error) {
	for _, a := range l.attempts {
		if a.rec.ID == id {
			return a, nil
		}
	}
	return nil, fmt.Errorf("attempt %s: %w", id, ledger.ErrNotFound)
}

// StartAttempt puts partitions in flight.
func (l *Ledger) StartAttempt(ctx context.Context, req ledger.AttemptRequest) (*ledger.Attempt, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := req.Check(l.clock); err != nil {
		return nil, err
	}
	x := l.leases[req.Lease]
	if x == nil {
		return nil, fmt.Errorf("lease %s: %w", req.Lease, ledger.ErrNotFound)
	}
	if x.ended {
		return nil, fmt.Errorf("lease %s: %w", req.Lease, ledger.ErrLost)
	}
	if a, err := l.attempt(req.ID); err == nil {
		out := a.right()
		return &out, nil
	}
	if !x.writes[req.Table].Covers(req.Set) {
		return nil, fmt.Errorf("lease %s does not hold all the partitions of %s: %w", req.Lease, req.Table, ledger.ErrLost)
	}
	if l.pausedOf(x.req.Run).Asked() {
		return nil, fmt.Errorf("run %s: %w", x.req.Run, ledger.ErrPaused)
	}
	if err := l.startable(x, req); err != nil {
		return nil, err
	}
	older, err := l.older(req)
	if err != nil {
		return nil, err
	}
	before := l.clock
	seq, t := l.tick(), l.tables[req.Table]
	t.token++
	t.touched = seq
	if older != nil {
		l.seal(req.Downgraded(older, x.req.Holder, history.Clip(t.segments(0), older.Set), before, seq))
	}
	a := &attempt{
		rec: ledger.AttemptRecord{
			ID: req.ID, Run: req.Run, Table: req.Table, Set: req.Set, Token: t.token, ReadSeq: req.ReadSeq, Version: req.Version,
			State: running, StartedAt: req.At,
		},
		lease: req.Lease, code: req.Code, flight: req.Set, downgrade: older != nil,
	}
	l.attempts = append(l.attempts, a)
	if req.Guarded {
		for p := range req.Set.Partitions() {
			t.write(p, history.Segment{
				ReadSeq: req.ReadSeq, ChangedSeq: seq, Version: req.Version, Attempt: string(req.ID), Content: history.InDoubt, FixedBy: t.cells[p].FixedBy,
			}, t.token, seq)
		}
	}
	out := a.right()
	return &out, nil
}

// startable refuses partitions that are unsettled, in flight, or read by another run.
func (l *Ledger) startable(x *lease, req ledger.AttemptRequest) error {
	if left := l.unsettled(req.Table, nil).Intersect(req.Set); !left.Empty() {
		return fmt.Errorf("%d partitions of %s: %w", left.Count(), req.Table, ledger.ErrUnsettled)
	}
	for _, a := range l.attempts {
		if a.rec.Table == req.Table && a.flight.Overlaps(req.Set) {
			return fmt.Errorf("attempt %s is already writing partitions of %s", a.rec.ID, req.Table)
		}
	}
	var readers []ledger.Conflict
	for _, y := range l.sorted() {
		if set := y.reads[req.Table].Intersect(req.Set); y.req.Run != x.req.Run && !l.over(y) && !set.Empty() {
			readers = append(readers, l.conflict(y, req.Table, set))
		}
	}
	if len(readers) > 0 {
		ledger.SortConflicts(readers)
		return &ledger.ConflictError{Conflicts: readers}
	}
	return nil
}

// older tells which newer content an attempt would replace; nil if none. It is an error unless a person lets it.
func (l *Ledger) older(req ledger.AttemptRequest) (*ledger.OlderCodeError, error) {
	t := l.tables[req.Table]
	older, err := req.Older(t.records(), func() ([]history.Segment, error) { return t.segments(0), nil })
	if err == nil && older != nil && req.Downgrade == "" {
		err = older
	}
	return older, err
}

// Intend stores what an attempt is about to publish.
func (l *Ledger) Intend(ctx context.Context, in ledger.Intent) error {
	unlock, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	a, err := l.attempt(in.Attempt)
	if err != nil {
		return err
	}
	named := in.Named().Intersect(a.rec.Set)
	if in.Token != a.rec.Token || a.rec.State != running || l.leases[a.lease].ended || !a.flight.Covers(named) {
		return fmt.Errorf("attempt %s: %w", in.Attempt, ledger.ErrLost)
	}
	if err := in.Check(a.right()); err != nil {
		return err
	}
	in.Run = a.rec.Run
	if a.intent != nil && !reflect.DeepEqual(*a.intent, in) {
		return fmt.Errorf("attempt %s has stated another intent already", in.Attempt)
	}
	a.intent = &in
	return nil
}

// Intents lists the intents not yet recorded or ended.
func (l *Ledger) Intents(ctx context.Context, tables []string) ([]ledger.Intent, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.Intent
	for _, a := range l.attempts {
		if a.rec.State == running && a.intent != nil && slices.Contains(tables, a.rec.Table) {
			out = append(out, *a.intent)
		}
	}
	return out, nil
}

// Record records what the warehouse has committed.
func (l *Ledger) Record(ctx context.Context, c ledger.Commit) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	a, err := l.intended(c)
	if err != nil {
		return 0, err
	}
	if a.rec.State != running && a.rec.Published.Covers(c.Published) {
		return a.endedSeq, nil
	}
	seq := l.tick()
	l.record(a, c, a.intent.Quarantine, seq)
	a.finish(seq, c.At, "")
	return seq, nil
}

// intended finds the attempt of a commit and checks that it meant to publish that.
func (l *Ledger) intended(c ledger.Commit) (*attempt, error) {
	a, err := l.attempt(c.Attempt)
	if err != nil {
		return nil, err
	}
	if a.intent == nil {
		return nil, fmt.Errorf("the intent of attempt %s: %w", c.Attempt, ledger.ErrNotFound)
	}
	return a, c.Check(*a.intent)
}

// record folds a commit into the table's history. What a later attempt has written since stays: the warehouse held this commit before it.
func (l *Ledger) record(a *attempt, c ledger.Commit, quarantine calendar.Set, seq history.Seq) {
	t, in, x := l.tables[a.rec.Table], a.intent, l.leases[a.lease]
	t.touched = seq
	fresh := map[calendar.Partition]bool{}
	for p := range c.Published.Minus(a.rec.Published).Partitions() {
		fresh[p] = t.cells[p].token <= a.rec.Token
	}
	for _, content := range in.Publish {
		p := content.Partition
		if !fresh[p] {
			continue
		}
		s := history.Segment{
			ReadSeq: in.ReadSeq, ChangedSeq: seq, Version: in.Version, Attempt: string(in.Attempt), ReadAt: in.ReadAt,
			CheckVersion: in.CheckVersion, CheckSeq: in.ReadSeq,
		}
		if old, ok := t.cells[p]; ok && c.Unchanged.Contains(p) {
			s.ChangedSeq, s.FixedBy = old.ChangedSeq, old.FixedBy
		}
		if x.req.Class == ledger.ClassFix {
			s.FixedBy = in.Version
		}
		if in.Empty.Contains(p) {
			s.Content = history.Empty
		}
		for _, short := range in.Shortfall {
			if short.Set.Contains(p) {
				s.Shortfall = short.Shortfall
			}
		}
		if in.Failing.Contains(p) {
			s.Content = history.Failing
		}
		t.write(p, s, a.rec.Token, seq)
		t.contents[p] = content
		if in.Failing.Contains(p) {
			t.judge(p, a, in.CheckVersion, history.Quarantined, in.Reasons[p], seq)
		}
	}
	for p := range quarantine.Partitions() {
		if !a.rec.Quarantined.Contains(p) && t.cells[p].token <= a.rec.Token {
			fresh[p] = true
			outcome := history.Quarantined
			if in.Failed.Contains(p) {
				outcome = history.Failed
			}
			t.judge(p, a, in.CheckVersion, outcome, in.Reasons[p], seq)
		}
	}
	for _, m := range in.Metrics {
		if fresh[m.Partition] {
			t.measure(m, seq)
		}
	}
	if !c.Published.Empty() {
		t.register(a, x.req, seq, c.At)
	}
	l.republished(a, c.Published)
	a.rec.Published = a.rec.Published.Union(c.Published)
	a.rec.Quarantined = a.rec.Quarantined.Union(quarantine)
	a.rec.Hulls = in.Hulls
}

func (t *table) judge(p calendar.Partition, a *attempt, checks string, outcome history.Outcome, reason string, seq history.Seq) {
	t.verdicts[p] = verdict{written: seq, Verdict: history.Verdict{
		Outcome: outcome, Attempt: string(a.rec.ID), ReadSeq: a.rec.ReadSeq, Version: a.rec.Version, CheckVersion: checks,
		CheckSeq: a.rec.ReadSeq, Reason: reason,
	}}
}

func (t *table) measure(m ledger.Metric, seq history.Seq) {
	m.At = seq
	if t.metrics[m.Partition] == nil {
		t.metrics[m.Partition] = map[string]ledger.Metric{}
	}
	t.metrics[m.Partition][m.Check] = m
}

// finish ends an attempt and says as what.
func (a *attempt) finish(seq history.Seq, at time.Time, reason string) {
	a.flight, a.unsettled = calendar.Set{}, calendar.Set{}
	a.endedSeq, a.rec.EndedAt = seq, at
	a.rec.State, a.rec.Reason = ledger.EndState(a.rec, a.intent != nil), reason
	if a.rec.Published.Union(a.rec.Quarantined).Covers(a.rec.Set) {
		a.rec.Reason = ""
	}
}

// Fail ends an attempt that published nothing.
func (l *Ledger) Fail(ctx context.Context, f ledger.Failure) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := f.Check(); err != nil {
		return 0, err
	}
	a, err := l.attempt(f.Attempt)
	if err != nil {
		return 0, err
	}
	state := f.State()
	if f.Token == a.rec.Token && a.rec.State == state {
		return a.endedSeq, nil
	}
	if f.Token != a.rec.Token || a.rec.State != running || l.leases[a.lease].ended || !a.rec.Published.Empty() {
		return 0, fmt.Errorf("attempt %s: %w", f.Attempt, ledger.ErrLost)
	}
	seq, t := l.tick(), l.tables[a.rec.Table]
	t.touched = seq
	if !f.Cancelled {
		for p := range a.flight.Partitions() {
			t.judge(p, a, f.CheckVersion, f.Outcome, f.ReasonOf(p), seq)
		}
		for _, m := range f.Metrics {
			if !a.rec.Set.Minus(a.flight).Contains(m.Partition) {
				t.measure(m, seq)
			}
		}
	}
	if state == ledger.AttemptQuarantined {
		a.rec.Quarantined = a.flight
	}
	a.finish(seq, f.At, "")
	a.rec.State, a.rec.Reason = state, f.Reason
	return seq, nil
}

// Settle folds in what was found in the warehouse.
func (l *Ledger) Settle(ctx context.Context, id ledger.LeaseID, key string, set calendar.Set, found []ledger.Commit) (history.Seq, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	x := l.leases[id]
	if x == nil {
		return 0, fmt.Errorf("lease %s: %w", id, ledger.ErrNotFound)
	}
	if x.ended || !x.writes[key].Covers(set) {
		return 0, fmt.Errorf("lease %s over %s: %w", id, key, ledger.ErrLost)
	}
	commits := map[*attempt]ledger.Commit{}
	news := l.unsettled(key, nil).Overlaps(set)
	for _, c := range found {
		a, err := l.intended(c)
		if err != nil {
			return 0, err
		}
		if a.rec.Table != key {
			return 0, fmt.Errorf("attempt %s is not of %s", c.Attempt, key)
		}
		commits[a] = c
		news = news || !a.rec.Published.Covers(c.Published)
	}
	if !news {
		return l.clock, nil
	}
	seq := l.tick()
	l.tables[key].touched = seq
	for _, a := range l.attempts {
		if a.rec.Table == key {
			l.settle(a, set, commits[a], seq)
		}
	}
	return seq, nil
}

// settle takes partitions of an attempt out of doubt. c is what was found of it; its Published is empty where nothing was.
func (l *Ledger) settle(a *attempt, set calendar.Set, c ledger.Commit, seq history.Seq) {
	ended := a.rec.State != running
	if news := c.Published.Minus(a.rec.Published); !news.Empty() {
		l.record(a, c, a.intent.Quarantine.Intersect(set), seq)
		a.unsettled, a.flight = a.unsettled.Minus(c.Published), a.flight.Minus(c.Published)
		if ended {
			a.finish(seq, c.At, ledger.LostReason)
			return
		}
	}
	a.unsettled = a.unsettled.Minus(set)
	if !ended && a.flight.Empty() && a.unsettled.Empty() {
		a.finish(seq, l.opts.Now(), ledger.LostReason)
	}
}

// Attempts lists attempts.
func (l *Ledger) Attempts(ctx context.Context, f ledger.AttemptFilter) ([]ledger.AttemptRecord, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []ledger.AttemptRecord
	for _, a := range l.attempts {
		if f.Matches(a.rec) {
			out = append(out, a.rec)
		}
	}
	return out[max(0, len(out)-f.Most()):], nil
}
