package ledger

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on; drivers wrap them with what and where.
var (
	// ErrUnknown: the transaction may or may not have happened. Ask again.
	ErrUnknown = errors.New("the outcome is unknown")
	// ErrLost: the lease has ended or the token has been superseded. Nothing more may be written under it.
	ErrLost = errors.New("the lease is lost")
	// ErrNotFound: no such run, attempt or lease.
	ErrNotFound = errors.New("not found")
	// ErrUnsettled: partitions must be settled before an attempt may start on them.
	ErrUnsettled = errors.New("an earlier writer is not settled")
	// ErrPaused: the run is paused. It starts nothing until it is resumed.
	ErrPaused = errors.New("the run is paused")
	// ErrAxis: a table is used with another grain or zone than before.
	ErrAxis = errors.New("the table has another grain or time zone")
	// ErrSchema: the store was made by a newer version of Headway.
	ErrSchema = errors.New("the state is of a newer version")
)

// A ConflictError refuses a lease and names who stands in the way.
type ConflictError struct {
	Conflicts []Conflict
	Queued    bool // the request waits: asking again keeps its place, and Release gives it up
}

func (e *ConflictError) Error() string {
	if len(e.Conflicts) == 0 {
		return "the range is taken"
	}
	c := e.Conflicts[0]
	who := fmt.Sprintf("run %s (%s, pid %d on %s, user %s)", c.Run, c.Class, c.Holder.PID, c.Holder.Host, c.Holder.User)
	if c.Hold {
		who = fmt.Sprintf("a hold by %s since %s: %s", c.Holder.User, c.Since.UTC().Format(time.DateTime), c.Reason)
	}
	more := ""
	if n := len(e.Conflicts) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	what := "taken by"
	switch {
	case c.Waiting:
		what = "wanted first by"
	case c.Publishing:
		what = "being published by"
	}
	return fmt.Sprintf("%d partitions of %s are %s %s%s", c.Overlap.Count(), c.Table, what, who, more)
}

// A ChainError names the first entry of the audit log that is not as it was written.
type ChainError struct {
	Position int64
	What     string // edited, removed, moved
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("audit entry %d was %s", e.Position, e.What)
}
