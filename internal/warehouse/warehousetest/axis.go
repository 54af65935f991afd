package warehousetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// instants are moments around changes of clocks, and a few drawn at random.
func instants(axis calendar.Axis, r *rand.Rand) []time.Time {
	var out []time.Time
	for _, around := range []time.Time{
		time.Date(2024, 3, 10, 7, 0, 0, 0, time.UTC), time.Date(2024, 11, 3, 6, 0, 0, 0, time.UTC), // New York
		time.Date(2024, 3, 31, 1, 0, 0, 0, time.UTC), time.Date(2010, 11, 7, 2, 31, 0, 0, time.UTC), // Berlin; St. John's, at a minute past midnight
		time.Date(2011, 12, 30, 10, 0, 0, 0, time.UTC), // Apia skips a day
	} {
		for h := -6; h <= 6; h++ {
			at := around.Add(time.Duration(h) * 30 * time.Minute)
			out = append(out, at, at.Add(-time.Second), at.Add(time.Duration(r.IntN(1800))*time.Second))
		}
	}
	for range 30 {
		start := axis.Start(axis.At(time.Unix(r.Int64N(4e9)-2e9, 0)))
		out = append(out, start, start.Add(-time.Second), start.Add(time.Duration(r.IntN(100_000))*time.Second))
	}
	return out
}

// assigned demands that the warehouse puts each row into the partition that the calendar does. values[i] is a row's time in SQL.
func (s *store) assigned(kind string, axis calendar.Axis, values []string, want []calendar.Partition) {
	s.Helper()
	target := table(fmt.Sprintf("assigned_%s_%s_%s", kind, axis.Grain, strings.ToLower(strings.ReplaceAll(axis.Zone, "/", "_"))))
	target.Axis = axis
	counts := map[calendar.Partition]int64{}
	parts := make([]string, len(values))
	for i, v := range values {
		counts[want[i]]++
		parts[i] = fmt.Sprintf("(%s, %d)", v, i)
	}
	query := "select d, i from (values " + strings.Join(parts, ", ") + ") as q(d, i)"
	all := calendar.Of(want...)
	bounds := calendar.NewSet(all.Bounds())
	stage := s.stage(target, bounds, "a", query)
	if len(stage.Contents) != len(counts) {
		s.Fatalf("%v: rows in %d partitions, want %d", axis, len(stage.Contents), len(counts))
	}
	for _, c := range stage.Contents {
		if c.Rows != counts[c.Partition] {
			s.Fatalf("%v: %d rows in %s, want %d", axis, c.Rows, axis.ID(c.Partition), counts[c.Partition])
		}
	}
	// Publish every second of them: exactly their rows, and again.
	var half []calendar.Partition
	for i, p := range slices.Collect(all.Partitions()) {
		if i%2 == 0 {
			half = append(half, p)
		}
	}
	some := calendar.Of(half...)
	for token := range 2 {
		s.must(s.w.Raise(s.ctx, warehouse.Fence{Table: target.Table, Set: some, Token: 1}))
		done := s.publish(target, stage, some, 1)
		if len(done.Inserted) != len(half) || len(done.Replaced) != token*len(half) {
			s.Fatalf("%v: inserted %d, replaced %d, want %d", axis, len(done.Inserted), len(done.Replaced), len(half))
		}
	}
	for _, few := range []calendar.Set{calendar.Of(half[0]), calendar.Of(half[0], half[len(half)/2]), some} {
		if got := s.contents(target, few); len(got) != few.Count() {
			s.Fatalf("%v: contents of %s: %v", axis, axis.FormatSet(few, 4), got)
		}
	}
	s.must(s.w.Discard(s.ctx, stage))
}

// columnOf writes instants as the values of a column, and says in which partition each lies by that column.
func (s *store) columnOf(kind string, axis calendar.Axis, at []time.Time) (values []string, want []calendar.Partition) {
	utc := calendar.Axis{Grain: axis.Grain}
	for _, t := range at {
		text := t.UTC().Format("2006-01-02 15:04:05")
		switch kind {
		case "instant":
			values = append(values, fmt.Sprintf("cast('%s+00' as %s)", text, s.Instant))
			want = append(want, axis.At(t))
		case "civil": // UTC for hours, the zone's clock for days and months
			values = append(values, fmt.Sprintf("cast('%s' as %s)", text, s.Timestamp))
			if axis.Grain == calendar.Hour {
				want = append(want, axis.At(t))
			} else {
				want = append(want, utc.At(t))
			}
		case "date":
			values = append(values, fmt.Sprintf("cast('%s' as date)", text[:len(time.DateOnly)]))
			want = append(want, utc.At(t))
		case "text":
			values = append(values, "'"+text[:len(time.DateOnly)]+"'")
			want = append(want, utc.At(t))
		case "month":
			values = append(values, "'"+text[:len("2006-01")]+"'")
			want = append(want, utc.At(t))
		}
	}
	return values, want
}

var axisCases = []testCase{
	{"rows lie in the partitions in which the calendar puts them", func(s *store) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, zone := range []string{"", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"} {
			for _, grain := range []calendar.Grain{calendar.Hour, calendar.Day, calendar.Month} {
				axis := calendar.Axis{Grain: grain, Zone: zone}
				kinds := []string{"instant", "civil"}
				if grain != calendar.Hour {
					kinds = append(kinds, "date", "text")
				}
				if grain == calendar.Month {
					kinds = append(kinds, "month")
				}
				if calendar.CheckAxis(axis) != nil {
					continue
				}
				at := instants(axis, r)
				for _, kind := range kinds {
					values, want := s.columnOf(kind, axis, at)
					s.assigned(kind, axis, values, want)
				}
			}
		}
	}},
	{"days have 23 and 25 hours", func(s *store) {
		hourly := table("hourly")
		hourly.Axis = calendar.Axis{Grain: calendar.Hour, Zone: "America/New_York"}
		for _, day := range []struct {
			date  calendar.Date
			hours int
		}{{calendar.DateOf(2024, 3, 10), 23}, {calendar.DateOf(2024, 7, 4), 24}, {calendar.DateOf(2024, 11, 3), 25}} {
			hours := calendar.NewSet(daily.Convert(calendar.Single(calendar.Partition(day.date)), hourly.Axis))
			stage := s.stage(hourly, hours, "a", "select partition_start as d, 1 as v from "+s.w.Cells(hourly.Axis, hours, nil)+" as c")
			if len(stage.Contents) != day.hours {
				s.Fatalf("%v has %d hours, want %d", day.date, len(stage.Contents), day.hours)
			}
			s.raise(hourly, hours, 1)
			s.publish(hourly, stage, hours, 1)
			// A bound written as a literal selects the same rows.
			bounds := hours.Bounds()
			got := s.stage(hourly, hours, "b", fmt.Sprintf("select * from %s where d >= %s and d < %s", s.w.Relation("hourly"),
				s.w.Literal(hourly.Axis, bounds.Start), s.w.Literal(hourly.Axis, bounds.End)))
			if !slices.Equal(got.Contents, stage.Contents) {
				s.Fatalf("%v: literals select %v", day.date, got.Contents)
			}
		}
	}},
	{"a date compared with an instant is midnight in the table's zone", func(s *store) {
		events := table("events")
		var values []string
		for h := range 72 {
			values = append(values, fmt.Sprintf("(cast('%s+00' as %s), %d)", time.Date(2024, 1, 1, h, 30, 0, 0, time.UTC).Format(time.DateTime), s.Instant, h))
		}
		all := "(select d, i from (values " + strings.Join(values, ", ") + ") as q(d, i)) as e"
		stage := s.stage(events, set(2), "a", fmt.Sprintf("select d, i from %s where d >= %s and d < %s", all, s.w.Literal(daily, first+2), s.w.Literal(daily, first+3)))
		if len(stage.Contents) != 1 || stage.Contents[0].Rows != 24 {
			s.Fatalf("contents %v", stage.Contents)
		}
	}},
	{"text that is no date lies in no partition", func(s *store) {
		for _, bad := range []string{"'soon'", "'20240101'", "''"} {
			s.outside(s.stageFails(table("texts"), set(1), "select "+bad+" as d, 77 as k"), 1, 1, "77")
		}
	}},
	{"open intervals hold everything on their side", func(s *store) {
		s.write(numbers, set(1, 2, 3), 1, s.query(row{1, 1, 1}, row{2, 1, 1}, row{3, 1, 1}))
		for _, c := range []struct {
			iv   calendar.Interval
			want int
		}{
			{calendar.Everything(), 3},
			{calendar.Interval{Start: first + 2, End: calendar.Horizon}, 2},
			{calendar.Interval{Start: calendar.Beginning, End: first + 2}, 1},
		} {
			if got := s.contents(numbers, calendar.NewSet(c.iv)); len(got) != c.want {
				s.Fatalf("contents of %v: %v", c.iv, got)
			}
			if got := s.markers(numbers, calendar.NewSet(c.iv)); len(got) != c.want {
				s.Fatalf("markers of %v: %v", c.iv, got)
			}
		}
	}},
}
