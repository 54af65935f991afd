package calendar

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWeekdays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := Partition(rapid.Int64Range(-30_000, 30_000).Draw(t, "start"))
		iv := Interval{start, start + Partition(rapid.IntRange(-2, 40).Draw(t, "length"))}
		got := Weekdays(iv)
		if !got.Equal(NewSet(got.Intervals()...)) {
			t.Fatalf("%v is not canonical", got)
		}
		for p := iv.Start - 10; p < iv.End+10; p++ {
			w := time.Unix(int64(p)*86400, 0).UTC().Weekday()
			if want := iv.Contains(p) && w != time.Saturday && w != time.Sunday; got.Contains(p) != want {
				t.Fatalf("%v: %s, a %s, is in: %v", iv, Date(p), w, !want)
			}
		}
	})
	all := Weekdays(Everything())
	first, _ := all.First()
	last, _ := all.Last()
	if Date(first).String() != "0001-01-01" || Date(last).String() != "9999-12-31" {
		t.Errorf("all weekdays go from %s to %s", Date(first), Date(last))
	}
	if !EveryCell(Interval{3, 5}).Equal(Of(3, 4)) || !EveryCell(Interval{5, 3}).Empty() {
		t.Error("every cell of an interval is not its members")
	}
}

func TestLists(t *testing.T) {
	day := newYork[Day]
	got, err := ParseList(day, []string{"2024-01-06", "2024-01-05", "2024-01-09", "2024-01-05"})
	want := FromDates(DateOf(2024, 1, 9), DateOf(2024, 1, 5), DateOf(2024, 1, 6), DateOf(2024, 1, 5))
	if err != nil || !got.Equal(want) || got.Count() != 3 {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err = ParseList(day, nil); err != nil || !got.Empty() {
		t.Errorf("an empty list is %v, %v", got, err)
	}
	_, err = ParseList(day, []string{"2024-01-05", "2024-01-32", "x"})
	var bad *ListError
	if !errors.As(err, &bad) || bad.Index != 1 || !strings.Contains(err.Error(), `entry 2: "2024-01-32"`) {
		t.Errorf("error %v does not name the second entry", err)
	}
}

func seasons() Period {
	return Period{[]Interval{
		{Partition(DateOf(2021, 10, 19)), Partition(DateOf(2022, 6, 17))},
		{Partition(DateOf(2022, 6, 20)), Partition(DateOf(2023, 6, 13))},
	}}
}

func TestContaining(t *testing.T) {
	month, hour := newYork[Month], newYork[Hour]
	for _, c := range []struct {
		a    Axis
		id   string
		want string
	}{
		{newYork[Day], "2021-10-18", ""},
		{newYork[Day], "2021-10-19", "2021-10-19..2022-06-16"},
		{newYork[Day], "2022-06-16", "2021-10-19..2022-06-16"},
		{newYork[Day], "2022-06-17", ""},
		{newYork[Day], "2022-06-19", ""},
		{newYork[Day], "2022-06-20", "2022-06-20..2023-06-12"},
		{newYork[Day], "2023-06-13", ""},
		{month, "2021-09", ""},
		{month, "2021-10", "2021-10..2022-06"},
		{month, "2022-06", "2021-10..2022-06"}, // reaches into both
		{month, "2022-07", "2022-06..2023-06"},
		{month, "2023-07", ""},
		{hour, "2021-10-18T23", ""},
		{hour, "2021-10-19T00", "2021-10-19T00:00:00-04:00..2022-06-16T23:00:00-04:00"},
		{hour, "2022-06-16T23", "2021-10-19T00:00:00-04:00..2022-06-16T23:00:00-04:00"},
	} {
		p, err := c.a.Parse(c.id)
		if err != nil {
			t.Fatal(err)
		}
		iv, ok := seasons().Containing(c.a, p)
		if ok != (c.want != "") || ok && c.a.FormatRange(iv) != c.want {
			t.Errorf("%s lies in %s, %v; want %s", c.id, c.a.FormatRange(iv), ok, c.want)
		}
	}
	if iv, ok := (Period{}).Containing(newYork[Day], 5); ok {
		t.Errorf("a period without intervals contains a day in %v", iv)
	}
	if iv, ok := seasons().Containing(Whole(), 0); !ok || iv != Single(0) {
		t.Errorf("the one partition of a table lies in %v, %v", iv, ok)
	}
}

// drawPeriod draws a period between 2000 and 2030.
func drawPeriod(t *rapid.T) Period {
	var pd Period
	at := DateOf(2000, 1, 1)
	for range rapid.IntRange(0, 6).Draw(t, "intervals") {
		at += Date(rapid.IntRange(0, 400).Draw(t, "gap"))
		end := at + Date(rapid.IntRange(1, 400).Draw(t, "length"))
		pd.Intervals = append(pd.Intervals, Interval{Partition(at), Partition(end)})
		at = end
	}
	return pd
}

func TestPeriodsAgreeWithDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pd := drawPeriod(t)
		a := Axis{rapid.SampledFrom([]Grain{Day, Month}).Draw(t, "grain"), "Europe/Berlin"}
		day := Axis{Day, a.Zone}
		cell := func(p Partition) []Partition { // its days
			return slices.Collect(EveryCell(a.Convert(Single(p), day)).Partitions())
		}
		for range 20 {
			p := a.At(time.Unix(rapid.Int64Range(940_000_000, 1_900_000_000).Draw(t, "second"), 0))
			iv, ok := pd.Containing(a, p)
			want := slices.IndexFunc(pd.Intervals, func(iv Interval) bool {
				return slices.ContainsFunc(cell(p), iv.Contains)
			})
			if ok != (want >= 0) {
				t.Fatalf("%s lies in %v: %v", a.ID(p), pd, ok)
			}
			if !ok {
				continue
			}
			if iv != pd.On(a)[want] || !iv.Contains(p) {
				t.Fatalf("%s lies in %v, want %v", a.ID(p), iv, pd.On(a)[want])
			}
			for _, edge := range []struct {
				p  Partition
				in bool
			}{{iv.Start - 1, false}, {iv.Start, true}, {iv.End - 1, true}, {iv.End, false}} {
				if got := slices.ContainsFunc(cell(edge.p), pd.Intervals[want].Contains); got != edge.in {
					t.Fatalf("%v as %v: %s overlaps: %v", pd.Intervals[want], iv, a.ID(edge.p), got)
				}
			}
		}
	})
}

func TestFirstOfAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pd := drawPeriod(t)
		a := Axis{rapid.SampledFrom([]Grain{Day, Month}).Draw(t, "grain"), ""}
		n := rapid.OneOf(rapid.IntRange(-1, 20), rapid.Just(math.MaxInt)).Draw(t, "n")
		bounds := Axis{Day, ""}.Convert(Interval{Partition(DateOf(2000, 1, 1)), Partition(DateOf(2008, 1, 1))}, a)
		var expected []Partition
		for p := bounds.Start; p < bounds.End; p++ {
			if rapid.IntRange(0, 9).Draw(t, "expected") < 6 {
				expected = append(expected, p)
			}
		}
		var want []Partition
		for _, iv := range pd.On(a) {
			taken := 0
			for _, p := range expected {
				if iv.Contains(p) && taken < n {
					want = append(want, p)
					taken++
				}
			}
		}
		if got := FirstOf(pd, NewIndex(Of(expected...)), n, a); !got.Equal(Of(want...)) {
			t.Fatalf("the first %d of %v: %s, want %s", n, pd, a.FormatSet(got, 50), a.FormatSet(Of(want...), 50))
		}
	})
}
