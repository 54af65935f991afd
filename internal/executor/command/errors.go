//go:build unix

package command

import (
	"fmt"
	"syscall"

	"github.com/headway-data/headway/internal/executor"
)

// An ExitError says that a command failed.
type ExitError struct {
	Table   string
	Part    string // the partitions it was for
	Program string
	Code    int            // its exit code; 128 and the number of the signal that ended it
	Signal  syscall.Signal // 0: none
	Last    []string       // its last lines on stderr, each bounded
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("ended with exit code %d", e.Code)
	if e.Signal != 0 {
		how = fmt.Sprintf("was ended by signal %d (%s)", int(e.Signal), e.Signal)
	}
	text := fmt.Sprintf("the command of %s (%s, for %s) %s", e.Table, e.Program, e.Part, how)
	if n := len(e.Last); n > 0 {
		text += ": " + e.Last[n-1]
		if n > 1 {
			text += quote(e.Last)
		}
	}
	return text
}

// A StartError says that a command could not be started. Trying again will not help.
type StartError struct {
	Table   string
	Program string
	Code    int // as env(1) would exit: 127 there is no such program, 126 it cannot be run
	Err     error
	Next    string // what to do
}

func (e *StartError) Error() string {
	text := fmt.Sprintf("the command of %s (%s) cannot be started: %v", e.Table, e.Program, e.Err)
	if e.Next != "" {
		text += ": " + e.Next
	}
	return text
}

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Is makes the error match executor.ErrPermanent.
func (e *StartError) Is(target error) bool { return target == executor.ErrPermanent }

// A ReportError says that a line of HEADWAY_REPORT is not what one may be. Trying again will not help.
type ReportError struct {
	Table string
	Line  int // from 1; 0: the whole file
	Text  string
	What  string
}

func (e *ReportError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("HEADWAY_REPORT of %s: %s", e.Table, e.What)
	}
	return fmt.Sprintf("HEADWAY_REPORT of %s, line %d (%s): %s: "+
		`a line is {"table","partition","state":"done|empty|failed","rows","error"}`, e.Table, e.Line, e.Text, e.What)
}

// Is makes the error match executor.ErrPermanent.
func (e *ReportError) Is(target error) bool { return target == executor.ErrPermanent }

// A BoundError says that a command names a bound of the range, and its table has no partitions.
type BoundError struct {
	Table string
	Name  string // like {from}
}

func (e *BoundError) Error() string {
	return fmt.Sprintf("%s has no partitions, so %s in its command means nothing", e.Table, e.Name)
}
