package run

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
)

func set(from, to int) calendar.Set {
	return calendar.Range(calendar.Partition(from), calendar.Partition(to))
}

// pair is two chunks of two partitions each, the second after the first.
func pair() []Chunk {
	return []Chunk{
		{ID: 1, Table: "a", Warehouse: "main", Set: set(0, 2)},
		{ID: 2, Table: "b", Warehouse: "main", Set: set(0, 2), After: []int{1}},
	}
}

func must(t *testing.T, r *Run, events ...Event) {
	t.Helper()
	for _, e := range events {
		if err := r.Apply(e); err != nil {
			t.Fatalf("apply %+v: %v", e, err)
		}
	}
}

func fresh(t *testing.T, chunks []Chunk, limits Limits) *Run {
	t.Helper()
	r, err := New(chunks, limits)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// digest is all that can be seen of a run.
func digest(r *Run) string {
	var b strings.Builder
	next, ok := r.Next()
	ended, total := r.Progress()
	fmt.Fprintln(&b, r.State(), r.Stop(), r.Exit(), r.Reason(), r.Running(), ended, total, next.ID, ok)
	for _, n := range r.chunks {
		c, state, result, known := r.Chunk(n.ID)
		fmt.Fprintln(&b, c.ID, state, known, show(result))
	}
	for _, s := range r.Summaries() {
		fmt.Fprintln(&b, s.Table, show(s.Result), len(s.LeftTo))
	}
	return b.String()
}

func show(r Result) string {
	return fmt.Sprint(r.Published.Intervals(), r.Unchanged.Intervals(), r.Skipped.Intervals(), r.Quarantined.Intervals(),
		r.Failed.Intervals(), r.Blocked.Intervals(), r.Stopped.Intervals(), r.Cause, r.Reason)
}

var (
	published   = func(s calendar.Set) *Result { return &Result{Published: s} }
	interrupted = Event{Kind: StopRequested, Stop: Stop{Cause: CauseStopped, Signal: 2, Reason: "interrupted"}}
)

// TestStateAndEvent enumerates every state against every event, and says where each leads; what is not listed is illegal and changes
// nothing.
func TestStateAndEvent(t *testing.T) {
	begin := []Event{{Kind: RunStarted}, {Kind: Started, Chunk: 1}}
	states := map[State][]Event{
		Planned:  nil,
		Running:  begin,
		Paused:   append(begin[:2:2], Event{Kind: RunPaused}),
		Stopping: append(begin[:2:2], interrupted),
		Done: {
			{Kind: RunStarted},
			{Kind: Started, Chunk: 1}, {Kind: Finished, Chunk: 1, Result: published(set(0, 2))},
			{Kind: Started, Chunk: 2}, {Kind: Finished, Chunk: 2, Result: &Result{Skipped: set(0, 2)}},
		},
		Partial: {
			{Kind: RunStarted},
			{Kind: Started, Chunk: 1}, {Kind: Finished, Chunk: 1, Result: published(set(0, 2))},
			{Kind: Started, Chunk: 2}, {Kind: Finished, Chunk: 2, Result: &Result{Failed: set(0, 2)}},
		},
		Failed:   {{Kind: RunRefused, Stop: Stop{Cause: CauseFailed}}},
		Refused:  {{Kind: RunRefused, Stop: Stop{Cause: CauseRefused}}},
		Conflict: {{Kind: RunRefused, Stop: Stop{Cause: CauseConflict}}},
		Stopped:  {interrupted},
	}
	events := map[string]Event{
		"run.started":  {Kind: RunStarted},
		"run.refused":  {Kind: RunRefused, Stop: Stop{Cause: CauseConflict}},
		"run.paused":   {Kind: RunPaused},
		"run.resumed":  {Kind: RunResumed},
		"run.stopping": interrupted,
		"run.noted":    {Kind: Noted, Table: "a", Result: &Result{Blocked: set(9, 10)}},
		"start ready":  {Kind: Started, Chunk: 1},
		"start waiting": {
			Kind: Started, Chunk: 2,
		},
		"start unknown":  {Kind: Started, Chunk: 3},
		"finish running": {Kind: Finished, Chunk: 1, Result: published(set(0, 2))},
		"finish waiting": {Kind: Finished, Chunk: 2, Result: published(set(0, 2))},
		"finish unknown": {Kind: Finished, Chunk: 3, Result: published(set(0, 2))},
		"finish nothing": {Kind: Finished, Chunk: 1},
		"finish short":   {Kind: Finished, Chunk: 1, Result: published(set(0, 1))},
		"note nothing":   {Kind: Noted, Table: "a"},
		"stop causeless": {Kind: StopRequested},
		"nonsense":       {Kind: "run.dreamt"},
	}
	legal := map[State]map[string]State{
		Planned: {
			"run.started": Running, "run.refused": Conflict, "run.stopping": Stopped, "run.noted": Planned,
		},
		Running: {
			"run.paused": Paused, "run.stopping": Stopping, "run.noted": Running, "finish running": Running,
		},
		Paused: {
			"run.resumed": Running, "run.stopping": Stopping, "run.noted": Paused, "finish running": Paused,
		},
		Stopping: {
			"run.stopping": Stopping, "run.noted": Stopping, "finish running": Stopped,
		},
	}
	for state, history := range states {
		for name, event := range events {
			r := fresh(t, pair(), Limits{Overall: 2})
			must(t, r, history...)
			if r.State() != state {
				t.Fatalf("the way to %s leads to %s", state, r.State())
			}
			before := digest(r)
			err := r.Apply(event)
			want, ok := legal[state][name]
			switch {
			case ok && err != nil:
				t.Errorf("%s, %s: %v", state, name, err)
			case ok && r.State() != want:
				t.Errorf("%s, %s: now %s, want %s", state, name, r.State(), want)
			case !ok && err == nil:
				t.Errorf("%s, %s: was accepted, and the run is %s", state, name, r.State())
			case !ok && digest(r) != before:
				t.Errorf("%s, %s: was refused (%v), and changed the run:\n%s\n%s", state, name, err, before, digest(r))
			}
		}
		if state.Ended() != (legal[state] == nil) {
			t.Errorf("%s: Ended() = %v", state, state.Ended())
		}
	}
}

func TestIllegalErrorNamesTheState(t *testing.T) {
	r := fresh(t, pair(), Limits{Overall: 1})
	err := r.Apply(Event{Kind: RunPaused})
	var illegal *IllegalError
	if !errors.As(err, &illegal) || !strings.Contains(err.Error(), "planned") {
		t.Errorf("got %v", err)
	}
}

// TestEnd tells how runs end, and with which exit code.
func TestEnd(t *testing.T) {
	one, rest, all := set(0, 1), set(1, 4), set(0, 4)
	for _, tt := range []struct {
		name   string
		result Result
		note   *Result
		state  State
		exit   int
	}{
		{"all published", Result{Published: all}, nil, Done, 0},
		{"all unchanged", Result{Published: all, Unchanged: all}, nil, Done, 0},
		{"all found fresh", Result{Skipped: all}, nil, Done, 0},
		{"some found fresh", Result{Published: one, Skipped: rest}, nil, Done, 0},
		{"published, failed", Result{Published: one, Failed: rest}, nil, Partial, 5},
		{"published, quarantined", Result{Published: one, Quarantined: rest}, nil, Partial, 5},
		{"published, blocked", Result{Published: one, Blocked: rest}, nil, Partial, 5},
		{"published, lease lost", Result{Published: one, Failed: rest, Cause: CauseConflict}, nil, Partial, 5},
		{"published, interrupted", Result{Published: one, Stopped: rest}, nil, Stopped, 143},
		{"fresh, blocked", Result{Skipped: one, Blocked: rest}, nil, Refused, 3},
		{"fresh, failed", Result{Skipped: one, Failed: rest}, nil, Failed, 1},
		{"failed", Result{Failed: all}, nil, Failed, 1},
		{"quarantined", Result{Quarantined: all}, nil, Refused, 3},
		{"blocked", Result{Blocked: all}, nil, Refused, 3},
		{"held", Result{Blocked: all, Cause: CauseConflict}, nil, Conflict, 4},
		{"lease lost", Result{Failed: all, Cause: CauseConflict}, nil, Conflict, 4},
		{"lease lost while stopping for it", Result{Stopped: all, Cause: CauseConflict}, nil, Conflict, 4},
		{"failed, quarantined", Result{Failed: one, Quarantined: rest}, nil, Failed, 1},
		{"failed, blocked", Result{Failed: one, Blocked: rest}, nil, Failed, 1},
		{"quarantined, lease lost", Result{Quarantined: one, Failed: rest, Cause: CauseConflict}, nil, Refused, 3},
		{"interrupted", Result{Stopped: all}, nil, Stopped, 143},
		{"failed, interrupted", Result{Failed: one, Stopped: rest}, nil, Stopped, 143},
		{"fresh; blocked in the plan", Result{Skipped: all}, &Result{Blocked: set(7, 9)}, Refused, 3},
		{"published; blocked in the plan", Result{Published: all}, &Result{Blocked: set(7, 9)}, Partial, 5},
		{"fresh; another run has the rest", Result{Skipped: all}, &Result{Blocked: set(7, 9), Cause: CauseConflict}, Conflict, 4},
		{"published; others do the rest", Result{Published: all}, &Result{Skipped: set(7, 9)}, Done, 0},
	} {
		r := fresh(t, []Chunk{{ID: 7, Table: "a", Warehouse: "main", Set: all}}, Limits{Overall: 1})
		if tt.note != nil {
			must(t, r, Event{Kind: Noted, Table: "b", Result: tt.note})
		}
		must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 7})
		if got := r.Exit(); got != -1 {
			t.Errorf("%s: exit %d before the end", tt.name, got)
		}
		must(t, r, Event{Kind: Finished, Chunk: 7, Result: &tt.result})
		if r.State() != tt.state || r.Exit() != tt.exit {
			t.Errorf("%s: %s, exit %d; want %s, exit %d", tt.name, r.State(), r.Exit(), tt.state, tt.exit)
		}
	}
}

func TestEndWithoutChunks(t *testing.T) {
	r := fresh(t, nil, Limits{Overall: 1})
	must(t, r, Event{Kind: RunStarted})
	if r.State() != Done || r.Exit() != 0 {
		t.Errorf("nothing to do: %s, exit %d", r.State(), r.Exit())
	}
	r = fresh(t, nil, Limits{Overall: 1})
	must(t, r, Event{Kind: Noted, Table: "a", Result: &Result{Blocked: set(0, 3), Reason: "raw has no rows"}}, Event{Kind: RunStarted})
	if r.State() != Refused || r.Exit() != 3 || r.Reason() != "raw has no rows" {
		t.Errorf("all blocked in the plan: %s, exit %d, %q", r.State(), r.Exit(), r.Reason())
	}
	r = fresh(t, nil, Limits{Overall: 1})
	must(t, r, Event{Kind: RunRefused, Stop: Stop{Cause: CauseConflict}})
	if r.State() != Conflict || r.Exit() != 4 {
		t.Errorf("refused: %s, exit %d", r.State(), r.Exit())
	}
}

func TestStop(t *testing.T) {
	chunks := append(pair(), Chunk{ID: 3, Table: "c", Warehouse: "main", Set: set(0, 3)})
	r := fresh(t, chunks, Limits{Overall: 2})
	must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1}, interrupted)
	if _, ok := r.Next(); ok {
		t.Error("a run that is stopping starts another chunk")
	}
	must(t, r, Event{Kind: StopRequested, Stop: Stop{Cause: CauseConflict}}, Event{Kind: Finished, Chunk: 1, Result: published(set(0, 2))})
	if r.State() != Stopped || r.Exit() != 130 || r.Reason() != "interrupted" {
		t.Errorf("%s, exit %d, %q", r.State(), r.Exit(), r.Reason())
	}
	for id, want := range map[int]string{2: "b", 3: "c"} {
		c, state, result, _ := r.Chunk(id)
		if c.Table != want || state != ChunkEnded || !result.Stopped.Equal(c.Set) {
			t.Errorf("chunk %d: %s, %+v", id, state, result)
		}
	}
	// A signal that comes when all is done takes nothing away.
	r = fresh(t, pair()[:1], Limits{Overall: 1})
	must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1}, interrupted, Event{Kind: Finished, Chunk: 1, Result: published(set(0, 2))})
	if r.State() != Done || r.Exit() != 0 {
		t.Errorf("stopped too late: %s, exit %d", r.State(), r.Exit())
	}
}

func TestFailFast(t *testing.T) {
	for _, bad := range []Result{{Failed: set(0, 2)}, {Published: set(0, 1), Quarantined: set(1, 2)}} {
		chunks := append(pair(), Chunk{ID: 3, Table: "c", Warehouse: "main", Set: set(0, 3)})
		r := fresh(t, chunks, Limits{Overall: 2, FailFast: true})
		must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1}, Event{Kind: Started, Chunk: 3}, Event{Kind: Finished, Chunk: 1, Result: &bad})
		if r.State() != Stopping {
			t.Fatalf("after a failure: %s", r.State())
		}
		must(t, r, Event{Kind: Finished, Chunk: 3, Result: &Result{Published: set(0, 3)}})
		if r.State() != Partial {
			t.Errorf("ended %s", r.State())
		}
	}
	r := fresh(t, pair(), Limits{Overall: 1, FailFast: true})
	must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1}, Event{Kind: Finished, Chunk: 1, Result: &Result{Failed: set(0, 2)}})
	if r.State() != Failed || r.Exit() != 1 {
		t.Errorf("nothing published: %s, exit %d", r.State(), r.Exit())
	}
}

func TestNewRefuses(t *testing.T) {
	ok := Chunk{ID: 1, Table: "a", Warehouse: "main", Set: set(0, 1)}
	with := func(change func(*Chunk)) Chunk {
		c := ok
		c.ID = 2
		change(&c)
		return c
	}
	for name, tt := range map[string]struct {
		limits Limits
		chunk  Chunk
		want   string
	}{
		"no room":        {Limits{}, with(func(*Chunk) {}), "at least one chunk"},
		"same id":        {Limits{Overall: 1}, with(func(c *Chunk) { c.ID = 1 }), "id 1"},
		"empty":          {Limits{Overall: 1}, with(func(c *Chunk) { c.Set = calendar.Set{} }), "no partitions"},
		"unknown":        {Limits{Overall: 1}, with(func(c *Chunk) { c.After = []int{9} }), "does not exist"},
		"itself":         {Limits{Overall: 1}, with(func(c *Chunk) { c.After = []int{2} }), "wait for itself"},
		"two warehouses": {Limits{Overall: 1}, with(func(c *Chunk) { c.Warehouse = "other" }), "in warehouse main"},
	} {
		_, err := New([]Chunk{ok, tt.chunk}, tt.limits)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	loop := []Chunk{with(func(c *Chunk) { c.ID, c.After = 1, []int{2} }), with(func(c *Chunk) { c.After = []int{1, 1} })}
	if _, err := New(loop, Limits{Overall: 1}); err == nil {
		t.Error("a loop was accepted")
	}
}

// TestResultMustAddUp: every partition once, and nothing else.
func TestResultMustAddUp(t *testing.T) {
	for name, tt := range map[string]struct {
		result Result
		want   string
	}{
		"missing":    {Result{Published: set(0, 1)}, "of 2 partitions 1 are not accounted for"},
		"outside":    {Result{Published: set(0, 3)}, "1 are that do not belong"},
		"twice":      {Result{Published: set(0, 2), Failed: set(1, 2)}, "1 partitions are accounted for more than once"},
		"unchanged":  {Result{Published: set(0, 1), Skipped: set(1, 2), Unchanged: set(0, 2)}, "1 partitions are called unchanged"},
		"odd cause":  {Result{Failed: set(0, 2), Cause: "weather"}, "not a cause"},
		"nothing":    {Result{}, "of 2 partitions 2 are not accounted for"},
		"note twice": {Result{Blocked: set(0, 2), Skipped: set(0, 1)}, "more than once"},
	} {
		r := fresh(t, pair(), Limits{Overall: 1})
		e := Event{Kind: Finished, Chunk: 1, Result: &tt.result}
		if name == "note twice" {
			e = Event{Kind: Noted, Table: "a", Result: &tt.result}
		}
		must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1})
		before := digest(r)
		if err := r.Apply(e); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if digest(r) != before {
			t.Errorf("%s: was refused, and changed the run", name)
		}
	}
}

// several is a chunk for two tables, and one that reads the second of them.
func several() []Chunk {
	return []Chunk{
		{ID: 1, Table: "a", Warehouse: "main", Set: set(0, 3), With: []Part{{"b", set(1, 4)}}},
		{ID: 2, Table: "c", Warehouse: "main", Set: set(0, 2), After: []int{1}},
	}
}

// TestChunkOfSeveralTables: every partition of every table of a chunk is accounted for, and each table's end counts.
func TestChunkOfSeveralTables(t *testing.T) {
	begun := func() *Run {
		r := fresh(t, several(), Limits{Overall: 2})
		must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1})
		return r
	}
	for name, tt := range map[string]struct {
		result Result
		want   string
	}{
		"only the first":    {Result{Published: set(0, 3)}, "tells of 1 tables"},
		"one too many":      {Result{Published: set(0, 3), With: []Result{{Published: set(1, 4)}, {}}}, "tells of 3 tables"},
		"second short":      {Result{Published: set(0, 3), With: []Result{{Published: set(1, 3)}}}, "b: of 3 partitions 1 are not accounted for"},
		"second as first":   {Result{Published: set(0, 3), With: []Result{{Published: set(0, 3)}}}, "b: of 3 partitions 1 are not accounted for"},
		"tables in a table": {Result{Published: set(0, 3), With: []Result{{Published: set(1, 4), With: []Result{{}}}}}, "b: a further table"},
	} {
		r := begun()
		before := digest(r)
		err := r.Apply(Event{Kind: Finished, Chunk: 1, Result: &tt.result})
		if err == nil || !strings.Contains(err.Error(), tt.want) || digest(r) != before {
			t.Errorf("%s: %v, want %q, and nothing changed", name, err, tt.want)
		}
	}
	r := begun()
	must(t, r, Event{Kind: Finished, Chunk: 1, Result: &Result{Published: set(0, 3), With: []Result{{Published: set(1, 2), Failed: set(2, 4), Reason: "b broke"}}}},
		Event{Kind: Started, Chunk: 2}, Event{Kind: Finished, Chunk: 2, Result: published(set(0, 2))})
	got := r.Summaries()
	if len(got) != 3 || got[1].Table != "b" || !got[0].Published.Equal(set(0, 3)) || !got[1].Published.Equal(set(1, 2)) || !got[1].Failed.Equal(set(2, 4)) {
		t.Errorf("got %+v", got)
	}
	if ended, total := r.Progress(); r.State() != Partial || r.Reason() != "b broke" || ended != 8 || total != 8 {
		t.Errorf("%s, %q, %d of %d", r.State(), r.Reason(), ended, total)
	}
	// A failure of the second table alone is one.
	r = fresh(t, several(), Limits{Overall: 1, FailFast: true})
	must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1},
		Event{Kind: Finished, Chunk: 1, Result: &Result{Skipped: set(0, 3), With: []Result{{Failed: set(1, 4)}}}})
	if r.State() != Failed || !strings.Contains(r.Stop().Reason, "in b") {
		t.Errorf("fail fast: %s, %q", r.State(), r.Stop().Reason)
	}
	// Stopped before it began, all of it is.
	r = fresh(t, several(), Limits{Overall: 1})
	must(t, r, interrupted)
	if got := r.Summaries(); !got[0].Stopped.Equal(set(0, 3)) || !got[1].Stopped.Equal(set(1, 4)) {
		t.Errorf("stopped: %+v", got)
	}
	for want, with := range map[string]Part{"chunk 1 of b has no partitions": {Table: "b"}, "chunk 1 names a twice": {"a", set(0, 1)}} {
		_, err := New([]Chunk{{ID: 1, Table: "a", Set: set(0, 1), With: []Part{with}}}, Limits{Overall: 1})
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestLimitsOfSeveralTables: tables that are made together share their least limit, also where a chunk is for one of them alone.
func TestLimitsOfSeveralTables(t *testing.T) {
	chunks := []Chunk{
		{ID: 1, Table: "a", Warehouse: "main", Set: set(0, 1), With: []Part{{"b", set(0, 1)}}},
		{ID: 2, Table: "b", Warehouse: "main", Set: set(1, 2)},
		{ID: 3, Table: "c", Warehouse: "main", Set: set(0, 1)},
	}
	r := fresh(t, chunks, Limits{Overall: 3, Table: map[string]int{"a": 2, "b": 1}})
	must(t, r, Event{Kind: RunStarted}, Event{Kind: Started, Chunk: 1})
	if c, ok := r.Next(); !ok || c.ID != 3 {
		t.Errorf("next is chunk %d, want 3: b may have one at once", c.ID)
	}
	must(t, r, Event{Kind: Finished, Chunk: 1, Result: &Result{Published: set(0, 1), With: []Result{{Published: set(0, 1)}}}})
	if c, ok := r.Next(); !ok || c.ID != 2 {
		t.Errorf("next is chunk %d, want 2", c.ID)
	}
}

func TestSummaries(t *testing.T) {
	r := fresh(t, pair(), Limits{Overall: 1})
	must(t, r, Event{Kind: Noted, Table: "z", LeftTo: "r9", Result: &Result{Blocked: set(5, 7), Cause: CauseConflict, Reason: "r9 has it"}},
		Event{Kind: RunStarted},
		Event{Kind: Started, Chunk: 1}, Event{Kind: Finished, Chunk: 1, Result: &Result{Published: set(0, 2), Unchanged: set(0, 1)}},
		Event{Kind: Started, Chunk: 2}, Event{Kind: Finished, Chunk: 2, Result: &Result{Quarantined: set(0, 1), Skipped: set(1, 2), Reason: "b.unique"}})
	got := r.Summaries()
	if len(got) != 3 || got[0].Table != "a" || got[1].Table != "b" || got[2].Table != "z" {
		t.Fatalf("got %+v", got)
	}
	if a := got[0]; !a.Published.Equal(set(0, 2)) || !a.Unchanged.Equal(set(0, 1)) || a.Reason != "" {
		t.Errorf("a: %+v", a)
	}
	if b := got[1]; !b.Quarantined.Equal(set(0, 1)) || !b.Skipped.Equal(set(1, 2)) || b.Reason != "b.unique" {
		t.Errorf("b: %+v", b)
	}
	if z := got[2]; len(z.LeftTo) != 1 || z.LeftTo[0].Run != "r9" || !z.LeftTo[0].Set.Equal(set(5, 7)) || z.Cause != CauseConflict {
		t.Errorf("z: %+v", z)
	}
	if r.Reason() != "r9 has it" || r.Exit() != 5 {
		t.Errorf("%q, exit %d", r.Reason(), r.Exit())
	}
}

func TestEveryStateHasAnExit(t *testing.T) {
	for state, want := range map[State]int{
		Planned: -1, Running: -1, Paused: -1, Stopping: -1, Done: 0, Failed: 1, Refused: 3, Conflict: 4, Partial: 5, Stopped: 143, "other": -1,
	} {
		if got := (&Run{state: state}).Exit(); got != want {
			t.Errorf("%s: exit %d, want %d", state, got, want)
		}
	}
	if !reflect.DeepEqual((&Run{state: Stopped, stop: Stop{Signal: 2}}).Exit(), 130) {
		t.Error("a run stopped by signal 2 must exit with 130")
	}
}
