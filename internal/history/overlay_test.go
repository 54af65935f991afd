package history

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"pgregory.net/rapid"
)

// The naive model of rows: what is known of each partition, bounds apart. Rows under test lie within 0 to span.
const span = 48

type known map[calendar.Partition]Segment

func model(rows []Segment) known {
	out := known{}
	for _, r := range rows {
		for p := r.Start; p < r.End; p++ {
			out[p] = r.WithBounds(calendar.Interval{})
		}
	}
	return out
}

// drawRows draws sorted, disjoint rows, of few kinds so that neighbours are often alike.
func drawRows(t *rapid.T, label string) []Segment {
	var rows []Segment
	at := calendar.Partition(rapid.IntRange(0, 6).Draw(t, label+" start"))
	for at < span {
		length := calendar.Partition(rapid.IntRange(1, 8).Draw(t, label+" length"))
		end := min(at+length, span)
		rows = append(rows, Segment{
			Interval:   calendar.Interval{Start: at, End: end},
			ChangedSeq: Seq(rapid.IntRange(1, 2).Draw(t, label+" seq")),
			Stale:      rapid.Bool().Draw(t, label+" stale"),
		})
		at = end + calendar.Partition(rapid.IntRange(0, 1).Draw(t, label+" gap")*rapid.IntRange(0, 9).Draw(t, label+" width"))
	}
	return rows
}

func drawSet(t *rapid.T) calendar.Set {
	ivs := make([]calendar.Interval, rapid.IntRange(0, 6).Draw(t, "intervals"))
	for i := range ivs {
		start := calendar.Partition(rapid.IntRange(-2, span).Draw(t, "from"))
		ivs[i] = calendar.Interval{Start: start, End: start + calendar.Partition(rapid.IntRange(0, 10).Draw(t, "length"))}
	}
	return calendar.NewSet(ivs...)
}

// orderly demands that rows are sorted, disjoint and not empty, and, where asked, that no two neighbours could be joined.
func orderly(t *rapid.T, rows []Segment, joined bool) {
	for i, r := range rows {
		if r.Interval.Empty() {
			t.Fatalf("row %v is empty", r)
		}
		if i == 0 {
			continue
		}
		last := rows[i-1]
		if last.End > r.Start {
			t.Fatalf("rows %v and %v overlap or are out of order", last, r)
		}
		if joined && last.End == r.Start && last.SameAs(r) {
			t.Fatalf("rows %v and %v are not joined", last, r)
		}
	}
}

func TestOverlayAgreesWithPartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		older, newer := Overlay(nil, drawRows(t, "older")), drawRows(t, "newer")
		if rapid.Bool().Draw(t, "few") {
			newer = newer[:min(len(newer), 1)]
		}
		before := fmt.Sprint(older, newer)
		got := Overlay(older, newer)
		orderly(t, got, len(newer) > 0)
		want := model(older)
		maps.Copy(want, model(newer))
		if !maps.Equal(model(got), want) {
			t.Fatalf("overlay of %v and %v is %v", older, newer, got)
		}
		if fmt.Sprint(older, newer) != before {
			t.Fatalf("operands changed: %v %v, were %s", older, newer, before)
		}
	})
}

func TestWithoutAndClipAgreeWithPartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, set := drawRows(t, "rows"), drawSet(t)
		before := fmt.Sprint(rows)
		cut, kept := Without(rows, set), Clip(rows, set)
		orderly(t, cut, false)
		orderly(t, kept, false)
		wantCut, wantKept := known{}, known{}
		for p, r := range model(rows) {
			if set.Contains(p) {
				wantKept[p] = r
			} else {
				wantCut[p] = r
			}
		}
		if !maps.Equal(model(cut), wantCut) {
			t.Fatalf("%v without %v is %v", rows, set, cut)
		}
		if !maps.Equal(model(kept), wantKept) {
			t.Fatalf("%v within %v is %v", rows, set, kept)
		}
		if got, want := Covered(kept), Covered(rows).Intersect(set); !got.Equal(want) {
			t.Fatalf("covered %v, want %v", got, want)
		}
		if fmt.Sprint(rows) != before {
			t.Fatalf("rows changed: %v, were %s", rows, before)
		}
	})
}

func TestSpreadCoversTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := drawSet(t)
		rows := Spread(Segment{ChangedSeq: 7}, set)
		orderly(t, rows, true)
		if !Covered(rows).Equal(set) {
			t.Fatalf("spread over %v covers %v", set, Covered(rows))
		}
		for _, r := range rows {
			if r.ChangedSeq != 7 {
				t.Fatalf("row %v lost what it says", r)
			}
		}
	})
}

func TestSameAs(t *testing.T) {
	at := time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)
	base := Segment{
		Interval: calendar.Interval{Start: 1, End: 2},
		ReadSeq:  3, ChangedSeq: 4, Version: "v", Attempt: "a", Content: Empty, Shortfall: Short, Accepted: true, Stale: true, ReadAt: at, CheckVersion: "c", CheckSeq: 3,
	}
	elsewhere := base.WithBounds(calendar.Interval{Start: 5, End: 9})
	elsewhere.ReadAt = at.In(time.FixedZone("", 3600))
	if !base.SameAs(elsewhere) || !elsewhere.SameAs(base) {
		t.Error("bounds, or the way an instant is written, make segments differ")
	}
	for name, change := range map[string]func(*Segment){
		"read_seq":    func(s *Segment) { s.ReadSeq++ },
		"changed_seq": func(s *Segment) { s.ChangedSeq++ },
		"version":     func(s *Segment) { s.Version = "w" },
		"attempt":     func(s *Segment) { s.Attempt = "b" },
		"content":     func(s *Segment) { s.Content = Rows },
		"shortfall":   func(s *Segment) { s.Shortfall = Full },
		"accepted":    func(s *Segment) { s.Accepted = false },
		"stale":       func(s *Segment) { s.Stale = false },
		"checks":      func(s *Segment) { s.CheckVersion = "d" },
		"checked at":  func(s *Segment) { s.CheckSeq++ },
		"read at":     func(s *Segment) { s.ReadAt = at.Add(1) },
	} {
		other := base
		change(&other)
		if base.SameAs(other) || other.SameAs(base) {
			t.Errorf("segments that differ in %s are the same", name)
		}
	}
	m := Move{Interval: calendar.Interval{Start: 1, End: 2}, Seq: 3, Gained: true}
	if !m.SameAs(m.WithBounds(calendar.Interval{Start: 7, End: 8})) || m.SameAs(Move{Interval: m.Interval, Seq: 3}) || m.SameAs(Move{Interval: m.Interval, Seq: 4, Gained: true}) {
		t.Error("moves are compared wrongly")
	}
	v := Verdict{Interval: calendar.Interval{Start: 1, End: 2}, Outcome: Failed, Reason: "x"}
	if !v.SameAs(v.WithBounds(calendar.Interval{Start: 7, End: 8})) || v.SameAs(Verdict{Interval: v.Interval, Outcome: Quarantined, Reason: "x"}) {
		t.Error("verdicts are compared wrongly")
	}
}

func TestWordsAreThoseOfTheContract(t *testing.T) {
	for c, want := range map[fmt.Stringer]string{
		Rows: "rows", Empty: "empty", Skipped: "skipped", InDoubt: "in_doubt", Failing: "failing", Foreign: "foreign", Drifted: "drifted",
		Full: "full", Bootstrap: "bootstrap", Short: "short", Failed: "failed", Quarantined: "quarantined",
	} {
		if got := c.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for c, want := range map[Content]bool{Rows: true, Empty: true, Skipped: true, InDoubt: false, Failing: false, Foreign: false, Drifted: false} {
		if c.Readable() != want {
			t.Errorf("%s readable: %v", c, c.Readable())
		}
	}
}

func TestUnknownTablesHaveNoHistory(t *testing.T) {
	s := &Snapshot{Tables: map[string]*Table{"a": {Meta: "m"}}}
	if s.Table("a").Meta != "m" {
		t.Error("the history of a is lost")
	}
	if b := s.Table("b"); b == nil || len(b.Segments) != 0 || b.Meta != "" {
		t.Errorf("the history of b is %v, want an empty one", b)
	}
}
