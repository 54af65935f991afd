package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// A Job is a process that Headway did not start.
type Job struct {
	Holder  ledger.Holder
	Command string
}

// An AdoptRequest gives a process that already runs a lease.
type AdoptRequest struct {
	Job    Job
	Sets   map[string]calendar.Set
	Class  ledger.Class
	Reason string
}

// adopted is what is kept with the run of an adopted process.
type adopted struct {
	Adopted   bool   `json:"adopted"`
	Guarantee string `json:"guarantee"`
	// Conflicts are the runs that had some of its partitions when it was adopted: two write there.
	Conflicts []ledger.RunID `json:"conflicts,omitempty"`
}

// adoptedTTL is how long the lease of an adopted process lasts at most. It ends with the process, whatever happens to any headway: nobody has
// to renew it.
const adoptedTTL = 10 * 365 * 24 * time.Hour

// adoptedOf gives what is kept with the run of an adopted process; nil for another run.
func adoptedOf(r *ledger.RunRecord) *adopted {
	var a adopted
	if json.Unmarshal(r.Request, &a) != nil || !a.Adopted {
		return nil
	}
	return &a
}

// Adopt gives a process that already runs a row among the runs and a lease that ends when it does. Its partitions are in doubt from now on: what
// it leaves nobody has fenced or checked. Where others have some of them the error is a conflict, and both runs are flagged: the process cannot
// be kept from writing, so somebody must be stopped.
func (c *Coordinator) Adopt(ctx context.Context, sight *Sight, req AdoptRequest) (*ledger.RunRecord, error) {
	record := ledger.RunRecord{
		ID: ledger.RunID(c.NewID("r")), State: ledger.RunState(run.Running), Class: req.Class, Command: req.Job.Command, Holder: req.Job.Holder,
		Reason: req.Reason, StartedAt: c.Now(),
	}
	for _, name := range sortedNames(req.Sets) {
		t := c.Tables[name]
		record.Sets = append(record.Sets, ledger.Claim{Table: t.Key, Axis: t.Axis, Set: Bridge(req.Sets[name], sight.Expected[name])})
		record.Total += req.Sets[name].Count()
	}
	// Of the highest class: what a process does that cannot be told to leave something out nobody can take a part of.
	lease, err := c.Ledger.Acquire(ctx, ledger.LeaseRequest{
		ID: ledger.LeaseID(c.NewID("l")), Run: record.ID, Class: ledger.ClassFix, Holder: req.Job.Holder, Writes: record.Sets, TTL: adoptedTTL,
		Settles: true, Reason: req.Reason,
	})
	conflict, taken := errors.AsType[*ledger.ConflictError](err)
	if err != nil && !taken {
		return nil, fmt.Errorf("reserve the partitions: %w", err)
	}
	what := adopted{Adopted: true, Guarantee: guarded}
	if taken {
		for _, x := range conflict.Conflicts {
			if !x.Hold {
				what.Conflicts = append(what.Conflicts, x.Run)
			}
		}
	}
	if record.Request, err = json.Marshal(what); err != nil {
		return nil, fmt.Errorf("write down what was adopted: %w", err)
	}
	if err := c.Ledger.PutRun(ctx, record); err != nil {
		return nil, fmt.Errorf("store the run: %w", err)
	}
	o := c.orderOf(ledger.OrderAdopt, req.Reason)
	o.Run = record.ID
	if _, err := c.Ledger.Order(ctx, o); err != nil {
		return nil, fmt.Errorf("note in the audit log what was adopted: %w", err)
	}
	if taken {
		return &record, conflict
	}
	return &record, c.beginAdopted(ctx, sight, &record, lease, req.Sets)
}

// beginAdopted puts what an adopted process writes in doubt, and fences others out.
func (c *Coordinator) beginAdopted(ctx context.Context, sight *Sight, record *ledger.RunRecord, lease *ledger.Lease, sets map[string]calendar.Set) error {
	r := &runner{Coordinator: c, sight: sight, lease: lease, record: *record}
	if err := r.fence(ctx, record.Sets); err != nil {
		return err
	}
	head, err := c.Ledger.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	for _, name := range sortedNames(sets) {
		_, err := c.Ledger.StartAttempt(ctx, ledger.AttemptRequest{
			ID: ledger.AttemptID(c.NewID("a")), Lease: lease.ID, Run: record.ID, Table: c.Tables[name].Key, Set: sets[name], Version: adoptedVersion,
			Code:    ledger.VersionRecord{Version: adoptedVersion, Producer: adoptedVersion, Summary: record.Command},
			ReadSeq: head, Asked: head, Guarded: true, At: c.Now(),
		})
		if err != nil {
			return fmt.Errorf("put %s in doubt: %w", name, err)
		}
	}
	return nil
}

// adoptedVersion stands for code that nobody has seen. It is never registered: nothing of it is ever published.
const adoptedVersion = "adopted"

// adoptedGrace is how long an adopted process may take to end by itself once it was told to.
const adoptedGrace = 10 * time.Second

// endAdopted ends an adopted process with its whole tree.
func (c *Coordinator) endAdopted(ctx context.Context, r *ledger.RunRecord) error {
	if err := c.EndJob(ctx, r.Holder, adoptedGrace); err != nil {
		return fmt.Errorf("end the adopted process: %w", err)
	}
	end := *r
	end.State, end.Ended, end.EndedAt, end.Exit = ledger.RunState(run.Stopped), true, c.Now(), exitStopped
	if err := c.Ledger.PutRun(ctx, end); err != nil {
		return fmt.Errorf("store the end of run %s: %w", r.ID, err)
	}
	*r = end
	return nil
}

// exitStopped is what a shell says of a process that was told to end.
const exitStopped = 143

// Clashes are the runs that write the same partitions as another at this moment, by run: an adopted process and those that had them.
func (c *Coordinator) Clashes(runs []ledger.RunRecord) map[ledger.RunID][]ledger.RunID {
	lives := map[ledger.RunID]bool{}
	for i := range runs {
		lives[runs[i].ID] = !runs[i].Ended && c.StateOf(&runs[i]) != StateDead
	}
	out := map[ledger.RunID][]ledger.RunID{}
	for i := range runs {
		a := adoptedOf(&runs[i])
		if a == nil || !lives[runs[i].ID] {
			continue
		}
		for _, other := range a.Conflicts {
			if lives[other] {
				out[runs[i].ID] = append(out[runs[i].ID], other)
				out[other] = append(out[other], runs[i].ID)
			}
		}
	}
	return out
}
