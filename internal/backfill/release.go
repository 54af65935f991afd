package backfill

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// A giving is what of a run's lease can be given back before its end: a partition that no remaining step of the run reads or writes (rule 3). A
// backfill over five years does not keep what it has finished from others for four hours.
type giving struct {
	chunks map[int]run.Chunk
	needed map[int]int             // by chunk: itself and the chunks after it that have not ended
	ready  map[string]calendar.Set // by the table's name: to be given back
}

// newGiving begins with all chunks of a run.
func newGiving(chunks []run.Chunk) *giving {
	g := &giving{chunks: make(map[int]run.Chunk, len(chunks)), needed: make(map[int]int, len(chunks)), ready: map[string]calendar.Set{}}
	for _, c := range chunks {
		g.chunks[c.ID] = c
		g.needed[c.ID]++
		for _, before := range c.After {
			g.needed[before]++
		}
	}
	return g
}

// ended takes in that a chunk has.
func (g *giving) ended(id int) {
	g.done(id)
	for _, before := range g.chunks[id].After {
		g.done(before)
	}
}

func (g *giving) done(id int) {
	if g.needed[id]--; g.needed[id] > 0 {
		return
	}
	c := g.chunks[id]
	g.ready[c.Table] = g.ready[c.Table].Union(c.Set)
	for _, part := range c.With {
		g.ready[part.Table] = g.ready[part.Table].Union(part.Set)
	}
}

// take gives what can be given back now, but for one partition: a lease that has nothing left has ended, and the run has not, whatever others
// take from the rest meanwhile.
func (g *giving) take() map[string]calendar.Set {
	names := sortedNames(g.ready)
	n := 0
	for _, name := range names {
		n += g.ready[name].Count()
	}
	if n <= 1 {
		return nil
	}
	out := g.ready
	last := out[names[0]].Bounds().End - 1
	out[names[0]] = out[names[0]].Minus(calendar.Of(last))
	if out[names[0]].Empty() {
		delete(out, names[0])
	}
	g.ready = map[string]calendar.Set{names[0]: calendar.Of(last)}
	return out
}

// giveBack gives back what the run needs no more, for what has gathered since the last time: one transaction, however many chunks it was. That
// it could not be given back hurts nobody for long: the end gives all back.
func (r *runner) giveBack(ctx context.Context) {
	r.telling.Lock()
	var done map[string]calendar.Set
	if r.giving != nil {
		done = r.giving.take()
	}
	r.telling.Unlock()
	if len(done) == 0 {
		return
	}
	claims := make([]ledger.Claim, 0, len(done))
	for _, name := range sortedNames(done) {
		t := r.Tables[name]
		// With the cells between that nobody expects, as they were reserved: who asks for dates around a hole asks for the hole as well.
		r.given[name] = r.given[name].Union(done[name])
		claims = append(claims, ledger.Claim{Table: t.Key, Axis: t.Axis, Set: Bridge(r.given[name], r.sight.Expected[name])})
	}
	if err := r.Ledger.Release(context.WithoutCancel(ctx), r.lease.ID, claims); err != nil {
		r.Log.Warn("what is finished could not be given back yet", "run", r.record.ID, "error", err)
	}
}
