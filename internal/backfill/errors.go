package backfill

import (
	"fmt"
	"strings"
)

// An InputError is wrong input of a person: what is wrong, and what to do. Nothing was changed.
type InputError struct{ What, Next string }

func (e *InputError) Error() string {
	if e.Next == "" {
		return e.What
	}
	return e.What + ": " + e.Next
}

// A RefusedError says that what was asked for was not done, for a reason of the data: a check, a guard, a missing input.
type RefusedError struct{ What, Next string }

func (e *RefusedError) Error() string {
	if e.Next == "" {
		return e.What
	}
	return e.What + ": " + e.Next
}

// listNames joins at most limit names, and says how many more there are.
func listNames(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}

// A TakenError is a conflict with others who have the partitions, and what to do about it.
type TakenError struct {
	Err  error
	Next string
}

func (e *TakenError) Error() string { return e.Err.Error() }

func (e *TakenError) Unwrap() error { return e.Err }
