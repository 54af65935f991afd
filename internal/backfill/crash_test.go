package backfill_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"testing"
	"testing/synctest"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// A scenario is a site before a run, and what an undisturbed run makes of it.
type scenario struct {
	name          string
	site          *site
	before, after *standing
	calls         int
	names         []string
}

// first is the first run of the project: everything is missing.
func first(t *testing.T) *scenario {
	return undisturbed(t, "first run", newProof(t, folder(t)))
}

// correction is the run after dates of both sources were corrected, one went bad, and the code of a table has changed.
func correction(t *testing.T) *scenario {
	s := newProof(t, folder(t))
	synctest.Test(t, func(t *testing.T) { s.settle(t) })
	s.edit(t, "data/orders_a.csv", "o2024-03-05-1,2024-03-05,41", "o2024-03-05-1,2024-03-05,441")
	s.edit(t, "data/orders_b.csv", "o2024-03-28-0,2024-03-28,", "o2024-03-28-0,2024-03-28,9999")
	s.edit(t, "data/rates.csv", "2024-03-20,", "2024-03-20,2")
	s.edit(t, "sql/season.sql", "sum(d.total)", "2 * sum(d.total)")
	return undisturbed(t, "correction", s)
}

func undisturbed(t *testing.T, name string, s *site) *scenario {
	out := &scenario{name: name, site: s}
	synctest.Test(t, func(t *testing.T) {
		out.before = s.look(t)
		whole := s.copyTo(t, folder(t))
		whole.faults = &faults{}
		report, _, err := whole.run(t.Context(), plan.Request{}, backfill.RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out.calls, out.names = whole.faults.calls, whole.faults.names
		whole.faults = nil
		whole.settle(t)
		out.after = whole.look(t)
		t.Logf("%s: %d calls, exit %d, %d published%s", name, out.calls, report.Exit, report.Published, describe(report))
	})
	return out
}

// A fault is the way in which a call goes wrong.
type fault struct {
	name        string
	after, dies bool
}

var faultKinds = []fault{
	{"fails", false, false}, {"fails and dies", false, true}, {"answer lost", true, false}, {"answer lost and dies", true, true},
}

// TestEveryCallGoesWrong lets each mutating call of a run go wrong in four ways: it fails, or it is done and its answer is lost; and the
// process goes on, or dies with it. Then other processes run until nothing is left. What stands then is what an undisturbed run makes, and
// every partition was published once.
//
// Every second call goes wrong in one of the ways, in turn; with HEADWAY_FAULTS=all each does in all four, as `make test` has it.
func TestEveryCallGoesWrong(t *testing.T) {
	for _, prepare := range []func(t *testing.T) *scenario{first, correction} {
		sc := prepare(t)
		all := os.Getenv("HEADWAY_FAULTS") == "all"
		for k := 1; k <= sc.calls; k++ {
			for i, kind := range faultKinds {
				if !all && k%(2*len(faultKinds)) != 2*i {
					continue
				}
				t.Run(fmt.Sprintf("%s/%03d %s %s", sc.name, k, sc.names[k-1], kind.name), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { sc.disturb(t, k, kind) })
				})
			}
		}
	}
}

func (sc *scenario) disturb(t *testing.T, k int, kind fault) {
	s := sc.site.copyTo(t, folder(t))
	s.faults = &faults{at: k, after: kind.after, dies: kind.dies}
	report, _, err := s.run(context.WithoutCancel(t.Context()), plan.Request{}, backfill.RunOptions{})
	if kind.dies && err == nil && s.faults.dead && report != nil && report.Exit == 0 && sc.names[k-1] != "warehouse.Discard" && k < sc.calls {
		t.Errorf("the process died and said that all was well: %s", describe(report))
	}
	s.faults = nil
	// A source that could not be looked at keeps what was known of it: its readers are made of that first, and again once it was seen.
	unseen := sc.names[k-1] == "warehouse.Observe" && !kind.dies
	if !unseen {
		sc.between(t, s)
	}
	s.settle(t)
	if unseen {
		// What is blocked by bad rows in the end may have been computed before they were seen: of it nothing is said.
		now := s.look(t)
		diff(t, "rows of daily", now.rows["daily"], sc.after.rows["daily"])
		diff(t, "rows of rolling", now.rows["rolling"], sc.after.rows["rolling"])
		if !maps.Equal(now.states, sc.after.states) {
			t.Errorf("status: %v, want %v", now.states, sc.after.states)
		}
		return
	}
	s.look(t).same(t, sc.after)
	for table, of := range s.seen.committed {
		for p, times := range of {
			if times > 1 {
				t.Errorf("%s %d was published %d times", table, p, times)
			}
		}
	}
	if t.Failed() {
		t.Logf("the disturbed run: %v %s", err, describe(report))
	}
}

// between looks at the tables right after a disturbed run: every partition is as it was or as it will be, never in between.
func (sc *scenario) between(t *testing.T, s *site) {
	now := s.look(t)
	for name, of := range now.rows {
		for p, content := range of {
			if content != sc.before.rows[name][p] && content != sc.after.rows[name][p] {
				t.Errorf("%s %d is neither as before nor as after: %+v", name, p, content)
			}
		}
		for p, content := range sc.before.rows[name] {
			if content.Rows > 0 && of[p] == (warehouse.Content{}) && sc.after.rows[name][p] != (warehouse.Content{}) {
				t.Errorf("%s %d has no rows", name, p)
			}
		}
	}
}

// TestProcessDiesAmongWorkers is the same with several workers at once: which call is the k-th differs from time to time.
func TestProcessDiesAmongWorkers(t *testing.T) {
	sc := first(t)
	for k := 3; k <= sc.calls; k += 9 {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%03d answer lost %t", k, lost), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := sc.site.copyTo(t, folder(t))
					s.faults = &faults{at: k, after: lost, dies: true}
					report, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{MaxParallel: 4})
					s.faults = nil
					sc.between(t, s)
					s.settle(t)
					s.look(t).same(t, sc.after)
					s.wantOnce(t)
					if t.Failed() {
						t.Logf("the disturbed run: %v %s", err, describe(report))
					}
				})
			})
		}
	}
}
