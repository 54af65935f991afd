package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	programs "github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// A process is one `headway run`.
type process struct {
	world   *world
	pid     int
	version string // of its files
	request plan.Request
	options backfill.RunOptions

	ids     int
	granted grant         // how its call under way is to go
	asleep  time.Duration // stalled until then, on the boot clock
	dead    bool
	cancel  context.CancelFunc
	writes  *executor.Trust // of the command that works for it
	done    chan struct{}
	report  *backfill.Report
	planned int
	err     error
}

// A grant is how a call goes.
type grant struct {
	before, after error // it fails without, or after, having happened
	detached      bool  // a publish: it fails, and happens later, or never
}

// A call is a process at the door of the ledger or the warehouse.
type call struct {
	*process
	name   string
	writes bool
	happen func() error
	fail   func(error)
	over   chan struct{}
}

var (
	errDead     = errors.New("the process is dead")
	errInjected = errors.New("injected")
)

// ask waits until the scheduler lets a call happen, and gives its answer.
func ask[T any](ctx context.Context, p *process, name string, writes bool, fn func() (T, error)) (out T, err error) {
	c := &call{process: p, name: name, writes: writes, over: make(chan struct{})}
	c.happen = func() error {
		if err = ctx.Err(); err == nil {
			out, err = fn()
		}
		return err
	}
	c.fail = func(why error) {
		var none T
		out, err = none, why
	}
	if !p.world.submit(c) {
		return out, errDead
	}
	<-c.over
	return out, err
}

func tell(ctx context.Context, p *process, name string, fn func() error) error {
	_, err := ask(ctx, p, name, true, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

func (p *process) holder() ledger.Holder {
	return ledger.Holder{Host: "here", Boot: "boot", PID: p.pid, Start: int64(p.pid), User: "tester"}
}

func (p *process) String() string { return fmt.Sprintf("p%d", p.pid) }

// shims are never started: what stands for the command here is a command of its own.
var shims = programs.NewShims([]string{"none"})

func (p *process) environment() backfill.Environment {
	w := p.world
	return backfill.Environment{
		Now: w.now, Boot: w.boot, Shims: shims,
		NewID: func(prefix string) string {
			p.ids++
			return fmt.Sprintf("%s-p%d-%d", prefix, p.pid, p.ids)
		},
		Lookup:  func(string) (string, bool) { return "", false },
		Random:  func() float64 { return 0.5 },
		Holder:  p.holder(),
		Alive:   w.alive,
		EndWork: func(ledger.AttemptID) []int { return nil }, // the shims of this world are never killed
		Working: func(h ledger.Holder, _ ledger.AttemptID) bool { // a shim ends what works under it when trust is over
			other := w.process(h)
			return other != nil && !other.dead && other.writes != nil && !other.writes.Over()
		},
		Log: slog.New(slog.DiscardHandler),
		OpenLedger: func(context.Context, string, string, bool) (ledger.Ledger, error) {
			return &book{Ledger: w.ledger, process: p}, nil
		},
		OpenWarehouse: func(context.Context, *catalog.Warehouse, string, bool) (warehouse.Warehouse, error) {
			return &door{process: p}, nil
		},
	}
}

// live is the process's whole life.
func (p *process) live(ctx context.Context) {
	defer close(p.done)
	c, err := backfill.Open(ctx, p.environment(), backfill.Options{Dir: p.world.dirs[p.version], File: "headway.yaml"})
	if err != nil {
		p.err = err
		return
	}
	c.Tables[direct].Executor = &command{p}
	sight, err := c.Look(ctx, backfill.LookOptions{})
	if err != nil {
		p.err = err
		return
	}
	made, err := c.Plan(ctx, sight, p.request)
	if err != nil {
		p.err = err
		return
	}
	p.planned = made.Partitions()
	p.report, p.err = c.Run(ctx, sight, made, p.options)
}

// A command is a script that writes to its table itself: of each partition first the one half, then the other. Its shim ends it when the
// lease is trusted no longer, and with the process.
type command struct{ *process }

func (c *command) Produce(ctx context.Context, t executor.Task) (*warehouse.Stage, *executor.Report, error) {
	c.writes = t.Trust
	defer func() { c.writes = nil }()
	s := c.world.store
	for p := range t.Set.Partitions() {
		at := cell{t.Target.Table, p}
		full := whole(t.Attempt, s.value(t.Target.Table, c.version, p))
		for half := range rowsEach {
			err := tell(ctx, c.process, "command", func() error {
				if t.Trust.Over() {
					return executor.ErrTrust
				}
				s.rows[at] = append(s.rows[at][:min(half, len(s.rows[at])):half], full[half])
				return nil
			})
			if err != nil {
				return nil, nil, errors.Join(err, context.Cause(ctx))
			}
		}
	}
	return nil, nil, nil
}

// A book is the ledger as one process has it open. What only reads what the next call waits for anyway is not waited for: Changes; nor is
// PutRun, of which no data depends.
type book struct {
	ledger.Ledger
	*process
}

func (b *book) Close() error { return nil }

func (b *book) PutRun(ctx context.Context, r ledger.RunRecord) error {
	if b.gone() {
		return errDead
	}
	return b.Ledger.PutRun(ctx, r)
}

func (b *book) Changes(ctx context.Context, since history.Seq, tables []string) (*history.Snapshot, error) {
	if b.gone() {
		return nil, errDead
	}
	return b.Ledger.Changes(ctx, since, tables)
}
