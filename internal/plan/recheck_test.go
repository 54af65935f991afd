package plan

import (
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// by is a stretch of rows of version v1 that checks looked at.
func by(checks string, at history.Seq, s history.Segment) history.Segment {
	s.CheckVersion, s.CheckSeq = checks, at
	return s
}

// failing is a stretch of rows that fail the checks c1, and the verdict over it.
func failing(p calendar.Partition, read history.Seq) (history.Segment, history.Verdict) {
	s := by("c1", read, seg(p, p+1, read, read))
	s.Content = history.Failing
	return s, quarantined(p, read)
}

// knownTo is a check that every id is found in a table.
func knownTo(table string) []*catalog.Check {
	return []*catalog.Check{{ID: "a.known", Kind: catalog.CheckRelationship, To: table, Columns: []string{"id"}}}
}

func recheckOf(p *Plan, table string) calendar.Set {
	for _, r := range p.Rechecks {
		if r.Table == table {
			return r.Set
		}
	}
	return calendar.Set{}
}

// Rows of days 0 to 9 of a, made from raw and checked at 4 by c1; b reads a.
func checkedWorld() *builder {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 10), seg(0, 10, 0, 3))
	b.source("known", calendar.Range(0, 10), seg(0, 10, 0, 3))
	a := made("a", input("raw", same))
	a.Checks = knownTo("known")
	b.table(a, calendar.Range(0, 10), by("c1", 4, seg(0, 10, 4, 5)))
	b.table(made("b", input("a", same)), calendar.Range(0, 10), seg(0, 10, 6, 7))
	b.in.CheckVersions["a"] = "c1"
	return b
}

func TestRule15_AChangedCheckAsksForCheckingAgainNotForComputing(t *testing.T) {
	b := checkedWorld()
	if p := mustMake(t, b.world(), Request{}); len(p.Steps)+len(p.Rechecks) > 0 {
		t.Fatalf("plan %+v", p)
	}
	b.in.CheckVersions["a"] = "c2"
	w := b.world()
	wantSet(t, "unchecked", w.Judge("a").Unchecked, calendar.Range(0, 10))
	wantSet(t, "fresh all the same", w.Judge("b").Fresh, calendar.Range(0, 10))
	p := mustMake(t, w, Request{})
	if len(p.Steps)+len(p.Blocked)+len(p.Skipped) > 0 {
		t.Errorf("plan %+v", p)
	}
	wantSet(t, "to be checked", recheckOf(p, "a"), calendar.Range(0, 10))
	if why := p.Rechecks[0].Why; why != "its checks have changed" {
		t.Errorf("why: %s", why)
	}
	text, err := p.JSON()
	if want := `"checks":[{"table":"a","intervals":[{"start":"1970-01-01","end":"1970-01-11"}],"partitions":10,"why":"its checks have changed"}]`; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v, %s", err, text)
	}
	unchanged := checkedWorld()
	if mustMake(t, unchanged.world(), Request{}).ID == p.ID {
		t.Error("plans with and without checks to be done have one id")
	}
	some := mustMake(t, w, Request{Tables: []string{"a"}, Sets: map[string]calendar.Set{"a": calendar.Of(2, 3)}})
	wantSet(t, "of what was asked for", recheckOf(some, "a"), calendar.Of(2, 3))
	wantSet(t, "of another table", recheckOf(mustMake(t, w, Request{Tables: []string{"b"}}), "a"), calendar.Set{})
}

func TestRule15_WhatIsPublishedIsNotCheckedAgain(t *testing.T) {
	b := checkedWorld()
	b.in.CheckVersions["a"] = "c2"
	b.in.Tables["raw"].Segments = []history.Segment{seg(0, 4, 0, 3), seg(4, 5, 0, 9), seg(5, 10, 0, 3)}
	b.in.Tables["a"].InFlight = calendar.Of(7)
	p := mustMake(t, b.world(), Request{})
	wantSet(t, "step", stepOf(p, "a"), calendar.Of(4))
	wantSet(t, "to be checked", recheckOf(p, "a"), calendar.Range(0, 10).Minus(calendar.Of(4, 7)))
	// What a step may find fresh when its turn comes is not sure to be published.
	b.in.Tables["a"].InFlight = calendar.Set{}
	b.tables[3].Checks, b.in.CheckVersions["b"] = knownTo("known"), "c2"
	p = mustMake(t, b.world(), Request{})
	wantSet(t, "step of b", stepOf(p, "b"), calendar.Of(4))
	wantSet(t, "to be checked of b", recheckOf(p, "b"), calendar.Range(0, 10))
	all := mustMake(t, b.world(), Request{Tables: []string{"b"}, Reprocess: All, Explicit: true})
	wantSet(t, "what is named is computed", recheckOf(all, "b"), calendar.Of(4)) // blocked: its input is stale
}

func TestRule15_AWatchedTableAsksForItsPartitionsOnly(t *testing.T) {
	b := checkedWorld()
	bad, verdict := failing(8, 4)
	b.in.Tables["a"].Segments = []history.Segment{by("c1", 4, seg(0, 3, 4, 5)), by("c1", 20, seg(3, 8, 4, 5)), bad, by("c1", 4, seg(9, 10, 4, 5))}
	b.in.Tables["a"].Verdicts = []history.Verdict{verdict}
	w := b.world()
	wantSet(t, "nothing has changed", w.Judge("a").Unchecked, calendar.Set{})
	b.change(w, "known", func(h *history.Table) {
		h.Segments = []history.Segment{seg(0, 2, 0, 3), seg(2, 4, 0, 9), seg(4, 10, 0, 3)} // 3 was checked since
	})
	p := mustMake(t, w, Request{})
	wantSet(t, "to be checked, and what fails for any change", recheckOf(p, "a"), calendar.Of(2, 8))
	wantSet(t, "to be computed", stepOf(p, "a"), calendar.Set{})
	if why := p.Rechecks[0].Why; why != "known has changed, which its checks read" {
		t.Errorf("why: %s", why)
	}
	b.change(w, "known", func(h *history.Table) {
		h.Moves = []history.Move{{Interval: single(5), Seq: 30, Gained: true}}
	})
	wantSet(t, "what came or went", w.Judge("a").Unchecked, calendar.Of(2, 5, 8))
	b.in.Tables["a"].Verdicts = nil // as after a person's mark
	b.in.Tables["known"] = &history.Table{Segments: []history.Segment{seg(0, 10, 0, 3)}, Known: calendar.Range(0, 10)}
	w = b.world()
	wantSet(t, "nothing has changed", w.Judge("a").Unchecked, calendar.Set{})
	b.change(w, "known", func(h *history.Table) { h.Segments = []history.Segment{seg(0, 1, 0, 9), seg(1, 10, 0, 3)} })
	wantSet(t, "without a verdict", w.Judge("a").Unchecked, calendar.Of(0, 8))
}

func TestRule15_FailingBlocksAndIsNotTriedAgainUntilItsKeyChanges(t *testing.T) {
	world := func(change func(b *builder)) *World {
		b := checkedWorld()
		bad, verdict := failing(4, 4)
		b.in.Tables["a"].Segments = []history.Segment{by("c1", 4, seg(0, 4, 4, 5)), bad, by("c1", 4, seg(5, 10, 4, 5))}
		b.in.Tables["a"].Verdicts = []history.Verdict{verdict}
		b.in.Tables["b"].Segments = []history.Segment{seg(0, 4, 6, 7), seg(6, 10, 6, 7)}
		change(b)
		return b.world()
	}
	w := world(func(*builder) {})
	if s := w.State("a", 4); s != StateFailing {
		t.Errorf("state %s", s)
	}
	p := mustMake(t, w, Request{})
	wantSet(t, "left out", skippedIn(p, "a"), calendar.Of(4))
	if why := p.Skipped[0].Why; !strings.HasPrefix(why, "failing, and nothing") {
		t.Errorf("why: %s", why)
	}
	wantSet(t, "consumer", stepOf(p, "b"), calendar.Of(5))
	wantSet(t, "blocked", blockedIn(p, "b"), calendar.Of(4))
	if len(p.Rechecks) > 0 {
		t.Errorf("checked again for nothing: %+v", p.Rechecks)
	}
	asked := mustMake(t, w, Request{Reprocess: Quarantined, Explicit: true})
	wantSet(t, "asked for", stepOf(asked, "a"), calendar.Of(4))

	for what, change := range map[string]func(b *builder){
		"input":  func(b *builder) { b.in.Tables["raw"].Segments = []history.Segment{seg(0, 10, 0, 9)} },
		"code":   func(b *builder) { b.in.Versions["a"] = "v2" },
		"marked": func(b *builder) { b.in.Tables["a"].Segments[1].Stale, b.in.Tables["a"].Verdicts = true, nil },
	} {
		p := mustMake(t, world(change), Request{})
		if !stepOf(p, "a").Contains(4) || !stepOf(p, "b").Contains(4) || recheckOf(p, "a").Contains(4) {
			t.Errorf("%s: plan %+v", what, p)
		}
		for _, cause := range p.Steps[0].Causes {
			if cause.Set.Contains(4) != (cause.Kind == CauseQuarantined) {
				t.Errorf("%s: cause %+v", what, cause)
			}
		}
	}
	// Another check, or other rows that it reads: it is checked again, and what reads it may then be made.
	for what, change := range map[string]func(b *builder){
		"check":   func(b *builder) { b.in.CheckVersions["a"] = "c2" },
		"watched": func(b *builder) { b.in.Tables["known"].Segments = []history.Segment{seg(0, 10, 0, 9)} },
		"no check": func(b *builder) {
			b.tables[2].Checks, b.in.CheckVersions["a"] = nil, "c0"
		},
	} {
		p := mustMake(t, world(change), Request{})
		wantSet(t, what+": computed", stepOf(p, "a"), calendar.Set{})
		wantSet(t, what+": consumer", stepOf(p, "b"), calendar.Of(4, 5))
		if !recheckOf(p, "a").Contains(4) || len(p.Blocked)+len(p.Skipped) > 0 {
			t.Errorf("%s: plan %+v", what, p)
		}
	}
}

func TestRule15_WhyOfFailing(t *testing.T) {
	b := checkedWorld()
	bad, verdict := failing(4, 4)
	verdict.Reason = "a.known: 3 of 9 rows are not known (0.67, wanted at least 1)"
	b.in.Tables["a"].Segments = []history.Segment{by("c1", 4, seg(0, 4, 4, 5)), bad, by("c1", 4, seg(5, 10, 4, 5))}
	b.in.Tables["a"].Verdicts = []history.Verdict{verdict}
	c := b.world().Why("b", 4)
	last := c.Links[len(c.Links)-1]
	if last.Table != "a" || last.State != StateFailing || !strings.Contains(last.Reason, verdict.Reason) {
		t.Errorf("links %+v", c.Links)
	}
	if got := strings.Join(c.Fix.Argv, " "); got != "headway run a --from 1970-01-05 --to 1970-01-05 --reprocess quarantined" {
		t.Errorf("fix %s", got)
	}
	if !strings.Contains(c.Fix.Text, "headway check a --from 1970-01-05 --to 1970-01-05") {
		t.Errorf("fix %s", c.Fix.Text)
	}
}

// Columns say that all was checked by today's checks, whatever else stands there.
func TestColumnsOfChecks(t *testing.T) {
	for what, tt := range map[string]struct {
		segs   []history.Segment
		checks string
		at     history.Seq
	}{
		"nothing":    {nil, "", 0},
		"alike":      {[]history.Segment{by("c1", 7, seg(0, 1, 1, 1)), by("c1", 5, seg(1, 2, 1, 1))}, "c1", 5},
		"other":      {[]history.Segment{by("c1", 7, seg(0, 1, 1, 1)), by("c2", 5, seg(1, 2, 1, 1)), by("c1", 9, seg(2, 3, 1, 1))}, "", 5},
		"no content": {[]history.Segment{{Interval: single(0), Content: history.Skipped}, by("c1", 7, seg(1, 2, 1, 1))}, "c1", 7},
		"empty":      {[]history.Segment{{Interval: single(0), Content: history.Empty}, by("c1", 7, seg(1, 2, 1, 1))}, "", 0},
	} {
		c := NewColumns(&history.Table{Segments: tt.segs})
		if c.checks != tt.checks || c.checked != tt.at {
			t.Errorf("%s: %q at %d, want %q at %d", what, c.checks, c.checked, tt.checks, tt.at)
		}
	}
}

// What a person accepted is right by the code that it was said of: the next version makes it stale.
func TestRule22_AcceptedHoldsUntilTheNextVersion(t *testing.T) {
	b := newBuilder()
	b.source("raw", calendar.Range(0, 2), seg(0, 2, 0, 3))
	taken := seg(0, 2, 4, 5)
	taken.Accepted = true
	b.table(made("a", input("raw", same)), calendar.Range(0, 2), taken)
	wantSet(t, "fresh", b.world().Judge("a").Fresh, calendar.Range(0, 2))
	b.in.Versions["a"] = "v2"
	wantSet(t, "code", b.world().Judge("a").Code, calendar.Range(0, 2))
}
