package ledgertest

import (
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// seen is a look at the whole table, in which the given partitions have rows.
func seen(prints map[calendar.Partition]string) ledger.Seen {
	s := ledger.Seen{Table: table, Axis: day, Looked: calendar.All(), Meta: "m1"}
	for p, mark := range prints {
		s.Contents = append(s.Contents, ledger.Content{Partition: p, Rows: 5, Fingerprint: mark})
	}
	return s
}

func (f *fixture) see(s ledger.Seen) ledger.Observed {
	f.Helper()
	return f.observe(ledger.Observation{Sources: []ledger.Seen{s}})
}

var observeCases = []testCase{
	{"ExpectedGainsAndLoses", func(f *fixture) {
		out := f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 5)}}})
		f.sets("gained", out.Gained[table], days(0, 5))
		h := f.history()
		f.sets("known", h.Known, days(0, 5))
		same(f, "moves", h.Moves, []history.Move{{Interval: calendar.Interval{Start: 0, End: 5}, Seq: out.Seq, Gained: true}})
		next := f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(1, 6)}}})
		f.sets("lost", next.Lost[table], days(0, 1))
		f.sets("gained", next.Gained[table], days(5, 6))
		same(f, "moves", f.history().Moves, []history.Move{
			{Interval: calendar.Single(0), Seq: next.Seq}, {Interval: calendar.Interval{Start: 1, End: 5}, Seq: out.Seq, Gained: true},
			{Interval: calendar.Single(5), Seq: next.Seq, Gained: true},
		})
	}},
	{"ExpectedMayBeOpen", func(f *fixture) {
		open := calendar.NewSet(calendar.Interval{Start: calendar.Beginning, End: 7})
		f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: open}}})
		f.sets("known", f.history().Known, open)
		out := f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: calendar.All()}}})
		f.sets("gained", out.Gained[table], calendar.Range(7, calendar.Horizon))
		f.sets("moved", history.Covered(f.history().Moves), calendar.All())
	}},
	{"NothingNewDoesNotMoveTheClock", func(f *fixture) {
		o := ledger.Observation{
			Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 5)}},
			Periods:  map[string][]calendar.Interval{"season": {{Start: 0, End: 100}}},
			Sources:  []ledger.Seen{{Table: "main/s", Axis: day, Looked: days(0, 5), Empty: days(1, 2), Contents: []ledger.Content{{Partition: 0, Rows: 1, Fingerprint: "f"}}}},
		}
		out := f.observe(o)
		same(f, "one reading for all of it", out.Seq, f.head())
		same(f, "clock", f.head(), 2)
		again := f.observe(o)
		same(f, "clock", again.Seq, out.Seq)
		same(f, "changes", len(again.Gained)+len(again.Lost)+len(again.Changed)+len(again.Gone), 0)
	}},
	{"PeriodsAreLogged", func(f *fixture) {
		first := f.observe(ledger.Observation{Periods: map[string][]calendar.Interval{"season": {{Start: 0, End: 100}, {Start: 100, End: 200}}}})
		second := f.observe(ledger.Observation{Periods: map[string][]calendar.Interval{"season": {{Start: 0, End: 90}}}})
		same(f, "periods", f.snapshot().Periods["season"], []history.PeriodChange{
			{Seq: first.Seq, Intervals: []calendar.Interval{{Start: 0, End: 100}, {Start: 100, End: 200}}},
			{Seq: second.Seq, Intervals: []calendar.Interval{{Start: 0, End: 90}}},
		})
	}},
	{"SourceContents", func(f *fixture) {
		first := f.see(seen(map[calendar.Partition]string{1: "a", 2: "b"}))
		f.sets("changed", first.Changed[table], days(1, 3))
		next := seen(map[calendar.Partition]string{1: "a", 2: "c", 3: "d"})
		next.Empty = days(4, 5)
		out := f.see(next)
		f.sets("changed", out.Changed[table], days(2, 5))
		f.segments([]history.Segment{
			{Interval: calendar.Single(1), ChangedSeq: first.Seq}, {Interval: calendar.Interval{Start: 2, End: 4}, ChangedSeq: out.Seq},
			{Interval: calendar.Single(4), ChangedSeq: out.Seq, Content: history.Empty},
		})
		got, err := f.l.Contents(f.ctx, table, days(2, 9))
		f.ok(err)
		same(f, "contents", got, []ledger.Content{{Partition: 2, Rows: 5, Fingerprint: "c"}, {Partition: 3, Rows: 5, Fingerprint: "d"}, {Partition: 4}})
		same(f, "meta", f.history().Meta, "m1")
	}},
	{"SourceLosesPartitions", func(f *fixture) {
		f.see(seen(map[calendar.Partition]string{1: "a", 2: "b"}))
		out := f.see(seen(map[calendar.Partition]string{2: "b"}))
		f.sets("gone", out.Gone[table], days(1, 2))
		s := f.must(1)
		same(f, "content", s.Content, history.Drifted)
		same(f, "changed", s.ChangedSeq, out.Seq)
		again := f.see(seen(map[calendar.Partition]string{2: "b"}))
		same(f, "clock", again.Seq, out.Seq)
		elsewhere := seen(nil)
		elsewhere.Looked = days(5, 9)
		same(f, "what nobody looked at is not lost", f.see(elsewhere).Seq, out.Seq)
		back := f.see(seen(map[calendar.Partition]string{1: "a", 2: "b"}))
		f.sets("back", back.Changed[table], days(1, 2))
		same(f, "readable again", f.must(1).Content, history.Rows)
		same(f, "and changed", f.must(1).ChangedSeq, back.Seq)
	}},
	{"ALossIsAccepted", func(f *fixture) {
		f.see(seen(map[calendar.Partition]string{1: "a", 2: "b"}))
		f.see(seen(map[calendar.Partition]string{2: "b"}))
		seq := f.mark(f.markOf(ledger.MarkSkipped, 1, 2))
		s := f.must(1)
		same(f, "no rows are right", s.Content, history.Skipped)
		same(f, "its readers have to know", s.ChangedSeq, seq)
		same(f, "still without rows", f.see(seen(map[calendar.Partition]string{2: "b"})).Seq, seq)
		back := f.see(seen(map[calendar.Partition]string{1: "a", 2: "b"}))
		f.sets("back", back.Changed[table], days(1, 2))
		same(f, "readable", f.must(1).Content, history.Rows)
	}},
	{"SourceDrifts", func(f *fixture) {
		f.see(seen(map[calendar.Partition]string{1: "a", 2: "b"}))
		s := seen(map[calendar.Partition]string{1: "a", 2: "b"})
		s.Drifted = days(2, 4)
		out := f.see(s)
		f.sets("changed", out.Changed[table], days(2, 4))
		same(f, "with rows", f.must(2).Content, history.Drifted)
		same(f, "without", f.must(3).Content, history.Drifted)
		same(f, "the same drift", f.see(s).Seq, out.Seq)
		s.Drifted = calendar.Set{}
		mended := f.see(s)
		f.sets("mended", mended.Changed[table], days(2, 3))
		same(f, "mended", f.must(2).Content, history.Rows)
	}},
	{"MetaGoesWithTheLook", func(f *fixture) {
		s := seen(map[calendar.Partition]string{1: "a"})
		f.see(s)
		s.Meta = "m2"
		out := f.see(s)
		same(f, "changed", len(out.Changed), 0)
		same(f, "meta", f.history().Meta, "m2")
	}},
	{"MalformedObservations", func(f *fixture) {
		beyond := seen(map[calendar.Partition]string{1: "a"})
		beyond.Looked = days(2, 3)
		both := seen(map[calendar.Partition]string{1: "a"})
		both.Empty = days(1, 2)
		twice := seen(nil)
		twice.Contents = []ledger.Content{{Partition: 1}, {Partition: 1}}
		unnamed := seen(nil)
		unnamed.Table = ""
		for what, s := range map[string]ledger.Seen{"beyond": beyond, "both": both, "twice": twice, "unnamed": unnamed} {
			if _, err := f.l.Observe(f.ctx, ledger.Observation{Sources: []ledger.Seen{s}}); err == nil {
				f.Fatalf("accepted what is %s", what)
			}
		}
		f.see(seen(nil))
		before := f.head()
		other := seen(map[calendar.Partition]string{1: "a"})
		other.Axis.Zone = "America/New_York"
		_, err := f.l.Observe(f.ctx, ledger.Observation{
			Expected: []ledger.Expected{{Table: "main/u", Axis: day, Set: days(0, 3)}}, Sources: []ledger.Seen{other},
		})
		f.is(err, ledger.ErrAxis)
		same(f, "clock", f.head(), before)
		s, err := f.l.Snapshot(f.ctx, []string{"main/u"})
		f.ok(err)
		f.sets("nothing of it happened", s.Table("main/u").Known, calendar.Set{})
	}},
}
