package backfill_test

import (
	"fmt"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
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
