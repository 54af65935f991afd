package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// MaxWaiters is how many requests wait at most. Each asks every few seconds, and each time is a transaction.
const MaxWaiters = 256

// A LeaseRequest asks for a lease.
type LeaseRequest struct {
	ID     LeaseID // chosen by the caller, so that asking again is harmless
	Run    RunID
	Class  Class
	Holder Holder
	Writes []Claim
	Reads  []Claim
	TTL    time.Duration
	// Settles: the caller will settle what earlier leases left (fence, look, Settle) before it starts attempts there.
	Settles bool
	// Wait: the caller asks again and again, more often than each TTL, until it is granted or it releases the id.
	Wait bool
	// Preempt: what runs of a lower class have is taken (see Acquire).
	Preempt bool
	Reason  string
}

// Narrows reports whether a request asks for nothing that the earlier one of its id did not ask for: then it keeps its place in the queue.
func (r LeaseRequest) Narrows(before LeaseRequest) bool {
	return r.Run == before.Run && r.Class == before.Class && within(r.Writes, before.Writes) && within(r.Reads, before.Reads)
}

func within(claims, of []Claim) bool {
	return !slices.ContainsFunc(claims, func(c Claim) bool {
		return !slices.ContainsFunc(of, func(o Claim) bool { return o.Table == c.Table && o.Set.Covers(c.Set) })
	})
}

// A Lease is the right to write. It lasts until Deadline on the ledger's clock and must be renewed before.
type Lease struct {
	ID     LeaseID
	Run    RunID
	TTL    time.Duration
	Tokens map[string]history.Token // by table key; the fence is raised with them over the claims
	Settle []Claim                  // partitions that must be settled first
}

// A Conflict is one overlap that stands in the way of a request.
type Conflict struct {
	Lease     LeaseID // or the id of the hold
	Run       RunID
	Class     Class
	Table     string
	Overlap   calendar.Set
	Holder    Holder
	Since     time.Time // when it was granted, put on, or began to wait
	Command   string
	Done      int // partitions of the run that are finished
	Total     int
	StartedAt time.Time // of the run
	Hold      bool
	Waiting   bool // it has nothing yet, but is ahead in the queue
	// Publishing: it would be preempted, but is in the middle of a publish there. Ask again in a moment.
	Publishing bool
	Reason     string
}

// ActionPreempt is the action of an audit entry that tells what a request took from live leases.
const ActionPreempt = "preempt"

// Taking is the request as the order that the audit log tells of.
func (r LeaseRequest) Taking(at time.Time) Order {
	return Order{
		ID: r.ID, Kind: ActionPreempt, Run: r.Run, Actor: Actor{User: r.Holder.User, Host: r.Holder.Host, PID: r.Holder.PID}, Reason: r.Reason, At: at,
	}
}

// A Preemption is what a request has taken from a run and nobody has published since: unless the run that took it still works on it, it is
// nobody's.
type Preemption struct {
	Table  string
	Axis   calendar.Axis
	Set    calendar.Set
	By     RunID // that took it
	At     time.Time
	Reason string // of that request
}

// MergePreemptions puts what was taken from a run in order: by time, then by table; what was taken at once is one.
func MergePreemptions(all []Preemption) []Preemption {
	slices.SortStableFunc(all, func(a, b Preemption) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Table, b.Table), cmp.Compare(a.By, b.By), cmp.Compare(a.Reason, b.Reason))
	})
	out := all[:0]
	for _, p := range all {
		if n := len(out) - 1; n >= 0 && out[n].Table == p.Table && out[n].By == p.By && out[n].At.Equal(p.At) && out[n].Reason == p.Reason {
			out[n].Set = out[n].Set.Union(p.Set)
			continue
		}
		out = append(out, p)
	}
	return out
}
