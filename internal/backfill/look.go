package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// observeAtOnce is how many sources are read at the same time: reading is mostly unpacking, one core each.
const observeAtOnce = 4

// A Sight is what Look saw.
type Sight struct {
	View     *worker.View
	Observed ledger.Observed         // what is new since the last look
	Sources  map[string]*SourceSight // by source name
	Expected map[string]calendar.Set // by table name
	Coming   map[string]calendar.Set // by table name: named by the calendar, and not due yet
	Dropped  map[string]calendar.Set // by table name: of Expected, what the calendar has lost though it is materialized
	// Busy says that another process has a warehouse open: sources and calendars are as they were seen last.
	Busy *warehouse.LockedError
	At   time.Time // the wall clock that dueness was judged by
	// Began is the ledger's clock before the look waited for anything: what a run that comes of it counts as asked for.
	Began   history.Seq
	Periods map[string][]calendar.Interval

	asked map[string]calendar.Set // see LookOptions.Asked
}

// A SourceSight is what was found of one source.
type SourceSight struct {
	State   *warehouse.SourceState
	Drifted calendar.Set
	// Verdicts are those of the source's checks that did not pass.
	Verdicts []warehouse.Verdict
	Err      error // the source cannot be read as it is; what rests on it keeps what was known
}

// LookOptions say what Look looks at.
type LookOptions struct {
	Tables    []string // that somebody asks about; none: all
	NoObserve bool     // leave the sources alone
	LeaveCode bool     // what is stale by its code alone counts as up to date (class scheduled)
	// TodaysCode: content is judged by today's files even where a newer version has replaced them (RunOptions.AllowDowngrade).
	TodaysCode bool
	// Glance: where another process has a warehouse open, be content with what was seen last, instead of waiting for it. A run may take hours,
	// and people ask how it stands.
	Glance bool
	// Asked are partitions of unseen tables that somebody will write: no calendar names those, so what was ever asked for is expected.
	Asked map[string]calendar.Set
}

// Look reads the sources that the tables rest on (unless told not to), the calendars, and the ledger, and gives the world as it is
// now. Apart from what it saw it writes nothing; a source that has not moved costs one look at its files.
func (c *Coordinator) Look(ctx context.Context, o LookOptions) (*Sight, error) {
	keys := make([]string, 0, len(c.Tables))
	for key := range c.Keys {
		keys = append(keys, key)
	}
	before, err := c.Ledger.Snapshot(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	s := &Sight{Sources: map[string]*SourceSight{}, At: c.Now(), Began: before.Seq, Periods: c.periods(), asked: o.Asked}
	if o.Glance {
		var end func()
		end, err = c.turns(ctx)
		defer end()
		locked, ok := errors.AsType[*warehouse.LockedError](err)
		if err != nil && !ok {
			return nil, err
		}
		s.Busy = locked
	}
	if s.Busy != nil {
		s.Expected = make(map[string]calendar.Set, len(c.Tables))
		for name, t := range c.Tables {
			s.Expected[name] = before.Table(t.Key).Known
		}
		s.View = worker.NewView(c.world(s, before, o), c.Ledger, c.Keys)
		return s, nil
	}
	if caught, err := c.catchUp(ctx); err != nil {
		return nil, err
	} else if caught {
		if before, err = c.Ledger.Snapshot(ctx, keys); err != nil {
			return nil, fmt.Errorf("read the state: %w", err)
		}
		s.Began = before.Seq
	}
	if !o.NoObserve {
		if err := c.readSources(ctx, s, before, c.sourcesOf(o.Tables)); err != nil {
			return nil, err
		}
	}
	if s.Expected, s.Coming, err = c.expectedSets(ctx, s, before); err != nil {
		for name, found := range s.Sources {
			if found.Err != nil && c.calendarsRead(name) {
				return nil, fmt.Errorf("the calendar cannot be told: %w", found.Err)
			}
		}
		return nil, err
	}
	c.keepDropped(s, before)
	snapshot, err := c.record(ctx, s, before, keys)
	if err != nil {
		return nil, err
	}
	s.View = worker.NewView(c.world(s, snapshot, o), c.Ledger, c.Keys)
	return s, nil
}

// glance is how long Look waits for a warehouse when it need not.
const glance = 500 * time.Millisecond

// turns opens all warehouses and keeps them until end is called, so that nothing that is asked of them waits for a run of another process.
// A *warehouse.LockedError says who has one open.
func (c *Coordinator) turns(ctx context.Context) (end func(), err error) {
	var ends []func()
	end = func() {
		for _, end := range ends {
			end()
		}
	}
	for name, w := range c.warehouses {
		one, err := briefTurn(ctx, w)
		ends = append(ends, one)
		if err != nil {
			return end, fmt.Errorf("warehouse %s: %w", name, err)
		}
	}
	return end, nil
}

// briefTurn opens a warehouse for a turn if nobody else has it. How long it takes to open it, on a machine that is busy, is another matter. end is
// to be called whatever the error.
func briefTurn(ctx context.Context, w warehouse.Warehouse) (end func(), err error) {
	var ends []func()
	open := func(ctx context.Context) error {
		end, err := w.Turn(ctx)
		if err != nil {
			return err
		}
		ends = append(ends, end)
		_, err = w.Bind(ctx, "SELECT 1")
		return err
	}
	brief, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	err = open(brief)
	if _, locked := errors.AsType[*warehouse.LockedError](err); err != nil && !locked && brief.Err() != nil && ctx.Err() == nil {
		err = open(ctx)
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}, err
}

// keepDropped keeps expecting dates that a calendar has lost although they are materialized: that is drift, not a smaller calendar (rule 18).
// A table whose start was moved has not lost what was before it: the project says so itself.
func (c *Coordinator) keepDropped(s *Sight, before *history.Snapshot) {
	s.Dropped = map[string]calendar.Set{}
	for name, t := range c.Tables {
		known := before.Table(t.Key)
		lost := known.Known.Minus(s.Expected[name])
		if lost.Empty() || len(known.Segments) == 0 {
			continue
		}
		if t.HasStart {
			lost = lost.Within(calendar.Interval{Start: t.Start, End: calendar.Horizon})
		}
		var made []calendar.Interval
		for _, seg := range known.Segments {
			if seg.Content != history.Skipped {
				made = append(made, seg.Interval)
			}
		}
		if dropped := lost.Intersect(calendar.NewSet(made...)); !dropped.Empty() {
			s.Dropped[name] = dropped
			s.Expected[name] = s.Expected[name].Union(dropped)
		}
	}
}

// record tells the ledger what was seen that it does not know yet, and reads it again if there was anything.
func (c *Coordinator) record(ctx context.Context, s *Sight, before *history.Snapshot, keys []string) (*history.Snapshot, error) {
	seen := c.observation(s, before)
	if len(seen.Expected) == 0 && len(seen.Sources) == 0 && len(seen.Periods) == 0 {
		return before, nil
	}
	var err error
	if s.Observed, err = c.Ledger.Observe(ctx, seen); err != nil {
		return nil, fmt.Errorf("record what the sources hold: %w", err)
	}
	after, err := c.Ledger.Snapshot(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return after, nil
}

// observation is what differs from what the ledger holds; all of it empty when nothing does.
func (c *Coordinator) observation(s *Sight, before *history.Snapshot) ledger.Observation {
	seen := ledger.Observation{At: s.At, Periods: map[string][]calendar.Interval{}}
	for name, t := range c.Tables {
		known := before.Table(t.Key)
		if !s.Expected[name].Equal(known.Known) {
			seen.Expected = append(seen.Expected, ledger.Expected{Table: t.Key, Axis: t.Axis, Set: s.Expected[name]})
		}
		if found := s.Sources[name]; found != nil && found.Err == nil {
			if one, differs := sourceSeen(t, found, s.Expected[name], known); differs {
				seen.Sources = append(seen.Sources, one)
			}
		}
	}
	for name, ivs := range s.Periods {
		changes := before.Periods[name]
		// Not as sets: two seasons may touch, and the day on which one ends and the next begins may move.
		if len(changes) == 0 || !slices.Equal(changes[len(changes)-1].Intervals, ivs) {
			seen.Periods[name] = ivs
		}
	}
	return seen
}

// sourceSeen puts what was found of a source into the ledger's words. A source that has not moved is only asked about dates that its
// calendar has gained.
func sourceSeen(t *worker.Table, found *SourceSight, expected calendar.Set, known *history.Table) (ledger.Seen, bool) {
	one := ledger.Seen{Table: t.Key, Axis: t.Axis, Meta: found.State.Version}
	if found.State.Unchanged {
		if t.Empty != catalog.AllowEmpty {
			return one, false
		}
		one.Looked = expected.Minus(history.Covered(known.Segments))
		one.Empty = one.Looked
		return one, !one.Looked.Empty()
	}
	one.Looked = calendar.All()
	present := make([]calendar.Interval, 0, len(found.State.Contents))
	for _, content := range found.State.Contents {
		one.Contents = append(one.Contents, ledger.Content(content))
		present = append(present, calendar.Single(content.Partition))
	}
	if t.Empty == catalog.AllowEmpty {
		one.Empty = expected.Minus(calendar.NewSet(present...))
	}
	one.Drifted = found.Drifted
	return one, true
}

// readSources observes sources, several at a time. A source that cannot be read is told of in its SourceSight; it fails nobody else.
func (c *Coordinator) readSources(ctx context.Context, s *Sight, before *history.Snapshot, names []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(observeAtOnce)
	for _, name := range names {
		sight := &SourceSight{}
		s.Sources[name] = sight
		t := c.Tables[name]
		group.Go(func() error {
			sight.State, sight.Err = t.Warehouse.Observe(ctx, warehouse.SourceRequest{
				Target: t.Target,
				Files:  c.files(t.Table),
				Known:  before.Table(t.Key).Meta,
				Types:  declaredTypes(t.Table),
			})
			if sight.Err == nil {
				sight.Drifted = sight.State.Drifted
			}
			if sight.Err != nil || sight.State.Unchanged || len(t.Checks) == 0 {
				return ctx.Err()
			}
			sight.Err = c.checkSource(ctx, t, sight)
			return ctx.Err()
		})
	}
	return group.Wait()
}

// checkSource runs a source's checks over what it holds; partitions that fail one are drifted: not readable until they are mended.
func (c *Coordinator) checkSource(ctx context.Context, t *worker.Table, sight *SourceSight) error {
	ivs := make([]calendar.Interval, 0, len(sight.State.Contents))
	for _, content := range sight.State.Contents {
		ivs = append(ivs, calendar.Single(content.Partition))
	}
	set := calendar.NewSet(ivs...).Minus(sight.State.Drifted) // of which there is nothing to check
	if set.Empty() {
		return nil
	}
	checks, err := worker.RenderChecks(t, c.task(t, set), "")
	if err != nil {
		return err
	}
	verdicts, err := t.Warehouse.Check(ctx, t.Target, nil, set, checks)
	if err != nil {
		return fmt.Errorf("check source %s: %w", t.Name, err)
	}
	var bad []calendar.Partition
	for _, v := range verdicts {
		if v.Passed {
			continue
		}
		sight.Verdicts = append(sight.Verdicts, v)
		if !v.Warn {
			bad = append(bad, v.Partition)
		}
	}
	sight.Drifted = sight.Drifted.Union(calendar.Of(bad...))
	return nil
}

// misfits are the reasons why partitions of sources cannot be read, by source.
func (s *Sight) misfits() map[string][]plan.Misfit {
	out := map[string][]plan.Misfit{}
	for name, found := range s.Sources {
		if found.Err != nil {
			continue
		}
		for _, m := range found.State.Misfits {
			out[name] = append(out[name], plan.Misfit{Set: m.Partitions, Reason: m.String()})
		}
	}
	return out
}

// Unreadable is the first source, in the order of the project, that tables rest on and that could not be read; nil where all could.
func (c *Coordinator) Unreadable(sight *Sight, tables []string) error {
	for _, name := range c.sourcesOf(tables) {
		if found := sight.Sources[name]; found != nil && found.Err != nil {
			return found.Err
		}
	}
	return nil
}

// sourcesOf lists the sources that the tables, and what reads them, rest on.
func (c *Coordinator) sourcesOf(tables []string) []string {
	names := tables
	if len(names) == 0 {
		for name := range c.Tables {
			names = append(names, name)
		}
	}
	names = Closure(names, c.Graph.Downstream)
	seen := map[string]bool{}
	for _, name := range Closure(names, c.Graph.Upstream) {
		seen[name] = true
	}
	// Calendars may read any source by its name.
	for _, t := range c.Project.Tables {
		if t.IsSource() && c.calendarsRead(t.Name) {
			seen[t.Name] = true
		}
	}
	var out []string
	for _, t := range c.Project.Tables {
		if t.IsSource() && seen[t.Name] {
			out = append(out, t.Name)
		}
	}
	return out
}

func declaredTypes(t *catalog.Table) []warehouse.Column {
	if t.Source == nil || t.Source.Contract == nil {
		return nil
	}
	out := make([]warehouse.Column, 0, len(t.Source.Contract.Columns))
	for _, col := range t.Source.Contract.Columns {
		out = append(out, warehouse.Column{Name: col.Name, Type: col.Type, Nullable: col.Nullable})
	}
	return out
}

// world puts everything a judgement rests on together.
func (c *Coordinator) world(s *Sight, snapshot *history.Snapshot, o LookOptions) *plan.World {
	in := plan.Inputs{
		Graph:         c.Graph,
		Expected:      s.Expected,
		Coming:        s.Coming,
		Dropped:       s.Dropped,
		LeaveCode:     o.LeaveCode,
		Misfits:       s.misfits(),
		Periods:       s.Periods,
		PeriodChanges: snapshot.Periods,
		Tables:        map[string]*history.Table{},
		Versions:      map[string]string{},
		CheckVersions: map[string]string{},
		Seq:           snapshot.Seq,
		Now:           s.At,
	}
	for name, t := range c.Tables {
		h := snapshot.Table(t.Key)
		in.Tables[name] = h
		in.CheckVersions[name] = t.CheckVersion
		in.Versions[name] = t.Version.Version
		if !o.TodaysCode {
			in.Versions[name] = h.Standing(t.Version.Version) // a plan registers nothing: what has never published is newer than all that has
		}
	}
	return plan.NewWorld(in)
}

// Closure is the names and all that next leads to from them.
func Closure(names []string, next func(string) []string) []string {
	out := make([]string, 0, len(names))
	seen := map[string]bool{}
	add := func(all []string) {
		for _, name := range all {
			if !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	add(names)
	for done := 0; done < len(out); { // out grows meanwhile
		add(next(out[done]))
		done++
	}
	return out
}
