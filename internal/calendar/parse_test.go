package calendar

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var newYork = map[Grain]Axis{Hour: {Hour, "America/New_York"}, Day: {Day, "America/New_York"}, Month: {Month, "America/New_York"}, None: Whole()}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		a    Axis
		text string
		id   string // what it is; "" for an error
		err  string // part of the error
	}{
		{newYork[Month], "2024-01", "2024-01", ""},
		{newYork[Month], "2024-00", "", "there is no month 00"},
		{newYork[Month], "2024-13", "", "there is no month 13"},
		{newYork[Month], "0000-01", "", "years begin with 0001"},
		{newYork[Month], "2024-01-05", "", "of grain day, and the partitions here are of grain month: write it like 2024-01"},
		{newYork[Month], "2024-1", "", `"2024-1" is not a partition of grain month: write it like 2024-01`},

		{newYork[Day], "2024-01-05", "2024-01-05", ""},
		{newYork[Day], "0001-01-01", "0001-01-01", ""},
		{newYork[Day], "9999-12-31", "9999-12-31", ""},
		{newYork[Day], "2024-02-29", "2024-02-29", ""},
		{newYork[Day], "2023-02-29", "", "February 2023 has the days 1 to 28"},
		{newYork[Day], "2000-02-29", "2000-02-29", ""},
		{newYork[Day], "1900-02-29", "", "February 1900 has the days 1 to 28"},
		{newYork[Day], "2024-04-31", "", "April 2024 has the days 1 to 30"},
		{newYork[Day], "2024-04-00", "", "April 2024 has the days 1 to 30"},
		{newYork[Day], "2024-01", "", "of grain month, and the partitions here are of grain day: write it like 2024-01-05"},
		{newYork[Day], "2024-01-05T13", "", "of grain hour"},
		{newYork[Day], "2024-1-5", "", "write it like 2024-01-05"},
		{newYork[Day], " 2024-01-05", "", "write it like 2024-01-05"},
		{newYork[Day], "2024-01-05 ", "", "write it like 2024-01-05"},
		{newYork[Day], "2024/01/05", "", "write it like 2024-01-05"},
		{newYork[Day], "２０24-01-05", "", "write it like 2024-01-05"},
		{newYork[Day], "-2024-01-05", "", "write it like 2024-01-05"},
		{newYork[Day], "", "", `"" is not a partition of grain day`},
		{newYork[Day], "today", "", "write it like 2024-01-05"},
		{newYork[Day], strings.Repeat("9", 1<<20), "", `9"… is not a partition`},
		{Axis{Day, "Pacific/Apia"}, "2011-12-30", "2011-12-30", ""}, // a civil date all the same

		{newYork[Hour], "2024-01-05T13", "2024-01-05T13:00:00-05:00", ""},
		{newYork[Hour], "2024-01-05T13:00:00-05:00", "2024-01-05T13:00:00-05:00", ""},
		{newYork[Hour], "2024-11-03T01:00:00-04:00", "2024-11-03T01:00:00-04:00", ""},
		{newYork[Hour], "2024-11-03T01:00:00-05:00", "2024-11-03T01:00:00-05:00", ""},
		{newYork[Hour], "2024-11-03T01", "", "happens twice in America/New_York: write 2024-11-03T01:00:00-04:00 or 2024-11-03T01:00:00-05:00"},
		{newYork[Hour], "2024-11-03T02", "2024-11-03T02:00:00-05:00", ""},
		{newYork[Hour], "2024-03-10T02", "", "does not exist: the clock of America/New_York jumps over it to 2024-03-10T03:00:00-04:00"},
		{newYork[Hour], "2024-01-05T24", "", "hours go from 00 to 23"},
		{newYork[Hour], "2024-02-30T01", "", "February 2024"},
		{newYork[Hour], "2024-02-30T01:00:00-05:00", "", "February 2024"},
		{newYork[Hour], "2024-01-05T13:30:00-05:00", "", "it lies in 2024-01-05T13:00:00-05:00"},
		{newYork[Hour], "2024-01-05T18:00:00Z", "", "it lies in 2024-01-05T13:00:00-05:00"},
		{newYork[Hour], "2024-01-05T13:00", "", "write it like 2024-01-05T13 or 2024-01-05T07:00:00-05:00"},
		{newYork[Hour], "2024-01-05T13:00:00", "", "is not an hour"},
		{newYork[Hour], "2024-01-05T13:00:00.5-05:00", "", "it lies in"},
		{newYork[Hour], "2024-01-05t13", "", "write it like 2024-01-05T13"},
		{newYork[Hour], "2024-01-05", "", "of grain day"},
		{Axis{Hour, ""}, "2024-01-05T13:00:00Z", "2024-01-05T13:00:00Z", ""},
		{Axis{Hour, ""}, "2024-01-05T13:00:00+00:00", "", "it lies in 2024-01-05T13:00:00Z"},
		{Axis{Hour, "Asia/Kolkata"}, "2024-01-05T13", "2024-01-05T13:00:00+05:30", ""},
		{Axis{Hour, "Asia/Singapore"}, "1980-01-05T13", "", "it lies in 1980-01-05T12:30:00+07:30"},
		{Axis{Hour, "Pacific/Apia"}, "2011-12-30T13", "", "jumps over it to 2011-12-31T00:00:00+14:00"},

		{Whole(), "all", "all", ""},
		{Whole(), "2024-01-05", "", "of grain day, and the partitions here are of grain none: write it like all"},
		{newYork[Day], "all", "", "of grain none"},
	} {
		p, err := c.a.Parse(c.text)
		switch {
		case c.id == "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%v: %.60q: error %v, want one with %q", c.a, c.text, err, c.err)
		case c.id != "" && (err != nil || c.a.ID(p) != c.id):
			t.Errorf("%v: %q is %s, error %v; want %s", c.a, c.text, c.a.ID(p), err, c.id)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%v: an error of %d bytes", c.a, len(err.Error()))
		}
	}
}

// drawAxis draws an axis of a grain and zone that moments know.
func drawAxis(t *rapid.T) Axis {
	return Axis{rapid.SampledFrom([]Grain{Hour, Day, Month}).Draw(t, "grain"), rapid.SampledFrom(wallZones()).Draw(t, "zone")}
}

// drawPartition draws a partition between the years 1800 and 2200, often near something that happens to a clock.
func drawPartition(t *rapid.T, a Axis) Partition {
	at := rapid.SampledFrom(moments).Draw(t, "moment").at
	if rapid.Bool().Draw(t, "anywhere") {
		at = time.Unix(rapid.Int64Range(-5_364_000_000, 7_258_000_000).Draw(t, "second"), 0)
	}
	return a.At(at) + Partition(rapid.IntRange(-40, 40).Draw(t, "off"))
}

func TestParseReadsWhatIDPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAxis(t)
		p := drawPartition(t, a)
		if got, err := a.Parse(a.ID(p)); got != p || err != nil {
			t.Fatalf("%v: %s, partition %d, is read as %d, %v", a, a.ID(p), p, got, err)
		}
	})
}

var now = time.Date(2024, 3, 31, 2, 30, 0, 0, time.UTC) // in New York 2024-03-30T22:30

func TestParseBound(t *testing.T) {
	for _, c := range []struct {
		a        Axis
		text     string
		from, to string // ids, or parts of errors after "!"
	}{
		{newYork[Day], "2024-01-05", "2024-01-05", "2024-01-05"},
		{newYork[Day], "today", "2024-03-30", "2024-03-30"},
		{Axis{Day, ""}, "today", "2024-03-31", "2024-03-31"},
		{newYork[Day], "yesterday", "2024-03-29", "2024-03-29"},
		{newYork[Day], "-0d", "2024-03-30", "2024-03-30"},
		{newYork[Day], "-3d", "2024-03-27", "2024-03-27"},
		{newYork[Day], "-1w", "2024-03-23", "2024-03-23"},
		{newYork[Day], "-1mo", "2024-02-29", "2024-02-29"},
		{newYork[Day], "-13mo", "2023-02-28", "2023-02-28"},
		{newYork[Day], "-1y", "2023-03-30", "2023-03-30"},
		{newYork[Day], "-12h", "2024-03-30", "2024-03-30"},
		{newYork[Day], "-23h", "2024-03-29", "2024-03-29"},
		{newYork[Day], "2024-01", "!from 2024-01-01,", "!to 2024-01-31,"},
		{newYork[Day], "2024-01-05T00", "2024-01-05", "!to 2024-01-05,"},
		{newYork[Day], "2024-01-05T23", "!from 2024-01-05,", "2024-01-05"},
		{newYork[Day], "2024-01-05T00:00:00-05:00", "2024-01-05", "!to 2024-01-05,"},
		{newYork[Day], "2024-11-03T01", "!happens twice", "!happens twice"},
		{newYork[Day], "2024-13-01", "!from \"2024-13-01\": there is no month 13", "!to \"2024-13-01\": there is no month 13"},
		{newYork[Day], "tomorrow", "!from \"tomorrow\" is not a partition of grain day: write 2024-01-05, today", "!to \"tomorrow\""},
		{newYork[Day], "all", "!is not a partition of grain day", "!is not a partition"},
		{newYork[Day], "-3m", "!write mo for months", "!write mo"},
		{newYork[Day], "-3", "!write today, yesterday or", "!write today"},
		{newYork[Day], "-d", "!write today, yesterday or", "!write today"},
		{newYork[Day], "--3d", "!write today, yesterday or", "!write today"},
		{newYork[Day], "-+3d", "!write today, yesterday or", "!write today"},
		{newYork[Day], "-3dd", "!write today, yesterday or", "!write today"},
		{newYork[Day], "-3d ", "!write today, yesterday or", "!write today"},
		{newYork[Day], "-9999999d", "!write today, yesterday or", "!write today"},
		{newYork[Day], "-999999d", "!years begin with 0001", "!years begin with 0001"},
		{newYork[Day], "-999999y", "!years begin with 0001", "!years begin with 0001"},
		{newYork[Day], "", "!\"\" is not a partition", "!\"\" is not"},

		{newYork[Month], "2024-01", "2024-01", "2024-01"},
		{newYork[Month], "2024-01-01", "2024-01", "!to 2024-01,"},
		{newYork[Month], "2024-01-31", "!from 2024-01,", "2024-01"},
		{newYork[Month], "2024-02-29", "!from 2024-02,", "2024-02"},
		{newYork[Month], "2023-02-28", "!from 2023-02,", "2023-02"},
		{newYork[Month], "2024-01-15", "!from 2024-01,", "!to 2024-01,"},
		{newYork[Month], "2024-01-01T00", "2024-01", "!to 2024-01,"},
		{newYork[Month], "2024-01-31T23", "!from 2024-01,", "2024-01"},
		{newYork[Month], "today", "2024-03", "2024-03"},
		{newYork[Month], "-1mo", "2024-02", "2024-02"},
		{newYork[Month], "-40d", "2024-02", "2024-02"},

		{newYork[Hour], "today", "2024-03-30T00:00:00-04:00", "2024-03-30T23:00:00-04:00"},
		{newYork[Hour], "-20d", "2024-03-10T00:00:00-05:00", "2024-03-10T23:00:00-04:00"},
		{newYork[Hour], "-0h", "2024-03-30T22:00:00-04:00", "2024-03-30T22:00:00-04:00"},
		{newYork[Hour], "-12h", "2024-03-30T10:00:00-04:00", "2024-03-30T10:00:00-04:00"},
		{newYork[Hour], "2024-01-05T13", "2024-01-05T13:00:00-05:00", "2024-01-05T13:00:00-05:00"},
		{newYork[Hour], "2024-01-05", "!from 2024-01-05T00:00:00-05:00,", "!to 2024-01-05T23:00:00-05:00,"},
		{newYork[Hour], "2024-01", "!from 2024-01-01T00:00:00-05:00,", "!to 2024-01-31T23:00:00-05:00,"},

		{Whole(), "all", "all", "all"},
		{Whole(), "today", "!an unpartitioned table takes no range", "!an unpartitioned table takes no range"},
		{Whole(), "2024-01-05", "!an unpartitioned table takes no range", "!an unpartitioned table takes no range"},
	} {
		for side, want := range map[Side]string{From: c.from, To: c.to} {
			p, err := c.a.ParseBound(c.text, side, now)
			part, refused := strings.CutPrefix(want, "!")
			switch {
			case refused && (err == nil || !strings.Contains(err.Error(), part)):
				t.Errorf("%v: %s %q: error %v, want one with %q", c.a, side, c.text, err, part)
			case !refused && (err != nil || c.a.ID(p) != want):
				t.Errorf("%v: %s %q is %s, error %v; want %s", c.a, side, c.text, c.a.ID(p), err, want)
			}
			if _, ok := errors.AsType[*MisalignedError](err); ok != (refused && strings.HasSuffix(part, ",")) {
				t.Errorf("%v: %s %q: %v is of the wrong type", c.a, side, c.text, err)
			}
		}
	}
}

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		a        Axis
		from, to string
		want     string // as FormatRange gives it
		err      string
	}{
		{newYork[Day], "2024-01-05", "2024-01-09", "2024-01-05..2024-01-09", ""},
		{newYork[Day], "2024-01-05", "2024-01-05", "2024-01-05", ""},
		{newYork[Day], "", "2024-01-05", "..2024-01-05", ""},
		{newYork[Day], "2024-01-05", "", "2024-01-05..", ""},
		{newYork[Day], "", "", "all", ""},
		{newYork[Day], "-3d", "yesterday", "2024-03-27..2024-03-29", ""},
		{newYork[Day], "2024-01-05", "2024-01-04", "", "ends before it begins: from 2024-01-05 is after to 2024-01-04"},
		{newYork[Day], "today", "-3d", "", `from "today" (2024-03-30) is after to "-3d" (2024-03-27)`},
		{newYork[Day], "2024-03", "2024-01", "", `from "2024-03" (2024-03-01) is after to "2024-01" (2024-01-31)`},
		{
			newYork[Day], "2024-01", "2024-03", "",
			`from "2024-01" to "2024-03" is not aligned to grain day: the aligned range is from 2024-01-01 to 2024-03-31, both ends included`,
		},
		{newYork[Day], "2024-01", "2024-03-05", "", "the aligned range is from 2024-01-01 to 2024-03-05, both"},
		{newYork[Day], "2024-01-02", "2024-03", "", "the aligned range is from 2024-01-02 to 2024-03-31, both"},
		{newYork[Day], "2024-01", "", "", `from "2024-01" is not aligned to grain day: the aligned range is from 2024-01-01, both`},
		{newYork[Day], "", "2024-01", "", `to "2024-01" is not aligned to grain day: the aligned range is to 2024-01-31, both`},
		{newYork[Day], "x", "2024-03", "", `from "x" is not a partition`},
		{newYork[Day], "2024-01", "x", "", `to "x" is not a partition`},
		{newYork[Month], "2024-01-01", "2024-03-31", "2024-01..2024-03", ""},
		{newYork[Month], "2024-01-02", "2024-03-31", "", "the aligned range is from 2024-01 to 2024-03, both"},
		{newYork[Month], "2024-01", "2024-03-30", "", "the aligned range is from 2024-01 to 2024-03, both"},
		{newYork[Hour], "today", "today", "2024-03-30T00:00:00-04:00..2024-03-30T23:00:00-04:00", ""},
		{Whole(), "", "", "all", ""},
		{Whole(), "all", "all", "all", ""},
		{Whole(), "", "today", "", "takes no range"},
		{Axis{Hour, "Asia/Kolkata"}, "0001-01-01", "", "", "years begin with 0001"}, // its first hour began in the year before
	} {
		iv, err := c.a.ParseRange(c.from, c.to, now)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%v: %q to %q: error %v, want one with %q", c.a, c.from, c.to, err, c.err)
		case c.err == "" && (err != nil || c.a.FormatRange(iv) != c.want):
			t.Errorf("%v: %q to %q is %s, error %v; want %s", c.a, c.from, c.to, c.a.FormatRange(iv), err, c.want)
		}
	}
}

func TestTheSuggestionIsAligned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAxis(t)
		bound := func(label string) string {
			given := Axis{rapid.SampledFrom([]Grain{Hour, Day, Month}).Draw(t, label+" grain"), a.Zone}
			return given.ID(drawPartition(t, given))
		}
		from, to := bound("from"), bound("to")
		iv, err := a.ParseRange(from, to, now)
		if m, ok := errors.AsType[*MisalignedError](err); ok {
			iv = m.Aligned
			from, to = m.Suggest()
			if again, errAgain := a.ParseRange(from, to, now); errAgain != nil || again != iv {
				t.Fatalf("%v: %v: it suggests %v, which is read as %v, %v", a, err, iv, again, errAgain)
			}
		} else if err != nil {
			return // inverted
		}
		if from, to = a.ID(iv.Start), a.ID(iv.End-1); iv.Count() > 1 && a.FormatRange(iv) != from+".."+to {
			t.Fatalf("%v: %v is shown as %s", a, iv, a.FormatRange(iv))
		}
		if again, err := a.ParseRange(from, to, now); err != nil || again != iv {
			t.Fatalf("%v: %s to %s, which is %v, is read as %v, %v", a, from, to, iv, again, err)
		}
	})
}

func TestFormat(t *testing.T) {
	day := newYork[Day]
	d := func(day int) Partition { return Partition(DateOf(2024, 1, day)) }
	for _, c := range []struct {
		a    Axis
		iv   Interval
		want string
	}{
		{day, Interval{d(5), d(10)}, "2024-01-05..2024-01-09"},
		{day, Single(d(5)), "2024-01-05"},
		{day, Interval{d(5), d(5)}, "none"},
		{day, Interval{d(5), d(4)}, "none"},
		{day, Everything(), "all"},
		{day, Interval{d(5), Horizon}, "2024-01-05.."},
		{day, Interval{Beginning, d(5)}, "..2024-01-04"},
		{Whole(), Single(0), "all"},
		{Whole(), Everything(), "all"},
		{Whole(), Interval{}, "none"},
	} {
		if got := c.a.FormatRange(c.iv); got != c.want {
			t.Errorf("%v: %s, want %s", c.iv, got, c.want)
		}
	}
	set := NewSet(Interval{d(5), d(10)}, Single(d(12)), Single(d(14)), Single(d(16)), Single(d(18)))
	for limit, want := range map[int]string{
		-1: "2024-01-05..2024-01-09 and 4 more ranges",
		0:  "2024-01-05..2024-01-09 and 4 more ranges",
		2:  "2024-01-05..2024-01-09, 2024-01-12 and 3 more ranges",
		4:  "2024-01-05..2024-01-09, 2024-01-12, 2024-01-14, 2024-01-16 and 1 more range",
		5:  "2024-01-05..2024-01-09, 2024-01-12, 2024-01-14, 2024-01-16, 2024-01-18",
		9:  "2024-01-05..2024-01-09, 2024-01-12, 2024-01-14, 2024-01-16, 2024-01-18",
	} {
		if got := day.FormatSet(set, limit); got != want {
			t.Errorf("limit %d: %s, want %s", limit, got, want)
		}
	}
	if got := day.FormatSet(Set{}, 3); got != "none" {
		t.Errorf("the empty set is %s", got)
	}
}
