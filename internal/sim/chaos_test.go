package sim

import (
	"context"
	"errors"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// history lets one history happen: the tables are made by the first version of the code, then everything goes on at once and wrong, then calm
// comes and what is left is done.
func (w *world) history() error {
	first := w.start(&process{version: "v1", options: backfill.RunOptions{Class: ledger.ClassBackfill, MaxParallel: 1}})
	if err := w.calm(); err != nil {
		return err
	}
	if first.err != nil || first.report.Exit != 0 {
		return fmt.Errorf("the first run: %w, %+v", first.err, first.report)
	}
	for range 100 + w.random.IntN(300) {
		w.steps++
		if w.step(); w.failure != nil {
			return w.failure
		}
	}
	w.note("calm")
	for _, table := range w.keys() {
		w.order(ledger.Order{Kind: ledger.OrderUnhold, Table: table, Axis: days, Set: calendar.All()})
	}
	for _, r := range w.active() {
		w.order(ledger.Order{Kind: ledger.OrderResume, Run: r})
	}
	for _, p := range w.living() {
		p.asleep = 0
	}
	if err := w.calm(); err != nil {
		return err
	}
	return w.finish()
}

// calm lets everybody come to an end.
func (w *world) calm() error {
	for range maxCalm {
		w.steps++
		ready := w.ready()
		if w.failure != nil || len(ready) == 0 && len(w.living()) == 0 {
			return w.failure
		}
		if len(ready) > 0 {
			w.grant(pick(w, ready...), false)
		} else {
			w.pass(time.Second)
		}
	}
	return fmt.Errorf("after %d steps in which nothing went wrong %v still run", maxCalm, w.living())
}

// finish runs until there is nothing left to do, and looks whether all is done.
func (w *world) finish() error {
	for range maxRounds {
		p := w.start(&process{version: "v2", options: backfill.RunOptions{Class: ledger.ClassBackfill, MaxParallel: 1}})
		if err := w.calm(); err != nil {
			return err
		}
		if p.err != nil {
			return fmt.Errorf("a run with nobody else about: %w", p.err)
		}
		if p.planned == 0 {
			for len(w.late) > 0 { // too late for good
				w.happenLate(0)
			}
			return w.done()
		}
	}
	return fmt.Errorf("after %d runs there still is something to do", maxRounds)
}

// step is one thing that happens.
func (w *world) step() {
	synctest.Wait()
	if n := len(w.late); n > 0 && w.random.IntN(50) == 0 {
		w.happenLate(w.random.IntN(n))
		return
	}
	ready, living := w.ready(), w.living()
	switch at := w.random.IntN(1000); {
	case len(living) == 0 || at < 25 && len(living) < maxLiving:
		w.begin()
	case at < 32:
		w.kill(pick(w, living...))
	case at < 55:
		w.stall(pick(w, living...))
	case at < 60:
		d := pick(w, 50*time.Second, 70*time.Second, time.Hour)
		w.note("the machine sleeps for %s", d)
		w.slept += d
	case at < 80:
		w.person()
	case at < 130 || len(ready) == 0:
		w.pass(pick(w, time.Second, time.Second, 5*time.Second, 20*time.Second, 65*time.Second))
	default:
		c := pick(w, ready...)
		if risky[c.name] && w.random.IntN(12) == 0 {
			w.stall(c.process)
			return
		}
		w.grant(c, true)
	}
}

// risky are the calls before which a process is likely to stall: whoever waits there has been told that it may write.
var risky = map[string]bool{"warehouse.Publish": true, "warehouse.Raise": true, "ledger.Intend": true, "ledger.Record": true, "command": true}

func (w *world) stall(p *process) {
	d := pick(w, 5*time.Second, 50*time.Second, 70*time.Second, 10*time.Minute)
	p.asleep = w.boot() + d
	w.note("%v stalls for %s", p, d)
}

func (w *world) happenLate(i int) {
	err := w.late[i]()
	w.late = append(w.late[:i], w.late[i+1:]...)
	w.note("a publish that was given up happens: %v", err)
	w.meet("late publish", err)
	w.check()
}

// begin starts a process that wants some of the tables.
func (w *world) begin() {
	names := pick(w, nil, []string{plain}, []string{plain}, []string{plain, sums}, []string{direct}, []string{plain, direct})
	from := 0
	to := dayCount
	if w.random.IntN(2) == 0 {
		from = w.random.IntN(dayCount)
		to = from + 1 + w.random.IntN(dayCount-from)
	}
	p := &process{
		version: pick(w, "v1", "v2", "v2"),
		request: plan.Request{Tables: names, Range: &plan.Range{Axis: days, Interval: calendar.Interval{Start: firstDay + calendar.Partition(from), End: firstDay + calendar.Partition(to)}}},
		options: backfill.RunOptions{
			Class: pick(w, ledger.ClassBackfill, ledger.ClassBackfill, ledger.ClassScheduled, ledger.ClassFix), MaxParallel: 1,
			OnConflict: pick(w, "", backfill.PolicyWait, backfill.PolicyWait, backfill.PolicyTrim, backfill.PolicyYield, backfill.PolicyPreempt),
		},
	}
	if w.random.IntN(5) == 0 { // a fix that comes between
		p.options.Class, p.options.OnConflict = ledger.ClassFix, backfill.PolicyPreempt
	}
	if w.random.IntN(2) == 0 {
		p.request.Reprocess, p.request.Explicit = plan.All, true
	}
	w.start(p)
}

func (w *world) active() []ledger.RunID {
	runs, err := w.ledger.Runs(context.Background(), ledger.RunFilter{Active: true})
	if err != nil {
		w.fail("%v", err)
	}
	var out []ledger.RunID
	for i := range runs {
		out = append(out, runs[i].ID)
	}
	return out
}

// person gives an order.
func (w *world) person() {
	o := ledger.Order{Kind: pick(w, ledger.OrderHold, ledger.OrderUnhold, ledger.OrderUnhold, ledger.OrderBreak, ledger.OrderStop, ledger.OrderStopHold, ledger.OrderPause,
		ledger.OrderResume, ledger.OrderResume)}
	runs := w.active()
	leases, err := w.ledger.Leases(context.Background(), ledger.LeaseFilter{})
	if err != nil {
		w.fail("%v", err)
	}
	switch o.Kind {
	case ledger.OrderHold, ledger.OrderUnhold:
		from := w.random.IntN(dayCount)
		o.Table, o.Axis = pick(w, w.keys()...), days
		o.Set = calendar.Range(firstDay+calendar.Partition(from), firstDay+calendar.Partition(from+1+w.random.IntN(dayCount-from)))
	case ledger.OrderBreak:
		if len(leases) == 0 {
			return
		}
		if o.Lease = pick(w, leases...).ID; w.random.IntN(2) == 0 {
			return // not too often
		}
	default:
		if len(runs) == 0 {
			return
		}
		o.Run = pick(w, runs...)
	}
	w.order(o)
	w.check()
}

func (w *world) order(o ledger.Order) {
	w.orders++
	o.ID, o.Actor, o.Reason, o.At = ledger.LeaseID(fmt.Sprintf("o-%d", w.orders)), ledger.Actor{User: "somebody"}, "test", w.now()
	_, err := w.ledger.Order(context.Background(), o)
	w.note("somebody says %s %s%s%s: %v", o.Kind, o.Table, o.Lease, o.Run, err)
	var conflict *ledger.ConflictError
	if err != nil && !errors.As(err, &conflict) && !errors.Is(err, ledger.ErrNotFound) && !errors.Is(err, ledger.ErrLost) {
		w.fail("%s: %v", o.Kind, err)
	}
}
