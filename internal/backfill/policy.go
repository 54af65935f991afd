package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/worker"
)

// A Policy is what a run does where somebody else has partitions that it wants.
type Policy string

// The policies.
const (
	PolicyFail    Policy = "fail"    // nothing is done
	PolicyWait    Policy = "wait"    // it waits, holding nothing, in the order of the queue
	PolicyTrim    Policy = "trim"    // the rest is done, but for what rests on what was left out
	PolicyYield   Policy = "yield"   // trim, and content if somebody as good makes what was left out
	PolicyPreempt Policy = "preempt" // a higher class takes exactly the overlap; the holder goes on with the rest
)

// The bounds of reserving.
const (
	queueEvery   = time.Second
	waitTellEach = 10 * time.Second
	maxTrims     = 10              // rounds in which others have taken more meanwhile
	publishWait  = 2 * time.Minute // how long a publish that is under way is waited for
)

// A left is partitions of a plan that somebody else has, or that rest on those.
type left struct {
	table string
	set   calendar.Set
	to    *ledger.Conflict // one of those who have them
}

// reserve takes the run's lease by its policy. The plan is smaller after trimming.
func (r *runner) reserve(ctx context.Context, claims []ledger.Claim) ([]ledger.Claim, error) {
	id := ledger.LeaseID(r.NewID("l"))
	began, told := r.Boot(), time.Duration(0)
	for trims := 0; ; {
		err := r.acquire(ctx, id, claims)
		conflict, ok := errors.AsType[*ledger.ConflictError](err)
		if !ok {
			return claims, err
		}
		if err := r.insideOf(conflict); err != nil {
			return claims, err
		}
		switch r.opts.OnConflict {
		case PolicyTrim, PolicyYield:
			if trims++; trims > maxTrims {
				return claims, err
			}
			if claims, err = r.trim(ctx, conflict); err != nil || len(claims) == 0 {
				return claims, err
			}
			id = ledger.LeaseID(r.NewID("l"))
		case PolicyWait:
			waited := r.Boot() - began
			if told == 0 || waited-told >= waitTellEach {
				told = max(waited, 1)
				r.tellWait(conflict, waited)
			}
			if limit := r.opts.WaitTimeout; limit > 0 && waited >= limit {
				return claims, errors.Join(fmt.Errorf("waited for %s: %w", limit, err), r.leaveQueue(ctx, id))
			}
			if err := r.pauseToWait(ctx, queueEvery); err != nil {
				return claims, errors.Join(err, r.leaveQueue(ctx, id))
			}
		case PolicyPreempt:
			publishing := !slices.ContainsFunc(conflict.Conflicts, func(x ledger.Conflict) bool { return !x.Publishing })
			if !publishing || r.Boot()-began > publishWait {
				return claims, err
			}
			if err := r.pauseToWait(ctx, lookEvery); err != nil {
				return claims, err
			}
		default:
			return claims, err
		}
	}
}

// insideOf refuses to wait for, or to take from, the run whose command this process was started by: that one waits for this one.
func (r *runner) insideOf(conflict *ledger.ConflictError) error {
	within, ok := r.Lookup("HEADWAY_RUN_ID")
	if !ok || r.opts.OnConflict == PolicyTrim || r.opts.OnConflict == PolicyYield {
		return nil
	}
	for i := range conflict.Conflicts {
		if x := &conflict.Conflicts[i]; string(x.Run) == within {
			return &InputError{
				What: fmt.Sprintf("%s %s is reserved by run %s, whose command this is: they would wait for each other", r.NameOf(x.Table),
					r.Format(r.NameOf(x.Table), x.Overlap), x.Run),
				Next: "reserve it once: in the outer command, or in this one",
			}
		}
	}
	return nil
}

// acquire asks for the lease once.
func (r *runner) acquire(ctx context.Context, id ledger.LeaseID, claims []ledger.Claim) error {
	r.trust = executor.NewTrust(r.Boot, r.Boot()+r.trusted()) // from before the ledger's deadline is set
	lease, err := r.Ledger.Acquire(ctx, ledger.LeaseRequest{
		ID: id, Run: r.record.ID, Class: r.opts.Class, Holder: r.Holder, Writes: claims, Reads: r.opts.Reads, TTL: r.leaseTTL(),
		Settles: true, Reason: r.opts.Reason, Wait: r.opts.OnConflict == PolicyWait, Preempt: r.opts.OnConflict == PolicyPreempt,
	})
	if err != nil {
		return fmt.Errorf("reserve the partitions: %w", err)
	}
	r.lease, r.held = lease, worker.NewHeld(claims)
	return nil
}

// letGo waits for a while with no warehouse open: whoever is waited for may need the file.
func (c *Coordinator) letGo(ctx context.Context, d time.Duration) error {
	if err := c.leave(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// leaveQueue gives up a place in the queue.
func (r *runner) leaveQueue(ctx context.Context, id ledger.LeaseID) error {
	if err := r.Ledger.Release(context.WithoutCancel(ctx), id, nil); err != nil {
		return fmt.Errorf("leave the queue: %w", err)
	}
	return nil
}

// pauseToWait waits for a moment, unless somebody wants the run to end.
func (r *runner) pauseToWait(ctx context.Context, d time.Duration) error {
	if err := r.letGo(ctx, d); err != nil {
		return err
	}
	runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{ID: r.record.ID, Limit: 1})
	if err != nil || len(runs) == 0 {
		return err
	}
	if why := stopped(runs[0].Stop); why != nil {
		r.stopped = run.Stop{Cause: run.CauseStopped, Reason: why.Error()}
		return why
	}
	return nil
}

func (r *runner) tellWait(conflict *ledger.ConflictError, waited time.Duration) {
	if r.opts.OnWait != nil {
		r.opts.OnWait(conflict, waited)
	}
}

// trim makes the plan smaller by what others have, and gives the claims of what is left: none if nothing is.
func (r *runner) trim(ctx context.Context, conflict *ledger.ConflictError) ([]ledger.Claim, error) {
	taken := map[string]calendar.Set{}
	by := map[string]*ledger.Conflict{}
	for i := range conflict.Conflicts {
		x := &conflict.Conflicts[i]
		name, ok := r.Keys[x.Table]
		if !ok {
			return nil, conflict
		}
		taken[name] = taken[name].Union(x.Overlap)
		if by[name] == nil {
			by[name] = x
		}
	}
	var rest *plan.Plan
	var gone map[string]calendar.Set
	err := r.sight.View.With(ctx, func(*plan.World) error { // the plan's world is this one
		rest, gone = r.plan.Without(taken)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("see what rests on what others have: %w", err)
	}
	if len(gone) == 0 {
		return nil, conflict // it is not about what the plan writes: what the command reads is in flight
	}
	for _, name := range sortedNames(gone) {
		set := gone[name]
		for i := range conflict.Conflicts {
			x := &conflict.Conflicts[i]
			if own := set.Intersect(x.Overlap); r.Keys[x.Table] == name && !own.Empty() {
				r.left = append(r.left, left{name, own, x})
				set = set.Minus(own)
			}
		}
		if !set.Empty() { // it rests on what was left out
			r.left = append(r.left, left{name, set, &conflict.Conflicts[0]})
		}
	}
	r.plan = rest
	claims, err := r.claims(ctx)
	if err != nil {
		return nil, err
	}
	r.record.Sets, r.record.Total = claims, rest.Partitions()
	if err := r.Ledger.PutRun(ctx, r.record); err != nil {
		return nil, fmt.Errorf("store the smaller run: %w", err)
	}
	return claims, nil
}

// noteLeft tells the machine what was left to others.
func (r *runner) noteLeft(ctx context.Context) error {
	for _, l := range r.left {
		content, err := r.content(ctx, l)
		if err != nil {
			return err
		}
		event := run.Event{Kind: run.Noted, Table: l.table, LeftTo: string(l.to.Run)}
		if content {
			event.Result = &run.Result{Skipped: l.set}
		} else {
			event.Result = &run.Result{Blocked: l.set, Cause: run.CauseConflict, Reason: r.leftReason(l)}
		}
		r.noted[l.table] = r.noted[l.table].Union(l.set)
		if err := r.machine.Apply(event); err != nil {
			return fmt.Errorf("note what is left to others: %w", err)
		}
	}
	return nil
}

func (r *runner) leftReason(l left) string {
	what := fmt.Sprintf("%s %s", l.table, r.Format(l.table, l.set))
	if l.to.Hold {
		return fmt.Sprintf("%s waits behind a hold of %s: %s", what, l.to.Holder.User, l.to.Reason)
	}
	return fmt.Sprintf("%s is left to run %s (class %s)", what, l.to.Run, l.to.Class)
}

// content reports whether a run that yields can be content with who makes what was left: a run of an equal or a higher class, with the same
// code or newer.
func (r *runner) content(ctx context.Context, l left) (bool, error) {
	if r.opts.OnConflict != PolicyYield || l.to.Hold || l.to.Class.Rank() < r.opts.Class.Rank() {
		return false, nil
	}
	runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{ID: l.to.Run, Limit: 1})
	if err != nil || len(runs) == 0 {
		return false, err
	}
	theirs, ours := codeOfRun(&runs[0], r.Tables[l.table].Key), r.Tables[l.table].Version
	if theirs == ours.Version {
		return true, nil
	}
	versions, err := r.Ledger.Versions(ctx, r.Tables[l.table].Key)
	if err != nil {
		return false, fmt.Errorf("read the versions of %s: %w", l.table, err)
	}
	at := func(version string) int {
		return slices.IndexFunc(versions, func(v ledger.VersionRecord) bool { return v.Version == version })
	}
	mine, their := at(ours.Version), at(theirs)
	// What has never published is newer than all that has; of two such, nobody can tell.
	return theirs != "" && mine >= 0 && (their < 0 || their > mine), nil
}

// codeOfRun is the version of a table's code that a run began with; "" where it has not said.
func codeOfRun(r *ledger.RunRecord, key string) string {
	var asked struct {
		Version  string            `json:"version"`
		Versions map[string]string `json:"versions"`
	}
	if json.Unmarshal(r.Request, &asked) != nil {
		return ""
	}
	return firstOf(asked.Versions[key], asked.Version)
}

// writeDown is what is kept with a run of what it was asked for: the versions of its tables' code.
func (r *runner) writeDown(claims []ledger.Claim) error {
	if len(r.opts.Request) > 0 {
		return nil
	}
	asked := struct {
		Versions map[string]string `json:"versions"`
	}{map[string]string{}}
	for _, claim := range claims {
		asked.Versions[claim.Table] = r.Tables[r.Keys[claim.Table]].Version.Version
	}
	var err error
	if r.opts.Request, err = json.Marshal(asked); err != nil {
		return fmt.Errorf("write down the request: %w", err)
	}
	return nil
}

// WaitText is whom a waiting run waits for, in words.
func (c *Coordinator) WaitText(conflict *ledger.ConflictError) string {
	parts := make([]string, 0, len(conflict.Conflicts))
	for i := range conflict.Conflicts {
		x := &conflict.Conflicts[i]
		name := c.NameOf(x.Table)
		who := fmt.Sprintf("run %s (class %s, %d of %d done)", x.Run, x.Class, x.Done, x.Total)
		switch {
		case x.Hold:
			who = fmt.Sprintf("a hold of %s", x.Holder.User)
		case x.Waiting:
			who = fmt.Sprintf("run %s (class %s), which waits too", x.Run, x.Class)
		}
		parts = append(parts, fmt.Sprintf("%s %s: %s", name, c.Format(name, x.Overlap), who))
	}
	const most = 3
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, "; ")
}
