package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/dispatch"
	"github.com/headway-data/headway/internal/dispatch/local"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// The bounds of a run.
const (
	defaultLeaseTTL = 60 * time.Second
	maxEvents       = 5_000 // events of a run that are kept with its record
)

// leaseTTL is for how long a lease is granted.
func (e Environment) leaseTTL() time.Duration {
	if e.LeaseTTL > 0 {
		return e.LeaseTTL
	}
	return defaultLeaseTTL
}

// trusted is for how long a holder trusts its lease: 45 of 60 s. The rest is for ending what works under it: TERM, grace, KILL.
func (e Environment) trusted() time.Duration { return e.leaseTTL() * 3 / 4 }

// renewEvery is how often a lease is renewed: a third of the trust in it.
func (e Environment) renewEvery() time.Duration { return e.leaseTTL() / 4 }

// grace is how long a command has from TERM to KILL: 10 of 60 s.
func (e Environment) grace() time.Duration { return e.leaseTTL() / 6 }

// DefaultAtOnce is how many chunks of a run are computed at the same time where nobody says otherwise.
const DefaultAtOnce = 4

// RunOptions say how a plan is carried out.
type RunOptions struct {
	Class       ledger.Class
	MaxParallel int
	Reverse     bool
	FailFast    bool
	OnConflict  Policy        // "": fail
	WaitTimeout time.Duration // how long PolicyWait waits at most; 0: as long as it takes
	// OnWait is told now and then whom the run waits for, and for how long it has.
	OnWait func(conflict *ledger.ConflictError, waited time.Duration)
	// OnNothingToResume is told that no exec of the same work was found, so that all of it is done.
	OnNothingToResume func()

	Command string // as typed
	Reason  string
	Request []byte         // JSON of what was asked for; kept with the run
	Reads   []ledger.Claim // what is read for the whole run, beside what the plan knows
	// AllowDowngrade: older code may replace what newer code or a fix wrote, for Reason, which must be given. Look with TodaysCode, or what newer
	// code wrote counts as fresh.
	AllowDowngrade bool
	Expect         []Expectation
	// Stall, for the demonstration and for tests: see worker.Worker.
	Stall func(ctx context.Context)
	// Done is asked once the lease is granted: what of the plan has been done meanwhile, and is not computed again though it was named. nil: nothing.
	Done func(ctx context.Context) (map[string]calendar.Set, error)
	// OnStart is told the run's id before anything is done; OnEvent each event, in order, from one goroutine.
	OnStart func(id ledger.RunID, total int)
	OnEvent func(seq int, e run.Event, r *run.Run)
}

// A runner is one run being carried out.
type runner struct {
	*Coordinator
	opts    RunOptions
	sight   *Sight
	plan    *plan.Plan
	record  ledger.RunRecord
	lease   *ledger.Lease
	trust   *executor.Trust // of the lease
	held    *worker.Held    // what it still claims
	machine *run.Run
	metrics *metrics
	noted   map[string]calendar.Set  // by table: what the machine was told of that no chunk is for
	checked map[string]int           // by table: how many partitions were checked again
	telling sync.Mutex               // over record while the run works, and what follows
	told    time.Time                // when the progress was stored last
	untold  bool                     // there is something that was not
	giving  *giving                  // what of the lease can be given back
	given   map[string]calendar.Set  // what has been; of the goroutine that keeps the lease
	ended   int                      // partitions of chunks that have ended
	partly  map[ledger.AttemptID]int // partitions that attempts under way have done
	stopped run.Stop                 // why the run was to stop from outside; zero if nobody wanted that

	left   []left    // what others have
	pauses chan bool // to the dispatcher
	paused bool      // what it was told last; of the goroutine that keeps the lease

	preparations preparations
}

// Run carries out a plan and reports what became of it. The report is given also when the run did not succeed; the error is for what kept
// it from being carried out at all.
func (c *Coordinator) Run(ctx context.Context, sight *Sight, p *plan.Plan, opts RunOptions) (*Report, error) {
	r := &runner{
		Coordinator: c, opts: opts, sight: sight, plan: p, metrics: newMetrics(), noted: map[string]calendar.Set{}, checked: map[string]int{},
		pauses: make(chan bool, 1), partly: map[ledger.AttemptID]int{}, given: map[string]calendar.Set{},
	}
	if opts.AllowDowngrade && opts.Reason == "" {
		return nil, &InputError{What: "older code replaces newer content only for a reason", Next: "say it with --reason \"…\""}
	}
	if err := r.refuseOlderCode(ctx); err != nil {
		return nil, err
	}
	claims, err := r.claims(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.metrics.readBefore(ctx, c, p); err != nil {
		return nil, err
	}
	if err := r.begin(ctx, claims); err != nil {
		return nil, err
	}
	err = r.carryOut(ctx, claims)
	switch {
	case ctx.Err() != nil:
		r.stopped = dispatch.StopOf(ctx)
	case r.stopped.Cause == run.CauseStopped && (r.machine == nil || !r.machine.State().Ended()):
		err = nil // a person stopped it while it still reserved: that is no failure
	}
	return r.end(context.WithoutCancel(ctx), err)
}

// begin stores the run.
func (r *runner) begin(ctx context.Context, claims []ledger.Claim) error {
	planned, err := r.plan.JSON()
	if err != nil {
		return fmt.Errorf("write down the plan: %w", err)
	}
	if err := r.writeDown(claims); err != nil {
		return err
	}
	r.record = ledger.RunRecord{
		ID: ledger.RunID(r.NewID("r")), State: ledger.RunState(run.Planned), Class: r.opts.Class, Command: r.opts.Command, Holder: r.Holder,
		Reason: r.opts.Reason, Request: r.opts.Request, Plan: planned, Sets: claims, Total: r.plan.Partitions(), StartedAt: r.Now(),
	}
	if err := r.buryDead(ctx); err != nil {
		return err
	}
	if err := r.Ledger.PutRun(ctx, r.record); err != nil {
		return fmt.Errorf("store the run: %w", err)
	}
	if r.opts.OnStart != nil {
		r.opts.OnStart(r.record.ID, r.record.Total)
	}
	return nil
}

// exitKilled is what a shell says of a process that was killed.
const exitKilled = 137

// buryDead ends the records of runs whose process is gone, and what their commands have left running: it could not do so itself, and whoever stood
// over the commands may be gone as well.
func (r *runner) buryDead(ctx context.Context) error {
	runs, err := r.Ledger.Runs(ctx, ledger.RunFilter{Active: true})
	if err != nil {
		return fmt.Errorf("look for other runs: %w", err)
	}
	for _, other := range runs {
		if r.StateOf(&other) != StateDead {
			continue
		}
		other.State, other.Ended, other.EndedAt, other.Exit = ledger.RunState(run.Stopped), true, r.Now(), exitKilled
		if err := r.Ledger.PutRun(ctx, other); err != nil {
			return fmt.Errorf("store the end of run %s: %w", other.ID, err)
		}
		if err := r.endWorkOf(ctx, other.ID); err != nil {
			return err
		}
	}
	return nil
}

// endWorkOf kills what the commands of a run have left running.
func (r *runner) endWorkOf(ctx context.Context, id ledger.RunID) error {
	attempts, err := r.Ledger.Attempts(ctx, ledger.AttemptFilter{Run: id})
	if err != nil {
		return fmt.Errorf("look for what run %s left: %w", id, err)
	}
	for _, a := range attempts {
		if a.State != ledger.AttemptRunning {
			continue
		}
		if left := r.EndWork(a.ID); len(left) > 0 {
			r.Log.Warn("processes of a run that is gone do not end, not even by KILL", "run", id, "attempt", a.ID, "processes", left)
		}
	}
	return nil
}

// carryOut takes the lease, settles what others left, fences, and works through the chunks.
func (r *runner) carryOut(ctx context.Context, claims []ledger.Claim) error {
	if len(claims) == 0 {
		return r.idle(ctx)
	}
	if err := r.claimWarehouses(ctx); err != nil {
		return err
	}
	r.sweep(ctx)
	claims, err := r.reserve(ctx, claims)
	if err != nil {
		return err
	}
	if len(claims) == 0 {
		return r.idle(ctx)
	}
	r.sight.View.Own(claims)
	held, stop := r.keep(ctx)
	defer func() {
		if held.Err() != nil {
			r.stopped = dispatch.StopOf(held)
		}
		stop()
	}()
	if err := r.fence(held, claims); err != nil {
		return err
	}
	// Newer code may have published since the run was let in, or been found by settling what it left.
	if err := r.refuseOlderCode(held); err != nil {
		return err
	}
	return r.work(held)
}

// idle ends a run that computes nothing: all is fresh, blocked or left to others.
func (r *runner) idle(ctx context.Context) error {
	machine, err := run.New(nil, run.Limits{Overall: 1})
	if err != nil {
		return fmt.Errorf("prepare the run: %w", err)
	}
	r.machine = machine
	return errors.Join(r.noteBlocked(ctx), r.noteLeft(ctx), r.recheck(ctx), machine.Apply(run.Event{Kind: run.RunStarted}))
}

// work hands the chunks to the dispatcher.
func (r *runner) work(ctx context.Context) error {
	chunks, err := r.chunks(ctx)
	if err != nil {
		return err
	}
	if r.machine, err = run.New(chunks, r.limits()); err != nil {
		return fmt.Errorf("prepare the run: %w", err)
	}
	if err := errors.Join(r.noteBlocked(ctx), r.noteLeft(ctx)); err != nil {
		return err
	}
	if err := r.recheck(ctx); err != nil {
		return err
	}
	r.telling.Lock()
	r.giving = newGiving(chunks)
	r.telling.Unlock()
	w := r.worker()
	if r.opts.Done != nil {
		done, err := r.opts.Done(ctx)
		if err != nil {
			return err
		}
		for name := range w.Named {
			w.Named[name] = w.Named[name].Minus(done[name])
		}
	}
	seq := 0
	dispatcher := &local.Dispatcher{Log: r.Log, Pauses: r.pauses}
	return dispatcher.Run(ctx, r.machine, r.heard(w.Do), func(e run.Event) {
		seq++
		r.tell(ctx, e)
		if r.opts.OnEvent != nil {
			r.opts.OnEvent(seq, e, r.machine)
		}
	})
}

func (r *runner) limits() run.Limits {
	l := run.Limits{
		Overall: firstPositive(r.opts.MaxParallel, r.Project.MaxParallel, DefaultAtOnce), Warehouse: map[string]int{}, Table: map[string]int{},
		FailFast: r.opts.FailFast,
	}
	for _, w := range r.Project.Warehouses {
		l.Warehouse[w.Name] = w.MaxParallel
	}
	for name, t := range r.Tables {
		l.Table[name] = t.Batch.Parallel
	}
	return l
}

func firstPositive(ns ...int) int {
	for _, n := range ns {
		if n > 0 {
			return n
		}
	}
	return 1
}

func (r *runner) worker() *worker.Worker {
	w := &worker.Worker{
		Ledger: r.Ledger, View: r.sight.View, Tables: r.Tables, Periods: r.sight.Periods, Dir: r.workDir(), Lookup: r.Lookup, Run: r.record.ID,
		Lease: r.lease, Held: r.held, Taken: r.taken, Named: map[string]calendar.Set{}, Again: r.plan.Request.Explicit, Now: r.Now, NewID: r.NewID, OpenLog: r.openLog,
		Seen: r.metrics.seen, Relations: r.Relations(), Expected: r.sight.Expected, Log: r.Log,
		Backoff: dispatch.Backoff{Random: r.Random}, Code: r.versionNow,
		Prepare: r.prepare, Resumed: r.resumed, Stall: r.opts.Stall, Progress: r.progress, Trust: r.trust, Asked: r.sight.Began, Downgrade: r.downgrade(),
	}
	for _, s := range r.plan.Steps {
		for _, cause := range s.Causes {
			if cause.Kind == plan.CauseAsked || cause.Kind == plan.CauseMarked || cause.Kind == plan.CauseProducer || r.plan.Request.Reprocess&plan.All != 0 {
				w.Named[s.Table] = w.Named[s.Table].Union(cause.Set)
			}
		}
	}
	return w
}

// end releases the lease, reports, and stores the run's end.
func (r *runner) end(ctx context.Context, cause error) (*Report, error) {
	if r.lease != nil {
		if err := r.Ledger.Release(ctx, r.lease.ID, nil); err != nil {
			cause = errors.Join(cause, fmt.Errorf("release the lease: %w", err))
		}
	}
	if r.machine == nil || !r.machine.State().Ended() {
		if err := r.refuse(cause); err != nil {
			cause = errors.Join(cause, err)
		}
	}
	report := r.report(ctx, cause)
	r.record.Ended, r.record.EndedAt = true, r.Now()
	r.record.State, r.record.Exit, r.record.Done = ledger.RunState(report.State), report.Exit, report.Published
	var err error
	if r.record.Report, err = json.Marshal(report); err != nil {
		return nil, fmt.Errorf("write down the report: %w", err)
	}
	if err := r.Ledger.PutRun(ctx, r.record); err != nil {
		cause = errors.Join(cause, fmt.Errorf("store the end of run %s: %w", r.record.ID, err))
	}
	return report, cause
}

// refuse ends a run that never began, by what kept it from beginning or by who stopped it before.
func (r *runner) refuse(cause error) error {
	chunks := make([]run.Chunk, 0, len(r.plan.Steps))
	for i, s := range r.plan.Steps {
		chunks = append(chunks, run.Chunk{ID: i, Table: s.Table, Set: s.Set})
	}
	machine, err := run.New(chunks, run.Limits{Overall: 1})
	if err != nil {
		return fmt.Errorf("end the run: %w", err)
	}
	stop := run.Stop{Cause: run.CauseFailed}
	if cause != nil {
		stop.Reason = cause.Error()
	}
	var (
		conflict *ledger.ConflictError
		foreign  *warehouse.ForeignLedgerError
		locked   *warehouse.LockedError
		fenced   *warehouse.FencedError
		refused  *RefusedError
		input    *InputError
	)
	kind := run.RunRefused
	switch {
	case r.stopped.Cause != "":
		kind, stop = run.StopRequested, r.stopped
	case errors.As(cause, &conflict), errors.As(cause, &foreign), errors.As(cause, &locked), errors.As(cause, &fenced), errors.Is(cause, ledger.ErrLost):
		stop.Cause = run.CauseConflict
	case errors.As(cause, &refused), errors.As(cause, &input):
		stop.Cause = run.CauseRefused
	}
	r.machine = machine
	if err := machine.Apply(run.Event{Kind: kind, Stop: stop}); err != nil {
		return fmt.Errorf("end the run: %w", err)
	}
	return nil
}
