package calendar

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDatesAgreeWithPackageTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Date(rapid.Int64Range(-1_000_000, 4_000_000).Draw(t, "date"))
		want := time.Unix(int64(d)*86400, 0).UTC()
		y, m, day := d.Civil()
		if wy, wm, wd := want.Date(); y != wy || m != wm || day != wd {
			t.Fatalf("civil of %d: %d-%d-%d, want %v", d, y, m, day, want)
		}
		if got := DateOf(y, m, day); got != d {
			t.Fatalf("date of %d-%d-%d: %d, want %d", y, m, day, got, d)
		}
		if d.Weekday() != want.Weekday() {
			t.Fatalf("weekday of %v: %v, want %v", want, d.Weekday(), want.Weekday())
		}
		if y >= 0 && y <= 9999 && d.String() != want.Format(time.DateOnly) {
			t.Fatalf("%s, want %s", d, want.Format(time.DateOnly))
		}
		if got, first := d.month(), firstOfMonth(d.month()); got != MonthOf(y, m) || first != DateOf(y, m, 1) {
			t.Fatalf("month of %v: %d from %d", want, got, first)
		}
	})
}

func TestDaysRunOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.IntRange(-500, 3000).Draw(t, "year")
		m := time.Month(rapid.IntRange(1, 12).Draw(t, "month"))
		day := rapid.IntRange(-500, 500).Draw(t, "day")
		if got, want := DateOf(y, m, day), time.Date(y, m, day, 0, 0, 0, 0, time.UTC).Unix()/86400; int64(got) != want {
			t.Fatalf("%d-%d-%d: %d, want %d", y, m, day, got, want)
		}
	})
}

func TestAddMonths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Date(rapid.Int64Range(-800_000, 2_000_000).Draw(t, "date"))
		n := rapid.IntRange(-5000, 5000).Draw(t, "months")
		y, m, day := d.Civil()
		// The last day of the month n on is day 0 of the next; package time normalizes months and days.
		last := time.Date(y, m+time.Month(n)+1, 0, 0, 0, 0, 0, time.UTC)
		want := time.Date(last.Year(), last.Month(), min(day, last.Day()), 0, 0, 0, 0, time.UTC)
		if got := d.AddMonths(n); got.String() != Date(floorDiv(want.Unix(), 86400)).String() {
			t.Fatalf("%s and %d months: %s, want %s", d, n, got, want.Format(time.DateOnly))
		}
	})
	for _, c := range []struct {
		from string
		n    int
		want string
	}{
		{"2024-03-31", -1, "2024-02-29"},
		{"2023-03-31", -1, "2023-02-28"},
		{"2024-01-31", 1, "2024-02-29"},
		{"2024-02-29", 12, "2025-02-28"},
		{"2024-12-31", 2, "2025-02-28"},
		{"2024-01-15", -1, "2023-12-15"},
		{"2024-01-15", 0, "2024-01-15"},
		{"2000-01-31", 1, "2000-02-29"},
		{"1900-01-31", 1, "1900-02-28"},
	} {
		from, err := time.Parse(time.DateOnly, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := Date(from.Unix() / 86400).AddMonths(c.n).String(); got != c.want {
			t.Errorf("%s and %d months: %s, want %s", c.from, c.n, got, c.want)
		}
	}
}

func TestAddMonthsNeverGoesBack(t *testing.T) {
	for _, n := range []int{-13, -12, -1, 0, 1, 6, 25} {
		for d := DateOf(2019, 12, 1); d < DateOf(2024, 4, 1); d++ {
			if d.AddMonths(n) > (d + 1).AddMonths(n) {
				t.Fatalf("%s goes to %s, and the next day to %s", d, d.AddMonths(n), (d + 1).AddMonths(n))
			}
		}
	}
}
