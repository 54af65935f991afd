package warehousetest

import (
	"fmt"
	"math"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// A judged is what a check must say of days 1, 2 and 3; NaN stands for a partition whose value does not matter.
type judged struct {
	check  warehouse.Check
	values [3]float64
	weight [3]int64
	passed [3]bool
	// says must stand in the example of the first partition that failed.
	says string
}

// The rows of the checks' cases: day 1 is fine, day 2 has defects, day 3 has no rows.
func (s *store) checked() string {
	rows := []string{
		"1, 'a', 10, cast('1.5' as " + s.Double + "), 'x1'",
		"1, 'b', 20, cast('2.5' as " + s.Double + "), 'x2'",
		"2, 'a', 10, cast('1.5' as " + s.Double + "), 'x1'",
		"2, 'a', null, cast('NaN' as " + s.Double + "), 'y'",
		"2, 'z', 99, cast(null as " + s.Double + "), null",
		"2, null, 99, cast('7.5' as " + s.Double + "), 'x3'",
	}
	parts := make([]string, len(rows))
	for i, r := range rows {
		day := int(r[0] - '0')
		parts[i] = fmt.Sprintf("select %s as d, cast(%s as varchar) as k, cast(%s as integer) as n, %s as x, cast(%s as varchar) as t", s.w.Literal(daily, first+calendar.Partition(day)),
			strings.Split(r, ", ")[1], strings.Split(r, ", ")[2], strings.Split(r, ", ")[3], strings.Split(r, ", ")[4])
	}
	return strings.Join(parts, " union all ")
}

var nan = math.NaN()

func (s *store) judge(stage *warehouse.Stage, cases []judged) {
	s.Helper()
	target := table("checked")
	checks := make([]warehouse.Check, len(cases))
	for i, c := range cases {
		checks[i] = c.check
		checks[i].ID = fmt.Sprintf("c%d", i)
	}
	verdicts, err := s.w.Check(s.ctx, target, stage, set(1, 2, 3), checks)
	s.must(err)
	if len(verdicts) != 3*len(cases) {
		s.Fatalf("%d verdicts on %d checks and 3 partitions", len(verdicts), len(cases))
	}
	for i, c := range cases {
		said := false
		for day := range 3 {
			v := verdicts[3*i+day]
			if v.Check != checks[i].ID || v.Partition != first+calendar.Partition(day+1) || v.Warn != c.check.Warn {
				s.Fatalf("verdict %d: %+v", 3*i+day, v)
			}
			if v.Passed != c.passed[day] || v.Weight != c.weight[day] || (!math.IsNaN(c.values[day]) && math.Abs(v.Value-c.values[day]) > 1e-12) {
				s.Errorf("%+v: day %d: %+v, want value %v, weight %d, passed %v", c.check, day+1, v, c.values[day], c.weight[day], c.passed[day])
			}
			if v.Passed != (v.Example == "") {
				s.Errorf("%+v: day %d passed %v with the example %q", c.check, day+1, v.Passed, v.Example)
			}
			if !v.Passed && !said {
				said = true
				if !strings.Contains(v.Example, c.says) {
					s.Errorf("%+v: example %q, want %q in it", c.check, v.Example, c.says)
				}
			}
		}
	}
}

// commonChecks are judged the same over a stage and over the published relation; staged is the name of what is judged.
func (s *store) commonChecks(staged string) []judged {
	one := func(day int) string { return s.w.Literal(daily, first+calendar.Partition(day)) }
	yes, first2 := [3]bool{true, true, true}, [3]bool{true, false, true}
	return []judged{
		{warehouse.Check{Kind: "not_null", Columns: []string{"k"}}, [3]float64{1, 0.75, 1}, [3]int64{2, 4, 0}, first2, "1 of 4 rows"},
		{warehouse.Check{Kind: "not_null", Columns: []string{"K"}, Min: new(0.75)}, [3]float64{1, 0.75, 1}, [3]int64{2, 4, 0}, yes, ""},
		{warehouse.Check{Kind: "not_null", Columns: []string{"k"}, Where: "n = 10"}, [3]float64{1, 1, 1}, [3]int64{1, 1, 0}, yes, ""},
		{warehouse.Check{Kind: "range", Columns: []string{"n"}, Min: new(0.0), Max: new(50.0), Warn: true}, [3]float64{1, 1. / 3, 1}, [3]int64{2, 3, 0}, first2, "99"},
		{warehouse.Check{Kind: "range", Columns: []string{"x"}, Max: new(7.5)}, [3]float64{1, 2. / 3, 1}, [3]int64{2, 3, 0}, first2, "at most 7.5"},
		{warehouse.Check{Kind: "range", Columns: []string{"x"}, Min: new(0.5)}, [3]float64{1, 2. / 3, 1}, [3]int64{2, 3, 0}, first2, "at least 0.5"},
		{warehouse.Check{Kind: "accepted_values", Columns: []string{"k"}, Values: []string{"a", "b", "it's"}}, [3]float64{1, 2. / 3, 1}, [3]int64{2, 3, 0}, first2, "z"},
		{warehouse.Check{Kind: "accepted_values", Columns: []string{"n"}, Values: []string{"10", "20"}}, [3]float64{1, 1. / 3, 1}, [3]int64{2, 3, 0}, first2, "99"},
		{warehouse.Check{Kind: "pattern", Columns: []string{"t"}, Pattern: `^x\d$`}, [3]float64{1, 2. / 3, 1}, [3]int64{2, 3, 0}, first2, "y"},
		{warehouse.Check{Kind: "unique", Columns: []string{"k"}}, [3]float64{0, 1, 0}, [3]int64{2, 4, 0}, first2, "a"},
		{warehouse.Check{Kind: "unique", Columns: []string{"k", "n"}}, [3]float64{0, 0, 0}, [3]int64{2, 4, 0}, yes, ""},
		{warehouse.Check{Kind: "unique", Columns: []string{"n"}, Where: "k is not null"}, [3]float64{0, 0, 0}, [3]int64{2, 3, 0}, yes, ""},
		{warehouse.Check{Kind: "rows", Min: new(2.0), Max: new(3.0)}, [3]float64{2, 4, 0}, [3]int64{2, 4, 0}, [3]bool{true, false, false}, "4 rows, wanted 2 to 3"},
		{warehouse.Check{Kind: "rows", Max: new(3.0), Where: "n < 50"}, [3]float64{2, 1, 0}, [3]int64{2, 1, 0}, yes, ""},
		{
			warehouse.Check{Kind: "rows", Query: "select " + one(1) + ", 2 union all select " + one(2) + ", 5"}, [3]float64{2, 4, nan}, [3]int64{2, 4, 0},
			[3]bool{true, false, false}, "4 rows, wanted 5",
		},
		{warehouse.Check{Kind: "relationship", Columns: []string{"k"}, ToColumns: []string{"name"}, To: "known_keys"}, [3]float64{1, 0.5, 1}, [3]int64{2, 4, 0}, first2, "2 of 4"},
		{warehouse.Check{Kind: "relationship", Columns: []string{"k"}, ToColumns: []string{"name"}, To: "known_keys", Min: new(0.5)}, [3]float64{1, 0.5, 1}, [3]int64{2, 4, 0}, yes, ""},
		{
			warehouse.Check{Kind: "relationship", Columns: []string{"k", "n"}, ToColumns: []string{"name", "number"}, To: "known_keys"},
			[3]float64{1, 0.25, 1}, [3]int64{2, 4, 0}, first2, "not found",
		},
		{
			warehouse.Check{Kind: "sql", Query: "select d, avg(case when k = 'a' then 1.0 else 0.0 end) from " + staged + " group by d", Min: new(0.5), Max: new(0.5)},
			[3]float64{0.5, 0.5, nan}, [3]int64{2, 4, 0}, [3]bool{true, true, false}, "does not mention",
		},
		{
			warehouse.Check{Kind: "sql", Query: "select " + one(1) + ", 1 union all select " + one(2) + ", null union all select " + one(3) + ", 1", Min: new(1.0)},
			[3]float64{1, nan, 1}, [3]int64{2, 4, 0}, first2, "null",
		},
		{
			warehouse.Check{Kind: "sql", Query: "select " + one(1) + ", 1 union all select " + one(2) + ", 1 union all select " + one(2) + ", 1 union all select " + one(3) + ", 1"},
			[3]float64{1, nan, 1}, [3]int64{2, 4, 0}, first2, "more than once",
		},
		{
			warehouse.Check{Kind: "sql", Query: "select " + one(1) + ", cast('NaN' as " + s.Double + ") union all select " + one(2) + ", 1 union all select " + one(3) + ", 1"},
			[3]float64{nan, 1, 1}, [3]int64{2, 4, 0}, [3]bool{false, true, true}, "NaN",
		},
	}
}

// knownKeys publishes the relation that relationships are judged against.
func (s *store) knownKeys() {
	s.Helper()
	t := warehouse.Target{Table: "suite:known", Relation: "known_keys", Axis: calendar.Whole(), Digits: 9}
	s.raise(t, calendar.Of(0), 1)
	s.publish(t, s.stage(t, calendar.Of(0), "k", "select 'a' as name, 10 as number union all select 'b', 20 union all select null, 99"), calendar.Of(0), 1)
}

var checkCases = []testCase{
	{"every kind has its value and its verdict on each staged partition", func(s *store) {
		s.knownKeys()
		stage := s.stage(table("checked"), set(1, 2, 3), "a", s.checked())
		s.judge(stage, s.commonChecks(stage.Relation))
	}},
	{"and on what is published", func(s *store) {
		s.knownKeys()
		s.write(table("checked"), set(1, 2, 3), 1, s.checked())
		s.write(table("checked"), set(4), 1, "select "+s.w.Literal(daily, first+4)+" as d, 'q' as k, 5000 as n, cast(null as "+s.Double+") as x, 'q' as t")
		s.judge(nil, s.commonChecks(s.w.Relation("checked")))
	}},
	{"a check of a column that is not there is an error", func(s *store) {
		stage := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1}))
		_, err := s.w.Check(s.ctx, numbers, stage, set(1), []warehouse.Check{{ID: "numbers.nope.not_null", Kind: "not_null", Columns: []string{"nope"}}})
		if err == nil || !strings.Contains(err.Error(), "numbers.nope.not_null") || !strings.Contains(err.Error(), "d, k, v") {
			s.Fatalf("error %v", err)
		}
		_, err = s.w.Check(s.ctx, numbers, stage, set(1), []warehouse.Check{{ID: "numbers.q", Kind: "sql", Query: "select 1, 2,\nnope"}})
		if err == nil || !strings.Contains(err.Error(), "numbers.q") || !strings.Contains(err.Error(), "LINE 2") {
			s.Fatalf("error %v", err)
		}
		if _, err := s.w.Check(s.ctx, table("nowhere"), nil, set(1), []warehouse.Check{{ID: "x", Kind: "rows"}}); err == nil {
			s.Fatal("a relation that does not exist was checked")
		}
	}},
	{"nothing to check gives no verdicts", func(s *store) {
		stage := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1}))
		for _, c := range []struct {
			set    calendar.Set
			checks []warehouse.Check
		}{{set(1), nil}, {calendar.Set{}, []warehouse.Check{{ID: "x", Kind: "rows"}}}} {
			if v, err := s.w.Check(s.ctx, numbers, stage, c.set, c.checks); err != nil || len(v) != 0 {
				s.Fatalf("verdicts %v, error %v", v, err)
			}
		}
	}},
	{"rows that fail are kept aside until they are swept", func(s *store) {
		stage := s.stage(numbers, set(1, 2), "a-bad", s.query(row{1, 1, 1}, row{2, 1, 50}, row{2, 2, 51}))
		check := []warehouse.Check{{ID: "r", Kind: "range", Columns: []string{"v"}, Max: new(10.0)}}
		_, err := s.w.Check(s.ctx, numbers, stage, set(1, 2), check)
		s.must(err)
		s.must(s.w.Discard(s.ctx, stage))
		warned := s.stage(numbers, set(1, 2), "a-warned", s.query(row{2, 1, 50}))
		check[0].Warn = true
		_, err = s.w.Check(s.ctx, numbers, warned, set(1, 2), check)
		s.must(err)
		s.w = s.Crash(s.T)
		s.must(s.w.Sweep(s.ctx, map[string]bool{"a-bad": true, "a-warned": true}))
		if bad, warned := s.Quarantined(s.T, "a-bad"), s.Quarantined(s.T, "a-warned"); bad != 2 || warned != 0 {
			s.Fatalf("%d rows kept of a-bad, %d of a-warned", bad, warned)
		}
		s.must(s.w.Sweep(s.ctx, nil))
		if n := s.Quarantined(s.T, "a-bad"); n != 0 {
			s.Fatalf("%d rows kept after the sweep", n)
		}
	}},
	{"a table without partitions is judged as one", func(s *store) {
		t := warehouse.Target{Table: "suite:dim", Relation: "dim", Axis: calendar.Whole(), Digits: 9}
		stage := s.stage(t, calendar.Of(0), "a", "select 1 as id union all select 2 union all select 2")
		verdicts, err := s.w.Check(s.ctx, t, stage, calendar.Of(0), []warehouse.Check{
			{ID: "u", Kind: "unique", Columns: []string{"id"}}, {ID: "r", Kind: "rows", Query: "select 3"}, {ID: "s", Kind: "sql", Query: "select 7", Min: new(7.0)},
		})
		s.must(err)
		if len(verdicts) != 3 || verdicts[0].Passed || verdicts[0].Value != 1 || !verdicts[1].Passed || !verdicts[2].Passed {
			s.Fatalf("verdicts %+v", verdicts)
		}
	}},
}
