package backfill_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// TestOneBadValueFailsItsDateAlone: a statement over many dates fails on a value of one. It is found in halves; its neighbours are published
// as if it had not been there, and no partition is forgotten on the way (decision 9).
func TestOneBadValueFailsItsDateAlone(t *testing.T) {
	const bad = "sum(case when o.day = date '2024-03-%02d' then cast('x' || o.id as integer) else o.amount * r.rate end)"
	for _, day := range []int{1, 5, 17, 18} { // of chunks of 16 dates: the first, one in the middle, the last; and the first of the next
		t.Run(fmt.Sprintf("day %d", day), func(t *testing.T) {
			t.Parallel()
			s := newProof(t, folder(t))
			s.edit(t, "sql/daily.sql", "sum(o.amount * r.rate)", fmt.Sprintf(bad, day))
			r := s.mustRun(t, 5)
			one := r.Tables[0]
			if one.Table != "daily" || one.Published != 28 || one.Failed != 1 || one.Blocked+one.Stopped+one.Quarantined > 0 {
				t.Errorf("want all but one date published: %s", describe(r))
			}
			if s.seen.stages > 60 {
				t.Errorf("%d statements were run", s.seen.stages)
			}
			if j := s.judged(t, "daily"); !j.Expected.Minus(j.Fresh).Equal(calendar.Of(march(day))) {
				t.Errorf("not fresh: %v, want day %d", j.Expected.Minus(j.Fresh), day)
			}
			s.wantOnce(t)
		})
	}
}

// TestRule20_ChunksWaitForWhatTheyRead: with room for every chunk at once, one run makes all of it.
func TestRule20_ChunksWaitForWhatTheyRead(t *testing.T) {
	s := newProof(t, folder(t))
	r, planned, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{MaxParallel: 16})
	if err != nil || r.Exit != 0 || r.Published != planned {
		t.Errorf("%d planned, %v: %s", planned, err, describe(r))
	}
}

// TestRule21_WhatLacksItsInputsIsNotAttempted: a date of daily fails its check in the run that was to make what reads it.
func TestRule21_WhatLacksItsInputsIsNotAttempted(t *testing.T) {
	s := newProof(t, folder(t))
	s.edit(t, "data/orders_b.csv", "o2024-03-28-0,2024-03-28,", "o2024-03-28-0,2024-03-28,9999")
	s.seen.beforePub = func(p warehouse.Publication) {
		if p.Target.Relation == "rolling" && p.Set.Overlaps(calendar.Range(march(28), march(32))) {
			t.Errorf("rolling is published from a hole: %v", p.Set)
		}
	}
	r := s.mustRun(t, 5)
	if n := published(r)["rolling"]; n != 25 { // all but the 28th to the 31st
		t.Errorf("%d partitions of rolling were published, want 25: %s", n, describe(r))
	}
}

// TestRule21_AskedAgainBeforeAnotherTry: a date of the source is lost between two tries of a chunk: the second leaves it out.
func TestRule21_AskedAgainBeforeAnotherTry(t *testing.T) {
	s := newProof(t, folder(t))
	s.edit(t, "headway.yaml", "    batch: {size: 16}\n    checks:\n      - unique", "    retries: 1\n    batch: {size: 16}\n    checks:\n      - unique")
	s.with(t, func(c *backfill.Coordinator) {
		orders := c.Tables["orders"]
		s.seen.failed = func() {
			s.seen.failed = nil
			_, err := c.Ledger.Observe(t.Context(), ledger.Observation{At: s.now(), Sources: []ledger.Seen{{
				Table: orders.Key, Axis: orders.Axis, Looked: calendar.Of(march(5)), Drifted: calendar.Of(march(5)),
			}}})
			if err != nil {
				t.Error(err)
			}
		}
		s.seen.staging = func() error {
			s.seen.staging = nil
			return errInjected
		}
		r, err := again(t.Context(), t, c, plan.Request{Tables: []string{"daily"}})
		if err != nil || r.Exit != 5 || r.Published != 28 || r.Tables[0].Blocked != 1 {
			t.Errorf("want all but one published, and that one blocked: %v: %s", err, describe(r))
		}
	})
}

// TestRule18_OnlyWhatIsDueIsExpected: a date that the calendar names is expected once it is over, and blocks nobody before.
func TestRule18_OnlyWhatIsDueIsExpected(t *testing.T) {
	s := newProof(t, folder(t))
	s.edit(t, "days.csv", "2024-03-31\n", "2024-03-31\n2024-04-02\n")
	s.mustRun(t, 0)
	april := march(33)
	if j := s.judged(t, "daily"); j.Expected.Contains(april) || j.Fresh.Count() != 29 {
		t.Errorf("in the morning of its day: expected %v, fresh %d", j.Expected, j.Fresh.Count())
	}
	s.ticks.Add(int64(24 * time.Hour))
	if j := s.judged(t, "daily"); !j.Missing.Equal(calendar.Of(april)) {
		t.Errorf("once it is over: missing %v", j.Missing)
	}
}
