package backfill

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
)

// chunks cuts the plan's steps (rule 20) and ties each chunk to those before it that make what it reads.
func (r *runner) chunks(ctx context.Context) ([]run.Chunk, error) {
	cut := &cutting{runner: r, made: map[string][]run.Chunk{}, planned: map[string]calendar.Set{}}
	for _, s := range r.plan.Steps {
		cut.planned[s.Table] = cut.planned[s.Table].Union(s.Set)
	}
	err := r.sight.View.With(ctx, func(w *plan.World) error {
		for _, steps := range r.plan.Stages() {
			waves, err := plan.Chunks(w, steps...)
			if err != nil {
				return err
			}
			loop := len(steps) > 1 || steps[0].Loop != 0
			if r.opts.Reverse && loop {
				return &InputError{
					What: fmt.Sprintf("--reverse: %s reads its own earlier partitions", steps[0].Table), Next: "run it in order, without --reverse",
				}
			}
			for _, wave := range waves {
				if r.opts.Reverse {
					slices.Reverse(wave)
				}
				for _, c := range wave {
					cut.add(w, c)
				}
			}
		}
		return nil
	})
	return cut.all, err
}

// A cutting gathers chunks, in the order in which they may start.
type cutting struct {
	*runner
	all     []run.Chunk
	made    map[string][]run.Chunk // by table, with what it has of that one, sorted by the first partition
	planned map[string]calendar.Set
}

// add ties a chunk to the chunks before it whose partitions it reads. In a loop these are the ones of earlier waves.
func (c *cutting) add(w *plan.World, chunk plan.Chunk) {
	t := c.Tables[chunk.Table]
	parts := map[string]calendar.Set{chunk.Table: chunk.Set}
	all, reads := chunk.Set, []string{chunk.Table}
	for _, p := range chunk.With {
		parts[p.Table], all = p.Set, all.Union(p.Set)
	}
	if len(t.Together) > 1 { // an input of one is an input of all
		reads = c.Project.Made(t.Table)
	}
	next := run.Chunk{ID: len(c.all), Warehouse: t.Table.Warehouse}
	for _, name := range reads {
		for read, set := range w.RestsOn(name, all, c.planned) {
			next.After = append(next.After, overlapping(c.made[read], set)...)
		}
		switch set := parts[name]; {
		case set.Empty():
		case next.Table == "":
			next.Table, next.Set = name, set
		default:
			next.With = append(next.With, run.Part{Table: name, Set: set})
		}
	}
	slices.Sort(next.After)
	next.After = slices.Compact(next.After)
	c.all = append(c.all, next)
	for _, p := range next.Parts() {
		made := c.made[p.Table]
		at := sort.Search(len(made), func(i int) bool { return made[i].Set.Bounds().Start > p.Set.Bounds().Start })
		c.made[p.Table] = slices.Insert(made, at, run.Chunk{ID: next.ID, Set: p.Set})
	}
}

// overlapping lists the ids of chunks that hold a partition of the set. Chunks of a table are disjoint, but commands' chunks may interleave
// with others of the table only by their holes, so bounds find the candidates.
func overlapping(made []run.Chunk, set calendar.Set) []int {
	bounds := set.Bounds()
	var out []int
	last := sort.Search(len(made), func(i int) bool { return made[i].Set.Bounds().Start >= bounds.End })
	for i := last - 1; i >= 0; i-- {
		if made[i].Set.Overlaps(set) {
			out = append(out, made[i].ID)
		} else if made[i].Set.Bounds().End <= bounds.Start {
			break
		}
	}
	return out
}
