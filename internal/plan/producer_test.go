package plan

import (
	"fmt"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// pair is two tables of one command, box and teams, of days 0 to 9: box lacks 2, 3 and 6, teams lacks 3 and 4. box reads x, teams reads y.
func pair(write catalog.WriteMode) *builder {
	b := newBuilder()
	command := &catalog.Command{Args: []string{"job", "{from}", "{to}"}}
	two := func(name, input string, segs ...history.Segment) {
		t := made(name, inputOf(input))
		t.Producer, t.Command, t.Write = "job", command, write
		b.table(t, calendar.Range(0, 10), segs...)
	}
	b.source("x", calendar.Range(0, 10), seg(0, 10, 0, 3))
	two("box", "x", seg(0, 2, 4, 5), seg(4, 6, 4, 5), seg(7, 10, 4, 5))
	b.source("y", calendar.Range(0, 10), seg(0, 10, 0, 3))
	two("teams", "y", seg(0, 3, 4, 5), seg(5, 10, 4, 5))
	b.table(made("report", inputOf("teams")), calendar.Range(0, 10), seg(0, 10, 6, 7))
	return b
}

func inputOf(name string) *catalog.Input { return input(name, same) }

// texts are chunks, in order.
func texts(t *testing.T, w *World, p *Plan) []string {
	t.Helper()
	var out []string
	for _, stage := range p.Stages() {
		waves, err := Chunks(w, stage...)
		if err != nil {
			t.Fatal(err)
		}
		for _, wave := range waves {
			for _, c := range wave {
				text := fmt.Sprint(c.Table, c.Set.Intervals())
				for _, part := range c.With {
					text += fmt.Sprint(" ", part.Table, part.Set.Intervals())
				}
				out = append(out, text)
			}
		}
	}
	return out
}

// A command that fills stages is run over the union of what its tables need; of each table a chunk is for what that one needs.
func TestProducerChunks(t *testing.T) {
	w := pair(catalog.Staged).world()
	p := mustMake(t, w, Request{Tables: []string{"box", "teams"}})
	wantSet(t, "box", stepOf(p, "box"), calendar.Of(2, 3, 6))
	wantSet(t, "teams", stepOf(p, "teams"), calendar.Of(3, 4))
	if got, want := fmt.Sprint(texts(t, w, p)), "[box[{2 4}] teams[{3 5}] box[{6 7}]]"; got != want {
		t.Errorf("chunks %s, want %s", got, want)
	}
	p = mustMake(t, w, Request{Tables: []string{"teams"}})
	if got, want := fmt.Sprint(texts(t, w, p)), "[teams[{3 5}]]"; got != want {
		t.Errorf("chunks of teams %s, want %s", got, want)
	}
}

// A command that writes by itself writes all its tables, so whatever one of them needs is written in all, with what rests on that; and what
// one of them must not get none gets.
func TestProducerThatWritesItself(t *testing.T) {
	all := calendar.Of(2, 3, 4, 6)
	for name, tt := range map[string]struct {
		edit          func(b *builder)
		req           Request
		write, report calendar.Set
	}{
		"what either lacks": {func(*builder) {}, Request{}, all, all},
		"asked for one":     {func(*builder) {}, Request{Tables: []string{"teams"}}, calendar.Of(3, 4), calendar.Set{}},
		"held in one":       {func(b *builder) { b.in.Tables["box"].Held = calendar.Of(3, 4) }, Request{}, calendar.Of(2, 6), calendar.Of(2, 6)},
		"input of one":      {func(b *builder) { b.in.Tables["y"].Segments = []history.Segment{seg(0, 6, 0, 3), seg(7, 10, 0, 3)} }, Request{}, calendar.Of(2, 3, 4), calendar.Of(2, 3, 4)},
	} {
		b := pair(catalog.Direct)
		tt.edit(b)
		w := b.world()
		p := mustMake(t, w, tt.req)
		wantSet(t, name+": box", stepOf(p, "box"), tt.write)
		wantSet(t, name+": teams", stepOf(p, "teams"), tt.write)
		wantSet(t, name+": report", stepOf(p, "report"), tt.report)
		for _, s := range p.Steps {
			var told calendar.Set
			for _, c := range s.Causes {
				if told.Overlaps(c.Set) {
					t.Errorf("%s: %s has two causes: %+v", name, s.Table, s.Causes)
				}
				told = told.Union(c.Set)
			}
			wantSet(t, name+": causes of "+s.Table, told, s.Set)
		}
	}
	b := pair(catalog.Direct)
	b.in.Tables["box"].Held = calendar.Of(3)
	p := mustMake(t, b.world(), Request{})
	wantSet(t, "blocked in teams", blockedIn(p, "teams"), calendar.Of(3))
	for _, blocked := range p.Blocked {
		if fix := blocked.Items[0].Fix; blocked.Table == "teams" && fmt.Sprint(fix.Argv[:3]) != "[headway unhold box]" {
			t.Errorf("what mends teams: %v", fix)
		}
	}
}

// What is left to another run in one of the tables is left in all that the command would write itself; in stages the others may go on.
func TestProducerWithout(t *testing.T) {
	taken := map[string]calendar.Set{"teams": calendar.Of(3, 4)}
	p, _ := mustMake(t, pair(catalog.Direct).world(), Request{}).Without(taken)
	wantSet(t, "direct box", stepOf(p, "box"), calendar.Of(2, 6))
	wantSet(t, "direct teams", stepOf(p, "teams"), calendar.Of(2, 6))
	p, _ = mustMake(t, pair(catalog.Staged).world(), Request{}).Without(taken)
	wantSet(t, "staged box", stepOf(p, "box"), calendar.Of(2, 3, 6))
	wantSet(t, "staged teams", stepOf(p, "teams"), calendar.Set{})
}

// Tables of which one reads its own earlier partitions are made in its order.
func TestProducerInALoop(t *testing.T) {
	b := pair(catalog.Staged)
	b.tables[1].Inputs = append(b.tables[1].Inputs, input("box", days(-1, -1)))
	w := b.world()
	if got, want := fmt.Sprint(texts(t, w, mustMake(t, w, Request{Tables: []string{"box", "teams"}}))),
		"[box[{1 2}] box[{2 3}] box[{3 4}] teams[{3 4}] box[{4 5}] teams[{4 5}] box[{5 6}] box[{6 7}] box[{7 8}] box[{8 9}] box[{9 10}]]"; got != want {
		t.Errorf("chunks %s, want %s", got, want)
	}
}
