package plan

import (
	"slices"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"pgregory.net/rapid"
)

// settleSources gives the sources something to read: most of what is expected of them.
func (s *sim) settleSources() {
	for _, t := range s.tables {
		if t.Source == nil {
			continue
		}
		absent, values, i := rapid.Uint64().Draw(s.t, "absent")&rapid.Uint64().Draw(s.t, "and")&rapid.Uint64().Draw(s.t, "and"), rapid.Uint64().Draw(s.t, "values"), 0
		for p := range s.in.Expected[t.Name].Partitions() {
			if segmentNaive(s.in.Tables[t.Name].Segments, p) == nil && absent&(1<<i) == 0 {
				s.write(t, p, history.Segment{}, int(values>>i)&1)
			}
			i++
		}
	}
}

// Judgements agree with the naive model, partition by partition, whole and in part, remembered or not.
func TestJudgeAgainstTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		s.settleSources()
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			if rapid.Bool().Draw(t, "run") {
				s.run(Request{})
			}
			for range rapid.IntRange(0, 4).Draw(t, "steps") {
				s.step()
			}
			s.compare(s.world())
		}
	})
}

func (s *sim) compare(w *World) {
	m := s.model()
	for _, t := range s.tables {
		expected := s.in.Expected[t.Name]
		part := expected.Minus(s.someCells(t))
		early := s.world().JudgeWithin(t.Name, part) // of a world that has judged nothing yet
		j := w.Judge(t.Name)
		for p := range expected.Partitions() {
			fresh := m.isFresh(t, p)
			if j.Fresh.Contains(p) != fresh {
				s.t.Fatalf("%s %s: fresh is %v, the model says %v", t.Name, t.Axis.ID(p), !fresh, fresh)
			}
			if part.Contains(p) && early.Fresh.Contains(p) != fresh {
				s.t.Fatalf("%s %s: fresh within a part is %v, the model says %v", t.Name, t.Axis.ID(p), !fresh, fresh)
			}
			if t.Source != nil {
				continue
			}
			if ready := m.ready(t, p); j.NotReady.Contains(p) == ready {
				s.t.Fatalf("%s %s: ready is %v, the model says %v", t.Name, t.Axis.ID(p), !ready, ready)
			}
			if unchecked := m.unchecked(t, p); j.Unchecked.Contains(p) != unchecked {
				s.t.Fatalf("%s %s: unchecked is %v, the model says %v", t.Name, t.Axis.ID(p), !unchecked, unchecked)
			} else if part.Contains(p) && early.Unchecked.Contains(p) != unchecked {
				s.t.Fatalf("%s %s: unchecked within a part is %v, the model says %v", t.Name, t.Axis.ID(p), !unchecked, unchecked)
			}
			s.compareInput(m, t, p, j)
			s.compareVerdict(m, t, p, j)
		}
	}
}

// compareInput holds Input against the events, and against what p truly read.
func (s *sim) compareInput(m *model, t *catalog.Table, p calendar.Partition, j *Judgement) {
	seg := segmentNaive(s.in.Tables[t.Name].Segments, p)
	if seg == nil || !(seg.Content.Readable() || seg.Content == history.Failing) || seg.Content == history.Skipped || t.Immutable {
		return
	}
	changed := m.inputChanged(t, p, seg.ReadSeq, false)
	if j.Input.Contains(p) != changed {
		s.t.Fatalf("%s %s: stale by an input is %v, the events say %v", t.Name, t.Axis.ID(p), !changed, changed)
	}
	r := s.reads[t.Name][p]
	if r == nil || changed {
		return
	}
	// No hull is stored: that nothing is said to have changed must mean that p would read exactly what it read.
	for i, in := range t.Inputs {
		if !in.Restates {
			continue
		}
		now := m.members(t, in, p)
		if len(now) != len(r.members[i]) {
			s.t.Fatalf("%s %s: called unchanged, but %s gives %v where it read %v", t.Name, t.Axis.ID(p), in.Table, now, r.members[i])
		}
		for _, q := range now {
			if was, ok := r.members[i][q]; !ok || was != s.content[in.Table][q] {
				s.t.Fatalf("%s %s: called unchanged, but it read another %s %d", t.Name, t.Axis.ID(p), in.Table, q)
			}
		}
	}
}

func (s *sim) compareVerdict(m *model, t *catalog.Table, p calendar.Partition, j *Judgement) {
	repeats := false
	for _, v := range s.in.Tables[t.Name].Verdicts {
		if v.Contains(p) {
			repeats = v.Version == s.in.Versions[t.Name] && v.CheckVersion == s.in.CheckVersions[t.Name] &&
				!m.inputChanged(t, p, v.ReadSeq, true) && !m.watchedChanged(t, p, v.CheckSeq, true)
		}
	}
	if j.Repeats.Contains(p) != repeats {
		s.t.Fatalf("%s %s: a verdict that would repeat is %v, the model says %v", t.Name, t.Axis.ID(p), !repeats, repeats)
	}
}

// run makes a plan and carries it out as an executor does: chunk by chunk, asking again before each. It returns the plan and the world
// as it kept up with what it did.
func (s *sim) run(req Request) (*Plan, *World) {
	w := s.world()
	p, err := Make(w, req)
	if err != nil {
		s.t.Fatal(err)
	}
	if again, _ := Make(s.world(), req); again.ID != p.ID {
		s.t.Fatalf("the same request gives plans %s and %s", p.ID, again.ID)
	}
	left := map[string]calendar.Set{}
	for _, step := range p.Steps {
		if left[step.Table] = left[step.Table].Union(step.Set); step.Set.Empty() {
			s.t.Fatalf("step %s is empty", step.Table)
		}
	}
	s.recheck(p, w, left)
	for _, stage := range p.Stages() {
		waves, err := Chunks(w, stage...)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, wave := range waves {
			for _, c := range wave {
				s.inOrder(w, c, left)
			}
			for _, c := range wave {
				for _, part := range append([]Part{{c.Table, c.Set}}, c.With...) {
					if part.Set.Empty() || !left[part.Table].Covers(part.Set) {
						s.t.Fatalf("a chunk is for %v of %s, of which %v is left", part.Set.Intervals(), part.Table, left[part.Table].Intervals())
					}
					left[part.Table] = left[part.Table].Minus(part.Set)
					s.chunk(w, p, Chunk{Table: part.Table, Set: part.Set})
				}
			}
		}
	}
	for name, set := range left {
		if !set.Empty() {
			s.t.Fatalf("%s: %v is in no chunk", name, set.Intervals())
		}
	}
	return p, w
}

// recheck carries out what is to be checked again: some of it fails.
func (s *sim) recheck(p *Plan, w *World, written map[string]calendar.Set) {
	s.failed = map[string]calendar.Set{}
	m := s.model()
	for _, r := range p.Rechecks {
		j := w.Judge(r.Table)
		sure := calendar.UnionAll(j.Missing, j.Unreadable(), j.Input, j.Marked, j.Lookback).Intersect(written[r.Table])
		if r.Set.Empty() || r.Why == "" || r.Set.Overlaps(sure) {
			s.t.Fatalf("%s: %v is to be checked again because %q, and %v will be written", r.Table, r.Set.Intervals(), r.Why, sure.Intervals())
		}
		bits, i := rapid.Uint64().Draw(s.t, "fails")&rapid.Uint64().Draw(s.t, "and"), 0
		for q := range r.Set.Partitions() {
			if !m.unchecked(m.tables[r.Table], q) {
				s.t.Fatalf("%s %d is checked again for nothing", r.Table, q)
			}
			passed := bits&(1<<i) == 0
			s.checked(m.tables[r.Table], q, passed)
			if !passed {
				s.failed[r.Table] = s.failed[r.Table].Union(calendar.Of(q))
			}
			i++
		}
		w.Replace(r.Table, s.in.Tables[r.Table], s.in.Seq)
	}
}

// inOrder refuses a chunk that reads what is still to be done, in itself or elsewhere.
func (s *sim) inOrder(w *World, c Chunk, left map[string]calendar.Set) {
	m := s.model()
	t := m.tables[c.Table]
	all, expected := c.Set, calendar.Set{}
	for _, part := range c.With {
		all = all.Union(part.Set)
	}
	for _, o := range s.tables {
		if o != t && (o.Producer == "" || o.Producer != t.Producer) {
			continue
		}
		expected = expected.Union(w.Expected[o.Name])
		for p := range all.Intersect(w.Expected[o.Name]).Partitions() { // an input of one table is one of all that are made with it
			for _, in := range o.Inputs {
				for _, q := range m.members(o, in, p) {
					if left[in.Table].Contains(q) {
						s.t.Fatalf("%s %s is computed before %s %s, which it reads", o.Name, o.Axis.ID(p), in.Table, m.tables[in.Table].Axis.ID(q))
					}
				}
			}
		}
	}
	if t.Batch.Size > 0 && all.Count() > t.Batch.Size {
		s.t.Fatalf("%s: a chunk of %d", c.Table, all.Count())
	}
	if t.Command != nil && !slices.Contains(t.Command.Args, "{dates}") && !expected.Within(all.Bounds()).Equal(all) {
		s.t.Fatalf("%s: a command gets %v", c.Table, all.Intervals())
	}
}

// chunk does one attempt, or as much of it as is still needed and can be done.
func (s *sim) chunk(w *World, p *Plan, c Chunk) {
	m := s.model()
	t := m.tables[c.Table]
	j := w.JudgeWithin(c.Table, c.Set)
	asked := calendar.Set{}
	if p.Request.Reprocess&All != 0 {
		asked = c.Set
	}
	todo := c.Set.Minus(j.Fresh.Minus(asked)).Minus(j.NotReady).Minus(j.Held)
	read := s.in.Seq
	for q := range todo.Partitions() {
		if !asked.Contains(q) && m.isFresh(t, q) {
			s.t.Fatalf("%s %s was fresh and is run", t.Name, t.Axis.ID(q))
		}
		s.remember(m, t, q, read)
	}
	for q := range todo.Partitions() {
		seg := history.Segment{
			ReadSeq: read, Version: s.in.Versions[t.Name], ReadAt: s.in.Now, CheckVersion: s.in.CheckVersions[t.Name], CheckSeq: read,
		}
		s.write(t, q, seg, s.compute(m, t, q))
	}
	if c.Set.Count()%2 == 0 {
		w.Replace(t.Name, s.in.Tables[t.Name], s.in.Seq)
	} else {
		w.Update(t.Name, s.in.Tables[t.Name], s.in.Seq, c.Set)
	}
}

// A plan is complete (I7), running it ends, what was asked for is fresh after it or was said to be blocked or left out, and all that is
// fresh is what a computation from scratch gives (I3).
func TestRunningAPlanLeavesNothingStale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		s.settleSources()
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			for range rapid.IntRange(0, 5).Draw(t, "steps") {
				s.step()
			}
			req := s.request()
			p, w := s.run(req)
			s.complete(p)
			s.compare(w)
			s.fromScratch()
			again, err := Make(w, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range again.Steps {
				// What the first plan called blocked may have come free: a step that could have shaken what it rests on changed nothing.
				// What is fresh is only there because such a partition could change it.
				j := w.Judge(step.Table)
				ready := step.Set.Minus(j.Fresh).Minus(j.NotReady).Minus(blockedIn(p, step.Table)).Minus(s.failed[step.Table])
				if req.Reprocess&All == 0 && !ready.Empty() {
					t.Fatalf("after the run the plan still has %s %v", step.Table, step.Set.Intervals())
				}
			}
		}
	})
}

func (s *sim) request() Request {
	req := Request{Upstream: rapid.Bool().Draw(s.t, "upstream"), Downstream: rapid.Bool().Draw(s.t, "downstream")}
	if rapid.Bool().Draw(s.t, "some tables") {
		for _, t := range s.tables {
			if t.Source == nil && rapid.Bool().Draw(s.t, t.Name) {
				req.Tables = append(req.Tables, t.Name)
			}
		}
	}
	if rapid.Bool().Draw(s.t, "ranged") {
		at := simDay(rapid.IntRange(0, simDays).Draw(s.t, "from"))
		req.Range = &Range{calendar.Axis{Grain: calendar.Day}, calendar.Interval{Start: at, End: at + calendar.Partition(rapid.IntRange(1, 10).Draw(s.t, "days"))}}
	}
	if rapid.IntRange(0, 5).Draw(s.t, "all") == 5 {
		req.Reprocess, req.Explicit = All, true
	}
	return req
}

// complete holds what is not fresh after a run against what the plan said would not be.
func (s *sim) complete(p *Plan) {
	m := s.model()
	told := map[string]calendar.Set{}
	for _, b := range p.Blocked {
		told[b.Table] = told[b.Table].Union(b.Set)
	}
	for _, sk := range p.Skipped {
		told[sk.Table] = told[sk.Table].Union(sk.Set)
	}
	for name, set := range s.failed {
		told[name] = told[name].Union(set)
	}
	named := p.Request.Tables
	for _, t := range s.tables {
		if t.Source != nil || (len(named) > 0 && !slices.Contains(named, t.Name)) {
			continue
		}
		asked := s.in.Expected[t.Name]
		if r := p.Request.Range; r != nil {
			asked = asked.Within(r.Axis.Convert(r.Interval, t.Axis))
		}
		for q := range asked.Partitions() {
			// What the run itself changed of what the checks read, the next one checks again. What was sure to be written, and so to be
			// checked, may wait for rows that failed: it is stale, and is checked when it is written.
			waits := len(s.failed) > 0 && !m.isFresh(t, q)
			if m.unchecked(t, q) && !m.watchedChanged(t, q, p.Seq, true) && !waits {
				s.t.Fatalf("%s %s is not checked after the run", t.Name, t.Axis.ID(q))
			}
		}
		for q := range asked.Minus(told[t.Name]).Partitions() {
			if m.isFresh(t, q) {
				continue
			}
			// In a plan for everything nothing else may be left, but for what rests on rows that failed. In a part of it a step may have found
			// its inputs gone stale by then.
			if (len(named) == 0 && p.Request.Range == nil && len(s.failed) == 0) || m.ready(t, q) {
				s.t.Fatalf("%s %s is not fresh after the run, and the plan did not say so", t.Name, t.Axis.ID(q))
			}
		}
	}
}

// fromScratch is I3: what is fresh equals what computing it now would give.
func (s *sim) fromScratch() {
	m := s.model()
	for _, t := range s.tables {
		if t.Source != nil || t.Immutable || t.OnCodeChange == catalog.Forward {
			continue
		}
		for p := range s.in.Expected[t.Name].Partitions() {
			seg := segmentNaive(s.in.Tables[t.Name].Segments, p)
			if m.isFresh(t, p) && seg.Content != history.Skipped && s.content[t.Name][p] != s.compute(m, t, p) {
				s.t.Fatalf("%s %s is called fresh, but holds %d where a computation gives %d", t.Name, t.Axis.ID(p), s.content[t.Name][p], s.compute(m, t, p))
			}
		}
	}
}
