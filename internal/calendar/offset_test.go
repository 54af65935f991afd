package calendar

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestOffsets(t *testing.T) {
	ny := newYork
	utcDay := Axis{Day, ""}
	for _, c := range []struct {
		a        Axis
		id       string
		unit     Grain
		from, to int
		input    Axis
		want     string
	}{
		{ny[Day], "2024-01-05", Day, 0, 0, ny[Day], "2024-01-05"},
		{ny[Day], "2024-01-05", Day, -7, -1, ny[Day], "2023-12-29..2024-01-04"},
		{ny[Day], "2024-01-05", Day, 1, 2, ny[Day], "2024-01-06..2024-01-07"},
		{ny[Day], "2024-03-05", Day, -7, -1, ny[Month], "2024-02..2024-03"},
		{ny[Day], "2024-03-08", Day, -7, -1, ny[Month], "2024-03"},
		{ny[Day], "2024-03-11", Day, -1, -1, ny[Hour], "2024-03-10T00:00:00-05:00..2024-03-10T23:00:00-04:00"},
		{ny[Day], "2024-01-05", Day, -1, -1, utcDay, "2024-01-04..2024-01-05"},
		{ny[Day], "2024-03-28", Month, -1, -1, ny[Day], "2024-02-28"},
		{ny[Day], "2024-03-29", Month, -1, -1, ny[Day], "2024-02-29"},
		{ny[Day], "2024-03-30", Month, -1, -1, ny[Day], "2024-02-29"},
		{ny[Day], "2024-03-31", Month, -1, -1, ny[Day], "2024-02-29"},
		{ny[Day], "2023-03-31", Month, -1, 0, ny[Day], "2023-02-28..2023-03-31"},
		{ny[Day], "2024-03-31", Month, -1, -1, ny[Month], "2024-02"},
		{ny[Day], "2024-02-29", Month, 1, 1, ny[Day], "2024-03-29"},
		{ny[Day], "2024-03-10", Hour, 0, 0, ny[Hour], "2024-03-10T00:00:00-05:00..2024-03-10T23:00:00-04:00"},
		{ny[Day], "2024-03-10", Hour, -2, -25, ny[Hour], "none"},
		{ny[Day], "2024-03-10", Hour, -2, 1, ny[Hour], "2024-03-09T22:00:00-05:00..2024-03-11T00:00:00-04:00"},
		{ny[Day], "2024-03-10", Hour, -2, 0, ny[Day], "2024-03-09..2024-03-10"},

		{ny[Month], "2024-02", Day, -7, 0, ny[Day], "2024-01-25..2024-02-29"},
		{ny[Month], "2024-02", Day, -7, -1, ny[Day], "2024-01-25..2024-02-28"},
		{ny[Month], "2024-02", Month, -1, -1, ny[Day], "2024-01-01..2024-01-31"},
		{ny[Month], "2024-03", Month, -1, -1, ny[Day], "2024-02-01..2024-02-29"},
		{ny[Month], "2024-02", Month, -12, -1, ny[Month], "2023-02..2024-01"},
		{ny[Month], "2024-02", Day, -1, 0, ny[Month], "2024-01..2024-02"},
		{ny[Month], "2024-03", Month, 0, 0, ny[Hour], "2024-03-01T00:00:00-05:00..2024-03-31T23:00:00-04:00"},

		{ny[Hour], "2024-01-05T00", Hour, -2, -1, ny[Hour], "2024-01-04T22:00:00-05:00..2024-01-04T23:00:00-05:00"},
		{ny[Hour], "2024-03-10T04", Hour, -2, -2, ny[Hour], "2024-03-10T01:00:00-05:00"}, // hours pass: 02:00 did not exist
		{ny[Hour], "2024-01-05T00", Hour, -1, 0, ny[Day], "2024-01-04..2024-01-05"},
		{ny[Hour], "2024-01-05T13", Day, -1, -1, ny[Hour], "2024-01-04T13:00:00-05:00"},
		{ny[Hour], "2024-01-05T13", Day, -1, -1, ny[Day], "2024-01-04"},
		{ny[Hour], "2024-01-05T13", Day, -1, -1, ny[Month], "2024-01"},
		{ny[Hour], "2024-03-29T13", Month, -1, -1, ny[Hour], "2024-02-29T13:00:00-05:00"},
		{ny[Hour], "2024-03-31T13", Month, -1, -1, ny[Hour], "2024-02-29T23:00:00-05:00"},
		{ny[Hour], "2024-03-11T01", Day, -1, -1, ny[Hour], "2024-03-10T01:00:00-05:00"},
		{ny[Hour], "2024-03-11T02", Day, -1, -1, ny[Hour], "none"}, // skipped by the clock
		{ny[Hour], "2024-03-11T03", Day, -1, -1, ny[Hour], "2024-03-10T03:00:00-04:00"},
		{ny[Hour], "2024-11-04T00", Day, -1, -1, ny[Hour], "2024-11-03T00:00:00-04:00"},
		{ny[Hour], "2024-11-04T01", Day, -1, -1, ny[Hour], "2024-11-03T01:00:00-04:00..2024-11-03T01:00:00-05:00"},
		{ny[Hour], "2024-11-03T01:00:00-04:00", Day, -1, -1, ny[Hour], "2024-11-02T01:00:00-04:00"},
		{ny[Hour], "2024-11-03T01:00:00-05:00", Day, -1, -1, ny[Hour], "2024-11-02T01:00:00-04:00"},
		{ny[Hour], "2024-01-05T13", Hour, -1, -1, Axis{Hour, "Asia/Kolkata"}, "2024-01-05T22:00:00+05:30..2024-01-05T23:00:00+05:30"},

		{ny[Day], "2024-01-05", Day, -7, -1, Whole(), "all"},
		{Whole(), "all", Day, -7, -1, ny[Day], "all"},
		{ny[Month], "2024-02", None, 0, 0, ny[Day], "2024-02-01..2024-02-29"},
		{Axis{Day, "Pacific/Apia"}, "2011-12-31", Day, -1, -1, Axis{Day, "Pacific/Apia"}, "2011-12-30"},
		{Axis{Day, "Pacific/Apia"}, "2011-12-31", Day, -1, -1, Axis{Hour, "Pacific/Apia"}, "none"},
	} {
		p, err := c.a.Parse(c.id)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.input.FormatRange(c.a.Offset(p, c.unit, c.from, c.to, c.input)); got != c.want {
			t.Errorf("%s, %ss %d to %d, in %v: %s, want %s", c.id, c.unit, c.from, c.to, c.input, got, c.want)
		}
	}
}

// slowOffset computes the same window with package time alone, for days and months, and hours that pass.
func slowOffset(a Axis, p Partition, unit Grain, from, to int) (start, end time.Time) {
	start, end = a.Instants(p)
	if unit == Hour {
		return start.Add(time.Duration(from) * time.Hour), end.Add(time.Duration(to) * time.Hour)
	}
	first, last := Date(p), Date(p)
	if a.Grain == Month {
		y, m := monthCivil(p)
		first = dateIn(y, m, 1)
		last = dateIn(y, m+1, 1) - 1
		if unit == Month {
			last = dateIn(y, m+time.Month(to)+1, 1) - 1
			first = dateIn(y, m+time.Month(from), 1)
			return Axis{Day, a.Zone}.Start(Partition(first)), Axis{Day, a.Zone}.Start(Partition(last + 1))
		}
	}
	moved := func(d Date, n int) Partition {
		if unit == Day {
			return Partition(d) + Partition(n)
		}
		y, m, day := time.Unix(int64(d)*86400, 0).UTC().Date()
		return Partition(min(dateIn(y, m+time.Month(n), 1)+Date(day)-1, dateIn(y, m+time.Month(n)+1, 1)-1))
	}
	return Axis{Day, a.Zone}.Start(moved(first, from)), Axis{Day, a.Zone}.Start(moved(last, to) + 1)
}

func dateIn(y int, m time.Month, d int) Date {
	return Date(floorDiv(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix(), 86400))
}

// drawOffset draws a window that is not empty.
func drawOffset(t *rapid.T) (unit Grain, from, to int) {
	unit = rapid.SampledFrom([]Grain{Hour, Day, Month}).Draw(t, "unit")
	from = rapid.IntRange(-40, 40).Draw(t, "from")
	return unit, from, from + rapid.IntRange(0, 40).Draw(t, "length")
}

func drawInput(t *rapid.T, a Axis) Axis {
	input := drawAxis(t)
	if rapid.Bool().Draw(t, "same zone") {
		input.Zone = a.Zone
	}
	return input
}

func TestOffsetAgreesWithInstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAxis(t)
		input := drawInput(t, a)
		p := drawPartition(t, a)
		unit, from, to := drawOffset(t)
		if a.Grain == Hour && unit != Hour {
			unit = Hour
		}
		start, end := slowOffset(a, p, unit, from, to)
		got := a.Offset(p, unit, from, to, input)
		// An input partition overlaps exactly if it starts before the window ends and ends after the window starts.
		overlaps := func(q Partition) bool {
			qStart, qEnd := input.Instants(q)
			return qStart.Before(end) && start.Before(qEnd)
		}
		if !start.Before(end) {
			return // a skipped day
		}
		// A day that the zone skipped overlaps nothing as time, but civil windows name it.
		skipped := func(q Partition) bool { s, e := input.Instants(q); return s.Equal(e) }
		for _, edge := range []struct {
			q  Partition
			in bool
		}{{got.Start - 1, false}, {got.Start, true}, {got.End - 1, true}, {got.End, false}} {
			if overlaps(edge.q) != edge.in && !skipped(edge.q) {
				t.Fatalf("%v: %s, %ss %d to %d, is %s of %v; but the time is %s to %s", a, a.ID(p), unit, from, to, input.FormatRange(got), input, start, end)
			}
		}
	})
}

func TestOffsetNeverFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAxis(t)
		input := drawInput(t, a)
		p := drawPartition(t, a)
		unit, from, to := drawOffset(t)
		last := a.Offset(p, unit, from, to, input)
		for q := p + 1; q < p+80; q++ {
			next := a.Offset(q, unit, from, to, input)
			if next.Start < last.Start || next.End < last.End {
				t.Fatalf("%v: %ss %d to %d: %s gives %s, and then %s gives %s", a, unit, from, to,
					a.ID(q-1), input.FormatRange(last), a.ID(q), input.FormatRange(next))
			}
			last = next
		}
	})
}

func TestOffsetNeverFallsWhereClocksChange(t *testing.T) {
	offsets := [][2]int{{0, 0}, {-1, -1}, {1, 1}, {-7, -1}}
	for _, m := range moments {
		for _, a := range axesOf(m.zone) {
			first, end := a.At(m.at.Add(-4*24*time.Hour)), a.At(m.at.Add(36*24*time.Hour))
			for _, input := range append(axesOf(m.zone), Axis{Hour, ""}) {
				for _, unit := range []Grain{Hour, Day, Month} {
					for _, n := range offsets {
						last := a.Offset(first, unit, n[0], n[1], input)
						for p := first + 1; p < end; p++ {
							next := a.Offset(p, unit, n[0], n[1], input)
							if next.Start < last.Start || next.End < last.End {
								t.Fatalf("%v, %s: %ss %d to %d: %s gives %s, and then %s gives %s", a, m.why, unit, n[0], n[1],
									a.ID(p-1), input.FormatRange(last), a.ID(p), input.FormatRange(next))
							}
							last = next
						}
					}
				}
			}
		}
	}
}

// Far from any change of the clock, an hour moved by days or months is the hour of the same name.
func TestHoursMovedByDaysKeepTheirName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Axis{Hour, rapid.SampledFrom([]string{"", "America/New_York", "Asia/Kolkata"}).Draw(t, "zone")}
		loc, err := LoadZone(a.Zone)
		if err != nil {
			t.Fatal(err)
		}
		y, m := rapid.IntRange(2008, 2024).Draw(t, "year"), time.Month(rapid.IntRange(5, 9).Draw(t, "month"))
		at := time.Date(y, m, rapid.IntRange(1, 28).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, loc)
		n := rapid.IntRange(-20, 20).Draw(t, "n")
		if got, want := a.Offset(a.At(at), Day, n, n, a), Single(a.At(at.AddDate(0, 0, n))); got != want {
			t.Fatalf("%s and %d days: %s, want %s", at, n, a.FormatRange(got), a.FormatRange(want))
		}
		n = 12 * n
		if got, want := a.Offset(a.At(at), Month, n, n, a), Single(a.At(at.AddDate(0, n, 0))); got != want {
			t.Fatalf("%s and %d months: %s, want %s", at, n, a.FormatRange(got), a.FormatRange(want))
		}
	})
}

func TestOffsetsDoNotOverflow(t *testing.T) {
	axes := append(axesOf(""), axesOf("America/New_York")...)
	numbers := []int{math.MinInt, math.MinInt32, -1, 0, 1, math.MaxInt32, math.MaxInt}
	for _, a := range axes {
		for _, input := range axes {
			for _, unit := range []Grain{Hour, Day, Month} {
				for _, n := range numbers {
					last := Interval{Beginning, Beginning}
					for _, p := range []Partition{math.MinInt64, Beginning, -1, 0, 1, Horizon - 1, Horizon, math.MaxInt64} {
						got := a.Offset(p, unit, n, n, input)
						if got.Intersect(Everything()) != got || got.Start < last.Start || got.End < last.End {
							t.Errorf("%v: %d and %d %ss is %v in %v, after %v", a, p, n, unit, got, input, last)
						}
						last = got
					}
				}
			}
		}
	}
}
