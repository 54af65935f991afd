package backfill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

func (c *Coordinator) orderOf(kind ledger.OrderKind, reason string) ledger.Order {
	return ledger.Order{ID: ledger.LeaseID(c.NewID("h")), Kind: kind, Actor: c.Actor(), Reason: reason, At: c.Now()}
}

// Hold keeps a set of a table from being written until it is released, or until has come (zero: it does not end by itself). A *TakenError where
// a run is at work there.
func (c *Coordinator) Hold(ctx context.Context, table string, set calendar.Set, until time.Time, reason string) (*ledger.Order, error) {
	t := c.Tables[table]
	if t.IsSource() {
		return nil, &InputError{What: table + " is a source: nothing is written to it", Next: "hold the tables that are made from it"}
	}
	o := c.orderOf(ledger.OrderHold, reason)
	o.Table, o.Axis, o.Set, o.Until = t.Key, t.Axis, set, until
	if !until.IsZero() && !until.After(o.At) {
		return nil, &InputError{What: "the hold would end at " + until.UTC().Format(time.RFC3339) + ", which is over", Next: "give a later --until"}
	}
	if _, err := c.Ledger.Order(ctx, o); err != nil {
		return nil, fmt.Errorf("hold %s %s: %w", table, c.Format(table, set), c.taken(err))
	}
	return &o, nil
}

// Unhold releases a set of a table from every hold and gives what of it was held.
func (c *Coordinator) Unhold(ctx context.Context, table string, set calendar.Set, reason string) (calendar.Set, error) {
	t := c.Tables[table]
	held, err := c.Holds(ctx, table)
	if err != nil {
		return calendar.Set{}, err
	}
	var was calendar.Set
	for _, h := range held {
		was = was.Union(h.of(t.Key).Intersect(set))
	}
	o := c.orderOf(ledger.OrderUnhold, reason)
	o.Table, o.Axis, o.Set = t.Key, t.Axis, set
	if _, err := c.Ledger.Order(ctx, o); err != nil {
		return calendar.Set{}, fmt.Errorf("release the hold on %s: %w", table, err)
	}
	return was, nil
}

// A Hold is a person's stop as it stands.
type Hold struct{ ledger.LeaseRecord }

func (h Hold) of(key string) calendar.Set { return setOf(h.Writes, key) }

func setOf(claims []ledger.Claim, key string) (out calendar.Set) {
	for _, c := range claims {
		if c.Table == key {
			out = out.Union(c.Set)
		}
	}
	return out
}

// Text says who holds since when, until when and why.
func (h Hold) Text() string {
	text := fmt.Sprintf("held by %s@%s since %s", h.Holder.User, h.Holder.Host, h.Since.UTC().Format(time.DateTime))
	if !h.Until.IsZero() {
		text += " until " + h.Until.UTC().Format(time.DateTime)
	}
	return text + " UTC: " + h.Reason
}

// Holds lists the holds that stand, on one table or, without a name, on all, oldest first.
func (c *Coordinator) Holds(ctx context.Context, table string) ([]Hold, error) {
	filter := ledger.LeaseFilter{Holds: true}
	if table != "" {
		filter.Table = c.Tables[table].Key
	}
	all, err := c.Ledger.Leases(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list the holds: %w", err)
	}
	var out []Hold
	for _, r := range all {
		out = append(out, Hold{r})
	}
	return out, nil
}

// HeldWhy says who holds the first of some partitions of a table, since when, why, and what to do.
func (c *Coordinator) HeldWhy(ctx context.Context, table string, set calendar.Set) (string, error) {
	held, err := c.Holds(ctx, table)
	if err != nil {
		return "", err
	}
	for _, h := range held {
		if on := h.of(c.Tables[table].Key).Intersect(set); !on.Empty() {
			return fmt.Sprintf("%s %s is %s (release it with `headway unhold %s`)", table, c.Format(table, on), h.Text(), table), nil
		}
	}
	return table + " " + c.Format(table, set) + " was held a moment ago", nil
}

// BreakLease ends a lease from outside; what it had in flight is settled by the next run. It gives the lease as it was.
func (c *Coordinator) BreakLease(ctx context.Context, id ledger.LeaseID, reason string) (*ledger.LeaseRecord, error) {
	was, err := c.Ledger.Leases(ctx, ledger.LeaseFilter{ID: id})
	if err != nil {
		return nil, fmt.Errorf("look for lease %s: %w", id, err)
	}
	const next = "list those that live with `headway ps --leases`"
	if len(was) == 1 && was[0].Hold() {
		return nil, &InputError{
			What: fmt.Sprintf("%s is a hold, not a run's lease", id), Next: "release it with `headway unhold " + c.NameOf(was[0].Writes[0].Table) + "`",
		}
	}
	o := c.orderOf(ledger.OrderBreak, reason)
	o.Lease = id
	_, err = c.Ledger.Order(ctx, o)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, &InputError{What: fmt.Sprintf("there is no lease %q", id), Next: next}
	case errors.Is(err, ledger.ErrLost) || (err == nil && len(was) == 0):
		return nil, &InputError{What: fmt.Sprintf("lease %s has ended already", id), Next: next}
	case err != nil:
		return nil, fmt.Errorf("break lease %s: %w", id, err)
	}
	return &was[0], nil
}

// A FenceAnswer says whether a token may still write.
type FenceAnswer struct {
	May bool
	Why string       // one line
	Set calendar.Set // what was asked about
	// Unasked says why the warehouse could not be asked; nil where it was.
	Unasked error
}

// FenceCheck asks whether an attempt that was given a token may still write a set of a table, all that it was started for where the set is
// empty: its lease must live, nobody may have drawn a higher token for any of it, and the warehouse's fence may not be higher.
func (c *Coordinator) FenceCheck(ctx context.Context, table string, token history.Token, set calendar.Set) (*FenceAnswer, error) {
	t := c.Tables[table]
	attempts, err := c.Ledger.Attempts(ctx, ledger.AttemptFilter{Table: t.Key, Set: set})
	if err != nil {
		return nil, fmt.Errorf("look for the attempt: %w", err)
	}
	var mine *ledger.AttemptRecord
	for i := range attempts {
		if attempts[i].Token == token {
			mine = &attempts[i]
		}
	}
	no := func(format string, args ...any) (*FenceAnswer, error) {
		return &FenceAnswer{Why: fmt.Sprintf(format, args...), Set: set}, nil
	}
	if mine == nil {
		return no("no attempt on these partitions of %s was given token %d", table, token)
	}
	if set.Empty() {
		set = mine.Set
	}
	switch over := set.Minus(mine.Set); {
	case !over.Empty():
		return no("attempt %s was not started for %s %s", mine.ID, table, c.Format(table, over))
	case mine.State != ledger.AttemptRunning:
		return no("attempt %s of run %s has ended: %s", mine.ID, mine.Run, mine.State)
	}
	for _, a := range attempts {
		if on := a.Set.Intersect(set); a.Token > token && !on.Empty() {
			return no("attempt %s of run %s has taken over %s %s with token %d", a.ID, a.Run, table, c.Format(table, on), a.Token)
		}
	}
	leases, err := c.Ledger.Leases(ctx, ledger.LeaseFilter{Table: t.Key})
	if err != nil {
		return nil, fmt.Errorf("look for the lease: %w", err)
	}
	left := set
	for _, x := range leases {
		on := setOf(x.Writes, t.Key).Intersect(set)
		if x.Run == mine.Run && !x.Over {
			left = left.Minus(on)
		} else if x.Tokens[t.Key] > token && !on.Empty() {
			return no("run %s has taken over %s %s", x.Run, table, c.Format(table, on))
		}
	}
	if !left.Empty() {
		return no("the lease of run %s over %s %s has ended", mine.Run, table, c.Format(table, left))
	}
	return c.askFence(ctx, table, token, set, mine)
}

// askFence asks the warehouse. Its fence is raised to the token where it is lower: that is what the attempt itself does before it reads.
func (c *Coordinator) askFence(ctx context.Context, table string, token history.Token, set calendar.Set, a *ledger.AttemptRecord) (*FenceAnswer, error) {
	t := c.Tables[table]
	out := &FenceAnswer{May: true, Set: set, Why: fmt.Sprintf("attempt %s of run %s may write %s %s", a.ID, a.Run, table, c.Format(table, set))}
	end, err := briefTurn(ctx, t.Warehouse)
	defer end()
	if err == nil {
		err = t.Warehouse.Raise(ctx, warehouse.Fence{Table: t.Key, Set: set, Token: token})
	}
	var (
		fenced *warehouse.FencedError
		locked *warehouse.LockedError
	)
	switch {
	case errors.As(err, &fenced):
		return &FenceAnswer{Set: set, Why: fenced.Error()}, nil
	case errors.As(err, &locked):
		out.Unasked = err
	case err != nil:
		return nil, fmt.Errorf("ask the fence of %s: %w", table, err)
	}
	return out, nil
}

// taken adds to a conflict how to resolve it.
func (c *Coordinator) taken(err error) error {
	var conflict *ledger.ConflictError
	if !errors.As(err, &conflict) || len(conflict.Conflicts) == 0 {
		return err
	}
	var runs []string
	for _, one := range conflict.Conflicts {
		if command := "`headway stop " + string(one.Run) + " --hold`"; len(runs) == 0 || runs[len(runs)-1] != command {
			runs = append(runs, command)
		}
	}
	return &TakenError{Err: err, Next: "wait for it, or end it and hold what it reserved: " + strings.Join(runs, ", ")}
}
