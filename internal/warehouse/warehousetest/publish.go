package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

type contextOnly = context.Context

var errStop = errors.New("somebody stopped it")

func withCause(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(ctx)
}

// refusedSchema demands a *SchemaError about a column, which leaves everything as it is.
func (s *store) refusedSchema(query, column, found, wanted string) {
	s.Helper()
	before := s.contents(numbers, calendar.All())
	stage := s.stage(numbers, set(1), "refused", query)
	_, err := s.w.Publish(s.ctx, publication(numbers, stage, set(1), 1))
	var schema *warehouse.SchemaError
	if !errors.As(err, &schema) || schema.Column != column || !strings.Contains(schema.Found, found) || !strings.Contains(schema.Wanted, wanted) || schema.Next == "" {
		s.Fatalf("%s: error %v (%+v), want one about %s", query, err, schema, column)
	}
	if after := s.contents(numbers, calendar.All()); !slices.Equal(before, after) {
		s.Fatalf("%s: refused, but the table changed from %v to %v", query, before, after)
	}
}

var publishCases = []testCase{
	{"the first publish creates the relation and its schema", func(s *store) {
		t := table("made.by_suite")
		done := s.write(t, set(1, 2), 1, s.query(row{1, 1, 1}, row{1, 2, 2}, row{2, 1, 1}))
		if !done.Created || len(done.Replaced) != 0 || len(done.Inserted) != 2 || done.Inserted[0].Rows != 2 || len(done.Added) != 0 {
			s.Fatalf("published %+v", done)
		}
		if done = s.write(t, set(1), 2, s.query(row{1, 1, 1})); done.Created {
			s.Fatalf("created again: %+v", done)
		}
		s.counts(t, map[int]int64{1: 1, 2: 1})
	}},
	{"exactly the set is replaced", func(s *store) {
		s.write(numbers, set(1, 2, 3, 4), 1, s.query(row{1, 1, 1}, row{2, 1, 1}, row{3, 1, 1}, row{4, 1, 1}))
		done := s.write(numbers, set(2, 4), 2, s.query(row{2, 5, 5}, row{2, 6, 6}))
		if len(done.Replaced) != 2 || len(done.Inserted) != 1 || done.Replaced[1].Partition != first+4 {
			s.Fatalf("published %+v", done)
		}
		s.holds(row{1, 1, 1}, row{2, 5, 5}, row{2, 6, 6}, row{3, 1, 1})
	}},
	{"sets of many pieces are replaced exactly", func(s *store) {
		var all, odd []row
		var days, every []int
		for day := 1; day <= 60; day++ {
			all = append(all, row{day, 1, 1})
			every = append(every, day)
			if day%2 == 1 {
				days = append(days, day)
				odd = append(odd, row{day, 2, 2})
			}
		}
		s.write(numbers, set(every...), 1, s.query(all...))
		s.write(numbers, set(days...), 2, s.query(odd...))
		want := odd
		for day := 2; day <= 60; day += 2 {
			want = append(want, row{day, 1, 1})
		}
		s.holds(want...)
	}},
	{"what did not pass keeps its old rows", func(s *store) {
		s.write(numbers, set(1, 2, 3), 1, s.query(row{1, 1, 1}, row{2, 1, 1}, row{3, 1, 1}))
		s.raise(numbers, set(1, 2, 3), 2)
		stage := s.stage(numbers, set(1, 2, 3), "a-2", s.query(row{1, 1, 2}, row{2, 1, 2}, row{3, 1, 2}))
		s.publish(numbers, stage, set(1, 3), 2)
		s.holds(row{1, 1, 2}, row{2, 1, 1}, row{3, 1, 2})
		if m := s.markers(numbers, set(1, 2, 3)); len(m) != 3 || m[0].Token != 2 || m[1].Token != 1 || m[2].Token != 2 {
			s.Fatalf("markers %v", m)
		}
	}},
	{"what was never staged is refused", func(s *store) {
		s.raise(numbers, set(1, 2), 1)
		stage := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1}))
		if _, err := s.w.Publish(s.ctx, publication(numbers, stage, set(1, 2), 1)); err == nil {
			s.Fatal("a partition that was never computed was published as empty")
		}
		s.holds()
	}},
	{"an empty partition is replaced by nothing and marked", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		done := s.write(numbers, set(1), 2, s.query())
		if len(done.Replaced) != 1 || len(done.Inserted) != 0 {
			s.Fatalf("published %+v", done)
		}
		s.holds(row{2, 1, 1})
		if m := s.markers(numbers, set(1)); len(m) != 1 || m[0].Rows != 0 || m[0].Fingerprint != "" || m[0].Replaced == "" || m[0].Token != 2 {
			s.Fatalf("markers %+v", m)
		}
	}},
	{"markers say what was committed", func(s *store) {
		one := s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		two := s.write(numbers, set(2), 2, s.query(row{2, 1, 2}))
		m := s.markers(numbers, calendar.All())
		if len(m) != 2 {
			s.Fatalf("markers %+v", m)
		}
		want := []warehouse.Marker{
			{Table: numbers.Table, Partition: first + 1, Attempt: "a-1", Token: 1, Version: "v1", Rows: 1, Fingerprint: one.Inserted[0].Fingerprint},
			{
				Table: numbers.Table, Partition: first + 2, Attempt: "a-2", Token: 2, Version: "v1", Rows: 1, Fingerprint: two.Inserted[0].Fingerprint,
				Replaced: one.Inserted[1].Fingerprint,
			},
		}
		for i := range want {
			want[i].At = publication(numbers, &warehouse.Stage{}, set(), 0).At
			if m[i] != want[i] {
				s.Fatalf("marker %d: %+v, want %+v", i, m[i], want[i])
			}
		}
		if m := s.markers(numbers, set(1, 7)); len(m) != 1 {
			s.Fatalf("markers of 1 and 7: %+v", m)
		}
		if m := s.markers(table("other"), calendar.All()); len(m) != 0 {
			s.Fatalf("markers of another table: %+v", m)
		}
	}},
	{"what is published equals what was staged", func(s *store) {
		s.raise(numbers, set(1, 2), 1)
		stage := s.stage(numbers, set(1, 2), "a", s.query(row{1, 1, 1}, row{2, 1, 1}, row{2, 2, 2}))
		done := s.publish(numbers, stage, set(1, 2), 1)
		if !slices.Equal(done.Inserted, stage.Contents) || !slices.Equal(s.contents(numbers, set(1, 2)), stage.Contents) {
			s.Fatalf("staged %v, inserted %v", stage.Contents, done.Inserted)
		}
	}},
	{"rule 13 a new nullable column is added and changes nothing", func(s *store) {
		before := s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1})).Inserted
		done := s.write(numbers, set(2), 2, "select q.*, case when k > 1 then 5 end as extra from ("+s.query(row{2, 1, 1}, row{2, 2, 2})+") as q")
		if !slices.Equal(done.Added, []string{"extra"}) || !slices.Equal(done.Replaced, before[1:]) {
			s.Fatalf("published %+v, want extra added and %v replaced", done, before[1:])
		}
		if now := s.contents(numbers, set(1)); !slices.Equal(now, before[:1]) {
			s.Fatalf("the new column changed an old partition from %v to %v", before[:1], now)
		}
	}},
	{"a missing column and another type refuse and say what to do", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		s.refusedSchema("select d, k from ("+s.query(row{1, 1, 1})+") as q", "v", "no such column", "")
		s.refusedSchema("select d, k, 'text' as v from ("+s.query(row{1, 1, 1})+") as q", "v", "", "")
		s.refusedSchema("select d, k, cast(v as "+s.Double+") as v from ("+s.query(row{1, 1, 1})+") as q", "v", "", "")
		s.refusedSchema("select d, k, cast(v as bigint) as v from ("+s.query(row{1, 1, 1})+") as q", "v", "", "")
	}},
	{"an integer of fewer values fits", func(s *store) {
		s.write(numbers, set(1), 1, "select d, k, cast(v as bigint) as v from ("+s.query(row{1, 1, -1})+") as q")
		done := s.write(numbers, set(1), 2, s.query(row{1, 1, -1}))
		if !slices.Equal(done.Replaced, done.Inserted) {
			s.Fatalf("the same numbers differ by their type: %+v", done)
		}
	}},
	{"columns may come in another order", func(s *store) {
		one := s.write(numbers, set(1), 1, s.query(row{1, 1, 2}))
		two := s.write(numbers, set(1), 2, "select v, d, k from ("+s.query(row{1, 1, 2})+") as q")
		if !slices.Equal(one.Inserted, two.Inserted) {
			s.Fatalf("%v became %v", one.Inserted, two.Inserted)
		}
	}},
	{"a table without partitions is replaced whole", func(s *store) {
		t := warehouse.Target{Table: "suite:dim", Relation: "dim", Axis: calendar.Whole(), Digits: 9}
		whole := calendar.Of(0)
		write := func(token int, n int) *warehouse.Published {
			query := make([]string, n)
			for i := range query {
				query[i] = fmt.Sprintf("select %d as id, 'n' as name", i)
			}
			s.raise(t, whole, 1)
			stage := s.stage(t, whole, fmt.Sprint("a", token), strings.Join(query, " union all "))
			return s.publish(t, stage, whole, 1)
		}
		write(1, 3)
		if done := write(2, 5); len(done.Replaced) != 1 || done.Replaced[0].Rows != 3 || done.Inserted[0].Rows != 5 || done.Inserted[0].Partition != 0 {
			s.Fatalf("published %+v", done)
		}
		if c := s.contents(t, calendar.All()); len(c) != 1 || c[0].Rows != 5 {
			s.Fatalf("contents %v", c)
		}
		if m := s.markers(t, calendar.All()); len(m) != 1 || m[0].Rows != 5 {
			s.Fatalf("markers %v", m)
		}
	}},
	{"a publish that was stopped leaves everything as it was", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		s.raise(numbers, set(1), 2)
		stage := s.stage(numbers, set(1), "a-2", s.query(row{1, 1, 2}))
		ctx, cancel := withCause(s.ctx)
		cancel(errStop)
		if _, err := s.w.Publish(ctx, publication(numbers, stage, set(1), 2)); !errors.Is(err, errStop) {
			s.Fatalf("error %v, want the context's cause", err)
		}
		s.holds(row{1, 1, 1})
		s.publish(numbers, stage, set(1), 2)
		s.holds(row{1, 1, 2})
	}},
	{"a relation that does not exist holds nothing", func(s *store) {
		if c := s.contents(table("nowhere"), calendar.All()); len(c) != 0 {
			s.Fatalf("contents %v", c)
		}
		s.write(numbers, set(1, 2, 3), 1, s.query(row{1, 1, 1}, row{3, 1, 1}))
		if c := s.contents(numbers, set(2, 3)); len(c) != 1 || c[0].Partition != first+3 {
			s.Fatalf("contents of 2 and 3: %v", c)
		}
		if c := s.contents(numbers, calendar.Set{}); len(c) != 0 {
			s.Fatalf("contents of no partition: %v", c)
		}
	}},
}

// printsDiffer and printsSame compare the fingerprints of two queries over numbers' columns.
func (s *store) printsDiffer(why, a, b string) {
	s.Helper()
	if x, y := s.prints(numbers, a), s.prints(numbers, b); slices.Equal(x, y) {
		s.Fatalf("%s: both are %v", why, x)
	}
}

func (s *store) printsSame(why, a, b string) {
	s.Helper()
	if x, y := s.prints(numbers, a), s.prints(numbers, b); !slices.Equal(x, y) {
		s.Fatalf("%s: %v and %v", why, x, y)
	}
}

// with is a query of one row on day 1 with further columns.
func (s *store) with(columns string) string {
	return "select " + s.w.Literal(daily, first+1) + " as d, " + columns
}

var fingerprintCases = []testCase{
	{"rows and columns may come in any order", func(s *store) {
		s.printsSame("order of rows", s.query(row{1, 1, 1}, row{1, 2, 2}), s.query(row{1, 2, 2}, row{1, 1, 1}))
		s.printsSame("order of columns", s.with("1 as k, 2 as v"), s.with("2 as v, 1 as k"))
	}},
	{"rule 13 a null is as if the column were not there", func(s *store) {
		s.printsSame("a new column of nulls", s.with("1 as k"), s.with("1 as k, cast(null as integer) as extra"))
		s.printsDiffer("a value in the new column", s.with("1 as k"), s.with("1 as k, 0 as extra"))
		s.printsDiffer("the same value under another name", s.with("1 as k, cast(null as integer) as v"), s.with("cast(null as integer) as k, 1 as v"))
	}},
	{"every change of rows is seen", func(s *store) {
		s.printsDiffer("a value", s.query(row{1, 1, 1}), s.query(row{1, 1, 2}))
		s.printsDiffer("a row twice", s.query(row{1, 1, 1}), s.query(row{1, 1, 1}, row{1, 1, 1}))
		s.printsDiffer("rows that cancel in an xor", s.query(row{1, 1, 1}, row{1, 1, 1}), s.query(row{1, 2, 2}, row{1, 2, 2}))
		s.printsDiffer("values that change places between rows", s.query(row{1, 1, 1}, row{1, 2, 2}), s.query(row{1, 1, 2}, row{1, 2, 1}))
		s.printsDiffer("values that change places between columns", s.query(row{1, 1, 2}), s.query(row{1, 2, 1}))
	}},
	{"rule 13 floating-point values are rounded to the digits", func(s *store) {
		double := func(v string) string { return s.with("cast(" + v + " as " + s.Double + ") as v") }
		s.printsSame("a sum in another order", double("'0.30000000000000004'"), double("'0.3'"))
		s.printsSame("the tenth digit of a large number", double("'123456789012.5'"), double("'123456789012.6'"))
		s.printsSame("zero has no sign", double("'-0.0'"), double("'0.0'"))
		s.printsDiffer("the ninth digit", double("'1.00000001'"), double("'1.00000002'"))
		s.printsDiffer("a sign", double("'1.5'"), double("'-1.5'"))
		s.printsDiffer("small is not nothing", double("'1e-300'"), double("'2e-300'"))
		s.printsDiffer("nor is large infinite", double("'1e300'"), double("'2e300'"))
		s.printsSame("NaN", double("'NaN'"), double("'NaN'"))
		s.printsDiffer("NaN and infinity", double("'NaN'"), double("'Infinity'"))
		s.printsDiffer("the infinities", double("'-Infinity'"), double("'Infinity'"))
		s.printsDiffer("zero and null", double("'0'"), s.with("cast(null as "+s.Double+") as v"))
	}},
	{"rule 13 fewer digits round more", func(s *store) {
		coarse := numbers
		coarse.Digits = 3
		a, b := s.with("cast('1.0001' as "+s.Double+") as v"), s.with("cast('1.0002' as "+s.Double+") as v")
		s.printsDiffer("nine digits", a, b)
		if x, y := s.prints(coarse, a), s.prints(coarse, b); !slices.Equal(x, y) {
			s.Fatalf("three digits: %v and %v", x, y)
		}
	}},
	{"decimals are exact", func(s *store) {
		s.printsDiffer("the last digit", s.with("cast('1.0000000000001' as decimal(30,13)) as v"), s.with("cast('1.0000000000002' as decimal(30,13)) as v"))
	}},
}
