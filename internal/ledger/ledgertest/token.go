package ledgertest

import (
	"errors"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

var tokenCases = []testCase{
	{"TokensStartAboveFloors", func(f *fixture) {
		l := f.acquire(f.request(0, 9))
		a := f.attempt(l, 0, 2)
		before, head := f.snapshot(), f.head()
		all, err := f.l.Tokens(f.ctx)
		f.ok(err)
		same(f, "tokens", all[table], a.Token)
		floors := []ledger.Floor{{Table: table, Axis: day, Token: 50}, {Table: "main/restored", Axis: day, Token: 7}}
		for range 2 {
			f.ok(f.l.RaiseTokens(f.ctx, floors))
			f.reopen()
			all, err = f.l.Tokens(f.ctx)
			f.ok(err)
			same(f, "raised", all, map[string]history.Token{table: 50, "main/restored": 7})
		}
		same(f, "clock", f.head(), head)
		same(f, "history", f.snapshot(), before)
		same(f, "the next", f.attempt(l, 2, 4).Token, 51)
		f.ok(f.l.RaiseTokens(f.ctx, []ledger.Floor{{Table: table, Axis: day, Token: 20}}))
		same(f, "never down", f.attempt(l, 4, 6).Token, 52)
	}},
	{"FloorsAreOfOneAxis", func(f *fixture) {
		f.acquire(f.request(0, 9))
		hour := calendar.Axis{Grain: calendar.Hour}
		err := f.l.RaiseTokens(f.ctx, []ledger.Floor{{Table: "main/other", Axis: day, Token: 5}, {Table: table, Axis: hour, Token: 50}})
		if !errors.Is(err, ledger.ErrAxis) {
			f.Fatalf("error %v, want ErrAxis", err)
		}
		all, err := f.l.Tokens(f.ctx)
		f.ok(err)
		same(f, "tokens after an error", all, map[string]history.Token{table: 1})
	}},
	{"NotesAreAudited", func(f *fixture) {
		e := ledger.AuditEntry{
			At: f.w.Now(), Actor: ledger.Actor{User: "ada", Host: "host", PID: 7}, Action: "state.move", Table: "../w.duckdb", Reason: "the new machine",
			Before: `{"a":1}`, After: `{"a":2}`,
		}
		head := f.head()
		f.ok(f.l.Note(f.ctx, e))
		f.ok(f.l.Note(f.ctx, e)) // its answer was lost
		again := e
		again.At = e.At.Add(time.Second)
		f.ok(f.l.Note(f.ctx, again))
		f.reopen()
		all, err := f.l.Audit(f.ctx, ledger.AuditFilter{})
		f.ok(err)
		same(f, "entries", len(all), 2)
		same(f, "the entry", all[0], e.Sealed(1, ""))
		same(f, "the next", all[1], again.Sealed(2, all[0].Hash))
		n, err := f.l.VerifyAudit(f.ctx)
		f.ok(err)
		same(f, "whole", n, 2)
		same(f, "clock", f.head(), head)
	}},
}
