// Package mem is the ledger as a model: everything in maps under one mutex, one partition at a time, nothing kept over a restart. It is
// what the other drivers are compared with, and what tests of other packages use.
package mem

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// Options are what a ledger takes from outside.
type Options struct {
	ID      string           // the ledger's name
	Now     func() time.Time // wall clock, for people
	Machine ledger.Machine   // judges leases
}

// A Ledger is the model. Closing it changes nothing: it can be "opened again" by going on to use it.
type Ledger struct {
	opts Options

	mu        sync.Mutex
	clock     history.Seq
	tables    map[string]*table
	periods   map[string][]history.PeriodChange
	leases    map[ledger.LeaseID]*lease
	queue     []*waiter // in the order in which they came
	holds     []*hold
	preempted []preemption
	attempts  []*attempt // in the order of their start
	runs      []ledger.RunRecord
	audit     []ledger.AuditEntry
}

var _ ledger.Ledger = (*Ledger)(nil)

// A cell is what stands in one partition; the interval of its segment is not used.
type cell struct {
	history.Segment
	token   history.Token // of the attempt that wrote it; 0 for what no attempt wrote
	written history.Seq
}

type verdict struct {
	history.Verdict
	written history.Seq
}

type version struct {
	ledger.VersionRecord
	token  history.Token // of the attempt that published it first
	headed history.Token // while it is the head: only an attempt with a greater one makes another the head
}

type table struct {
	axis     calendar.Axis
	token    history.Token
	touched  history.Seq
	cells    map[calendar.Partition]cell
	verdicts map[calendar.Partition]verdict
	contents map[calendar.Partition]ledger.Content
	metrics  map[calendar.Partition]map[string]ledger.Metric
	known    calendar.Set
	moves    []history.Move
	versions []version // by token
	meta     string
}

// New makes an empty ledger. Its clock starts at 1.
func New(opts Options) *Ledger {
	return &Ledger{
		opts: opts, clock: 1, tables: map[string]*table{}, periods: map[string][]history.PeriodChange{},
		leases: map[ledger.LeaseID]*lease{},
	}
}

// ID is the ledger's name.
func (l *Ledger) ID() string { return l.opts.ID }

// URL says that there is no store.
func (l *Ledger) URL() string { return "memory:" + l.opts.ID }

// Close does nothing.
func (l *Ledger) Close() error { return nil }

// begin is the start of every transaction.
func (l *Ledger) begin(ctx context.Context) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	return l.mu.Unlock, nil
}

func (l *Ledger) tick() history.Seq {
	l.clock++
	return l.clock
}

func (l *Ledger) checkAxis(key string, axis calendar.Axis) error {
	if t := l.tables[key]; t != nil && t.axis != axis {
		return fmt.Errorf("%w: %s is by %s in %q, not by %s in %q", ledger.ErrAxis, key, t.axis.Grain, t.axis.Zone, axis.Grain, axis.Zone)
	}
	return nil
}

// use gives the table of a key, a new one if it was never used. The axis must have been checked.
func (l *Ledger) use(key string, axis calendar.Axis) *table {
	t := l.tables[key]
	if t == nil {
		t = &table{
			axis: axis, cells: map[calendar.Partition]cell{}, verdicts: map[calendar.Partition]verdict{},
			contents: map[calendar.Partition]ledger.Content{}, metrics: map[calendar.Partition]map[string]ledger.Metric{},
		}
		l.tables[key] = t
	}
	return t
}

// write puts a segment into a partition. A verdict about it goes.
func (t *table) write(p calendar.Partition, s history.Segment, token history.Token, seq history.Seq) {
	s.Interval = calendar.Interval{}
	t.cells[p] = cell{Segment: s, token: token, written: seq}
	delete(t.verdicts, p)
	t.touched = seq
}

// See puts the ledger on another machine, or another boot of the same: what opening a store again after a restart does.
func (l *Ledger) See(m ledger.Machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opts.Machine = m
}
