// Package backfill is the use cases: look at the sources, judge, plan, run, mark, check, wait. It ties the pure core to the ledger, the
// warehouses and the executors, and is what the command line calls.
package backfill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// An Environment is what a process gives to the use cases: its clock, its randomness, its variables, its folder, who it is. Nothing below
// reads any of them by itself.
type Environment struct {
	Now func() time.Time
	// Boot is the machine's boot clock, which leases go by.
	Boot   func() time.Duration
	NewID  func(prefix string) string
	Lookup func(name string) (string, bool)
	Random func() float64 // in [0, 1)
	Holder ledger.Holder
	// Alive reports whether a holder of this machine still runs.
	Alive func(h ledger.Holder) bool
	// Working reports whether a command of an attempt of a holder of this machine may still run, as far as that can be told. EndWork kills what
	// of it can be found, and gives the processes that do not end.
	Working func(h ledger.Holder, a ledger.AttemptID) bool
	EndWork func(a ledger.AttemptID) (left []int)
	// FindJob looks at a process of this machine that Headway did not start; EndJob ends one with all that it has started, if it is still the same.
	FindJob func(pid int) (Job, error)
	EndJob  func(ctx context.Context, h ledger.Holder, grace time.Duration) error
	Log     *slog.Logger
	// Shims are what commands run under. Without them, tables made by commands are refused.
	Shims *command.Shims
	// LeaseTTL is for how long leases are granted, from which the trust in them and the grace of commands follow; 0: 60 s.
	LeaseTTL time.Duration
	// Sources and Warehouses open the drivers; the wiring provides them.
	OpenLedger    func(ctx context.Context, url, dir string, readOnly bool) (ledger.Ledger, error)
	OpenWarehouse func(ctx context.Context, w *catalog.Warehouse, dir string, readOnly bool) (warehouse.Warehouse, error)
}

// Actor is who acts, for the audit log.
func (e Environment) Actor() ledger.Actor {
	return ledger.Actor{User: e.Holder.User, Host: e.Holder.Host, PID: e.Holder.PID}
}

// A Coordinator is an open project: its catalog, its ledger and its warehouses.
type Coordinator struct {
	Environment
	Dir     string // the project folder, absolute
	FS      fs.FS  // the project folder
	Project *catalog.Project
	Graph   *catalog.Graph
	Ledger  ledger.Ledger
	// Tables is every table and source, bound to where it lives, by name; Keys leads back from the ledger's keys.
	Tables map[string]*worker.Table
	Keys   map[string]string

	warehouses map[string]warehouse.Warehouse
	git        map[string]*checkout // by folder
	wrap       *Wrap                // a person's command that writes tables instead of what the project says
	kept       map[string]string    // versions of tables whose producer the project has lost a table of to wrap
	logs       string               // folder of the attempts' logs
	unseen     bool                 // there is no project
}

// Options say which project to open and how.
type Options struct {
	Dir      string // project folder, absolute
	File     string // project file in it
	Env      string // environment, "" for the default
	State    string // overrides the project's state
	Fallback string // the state of projects that do not say, "" for one in the project folder
	ReadOnly bool   // nothing will be written: no lease, no publish
	Wrap     *Wrap  // a person's command: see Wrap
	// Unseen, for OpenUnseen, are tables that are to be known though no state has heard of them, by the axis that they would have.
	Unseen map[string]calendar.Axis
}

// Open parses the project, opens its ledger and binds its tables. Warehouses are opened when they are first needed.
func Open(ctx context.Context, env Environment, opts Options) (*Coordinator, error) {
	c := &Coordinator{
		Environment: env, Dir: opts.Dir, warehouses: map[string]warehouse.Warehouse{}, wrap: opts.Wrap,
		logs: filepath.Join(opts.Dir, ".headway", "logs"),
	}
	if err := c.load(opts); err != nil {
		return nil, err
	}
	if bad := c.Project.Unsupported(); bad != nil {
		return nil, bad
	}
	url, err := catalog.Resolve(firstOf(opts.State, c.Project.State, opts.Fallback, defaultState), env.Lookup)
	if err != nil {
		return nil, &InputError{What: "the project's state: " + err.Error(), Next: "set the variable, or name the state with --state"}
	}
	c.lookAtGit(ctx, c.workDir())
	if c.Ledger, err = env.OpenLedger(ctx, url, opts.Dir, opts.ReadOnly); err != nil {
		return nil, errors.Join(fmt.Errorf("open the state %s: %w", ShownURL(url), err), c.Close())
	}
	if err := c.bind(ctx, opts.ReadOnly); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Coordinates reports whether this ledger may write to all warehouses: a *warehouse.ForeignLedgerError names the one that does. Nothing is
// claimed by asking.
func (c *Coordinator) Coordinates(ctx context.Context) error {
	for _, w := range c.Project.Warehouses {
		read, err := c.OpenWarehouse(ctx, w, c.Dir, true)
		if err != nil {
			return fmt.Errorf("open warehouse %s: %w", w.Name, err)
		}
		_, err = read.Claim(ctx, c.asLedger())
		if err = errors.Join(err, read.Close()); err != nil {
			return fmt.Errorf("warehouse %s: %w", w.Name, err)
		}
	}
	return nil
}

// defaultState is where a project keeps its state that does not say.
const defaultState = "sqlite:.headway/state.db"

// Close closes the warehouses and the ledger.
func (c *Coordinator) Close() error {
	for _, one := range c.git {
		<-one.told
	}
	var errs []error
	for name, w := range c.warehouses {
		if err := w.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close warehouse %s: %w", name, err))
		}
	}
	if c.Ledger != nil {
		if err := c.Ledger.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the state: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Names gives the tables asked for, all that are not sources when none is named, in the graph's order.
func (c *Coordinator) Names(asked []string) ([]string, error) {
	want := map[string]bool{}
	for _, name := range asked {
		if c.Tables[name] == nil {
			return nil, c.unknownTable(name)
		}
		want[name] = true
	}
	var out []string
	for _, component := range c.Graph.Order() {
		for _, t := range component.Tables {
			if want[t.Name] || (len(asked) == 0 && !t.IsSource()) {
				out = append(out, t.Name)
			}
		}
	}
	return out, nil
}

func (c *Coordinator) unknownTable(name string) error {
	names := make([]string, 0, len(c.Project.Tables))
	for _, t := range c.Project.Tables {
		names = append(names, t.Name)
	}
	next := "the project has: " + listNames(names, 12)
	if near := catalog.Nearest(name, names); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	return &InputError{What: fmt.Sprintf("no table or source is named %q", name), Next: next}
}

// ID names a partition of a table as people type it.
func (c *Coordinator) ID(table string, p calendar.Partition) string {
	return c.Tables[table].Axis.ID(p)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
