// Package local is the dispatcher of one process: goroutines take the chunks.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/run"
)

// A Dispatcher runs chunks on goroutines of this process, one each, at most as many as the run's overall limit. The zero Dispatcher works.
type Dispatcher struct {
	// Log is told what goes wrong in the program itself; nil: nobody.
	Log *slog.Logger
	// Grace is called when a run is to stop, and returns when the chunks that still run are to be interrupted: until then they may
	// come to their end by themselves. Its ctx ends when none is left. nil interrupts them at once.
	Grace func(ctx context.Context, stop run.Stop)
	// Pauses says that the run is to start nothing (true), or to go on (false). nil: nobody says so.
	Pauses <-chan bool
}

var _ dispatch.Dispatcher = (*Dispatcher)(nil)

// An answer is what a worker sends back.
type answer struct {
	chunk  run.Chunk
	result run.Result
}

// A session is one call of Run. Its goroutine owns the run; workers get a copy of their chunk and answer on a channel, which is all that
// they share with it.
type session struct {
	*Dispatcher
	run       *run.Run
	do        dispatch.Do
	onEvent   func(run.Event)
	answers   chan answer
	work      context.Context //nolint:containedctx // of the workers: it lives exactly as long as the session
	interrupt context.CancelCauseFunc
	grace     chan struct{} // closed when the time of grace is over; nil before a stop
	errs      []error
}

// Run is the contract's.
func (d *Dispatcher) Run(ctx context.Context, r *run.Run, do dispatch.Do, onEvent func(run.Event)) error {
	if onEvent == nil {
		onEvent = func(run.Event) {}
	}
	// Workers keep what ctx carries, but are interrupted later than ctx ends: after the time of grace.
	work, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	defer interrupt(nil)
	s := &session{Dispatcher: d, run: r, do: do, onEvent: onEvent, answers: make(chan answer), work: work, interrupt: interrupt}
	if r.State() == run.Planned {
		s.apply(run.Event{Kind: run.RunStarted})
	}
	if r.State() != run.Running && !r.State().Ended() || r.Running() > 0 {
		return fmt.Errorf("a run that is %s with %d chunks under way cannot be dispatched", r.State(), r.Running())
	}
	s.loop(ctx)
	return errors.Join(s.errs...)
}

// loop hands out what may start and takes in what comes back, until the run has ended. Whenever it waits, a worker is out, and answers, or the
// run is paused.
func (s *session) loop(ctx context.Context) {
	done := ctx.Done()
	for !s.run.State().Ended() {
		if done != nil && ctx.Err() != nil {
			done = nil
			s.stop(ctx)
			continue
		}
		select {
		case paused := <-s.Pauses:
			s.pause(paused)
			continue
		default:
		}
		if c, ok := s.run.Next(); ok && s.apply(run.Event{Kind: run.Started, Chunk: c.ID}) {
			go s.worker(c)
			continue
		}
		if s.run.Running() == 0 && s.run.State() != run.Paused {
			s.stuck()
			return
		}
		select {
		case a := <-s.answers:
			s.finish(a)
		case paused := <-s.Pauses:
			s.pause(paused)
		case <-done:
		}
	}
	if s.grace != nil {
		s.interrupt(nil)
		<-s.grace
	}
}

// pause pauses the run, or lets it go on. What it is already it stays.
func (s *session) pause(paused bool) {
	switch {
	case paused && s.run.State() == run.Running:
		s.apply(run.Event{Kind: run.RunPaused})
	case !paused && s.run.State() == run.Paused:
		s.apply(run.Event{Kind: run.RunResumed})
	}
}

// stuck ends a run in which nothing runs and nothing may start. The run's own rules exclude it.
func (s *session) stuck() {
	s.errs = append(s.errs, fmt.Errorf("the run is %s, nothing runs and nothing may start", s.run.State()))
	s.apply(run.Event{Kind: run.StopRequested, Stop: run.Stop{Cause: run.CauseFailed, Reason: "nothing may start"}})
}

// apply lets an event happen and tells it.
func (s *session) apply(e run.Event) bool {
	if err := s.run.Apply(e); err != nil {
		s.errs = append(s.errs, err)
		return false
	}
	s.onEvent(e)
	return true
}

// stop tells the run that it is to stop, and interrupts the workers after the time of grace.
func (s *session) stop(ctx context.Context) {
	stop := dispatch.StopOf(ctx)
	s.apply(run.Event{Kind: run.StopRequested, Stop: stop})
	cause := context.Cause(ctx)
	if s.Grace == nil || s.run.State().Ended() {
		s.interrupt(cause)
		return
	}
	s.grace = make(chan struct{})
	go func() {
		defer close(s.grace)
		s.Grace(s.work, stop)
		s.interrupt(cause)
	}()
}

// finish takes in an answer. An account that does not add up makes the chunk a failed one.
func (s *session) finish(a answer) {
	err := s.run.Apply(run.Event{Kind: run.Finished, Chunk: a.chunk.ID, Result: &a.result})
	if err != nil {
		s.errs = append(s.errs, err)
		a.result = a.chunk.Failed(err.Error())
		s.apply(run.Event{Kind: run.Finished, Chunk: a.chunk.ID, Result: &a.result})
		return
	}
	s.onEvent(run.Event{Kind: run.Finished, Chunk: a.chunk.ID, Result: &a.result})
}

// worker takes one chunk to its end. It answers whatever do does: return, panic, or end its goroutine.
func (s *session) worker(c run.Chunk) {
	result := c.Failed("the worker ended without a result")
	defer func() {
		if p := recover(); p != nil {
			result = c.Failed(fmt.Sprintf("panic: %v", p))
			if s.Log != nil {
				s.Log.Error("a worker panicked", "table", c.Table, "chunk", c.ID, "panic", p, "stack", string(debug.Stack()))
			}
		}
		s.answers <- answer{chunk: c, result: result}
	}()
	result = s.do(s.work, c)
}
