package ledger

import (
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// MaxWaiters is how many requests wait at most.
const MaxWaiters = 1000

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
	Wait   bool
	Reason string
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
	Reason    string
}
