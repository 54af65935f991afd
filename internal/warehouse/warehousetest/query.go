package warehousetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

var queryCases = []testCase{
	{"bind says what a query gives and reads without running it", func(s *store) {
		s.write(table("made.input"), set(1), 1, s.query(row{1, 1, 1}))
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		b, err := s.w.Bind(s.ctx, "select a.d, a.k, 1 / 0 as boom, (select max(v) from "+s.w.Relation("numbers")+") as m\nfrom "+s.w.Relation("made.input")+" as a where 1 = 0;")
		s.must(err)
		var names []string
		for _, c := range b.Columns {
			names = append(names, c.Name)
			if c.Type == "" {
				s.Fatalf("column %s has no type", c.Name)
			}
		}
		if !slices.Equal(names, []string{"d", "k", "boom", "m"}) || !slices.Equal(b.Reads, []string{"made.input", "main.numbers"}) && !slices.Equal(b.Reads, []string{"made.input", "public.numbers"}) {
			s.Fatalf("columns %v, reads %v", names, b.Reads)
		}
		var query *warehouse.QueryError
		if _, err := s.w.Bind(s.ctx, "select 1,\n nowhere"); !errors.As(err, &query) || !strings.Contains(err.Error(), "LINE 2") {
			s.Fatalf("error %v", err)
		}
	}},
	{"dates are the first column of a query", func(s *store) {
		day := func(n int) string { return s.w.Literal(daily, first+calendar.Partition(n)) }
		for _, query := range []string{
			"select " + day(3) + " as a, 'other' as b union all select " + day(1) + ", 'x' union all select " + day(3) + ", 'y' union all select null, 'z'",
			"select '2024-01-01' as a union all select '2024-01-03'",
			"select cast('2024-01-01 23:30:00' as " + s.Timestamp + ") as a union all select cast('2024-01-03 00:00:00' as " + s.Timestamp + ")",
			"select cast('2024-01-02 04:30:00+00' as " + s.Instant + ") as a union all select cast('2024-01-03 05:00:00+00' as " + s.Instant + ") -- ends in a comment",
		} {
			got, err := s.w.Dates(s.ctx, query, daily)
			s.must(err)
			if !got.Equal(set(1, 3)) {
				s.Fatalf("%s: %v", query, daily.FormatSet(got, 9))
			}
		}
		for _, query := range []string{"select 'soon' as a", "select 1 as a", "select nowhere"} {
			if got, err := s.w.Dates(s.ctx, query, daily); err == nil {
				s.Fatalf("%s: %v", query, got)
			}
		}
		if got, err := s.w.Dates(s.ctx, s.query(), daily); err != nil || !got.Empty() {
			s.Fatalf("no rows: %v, %v", got, err)
		}
	}},
	{"relations are quoted and names with dots are of schemas", func(s *store) {
		for _, name := range []string{"select", "odd name", "made.group", `Mixed`} {
			t := table(name)
			s.write(t, set(1), 1, s.query(row{1, 1, 1}))
			if got := s.prints(t, "select * from "+s.w.Relation(name)); !slices.Equal(got, s.contents(t, set(1))) {
				s.Fatalf("%s holds %v", name, got)
			}
		}
	}},
	{"cells have a row for each partition", func(s *store) {
		season := []calendar.Interval{{Start: calendar.Interval{}.Start, End: 0}, {Start: first + 2, End: first + 4}, {Start: first + 4, End: first + 5}}
		for _, axis := range []calendar.Axis{daily, {Grain: calendar.Month}, {Grain: calendar.Hour, Zone: "Asia/Kolkata"}, {Grain: calendar.Hour, Zone: "America/New_York"}} {
			from := axis.At(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))
			want := calendar.NewSet(calendar.Interval{Start: from, End: from + 3}, calendar.Interval{Start: from + 7, End: from + 8}, calendar.Interval{Start: from + 5000, End: from + 11000})
			if axis.Grain == calendar.Month {
				want = calendar.NewSet(calendar.Interval{Start: from, End: from + 3}, calendar.Interval{Start: from + 7, End: from + 8})
			}
			got, err := s.w.Dates(s.ctx, "select partition_start from "+s.w.Cells(axis, want, nil)+" as c", axis)
			s.must(err)
			if !got.Equal(want) {
				s.Fatalf("%v: starts %v, want %v", axis, axis.FormatSet(got, 9), axis.FormatSet(want, 9))
			}
			ends, err := s.w.Dates(s.ctx, "select partition_end from "+s.w.Cells(axis, calendar.Of(from), map[string][]calendar.Interval{"season": season})+" as c", axis)
			s.must(err)
			if !ends.Equal(calendar.Of(from + 1)) {
				s.Fatalf("%v: end %v", axis, axis.FormatSet(ends, 9))
			}
			if none, err := s.w.Dates(s.ctx, "select partition_start from "+s.w.Cells(axis, calendar.Set{}, nil)+" as c", axis); err != nil || !none.Empty() {
				s.Fatalf("%v: cells of no partition: %v, %v", axis, none, err)
			}
			equal := fmt.Sprintf("select partition_start from %s as c where partition_start = %s", s.w.Cells(axis, want, nil), s.w.Literal(axis, from+7))
			if one, err := s.w.Dates(s.ctx, equal, axis); err != nil || !one.Equal(calendar.Of(from+7)) {
				s.Fatalf("%v: a cell's start is not the literal: %v, %v", axis, one, err)
			}
		}
	}},
	{"cells tell in which interval of a period they lie", func(s *store) {
		periods := map[string][]calendar.Interval{
			"season": {{Start: first + 2, End: first + 4}, {Start: first + 4, End: first + 5}},
			"never":  nil,
		}
		cells := s.w.Cells(daily, set(1, 2, 3, 4, 5), periods)
		for start, want := range map[int]calendar.Set{2: set(2, 3), 4: set(4)} {
			got, err := s.w.Dates(s.ctx, fmt.Sprintf("select partition_start from %s as c where season_start = %s", cells, s.w.Literal(daily, first+calendar.Partition(start))), daily)
			s.must(err)
			if !got.Equal(want) {
				s.Fatalf("season from %d: %v", start, got)
			}
		}
		got, err := s.w.Dates(s.ctx, "select partition_start from "+cells+" as c where season_start is null and never_start is null", daily)
		s.must(err)
		if !got.Equal(set(1, 5)) {
			s.Fatalf("outside of seasons: %v", got)
		}
	}},
	{"a warehouse that was closed says so", func(s *store) {
		s.must(s.w.Close())
		if err := s.w.Raise(s.ctx, warehouse.Fence{Table: numbers.Table, Set: set(1), Token: 1}); err == nil {
			s.Fatal("raised a fence after Close")
		}
		s.must(s.w.Close())
	}},
}

var crashCases = []testCase{
	{"after staging nothing was published", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		s.raise(numbers, set(1), 2)
		s.stage(numbers, set(1), "a-2", s.query(row{1, 1, 2}))
		s.w = s.Crash(s.T)
		s.holds(row{1, 1, 1})
		if m := s.markers(numbers, set(1)); len(m) != 1 || m[0].Attempt != "a-1" {
			s.Fatalf("markers %v", m)
		}
		// The fence stood: the attempt before it may not publish any more, the next may.
		_, err := s.w.Publish(s.ctx, publication(numbers, s.stage(numbers, set(1), "a-1", s.query(row{1, 1, 3})), set(1), 1))
		s.fenced(err, set(1), 2)
		s.write(numbers, set(1), 3, s.query(row{1, 1, 4}))
		s.holds(row{1, 1, 4})
	}},
	{"after publishing everything was published", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		s.raise(numbers, set(1), 2)
		done := s.publish(numbers, s.stage(numbers, set(1), "a-2", s.query(row{1, 1, 2})), set(1), 2)
		s.w = s.Crash(s.T)
		s.holds(row{1, 1, 2}, row{2, 1, 1})
		if m := s.markers(numbers, set(1)); len(m) != 1 || m[0].Attempt != "a-2" || m[0].Fingerprint != done.Inserted[0].Fingerprint {
			s.Fatalf("markers %v", m)
		}
	}},
	{"fingerprints are the same in another process", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		before := s.contents(numbers, calendar.All())
		s.w = s.Crash(s.T)
		if after := s.contents(numbers, calendar.All()); !slices.Equal(before, after) {
			s.Fatalf("%v became %v", before, after)
		}
	}},
}
