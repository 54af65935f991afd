package warehousetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// one is the ledger of most cases.
var one = warehouse.Ledger{ID: "ledger-1", URL: "sqlite:/a/state.db"}

var claimCases = []testCase{
	{"the first ledger coordinates and any other is refused", func(s *store) {
		for range 2 {
			floors, err := s.w.Claim(s.ctx, one)
			s.must(err)
			if len(floors) != 0 {
				s.Fatalf("floors of an empty warehouse: %v", floors)
			}
		}
		for range 2 {
			_, err := s.w.Claim(s.ctx, warehouse.Ledger{ID: "ledger-2", URL: "sqlite:/b/state.db"})
			var foreign *warehouse.ForeignLedgerError
			if !errors.As(err, &foreign) || foreign.Ledger != one.ID || foreign.URL != one.URL || foreign.Asks != "" || foreign.Since == "" || foreign.Location != s.w.Location() {
				s.Fatalf("another ledger: %v", err)
			}
			s.w = s.Crash(s.T)
		}
	}},
	{"a copy of the ledger that coordinates is refused, and told where that is", func(s *store) {
		_, err := s.w.Claim(s.ctx, one)
		s.must(err)
		_, err = s.w.Claim(s.ctx, warehouse.Ledger{ID: one.ID, URL: "sqlite:/copy/state.db"})
		var foreign *warehouse.ForeignLedgerError
		if !errors.As(err, &foreign) || foreign.Ledger != one.ID || foreign.URL != one.URL || foreign.Asks != "sqlite:/copy/state.db" {
			s.Fatalf("a copy: %v", err)
		}
		_, err = s.w.Claim(s.ctx, one)
		s.must(err)
	}},
	{"asking who coordinates claims nothing", func(s *store) {
		is, err := s.w.Coordination(s.ctx)
		if err != nil || is.ID != "" || is.URL != "" || len(is.Floors) != 0 {
			s.Fatalf("nobody: %+v, %v", is, err)
		}
		s.raise(numbers, set(1), 3)
		_, err = s.w.Claim(s.ctx, one)
		s.must(err)
		is, err = s.w.Coordination(s.ctx)
		if err != nil || is.Ledger != one || is.Since == "" || is.Floors[numbers.Table] != 3 {
			s.Fatalf("coordinated by %+v, %v", is, err)
		}
	}},
	{"moved to another ledger, with the keys that it knows the tables by", func(s *store) {
		_, err := s.w.Claim(s.ctx, one)
		s.must(err)
		s.write(numbers, set(1, 2), 3, s.query(row{1, 1, 1}))
		renamed := numbers
		renamed.Table = "suite:renamed"
		s.raise(renamed, set(2, 3), 9) // it knew some of it before
		other := warehouse.Ledger{ID: "ledger-2", URL: "sqlite:/b/state.db"}
		before, err := s.w.Move(s.ctx, other, map[string]string{numbers.Table: renamed.Table})
		if err != nil || before.Ledger != one {
			s.Fatalf("moved from %+v, %v", before, err)
		}
		var foreign *warehouse.ForeignLedgerError
		if _, err := s.w.Claim(s.ctx, one); !errors.As(err, &foreign) || foreign.URL != other.URL {
			s.Fatalf("the one before: %v", err)
		}
		floors, err := s.w.Claim(s.ctx, other)
		if err != nil || len(floors) != 1 || floors[renamed.Table] != 9 {
			s.Fatalf("floors %v, %v", floors, err)
		}
		if found := s.markers(renamed, set(1, 2)); len(found) != 2 || found[0].Token != 3 || len(s.markers(numbers, set(1, 2))) != 0 {
			s.Fatalf("markers %+v", found)
		}
		// Who still writes by the old key finds no fence; the new one goes on from where it stood.
		stage := s.stage(numbers, set(1), "late", s.query(row{1, 2, 2}))
		_, err = s.w.Publish(s.ctx, publication(numbers, stage, set(1), 3))
		s.fenced(err, set(1), 0)
		err = s.w.Raise(s.ctx, warehouse.Fence{Table: renamed.Table, Set: set(1, 2), Token: 8})
		s.fenced(err, set(2), 9)
	}},
	{"floors are the highest tokens of each table", func(s *store) {
		s.raise(numbers, set(1, 2), 3)
		s.raise(numbers, set(2), 7)
		s.raise(table("other"), set(1), 5)
		floors, err := s.w.Claim(s.ctx, warehouse.Ledger{ID: "restored"})
		s.must(err)
		if len(floors) != 2 || floors[numbers.Table] != 7 || floors["suite:other"] != 5 {
			s.Fatalf("floors: %v", floors)
		}
	}},
}

// fenced demands a *FencedError.
func (s *store) fenced(err error, days calendar.Set, highest history.Token) {
	s.Helper()
	var fenced *warehouse.FencedError
	if !errors.As(err, &fenced) {
		s.Fatalf("error %v, want a *FencedError", err)
	}
	if !fenced.Fenced.Equal(days) || fenced.Highest != highest {
		s.Fatalf("fenced %v with highest %d, want %v and %d", fenced.Fenced, fenced.Highest, days, highest)
	}
}

var fenceCases = []testCase{
	{"raising again to the same token changes nothing", func(s *store) {
		s.raise(numbers, set(1, 2, 3), 5)
		s.raise(numbers, set(1, 2, 3), 5)
		s.raise(numbers, calendar.Set{}, 1)
		s.publish(numbers, s.stage(numbers, set(1, 2, 3), "a", s.query(row{1, 1, 1})), set(1, 2, 3), 5)
	}},
	{"fences of several tables rise together or not at all", func(s *store) {
		other := warehouse.Fence{Table: numbers.Table + "2", Set: set(1), Token: 3}
		s.must(s.w.Raise(s.ctx, warehouse.Fence{Table: numbers.Table, Set: set(2), Token: 9}))
		s.fenced(s.w.Raise(s.ctx, other, warehouse.Fence{Table: numbers.Table, Set: set(1, 2), Token: 7}), set(2), 9)
		other.Token = 2 // lower than what was not raised
		s.must(s.w.Raise(s.ctx, other, warehouse.Fence{Table: numbers.Table, Set: set(1, 2), Token: 9}))
	}},
	{"a fence that is higher refuses all of it", func(s *store) {
		s.raise(numbers, set(1, 2, 3), 5)
		s.raise(numbers, set(2), 9)
		s.fenced(s.w.Raise(s.ctx, warehouse.Fence{Table: numbers.Table, Set: set(1, 2, 3, 4), Token: 7}), set(2), 9)
		// Nothing was changed: 5 still holds 1 and 3, and 4 has no fence.
		s.publish(numbers, s.stage(numbers, set(1, 3), "a", s.query(row{1, 1, 1}, row{3, 1, 1})), set(1, 3), 5)
		_, err := s.w.Publish(s.ctx, publication(numbers, s.stage(numbers, set(4), "b", s.query(row{4, 1, 1})), set(4), 7))
		s.fenced(err, set(4), 0)
	}},
	{"each table has fences of its own", func(s *store) {
		s.raise(numbers, set(1), 9)
		s.raise(table("other"), set(1), 2)
		s.publish(table("other"), s.stage(table("other"), set(1), "a", s.query(row{1, 1, 1})), set(1), 2)
	}},
	{"rule 1 a hung first attempt wakes after the second published", func(s *store) {
		s.raise(numbers, set(1, 2), 5) // the lease
		s.raise(numbers, set(1, 2), 6) // its first attempt
		hung := s.stage(numbers, set(1, 2), "a-6", s.query(row{1, 1, 1}, row{2, 1, 1}))
		s.raise(numbers, set(1, 2), 7) // its second attempt
		s.publish(numbers, s.stage(numbers, set(1, 2), "a-7", s.query(row{1, 1, 2}, row{2, 1, 2})), set(1, 2), 7)
		_, err := s.w.Publish(s.ctx, publication(numbers, hung, set(1, 2), 6))
		s.fenced(err, set(1, 2), 7)
		s.holds(row{1, 1, 2}, row{2, 1, 2})
	}},
	{"rule 1 a chunk of three with one superseded publishes nothing", func(s *store) {
		s.raise(numbers, set(1, 2, 3), 5)
		chunk := s.stage(numbers, set(1, 2, 3), "a-5", s.query(row{1, 1, 1}, row{2, 1, 1}, row{3, 1, 1}))
		s.raise(numbers, set(2), 6)
		_, err := s.w.Publish(s.ctx, publication(numbers, chunk, set(1, 2, 3), 5))
		s.fenced(err, set(2), 6)
		s.holds()
		if m := s.markers(numbers, set(1, 2, 3)); len(m) != 0 {
			s.Fatalf("markers %v of what was refused", m)
		}
		s.publish(numbers, chunk, set(1, 3), 5)
		s.holds(row{1, 1, 1}, row{3, 1, 1})
	}},
	{"rule 1 an absent fence row refuses", func(s *store) {
		stage := s.stage(numbers, set(1, 2), "a", s.query(row{1, 1, 1}))
		_, err := s.w.Publish(s.ctx, publication(numbers, stage, set(1, 2), 5))
		s.fenced(err, set(1, 2), 0)
		s.raise(numbers, set(1), 5)
		_, err = s.w.Publish(s.ctx, publication(numbers, stage, set(1, 2), 5))
		s.fenced(err, set(2), 5)
		s.holds()
	}},
	{"a token that never raised the fence refuses", func(s *store) {
		s.raise(numbers, set(1), 5)
		stage := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1}))
		_, err := s.w.Publish(s.ctx, publication(numbers, stage, set(1), 8))
		s.fenced(err, set(1), 5)
	}},
	{"two writers that insert the same empty partition do not double it", func(s *store) {
		s.write(numbers, set(9), 1, s.query(row{9, 1, 1})) // the relation exists
		for round := range 5 {
			day := 10 + round
			var stages []*warehouse.Stage
			for token := range 4 {
				stages = append(stages, s.stage(numbers, set(day), fmt.Sprintf("a-%d", token+2), s.query(row{day, 1, token + 2})))
			}
			var wg sync.WaitGroup
			for i, stage := range stages {
				wg.Go(func() {
					token := history.Token(i + 2)
					if s.w.Raise(s.ctx, warehouse.Fence{Table: numbers.Table, Set: set(day), Token: token}) == nil {
						_, err := s.w.Publish(s.ctx, publication(numbers, stage, set(day), token))
						var fenced *warehouse.FencedError
						if err != nil && !errors.As(err, &fenced) {
							s.Errorf("token %d: %v", token, err)
						}
					}
				})
			}
			wg.Wait()
			if c := s.contents(numbers, set(day)); len(c) != 1 || c[0].Rows != 1 {
				s.Fatalf("day %d holds %v, want one row", day, c)
			}
		}
	}},
}
