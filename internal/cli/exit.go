package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
)

// The exit codes of cli.md.
const (
	exitFailed  = 1 // an attempt failed, or Headway itself
	exitUsage   = 2 // usage or project file
	exitRefused = 3 // a check, gate, contract, guard, immutable table or missing input refused
	exitTaken   = 4 // a lease, hold, preemption or wait limit
	exitPartial = 5 // some published, some not
)

// An exitError ends the command with a code of its own; what it says has been said already when Err is nil.
type exitError struct {
	Code int
	Err  error
	told bool // the answer on stdout has said it already
}

func (e *exitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *exitError) Unwrap() error { return e.Err }

// codeOf is the one table from errors to exit codes.
func (inv *invocation) codeOf(err error) int {
	var (
		exit     *exitError
		input    *backfill.InputError
		project  catalog.Errors
		refused  *backfill.RefusedError
		conflict *ledger.ConflictError
		foreign  *warehouse.ForeignLedgerError
		locked   *warehouse.LockedError
		source   *warehouse.SourceError
		schema   *warehouse.SchemaError
		outside  *warehouse.OutsideError
		align    *calendar.MisalignedError
	)
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case inv.ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(inv.ctx))):
		return 128 + inv.Signal()
	case errors.As(err, &input), errors.As(err, &project), errors.As(err, &align):
		return exitUsage
	case errors.As(err, &conflict), errors.As(err, &foreign), errors.As(err, &locked), errors.Is(err, ledger.ErrLost):
		return exitTaken
	case errors.As(err, &refused), errors.As(err, &source), errors.As(err, &schema), errors.As(err, &outside):
		return exitRefused
	}
	return exitFailed
}

// fail tells an error on stderr and gives its exit code.
func (inv *invocation) fail(err error) int {
	code := inv.codeOf(err)
	var exit *exitError
	if errors.As(err, &exit) && exit.Err == nil {
		return code
	}
	if inv.json() && (exit == nil || !exit.told) {
		_ = inv.answer(struct {
			Schema  string  `json:"schema"`
			Code    int     `json:"code"`
			Message string  `json:"message"`
			Where   *string `json:"where"`
			Next    *string `json:"next"`
		}{"headway.error/v1", code, err.Error(), whereOf(err), nextOf(err)})
	}
	fmt.Fprintf(inv.Stderr, "headway: %s\n", inv.plain(inv.Stderr, strings.TrimSpace(withNext(err))))
	return code
}

func whereOf(err error) *string {
	var project catalog.Errors
	if errors.As(err, &project) && len(project) > 0 {
		at := project[0].Pos.String()
		return &at
	}
	return nil
}

// nextOf is what to do about an error; nil where there is nothing to say.
func nextOf(err error) *string {
	var (
		input    *backfill.InputError
		refused  *backfill.RefusedError
		taken    *backfill.TakenError
		conflict *ledger.ConflictError
		foreign  *warehouse.ForeignLedgerError
		locked   *warehouse.LockedError
		source   *warehouse.SourceError
		schema   *warehouse.SchemaError
		outside  *warehouse.OutsideError
		align    *calendar.MisalignedError
		project  catalog.Errors
	)
	if told := new(conflictError); errors.As(err, &told) {
		return nil // it says what would resolve it
	}
	next := ""
	switch {
	case errors.As(err, &input):
		next = input.Next
	case errors.As(err, &refused):
		next = refused.Next
	case errors.As(err, &project) && len(project) > 0:
		next = firstOf(project[0].Next, "correct it, then `headway validate`")
	case errors.As(err, &taken):
		next = taken.Next
	case errors.As(err, &conflict) && len(conflict.Conflicts) > 0 && conflict.Conflicts[0].Hold:
		next = "see the holds with `headway ps`, and run again when it is released with `headway unhold`"
	case errors.As(err, &conflict):
		next = "see who holds them with `headway ps --leases`, and run again when they are free"
	case errors.As(err, &foreign):
		next = "use the state that coordinates it" + stateFlag(foreign.URL) + ", or make this one coordinate it: `headway state move --reason ...`"
	case errors.As(err, &locked):
		next = "close that process, or wait for it, and run again"
	case errors.Is(err, ledger.ErrLost):
		next = "see `headway ps`, then `headway run`: it does what is left"
	case errors.As(err, &source):
		next = firstOf(source.Next, "correct the file, then `headway observe "+source.Source+"`")
	case errors.As(err, &schema):
		next = schema.Next
	case errors.As(err, &outside):
		next = "see the query with `headway render " + outside.Table + "`"
	case errors.As(err, &align):
		return nil
	}
	if next == "" {
		return nil
	}
	return &next
}

// stateFlag says how to name a state.
func stateFlag(url string) string {
	if url == "" {
		return ": name it with --state, or put its file back"
	}
	return ": --state " + url
}

// withNext is an error with what to do about it, said once.
func withNext(err error) string {
	text := err.Error()
	if next := nextOf(err); next != nil && !strings.Contains(text, *next) {
		return text + ": " + *next
	}
	return text
}

// StoppedBy is the cause with which a signal ends a context: runs stop cleanly and exit with 128 and the signal's number.
func StoppedBy(signal syscall.Signal) error {
	return &dispatch.StopError{Stop: run.Stop{Cause: run.CauseStopped, Signal: int(signal), Reason: "stopped by signal: " + signal.String()}}
}
