package sqlite

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func drawIntervals(t *rapid.T) []calendar.Interval {
	at := calendar.Partition(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "start"))
	out := make([]calendar.Interval, rapid.IntRange(0, 40).Draw(t, "rows"))
	for i := range out {
		start := at + calendar.Partition(rapid.IntRange(0, 3).Draw(t, "gap"))
		at = start + calendar.Partition(rapid.IntRange(1, 1000).Draw(t, "length"))
		out[i] = calendar.Interval{Start: start, End: at}
	}
	return out
}

func drawTime(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "no time") {
		return time.Time{}
	}
	return time.Unix(0, rapid.Int64Range(-1<<60, 1<<62).Draw(t, "time")).UTC()
}

func seq(t *rapid.T) history.Seq { return history.Seq(rapid.Int64Range(0, 1<<50).Draw(t, "seq")) }

func roundTrip[T any](t *rapid.T, c codec[T], rows []T) {
	blob := packPage(c, rows)
	got, err := readPage(c, nil, blob)
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", rows) {
		t.Fatalf("%v\nwrote %+v\nread  %+v", err, rows, got)
	}
	if rowsIn(blob) != len(rows) {
		t.Fatalf("%d rows are counted as %d", len(rows), rowsIn(blob))
	}
	// What is cut off is an error, never a panic and never silent.
	for cut := range blob {
		if _, err := readPage(c, nil, blob[:cut]); err == nil && len(rows) > 0 {
			t.Fatalf("%d bytes of %d were read as a whole page", cut, len(blob))
		}
	}
}

func TestPagesReadAsWritten(t *testing.T) {
	fewer(t)
	texts := rapid.SampledFrom([]string{"", "v1", "a-0123456789", "ü \x00", "another one"})
	rapid.Check(t, func(t *rapid.T) {
		var ss []segment
		var vs []verdict
		var ms []history.Move
		var cs []content
		var es []measure
		for _, iv := range drawIntervals(t) {
			ss = append(ss, segment{
				token: history.Token(seq(t)), written: seq(t), Segment: history.Segment{
					Interval: iv, ReadSeq: seq(t), ChangedSeq: seq(t), Version: texts.Draw(t, "version"), Attempt: texts.Draw(t, "attempt"),
					Content: history.Content(rapid.IntRange(0, int(history.Drifted)).Draw(t, "content")), Shortfall: history.Shortfall(rapid.IntRange(0, 2).Draw(t, "short")),
					Accepted: rapid.Bool().Draw(t, "accepted"), Stale: rapid.Bool().Draw(t, "stale"), ReadAt: drawTime(t),
					CheckVersion: texts.Draw(t, "checks"), CheckSeq: seq(t),
					FixedBy: texts.Draw(t, "fixed"),
				},
			})
			vs = append(vs, verdict{written: seq(t), Verdict: history.Verdict{
				Interval: iv, Outcome: history.Quarantined, Attempt: texts.Draw(t, "attempt"), ReadSeq: seq(t), Version: texts.Draw(t, "version"),
				CheckVersion: texts.Draw(t, "checks"), CheckSeq: seq(t), Reason: texts.Draw(t, "reason"),
			}})
			ms = append(ms, history.Move{Interval: iv, Seq: seq(t), Gained: rapid.Bool().Draw(t, "gained")})
			cs = append(cs, content{iv, rapid.Int64().Draw(t, "n"), rapid.String().Draw(t, "print")})
			es = append(es, measure{iv, rapid.Float64().Draw(t, "value"), rapid.Int64().Draw(t, "weight"), rapid.Bool().Draw(t, "passed"), seq(t)})
		}
		if len(ms) > 0 {
			ms[0].Start, ms[len(ms)-1].End = calendar.Beginning, calendar.Horizon
		}
		roundTrip(t, segmentCodec{}, ss)
		roundTrip(t, verdictCodec{}, vs)
		roundTrip(t, moveCodec{}, ms)
		roundTrip(t, contentCodec{}, cs)
		roundTrip(t, measureCodec{}, es)
	})
}

// Pages are one way to keep rows: whatever is laid over whatever, what is read is what history.Overlay gives.
func TestPagesKeepRows(t *testing.T) {
	fewer(t)
	l, err := Open(t.Context(), t.TempDir()+"/state.db", Options{careless: true})
	must0(t, err)
	defer l.Close() //nolint:errcheck // of no interest here
	table := 0
	rapid.Check(t, func(rt *rapid.T) {
		table++
		var want []content
		for round := range rapid.IntRange(1, 8).Draw(rt, "rounds") {
			var rows []content
			at := calendar.Partition(rapid.IntRange(0, 3000).Draw(rt, "from"))
			if rapid.Bool().Draw(rt, "at the end") && len(want) > 0 {
				at = want[len(want)-1].End
			}
			n := rapid.IntRange(0, 400).Draw(rt, "rows")
			step := calendar.Partition(rapid.IntRange(1, 3).Draw(rt, "step"))
			for i := range n {
				rows = append(rows, content{calendar.Single(at), int64(i / 3), fmt.Sprintf("%d rows and a fingerprint that takes its room: %d", i/3, round)})
				at += step
			}
			rows = joined(rows)
			cut := calendar.Set{}
			if rapid.Bool().Draw(rt, "cuts") {
				from := calendar.Partition(rapid.IntRange(0, 3000).Draw(rt, "cut from"))
				cut = calendar.Range(from, from+calendar.Partition(rapid.IntRange(1, 600).Draw(rt, "cut length")))
			}
			want = history.Overlay(history.Without(want, cut), rows)
			must0(t, l.write(t.Context(), func(x *tx) error {
				tab, err := x.use(fmt.Sprint(table), benchDay)
				if err != nil {
					return err
				}
				return lay(x, contentCodec{}, shelf{tab.id, contents}, rows, cut, 1)
			}))
			kept(t, rt, l, int64(table), want)
		}
	})
}

// kept compares what pages hold with rows, and looks whether the pages are in order and of the right size.
func kept(t *testing.T, rt *rapid.T, l *Ledger, table int64, want []content) {
	t.Helper()
	must0(t, l.read(t.Context(), func(s *session) error {
		got, err := load(s, contentCodec{}, shelf{table, contents}, calendar.Range(-10, 10_000))
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(joined(got), joined(want)) && len(got)+len(want) > 0 {
			rt.Fatalf("\n got %v\nwant %v", got, want)
		}
		last := calendar.Partition(-1)
		return s.query(func(r row) error {
			rows, err := readPage(contentCodec{}, nil, r.blob(2))
			if err != nil || len(rows) == 0 || rows[0].Start != r.interval(0).Start || rows[len(rows)-1].End != r.interval(0).End || rows[0].Start < last {
				rt.Fatalf("page %v holds %v, %v", r.interval(0), rows, err)
			}
			if len(r.blob(2)) > 2*pageBytes && len(rows) > 1 {
				rt.Fatalf("a page of %d bytes", len(r.blob(2)))
			}
			last = r.interval(0).End
			return nil
		}, `SELECT start, end, rows FROM page WHERE table_id = ? ORDER BY start`, table)
	}))
}

func TestIntentsReadAsWritten(t *testing.T) {
	in := &ledger.Intent{
		Attempt: "a", Run: "r", Table: "t", Token: 7, ReadSeq: 9, Version: "v", CheckVersion: "c",
		Publish: []ledger.Content{{Partition: -5, Rows: 3, Fingerprint: "x"}, {Partition: 9}}, Empty: calendar.Of(9),
		Shortfall: []ledger.ShortSet{{Set: calendar.Of(-5), Shortfall: history.Short}}, Hulls: []ledger.Hull{{Input: "i", Reach: calendar.Everything()}},
		Metrics:    []ledger.Metric{{Check: "m", Partition: 9, Value: -0.5, Weight: 4, Passed: true}},
		Quarantine: calendar.Of(3, 5), Reasons: map[calendar.Partition]string{3: "low", 5: "high"}, ReadAt: time.Unix(5, 6).UTC(),
	}
	blob := packIntent(in)
	got, err := readIntent(blob)
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Fatalf("%v\nwrote %+v\nread  %+v", err, in, got)
	}
	for cut := range blob {
		if _, err := readIntent(blob[:cut]); err == nil {
			t.Fatalf("%d bytes of %d were read as a whole intent", cut, len(blob))
		}
	}
}

func FuzzReadPage(f *testing.F) {
	f.Add(packPage(segmentCodec{}, []segment{{Segment: history.Segment{Interval: calendar.Single(3), Attempt: "a"}}}))
	f.Fuzz(func(_ *testing.T, blob []byte) {
		_, _ = readPage(segmentCodec{}, nil, blob)
		_, _ = readPage(verdictCodec{}, nil, blob)
		_, _ = readPage(measureCodec{}, nil, blob)
		_, _ = readIntent(blob)
		_, _ = unpackRun(blob)
	})
}
