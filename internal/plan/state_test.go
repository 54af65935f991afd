package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"pgregory.net/rapid"
)

// Every expected partition has exactly one state, and Fresh ones have one that needs no work unless something else is to be told first.
func TestStatesCoverWhatIsExpected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		s.settleSources()
		s.run(Request{})
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			s.step()
		}
		w := s.world()
		for _, table := range s.tables {
			seen := calendar.Set{}
			j := w.Judge(table.Name)
			for state, set := range w.ByState(table.Name, calendar.All()) {
				if seen.Overlaps(set) {
					t.Fatalf("%s: %v has two states", table.Name, seen.Intersect(set).Intervals())
				}
				seen = seen.Union(set)
				working := slices.Contains([]State{StateBlocked, StateMissing, StateStale}, state)
				if working && set.Overlaps(j.Fresh) {
					t.Fatalf("%s: fresh partitions are %s", table.Name, state)
				}
			}
			if !seen.Equal(s.in.Expected[table.Name]) {
				t.Fatalf("%s: states for %v of %v", table.Name, seen.Intervals(), s.in.Expected[table.Name].Intervals())
			}
			n := 0
			for _, stretch := range w.States(table.Name, calendar.All()) {
				n += stretch.Partitions
			}
			if n != s.in.Expected[table.Name].Count() {
				t.Fatalf("%s: stretches hold %d of %d", table.Name, n, s.in.Expected[table.Name].Count())
			}
			s.watermark(w, table, j)
			for p := range j.Expected.Partitions() {
				s.why(w, table, p, j)
			}
		}
	})
}

func (s *sim) watermark(w *World, t *catalog.Table, j *Judgement) {
	var want calendar.Partition
	ok := false
	for p := range j.Expected.Partitions() {
		if !j.Fresh.Contains(p) {
			break
		}
		want, ok = p, true
	}
	if got, found := w.Watermark(t.Name); found != ok || (ok && got != want) {
		s.t.Fatalf("%s: watermark %d %v, want %d %v", t.Name, got, found, want, ok)
	}
}

// why holds chains to what they promise: they begin at the partition, each link but the last leads to an input that is not fresh, and what
// is not fine has a fix.
func (s *sim) why(w *World, t *catalog.Table, p calendar.Partition, j *Judgement) {
	c := w.Why(t.Name, p)
	if len(c.Links) == 0 || c.Links[0].Table != t.Name || c.Links[0].Partition != p || c.State != c.Links[0].State {
		s.t.Fatalf("%s %s: chain %+v", t.Name, t.Axis.ID(p), c)
	}
	for _, l := range c.Links {
		if l.Reason == "" {
			s.t.Fatalf("%s %s: no reason for %s %s, which is %s", t.Name, t.Axis.ID(p), l.Table, l.ID(), l.State)
		}
	}
	if fine := j.Fresh.Contains(p); !fine && c.Fix.Text == "" {
		s.t.Fatalf("%s %s is %s and nothing mends it: %+v", t.Name, t.Axis.ID(p), c.State, c)
	}
}

func TestWhyLeadsToTheRootCause(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 9), seg(0, 5, 0, 3), seg(6, 9, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 9))
	b.table(made("b", input("a", days(-1, 0))), calendar.Range(0, 9))
	b.table(made("c", input("b", same)), calendar.Range(0, 9))
	w := b.world()
	for _, tt := range []struct {
		p     calendar.Partition
		chain string
		fix   string
	}{
		{2, "c blocked, b blocked, a missing", "headway run c --from 1970-01-03 --to 1970-01-03 --upstream"},
		{5, "c blocked, b blocked, a missing", "headway run c --from 1970-01-06 --to 1970-01-06 --upstream"},
	} {
		c := w.Why("c", tt.p)
		var links []string
		for _, l := range c.Links {
			links = append(links, fmt.Sprintf("%s %s", l.Table, l.State))
		}
		if got := strings.Join(links, ", "); got != tt.chain || strings.Join(c.Fix.Argv, " ") != tt.fix {
			t.Errorf("%d: %s; %v", tt.p, got, c.Fix)
		}
	}
	c := w.Why("a", 5)
	if !strings.HasSuffix(c.Fix.Text, "if they will never come, headway mark a --from 1970-01-06 --to 1970-01-06 --as skipped") {
		t.Errorf("no way out where the source stays without: %q", c.Fix.Text)
	}
	if len(c.Links) != 2 || c.Links[1].Table != "raw" || c.Fix.Argv[1] != "observe" {
		t.Errorf("chain %+v", c)
	}
	if c := w.Why("nothing", 1); len(c.Links) != 0 {
		t.Errorf("chain of an unknown table %+v", c)
	}
	if c := w.Why("a", 99); c.State != "" || c.Links[0].Reason == "" {
		t.Errorf("chain of an unknown date %+v", c)
	}
}

// A loop may lead back through all its dates: the middle of the chain is left out, and counted.
func TestWhyThroughALongLoop(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 500), seg(0, 500, 0, 3))
	b.table(made("a", input("raw", same), input("a", days(-1, -1))), calendar.Range(0, 500))
	c := b.world().Why("a", 499)
	if len(c.Links) != 2*keptLinks || c.Left != 500-2*keptLinks || c.Links[len(c.Links)-1].Partition != 0 {
		t.Errorf("%d links, %d left out, last %+v", len(c.Links), c.Left, c.Links[len(c.Links)-1])
	}
}

func TestJSON(t *testing.T) {
	b := newBuilder()
	expected := calendar.Range(19000, 19010).Minus(calendar.Of(19004))
	old := seg(19000, 19003, 4, 5)
	old.Version = "v0"
	b.source("raw", calendar.Range(19000, 19010), seg(19000, 19007, 0, 3), seg(19008, 19010, 0, 3))
	b.table(made("a", input("raw", same)), expected, old)
	b.in.Now = time.Date(2022, 2, 1, 12, 0, 0, 0, time.UTC)
	p := mustMake(t, b.world(), Request{Range: &Range{calendar.Axis{Grain: calendar.Day}, calendar.Interval{Start: 19000, End: 19008}}})
	got, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"headway.plan/v1","plan":"` + p.ID + `","request":{"tables":[],"range":{"start":"2022-01-08","end":"2022-01-16"},` +
		`"reprocess":"missing,failed,quarantined,input,code,lookback","explicit":false,"upstream":false,"downstream":false},"env":null,` +
		`"as_of":"2022-02-01T12:00:00Z","seq":100,"class":"backfill","totals":{"partitions":6,"bytes":null,"blocked":1,"skipped":0},` +
		`"steps":[{"table":"a","producer":null,"guarantee":"fenced","intervals":[{"start":"2022-01-11","end":"2022-01-15"}],"partitions":3,` +
		`"cause":{"kind":"missing","from":null,"to":null},"because":[]},` +
		`{"table":"a","producer":null,"guarantee":"fenced","intervals":[{"start":"2022-01-08","end":"2022-01-11"}],"partitions":3,` +
		`"cause":{"kind":"code","from":"v0","to":"v1"},"because":[]}],` +
		`"blocked":[{"table":"a","partition":"2022-01-15","held":false,"missing":[{"table":"raw","partitions":1}],` +
		`"fix":{"text":"bring the data of raw, then look again; if they will never come, headway mark a --from 2022-01-15 --to 2022-01-15 --as skipped",` +
		`"argv":["headway","observe","raw"]}}],"skipped":[],"checks":[]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	chain, err := b.world().Why("a", 19000).JSON()
	if err != nil || !json.Valid(chain) || !strings.Contains(string(chain), `"fix":{"text":"compute a 2022-01-08","argv":["headway","run","a"`) {
		t.Errorf("%s, %v", chain, err)
	}
}

// What a person is told of a partition that is stale, by reason.
func TestWhyIsStale(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 9), seg(0, 5, 0, 3), seg(5, 6, 0, 9), seg(6, 9, 0, 3))
	old, marked := seg(1, 2, 4, 5), seg(2, 3, 4, 5)
	old.Version, marked.Stale = "v0", true
	b.table(made("a", input("raw", same)), calendar.Range(0, 9), seg(0, 1, 4, 5), old, marked, seg(3, 9, 4, 5))
	b.in.Tables["a"].Verdicts = []history.Verdict{{Interval: single(7), Outcome: history.Failed, ReadSeq: 4, Version: "v1", Reason: "boom"}}
	w := b.world()
	for p, want := range map[calendar.Partition]string{
		0: "up to date", 1: "version v0", 2: "marked stale", 5: "raw 1970-01-06 changed", 7: "boom",
	} {
		if c := w.Why("a", p); !strings.Contains(c.Links[0].Reason, want) {
			t.Errorf("%d: %q, want %q", p, c.Links[0].Reason, want)
		}
	}
}

// Whoever mends only the first lack would be told of the next one after it, and so on.
func TestWhyNamesEveryLack(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 9), seg(0, 9, 0, 3))
	b.source("other", calendar.Range(0, 9), seg(0, 2, 0, 3), seg(8, 9, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 9), seg(0, 4, 5, 5), seg(6, 9, 5, 5))
	b.table(made("b", input("a", days(-2, 0)), input("other", days(-6, 0))), calendar.Range(0, 9))
	w := b.world()
	want := "a lacks 1970-01-05..1970-01-06; other lacks 5 partitions from 1970-01-03 to 1970-01-07"
	if got := w.Why("b", 6).Links[0].Reason; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A run of what waits for a quarantined partition would be blocked again: the fix is the quarantined partition's own.
func TestFixOfWhatWaitsForQuarantined(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 3), seg(0, 3, 0, 3))
	b.table(made("a", input("raw", same)), calendar.Range(0, 3), seg(0, 1, 5, 5), seg(2, 3, 5, 5))
	b.in.CheckVersions["a"] = "c1"
	b.in.Tables["a"].Verdicts = []history.Verdict{quarantined(1, 5)}
	b.table(made("b", input("a", same)), calendar.Range(0, 3))
	p := mustMake(t, b.world(), Request{})
	if len(p.Blocked) != 1 || len(p.Blocked[0].Items) != 1 {
		t.Fatalf("blocked: %+v", p.Blocked)
	}
	want := []string{"headway", "run", "a", "--from", "1970-01-02", "--to", "1970-01-02", "--reprocess", "quarantined"}
	if fix := p.Blocked[0].Items[0].Fix; !slices.Equal(fix.Argv, want) {
		t.Errorf("fix %v, want %v", fix, want)
	}
}
