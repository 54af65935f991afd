//go:build unix

// Package command is the executor that computes a table by running a program: once for each contiguous range of the task's partitions,
// or once for all of them where an argument has {dates}. No shell is involved.
//
// In staged mode the program fills HEADWAY_STAGING_TABLE and Headway publishes it; in direct mode it writes to the table itself. Either
// way the store is lent out while it runs, so that it can open the same file. One program may make several tables at once.
//
// Each program runs under a shim (package shim), in a process group of its own. When the context ends all that the program has started gets
// TERM, and KILL after a time of grace; when the program ends by itself, what it left behind may finish its output, for a moment, and is
// killed. The same happens when this process dies in any way, or when the task's lease is no longer trusted. On Linux no descendant escapes
// that; elsewhere one that has left the process group does: it cannot reach what is published, since the stage is closed to it first and
// direct writes are looked at.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/warehouse"
)

// Options of an Executor; the zero Options are the defaults.
type Options struct {
	// Shims are what commands run under. They must be given: without them, what commands start could outlive their lease.
	Shims     *Shims
	Environ   []string      // what commands inherit, as os.Environ gives it; nil: what this process has
	Grace     time.Duration // from TERM to KILL; 0: 10 s
	MaxOutput int64         // bytes of output of a task that are logged; 0: 64 MiB
	TempDir   string        // where HEADWAY_REPORT is put; "": the system's
	Drain     time.Duration // how long what a command left behind may still write, once it has ended by itself; 0: 2 s
	Streams   *Streams      // nil: commands read nothing, and what they write goes to the log alone
	// Ended, if given, is told how each run of the command came out: nil, an *ExitError, a *StartError, or why it was stopped. It may be
	// called from many goroutines.
	Ended func(t executor.Task, part calendar.Set, err error)
}

// Streams are this process's own, which commands share.
type Streams struct {
	In, Out, Err *os.File
	// Inherit gives commands the files themselves, as a terminal needs; what they write is not logged. Without it what they write is passed
	// on and logged.
	Inherit bool
}

// The defaults.
const (
	defaultGrace     = 10 * time.Second
	defaultDrain     = 2 * time.Second
	defaultMaxOutput = 64 << 20
)

// An Executor computes one table by its command, or with it all tables of its producer.
type Executor struct {
	table     *catalog.Table
	warehouse warehouse.Warehouse
	options   Options
}

var (
	_ executor.Executor = (*Executor)(nil)
	_ executor.Together = (*Executor)(nil)
)

// New makes the executor of a table's command. It is an error if the command names bounds of a table that has no partitions, or if there is
// no shim.
func New(t *catalog.Table, w warehouse.Warehouse, o Options) (*Executor, error) {
	if t.Command == nil || len(t.Command.Args) == 0 {
		return nil, fmt.Errorf("table %s is not computed by a command", t.Name)
	}
	if o.Shims == nil || len(o.Shims.start) == 0 {
		return nil, fmt.Errorf("table %s: its command would run without a shim", t.Name)
	}
	if !t.Partitioned() {
		for _, arg := range t.Command.Args {
			for _, name := range []string{"{from}", "{to}", "{start}", "{end}"} {
				if strings.Contains(arg, name) {
					return nil, &BoundError{Table: t.Name, Name: name}
				}
			}
		}
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	if o.MaxOutput <= 0 {
		o.MaxOutput = defaultMaxOutput
	}
	return &Executor{table: t, warehouse: w, options: o}, nil
}

// Produce runs the command for the task's partitions. In direct mode it gives no stage. Where the command fails for one range of several,
// or names partitions in HEADWAY_REPORT, the report says what became of each partition; if none was computed, that is an error.
func (e *Executor) Produce(ctx context.Context, t executor.Task) (*warehouse.Stage, *executor.Report, error) {
	products, err := e.ProduceAll(ctx, []executor.Task{t})
	if err != nil {
		return nil, nil, err
	}
	return products[0].Stage, products[0].Report, products[0].Err
}

// ProduceAll runs the command for the union of the tasks' partitions; see Produce. The error of a product is that its table has none of
// its partitions computed, or has rows that cannot be taken.
func (e *Executor) ProduceAll(ctx context.Context, ts []executor.Task) ([]executor.Product, error) {
	j := &job{Executor: e, tasks: ts, acting: -1}
	for i, t := range ts {
		j.set, j.expected = j.set.Union(t.Set), j.expected.Union(t.Expected)
		if j.acting < 0 && !t.Set.Empty() {
			j.acting = i
		}
	}
	if j.acting < 0 {
		return nil, fmt.Errorf("%s: there is nothing to compute", j.name())
	}
	var err error
	if j.own, err = e.environment(ts[0]); err != nil {
		return nil, err
	}
	report, err := os.CreateTemp(e.options.TempDir, "headway-*.jsonl")
	if err != nil {
		return nil, fmt.Errorf("make the report of %s: %w", j.name(), err)
	}
	defer os.Remove(report.Name()) //nolint:errcheck // it lies in the system's folder for what may be left behind
	if err := report.Close(); err != nil {
		return nil, fmt.Errorf("make the report of %s: %w", j.name(), err)
	}
	j.report, j.out = report.Name(), newOutput(ts[j.acting].Log, e.options.MaxOutput)
	if s := e.options.Streams; s != nil {
		j.out.err = s.Err
	}
	if ts[0].Table.Write == catalog.Direct {
		return j.run(ctx)
	}
	return j.stage(ctx)
}

// A job is one call of ProduceAll.
type job struct {
	*Executor
	tasks         []executor.Task
	acting        int          // the first task that has partitions: whose attempt and token the command is told
	set, expected calendar.Set // of all tasks
	own           []string     // the command's variables, resolved
	stages        []string     // what the command is told of the tasks' stages; none in direct mode
	report        string       // path of HEADWAY_REPORT
	out           *output
}

// name is whose command it is, for messages.
func (j *job) name() string {
	name := j.tasks[0].Table.Name
	switch more := len(j.tasks) - 1; {
	case more == 1:
		name += " and " + j.tasks[1].Table.Name
	case more > 1:
		name += fmt.Sprintf(" and %d more tables", more)
	}
	return name
}

// stage runs the command and closes the stages that it has filled.
func (j *job) stage(ctx context.Context) ([]executor.Product, error) {
	for _, t := range j.tasks {
		name, err := j.warehouse.OpenStage(ctx, t.Target, j.set, t.Attempt)
		if err != nil {
			err = fmt.Errorf("open a stage for %s: %w", t.Table.Name, err)
			for i := range j.stages {
				j.discard(ctx, i)
			}
			return nil, err
		}
		j.stages = append(j.stages, name)
	}
	products, err := j.run(ctx)
	for i, t := range j.tasks {
		if err == nil && products[i].Err == nil && !t.Set.Empty() {
			p := &products[i]
			if p.Stage, p.Err = j.warehouse.SealStage(ctx, t.Target, j.set, t.Attempt); p.Err == nil {
				continue
			}
			p.Stage, p.Err = nil, fmt.Errorf("close the stage that the command of %s has filled: %w", t.Table.Name, p.Err)
		}
		j.discard(ctx, i)
	}
	return products, err
}

// discard drops the stage of a task.
func (j *job) discard(ctx context.Context, i int) {
	t := j.tasks[i]
	left := &warehouse.Stage{Relation: j.warehouse.Relation(j.stages[i]), Attempt: t.Attempt, Set: t.Set}
	if err := j.warehouse.Discard(context.WithoutCancel(ctx), left); err != nil {
		j.out.say("the stage of " + t.Table.Name + " is left behind, until it is swept: " + err.Error())
	}
}

// run runs the command for each range while the store is lent out, and gathers what became of the partitions.
func (j *job) run(ctx context.Context) ([]executor.Product, error) {
	parts := partsOf(j.tasks[0].Table, j.set, j.expected)
	failures := make([]error, len(parts))
	end := j.follow()
	defer end()
	err := j.warehouse.Lend(ctx, func(ctx context.Context) error {
		for i, part := range parts {
			failures[i] = j.command(ctx, part)
			if j.options.Ended != nil {
				j.options.Ended(j.tasks[0], part, failures[i])
			}
			if _, failed := errors.AsType[*ExitError](failures[i]); failures[i] != nil && !failed {
				return failures[i] // it was stopped, or no other range would fare better
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	said, err := readReport(j.report, j.name(), j.tasks, parts)
	if err != nil {
		return nil, err
	}
	return j.account(parts, failures, said), nil
}

// command runs the command for one part of the set.
func (j *job) command(ctx context.Context, part calendar.Set) error {
	s := settings(j.tasks, j.acting, part)
	s.stages, s.report, s.parent = j.stages, j.report, j.parent()
	first := j.tasks[0]
	p := &process{
		table:   j.name(),
		part:    first.Target.Axis.FormatSet(part, 3),
		attempt: first.Attempt,
		confirm: j.confirm,
		args:    s.arguments(first.Table.Command.Args, s.token()),
		env:     slices.Concat(j.parent(), j.own, s.variables()),
		dir:     first.Dir,
		shims:   j.options.Shims,
		trust:   first.Trust,
		grace:   j.options.Grace,
		drain:   j.options.Drain,
		out:     j.out,

		streams: j.options.Streams,
	}
	return p.run(ctx)
}

// confirm asks whether the command may start.
func (j *job) confirm(ctx context.Context) error {
	for _, t := range j.tasks {
		if t.Confirm == nil || t.Set.Empty() {
			continue
		}
		if err := t.Confirm(ctx); err != nil {
			return err
		}
	}
	return nil
}

// parent is what commands inherit.
func (e *Executor) parent() []string {
	if e.options.Environ != nil {
		return e.options.Environ
	}
	return os.Environ()
}

// environment resolves the table's own variables.
func (e *Executor) environment(t executor.Task) ([]string, error) {
	lookup := t.Lookup
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	out := make([]string, 0, len(t.Table.Command.Env))
	for _, v := range t.Table.Command.Env {
		value, err := catalog.Resolve(v.Value, lookup)
		if err == nil && strings.ContainsRune(value, 0) {
			err = errors.New("it holds a zero byte")
		}
		if err != nil {
			return nil, &StartError{
				Table: t.Table.Name, Program: t.Table.Command.Args[0], Code: 126, Next: "set it before running headway",
				Err: fmt.Errorf("variable %s (%s): %w", v.Name, t.Table.Command.Pos, err),
			}
		}
		out = append(out, v.Name+"="+value)
	}
	return out, nil
}

// account says what became of each task.
func (j *job) account(parts []calendar.Set, failures []error, said said) []executor.Product {
	out := make([]executor.Product, len(j.tasks))
	for i := range j.tasks {
		if !j.tasks[i].Set.Empty() {
			out[i].Report, out[i].Err = j.accountOf(i, parts, failures, said)
		}
	}
	return out
}

// accountOf says what became of each partition of a task; nil where all was done and nothing said about single ones. Once any is named in the
// report, of whichever table, those that are not count as failed, whatever the exit code.
func (j *job) accountOf(task int, parts []calendar.Set, failures []error, said said) (*executor.Report, error) {
	t, failure := j.tasks[task], errors.Join(failures...)
	if failure == nil && said.lines == 0 {
		return nil, nil //nolint:nilnil // the contract's word for: all of it was computed
	}
	out := &executor.Report{Partitions: make(map[calendar.Partition]executor.PartitionReport, t.Set.Count())}
	computed := 0
	var first executor.PartitionReport
	for i, part := range parts {
		for p := range part.Intersect(t.Set).Partitions() {
			one, named := said.of[task][p]
			switch {
			case named:
			case failures[i] != nil:
				one = executor.PartitionReport{State: executor.ReportFailed, Rows: -1, Error: firstLine(failures[i].Error()), Unnamed: said.lines > 0}
			case said.lines > 0:
				one = executor.PartitionReport{State: executor.ReportFailed, Rows: -1, Error: "the command's report does not name it", Unnamed: true}
			default:
				one = executor.PartitionReport{State: executor.ReportDone, Rows: -1}
			}
			if one.State != executor.ReportFailed {
				computed++
			} else if first.State == "" || first.Unnamed && !one.Unnamed {
				first = one // what it says itself tells more
			}
			out.Partitions[p] = one
		}
	}
	switch {
	case computed > 0:
		return out, nil
	case failure != nil:
		return nil, failure
	}
	return nil, fmt.Errorf("the command of %s reports each of its %d partitions as failed: %s", t.Table.Name, len(out.Partitions), first.Error)
}

// newOutput logs to w; nil discards.
func newOutput(w io.Writer, limit int64) *output {
	if w == nil {
		w = io.Discard
	}
	return &output{log: w, left: limit, limit: limit}
}
