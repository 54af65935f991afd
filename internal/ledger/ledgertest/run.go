package ledgertest

import (
	"time"

	"github.com/headway-data/headway/internal/ledger"
)

func (f *fixture) put(r ledger.RunRecord) {
	f.Helper()
	f.ok(f.l.PutRun(f.ctx, r))
}

func (f *fixture) runs(filter ledger.RunFilter) []ledger.RunRecord {
	f.Helper()
	out, err := f.l.Runs(f.ctx, filter)
	f.ok(err)
	return out
}

func (f *fixture) runIDs(filter ledger.RunFilter) []ledger.RunID {
	f.Helper()
	var out []ledger.RunID
	for _, r := range f.runs(filter) {
		out = append(out, r.ID)
	}
	return out
}

var runCases = []testCase{
	{"IsKeptWhole", func(f *fixture) {
		r := ledger.RunRecord{
			ID: "r-abc", State: "running", Class: ledger.ClassFix, Command: "headway run", Holder: f.w.Holder(), Reason: "why", Request: []byte(`{"a":1}`),
			Plan: []byte(`{}`), Report: nil, Events: []byte{}, Done: 3, Total: 9, Sets: []ledger.Claim{claim(0, 5)}, Exit: 5, StartedAt: f.w.Now(),
		}
		f.put(r)
		f.reopen()
		same(f, "run", f.runs(ledger.RunFilter{ID: "r-abc"}), []ledger.RunRecord{r})
	}},
	{"StateOnlyMovesForward", func(f *fixture) {
		put := func(state ledger.RunState, done int, ended bool) {
			f.put(ledger.RunRecord{ID: "r", State: state, Done: done, Ended: ended, StartedAt: f.w.Now()})
		}
		is := func(state ledger.RunState, done int) {
			f.Helper()
			got := f.runs(ledger.RunFilter{ID: "r"})[0]
			same(f, "state", got.State, state)
			same(f, "done", got.Done, done)
		}
		put("planned", 0, false)
		put("running", 1, false)
		put("planned", 2, false)
		is("running", 1)
		put("paused", 3, false)
		put("running", 4, false)
		is("running", 4)
		put("stopping", 5, false)
		put("running", 6, false)
		is("stopping", 5)
		put("done", 7, true)
		put("done", 7, true)
		put("stopping", 8, false)
		put("failed", 9, true)
		is("done", 7)
	}},
	{"Listed", func(f *fixture) {
		for i, id := range []ledger.RunID{"r-aa", "r-ab", "r-b"} {
			r := ledger.RunRecord{ID: id, State: "running", StartedAt: f.w.Now().Add(time.Duration(i) * time.Second), Sets: []ledger.Claim{claim(0, 5)}}
			if id == "r-ab" {
				r.Sets[0].Table, r.Ended = "main/u", true
			}
			f.put(r)
		}
		same(f, "newest first", f.runIDs(ledger.RunFilter{}), []ledger.RunID{"r-b", "r-ab", "r-aa"})
		same(f, "by prefix", f.runIDs(ledger.RunFilter{ID: "r-a"}), []ledger.RunID{"r-ab", "r-aa"})
		same(f, "by table", f.runIDs(ledger.RunFilter{Table: table}), []ledger.RunID{"r-b", "r-aa"})
		same(f, "active", f.runIDs(ledger.RunFilter{Active: true}), []ledger.RunID{"r-b", "r-aa"})
		same(f, "limited", f.runIDs(ledger.RunFilter{Limit: 1}), []ledger.RunID{"r-b"})
		same(f, "none", len(f.runIDs(ledger.RunFilter{ID: "x%"})), 0)
	}},
	{"NeedsAnID", func(f *fixture) {
		if f.l.PutRun(f.ctx, ledger.RunRecord{}) == nil {
			f.Fatal("a run without an id was stored")
		}
	}},
}
