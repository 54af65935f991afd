package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/mem"
	"github.com/headway-data/headway/internal/warehouse"
)

// The bounds of one history.
const (
	maxLiving = 3      // processes at once
	maxCalm   = 20_000 // steps until everybody has come to an end, once nothing goes wrong any more
	maxRounds = 6      // runs until nothing is left to do
	keptTrace = 400    // lines
)

// epoch is the wall clock when a history begins: eight days of the project are due.
var epoch = time.Date(2024, 4, 2, 6, 0, 0, 0, time.UTC)

// A world is a machine with its ledger, its warehouse and its processes, and the scheduler of all that happens.
type world struct {
	random *rand.Rand
	dirs   map[string]string // project folder by version of the code
	began  time.Time
	slept  time.Duration // by the machine: timers stood still
	ledger *mem.Ledger
	store  *store
	late   []func() error // publishes that everybody has given up and the store has not

	dying     sync.RWMutex // over whether processes are dead
	mu        sync.Mutex   // over the rest
	processes []*process
	calls     []*call // at the door

	steps  int
	orders int
	trace  []string
	traced bool
	met    map[string]int // what happened, by name: so that it is known that histories are not dull
	checks
}

// meet notes what came of what happened.
func (w *world) meet(name string, err error) {
	var (
		fenced   *warehouse.FencedError
		conflict *ledger.ConflictError
		older    *ledger.OlderCodeError
	)
	switch {
	case err == nil:
	case errors.As(err, &fenced):
		name += ", fenced"
	case errors.As(err, &conflict):
		name += ", conflict"
	case errors.As(err, &older):
		name += ", older"
	case errors.Is(err, ledger.ErrLost):
		name += ", lost"
	case errors.Is(err, ledger.ErrPaused):
		name += ", paused"
	case errors.Is(err, executor.ErrTrust):
		name += ", not trusted"
	default:
		name += ", failed"
	}
	w.met[name]++
}

func newWorld(seed uint64, dirs map[string]string, traced bool) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 0)), dirs: dirs, began: time.Now(), store: newStore(), met: map[string]int{}, traced: traced}
	w.checks = newChecks(w)
	w.ledger = mem.New(mem.Options{ID: "sim", Now: w.now, Machine: ledger.Machine{Host: "here", Boot: "boot", Clock: w.boot, Alive: w.alive}})
	return w
}

func (w *world) boot() time.Duration { return time.Hour + time.Since(w.began) + w.slept }
func (w *world) now() time.Time      { return epoch.Add(time.Since(w.began) + w.slept) }

func (w *world) process(h ledger.Holder) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.PID < 1 || h.PID > len(w.processes) {
		return nil
	}
	return w.processes[h.PID-1]
}

func (w *world) alive(h ledger.Holder) bool {
	p := w.process(h)
	return p != nil && !p.gone() && !p.over()
}

// gone reports whether a process was killed: nothing that it still does has any effect.
func (p *process) gone() bool {
	p.world.dying.RLock()
	defer p.world.dying.RUnlock()
	return p.dead
}

func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// submit puts a call at the door. A dead process has none.
func (w *world) submit(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.gone() {
		return false
	}
	w.calls = append(w.calls, c)
	return true
}

// start lets a process begin.
func (w *world) start(p *process) *process {
	w.mu.Lock()
	w.processes = append(w.processes, p)
	p.pid, p.world, p.done = len(w.processes), w, make(chan struct{})
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	w.note("%v starts: %s, %s, class %s, policy %s, %v", p, p.version, strings.Join(p.request.Tables, " "), p.options.Class, p.options.OnConflict, p.request.Range)
	go p.live(ctx)
	return p
}

// note writes a line of the trace, if there is to be one.
func (w *world) note(format string, args ...any) {
	if !w.traced {
		return
	}
	at := w.boot() - time.Hour
	w.trace = append(w.trace, fmt.Sprintf("%5d %8.1fs  %s", w.steps, at.Seconds(), fmt.Sprintf(format, args...)))
	if len(w.trace) > keptTrace {
		w.trace = w.trace[1:]
	}
}

// ready are the calls that may happen now, in an order that does not depend on how the goroutines ran.
func (w *world) ready() []*call {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*call
	for _, c := range w.calls {
		if c.asleep <= w.boot() {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *call) int { return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.name, b.name)) })
	return out
}

// telling are the calls after which the invariants are asked: the others change nothing that they speak of.
var telling = map[string]bool{
	"ledger.Acquire": true, "ledger.Renew": true, "ledger.Release": true, "ledger.Settle": true, "ledger.StartAttempt": true, "ledger.Record": true,
	"ledger.Fail": true, "warehouse.Publish": true, "command": true,
}

// happen lets a call happen, or fail, and its process go on with the answer.
func (w *world) happen(c *call, g grant) {
	w.mu.Lock()
	w.calls = slices.DeleteFunc(w.calls, func(x *call) bool { return x == c })
	w.mu.Unlock()
	c.granted = g
	switch err := g.before; {
	case err != nil:
		c.fail(err)
		w.note("%v %s does not happen: %v", c.process, c.name, err)
	default:
		err = c.happen()
		w.note("%v %s: %v", c.process, c.name, err)
		w.meet(c.name, err)
		if telling[c.name] {
			w.check()
		}
		if err == nil && g.after != nil {
			c.fail(g.after)
			w.note("%v does not hear of it: %v", c.process, g.after)
		}
	}
	close(c.over)
}

// fault draws how a call goes: nearly always well.
func (w *world) fault(c *call) grant {
	if w.random.IntN(100) >= 3 {
		return grant{}
	}
	if c.name == "command" || !c.writes {
		return grant{before: errInjected}
	}
	unknown := fmt.Errorf("%w: %w", errInjected, ledger.ErrUnknown)
	if strings.HasPrefix(c.name, "warehouse") {
		unknown = fmt.Errorf("%w: %w", errInjected, warehouse.ErrUnknown)
	}
	switch w.random.IntN(3) {
	case 0:
		return grant{before: errInjected}
	case 1:
		return grant{before: unknown}
	}
	return grant{after: unknown}
}

func (w *world) grant(c *call, faults bool) {
	g := grant{}
	if faults {
		g = w.fault(c)
		g.detached = c.name == "warehouse.Publish" && g == grant{} && w.random.IntN(100) < 10
	}
	w.happen(c, g)
}

// kill ends a process: what it asks for happens no more, except that its last call may have been under way.
func (w *world) kill(p *process) {
	for _, c := range w.ready() {
		if c.process == p && w.random.IntN(3) == 0 {
			w.happen(c, grant{})
			synctest.Wait()
			break
		}
	}
	w.note("%v is killed", p)
	w.dying.Lock()
	p.dead = true
	w.dying.Unlock()
	w.mu.Lock()
	var refused []*call
	w.calls = slices.DeleteFunc(w.calls, func(c *call) bool {
		if c.process == p {
			refused = append(refused, c)
		}
		return c.process == p
	})
	w.mu.Unlock()
	p.cancel()
	for _, c := range refused {
		c.fail(errDead)
		close(c.over)
	}
	synctest.Wait()
	w.check()
}

// pass lets time pass for everybody.
func (w *world) pass(d time.Duration) {
	w.note("%s pass", d)
	time.Sleep(d)
}

// living are the processes that have not ended.
func (w *world) living() []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*process
	for _, p := range w.processes {
		if !p.dead && !p.over() {
			out = append(out, p)
		}
	}
	return out
}

// end kills whoever is left, and waits until none of their goroutines is.
func (w *world) end() {
	for _, p := range w.living() {
		w.kill(p)
	}
	for _, p := range w.processes {
		<-p.done
	}
}

func pick[T any](w *world, of ...T) T { return of[w.random.IntN(len(of))] }
