package ledgertest

import (
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func (f *fixture) markOf(kind ledger.MarkKind, start, end calendar.Partition) ledger.Mark {
	f.w.Advance(time.Second)
	return ledger.Mark{
		Kind: kind, Table: table, Axis: day, Set: days(start, end), Version: "v9", Actor: ledger.Actor{User: "ada", Host: "host", PID: 7},
		Reason: "because", At: f.w.Now(),
	}
}

func (f *fixture) mark(m ledger.Mark) history.Seq {
	f.Helper()
	seq, err := f.l.Mark(f.ctx, m)
	f.ok(err)
	return seq
}

var markCases = []testCase{
	{"FreshTakesOver", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		a := f.publish(l, 0, 2)
		written := f.must(0)
		m := f.markOf(ledger.MarkFresh, 1, 4)
		m.Contents = []ledger.Content{{Partition: 1, Rows: 10, Fingerprint: "rows of 1"}, {Partition: 2, Rows: 7, Fingerprint: "x"}}
		seq := f.mark(m)
		kept := f.must(1)
		same(f, "unchanged content", kept.ChangedSeq, written.ChangedSeq)
		same(f, "its attempt", kept.Attempt, string(a.ID))
		same(f, "read now", kept.ReadSeq, seq)
		same(f, "accepted", kept.Accepted, true)
		same(f, "version", kept.Version, "v9")
		taken := f.must(2)
		same(f, "new content", taken.ChangedSeq, seq)
		same(f, "no attempt", taken.Attempt, "")
		same(f, "unseen content", f.must(3).Content, history.Rows)
		same(f, "checked as it was", []any{kept.CheckVersion, kept.CheckSeq}, []any{"c1", a.ReadSeq})
		same(f, "never checked", []any{taken.CheckVersion, taken.CheckSeq}, []any{"", history.Seq(0)})
		same(f, "untouched", f.must(0), written)
		got, err := f.l.Contents(f.ctx, table, days(1, 4))
		f.ok(err)
		same(f, "contents", got, m.Contents)
	}},
	{"FreshVouchesForChecks", func(f *fixture) {
		f.publish(f.acquire(f.request(0, 9)), 0, 2)
		m := f.markOf(ledger.MarkFresh, 1, 3)
		m.CheckVersion = "c9"
		seq := f.mark(m)
		for p := range m.Set.Partitions() {
			same(f, "checked", []any{f.must(p).CheckVersion, f.must(p).CheckSeq}, []any{"c9", seq})
		}
		same(f, "untouched", f.must(0).CheckVersion, "c1")
	}},
	{"FreshClearsDoubt", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		req := f.attemptRequest(l, 0, 2)
		req.Guarded = true
		a := f.start(req)
		f.failure(a, history.Failed)
		seq := f.mark(f.markOf(ledger.MarkFresh, 0, 1))
		same(f, "readable", f.must(0).Content, history.Rows)
		same(f, "changed", f.must(0).ChangedSeq, seq)
		same(f, "the other", f.must(1).Content, history.InDoubt)
		f.sets("verdicts", history.Covered(f.history().Verdicts), days(1, 2))
	}},
	{"StaleAndSkipped", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 3)
		before := f.must(1)
		f.mark(f.markOf(ledger.MarkStale, 1, 6))
		before.Stale = true
		same(f, "stale and nothing else", f.must(1), before)
		if _, ok := f.at(4); ok {
			f.Fatal("what is missing cannot be stale")
		}
		seq := f.mark(f.markOf(ledger.MarkSkipped, 2, 5))
		same(f, "skipped", f.must(4).Content, history.Skipped)
		same(f, "changed", f.must(2).ChangedSeq, seq)
		f.mark(f.markOf(ledger.MarkSkipped, 2, 5))
		same(f, "skipping again changes nothing for readers", f.must(2).ChangedSeq, seq)
		got, err := f.l.Contents(f.ctx, table, days(0, 9))
		f.ok(err)
		same(f, "contents left", len(got), 2)
		f.publish(l, 1, 2)
		same(f, "a publish clears the mark", f.must(1).Stale, false)
	}},
	{"GoneLeavesTheCalendar", func(f *fixture) {
		f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 9)}}})
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 3)
		before := f.must(1)
		seq := f.mark(f.markOf(ledger.MarkGone, 1, 2))
		f.sets("known", f.history().Known, days(0, 9).Minus(days(1, 2)))
		same(f, "logged as a loss", f.history().Moves[1], history.Move{Interval: calendar.Single(1), Seq: seq})
		same(f, "what stands there stays", f.must(1), before)
		out := f.observe(ledger.Observation{Expected: []ledger.Expected{{Table: table, Axis: day, Set: days(0, 9)}}})
		f.sets("gained again", out.Gained[table], days(1, 2))
		f.mark(f.markOf(ledger.MarkGone, 20, 22))
		f.sets("what was never expected cannot go", history.Covered(f.history().Moves), days(0, 9))
	}},
	{"Promote", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 1)
		req := f.attemptRequest(l, 1, 2)
		req.Version = "v2"
		a := f.start(req)
		f.intend(f.intent(a))
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		same(f, "versions", f.history().Versions, []history.Version{{Version: "v1", Producer: "t"}, {Version: "v2", Producer: "t", Head: true}})
		req = f.attemptRequest(l, 3, 4)
		req.Version = "v2"
		under := f.start(req)
		m := f.markOf(ledger.MarkHeadTo, 0, 0)
		m.Version = "v1"
		f.mark(m)
		same(f, "versions", f.history().Versions, []history.Version{{Version: "v1", Producer: "t", Head: true}, {Version: "v2", Producer: "t"}})
		versions, err := f.l.Versions(f.ctx, table)
		f.ok(err)
		same(f, "oldest first", []string{versions[0].Version, versions[1].Version}, []string{"v1", "v2"})
		same(f, "head", []bool{versions[0].Head, versions[1].Head}, []bool{true, false})
		same(f, "kept", versions[0].Summary, "select")
		f.publish(l, 2, 3)
		f.intend(f.intent(under))
		f.record(ledger.Commit{Attempt: under.ID, Published: under.Set})
		same(f, "only a first publish makes a head", f.heads(), map[string]string{"t": "v1"})
		m.Version = "v7"
		_, err = f.l.Mark(f.ctx, m)
		f.is(err, ledger.ErrNotFound)
	}},
	{"MarksAreAudited", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		f.publish(l, 0, 3)
		m := f.markOf(ledger.MarkStale, 0, 2)
		seq := f.mark(m)
		same(f, "the same mark", f.mark(m), seq)
		f.mark(f.markOf(ledger.MarkSkipped, 5, 6))
		f.reopen()
		same(f, "the same mark after opening again", f.mark(m), seq)
		entries, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(entries), 2)
		e := entries[0]
		same(f, "position", e.Position, 1)
		same(f, "actor", e.Actor, m.Actor)
		same(f, "action", e.Action, "mark.stale")
		same(f, "reason", e.Reason, "because")
		same(f, "chained", entries[1].Previous, e.Hash)
		f.sets("set", e.Set, m.Set)
		if !e.At.Equal(m.At) || e.Before == "" || e.Before == e.After {
			f.Fatalf("entry %+v does not tell what changed", e)
		}
		n, err := f.l.VerifyAudit(f.ctx)
		f.ok(err)
		same(f, "verified", n, 2)
		entries, err = f.l.Audit(f.ctx, ledger.AuditFilter{Since: f.w.Now(), Limit: 5})
		f.ok(err)
		same(f, "since", len(entries), 1)
		entries, err = f.l.Audit(f.ctx, ledger.AuditFilter{Limit: 1})
		f.ok(err)
		same(f, "the newest", entries[0].Position, 2)
		entries, err = f.l.Audit(f.ctx, ledger.AuditFilter{Table: "main/u"})
		f.ok(err)
		same(f, "of another table", len(entries), 0)
	}},
	{"MalformedMarks", func(f *fixture) {
		for what, change := range map[string]func(*ledger.Mark){
			"kind":     func(m *ledger.Mark) { m.Kind = "good" },
			"nothing":  func(m *ledger.Mark) { m.Set = calendar.Set{} },
			"endless":  func(m *ledger.Mark) { m.Set = calendar.All() },
			"table":    func(m *ledger.Mark) { m.Table = "" },
			"contents": func(m *ledger.Mark) { m.Contents = []ledger.Content{{Partition: 7}} },
		} {
			m := f.markOf(ledger.MarkFresh, 0, 2)
			change(&m)
			if _, err := f.l.Mark(f.ctx, m); err == nil {
				f.Fatalf("accepted a mark of a wrong %s", what)
			}
		}
		f.mark(f.markOf(ledger.MarkFresh, 0, 2))
		m := f.markOf(ledger.MarkStale, 0, 2)
		m.Axis = calendar.Axis{Grain: calendar.Month}
		_, err := f.l.Mark(f.ctx, m)
		f.is(err, ledger.ErrAxis)
	}},
}
