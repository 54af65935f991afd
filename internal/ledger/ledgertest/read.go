package ledgertest

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

var readCases = []testCase{
	{"NewLedger", func(f *fixture) {
		if f.l.ID() == "" || f.l.URL() == "" {
			f.Fatal("a ledger without a name")
		}
		s := f.snapshot()
		same(f, "clock", s.Seq, 1)
		same(f, "name", s.Ledger, f.l.ID())
		same(f, "an unknown table", s.Tables[table], &history.Table{})
	}},
	{"NameIsKept", func(f *fixture) {
		id := f.l.ID()
		f.reopen()
		same(f, "name", f.l.ID(), id)
	}},
	{"HeadIsTheClockOfTheSnapshot", func(f *fixture) {
		steps := []func(){
			func() { f.acquire(f.request(20, 22)) },
			func() {
				f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 3)}}})
			},
		}
		l := f.acquire(f.request(0, 9))
		var a *ledger.Attempt
		steps = append(steps,
			func() { a = f.attempt(l, 0, 2) },
			func() { f.intend(f.intent(a)); f.record(ledger.Commit{Attempt: a.ID, Published: a.Set}) },
			func() { f.mark(f.markOf(ledger.MarkStale, 0, 1)) },
			func() { f.ok(f.l.Release(f.ctx, l.ID, nil)) },
		)
		for i, step := range steps {
			before := f.snapshot()
			same(f, "clock", f.head(), before.Seq)
			step()
			after := f.snapshot()
			if after.Seq <= before.Seq || describe(before) == describe(after) {
				f.Fatalf("step %d left the clock at %d", i, after.Seq)
			}
		}
	}},
	{"AxesOfWhatWasUsed", func(f *fixture) {
		all, err := f.l.Axes(f.ctx)
		f.ok(err)
		same(f, "tables", len(all), 0)
		f.acquire(f.request(0, 9))
		f.reopen()
		all, err = f.l.Axes(f.ctx)
		f.ok(err)
		same(f, "axes", all, map[string]calendar.Axis{table: day})
	}},
	{"ReadingChangesNothing", func(f *fixture) {
		req := f.request(0, 9)
		f.attempt(f.acquire(req), 0, 2)
		f.w.Kill(req.Holder)
		before := f.head()
		f.snapshot()
		_, err := f.l.Changes(f.ctx, 0, []string{table})
		f.ok(err)
		same(f, "clock", f.head(), before)
	}},
	{"ChangesHoldWhatIsNew", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 3)
		f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: "main/u", Axis: day, Set: days(0, 3)}}})
		since := f.head()
		keys := []string{table, "main/u", "main/unknown"}
		c, err := f.l.Changes(f.ctx, since, keys)
		f.ok(err)
		same(f, "nothing", len(c.Tables), 0)
		a := f.publish(l, 4, 5)
		c, err = f.l.Changes(f.ctx, since, keys)
		f.ok(err)
		same(f, "tables", len(c.Tables), 1)
		f.sets("rows", history.Covered(c.Tables[table].Segments), a.Set)
		f.sets("all else whole", c.Tables[table].Reserved, days(0, 9))
		same(f, "clock", c.Seq, f.head())
		c, err = f.l.Changes(f.ctx, 0, keys)
		f.ok(err)
		f.sets("all rows", history.Covered(c.Tables[table].Segments), calendar.Of(0, 1, 2, 4))
	}},
	{"ChangesTellOfDeadHolders", func(f *fixture) {
		req := f.request(0, 9)
		f.attempt(f.acquire(req), 0, 2)
		since := f.head()
		f.w.Kill(req.Holder)
		c, err := f.l.Changes(f.ctx, since, []string{table})
		f.ok(err)
		f.sets("unsettled", c.Table(table).Unsettled, days(0, 2))
	}},
	{"ManyTables", func(f *fixture) {
		var keys []string
		req := f.request(0, 1)
		req.Writes = nil
		for i := range 60 {
			keys = append(keys, "main/"+string(rune('a'+i%26))+string(rune('a'+i/26)))
			req.Writes = append(req.Writes, ledger.Claim{Table: keys[i], Axis: day, Set: days(0, calendar.Partition(i+1))})
		}
		f.acquire(req)
		for _, asked := range [][]string{keys, keys[40:43]} {
			s, err := f.l.Snapshot(f.ctx, asked)
			f.ok(err)
			same(f, "tables", len(s.Tables), len(asked))
			for i, key := range keys {
				if h := s.Tables[key]; h != nil {
					f.sets("reserved of "+key, h.Reserved, days(0, calendar.Partition(i+1)))
				}
			}
		}
	}},
	{"MetricsKeepTheLatest", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		publish := func(value float64, checks ...string) history.Seq {
			a := f.attempt(l, 0, 2)
			in := f.intent(a)
			for _, check := range checks {
				for p := range a.Set.Partitions() {
					in.Metrics = append(in.Metrics, ledger.Metric{Check: check, Partition: p, Value: value + float64(p), Weight: 3, Passed: value > 1})
				}
			}
			f.intend(in)
			return f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		}
		first := publish(0.25, "t.y", "t.x")
		second := publish(2.5, "t.x")
		got, err := f.l.Metrics(f.ctx, table, days(0, 9))
		f.ok(err)
		same(f, "metrics", got, []ledger.Metric{
			{Check: "t.x", Partition: 0, Value: 2.5, Weight: 3, Passed: true, At: second}, {Check: "t.y", Partition: 0, Value: 0.25, Weight: 3, At: first},
			{Check: "t.x", Partition: 1, Value: 3.5, Weight: 3, Passed: true, At: second}, {Check: "t.y", Partition: 1, Value: 1.25, Weight: 3, At: first},
		})
		got, err = f.l.Metrics(f.ctx, table, days(1, 2))
		f.ok(err)
		same(f, "within", len(got), 2)
		got, err = f.l.Metrics(f.ctx, "main/unknown", days(1, 2))
		f.ok(err)
		same(f, "unknown", len(got), 0)
	}},
	{"MetricsOfAQuarantine", func(f *fixture) {
		a := f.attempt(f.acquire(f.request(0, 9)), 0, 2)
		seq, err := f.l.Fail(f.ctx, ledger.Failure{
			Attempt: a.ID, Token: a.Token, Outcome: history.Quarantined, Metrics: []ledger.Metric{{Check: "t.x", Partition: 1, Value: 0.5}},
		})
		f.ok(err)
		got, err := f.l.Metrics(f.ctx, table, days(0, 9))
		f.ok(err)
		same(f, "metrics", got, []ledger.Metric{{Check: "t.x", Partition: 1, Value: 0.5, At: seq}})
	}},
	{"ContentsAreOfTheLatest", func(f *fixture) {
		l := f.acquire(f.request(0, 300))
		f.publish(l, 0, 300)
		a := f.attempt(l, 100, 102)
		in := f.intent(a)
		in.Publish[0].Fingerprint, in.Publish[1] = "new", ledger.Content{Partition: 101}
		in.Empty = days(101, 102)
		f.intend(in)
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		got, err := f.l.Contents(f.ctx, table, days(99, 103))
		f.ok(err)
		same(f, "contents", got, []ledger.Content{
			{Partition: 99, Rows: 10, Fingerprint: "rows of 99"}, {Partition: 100, Rows: 10, Fingerprint: "new"}, {Partition: 101},
			{Partition: 102, Rows: 10, Fingerprint: "rows of 102"},
		})
		all, err := f.l.Contents(f.ctx, table, calendar.All())
		f.ok(err)
		same(f, "all of them", len(all), 300)
	}},
	{"CancelledCallers", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := f.l.Acquire(ctx, f.request(0, 9))
		f.is(err, context.Canceled)
		_, err = f.l.Snapshot(ctx, []string{table})
		f.is(err, context.Canceled)
		same(f, "clock", f.head(), 1)
	}},
}
