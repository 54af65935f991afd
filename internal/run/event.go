package run

import (
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
)

// A Kind is what an event tells.
type Kind string

// The kinds of events.
const (
	RunStarted    Kind = "run.started"    // planned → running
	RunRefused    Kind = "run.refused"    // planned → an end, with nothing attempted: Stop says why
	RunPaused     Kind = "run.paused"     // running → paused
	RunResumed    Kind = "run.resumed"    // paused → running
	StopRequested Kind = "run.stopping"   // any but an end → stopping: what has not started ends as stopped, what runs is waited for
	Noted         Kind = "run.noted"      // tells of partitions that no chunk is for: blocked in the plan, left to another run
	Started       Kind = "chunk.started"  // ready → running
	Finished      Kind = "chunk.finished" // running → ended, with Result
)

// An Event is something that happened to a run. Fields that its kind does not name are zero.
type Event struct {
	Kind   Kind
	Chunk  int     // Started, Finished: the chunk's id
	Result *Result // Finished: what became of the chunk. Noted: what became of partitions of Table that no chunk is for
	Table  string  // Noted
	LeftTo string  // Noted: the run that the partitions of Result were left to; "" where they were left to none
	Stop   Stop    // StopRequested, RunRefused
}

// A Stop is why a run ends before its work is done.
type Stop struct {
	// Cause is CauseStopped for a signal or a person, CauseConflict for a lost lease, a hold, a preemption or the end of patience,
	// CauseFailed for a failure that stops the run, CauseRefused for a guard.
	Cause  Cause
	Signal int    // the signal's number; 0 where there was none: then the run exits as if terminated
	Reason string // for people
}

// An IllegalError says that an event does not fit the state that a run or a chunk is in. The run is as it was.
type IllegalError struct {
	Kind  Kind
	State string
	What  string // what it would have been for, or why not
}

func (e *IllegalError) Error() string {
	return fmt.Sprintf("%s does not fit a run that is %s: %s", e.Kind, e.State, e.What)
}

// Apply lets an event happen. An event that does not fit is an error, and then nothing has changed.
func (r *Run) Apply(e Event) error {
	switch e.Kind {
	case RunStarted:
		return r.move(e, Running, Planned)
	case RunPaused:
		return r.move(e, Paused, Running)
	case RunResumed:
		return r.move(e, Running, Paused)
	case RunRefused:
		return r.refuse(e)
	case StopRequested:
		return r.requestStop(e)
	case Noted:
		return r.note(e)
	case Started:
		return r.startChunk(e)
	case Finished:
		return r.finishChunk(e)
	}
	return fmt.Errorf("a run knows no event %q", e.Kind)
}

func (r *Run) illegal(e Event, format string, args ...any) error {
	return &IllegalError{Kind: e.Kind, State: string(r.state), What: fmt.Sprintf(format, args...)}
}

// move is a change of state that has no other effect.
func (r *Run) move(e Event, to, from State) error {
	if r.state != from {
		return r.illegal(e, "it must be %s", from)
	}
	r.state = to
	r.settle()
	return nil
}

// refuse ends a run before anything was attempted: all it would have done is blocked, or failed.
func (r *Run) refuse(e Event) error {
	if r.state != Planned {
		return r.illegal(e, "it has begun: stop it")
	}
	switch e.Stop.Cause {
	case CauseFailed, CauseRefused, CauseConflict:
	default:
		return r.illegal(e, "%q is not a cause to refuse for", e.Stop.Cause)
	}
	r.stop = e.Stop
	r.drop(func(set calendar.Set) Result {
		out := Result{Cause: e.Stop.Cause, Reason: e.Stop.Reason}
		if e.Stop.Cause == CauseFailed {
			out.Failed = set
		} else {
			out.Blocked = set
		}
		return out
	})
	r.state = endOf[e.Stop.Cause]
	return nil
}

// requestStop ends what has not started. It may be asked again: a person's word replaces another cause, never the other way round.
func (r *Run) requestStop(e Event) error {
	if r.state.Ended() {
		return r.illegal(e, "it has ended")
	}
	if _, ok := endOf[e.Stop.Cause]; !ok {
		return r.illegal(e, "%q is not a cause to stop for", e.Stop.Cause)
	}
	r.halt(e.Stop)
	r.settle()
	return nil
}

func (r *Run) halt(s Stop) {
	if r.stop.Cause != CauseStopped {
		r.stop = s
	}
	r.state = Stopping
	r.drop(func(set calendar.Set) Result { return Result{Stopped: set, Cause: s.Cause, Reason: s.Reason} })
}

// drop ends every chunk that has not started. The queue may keep them: nothing starts any more.
func (r *Run) drop(as func(calendar.Set) Result) {
	for i := range r.chunks {
		n := &r.chunks[i]
		if n.state != ChunkWaiting && n.state != ChunkReady {
			continue
		}
		result := n.All(as)
		results, _ := result.ofChunk(&n.Chunk) // made for it: it adds up
		r.close(n, &result, results)
	}
}

// note takes in partitions that no chunk is for.
func (r *Run) note(e Event) error {
	if r.state.Ended() {
		return r.illegal(e, "it has ended")
	}
	if e.Result == nil || e.Table == "" || len(e.Result.With) > 0 {
		return r.illegal(e, "a note names a table and says what became of its partitions")
	}
	all := calendar.UnionAll(e.Result.parts()...)
	if err := e.Result.check(all); err != nil {
		return fmt.Errorf("note about %s: %w", e.Table, err)
	}
	result := *e.Result
	r.count(e.Table, &result)
	if e.LeftTo != "" {
		t := r.table(e.Table)
		t.left = append(t.left, Left{Run: e.LeftTo, Set: all})
	}
	return nil
}

func (r *Run) startChunk(e Event) error {
	if r.state != Running {
		return r.illegal(e, "chunks start only while it is running")
	}
	i, ok := r.at[e.Chunk]
	if !ok {
		return r.illegal(e, "it has no chunk %d", e.Chunk)
	}
	n := &r.chunks[i]
	if n.state != ChunkReady {
		return r.illegal(e, "chunk %d of %s is %s, not ready", n.ID, n.Table, n.state)
	}
	if err := r.queue.start(n); err != nil {
		return fmt.Errorf("start chunk %d of %s: %w", n.ID, n.Table, err)
	}
	n.state = ChunkRunning
	return nil
}

func (r *Run) finishChunk(e Event) error {
	i, ok := r.at[e.Chunk]
	if !ok {
		return r.illegal(e, "it has no chunk %d", e.Chunk)
	}
	n := &r.chunks[i]
	if n.state != ChunkRunning {
		return r.illegal(e, "chunk %d of %s is %s, not running", n.ID, n.Table, n.state)
	}
	if e.Result == nil {
		return r.illegal(e, "it must say what became of chunk %d of %s", n.ID, n.Table)
	}
	results, err := e.Result.ofChunk(&n.Chunk)
	if err != nil {
		return fmt.Errorf("chunk %d of %s: %w", n.ID, n.Table, err)
	}
	result := *e.Result
	r.queue.end(n)
	r.close(n, &result, results)
	for i, p := range n.Parts() {
		if r.limits.FailFast && r.state != Stopping && !(results[i].Failed.Empty() && results[i].Quarantined.Empty()) {
			r.halt(Stop{Cause: CauseFailed, Reason: fmt.Sprintf("stopped at the first failure, in %s", p.Table)})
		}
	}
	r.settle()
	return nil
}

// close ends a chunk, of which results tells by table, and makes ready what waited for it alone.
func (r *Run) close(n *node, result *Result, results []*Result) {
	n.state = ChunkEnded
	n.result = result
	r.left--
	r.ended += n.Count()
	for i, p := range n.Parts() {
		r.count(p.Table, results[i])
	}
	for _, j := range n.before {
		next := &r.chunks[j]
		next.needs--
		r.offer(next)
	}
}

// count adds a result to what the run's end depends on.
func (r *Run) count(table string, result *Result) {
	stop := r.stop.Cause
	if stop == "" {
		stop = CauseStopped
	}
	open := 0
	for cause, n := range result.causes(stop) {
		r.open[cause] += n
		open += n
	}
	r.wrote += result.Published.Count()
	if open > 0 && r.why == "" {
		r.why = result.Reason
	}
	t := r.table(table)
	t.results = append(t.results, result)
}

// endOf is how a run ends that published nothing, by cause.
var endOf = map[Cause]State{CauseStopped: Stopped, CauseFailed: Failed, CauseRefused: Refused, CauseConflict: Conflict}

// settle ends a run whose last chunk has ended.
func (r *Run) settle() {
	if r.left == 0 {
		r.state = r.end()
	}
}

// end is how a run ends whose chunks have all ended. What a signal kept from being done decides; then whether anything was published.
func (r *Run) end() State {
	open := 0
	for _, n := range r.open {
		open += n
	}
	switch {
	case open == 0:
		return Done
	case r.open[CauseStopped] > 0:
		return Stopped
	case r.wrote > 0:
		return Partial
	}
	for _, cause := range []Cause{CauseFailed, CauseRefused, CauseConflict} {
		if r.open[cause] > 0 {
			return endOf[cause]
		}
	}
	return Done
}

// Exit is the exit code of a run that has ended, and -1 before: 0 all that was asked for is fresh · 5 some was published, some was not ·
// nothing was published: 1 an attempt failed, 3 something refused, 4 somebody else has the range · 128 and the signal's number when it
// was stopped (143, as if terminated, by a person).
func (r *Run) Exit() int {
	switch r.state {
	case Done:
		return 0
	case Failed:
		return 1
	case Refused:
		return 3
	case Conflict:
		return 4
	case Partial:
		return 5
	case Stopped:
		const terminated = 15
		if r.stop.Signal > 0 {
			return 128 + r.stop.Signal
		}
		return 128 + terminated
	case Planned, Running, Paused, Stopping:
	}
	return -1
}
