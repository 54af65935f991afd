package backfill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
)

// errTaken says that a lease is broken, or that it expired and somebody has it now, or waits for it.
var errTaken = errors.New("it was broken, or another run has taken the partitions over, or waits for them")

// taken asks what the run's lease still claims, and says who has taken what it has lost of a table.
func (r *runner) taken(ctx context.Context, table string, gone calendar.Set) (string, error) {
	if err := r.lookAtLease(ctx); err != nil {
		return "", err
	}
	preempted, err := r.preempted(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range preempted {
		if over := p.Set.Intersect(gone); p.Table == r.Tables[table].Key && !over.Empty() {
			why := fmt.Sprintf("%s %s was taken over by run %s", table, r.Format(table, over), p.By)
			if p.Reason != "" {
				why += ": " + p.Reason
			}
			return why, nil
		}
	}
	return fmt.Sprintf("%s %s was taken over by another run, which has published it", table, r.Format(table, gone)), nil
}

// lookAtLease takes in what the run's lease still claims: nothing if all of it was preempted, which ends a lease. It is an error where the
// lease has ended for another reason.
func (r *runner) lookAtLease(ctx context.Context) error {
	leases, err := r.Ledger.Leases(ctx, ledger.LeaseFilter{ID: r.lease.ID})
	switch {
	case err != nil:
		return fmt.Errorf("look at the lease: %w", err)
	case len(leases) > 0:
		r.held.Update(leases[0].Writes)
		return nil
	}
	preempted, err := r.preempted(ctx)
	if err != nil {
		return err
	}
	if len(preempted) == 0 {
		return lost(errTaken)
	}
	r.held.Update(nil)
	return nil
}

// preempted is what was taken from the run and nobody has published since.
func (r *runner) preempted(ctx context.Context) ([]ledger.Preemption, error) {
	runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{ID: r.record.ID, Limit: 1})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runs[0].Preempted, nil
}

// awaitWriters waits, before what other runs had in flight is settled, until their commands are gone that write to these tables themselves: no
// fence keeps them out. A run that has lost partitions stops them within moments; the shims stop them when their lease is over, whatever
// happens to the run. What is left after that is killed: whoever was to do so has been killed himself, or suspended. Commands that only stage
// are killed where their run is gone, and else not waited for: what they stage is never published.
func (r *runner) awaitWriters(ctx context.Context) error {
	began := r.Boot()
	for _, left := range r.lease.Settle {
		t := r.Tables[r.Keys[left.Table]]
		if t.Command == nil {
			continue
		}
		for {
			at, err := r.writing(ctx, left, t.Write == catalog.Direct)
			if err != nil || len(at) == 0 {
				if err != nil {
					return err
				}
				break
			}
			waited := r.Boot() - began
			for _, a := range at {
				if (a.dead || waited >= r.grace()+r.hearing()) && len(r.EndWork(a.ID)) > 0 && waited > r.leaseTTL() {
					return a.refusal(t.Name)
				}
			}
			if waited > r.leaseTTL() {
				break // where it cannot be told who works for whom
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(lookEvery):
			}
		}
	}
	return nil
}

// hearing is how long after its time of grace a command that has lost its lease may still be left to those who are to end it: 2 of 60 s.
func (e Environment) hearing() time.Duration { return e.leaseTTL() / 30 }

// A working is an attempt of another run whose command may still run.
type working struct {
	ledger.AttemptRecord
	dead bool // the process that holds its lease is gone
}

// refusal says that two would write a table at once.
func (a working) refusal(table string) error {
	return &RefusedError{
		What: fmt.Sprintf("what attempt %s of run %s has started still writes %s, and does not end, not even by KILL", a.ID, a.Run, table),
		Next: "find its processes by " + string(a.ID) + " in their environment, and run again when they have ended",
	}
}

// writing gives the attempts of other runs of this machine whose commands may still write a set: all of them, or, if not waited, those alone
// whose runs are gone.
func (r *runner) writing(ctx context.Context, left ledger.Claim, all bool) ([]working, error) {
	attempts, err := r.Ledger.Attempts(ctx, ledger.AttemptFilter{Table: left.Table, Set: left.Set})
	if err != nil {
		return nil, fmt.Errorf("look for who writes %s: %w", r.NameOf(left.Table), err)
	}
	var out []working
	for _, a := range attempts {
		if a.State != ledger.AttemptRunning || a.Run == r.record.ID {
			continue
		}
		runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{ID: a.Run, Limit: 1})
		if err != nil {
			return nil, fmt.Errorf("look at run %s: %w", a.Run, err)
		}
		if len(runs) == 0 || runs[0].Holder.Host != r.Holder.Host {
			continue
		}
		if dead := !r.Alive(runs[0].Holder); (all || dead) && r.Working(runs[0].Holder, a.ID) {
			out = append(out, working{AttemptRecord: a, dead: dead})
		}
	}
	return out, nil
}

// A Taking is what was taken from a run and nobody has published since.
type Taking struct {
	Table     string       `json:"table"`
	Intervals []IntervalID `json:"intervals"`
	From      string       `json:"from"`
	By        string       `json:"by"`
	At        time.Time    `json:"at"`
	Reason    *string      `json:"reason"`
	// Nobodys: who took it is at work on it no longer.
	Nobodys bool `json:"nobodys"`

	Set calendar.Set `json:"-"`
}

// Text says what was taken by whom from whom, and whether anybody will make it.
func (x *Taking) Text() string {
	text := fmt.Sprintf("taken from run %s by run %s", x.From, x.By)
	if x.Nobodys {
		text += ", which has ended without publishing it"
	}
	if x.Reason != nil {
		text += ": " + *x.Reason
	}
	return text
}

// Takings lists what was taken from runs and nobody has published since, of one table or, without a name, of all.
func (c *Coordinator) Takings(ctx context.Context, table string) ([]Taking, error) {
	runs, err := c.Ledger.Runs(ctx, ledger.RunFilter{Preempted: true})
	if err != nil {
		return nil, fmt.Errorf("look for what was taken from runs: %w", err)
	}
	keys := map[string]bool{}
	for i := range runs {
		for _, p := range runs[i].Preempted {
			keys[p.Table] = true
		}
	}
	snapshot, err := c.Ledger.Snapshot(ctx, slices.Sorted(maps.Keys(keys)))
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	out := []Taking{}
	atWork := map[ledger.RunID]bool{}
	for i := range runs {
		for _, p := range runs[i].Preempted {
			name := c.NameOf(p.Table)
			// What was reserved bridges dates that are not expected: those are nobody's loss.
			set := p.Set.Intersect(snapshot.Table(p.Table).Known)
			if table != "" && name != table || set.Empty() {
				continue
			}
			if _, known := atWork[p.By]; !known {
				by, err := c.Ledger.Runs(ctx, ledger.RunFilter{ID: p.By, Limit: 1})
				if err != nil {
					return nil, fmt.Errorf("look at run %s: %w", p.By, err)
				}
				atWork[p.By] = len(by) == 1 && !by[0].Ended && c.StateOf(&by[0]) != StateDead
			}
			one := Taking{
				Table: name, Intervals: c.Intervals(name, set), From: string(runs[i].ID), By: string(p.By), At: p.At, Nobodys: !atWork[p.By], Set: set,
			}
			if p.Reason != "" {
				one.Reason = &p.Reason
			}
			out = append(out, one)
		}
	}
	return out, nil
}
