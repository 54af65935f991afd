package backfill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
)

// A Report is what became of a run: run/v1.
type Report struct {
	Schema string        `json:"schema"`
	Run    string        `json:"run"`
	State  string        `json:"state"`
	Exit   int           `json:"exit"`
	Reason *string       `json:"reason"`
	Tables []TableReport `json:"tables"`
	// StaleAfter names tables of which partitions went stale, or stayed so, that the plan did not hold (rule 21).
	StaleAfter []StaleAfter `json:"stale_after"`
	Published  int          `json:"published"`
	Unchanged  int          `json:"unchanged"`
	Skipped    int          `json:"skipped"`
	Seconds    float64      `json:"seconds"`
	// Expectations are what the run was to bring about.
	Expectations []ExpectReport `json:"expectations"`
}

// A TableReport is what became of one table. Counts are partitions.
type TableReport struct {
	Table       string        `json:"table"`
	Published   int           `json:"published"`
	Unchanged   int           `json:"unchanged"`
	Quarantined int           `json:"quarantined"`
	Failed      int           `json:"failed"`
	Skipped     int           `json:"skipped"`
	Blocked     int           `json:"blocked"`
	Stopped     int           `json:"stopped"`
	Checked     int           `json:"checked"` // rows that stood there and were checked again
	LeftTo      []LeftTo      `json:"left_to"`
	Checks      []CheckReport `json:"checks"`
	Reason      *string       `json:"reason"`
	// Intervals of what was not published, by what became of it.
	Open []OpenReport `json:"open"`
}

// An OpenReport names partitions that were not published.
type OpenReport struct {
	What      string       `json:"what"`
	Intervals []IntervalID `json:"intervals"`
}

// A LeftTo is partitions that another run will make.
type LeftTo struct {
	Run       string       `json:"run"`
	Intervals []IntervalID `json:"intervals"`
}

// A StaleAfter is partitions that want work after the run.
type StaleAfter struct {
	Table      string `json:"table"`
	Partitions int    `json:"partitions"`
}

// A CheckReport is a check's pooled value over the partitions that the run judged, after it and, over the same ones, before. Null where there is none.
type CheckReport struct {
	ID        string   `json:"id"`
	Before    *float64 `json:"before"`
	After     *float64 `json:"after"`
	Threshold *float64 `json:"threshold"`
	Passed    bool     `json:"passed"`
	Severity  string   `json:"severity"` // block or warn
	// Upper: the threshold is the most that the value may be, not the least.
	Upper bool `json:"upper"`
}

// EmptyReport is the report of a run that has none: it is under way, or its process was killed.
func EmptyReport(r *ledger.RunRecord) *Report {
	return &Report{
		Schema: "headway.run/v1", Run: string(r.ID), State: string(r.State), Exit: r.Exit, Tables: []TableReport{}, StaleAfter: []StaleAfter{},
		Published: r.Done, Expectations: []ExpectReport{},
	}
}

// report gathers what became of the run.
func (r *runner) report(ctx context.Context, cause error) *Report {
	out := &Report{
		Schema: "headway.run/v1", Run: string(r.record.ID), State: string(run.Failed), Exit: 1, Tables: []TableReport{},
		StaleAfter: []StaleAfter{}, Expectations: []ExpectReport{}, Seconds: r.Now().Sub(r.record.StartedAt).Seconds(),
	}
	if r.machine != nil && r.machine.State().Ended() {
		out.State, out.Exit = string(r.machine.State()), r.machine.Exit()
		if why := r.machine.Reason(); why != "" {
			out.Reason = &why
		}
	}
	if cause != nil {
		why := cause.Error()
		out.Reason = &why
	}
	if r.machine == nil {
		return out
	}
	defer r.expectations(ctx, out)
	defer r.refuseUnreadable(out)
	preempted, err := r.preempted(ctx)
	if err != nil {
		r.Log.Warn("what was taken from the run cannot be told", "run", r.record.ID, "error", err)
	}
	for _, s := range r.machine.Summaries() {
		out.Published += s.Published.Count()
		out.Unchanged += s.Unchanged.Count()
		out.Skipped += s.Skipped.Count()
		table := r.tableReport(s)
		for _, p := range preempted {
			if p.Table == r.Tables[s.Table].Key {
				table.LeftTo = append(table.LeftTo, LeftTo{string(p.By), r.Intervals(s.Table, Bridge(p.Set, r.sight.Expected[s.Table]))})
			}
		}
		out.Tables = append(out.Tables, table)
	}
	out.StaleAfter = r.staleAfter(ctx)
	return out
}

// refuseUnreadable keeps a run from saying that all is fresh while a source that it rests on cannot be read: what changed there is not known.
func (r *runner) refuseUnreadable(out *Report) {
	bad := r.Unreadable(r.sight, r.plan.Request.Tables)
	if bad == nil || out.Exit != 0 {
		return
	}
	why := bad.Error()
	out.State, out.Exit, out.Reason = string(run.Refused), 3, &why
	if out.Published > 0 {
		out.State, out.Exit = string(run.Partial), 5
	}
}

func (r *runner) tableReport(s run.Summary) TableReport {
	t := TableReport{
		Table: s.Table, Published: s.Published.Count(), Unchanged: s.Unchanged.Count(), Quarantined: s.Quarantined.Count(),
		Failed: s.Failed.Count(), Skipped: s.Skipped.Count(), Blocked: s.Blocked.Count(), Stopped: s.Stopped.Count(),
		Checked: r.checked[s.Table], LeftTo: []LeftTo{}, Checks: r.metrics.reports(r.Tables[s.Table].Table), Open: []OpenReport{},
	}
	if s.Reason != "" {
		t.Reason = &s.Reason
	}
	for _, l := range s.LeftTo {
		t.LeftTo = append(t.LeftTo, LeftTo{l.Run, r.Intervals(s.Table, l.Set)})
	}
	for _, open := range []struct {
		what string
		set  calendar.Set
	}{{"quarantined", s.Quarantined}, {"failed", s.Failed}, {"blocked", s.Blocked}, {"stopped", s.Stopped}} {
		if !open.set.Empty() {
			bridged := Bridge(open.set, r.sight.Expected[s.Table])
			t.Open = append(t.Open, OpenReport{open.what, r.Intervals(s.Table, bridged)})
		}
	}
	return t
}

// staleAfter looks at what wants work now, in all tables that are downstream of the run's or in it.
func (r *runner) staleAfter(ctx context.Context) []StaleAfter {
	out := []StaleAfter{}
	var names []string
	for _, s := range r.plan.Steps {
		names = append(names, s.Table)
	}
	for _, c := range r.plan.Rechecks {
		names = append(names, c.Table)
	}
	names = Closure(names, r.Graph.Downstream)
	err := r.sight.View.With(ctx, func(w *plan.World) error {
		for _, name := range names {
			j := w.Judge(name)
			if n := j.Expected.Minus(j.Fresh).Count(); n > 0 {
				out = append(out, StaleAfter{name, n})
			}
		}
		return nil
	})
	if err != nil {
		r.Log.Warn("what went stale during the run cannot be told", "run", r.record.ID, "error", err)
	}
	return out
}

// metrics gathers the values of checks before and after a run. It may be used by many goroutines.
type metrics struct {
	mu     sync.Mutex
	before map[string]map[string]values // table → check
	after  map[string]map[string]values
}

// values are those of one check, by partition.
type values map[calendar.Partition]ledger.Metric

// pooled is the mean of the values at those partitions of other, each weighted by what it speaks of; nil if there are none.
func (v values) pooled(other values) *float64 {
	var sum, weight float64
	for _, p := range slices.Sorted(maps.Keys(other)) { // sums of doubles depend on their order
		if m, ok := v[p]; ok {
			w := float64(max(m.Weight, 1))
			sum += m.Value * w
			weight += w
		}
	}
	if weight == 0 {
		return nil
	}
	mean := sum / weight
	return &mean
}

func (v values) passed() bool {
	for _, m := range v {
		if !m.Passed {
			return false
		}
	}
	return true
}

func newMetrics() *metrics {
	return &metrics{before: map[string]map[string]values{}, after: map[string]map[string]values{}}
}

// readBefore reads the stored values of what the plan will write or check again.
func (m *metrics) readBefore(ctx context.Context, c *Coordinator, p *plan.Plan) error {
	sets := map[string]calendar.Set{}
	for _, s := range p.Steps {
		sets[s.Table] = sets[s.Table].Union(s.Set)
	}
	for _, r := range p.Rechecks {
		sets[r.Table] = sets[r.Table].Union(r.Set)
	}
	for name, set := range sets {
		t := c.Tables[name]
		if len(t.Checks) == 0 {
			continue
		}
		stored, err := c.Ledger.Metrics(ctx, t.Key, set)
		if err != nil {
			return fmt.Errorf("read the metrics of %s: %w", name, err)
		}
		for _, v := range stored {
			put(m.before, name, v)
		}
	}
	return nil
}

// seen takes in the verdicts of an attempt. Of a partition that was tried again the last ones count.
func (m *metrics) seen(table string, verdicts []warehouse.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range verdicts {
		put(m.after, table, ledger.Metric{Check: v.Check, Partition: v.Partition, Value: v.Value, Weight: v.Weight, Passed: v.Passed})
	}
}

func put(into map[string]map[string]values, table string, m ledger.Metric) {
	if into[table] == nil {
		into[table] = map[string]values{}
	}
	if into[table][m.Check] == nil {
		into[table][m.Check] = values{}
	}
	into[table][m.Check][m.Partition] = m
}

// reports gives the checks of a table that were judged in the run, in the order of the project file.
func (m *metrics) reports(t *catalog.Table) []CheckReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []CheckReport{}
	for _, check := range t.Checks {
		after := m.after[t.Name][check.ID]
		if after == nil {
			continue
		}
		one := CheckReport{
			ID: check.ID, Before: m.before[t.Name][check.ID].pooled(after), After: after.pooled(after), Passed: after.passed(),
			Severity: SeverityOf(check),
		}
		one.Threshold, one.Upper = threshold(check)
		out = append(out, one)
	}
	return out
}

// SeverityOf says what a check does where it does not pass: block or warn.
func SeverityOf(check *catalog.Check) string {
	if check.Warn {
		return "warn"
	}
	return "block"
}

// threshold is what a check's value is compared with: the least that it may be, or, if upper, the most. Bounds of a range are about rows; the
// value of such a check is the share of rows within them, which must be all.
func threshold(check *catalog.Check) (value *float64, upper bool) {
	none, all := 0.0, 1.0
	switch check.Kind {
	case catalog.CheckUnique:
		return &none, true
	case catalog.CheckRows, catalog.CheckSQL:
		if check.Min == nil {
			return check.Max, check.Max != nil
		}
		return check.Min, false
	case catalog.CheckNotNull, catalog.CheckRelationship:
		if check.Min != nil {
			return check.Min, false
		}
	}
	return &all, false
}
