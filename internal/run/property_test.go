package run

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
)

// genChunks draws chunks whose ids are shuffled and which may come after chunks that stand later in the plan.
func genChunks(t *rapid.T) []Chunk {
	n := rapid.IntRange(0, 14).Draw(t, "chunks")
	order := rapid.Permutation(rng(n)).Draw(t, "order") // order[k] is the k-th in some order that the dependencies obey
	rank := make([]int, n)
	for k, i := range order {
		rank[i] = k
	}
	chunks := make([]Chunk, n)
	for i := range chunks {
		table := rapid.IntRange(0, 3).Draw(t, "table")
		start := calendar.Partition(rapid.IntRange(0, 50).Draw(t, "start"))
		chunks[i] = Chunk{
			ID: 100 + i, Table: fmt.Sprint("t", table), Warehouse: fmt.Sprint("w", table%2),
			Set: calendar.Range(start, start+calendar.Partition(rapid.IntRange(1, 5).Draw(t, "size"))),
		}
		if rapid.IntRange(0, 5).Draw(t, "together") == 0 { // with the other table of its warehouse
			chunks[i].With = []Part{{fmt.Sprint("t", (table+2)%4), calendar.Range(start+1, start+calendar.Partition(rapid.IntRange(2, 5).Draw(t, "size")))}}
		}
		for j := range chunks {
			if rank[j] < rank[i] && rapid.IntRange(0, 3).Draw(t, "after") == 0 {
				chunks[i].After = append(chunks[i].After, 100+j)
			}
		}
	}
	return chunks
}

func rng(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func genLimits(t *rapid.T) Limits {
	l := Limits{
		Overall: rapid.IntRange(1, 5).Draw(t, "overall"), Warehouse: map[string]int{}, Table: map[string]int{},
		FailFast: rapid.IntRange(0, 4).Draw(t, "failfast") == 0,
	}
	for i := range 4 {
		l.Table[fmt.Sprint("t", i)] = rapid.IntRange(0, 2).Draw(t, "table limit")
		l.Warehouse[fmt.Sprint("w", i%2)] = rapid.IntRange(0, 3).Draw(t, "warehouse limit")
	}
	return l
}

// genChunkResult gives each table of a chunk a result.
func genChunkResult(t *rapid.T, c Chunk) *Result {
	r := genResult(t, c.Set)
	for _, p := range c.With {
		r.With = append(r.With, *genResult(t, p.Set))
	}
	return r
}

// genResult parts a set at random among the fields of a result.
func genResult(t *rapid.T, set calendar.Set) *Result {
	r := &Result{Reason: "so"}
	fields := []*calendar.Set{&r.Published, &r.Skipped, &r.Quarantined, &r.Failed, &r.Blocked, &r.Stopped}
	for p := range set.Partitions() {
		f := fields[rapid.IntRange(0, len(fields)-1).Draw(t, "field")]
		*f = f.Union(calendar.Of(p))
	}
	r.Cause = rapid.SampledFrom([]Cause{"", "", CauseConflict, CauseStopped}).Draw(t, "cause")
	return r
}

// A naive is the model: what has been told to the run, kept as lists that are searched whole each time.
type naive struct {
	chunks  []Chunk
	limits  Limits
	running map[int]bool
	ended   map[int]*Result
	state   State
	events  []Event
}

// next is the first chunk in plan order that the rules let start.
func (m *naive) next() (int, bool) {
	for _, c := range m.chunks {
		if m.may(c) == nil {
			return c.ID, m.state == Running
		}
	}
	return 0, false
}

func (m *naive) may(c Chunk) error {
	if m.running[c.ID] || m.ended[c.ID] != nil {
		return fmt.Errorf("chunk %d has started already", c.ID)
	}
	for _, id := range c.After {
		if m.ended[id] == nil {
			return fmt.Errorf("chunk %d has not ended", id)
		}
	}
	table, house := map[string]int{}, 0
	for _, o := range m.chunks {
		if m.running[o.ID] {
			table[m.maker(o.Table)]++
		}
		if m.running[o.ID] && o.Warehouse == c.Warehouse {
			house++
		}
	}
	over := func(n, limit int) bool { return limit > 0 && n >= limit }
	if over(house, m.limits.Warehouse[c.Warehouse]) || len(m.running) >= m.limits.Overall {
		return fmt.Errorf("a limit is reached")
	}
	for name, limit := range m.limits.Table {
		if m.maker(name) == m.maker(c.Table) && over(table[m.maker(name)], limit) && m.made(name) {
			return fmt.Errorf("a limit is reached")
		}
	}
	return nil
}

// maker is what makes a table: tables of a warehouse that are in any chunk together have one.
func (m *naive) maker(table string) string {
	for _, c := range m.chunks {
		if len(c.With) > 0 && (c.Table == table || c.With[0].Table == table) {
			return "maker of " + c.Warehouse
		}
	}
	return table
}

// made reports whether any chunk is for a table.
func (m *naive) made(table string) bool {
	for _, c := range m.chunks {
		for _, p := range c.Parts() {
			if p.Table == table {
				return true
			}
		}
	}
	return false
}

// step draws something that happens next, and says whether the run must accept it.
func (m *naive) step(t *rapid.T) (e Event, legal bool) {
	pick := m.chunks[rapid.IntRange(0, len(m.chunks)-1).Draw(t, "pick")]
	switch rapid.SampledFrom([]string{"next", "next", "next", "finish", "finish", "finish", "any", "pause", "resume", "stop"}).Draw(t, "step") {
	case "next":
		if id, ok := m.next(); ok {
			return Event{Kind: Started, Chunk: id}, true
		}
		return Event{Kind: Started, Chunk: pick.ID}, m.state == Running && m.may(pick) == nil
	case "any":
		return Event{Kind: Started, Chunk: pick.ID}, m.state == Running && m.may(pick) == nil
	case "finish":
		for _, c := range m.chunks {
			if m.running[c.ID] && rapid.Bool().Draw(t, "this") {
				pick = c
			}
		}
		return Event{Kind: Finished, Chunk: pick.ID, Result: genChunkResult(t, pick)}, m.running[pick.ID]
	case "pause":
		return Event{Kind: RunPaused}, m.state == Running
	case "resume":
		return Event{Kind: RunResumed}, m.state == Paused
	}
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		return Event{Kind: RunStarted}, m.state == Planned
	}
	return Event{Kind: StopRequested, Stop: Stop{Cause: CauseStopped, Signal: 15}}, !m.state.Ended()
}

// apply keeps the model up with an event that the run accepted.
func (m *naive) apply(e Event, state State) {
	m.events = append(m.events, e)
	switch e.Kind {
	case Started:
		m.running[e.Chunk] = true
	case Finished:
		delete(m.running, e.Chunk)
		m.ended[e.Chunk] = e.Result
	default:
	}
	m.state = state
	if state == Stopping || state.Ended() {
		for _, c := range m.chunks {
			if !m.running[c.ID] && m.ended[c.ID] == nil {
				all := c.All(func(set calendar.Set) Result { return Result{Stopped: set} })
				m.ended[c.ID] = &all
			}
		}
	}
}

// TestRunAgainstModel: the run accepts exactly what the rules admit, starts the first chunk of the plan that may start, never exceeds a
// limit, never starts before what comes before has ended, always comes to an end, and accounts for every partition exactly once. The
// same events make the same run again.
func TestRunAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := genChunks(t)
		m := &naive{chunks: chunks, limits: genLimits(t), running: map[int]bool{}, ended: map[int]*Result{}, state: Planned}
		r, err := New(chunks, m.limits)
		if err != nil {
			t.Fatal(err)
		}
		try := func(e Event, legal bool) {
			if err := r.Apply(e); (err == nil) != legal {
				t.Fatalf("%+v in %s: %v, want legal = %v", e, m.state, err, legal)
			}
			if legal {
				m.apply(e, r.State())
			}
			compare(t, r, m)
		}
		try(Event{Kind: RunStarted}, true)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if len(chunks) > 0 {
				try(m.step(t))
			}
		}
		finish(t, r, m, try)
		replay(t, r, m)
	})
}

// compare holds the run against the model after each event.
func compare(t *rapid.T, r *Run, m *naive) {
	id, ok := m.next()
	c, may := r.Next()
	if ok != may || ok && c.ID != id {
		t.Fatalf("next is chunk %d (%v), want %d (%v)", c.ID, may, id, ok)
	}
	if r.Running() != len(m.running) {
		t.Fatalf("%d chunks run, want %d", r.Running(), len(m.running))
	}
	if r.State().Ended() != (len(m.ended) == len(m.chunks)) {
		t.Fatalf("%s with %d of %d chunks ended", r.State(), len(m.ended), len(m.chunks))
	}
}

// finish takes a run to its end. It must get there by starting and finishing each chunk once.
func finish(t *rapid.T, r *Run, m *naive, try func(Event, bool)) {
	if m.state == Paused {
		try(Event{Kind: RunResumed}, true)
	}
	for range 2*len(m.chunks) + 1 {
		if r.State().Ended() {
			break
		}
		if c, ok := r.Next(); ok {
			try(Event{Kind: Started, Chunk: c.ID}, true)
			continue
		}
		for id := range m.running {
			c, _, _, _ := r.Chunk(id)
			try(Event{Kind: Finished, Chunk: id, Result: genChunkResult(t, c)}, true)
			break
		}
	}
	if !r.State().Ended() || r.Exit() < 0 {
		t.Fatalf("the run is still %s", r.State())
	}
	total := 0
	for _, c := range m.chunks {
		_, state, result, _ := r.Chunk(c.ID)
		if _, err := result.ofChunk(&c); err != nil || state != ChunkEnded {
			t.Fatalf("chunk %d is %s: %v", c.ID, state, err)
		}
		for _, p := range c.Parts() {
			total += p.Set.Count()
		}
	}
	if ended, all := r.Progress(); ended != total || all != total {
		t.Fatalf("%d of %d partitions are accounted for, want %d", ended, all, total)
	}
	for _, s := range r.Summaries() {
		var want Result
		for _, c := range m.chunks {
			result := m.ended[c.ID]
			for i, one := range append([]Result{*result}, result.With...) {
				if c.Parts()[i].Table == s.Table {
					want.Published = want.Published.Union(one.Published)
					want.Failed = want.Failed.Union(one.Failed)
					want.Stopped = want.Stopped.Union(one.Stopped)
				}
			}
		}
		if !s.Published.Equal(want.Published) || !s.Failed.Equal(want.Failed) || !s.Stopped.Equal(want.Stopped) {
			t.Fatalf("summary of %s: %s", s.Table, show(s.Result))
		}
	}
}

func replay(t *rapid.T, r *Run, m *naive) {
	again, err := New(m.chunks, m.limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.events {
		if err := again.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if digest(again) != digest(r) {
		t.Fatalf("replayed:\n%s\nwas:\n%s", digest(again), digest(r))
	}
}

// BenchmarkRun takes 100,000 chunks of 100 tables from start to end, 16 at once, each table limited to 2.
func BenchmarkRun(b *testing.B) {
	const tables, each = 100, 1000
	limits := Limits{Overall: 16, Warehouse: map[string]int{"w0": 8, "w1": 8}, Table: map[string]int{}}
	var chunks []Chunk
	for i := range tables {
		limits.Table[fmt.Sprint("t", i)] = 2
		for k := range each {
			c := Chunk{ID: i*each + k, Table: fmt.Sprint("t", i), Warehouse: fmt.Sprint("w", i%2), Set: calendar.Of(calendar.Partition(k))}
			if i > 0 {
				c.After = []int{(i-1)*each + k}
			}
			chunks = append(chunks, c)
		}
	}
	for b.Loop() {
		r, err := New(chunks, limits)
		if err != nil {
			b.Fatal(err)
		}
		apply := func(e Event) {
			if err := r.Apply(e); err != nil {
				b.Fatal(err)
			}
		}
		apply(Event{Kind: RunStarted})
		var running []Chunk
		for !r.State().Ended() {
			if c, ok := r.Next(); ok {
				apply(Event{Kind: Started, Chunk: c.ID})
				running = append(running, c)
				continue
			}
			apply(Event{Kind: Finished, Chunk: running[0].ID, Result: &Result{Published: running[0].Set}})
			running = running[1:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(chunks)), "ns/chunk")
}
