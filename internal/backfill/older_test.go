package backfill_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// carryOut looks, plans and runs; meanwhile happens between the plan and the lease.
func carryOut(t *testing.T, c *backfill.Coordinator, look backfill.LookOptions, req plan.Request, opts backfill.RunOptions, meanwhile func()) (*backfill.Report, error) {
	t.Helper()
	sight, err := c.Look(t.Context(), look)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan(t.Context(), sight, req)
	if err != nil {
		t.Fatal(err)
	}
	if meanwhile != nil {
		opts.OnStart = func(ledger.RunID, int) { meanwhile() }
	}
	if opts.Class == "" {
		opts.Class = ledger.ClassBackfill
	}
	opts.MaxParallel = 1
	return c.Run(t.Context(), sight, p, opts)
}

// wantRefused demands a refusal that tells all of the words.
func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	if _, refused := errors.AsType[*backfill.RefusedError](err); !refused {
		t.Fatalf("got %v, want a refusal", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// versionOf is the version that a partition of a table was computed by.
func versionOf(t *testing.T, c *backfill.Coordinator, table string, p calendar.Partition) string {
	t.Helper()
	h, err := c.Ledger.Snapshot(t.Context(), []string{c.Tables[table].Key})
	if err != nil {
		t.Fatal(err)
	}
	for _, seg := range h.Table(c.Tables[table].Key).Segments {
		if seg.Contains(p) {
			return seg.Version
		}
	}
	return ""
}

var season = plan.Request{Tables: []string{"season"}}

// TestRule22_ANightlyJobIsNotRefusedBecauseOfANewerBackfillScript: it computes again what a script has written, which is no older than its own.
func TestRule22_ANightlyJobIsNotRefusedBecauseOfANewerBackfillScript(t *testing.T) {
	s := madeProof(t)
	s.with(t, func(c *backfill.Coordinator) {
		publishAs(t, c, ledger.ClassBackfill, "season", "script.py", "newer", march(3))
		r, err := carryOut(t, c, backfill.LookOptions{}, season, backfill.RunOptions{Class: ledger.ClassScheduled}, nil)
		if err != nil || r.Exit != 0 || r.Published != 1 {
			t.Errorf("the nightly run: %v: %s", err, describe(r))
		}
		if got := versionOf(t, c, "season", march(3)); got != c.Tables["season"].Version.Version {
			t.Errorf("version %s stands", got)
		}
	})
}

// TestRule22_ThePhase1JobIsRefusedBecauseTheFixWroteTheSameDates: what a fix wrote is not undone by code that had published before, until a
// person takes it over or the code is newer.
func TestRule22_ThePhase1JobIsRefusedBecauseTheFixWroteTheSameDates(t *testing.T) {
	s := madeProof(t)
	published := s.seen.publishes()
	s.with(t, func(c *backfill.Coordinator) {
		publishAs(t, c, ledger.ClassFix, "season", "fix.py", "fixed", march(3))
		r, err := carryOut(t, c, backfill.LookOptions{}, season, backfill.RunOptions{}, nil)
		if r != nil {
			t.Errorf("it was found out when it had begun: %s", describe(r))
		}
		wantRefused(t, err, "season", "2024-03-03", "version fixed of fix.py", "by tester (run r-newer)", "version "+c.Tables["season"].Version.Version[:12],
			"headway code accept season --from 2024-03-03 --to 2024-03-03", "--allow-downgrade")
		if n := s.seen.publishes() - published; n > 0 {
			t.Errorf("%d publishes", n)
		}
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Accept(t.Context(), sight, "season", calendar.Of(march(3)), "test"); err != nil || got.Count() != 1 {
			t.Errorf("accepted %v: %v", got, err)
		}
		r, err = carryOut(t, c, backfill.LookOptions{}, season, backfill.RunOptions{}, nil)
		if err != nil || r.Exit != 0 || r.Published != 0 {
			t.Errorf("after it was accepted: %v: %s", err, describe(r))
		}
		again := season
		again.Reprocess, again.Explicit = plan.All, true
		_, err = carryOut(t, c, backfill.LookOptions{}, again, backfill.RunOptions{Class: ledger.ClassFix}, nil)
		wantRefused(t, err, "2024-03-03")
	})
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	s.mustRun(t, 0)
	if n := s.seen.publishes() - published; n == 0 {
		t.Error("newer code has not published")
	}
}

// TestRule22_TheOldBackfillThatWaitedForTheFixDoesNotOverwriteIt: its code has never published, and was asked for before the fix was.
func TestRule22_TheOldBackfillThatWaitedForTheFixDoesNotOverwriteIt(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	published := s.seen.publishes()
	s.with(t, func(c *backfill.Coordinator) {
		r, err := carryOut(t, c, backfill.LookOptions{}, season, backfill.RunOptions{}, func() {
			publishAs(t, c, ledger.ClassFix, "season", "fix.py", "fixed", march(3))
		})
		wantRefused(t, err, "version fixed of fix.py", "asked for before")
		if r == nil || r.Exit != 3 {
			t.Errorf("the run that waited: %s", describe(r))
		}
		if n := s.seen.publishes() - published; n > 0 {
			t.Errorf("%d publishes", n)
		}
		if r, err = carryOut(t, c, backfill.LookOptions{}, season, backfill.RunOptions{}, nil); err != nil || r.Exit != 0 || r.Published != 29 {
			t.Errorf("a run that was started after the fix: %v: %s", err, describe(r))
		}
	})
}

// TestRule22_TheLedgerRefusesOlderCodeInTheMiddleOfARun: newer code publishes elsewhere in the table while the run is on.
func TestRule22_TheLedgerRefusesOlderCodeInTheMiddleOfARun(t *testing.T) {
	s := madeProof(t)
	s.edit(t, "headway.yaml", "  season:\n", "  season:\n    batch: {size: 16}\n")
	s.with(t, func(c *backfill.Coordinator) {
		today := c.Tables["season"].Version.Version
		s.seen.beforePub = func(warehouse.Publication) {
			s.seen.beforePub = nil
			publishAs(t, c, ledger.ClassBackfill, "season", "season", "newer", march(31))
		}
		req := plan.Request{
			Tables: []string{"season"}, Reprocess: plan.All, Explicit: true, Sets: map[string]calendar.Set{"season": calendar.Range(march(2), march(28))},
		}
		r, err := carryOut(t, c, backfill.LookOptions{}, req, backfill.RunOptions{}, nil)
		if err != nil || r.Exit != 5 || r.Published == 0 || r.Tables[0].Blocked == 0 || r.Tables[0].Failed > 0 {
			t.Fatalf("%v: %s", err, describe(r))
		}
		for _, w := range []string{"version newer of season", today[:12], "headway code promote season --to " + today[:12], "--allow-downgrade"} {
			if why := r.Tables[0].Reason; why == nil || !strings.Contains(*why, w) {
				t.Errorf("%s does not say %q", describe(r), w)
			}
		}
	})
}

// TestRule22_ADowngradeNeedsAReasonAndMakesTheHead: older files compute all that newer ones wrote, which is audited, and are the head then.
func TestRule22_ADowngradeNeedsAReasonAndMakesTheHead(t *testing.T) {
	s := madeProof(t)
	before := s.look(t)
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	s.mustRun(t, 0)
	var newer string
	s.with(t, func(c *backfill.Coordinator) { newer = c.Tables["season"].Version.Version })
	s.edit(t, "sql/season.sql", "2 * sum(d.total)", "sum(d.total)")
	s.with(t, func(c *backfill.Coordinator) {
		look, opts := backfill.LookOptions{TodaysCode: true}, backfill.RunOptions{AllowDowngrade: true}
		if _, err := carryOut(t, c, look, season, opts, nil); err == nil {
			t.Error("a downgrade without a reason")
		} else if _, input := errors.AsType[*backfill.InputError](err); !input {
			t.Error(err)
		}
		opts.Reason = "the newer one doubles"
		if r, err := carryOut(t, c, look, season, opts, nil); err != nil || r.Exit != 0 || r.Published != 29 {
			t.Errorf("the downgrade: %v: %s", err, describe(r))
		}
		entries, err := c.Ledger.Audit(t.Context(), ledger.AuditFilter{})
		if err != nil || len(entries) == 0 {
			t.Fatalf("%d entries: %v", len(entries), err)
		}
		e := entries[0]
		if e.Action != ledger.ActionDowngrade || e.Reason != opts.Reason || e.Actor.User != "tester" || e.Table != c.Tables["season"].Key ||
			ledger.HeadOf(e.Before) != newer || ledger.HeadOf(e.After) != c.Tables["season"].Version.Version || !e.Set.Contains(march(3)) {
			t.Errorf("audited as %+v", e)
		}
		if r, err := carryOut(t, c, backfill.LookOptions{}, season, backfill.RunOptions{}, nil); err != nil || r.Exit != 0 || r.Published != 0 {
			t.Errorf("what was downgraded is stale: %v: %s", err, describe(r))
		}
	})
	diff(t, "rows of season", s.look(t).rows["season"], before.rows["season"])
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	again := season
	again.Reprocess, again.Explicit = plan.All, true
	_, _, err := s.run(t.Context(), again, backfill.RunOptions{})
	wantRefused(t, err, "version "+newer[:12])
}
