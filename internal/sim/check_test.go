package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

// Checks are the invariants, and what they must remember of a history. What was raised, started and settled they hear from the doors, so
// that the store's and the ledger's own word is not taken for it.
type checks struct {
	w        *world
	failure  error
	fences   map[cell]history.Token // I2: the highest that was raised
	floor    map[cell]history.Token // I2: what was settled below it is settled
	attempts map[string]*ledger.Attempt
	drawn    map[string]map[history.Token]string // by table: whose token it is
	visible  map[cell]warehouse.Marker           // as of the last check
	recorded map[cell]history.Segment            // I4, I6: what the ledger said then
	newer    map[cell]string                     // I6: who published there with the newer code
	code     map[string]string                   // I6: by attempt, the version of the files that it is of
}

func newChecks(w *world) checks {
	return checks{
		w: w, code: map[string]string{}, newer: map[cell]string{}, fences: map[cell]history.Token{}, floor: map[cell]history.Token{}, attempts: map[string]*ledger.Attempt{},
		drawn: map[string]map[history.Token]string{}, visible: map[cell]warehouse.Marker{}, recorded: map[cell]history.Segment{},
	}
}

func (c *checks) fail(format string, args ...any) {
	if c.failure == nil {
		c.failure = fmt.Errorf(format, args...)
		c.w.note("%v", c.failure)
	}
}

func (c *checks) raised(fences []warehouse.Fence) {
	for _, f := range fences {
		for p := range f.Set.Partitions() {
			c.fences[cell{f.Table, p}] = max(c.fences[cell{f.Table, p}], f.Token)
		}
	}
}

// started: each attempt has a token of its own (rule 1).
func (c *checks) started(a *ledger.Attempt, code string) {
	c.code[string(a.ID)] = code
	c.attempts[string(a.ID)] = a
	if c.drawn[a.Table] == nil {
		c.drawn[a.Table] = map[history.Token]string{}
	}
	if other, ok := c.drawn[a.Table][a.Token]; ok && other != string(a.ID) {
		c.fail("I2: attempts %s and %s have the same token %d", other, a.ID, a.Token)
	}
	c.drawn[a.Table][a.Token] = string(a.ID)
}

// granted: a lease is what it is by what it took from others.
func (c *checks) granted(req ledger.LeaseRequest, l *ledger.Lease) {
	if len(l.Settle) > 0 {
		c.w.met["granted with something to settle"]++
	}
	runs, err := c.w.ledger.Runs(context.Background(), ledger.RunFilter{Preempted: true})
	if err != nil {
		c.fail("%v", err)
	}
	for i := range runs {
		for _, p := range runs[i].Preempted {
			if p.By != req.Run {
				continue
			}
			c.w.met["preempted"]++
			if runs[i].Class.Rank() >= req.Class.Rank() && !runs[i].Paused.Asked() {
				c.fail("I6: run %s of class %s takes %v of %s from run %s of class %s", req.Run, req.Class, p.Set, p.Table, runs[i].ID, runs[i].Class)
			}
		}
	}
}

// settled: of all tokens that were drawn until now none may become visible there any more.
func (c *checks) settled(table string, set calendar.Set, found []ledger.Commit) {
	c.w.met["settled"]++
	if len(found) > 0 {
		c.w.met["settled by a marker"]++
	}
	highest := history.Token(0)
	for token := range c.drawn[table] {
		highest = max(highest, token)
	}
	for p := range set.Partitions() {
		at := cell{table, p}
		c.floor[at] = max(c.floor[at], highest)
	}
}

func (c *checks) keys() []string { return []string{"sim:" + plain, "sim:" + sums, "sim:" + direct} }

func fenced(at cell) bool { return at.table != "sim:"+direct }

// check asks all invariants about what stands now.
func (c *checks) check() {
	c.apart()
	for _, at := range slices.SortedFunc(maps.Keys(c.w.store.markers), compareCells) {
		c.seen(at)
	}
	snapshot, err := c.w.ledger.Snapshot(context.Background(), c.keys())
	if err != nil {
		c.fail("%v", err)
		return
	}
	for _, key := range c.keys() {
		t := snapshot.Table(key)
		for _, s := range t.Segments {
			for p := s.Start; p < s.End; p++ {
				c.told(cell{key, p}, s, t)
			}
		}
	}
}

// apart is I1: live leases are disjoint, and none lies over a hold.
func (c *checks) apart() {
	leases, err := c.w.ledger.Leases(context.Background(), ledger.LeaseFilter{})
	if err != nil {
		c.fail("%v", err)
	}
	for i, a := range leases {
		for _, b := range leases[:i] {
			if a.Over || b.Over || (a.Hold() && b.Hold()) {
				continue
			}
			for _, x := range a.Writes {
				for _, y := range b.Writes {
					if x.Table == y.Table && x.Set.Overlaps(y.Set) {
						c.fail("I1: %s of run %q and %s of run %q overlap on %s", a.ID, a.Run, b.ID, b.Run, x.Table)
					}
				}
			}
		}
	}
}

// seen is I2 and I5 of a fenced partition: what became visible did so with the highest token that was raised there, and is whole.
func (c *checks) seen(at cell) {
	m, before := c.w.store.markers[at], c.visible[at]
	rows := c.w.store.rows[at]
	for i, r := range rows {
		if len(rows) != rowsEach || r.attempt != m.Attempt || r.part != i {
			c.fail("I5: %v has rows %v, and was published by %s", at, rows, m.Attempt)
		}
	}
	if m.Attempt == before.Attempt {
		return
	}
	c.visible[at] = m
	a := c.attempts[m.Attempt]
	switch {
	case a == nil || a.Token != m.Token || !a.Set.Contains(at.at):
		c.fail("I2: %v was published by %s with token %d, which is not its own", at, m.Attempt, m.Token)
	case m.Token != c.fences[at]:
		c.fail("I2: %v became visible with token %d of %s, though %d was raised", at, m.Token, m.Attempt, c.fences[at])
	case m.Token <= c.floor[at]:
		c.fail("I2: %v became visible by %s, of which was settled that it never would", at, m.Attempt)
	case m.Token <= before.Token:
		c.fail("I4: %v: %s replaces %s, which is newer", at, m.Attempt, before.Attempt)
	}
}

// told is I4, I5 and I6 of what the ledger says of a partition.
func (c *checks) told(at cell, s history.Segment, t *history.Table) {
	before, known := c.recorded[at]
	c.recorded[at] = s
	a, old := c.attempts[s.Attempt], c.attempts[before.Attempt]
	if a == nil {
		c.fail("I4: %v stands by %q, which nobody has started", at, s.Attempt)
		return
	}
	if known && a.Token < old.Token {
		c.fail("I4: the ledger forgets that %s wrote %v, and says %s", before.Attempt, at, s.Attempt)
	}
	switch newer := c.newer[at]; {
	case newer != "" && c.code[s.Attempt] == "v1":
		c.fail("I6: what %s published in %v is replaced by %s, which is of older code", newer, at, s.Attempt)
	case s.Content.Readable() && c.code[s.Attempt] == "v2":
		c.newer[at] = s.Attempt
	}
	if fenced(at) {
		if m := c.w.store.markers[at]; m.Token < a.Token {
			c.fail("I4: the ledger says that %s stands in %v, and %s does", s.Attempt, at, m.Attempt)
		}
		return
	}
	if !s.Content.Readable() || t.InFlight.Contains(at.at) || t.Unsettled.Contains(at.at) {
		return // in doubt: nobody reads it
	}
	rows := c.w.store.rows[at]
	for i, r := range rows {
		if len(rows) != rowsEach || r.attempt != s.Attempt || r.part != i {
			c.fail("I5: %v is called readable, as of %s, and has rows %v", at, s.Attempt, rows)
		}
	}
}

func compareCells(a, b cell) int {
	if a.table != b.table {
		return map[bool]int{true: -1, false: 1}[a.table < b.table]
	}
	return int(a.at - b.at)
}

// done is I4 at the end: nothing is lost, nothing was skipped, and all is as if it had been made at once, by today's code (I3).
func (c *checks) done() error {
	if c.failure != nil {
		return c.failure
	}
	snapshot, err := c.w.ledger.Snapshot(context.Background(), c.keys())
	if err != nil {
		return err
	}
	for _, key := range c.keys() {
		t := snapshot.Table(key)
		if !t.Unsettled.Empty() || !t.InFlight.Empty() {
			return fmt.Errorf("I4: %s: nobody is left, and %v is unsettled, %v in flight", key, t.Unsettled, t.InFlight)
		}
		for p := firstDay; p < firstDay+dayCount; p++ {
			at := cell{key, p}
			if want, got := c.w.store.value(key, "v2", p), content(c.w.store.rows[at]); got != want {
				return fmt.Errorf("I4: in %v stands %q, not %q", at, got, want)
			}
			if m := c.w.store.markers[at]; fenced(at) && m.Attempt != c.recorded[at].Attempt {
				return fmt.Errorf("I4: %v was published by %s, and recorded of %s", at, m.Attempt, c.recorded[at].Attempt)
			}
			if s := c.recorded[at]; !s.Content.Readable() {
				return fmt.Errorf("I4: %v is %v", at, s.Content)
			}
		}
	}
	return nil
}
