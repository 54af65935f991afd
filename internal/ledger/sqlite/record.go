package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Record records what the warehouse has committed.
func (l *Ledger) Record(ctx context.Context, c ledger.Commit) (seq history.Seq, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		seq, err = t.record(c)
		return err
	})
	return seq, err
}

func (t *tx) record(c ledger.Commit) (history.Seq, error) {
	a, in, err := t.intended(c)
	if err != nil {
		return 0, err
	}
	if !a.running() && a.Published.Covers(c.Published) {
		return a.endedSeq, nil
	}
	tab, err := t.known(a.Table)
	if err != nil {
		return 0, err
	}
	seq := t.touch(tab)
	if err := t.fold(tab, a, in, c, in.Quarantine, seq); err != nil {
		return 0, err
	}
	return seq, t.finish(a, seq, c.At, "")
}

// intended finds the attempt of a commit and checks that it meant to publish that. The intent of an attempt that has published everything
// is gone: it is nil.
func (t *tx) intended(c ledger.Commit) (*attempt, *ledger.Intent, error) {
	a, err := t.attempt(c.Attempt)
	if err != nil {
		return nil, nil, err
	}
	if a.State == ledger.AttemptPublished {
		all := ledger.Intent{Attempt: a.ID}
		for p := range a.Set.Partitions() {
			all.Publish = append(all.Publish, ledger.Content{Partition: p})
		}
		return a, nil, c.Check(all)
	}
	if a.intent == nil {
		return nil, nil, fmt.Errorf("the intent of attempt %s: %w", c.Attempt, ledger.ErrNotFound)
	}
	in, err := readIntent(a.intent)
	if err != nil {
		return nil, nil, err
	}
	return a, in, c.Check(*in)
}

// fold puts a commit into the table's history. What a later attempt has written since stays: the warehouse held this commit before it.
func (t *tx) fold(tab *table, a *attempt, in *ledger.Intent, c ledger.Commit, quarantine calendar.Set, seq history.Seq) error {
	publish, unpublished := c.Published.Minus(a.Published), quarantine.Minus(a.Quarantined)
	all := publish.Union(unpublished)
	standing, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, all)
	if err != nil {
		return err
	}
	var later []calendar.Interval
	for _, s := range standing {
		if s.token > a.Token {
			later = append(later, s.Interval)
		}
	}
	if len(later) > 0 {
		publish, unpublished = publish.Minus(calendar.NewSet(later...)), unpublished.Minus(calendar.NewSet(later...))
	}
	if err := t.putSegments(tab, published(a, in, publish, c.Unchanged, standing, seq), seq); err != nil {
		return err
	}
	if err := t.putContents(tab, in.Publish, publish, seq); err != nil {
		return err
	}
	reason := func(p calendar.Partition) string { return in.Reasons[p] }
	failed := unpublished.Intersect(in.Failed)
	refused := unpublished.Minus(failed).Union(in.Failing.Intersect(publish))
	if err := t.judge(tab, a, refused, in.CheckVersion, history.Quarantined, reason, seq); err != nil {
		return err
	}
	if err := t.judge(tab, a, failed, in.CheckVersion, history.Failed, reason, seq); err != nil {
		return err
	}
	seen := publish.Union(unpublished)
	measured := slices.DeleteFunc(slices.Clone(in.Metrics), func(m ledger.Metric) bool { return !seen.Contains(m.Partition) })
	if err := t.measure(tab, measured, seq); err != nil {
		return err
	}
	if err := t.republished(tab, a, c.Published); err != nil {
		return err
	}
	if !c.Published.Empty() {
		if err := t.register(tab, a, seq, c.At); err != nil {
			return err
		}
	}
	a.Published, a.Quarantined, a.Hulls = a.Published.Union(c.Published), a.Quarantined.Union(quarantine), in.Hulls
	return nil
}

// published makes the segments of a commit. What is unchanged keeps its changed_seq (rule 12).
func published(a *attempt, in *ledger.Intent, set, unchanged calendar.Set, standing []segment, seq history.Seq) []segment {
	fresh := segment{
		Segment: history.Segment{
			ReadSeq: in.ReadSeq, ChangedSeq: seq, Version: in.Version, Attempt: string(in.Attempt), ReadAt: in.ReadAt,
			CheckVersion: in.CheckVersion, CheckSeq: in.ReadSeq,
		},
		token: a.Token, written: seq,
	}
	fix := a.class == ledger.ClassFix
	if fix {
		fresh.FixedBy = in.Version
	}
	rows := history.Spread(fresh, set)
	alter := func(over calendar.Set, change func(*segment)) {
		over = over.Intersect(set)
		if over.Empty() {
			return
		}
		part := history.Clip(rows, over)
		for i := range part {
			change(&part[i])
		}
		rows = history.Overlay(rows, part)
	}
	for _, s := range standing {
		alter(unchanged.Within(s.Interval), func(n *segment) {
			n.ChangedSeq = s.ChangedSeq
			if !fix {
				n.FixedBy = s.FixedBy
			}
		})
	}
	alter(in.Empty, func(n *segment) { n.Content = history.Empty })
	alter(in.Failing, func(n *segment) { n.Content = history.Failing })
	for _, short := range in.Shortfall {
		alter(short.Set, func(n *segment) { n.Shortfall = short.Shortfall })
	}
	return rows
}

// putSegments lays segments over what stands. Verdicts about those partitions go.
func (t *tx) putSegments(tab *table, rows []segment, seq history.Seq) error {
	if len(rows) == 0 {
		return nil
	}
	t.touch(tab)
	if err := lay(t, segmentCodec{}, shelf{tab.id, segments}, rows, calendar.Set{}, seq); err != nil {
		return err
	}
	return lay(t, verdictCodec{}, shelf{tab.id, verdicts}, nil, history.Covered(rows), seq)
}

// putContents stores those contents that lie in the set.
func (t *tx) putContents(tab *table, all []ledger.Content, set calendar.Set, seq history.Seq) error {
	rows := make([]content, 0, len(all))
	for _, c := range all {
		if set.Contains(c.Partition) {
			rows = append(rows, contentOf(c))
		}
	}
	slices.SortFunc(rows, func(a, b content) int { return int(a.Start - b.Start) })
	return lay(t, contentCodec{}, shelf{tab.id, contents}, joined(rows), calendar.Set{}, seq)
}

// joined joins neighbours that are alike.
func joined[T history.Row[T]](rows []T) []T { return history.Overlay(nil, rows) }

// judge stores verdicts of an attempt.
func (t *tx) judge(tab *table, a *attempt, set calendar.Set, checks string, as history.Outcome, why func(calendar.Partition) string, seq history.Seq) error {
	rows := make([]verdict, 0, set.Count())
	for p := range set.Partitions() {
		rows = append(rows, verdict{written: seq, Verdict: history.Verdict{
			Interval: calendar.Single(p), Outcome: as, Attempt: string(a.ID), ReadSeq: a.ReadSeq, Version: a.Version, CheckVersion: checks,
			CheckSeq: a.ReadSeq, Reason: why(p),
		}})
	}
	return lay(t, verdictCodec{}, shelf{tab.id, verdicts}, joined(rows), calendar.Set{}, seq)
}

// measure stores the values of checks.
func (t *tx) measure(tab *table, metrics []ledger.Metric, seq history.Seq) error {
	byCheck := map[string][]measure{}
	for _, m := range metrics {
		byCheck[m.Check] = append(byCheck[m.Check], measure{calendar.Single(m.Partition), m.Value, m.Weight, m.Passed, seq})
	}
	for _, check := range sortedKeys(byCheck) {
		rows := byCheck[check]
		slices.SortStableFunc(rows, func(a, b measure) int { return int(a.Start - b.Start) })
		kind, err := t.kindOf(check)
		if err != nil {
			return err
		}
		if err := lay(t, measureCodec{}, shelf{tab.id, kind}, joined(lastOfEach(rows)), calendar.Set{}, seq); err != nil {
			return err
		}
	}
	return nil
}

// lastOfEach keeps the last of rows about the same partition.
func lastOfEach(rows []measure) []measure {
	out := rows[:0]
	for i, m := range rows {
		if i+1 < len(rows) && rows[i+1].Start == m.Start {
			continue
		}
		out = append(out, m)
	}
	return out
}

// kindOf is the kind of page that holds a check's values.
func (t *tx) kindOf(check string) (int, error) {
	if kind, ok := t.measures[check]; ok {
		return kind, nil
	}
	var id int64
	read := func(r row) error { id = r.int(0); return nil }
	found, err := t.first(read, `SELECT id FROM measure WHERE name = ?`, check)
	if err == nil && !found {
		_, err = t.first(read, `INSERT INTO measure (name) VALUES (?) RETURNING id`, check)
	}
	if err != nil {
		return 0, err
	}
	t.measures[check] = measures + int(id)
	return measures + int(id), nil
}

// Settle folds in what was found in the warehouse.
func (l *Ledger) Settle(ctx context.Context, id ledger.LeaseID, key string, set calendar.Set, found []ledger.Commit) (seq history.Seq, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		seq, err = t.settle(id, key, set, found)
		return err
	})
	return seq, err
}

func (t *tx) settle(id ledger.LeaseID, key string, set calendar.Set, found []ledger.Commit) (history.Seq, error) {
	x, err := t.leaseNamed(id)
	if err != nil {
		return 0, err
	}
	tab, err := t.find(key)
	if err != nil {
		return 0, err
	}
	var held []calendar.Interval
	if tab != nil && !set.Empty() {
		err = t.claimsOver(tab.id, set, func(part calendar.Set, of int64) {
			if of == x.id {
				held = append(held, part.Intervals()...)
			}
		})
	}
	if err != nil {
		return 0, err
	}
	if x.ended || tab == nil || !calendar.NewSet(held...).Covers(set) {
		return 0, fmt.Errorf("lease %s over %s: %w", id, key, ledger.ErrLost)
	}
	return t.settleTable(tab, set, found)
}

func (t *tx) settleTable(tab *table, set calendar.Set, found []ledger.Commit) (history.Seq, error) {
	var done []*attempt
	for _, c := range found {
		a, in, err := t.intended(c)
		if err != nil {
			return 0, err
		}
		if a.Table != tab.key {
			return 0, fmt.Errorf("attempt %s is not of %s", c.Attempt, tab.key)
		}
		if a.Published.Covers(c.Published) {
			continue
		}
		if err := t.settleCommit(tab, a, in, c, set); err != nil {
			return 0, err
		}
		done = append(done, a)
	}
	var doubtful []int64
	if !set.Empty() {
		err := t.flightsOver(tab.id, set, func(f flight) {
			if f.unsettled && !slices.Contains(doubtful, f.attempt) {
				doubtful = append(doubtful, f.attempt)
			}
		})
		if err != nil {
			return 0, err
		}
		err = t.moveFlights(tab, set, func(f flight) (meant, unsettled bool) { return f.unsettled, false })
		if err != nil {
			return 0, err
		}
	}
	for _, a := range done {
		if !slices.Contains(doubtful, a.id) {
			doubtful = append(doubtful, a.id)
		}
	}
	if len(doubtful) == 0 {
		return t.clock, nil
	}
	seq := t.touch(tab)
	for _, id := range doubtful {
		if err := t.endSettled(id, seq); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// settleCommit folds one found commit in and takes its partitions out of flight.
func (t *tx) settleCommit(tab *table, a *attempt, in *ledger.Intent, c ledger.Commit, set calendar.Set) error {
	seq := t.touch(tab)
	if err := t.fold(tab, a, in, c, in.Quarantine.Intersect(set), seq); err != nil {
		return err
	}
	if !a.running() {
		return t.finish(a, seq, c.At, ledger.LostReason)
	}
	if err := t.putAttempt(a); err != nil {
		return err
	}
	return t.moveFlights(tab, c.Published, func(f flight) (meant, unsettled bool) { return f.attempt == a.id, false })
}

// endSettled ends an attempt of which nothing is in flight or in doubt any more.
func (t *tx) endSettled(id int64, seq history.Seq) error {
	var a attempt
	if _, err := t.first(a.read, selectAttempt+`WHERE a.id = ?`, id); err != nil || !a.running() {
		return err
	}
	left, err := t.first(func(row) error { return nil }, anyFlight, a.flights()...)
	if err != nil || left {
		return err
	}
	return t.finish(&a, seq, t.ledger.opts.Now(), ledger.LostReason)
}
