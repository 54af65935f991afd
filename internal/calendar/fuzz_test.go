package calendar

import (
	"errors"
	"testing"
	"unicode/utf8"
)

// fuzzAxes are what texts are read on.
var fuzzAxes = []Axis{
	{Hour, ""},
	{Hour, "America/New_York"},
	{Hour, "Asia/Kolkata"},
	{Day, "America/New_York"},
	{Day, "Pacific/Apia"},
	{Month, "Europe/Berlin"},
	{None, ""},
}

func fuzzAxis(i uint8) Axis { return fuzzAxes[int(i)%len(fuzzAxes)] }

func checkMessage(t *testing.T, err error) {
	t.Helper()
	if msg := err.Error(); len(msg) > 1000 || !utf8.ValidString(msg) {
		t.Fatalf("an error of %d bytes: %.100q", len(msg), msg)
	}
}

// FuzzParse reads any text as an id: what is accepted is a partition whose id is read as the same partition.
func FuzzParse(f *testing.F) {
	for i := range fuzzAxes {
		for _, text := range []string{
			"2024-01", "2024-01-05", "2024-01-05T13", "2024-11-03T01:00:00-04:00", "2024-02-30", "2024-03-10T02", "2011-12-30", "all", "", "\xff",
		} {
			f.Add(uint8(i), text)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		a := fuzzAxis(i)
		p, err := a.Parse(text)
		if err != nil {
			checkMessage(t, err)
			return
		}
		if again, err := a.Parse(a.ID(p)); err != nil || again != p {
			t.Fatalf("%v: %q is %s, which is read as %d, %v; want %d", a, text, a.ID(p), again, err, p)
		}
		if id := a.ID(p); id != text && id[:min(13, len(id))] != text {
			t.Fatalf("%v: %q is read as %s", a, text, id)
		}
	})
}

// FuzzParseRange reads any two texts as a range: it is never empty, and what is refused as not aligned comes with a range that is.
func FuzzParseRange(f *testing.F) {
	for i := range fuzzAxes {
		f.Add(uint8(i), "2024-01-05", "2024-01-09")
		f.Add(uint8(i), "2024-01", "2024-03")
		f.Add(uint8(i), "-3d", "today")
		f.Add(uint8(i), "-12h", "yesterday")
		f.Add(uint8(i), "-2mo", "")
		f.Add(uint8(i), "", "-1y")
		f.Add(uint8(i), "2024-01-05T00", "2024-01-05T23:00:00-05:00")
		f.Add(uint8(i), "all", "\xff")
	}
	f.Fuzz(func(t *testing.T, i uint8, from, to string) {
		a := fuzzAxis(i)
		iv, err := a.ParseRange(from, to, now)
		var m *MisalignedError
		switch {
		case errors.As(err, &m):
			checkMessage(t, err)
			iv = m.Aligned
			from, to = m.Suggest()
			if again, errAgain := a.ParseRange(from, to, now); errAgain != nil || again != iv {
				t.Fatalf("%v: %v: the suggestion is read as %v, %v", a, m, again, errAgain)
			}
		case err != nil:
			checkMessage(t, err)
			return
		}
		if iv.Empty() || iv.Intersect(Everything()) != iv {
			t.Fatalf("%v: from %q to %q is %v", a, from, to, iv)
		}
		if a.FormatRange(iv) == "" {
			t.Fatalf("%v: from %q to %q has no text", a, from, to)
		}
	})
}

// FuzzSet reads bytes as operations on a set, three bytes each, and compares it with the naive model after each.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 5, 10, 0, 15, 3, 1, 7, 4, 2, 0, 30, 3, 0, 12, 4, 6, 3, 5, 2, 0})
	f.Add([]byte{0, 0, 64, 1, 10, 1, 1, 20, 1, 6, 0, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		var s Set
		var m days
		for len(program) >= 3 && len(program) < 3000 {
			op, start, length := program[0]%7, int(program[1])%span, int(program[2])%(span/2)
			program = program[3:]
			iv := Interval{Partition(start), Partition(min(start+length, span))}
			var inside days
			for i := range inside {
				inside[i] = iv.Contains(Partition(i))
			}
			switch op {
			case 0:
				s, m = s.Union(NewSet(iv)), pointwise(m, inside, or)
			case 1:
				s, m = s.Minus(NewSet(iv)), pointwise(m, inside, andNot)
			case 2:
				s, m = s.Intersect(NewSet(iv)), pointwise(m, inside, and)
			case 3:
				s, m = s.Within(iv), pointwise(m, inside, and)
			case 4:
				s, m = UnionAll(s, NewSet(iv), Of(iv.Start)), pointwise(m, inside, or)
				m[iv.Start] = true
			case 5:
				s = UnionAll(s.Chunks(length)...)
			default:
				x := NewIndex(s)
				for k, p := range m.members() {
					if x.Select(k) != p || x.Rank(p) != k {
						t.Fatalf("member %d of %v is %d with rank %d, want %d", k, s, x.Select(k), x.Rank(p), p)
					}
				}
			}
			same(t, "after operation", s, m)
		}
	})
}
