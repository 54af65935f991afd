package backfill_test

import (
	"context"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// again is a run in the process that is open already: the report, and what kept it from being carried out.
func again(t *testing.T, ctx context.Context, c *backfill.Coordinator, req plan.Request) (*backfill.Report, error) {
	t.Helper()
	sight, err := c.Look(t.Context(), backfill.LookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan(t.Context(), sight, req)
	if err != nil {
		t.Fatal(err)
	}
	return c.Run(ctx, sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, MaxParallel: 1})
}

// TestI2_AWriterWakesAfterItsRangeWasSettled: it hung right before it published, longer than its lease. Another run has fenced, looked and
// settled by then, and computed nothing yet. What was settled as never committed must never be.
func TestI2_AWriterWakesAfterItsRangeWasSettled(t *testing.T) {
	s := newProof(t, folder(t))
	daily := plan.Request{Tables: []string{"daily"}}
	s.with(t, func(c *backfill.Coordinator) {
		taken := 0
		s.seen.beforePub = func(warehouse.Publication) {
			s.seen.beforePub = nil
			s.ticks.Add(int64(time.Hour))
			other, stop := context.WithCancel(t.Context())
			defer stop()
			s.seen.settled = func() {
				taken++
				stop()
			}
			if r, err := again(t, other, c, daily); r == nil || r.Published > 0 || other.Err() == nil {
				t.Errorf("the other run: %v: %s", err, describe(r))
			}
			s.seen.settled = nil
		}
		r, err := again(t, t.Context(), c, daily)
		if err != nil || r.Exit != 4 || r.Published > 0 {
			t.Errorf("the late writer: %v: %s", err, describe(r))
		}
		if taken != 1 {
			t.Errorf("the other run has settled %d times, want once", taken)
		}
	})
	if n := s.seen.publishes(); n > 0 {
		t.Errorf("%d partitions were published by a writer that had lost them", n)
	}
	s.settle(t)
	s.wantOnce(t)
	s.look(t).same(t, madeProof(t).look(t))
}
