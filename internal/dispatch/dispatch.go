// Package dispatch is the contract of who runs the next attempt: a worker in this process (package local), or whichever of many machines
// has one free. A run says which chunks may start and in which order (package run); a dispatcher finds the hands for them, and feeds
// back to the run what becomes of each.
//
// What every dispatcher keeps to:
//
//   - One goroutine owns the run. It alone applies events to it, in the order in which it then tells them to onEvent, one at a time. So
//     the events, stored and applied again, give the same run.
//   - A chunk is handed out when the run says that it may start, and once only. No more are out at a time than the run's limits admit.
//   - Every chunk that was handed out comes back with a result. A worker that panics or gives an account that does not add up has failed
//     its chunk; the others go on.
//   - When the context ends, nothing more is handed out, the run is told to stop with the reason, and what is out is asked to end and
//     waited for. Trying again is not the dispatcher's: the worker does it within its chunk (Backoff), as long as it has the chunk.
//   - Nothing that Run started is left when it returns.
package dispatch

import (
	"context"
	"errors"

	"github.com/headway-data/headway/internal/run"
)

// Do takes one chunk to its end and says what became of it. It is called from several goroutines at once, and must return soon after
// ctx ends, of which context.Cause tells why. It must not apply events.
type Do func(ctx context.Context, c run.Chunk) run.Result

// A Dispatcher carries out runs.
type Dispatcher interface {
	// Run takes a run from where it stands (planned, or running with nothing under way) to its end and blocks until then. onEvent is
	// told every event after it was applied; it is called from one goroutine, and while it works nothing else is handed out, so it
	// should be quick. It may be nil.
	//
	// When ctx ends, the run is stopped as StopOf(ctx) says. That is not an error: how the run ended is in its state. An error means
	// that the run could not be carried out as it should, because of a mistake in the program; it has ended all the same.
	Run(ctx context.Context, r *run.Run, do Do, onEvent func(run.Event)) error
}

// A StopError ends a context because a run is to stop: as the cause given to context.CancelCauseFunc it says why.
type StopError struct{ Stop run.Stop }

func (e *StopError) Error() string {
	if e.Stop.Reason == "" {
		return "the run was stopped"
	}
	return e.Stop.Reason
}

// StopOf is what a context that has ended says about why a run must stop. A cause that is no *StopError counts as a person's stop.
func StopOf(ctx context.Context) run.Stop {
	cause := context.Cause(ctx)
	if stop, ok := errors.AsType[*StopError](cause); ok && stop.Stop.Cause != "" {
		return stop.Stop
	}
	reason := "stopped"
	if cause != nil && !errors.Is(cause, context.Canceled) {
		reason = cause.Error()
	}
	return run.Stop{Cause: run.CauseStopped, Reason: reason}
}
