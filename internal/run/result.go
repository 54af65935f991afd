package run

import (
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
)

// A Cause is why partitions that were asked for are not fresh.
type Cause string

// The causes, worst first: where nothing was published, the first of them that occurs decides how the run ends.
const (
	CauseStopped  Cause = "stopped"  // a signal or a person stopped the run
	CauseFailed   Cause = "failed"   // an attempt failed
	CauseRefused  Cause = "refused"  // a check, gate, contract, guard, immutable table or missing input
	CauseConflict Cause = "conflict" // a lease, hold, preemption or wait limit
)

// A Result is what became of a chunk: of its table, and in With of its further tables. The sets of each other than Unchanged are disjoint
// and together are what the chunk is for in that table.
type Result struct {
	Published   calendar.Set // committed and recorded
	Unchanged   calendar.Set // of these: the content is what it was before
	Skipped     calendar.Set // found fresh: nothing was done
	Quarantined calendar.Set // computed, failed its checks, kept aside
	Failed      calendar.Set // the attempt failed
	Blocked     calendar.Set // not attempted: an input is missing, or something refuses
	Stopped     calendar.Set // not done, because the run was stopped

	// Cause, where it is not plain from the sets: a lost lease makes what Failed or Stopped a CauseConflict, a hold what is Blocked.
	Cause Cause
	// Reason is one line for people about what was not published: which check or input, or the error.
	Reason string
	// With is what became of the chunk's further tables, in its order. Each is of one table and has none itself.
	With []Result
}

// causes gives the partitions that are not fresh by cause. A quarantine is always a refusal of the checks.
func (r *Result) causes(stop Cause) map[Cause]int {
	or := func(other Cause) Cause {
		if r.Cause != "" {
			return r.Cause
		}
		return other
	}
	out := map[Cause]int{}
	out[CauseRefused] += r.Quarantined.Count()
	out[or(CauseFailed)] += r.Failed.Count()
	out[or(CauseRefused)] += r.Blocked.Count()
	out[or(stop)] += r.Stopped.Count()
	return out
}

// check refuses a result that does not account for every partition of the set exactly once.
func (r *Result) check(set calendar.Set) error {
	switch r.Cause {
	case "", CauseStopped, CauseFailed, CauseRefused, CauseConflict:
	default:
		return fmt.Errorf("%q is not a cause", r.Cause)
	}
	sum := 0
	parts := r.parts()
	for _, part := range parts {
		sum += part.Count()
	}
	all := calendar.UnionAll(parts...)
	switch {
	case sum != all.Count():
		return fmt.Errorf("%d partitions are accounted for more than once", sum-all.Count())
	case !all.Equal(set):
		return fmt.Errorf("of %d partitions %d are not accounted for, and %d are that do not belong to it",
			set.Count(), set.Minus(all).Count(), all.Minus(set).Count())
	case !r.Published.Covers(r.Unchanged):
		return fmt.Errorf("%d partitions are called unchanged that were not published", r.Unchanged.Minus(r.Published).Count())
	}
	return nil
}

// ofChunk gives the result of each table of a chunk. It refuses one that does not account for each of them.
func (r *Result) ofChunk(c *Chunk) ([]*Result, error) {
	if len(r.With) != len(c.With) {
		return nil, fmt.Errorf("it tells of %d tables, and the chunk is for %d", 1+len(r.With), 1+len(c.With))
	}
	own := *r
	own.With = nil
	out := append(make([]*Result, 0, 1+len(c.With)), &own)
	for i := range r.With {
		one := r.With[i]
		out = append(out, &one)
	}
	for i, p := range c.Parts() {
		if len(out[i].With) > 0 {
			return nil, fmt.Errorf("%s: a further table has no further tables", p.Table)
		}
		if err := out[i].check(p.Set); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Table, err)
		}
	}
	return out, nil
}

func (r *Result) parts() []calendar.Set {
	return []calendar.Set{r.Published, r.Skipped, r.Quarantined, r.Failed, r.Blocked, r.Stopped}
}

// A Left is partitions that were left to another run.
type Left struct {
	Run string
	Set calendar.Set
}

// A Summary is what became of a table in a run.
type Summary struct {
	Table  string
	Result        // the sets of all chunks and notes; Cause and Reason are of the first that has one
	LeftTo []Left // in order of mention
}

// A tally gathers results of a table. Sets are joined when somebody asks, all at once.
type tally struct {
	table   string
	results []*Result
	left    []Left
}

func (r *Run) table(name string) *tally {
	t := r.byTable[name]
	if t == nil {
		t = &tally{table: name}
		r.byTable[name] = t
		r.tables = append(r.tables, t)
	}
	return t
}

// Summaries tells what became of each table, in the order in which the plan first names them. Chunks that have not ended are not in it.
func (r *Run) Summaries() []Summary {
	out := make([]Summary, 0, len(r.tables))
	for _, t := range r.tables {
		out = append(out, t.summary())
	}
	return out
}

func (t *tally) summary() Summary {
	join := func(part func(*Result) calendar.Set) calendar.Set {
		sets := make([]calendar.Set, 0, len(t.results))
		for _, one := range t.results {
			sets = append(sets, part(one))
		}
		return calendar.UnionAll(sets...)
	}
	s := Summary{Table: t.table, LeftTo: t.left, Result: Result{
		Published:   join(func(one *Result) calendar.Set { return one.Published }),
		Unchanged:   join(func(one *Result) calendar.Set { return one.Unchanged }),
		Skipped:     join(func(one *Result) calendar.Set { return one.Skipped }),
		Quarantined: join(func(one *Result) calendar.Set { return one.Quarantined }),
		Failed:      join(func(one *Result) calendar.Set { return one.Failed }),
		Blocked:     join(func(one *Result) calendar.Set { return one.Blocked }),
		Stopped:     join(func(one *Result) calendar.Set { return one.Stopped }),
	}}
	for _, one := range t.results {
		if s.Reason == "" && one.Reason != "" {
			s.Cause, s.Reason = one.Cause, one.Reason
		}
	}
	return s
}
