package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"pgregory.net/rapid"
)

// A sim is a warehouse and a ledger in miniature: contents are small numbers computed from the contents of inputs, so that early cutoff
// happens by itself and what stands can be compared with a computation from scratch.
type sim struct {
	t       *rapid.T
	tables  []*catalog.Table
	graph   *catalog.Graph
	in      Inputs
	events  map[string][]event
	content map[string]map[calendar.Partition]int
	reads   map[string]map[calendar.Partition]*record
	named   map[string]calendar.Set // what calendars name, due or not
	failed  map[string]calendar.Set // what the last run checked again and found failing
}

var simEpoch = time.Date(2024, 2, 10, 0, 0, 0, 0, time.UTC)

// Days of the sim lie around the end of a month, so that months have neighbours.
func simDay(n int) calendar.Partition {
	return calendar.Partition(calendar.DateOf(2024, 1, 20)) + calendar.Partition(n)
}

const simDays = 26

func newSim(t *rapid.T) *sim {
	s := &sim{
		t: t, in: newBuilder().in, events: map[string][]event{}, content: map[string]map[calendar.Partition]int{},
		reads: map[string]map[calendar.Partition]*record{}, named: map[string]calendar.Set{},
	}
	// Half of the time everything is judged by whole columns, however little it is.
	fewReadings = rapid.SampledFrom([]int{64, 0}).Draw(t, "few readings")
	t.Cleanup(func() { fewReadings = 64 })
	s.in.Seq, s.in.Dropped = 1, map[string]calendar.Set{}
	s.in.Now = simEpoch
	s.redefine("season")
	s.catalog()
	for _, t := range s.tables {
		s.in.Tables[t.Name] = &history.Table{}
		s.content[t.Name] = map[calendar.Partition]int{}
		s.reads[t.Name] = map[calendar.Partition]*record{}
		s.in.Versions[t.Name] = "v1"
		s.in.CheckVersions[t.Name] = "c1"
		s.expect(t, s.someCells(t))
	}
	return s
}

// axis draws an axis; most are days of UTC.
func (s *sim) axis(label string) calendar.Axis {
	return rapid.SampledFrom([]calendar.Axis{
		{Grain: calendar.Day}, {Grain: calendar.Day}, {Grain: calendar.Day}, {Grain: calendar.Day}, {Grain: calendar.Month}, {Grain: calendar.None},
		{Grain: calendar.Day, Zone: "America/New_York"}, {Grain: calendar.Hour},
	}).Draw(s.t, label)
}

func (s *sim) catalog() {
	sources := rapid.IntRange(1, 2).Draw(s.t, "sources")
	made := rapid.IntRange(1, 4).Draw(s.t, "tables")
	for i := range sources {
		s.tables = append(s.tables, &catalog.Table{Name: fmt.Sprintf("s%d", i), Source: &catalog.Source{}, Axis: s.axis("axis")})
	}
	for i := range made {
		t := &catalog.Table{Name: fmt.Sprintf("t%d", i), Axis: s.axis("axis")}
		n := rapid.IntRange(1, 2).Draw(s.t, "inputs")
		for range n {
			from := rapid.IntRange(0, len(s.tables)-1).Draw(s.t, "from")
			t.Inputs = append(t.Inputs, s.input(s.tables[from].Name))
		}
		s.options(t)
		s.tables = append(s.tables, t)
	}
	if rapid.IntRange(0, 2).Draw(s.t, "loop") == 2 {
		s.loop()
	}
	if rapid.IntRange(0, 2).Draw(s.t, "producer") == 2 {
		s.producer()
	}
	g, err := catalog.NewGraph(&catalog.Project{Tables: s.tables})
	if err != nil { // a loop of partitions: do without it
		for _, t := range s.tables {
			t.Producer = ""
			t.Inputs = slices.DeleteFunc(t.Inputs, func(in *catalog.Input) bool { return in.Table >= t.Name && in.Table[0] == 't' })
		}
		if g, err = catalog.NewGraph(&catalog.Project{Tables: s.tables}); err != nil {
			s.t.Fatal(err)
		}
	}
	s.graph = g
	s.in.Graph = g
}

// producer lets one command make some of the tables.
func (s *sim) producer() {
	var first *catalog.Table
	for _, t := range s.tables {
		if t.Source != nil || first != nil && (t.Axis != first.Axis || rapid.Bool().Draw(s.t, "made apart")) {
			continue
		}
		if first == nil {
			first = t
			if t.Command == nil && rapid.Bool().Draw(s.t, "dates") {
				t.Command = &catalog.Command{Args: []string{"{dates}"}}
			} else if t.Command == nil {
				t.Command = &catalog.Command{Args: []string{"{from}"}}
			}
		}
		t.Producer, t.Command, t.Batch, t.Write = "pair", first.Command, first.Batch, first.Write
	}
}

// loop lets a table read itself, or an earlier one read it, at a lag.
func (s *sim) loop() {
	last := s.tables[len(s.tables)-1]
	reader := last
	if rapid.Bool().Draw(s.t, "mutual") {
		reader = s.tables[len(s.tables)-2]
		if reader.Source != nil {
			reader = last
		}
	}
	back := rapid.IntRange(1, 4).Draw(s.t, "lag")
	long := rapid.IntRange(0, 3).Draw(s.t, "long")
	w := catalog.Window{Kind: catalog.Offset, Unit: calendar.Day, From: -back - long, To: -back}
	w.Unit = rapid.SampledFrom([]calendar.Grain{calendar.Day, calendar.Day, calendar.Month, calendar.Hour}).Draw(s.t, "unit")
	if rapid.Bool().Draw(s.t, "counted") {
		w = catalog.Window{Kind: catalog.Partitions, From: -back - long, To: -back}
	}
	in := input(last.Name, w)
	in.Restates = rapid.IntRange(0, 4).Draw(s.t, "restates") < 4
	reader.Inputs = append(reader.Inputs, in)
}

func (s *sim) input(from string) *catalog.Input {
	in := input(from)
	for range rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(s.t, "windows") {
		in.Windows = append(in.Windows, s.window())
	}
	in.Restates = rapid.IntRange(0, 5).Draw(s.t, "restates") < 5
	in.Complete = rapid.SampledFrom([]float64{1, 1, 1, 0.7, 0.5}).Draw(s.t, "complete")
	in.Min = rapid.SampledFrom([]int{0, 0, 0, 0, 2}).Draw(s.t, "min")
	return in
}

func (s *sim) window() catalog.Window {
	kind := rapid.SampledFrom([]catalog.WindowKind{
		catalog.Same, catalog.Same, catalog.Offset, catalog.Offset, catalog.Partitions, catalog.Partitions, catalog.Since, catalog.Everything, catalog.PerRows,
	}).Draw(s.t, "kind")
	w := catalog.Window{Kind: kind}
	switch kind {
	case catalog.Offset, catalog.Partitions:
		w.From = rapid.IntRange(-5, 2).Draw(s.t, "from")
		w.To = w.From + rapid.IntRange(0, 4).Draw(s.t, "width")
		w.Unit = rapid.SampledFrom([]calendar.Grain{calendar.Day, calendar.Day, calendar.Day, calendar.Month, calendar.Hour}).Draw(s.t, "unit")
	case catalog.Since:
		w.Within, w.To = "season", rapid.IntRange(-3, 1).Draw(s.t, "through")
	case catalog.PerRows:
		w.Count, w.Per, w.To = 3, "id", rapid.IntRange(-2, 0).Draw(s.t, "through")
		if rapid.Bool().Draw(s.t, "within") {
			w.Within = "season"
		} else {
			w.Days = rapid.IntRange(1, 6).Draw(s.t, "days")
		}
	}
	return w
}

func (s *sim) options(t *catalog.Table) {
	rare := func(label string) bool { return rapid.IntRange(0, 9).Draw(s.t, label) >= 9 }
	t.Immutable = rare("immutable")
	if rare("forward") {
		t.OnCodeChange = catalog.Forward
	}
	if rare("lookback") {
		t.Lookback = 2
	}
	if rare("bootstrap") || rare("bootstrap again") {
		t.Bootstrap = &catalog.BootstrapRule{Partitions: 3, Of: "season"}
	}
	if rapid.IntRange(0, 2).Draw(s.t, "checks") == 2 {
		to := rapid.SampledFrom(s.tables).Draw(s.t, "to").Name
		t.Checks = []*catalog.Check{{ID: t.Name + ".known", Kind: catalog.CheckRelationship, To: to, Columns: []string{"id"}}}
	}
	t.Batch.Size = rapid.SampledFrom([]int{0, 1, 3, 7}).Draw(s.t, "batch")
	if rare("command") {
		t.Command = &catalog.Command{Args: []string{"make"}}
	}
}

// cells are the partitions of the sim's stretch of time on a table's axis.
func (s *sim) cells(t *catalog.Table) []calendar.Partition {
	switch t.Axis.Grain {
	case calendar.None:
		return []calendar.Partition{0}
	case calendar.Hour:
		first := t.Axis.At(simEpoch.Add(-10 * time.Hour))
		var out []calendar.Partition
		for p := first; p < first+14; p++ {
			out = append(out, p)
		}
		return out
	case calendar.Month:
		first := calendar.MonthOf(2023, 12)
		return []calendar.Partition{first, first + 1, first + 2}
	}
	var out []calendar.Partition
	for i := range simDays {
		out = append(out, simDay(i))
	}
	return out
}

// someCells draws a set that has most of the cells.
func (s *sim) someCells(t *catalog.Table) calendar.Set {
	if t.Axis.Grain == calendar.None {
		return calendar.Of(0)
	}
	out := rapid.Uint64().Draw(s.t, "out") & rapid.Uint64().Draw(s.t, "and")
	var kept []calendar.Partition
	for i, p := range s.cells(t) {
		if out&(1<<i) == 0 {
			kept = append(kept, p)
		}
	}
	return calendar.Of(kept...)
}

func (s *sim) cell(t *catalog.Table) (calendar.Partition, bool) {
	cells := list(s.in.Expected[t.Name])
	if len(cells) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(cells).Draw(s.t, "partition"), true
}

// edit replaces a table's history by a changed copy: worlds keep the old one.
func (s *sim) edit(name string, fn func(h *history.Table)) {
	h := *s.in.Tables[name]
	fn(&h)
	s.in.Tables[name] = &h
}

// expect changes a table's calendar and logs what came and went of what is due.
func (s *sim) expect(t *catalog.Table, named calendar.Set) {
	was := s.in.Expected[t.Name]
	s.named[t.Name] = named
	set := named.Within(t.Axis.DueBefore(s.in.Now, t.DueAfter))
	s.in.Expected[t.Name] = set
	if was.Equal(set) {
		return
	}
	s.in.Seq++
	s.edit(t.Name, func(h *history.Table) {
		h.Known = set
		h.Moves = history.Overlay(h.Moves, history.Spread(history.Move{Seq: s.in.Seq, Gained: true}, set.Minus(was)))
		h.Moves = history.Overlay(h.Moves, history.Spread(history.Move{Seq: s.in.Seq}, was.Minus(set)))
	})
	for p := range set.Minus(was).Union(was.Minus(set)).Partitions() {
		s.events[t.Name] = append(s.events[t.Name], event{s.in.Seq, p, true})
	}
}

func (s *sim) redefine(period string) {
	var ivs []calendar.Interval
	at := simDay(rapid.IntRange(-2, 6).Draw(s.t, "first season"))
	for range rapid.IntRange(1, 3).Draw(s.t, "seasons") {
		end := at + calendar.Partition(rapid.IntRange(1, 12).Draw(s.t, "length"))
		ivs = append(ivs, calendar.Interval{Start: at, End: end})
		at = end + calendar.Partition(rapid.IntRange(0, 4).Draw(s.t, "break"))
	}
	if slices.Equal(ivs, s.in.Periods[period]) {
		return
	}
	s.in.Seq++
	s.in.Periods[period] = ivs
	s.in.PeriodChanges[period] = append(s.in.PeriodChanges[period], history.PeriodChange{Seq: s.in.Seq, Intervals: ivs})
}

// write publishes one content.
func (s *sim) write(t *catalog.Table, p calendar.Partition, segment history.Segment, value int) {
	s.in.Seq++
	old := segmentNaive(s.in.Tables[t.Name].Segments, p)
	segment.Interval = calendar.Single(p)
	segment.ChangedSeq = s.in.Seq
	was, stood := s.content[t.Name][p]
	if old != nil && stood && was == value && (old.Content.Readable() || old.Content == history.Failing) && segment.Content.Readable() {
		segment.ChangedSeq = old.ChangedSeq // early cutoff
	} else {
		s.events[t.Name] = append(s.events[t.Name], event{s.in.Seq, p, false})
	}
	s.content[t.Name][p] = value
	s.edit(t.Name, func(h *history.Table) {
		h.Segments = history.Overlay(h.Segments, []history.Segment{segment})
		h.Verdicts = history.Without(h.Verdicts, calendar.Of(p))
	})
}

// world is a new world of what the ledger holds; nothing of it is shared with the sim.
func (s *sim) world() *World {
	in := s.in
	in.Expected, in.Periods, in.Tables = maps.Clone(s.in.Expected), maps.Clone(s.in.Periods), maps.Clone(s.in.Tables)
	in.PeriodChanges, in.Versions = maps.Clone(s.in.PeriodChanges), maps.Clone(s.in.Versions)
	in.CheckVersions = maps.Clone(s.in.CheckVersions)
	return NewWorld(in)
}

func (s *sim) model() *model {
	m := &model{in: s.in, tables: map[string]*catalog.Table{}, events: s.events, reads: s.reads, fresh: map[string]map[calendar.Partition]bool{}}
	for _, t := range s.tables {
		m.tables[t.Name] = t
	}
	return m
}

// compute is what p's content is, from what stands in its inputs now: a small number, so that it often stays as it was.
func (s *sim) compute(m *model, t *catalog.Table, p calendar.Partition) int {
	sum := len(s.in.Versions[t.Name]) * 3
	for _, c := range s.in.Versions[t.Name] {
		sum += int(c)
	}
	for i, in := range t.Inputs {
		if !in.Restates {
			continue
		}
		for k, q := range m.members(t, in, p) {
			sum += (i + k%2 + 1) * (s.content[in.Table][q] + 1)
		}
	}
	return sum % 4
}

// remember stores what p reads now, as rule 17 tells it: explicitly, for each partition.
func (s *sim) remember(m *model, t *catalog.Table, p calendar.Partition, seq history.Seq) {
	r := &record{seq: seq, seasons: map[string]calendar.Partition{}}
	for _, in := range t.Inputs {
		members := map[calendar.Partition]int{}
		for _, q := range m.members(t, in, p) {
			members[q] = s.content[in.Table][q]
		}
		r.members = append(r.members, members)
	}
	s.reads[t.Name][p] = r
}

// step does something that happens to a project between two looks at it.
func (s *sim) step() {
	t := s.tables[rapid.IntRange(0, len(s.tables)-1).Draw(s.t, "what")]
	p, ok := s.cell(t)
	what := []string{
		"source", "source", "calendar", "season", "code", "mark", "skip", "verdict", "hold", "doubt", "check", "check", "fail", "live", "time", "drop",
	}
	switch rapid.SampledFrom(what).Draw(s.t, "step") {
	case "source":
		for _, t := range s.tables {
			if p, ok := s.cell(t); ok && t.Source != nil && rapid.Bool().Draw(s.t, "here") {
				content := history.Rows
				if rapid.IntRange(0, 5).Draw(s.t, "drift") == 5 {
					content = history.Drifted
				}
				s.write(t, p, history.Segment{Content: content}, rapid.IntRange(0, 3).Draw(s.t, "value"))
			}
		}
	case "calendar":
		cells := s.cells(t)
		if t.Axis.Grain == calendar.None {
			return
		}
		q := rapid.SampledFrom(cells).Draw(s.t, "moved")
		set := s.named[t.Name]
		if set.Contains(q) {
			set = set.Minus(calendar.Of(q))
		} else {
			set = set.Union(calendar.Of(q))
		}
		s.expect(t, set)
	case "season":
		s.redefine("season")
	case "code":
		if t.Source == nil {
			s.in.Versions[t.Name] = rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(s.t, "version")
		}
	case "mark":
		if ok && t.Source == nil {
			s.touch(t, p, func(seg *history.Segment) { seg.Stale = true })
		}
	case "skip":
		if ok && t.Source == nil {
			s.write(t, p, history.Segment{Content: history.Skipped, ReadSeq: s.in.Seq}, -1)
		}
	case "verdict":
		if ok && t.Source == nil {
			v := history.Verdict{
				Interval: calendar.Single(p), Outcome: rapid.SampledFrom([]history.Outcome{history.Failed, history.Quarantined}).Draw(s.t, "outcome"),
				ReadSeq: s.in.Seq, Version: s.in.Versions[t.Name], CheckVersion: "c1", CheckSeq: s.in.Seq,
			}
			s.in.Seq++
			s.edit(t.Name, func(h *history.Table) { h.Verdicts = history.Overlay(h.Verdicts, []history.Verdict{v}) })
		}
	case "hold":
		if ok && t.Source == nil {
			s.edit(t.Name, func(h *history.Table) { h.Held = h.Held.Union(calendar.Of(p)) })
		}
	case "doubt":
		if ok && t.Source == nil {
			content := rapid.SampledFrom([]history.Content{history.InDoubt, history.Foreign}).Draw(s.t, "content")
			s.write(t, p, history.Segment{Content: content, ReadSeq: s.in.Seq, Version: "v1"}, 99)
		}
	case "check":
		if t.Source == nil {
			s.in.CheckVersions[t.Name] = rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(s.t, "checks")
		}
	case "fail":
		if ok && t.Source == nil {
			s.checked(t, p, false)
			if rapid.IntRange(0, 3).Draw(s.t, "no verdict") == 3 {
				s.touch(t, p, func(*history.Segment) {})
				s.edit(t.Name, func(h *history.Table) { h.Verdicts = history.Without(h.Verdicts, calendar.Of(p)) })
			}
		}
	case "live":
		if ok {
			s.edit(t.Name, func(h *history.Table) { h.Reserved = h.Reserved.Union(calendar.Of(p)) })
		}
	case "drop":
		// The calendar has lost a materialized date: it stays expected, and nothing is done there. Or it has come back.
		if ok && segmentNaive(s.in.Tables[t.Name].Segments, p) != nil {
			dropped := maps.Clone(s.in.Dropped)
			dropped[t.Name] = calendar.Of(p)
			if s.in.Dropped[t.Name].Contains(p) {
				delete(dropped, t.Name)
			}
			s.in.Dropped = dropped
		}
	case "time":
		s.in.Now = s.in.Now.Add(30 * time.Hour)
		for _, t := range s.tables {
			s.expect(t, s.named[t.Name])
		}
	}
}

func (s *sim) touch(t *catalog.Table, p calendar.Partition, fn func(seg *history.Segment)) {
	old := segmentNaive(s.in.Tables[t.Name].Segments, p)
	if old == nil {
		return
	}
	seg := *old
	seg.Interval = calendar.Single(p)
	fn(&seg)
	s.in.Seq++
	s.edit(t.Name, func(h *history.Table) { h.Segments = history.Overlay(h.Segments, []history.Segment{seg}) })
}

// checked records a recheck of one partition, at the clock as it stands, as a ledger does.
func (s *sim) checked(t *catalog.Table, p calendar.Partition, passed bool) {
	old := segmentNaive(s.in.Tables[t.Name].Segments, p)
	if old == nil || !old.Content.Checkable() {
		return
	}
	at, was := s.in.Seq, *old
	s.touch(t, p, func(seg *history.Segment) {
		seg.CheckVersion, seg.CheckSeq, seg.Content = s.in.CheckVersions[t.Name], at, history.Rows
		if !passed {
			seg.Content = history.Failing
		}
	})
	s.edit(t.Name, func(h *history.Table) {
		switch {
		case !passed:
			h.Verdicts = history.Overlay(h.Verdicts, []history.Verdict{{
				Interval: calendar.Single(p), Outcome: history.Quarantined, ReadSeq: was.ReadSeq, Version: was.Version,
				CheckVersion: s.in.CheckVersions[t.Name], CheckSeq: at,
			}})
		case was.Content == history.Failing:
			h.Verdicts = history.Without(h.Verdicts, calendar.Of(p))
		}
	})
}
