// Package run is the state machine of a run and of its chunks, and says which chunk may start next. It does no I/O, knows no clock and no
// context: whoever owns a Run applies events to it, and the same events give the same run again.
//
// A chunk waits until the chunks that it comes after have ended, however they ended; then it is ready, and may start when the limits
// admit it. One whose inputs ended badly becomes ready all the same: it is judged anew when it starts, and what cannot be computed is
// then told as blocked in its result.
//
//	run:   planned → running ⇄ paused → stopping → done, partial, failed, refused, conflict, stopped
//	chunk: waiting → ready → running → ended
//
// A run ends by itself with its last chunk. Every partition of every chunk is then accounted for exactly once.
package run

import (
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
)

// A Chunk is what is computed at once: a part of the step of one table, or of the steps of several that one command makes.
type Chunk struct {
	ID        int // unique in the run
	Table     string
	Warehouse string // of all its tables
	Set       calendar.Set
	With      []Part // the further tables, each named once
	After     []int  // ids of the chunks that must have ended before this one starts
}

// A Part is a table of a chunk, and what the chunk is for there.
type Part struct {
	Table string
	Set   calendar.Set
}

// Parts are all tables of the chunk: its Table first, then With.
func (c *Chunk) Parts() []Part {
	return append([]Part{{c.Table, c.Set}}, c.With...)
}

// Count is the number of partitions, over all its tables.
func (c *Chunk) Count() int {
	n := c.Set.Count()
	for _, p := range c.With {
		n += p.Set.Count()
	}
	return n
}

// All is the result of a chunk of which the same became in all its tables: what of gives for each one's set.
func (c *Chunk) All(of func(calendar.Set) Result) Result {
	out := of(c.Set)
	for _, p := range c.With {
		out.With = append(out.With, of(p.Set))
	}
	return out
}

// Failed is the result of a chunk of which nothing came.
func (c *Chunk) Failed(reason string) Result {
	return c.All(func(set calendar.Set) Result { return Result{Failed: set, Reason: reason} })
}

// Limits bound what happens at once. A table or warehouse that is not named, or is named with 0, has no limit of its own.
type Limits struct {
	Overall   int // chunks at once; at least 1
	Warehouse map[string]int
	// Table bounds the chunks at once by table. Tables that are in chunks together are one command's: the least of their limits is that of all.
	Table map[string]int
	// FailFast stops the run at the first chunk of which something failed or was quarantined: what runs may end, nothing more starts.
	FailFast bool
}

// A State is where a run stands.
type State string

// The states of a run. Those from Done on are ended, and one of them is the last.
const (
	Planned  State = "planned"
	Running  State = "running"
	Paused   State = "paused"   // nothing starts until it is resumed
	Stopping State = "stopping" // nothing starts any more; what runs is waited for

	Done     State = "done"     // all that was asked for is fresh
	Partial  State = "partial"  // some was published, some was not
	Failed   State = "failed"   // nothing was published: an attempt failed
	Refused  State = "refused"  // nothing was published: a check, contract, guard or missing input is in the way
	Conflict State = "conflict" // nothing was published: somebody else has the range
	Stopped  State = "stopped"  // stopped by a signal or a person before the end
)

// Ended reports whether the state is a last one.
func (s State) Ended() bool {
	switch s {
	case Done, Partial, Failed, Refused, Conflict, Stopped:
		return true
	case Planned, Running, Paused, Stopping:
		return false
	}
	return false
}

// A ChunkState is where a chunk stands.
type ChunkState string

// The states of a chunk.
const (
	ChunkWaiting ChunkState = "waiting"
	ChunkReady   ChunkState = "ready"
	ChunkRunning ChunkState = "running"
	ChunkEnded   ChunkState = "ended"
)

// A Run is a plan being carried out. It is not safe for use by several goroutines: one owns it.
type Run struct {
	limits Limits
	state  State
	stop   Stop

	chunks []node      // in plan order
	at     map[int]int // chunk id → place in chunks
	queue  queue
	left   int // chunks that have not ended

	tables  []*tally // in order of first mention
	byTable map[string]*tally
	total   int           // partitions of all chunks
	ended   int           // partitions of ended chunks
	wrote   int           // partitions published
	open    map[Cause]int // partitions that are not fresh, by cause
	why     string        // the first reason that was given for one of them
}

// A node is a chunk and what has become of it.
type node struct {
	Chunk
	place  int // in the order of the plan
	state  ChunkState
	needs  int     // chunks before it that have not ended
	before []int   // places of the chunks that wait for this one
	result *Result // once it has ended
	lane   *lane
	slot   int // where it is in the lane's heap while it is ready
}

// New makes a run of chunks in the order of the plan, which is the order in which they start where nothing else decides. Chunks with a table
// without partitions or named twice, with an id that is taken, that come after an unknown chunk or, by some way, after themselves are errors.
func New(chunks []Chunk, limits Limits) (*Run, error) {
	if limits.Overall < 1 {
		return nil, fmt.Errorf("a run needs room for at least one chunk at once, not %d", limits.Overall)
	}
	r := &Run{
		limits: limits, state: Planned, chunks: make([]node, len(chunks)), at: make(map[int]int, len(chunks)), left: len(chunks),
		byTable: map[string]*tally{}, open: map[Cause]int{},
	}
	for i, c := range chunks {
		if _, taken := r.at[c.ID]; taken {
			return nil, fmt.Errorf("two chunks have the id %d", c.ID)
		}
		named := map[string]bool{}
		for _, p := range c.Parts() {
			if p.Set.Empty() {
				return nil, fmt.Errorf("chunk %d of %s has no partitions", c.ID, p.Table)
			}
			if named[p.Table] {
				return nil, fmt.Errorf("chunk %d names %s twice", c.ID, p.Table)
			}
			named[p.Table] = true
			r.table(p.Table)
		}
		r.at[c.ID] = i
		r.chunks[i] = node{Chunk: c, place: i, state: ChunkWaiting}
		r.total += c.Count()
	}
	if err := r.link(); err != nil {
		return nil, err
	}
	if err := r.acyclic(); err != nil {
		return nil, err
	}
	if err := r.queue.open(r.chunks, limits); err != nil {
		return nil, err
	}
	for i := range r.chunks {
		r.offer(&r.chunks[i])
	}
	return r, nil
}

// link tells each chunk which ones wait for it.
func (r *Run) link() error {
	for i := range r.chunks {
		n := &r.chunks[i]
		seen := make(map[int]bool, len(n.After))
		for _, id := range n.After {
			j, ok := r.at[id]
			if !ok {
				return fmt.Errorf("chunk %d of %s comes after chunk %d, which does not exist", n.ID, n.Table, id)
			}
			if seen[id] {
				continue
			}
			seen[id] = true
			n.needs++
			r.chunks[j].before = append(r.chunks[j].before, i)
		}
	}
	return nil
}

// acyclic ends every chunk in thought (Kahn): what is never reached waits for itself.
func (r *Run) acyclic() error {
	needs := make([]int, len(r.chunks))
	free := make([]int, 0, len(r.chunks))
	for i := range r.chunks {
		if needs[i] = r.chunks[i].needs; needs[i] == 0 {
			free = append(free, i)
		}
	}
	for k := 0; k < len(free); k++ {
		for _, j := range r.chunks[free[k]].before {
			if needs[j]--; needs[j] == 0 {
				free = append(free, j)
			}
		}
	}
	if len(free) == len(r.chunks) {
		return nil
	}
	for i, n := range needs {
		if n > 0 {
			return fmt.Errorf("chunk %d of %s would have to wait for itself", r.chunks[i].ID, r.chunks[i].Table)
		}
	}
	return errors.New("the chunks wait for one another")
}

// offer makes a waiting chunk ready once all that it comes after has ended.
func (r *Run) offer(n *node) {
	if n.state == ChunkWaiting && n.needs == 0 {
		n.state = ChunkReady
		r.queue.push(n)
	}
}

// Next is the first chunk in plan order that may start now, under the limits. It stays the same until an event is applied. ok is false
// when none may: the run is not running, or all that is ready must wait for something that runs.
func (r *Run) Next() (c Chunk, ok bool) {
	if r.state != Running {
		return Chunk{}, false
	}
	place, ok := r.queue.next()
	if !ok {
		return Chunk{}, false
	}
	return r.chunks[place].Chunk, true
}

// State is where the run stands.
func (r *Run) State() State { return r.state }

// Stop is why the run was stopped; the zero Stop if it was not.
func (r *Run) Stop() Stop { return r.stop }

// Reason is the first reason that was given for something that was not published; "" when there is none.
func (r *Run) Reason() string { return r.why }

// Limits are the limits that the run was made with.
func (r *Run) Limits() Limits { return r.limits }

// Len is the number of chunks.
func (r *Run) Len() int { return len(r.chunks) }

// Progress counts partitions: how many are accounted for, of how many.
func (r *Run) Progress() (ended, total int) { return r.ended, r.total }

// Chunk gives a chunk by its id, its state and, when it has ended, its result.
func (r *Run) Chunk(id int) (c Chunk, state ChunkState, result Result, ok bool) {
	i, ok := r.at[id]
	if !ok {
		return Chunk{}, "", Result{}, false
	}
	n := &r.chunks[i]
	if n.result != nil {
		result = *n.result
	}
	return n.Chunk, n.state, result, true
}

// Running counts the chunks that run.
func (r *Run) Running() int { return r.queue.running }
