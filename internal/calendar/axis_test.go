package calendar

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests must not depend on the machine's zones

	"pgregory.net/rapid"
)

// Places and times where something happens to the clock; windows of a few days around them are searched instant by instant.
var moments = []struct {
	zone string
	at   time.Time
	why  string
}{
	{"", date(2024, 3, 10), "nothing"},
	{"America/New_York", date(2024, 3, 10), "02:00 becomes 03:00"},
	{"America/New_York", date(2024, 11, 3), "02:00 becomes 01:00"},
	{"Europe/Berlin", date(2024, 3, 31), "02:00 becomes 03:00"},
	{"Europe/Berlin", date(2024, 10, 27), "03:00 becomes 02:00"},
	{"Asia/Kolkata", date(2024, 2, 29), "half an hour off the hour"},
	{"Asia/Kathmandu", date(2024, 2, 29), "a quarter off the hour"},
	{"Australia/Lord_Howe", date(2024, 4, 6), "02:00 becomes 01:30"},
	{"Australia/Lord_Howe", date(2024, 10, 5), "02:00 becomes 02:30"},
	{"America/Sao_Paulo", date(2018, 11, 4), "midnight becomes 01:00"},
	{"America/Sao_Paulo", date(2018, 2, 18), "midnight becomes 23:00"},
	{"America/Havana", date(2024, 3, 10), "midnight becomes 01:00"},
	{"America/Havana", date(2024, 11, 3), "01:00 becomes midnight"},
	{"Asia/Beirut", date(2023, 3, 29), "midnight becomes 01:00"},
	{"Asia/Beirut", date(2023, 10, 28), "midnight becomes 23:00"},
	{"America/St_Johns", date(2006, 4, 2), "00:01 becomes 01:01"},
	{"America/St_Johns", date(2006, 10, 29), "00:01 becomes 23:01"},
	{"America/Toronto", date(1919, 3, 30), "23:30 becomes 00:30"},
	{"Pacific/Apia", date(2011, 12, 30), "2011-12-30 is skipped"},
	{"Pacific/Kwajalein", date(1969, 9, 30), "a day of 47 hours"},
	{"Antarctica/Troll", date(2022, 10, 30), "two hours back"},
	{"America/New_York", date(2040, 12, 31), "the last day of a leap year that no table of the zone reaches"},
	{"Africa/Monrovia", date(1972, 1, 7), "from 44 minutes 30 seconds behind to none"},
}

// wallZones is each zone of moments once.
func wallZones() []string {
	var names []string
	for _, m := range moments {
		if !slices.Contains(names, m.zone) {
			names = append(names, m.zone)
		}
	}
	return names
}

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// cells tells, for instants half a minute apart, in which cell of an axis each lies: the naive model. A day begins when the clock
// first shows its date and lasts until the clock first shows a later one.
func cells(a Axis, from time.Time, n int) []Partition {
	loc, err := LoadZone(a.Zone)
	if err != nil {
		panic(err)
	}
	out := make([]Partition, n)
	highest := Beginning
	for i := -2 * 24 * 120; i < n; i++ {
		t := from.Add(time.Duration(i) * 30 * time.Second)
		var p Partition
		if a.Grain == Hour {
			p = Partition(floorDiv(t.Unix()+phaseOf(loc), 3600))
		} else {
			y, m, d := t.In(loc).Date()
			p = Partition(floorDiv(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix(), 86400))
			if a.Grain == Month {
				p = Partition(12*(y-1970) + int(m) - 1)
			}
		}
		highest = max(highest, p)
		if i >= 0 {
			out[i] = highest
		}
	}
	return out
}

func phaseOf(loc *time.Location) int64 {
	_, offset := date(2020, 1, 1).In(loc).Zone()
	return (int64(offset)%3600 + 3600) % 3600
}

func axesOf(zone string) []Axis { return []Axis{{Hour, zone}, {Day, zone}, {Month, zone}} }

const window = 7 * 24 * 120 // instants half a minute apart

func TestInstantsAgreeWithTheClock(t *testing.T) {
	for _, m := range moments {
		t.Run(m.zone+" "+m.at.Format(time.DateOnly)+" "+m.why, func(t *testing.T) {
			from := m.at.Add(-3 * 24 * time.Hour)
			for _, a := range axesOf(m.zone) {
				naive := cells(a, from, window)
				for i, p := range naive {
					at := from.Add(time.Duration(i) * 30 * time.Second)
					if got := a.At(at); got != p {
						t.Fatalf("%v: %s lies in %s, want %s", a, at.Format(time.RFC3339), a.ID(got), a.ID(p))
					}
					if i == 0 || naive[i-1] == p {
						continue
					}
					// Every cell from the last one's next to this one begins here; those between have no time at all.
					for q := naive[i-1] + 1; q <= p; q++ {
						if got := a.Start(q); !got.Equal(at) {
							t.Fatalf("%v: %s starts at %s, want %s", a, a.ID(q), got.Format(time.RFC3339), at.Format(time.RFC3339))
						}
					}
				}
			}
		})
	}
}

func TestConvertAgreesWithInstants(t *testing.T) {
	for _, m := range moments {
		from := m.at.Add(-3 * 24 * time.Hour)
		var axes []Axis
		var naive [][]Partition
		for _, zone := range []string{m.zone, "", "America/New_York", "Asia/Kolkata"} {
			for _, a := range axesOf(zone) {
				axes = append(axes, a)
				naive = append(naive, cells(a, from, window))
			}
		}
		for i, a := range axes {
			for j, b := range axes {
				starts := changes(naive[i])
				for k := range len(starts) - 1 {
					lo, hi := starts[k], starts[k+1]
					p := naive[i][lo]
					want := Interval{naive[j][lo], naive[j][hi-1] + 1}
					if got := a.Convert(Single(p), b); got != want {
						t.Fatalf("%s (%s): %s of %v is %s of %v, want %s", m.zone, m.why, a.ID(p), a, b.FormatRange(got), b, b.FormatRange(want))
					}
				}
			}
		}
	}
}

// changes are the indexes at which a cell begins within the window.
func changes(naive []Partition) []int {
	var out []int
	for i := 1; i < len(naive); i++ {
		if naive[i] != naive[i-1] {
			out = append(out, i)
		}
	}
	return out
}

func TestConvertOfRanges(t *testing.T) {
	ny := func(g Grain) Axis { return Axis{g, "America/New_York"} }
	day := func(y int, m time.Month, d int) Partition { return Partition(DateOf(y, m, d)) }
	for _, c := range []struct {
		name string
		a    Axis
		iv   Interval
		to   Axis
		want Interval
	}{
		{"empty", ny(Day), Interval{5, 5}, ny(Month), Interval{}},
		{"inverted", ny(Day), Interval{9, 5}, ny(Hour), Interval{}},
		{"itself", ny(Day), Interval{3, 5}, ny(Day), Interval{3, 5}},
		{"days to months", ny(Day), Interval{day(2024, 1, 31), day(2024, 3, 1)}, ny(Month), Interval{MonthOf(2024, 1), MonthOf(2024, 3)}},
		{"days into the next month", ny(Day), Interval{day(2024, 1, 31), day(2024, 3, 2)}, ny(Month), Interval{MonthOf(2024, 1), MonthOf(2024, 4)}},
		{"month to days", ny(Month), Single(MonthOf(2024, 2)), ny(Day), Interval{day(2024, 2, 1), day(2024, 3, 1)}},
		{"to whole", ny(Month), Interval{3, 5}, Whole(), Single(0)},
		{"from whole", Whole(), Single(0), ny(Day), Everything()},
		{"whole to whole", Whole(), Single(0), Whole(), Single(0)},
		{"open", ny(Day), Everything(), ny(Month), Everything()},
		{"open in hours", ny(Day), Everything(), Axis{Hour, "Asia/Kolkata"}, Everything()},
		{"open end", ny(Day), Interval{day(2024, 1, 31), Horizon}, ny(Month), Interval{MonthOf(2024, 1), Horizon}},
		{"open start", ny(Month), Interval{Beginning, MonthOf(2024, 2)}, ny(Day), Interval{Beginning, day(2024, 2, 1)}},
		{"day to another zone", ny(Day), Single(day(2024, 2, 1)), Axis{Day, "Europe/Berlin"}, Interval{day(2024, 2, 1), day(2024, 2, 3)}},
	} {
		if got := c.a.Convert(c.iv, c.to); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestConvertSetJoinsWhatMeets(t *testing.T) {
	day, month := Axis{Day, ""}, Axis{Month, ""}
	s := Of(Partition(DateOf(2024, 1, 5)), Partition(DateOf(2024, 1, 20)), Partition(DateOf(2024, 2, 1)), Partition(DateOf(2024, 5, 1)))
	want := NewSet(Interval{MonthOf(2024, 1), MonthOf(2024, 3)}, Single(MonthOf(2024, 5)))
	if got := day.ConvertSet(s, month); !got.Equal(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if got := day.ConvertSet(s, day); !got.Equal(s) {
		t.Fatalf("%v, want %v", got, s)
	}
	if got := day.ConvertSet(Set{}, month); !got.Empty() {
		t.Fatalf("%v, want nothing", got)
	}
}

func TestDaysOf23And25Hours(t *testing.T) {
	for _, c := range []struct {
		zone string
		day  Date
		want int
	}{
		{"America/New_York", DateOf(2024, 3, 10), 23},
		{"America/New_York", DateOf(2024, 3, 11), 24},
		{"America/New_York", DateOf(2024, 11, 3), 25},
		{"Europe/Berlin", DateOf(2024, 3, 31), 23},
		{"Europe/Berlin", DateOf(2024, 10, 27), 25},
		{"America/Sao_Paulo", DateOf(2018, 11, 4), 23},
		{"America/Sao_Paulo", DateOf(2018, 2, 17), 25},
		{"Asia/Beirut", DateOf(2023, 10, 28), 25},
		{"Asia/Kolkata", DateOf(2024, 3, 10), 24},
		{"Pacific/Apia", DateOf(2011, 12, 29), 24},
		{"Pacific/Apia", DateOf(2011, 12, 30), 0},
		{"Pacific/Apia", DateOf(2011, 12, 31), 24},
	} {
		day, hour := Axis{Day, c.zone}, Axis{Hour, c.zone}
		hours := day.Convert(Single(Partition(c.day)), hour)
		if hours.Count() != c.want {
			t.Errorf("%s in %s has %d hours, want %d", c.day, c.zone, hours.Count(), c.want)
		}
		start, end := day.Instants(Partition(c.day))
		if got := end.Sub(start); got != time.Duration(c.want)*time.Hour {
			t.Errorf("%s in %s lasts %s, want %d hours", c.day, c.zone, got, c.want)
		}
		for h := hours.Start; h < hours.End; h++ {
			if back := hour.Convert(Single(h), day); back != Single(Partition(c.day)) {
				t.Errorf("hour %s of %s lies in %v", hour.ID(h), c.day, back)
			}
		}
	}
}

func TestNothingOverflows(t *testing.T) {
	extremes := []Partition{math.MinInt64, Beginning - 1, Beginning, Beginning + 1, -farHours, -1, 0, 1, farMonths, farHours, Horizon - 1, Horizon, math.MaxInt64}
	var axes []Axis
	for _, zone := range []string{"", "America/New_York", "Asia/Kolkata"} {
		axes = append(axes, axesOf(zone)...)
	}
	for _, a := range axes {
		for i, p := range extremes {
			start, end := a.Instants(p)
			if end.Before(start) {
				t.Errorf("%v: partition %d ends at %v, before its start %v", a, p, end, start)
			}
			if a.Due(p, time.Hour).Before(start) {
				t.Errorf("%v: partition %d is due at %v, before its start %v", a, p, a.Due(p, time.Hour), start)
			}
			for _, q := range extremes[i+1:] {
				if a.Start(q).Before(a.Start(p)) {
					t.Errorf("%v: %d starts before %d", a, q, p)
				}
				for _, b := range axes {
					iv := Interval{p, q}.Intersect(Everything())
					got := a.Convert(iv, b)
					if got.Empty() != iv.Empty() || got.Intersect(Everything()) != got {
						t.Errorf("%v of %v is %v of %v", iv, a, got, b)
					}
				}
			}
		}
		for _, sec := range []int64{math.MinInt64, -1 << 60, -1 << 50, 0, 1 << 50, 1 << 60, math.MaxInt64} {
			if p := a.At(time.Unix(sec, 0)); p < -a.Grain.far()-1 || p > a.Grain.far()+1 {
				t.Errorf("%v: second %d lies in partition %d", a, sec, p)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	ny := func(g Grain) Axis { return Axis{g, "America/New_York"} }
	for _, c := range []struct {
		a    Axis
		at   time.Time
		want string
	}{
		{ny(Month), date(2024, 1, 5), "2024-01"},
		{ny(Day), date(2024, 1, 5).Add(12 * time.Hour), "2024-01-05"},
		{ny(Day), date(2024, 1, 5), "2024-01-04"},
		{ny(Hour), date(2024, 1, 5).Add(18*time.Hour + 59*time.Minute), "2024-01-05T13:00:00-05:00"},
		{ny(Hour), date(2024, 11, 3).Add(5 * time.Hour), "2024-11-03T01:00:00-04:00"},
		{ny(Hour), date(2024, 11, 3).Add(6 * time.Hour), "2024-11-03T01:00:00-05:00"},
		{Axis{Hour, ""}, date(2024, 1, 5), "2024-01-05T00:00:00Z"},
		{Axis{Hour, "Asia/Kolkata"}, date(2024, 1, 5), "2024-01-05T05:00:00+05:30"},
		{Whole(), date(2024, 1, 5), "all"},
	} {
		if got := c.a.ID(c.a.At(c.at)); got != c.want {
			t.Errorf("%v: %s, want %s", c.a, got, c.want)
		}
	}
}

func TestGrains(t *testing.T) {
	for _, g := range []Grain{None, Hour, Day, Month} {
		if got, err := ParseGrain(g.String()); got != g || err != nil {
			t.Errorf("%s: %v, %v", g, got, err)
		}
	}
	for _, s := range []string{"", "Day", "days", "week"} {
		if _, err := ParseGrain(s); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
			t.Errorf("%q: error %v does not name it", s, err)
		}
	}
}

func TestCheckAxis(t *testing.T) {
	for _, c := range []struct {
		a    Axis
		want string // part of the error; "" for none
	}{
		{Axis{Hour, ""}, ""},
		{Axis{Hour, "UTC"}, ""},
		{Axis{Hour, "America/New_York"}, ""},
		{Axis{Hour, "Asia/Kolkata"}, ""},
		{Axis{Hour, "Asia/Singapore"}, ""},   // moved from 07:30 to 08:00 in 1982
		{Axis{Hour, "Africa/Monrovia"}, ""},  // has been on the hour since 1972
		{Axis{Hour, "Antarctica/Troll"}, ""}, // two hours forth and back
		{Axis{Hour, "Pacific/Apia"}, ""},
		{Axis{Hour, "Australia/Lord_Howe"}, "Australia/Lord_Howe: its clock moved by a part of an hour on 20"},
		{Axis{Hour, "America/Caracas"}, "America/Caracas: its clock moved by a part of an hour on 2007-12-09"},
		{Axis{Hour, "Asia/Colombo"}, "on 2006-04-15"},
		{Axis{Day, "Australia/Lord_Howe"}, ""},
		{Axis{Month, "Australia/Lord_Howe"}, ""},
		{Whole(), ""},
		{Axis{Day, "America/New_york"}, `time zone "America/New_york" is not known`},
		{Axis{Day, "Local"}, "another thing on every machine"},
		{Axis{Day, "localtime"}, "another thing on every machine"},
		{Axis{Day, "right/America/New_York"}, "another thing on every machine"},
		{Axis{Day, "../etc/passwd"}, "is not known"},
		{Axis{Grain(9), ""}, "9"},
	} {
		err := CheckAxis(c.a)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.a, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v: error %v, want one with %q", c.a, err, c.want)
		}
	}
}

func TestStretchesFollowOneAnother(t *testing.T) {
	for _, zone := range wallZones() {
		loc, err := LoadZone(zone)
		if err != nil {
			t.Fatal(err)
		}
		sec, n := date(1960, 1, 1).Unix(), 0
		for sec < date(2070, 1, 1).Unix() {
			s := stretchAt(sec, loc)
			if s.start > sec || s.end <= sec {
				t.Fatalf("%s: second %d lies in no stretch of its own: %+v", zone, sec, s)
			}
			if n++; n > 2000 {
				t.Fatalf("%s: no end of stretches at second %d", zone, sec)
			}
			sec = s.end
		}
	}
}

func TestDueIsDueBefore(t *testing.T) {
	zones := wallZones()
	rapid.Check(t, func(t *rapid.T) {
		a := Axis{rapid.SampledFrom([]Grain{Hour, Day, Month}).Draw(t, "grain"), rapid.SampledFrom(zones).Draw(t, "zone")}
		around := rapid.SampledFrom(moments).Draw(t, "moment").at
		now := around.Add(time.Duration(rapid.Int64Range(-3*86400, 3*86400).Draw(t, "seconds")) * time.Second)
		now = now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "nanosecond")))
		after := time.Duration(rapid.Int64Range(-40*3600, 40*3600).Draw(t, "after")) * time.Second
		due := a.DueBefore(now, after)
		middle := a.At(now.Add(-after))
		for _, p := range []Partition{Beginning, middle - 2, middle - 1, middle, middle + 1, middle + 2, Horizon - 1} {
			if got, want := due.Contains(p), !now.Before(a.Due(p, after)); got != want {
				t.Fatalf("%v, after %s: at %s, %d is due: %v; but it is due at %s", a, after, now, p, got, a.Due(p, after))
			}
		}
	})
}

func TestDueTimes(t *testing.T) {
	day := Axis{Day, "America/New_York"}
	if got, want := day.Due(Partition(DateOf(2024, 3, 10)), 6*time.Hour), "2024-03-11T06:00:00-04:00"; got.Format(time.RFC3339) != want {
		t.Errorf("due %s, want %s", got.Format(time.RFC3339), want)
	}
	if got, want := day.Due(Partition(DateOf(2024, 3, 9)), 6*time.Hour), "2024-03-10T07:00:00-04:00"; got.Format(time.RFC3339) != want {
		t.Errorf("due %s, want %s: six hours pass, not six hour marks", got.Format(time.RFC3339), want)
	}
	if got := Whole().Due(0, time.Hour); !got.IsZero() {
		t.Errorf("an unpartitioned table is due at %s, want always", got)
	}
	if got := Whole().DueBefore(date(2024, 1, 1), time.Hour); got != Single(0) {
		t.Errorf("of an unpartitioned table %v is due, want its one partition", got)
	}
}
