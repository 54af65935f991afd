package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// An OrderKind is what a person says about who may write.
type OrderKind string

// The orders. Their names are the actions of the audit log.
const (
	// OrderHold puts a hold on Set of Table: until it is released, or until Until has come on the wall clock of the ledger's host, no run
	// writes there.
	OrderHold OrderKind = "hold"
	// OrderUnhold takes Set of Table out of every hold.
	OrderUnhold OrderKind = "unhold"
	// OrderBreak ends Lease from outside.
	OrderBreak OrderKind = "lease.break"
	// OrderStop asks the holder of Run to end it.
	OrderStop OrderKind = "stop"
	// OrderPause keeps Run from starting anything, and lets others take what it has not in flight; OrderResume ends that.
	OrderPause  OrderKind = "pause"
	OrderResume OrderKind = "resume"
	// OrderAdopt tells that Run is a process that Headway did not start.
	OrderAdopt OrderKind = "adopt"
	// OrderStopHold asks the same, ends the run's leases, and puts a hold over what they claimed.
	OrderStopHold OrderKind = "stop.hold"
)

// An Order is a person's word on who may write.
type Order struct {
	ID     LeaseID // chosen by the caller, so that asking again is harmless; the hold's id where it puts one on
	Kind   OrderKind
	Table  string // hold, unhold
	Axis   calendar.Axis
	Set    calendar.Set // may be open
	Until  time.Time    // hold: when it ends by itself; zero: it does not
	Lease  LeaseID      // lease.break
	Run    RunID        // stop, stop.hold, pause, resume
	Actor  Actor
	Reason string
	At     time.Time
}

// Check reports what is wrong with an order whatever the ledger holds.
func (o Order) Check() error {
	if o.ID == "" {
		return errors.New("an order needs an id")
	}
	switch o.Kind {
	case OrderHold, OrderUnhold:
		if o.Table == "" || o.Set.Empty() {
			return fmt.Errorf("%s on %q: %w", o.Kind, o.Table, errEmpty)
		}
		if !o.Until.IsZero() && !o.Until.After(o.At) {
			return fmt.Errorf("a hold cannot end at %s: that is over", o.Until.Format(time.RFC3339))
		}
		return nil
	case OrderBreak:
		if o.Lease == "" {
			return errors.New("break which lease?")
		}
		return nil
	case OrderStop, OrderStopHold, OrderPause, OrderResume, OrderAdopt:
		if o.Run == "" {
			return fmt.Errorf("%s which run?", o.Kind)
		}
		return nil
	}
	return fmt.Errorf("nobody knows the order %q", o.Kind)
}

// A StopRequest is a person's wish that a run ends. The zero value: nobody wants that.
type StopRequest struct {
	Actor  Actor
	Reason string
	Hold   bool // a hold was left over what the run claimed
	At     time.Time
}

// Asked reports whether somebody wants it.
func (s StopRequest) Asked() bool { return !s.At.IsZero() }

// A PauseRequest is a person's word that a run is to start nothing for now. The zero value: nobody said so.
type PauseRequest struct {
	Actor  Actor
	Reason string
	At     time.Time
}

// Asked reports whether somebody said so.
func (p PauseRequest) Asked() bool { return !p.At.IsZero() }

// A LeaseRecord is a lease that has not ended, a hold that stands, or a waiter. A hold has no Run, is of the highest class, and its Holder
// is the person who put it on. A waiter has nothing: its claims are what it asks for, Since is when it came, and Left is until when it must
// ask again.
type LeaseRecord struct {
	ID     LeaseID
	Run    RunID // "" for a hold
	Class  Class
	Holder Holder
	Writes []Claim                  // what is left of its claims, by table
	Reads  []Claim                  // of a waiter
	Tokens map[string]history.Token // of a lease
	Since  time.Time
	// Waiting: it is a waiter. WaitsFor is who is in its way now; nobody, if it would be granted if it asked.
	Waiting  bool
	WaitsFor []Conflict
	// Left is how long it lasts unless it is renewed, on the ledger's clock; Over says that it is live no longer, though nobody has ended
	// it yet. Of a lease of another machine nothing can be said: it is never over.
	Left   time.Duration
	Over   bool
	Until  time.Time // when a hold ends by itself; zero: it does not
	Reason string
	Stop   StopRequest // that its run is asked to end
	Paused PauseRequest
}

// Hold reports whether it is a hold.
func (r LeaseRecord) Hold() bool { return r.Run == "" }

// A LeaseFilter selects leases and holds. Empty fields match all.
type LeaseFilter struct {
	ID    LeaseID
	Run   RunID
	Table string // key: those that claim some of it
	Holds bool   // holds only
	// Waiting: waiters too.
	Waiting bool
	Limit   int // 0: 1000; the oldest are kept
}

// Most is how many are listed at most.
func (f LeaseFilter) Most() int { return most(f.Limit, 1000) }

// Matches reports whether the filter selects a lease, hold or waiter.
func (f LeaseFilter) Matches(r LeaseRecord) bool {
	of := func(c Claim) bool { return c.Table == f.Table }
	return (!f.Holds || r.Hold()) && (f.Waiting || !r.Waiting) && (f.ID == "" || f.ID == r.ID) && (f.Run == "" || f.Run == r.Run) &&
		(f.Table == "" || slices.ContainsFunc(r.Writes, of) || slices.ContainsFunc(r.Reads, of))
}

// SortLeases puts leases and holds in the order in which they are listed: the oldest first.
func SortLeases(all []LeaseRecord) {
	slices.SortFunc(all, func(a, b LeaseRecord) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
}

// Standing is what stands on some partitions of a table, for the Before and After of an audited order.
type Standing struct {
	Held, Claimed, InFlight, Unsettled calendar.Set
	Leases                             []LeaseID // that claim some of it, sorted
}

type toldOrder struct {
	Seq       int64      `json:"seq"`
	Order     LeaseID    `json:"order"`
	Lease     LeaseID    `json:"lease,omitempty"`
	Run       RunID      `json:"run,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
	Held      [][2]int64 `json:"held"`
	Claimed   [][2]int64 `json:"claimed"`
	InFlight  [][2]int64 `json:"in_flight"`
	Unsettled [][2]int64 `json:"unsettled"`
	Leases    []LeaseID  `json:"leases,omitempty"`
}

// Describe is the Before or After of an order over some partitions: JSON, of each set its first hundred intervals.
func (o Order) Describe(seq history.Seq, on Standing) string {
	out := toldOrder{
		Seq: int64(seq), Order: o.ID, Lease: o.Lease, Run: o.Run,
		Held: ranges(on.Held), Claimed: ranges(on.Claimed), InFlight: ranges(on.InFlight), Unsettled: ranges(on.Unsettled),
		Leases: on.Leases[:min(len(on.Leases), told)],
	}
	if !o.Until.IsZero() {
		until := o.Until.UTC()
		out.Until = &until
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err) // numbers and strings always have a JSON form
	}
	return string(text)
}

func ranges(set calendar.Set) [][2]int64 {
	out := [][2]int64{}
	for _, iv := range set.Intervals() {
		if len(out) == told {
			break
		}
		out = append(out, [2]int64{int64(iv.Start), int64(iv.End)})
	}
	return out
}

// Entry is the line of the audit log about an order, for one of the tables that it touches.
func (o Order) Entry(table string, set calendar.Set, before, after string) AuditEntry {
	return AuditEntry{
		At: o.At, Actor: o.Actor, Action: string(o.Kind), Table: table, Set: set, Reason: o.Reason, Before: before, After: after,
	}
}

// Repeats reports whether an order is the one that an entry tells of, and then gives its clock.
func (o Order) Repeats(e AuditEntry) (history.Seq, bool) {
	var was toldOrder
	if e.Action != string(o.Kind) || json.Unmarshal([]byte(e.After), &was) != nil || was.Order != o.ID {
		return 0, false
	}
	return history.Seq(was.Seq), true
}
