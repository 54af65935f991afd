package ledger

import (
	"cmp"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// The states of an attempt.
const (
	AttemptRunning     = "running"
	AttemptPublished   = "published"   // all its partitions
	AttemptPartial     = "partial"     // some of them
	AttemptQuarantined = "quarantined" // none: its checks refused
	AttemptFailed      = "failed"
	AttemptCancelled   = "cancelled"
	AttemptLost        = "lost" // its lease ended before it had stated an intent
)

// LostReason is the reason of an attempt that Settle has ended.
const LostReason = "its lease ended, or was preempted, before it was recorded"

// EndState is what an attempt has come to when it is over: by what it has published and quarantined, and by whether it had stated an
// intent.
func EndState(a AttemptRecord, intended bool) string {
	switch {
	case !a.Published.Empty() && a.Published.Covers(a.Set):
		return AttemptPublished
	case !a.Published.Empty():
		return AttemptPartial
	case !a.Quarantined.Empty():
		return AttemptQuarantined
	case intended:
		return AttemptFailed
	}
	return AttemptLost
}

// State is the state of an attempt that failed so.
func (f Failure) State() string {
	switch {
	case f.Cancelled:
		return AttemptCancelled
	case f.Outcome == history.Quarantined:
		return AttemptQuarantined
	}
	return AttemptFailed
}

// ReasonOf is why one of its partitions failed.
func (f Failure) ReasonOf(p calendar.Partition) string {
	if r, ok := f.Reasons[p]; ok {
		return r
	}
	return f.Reason
}

// Matches reports whether the filter selects an attempt.
func (f AttemptFilter) Matches(a AttemptRecord) bool {
	return (f.ID == "" || f.ID == a.ID) && (f.Run == "" || f.Run == a.Run) && (f.Table == "" || f.Table == a.Table) &&
		(f.Table == "" || f.Set.Empty() || f.Set.Overlaps(a.Set))
}

// Most is how many attempts are listed at most.
func (f AttemptFilter) Most() int { return most(f.Limit, 1000) }

// Most is how many runs are listed at most.
func (f RunFilter) Most() int { return most(f.Limit, 100) }

// Most is how many entries are listed at most.
func (f AuditFilter) Most() int { return most(f.Limit, 1000) }

func most(limit, otherwise int) int {
	if limit <= 0 {
		return otherwise
	}
	return limit
}

// SortConflicts puts conflicts in the order in which people are shown them: by table, then by where they overlap.
func SortConflicts(c []Conflict) {
	slices.SortFunc(c, func(a, b Conflict) int {
		return cmp.Or(
			cmp.Compare(a.Table, b.Table), cmp.Compare(a.Overlap.Bounds().Start, b.Overlap.Bounds().Start),
			cmp.Compare(a.Overlap.Bounds().End, b.Overlap.Bounds().End), cmp.Compare(a.Lease, b.Lease), cmp.Compare(a.Run, b.Run),
		)
	})
}
