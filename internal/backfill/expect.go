package backfill

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/run"
)

// An Expectation is what a run is to bring about: a bound on a check's value. A fix that does not move its metric has failed, whatever its
// steps say.
type Expectation struct {
	Text  string // as written
	Check string // id
	Table string
	Op    string // >=, <=, >, <, ==
	Bound float64
}

// expectForm is the grammar: CHECK OP NUMBER, as in gates.
var expectForm = regexp.MustCompile(`^\s*([^\s<>=]+)\s*(>=|<=|==|>|<)\s*(\S+)\s*$`)

// Expect reads an expectation about a check of the project.
func (c *Coordinator) Expect(text string) (Expectation, error) {
	const example = "write it like 'player_game_summary.usage_rate.not_null >= 0.95'"
	m := expectForm.FindStringSubmatch(text)
	if m == nil {
		return Expectation{}, &InputError{What: fmt.Sprintf("--expect %q says nothing about a check", text), Next: example}
	}
	bound, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return Expectation{}, &InputError{What: fmt.Sprintf("--expect %q: %q is no number", text, m[3]), Next: example}
	}
	if c.unseen {
		return Expectation{}, &InputError{What: "--expect asks a check, and no project here says any", Next: "run it in the folder of the project that declares the table, or name that with --project"}
	}
	var known []string
	for _, t := range c.Project.Tables {
		for _, check := range t.Checks {
			if check.ID == m[1] {
				return Expectation{Text: text, Check: check.ID, Table: t.Name, Op: m[2], Bound: bound}, nil
			}
			known = append(known, check.ID)
		}
	}
	next := "the project has: " + listNames(known, 12)
	if near := catalog.Nearest(m[1], known); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	return Expectation{}, &InputError{What: fmt.Sprintf("--expect: the project has no check %q", m[1]), Next: next}
}

// holds reports whether a value is as expected. What nobody has measured is not.
func (e Expectation) holds(value *float64) bool {
	if value == nil {
		return false
	}
	switch e.Op {
	case ">=":
		return *value >= e.Bound
	case "<=":
		return *value <= e.Bound
	case ">":
		return *value > e.Bound
	case "<":
		return *value < e.Bound
	}
	return *value == e.Bound
}

// An ExpectReport is what became of an expectation: the check's pooled value before the run and after it, over what the run judged or, where it
// judged nothing of that table, over what it was asked for.
type ExpectReport struct {
	Expect string   `json:"expect"`
	Check  string   `json:"check"`
	Before *float64 `json:"before"`
	After  *float64 `json:"after"`
	Passed bool     `json:"passed"`
}

// Text is the expectation with both figures.
func (e ExpectReport) Text() string {
	figure := func(f *float64) string {
		if f == nil {
			return "not measured"
		}
		return strconv.FormatFloat(*f, 'g', 6, 64)
	}
	verdict := "holds"
	if !e.Passed {
		verdict = "does not hold"
	}
	return fmt.Sprintf("expected %s: %s (before: %s, after: %s)", e.Expect, verdict, figure(e.Before), figure(e.After))
}

// expectations judges what the run was to bring about, and makes of one that does not hold a failed run.
func (r *runner) expectations(ctx context.Context, out *Report) {
	for _, e := range r.opts.Expect {
		one := ExpectReport{Expect: e.Text, Check: e.Check}
		after := r.metrics.after[e.Table][e.Check]
		if len(after) > 0 {
			one.Before, one.After = r.metrics.before[e.Table][e.Check].pooled(after), after.pooled(after)
		} else if stored, err := r.stored(ctx, e); err == nil {
			one.Before, one.After = stored, stored
		} else {
			r.Log.Warn("an expectation cannot be judged", "expect", e.Text, "error", err)
		}
		one.Passed = e.holds(one.After)
		out.Expectations = append(out.Expectations, one)
		if !one.Passed && (out.Exit == 0 || out.Exit == exitPartial) {
			why := one.Text()
			out.State, out.Exit, out.Reason = string(run.Failed), exitUnmet, &why
		}
	}
}

// The codes of a report that expectations change, and change to: done in part, and refused by a check.
const (
	exitPartial = 5
	exitUnmet   = 3
)

// stored is the check's value as it stands in the ledger, over the partitions that the request names.
func (r *runner) stored(ctx context.Context, e Expectation) (*float64, error) {
	t := r.Tables[e.Table]
	set := r.sight.Expected[e.Table]
	if limit, ok := r.plan.Request.Sets[e.Table]; ok {
		set = set.Intersect(limit)
	} else if over := r.plan.Request.Range; over != nil {
		set = set.Within(over.Axis.Convert(over.Interval, t.Axis))
	}
	found, err := r.Ledger.Metrics(ctx, t.Key, set)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", e.Table, err)
	}
	all := values{}
	for _, m := range found {
		if m.Check == e.Check && set.Overlaps(calendar.Of(m.Partition)) {
			all[m.Partition] = m
		}
	}
	return all.pooled(all), nil
}
