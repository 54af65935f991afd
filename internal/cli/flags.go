package cli

import (
	"fmt"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/worker"
)

// rangeFlags name partitions, both ends inclusive.
type rangeFlags struct {
	From string `help:"First partition: an id, today, yesterday or -3d." aliases:"start-date" placeholder:"PARTITION"`
	To   string `help:"Last partition, inclusive." aliases:"end-date" placeholder:"PARTITION"`
	Last int    `help:"The last N due partitions instead of a range." placeholder:"N"`
}

func (r rangeFlags) given() bool { return r.From != "" || r.To != "" || r.Last > 0 }

type observeFlag struct {
	NoObserve bool `help:"Do not look at the sources first."`
}

// look looks at the world, and tells what the sources brought.
func (inv *invocation) look(c *backfill.Coordinator, tables []string, o observeFlag) (*backfill.Sight, error) {
	return inv.lookWith(c, backfill.LookOptions{Tables: tables, NoObserve: o.NoObserve})
}

// glance is look for questions that need not wait for a run of another process to end.
func (inv *invocation) glance(c *backfill.Coordinator, tables []string, o observeFlag) (*backfill.Sight, error) {
	return inv.lookWith(c, backfill.LookOptions{Tables: tables, NoObserve: o.NoObserve, Glance: true})
}

func (inv *invocation) lookWith(c *backfill.Coordinator, o backfill.LookOptions) (*backfill.Sight, error) {
	sight, err := c.Look(inv.ctx, o)
	if err != nil {
		return nil, err
	}
	if sight.Busy != nil {
		inv.warn("%v: sources and calendars are as they were seen last", sight.Busy)
	}
	for _, t := range c.Project.Tables {
		found := sight.Sources[t.Name]
		if found == nil {
			continue
		}
		if found.Err != nil {
			inv.warn("%v", found.Err)
		}
		if found.Err == nil {
			for _, m := range found.State.Misfits {
				more := ""
				if m.Values > 1 {
					more = fmt.Sprintf(" (and %s more)", thousands(int(m.Values-1)))
				}
				inv.warn("source %s, %s: %v%s: what reads these dates waits; correct the file, or declare another type in the contract",
					t.Name, c.Format(t.Name, m.Partitions), m, more)
			}
		}
		for i, v := range found.Verdicts {
			const shown = 3
			if i == shown {
				inv.warn("source %s: and %d more", t.Name, len(found.Verdicts)-shown)
				break
			}
			inv.warn("source %s, %s: %s: %s", t.Name, t.Axis.ID(v.Partition), v.Check, v.Example)
		}
	}
	var dropped []string
	for _, t := range c.Project.Tables {
		if set := sight.Dropped[t.Name]; !set.Empty() {
			dropped = append(dropped, t.Name+" "+c.Format(t.Name, set))
		}
	}
	if len(dropped) > 0 {
		const shown = 3
		inv.warn("calendars do not name any more what stands in %s: nothing is done there until the dates come back, or `headway observe --accept`",
			abbreviated(dropped, shown))
	}
	return sight, nil
}

// resolve turns the range flags into expected partitions per table, and echoes the half-open interval. A range is read on the axis of the
// tables named; without a name it is read on the finest one and what it overlaps is meant. A range in which nothing is expected of any table
// is an error: who types one has mistaken a date.
func (inv *invocation) resolve(c *backfill.Coordinator, sight *backfill.Sight, names []string, r rangeFlags, named bool) (map[string]calendar.Set, error) {
	return inv.resolveIn(c, sight, sight.Expected, names, r, named)
}

// resolveIn is resolve for partitions of other sets than those that are due.
func (inv *invocation) resolveIn(c *backfill.Coordinator, sight *backfill.Sight, in map[string]calendar.Set, names []string, r rangeFlags, named bool) (map[string]calendar.Set, error) {
	out := make(map[string]calendar.Set, len(names))
	if r.Last < 0 {
		return nil, &backfill.InputError{What: fmt.Sprintf("--last %d names no partitions", r.Last), Next: "give a number above 0"}
	}
	if r.Last > 0 && (r.From != "" || r.To != "") {
		return nil, &backfill.InputError{What: "--last and --from/--to exclude each other", Next: "give one of them"}
	}
	base := finest(c, names)
	echoed := map[string]bool{}
	found, asked := 0, ""
	for _, name := range names {
		t := c.Tables[name]
		set := in[name]
		out[name] = set
		if !t.Partitioned() {
			continue
		}
		bounds := set.Bounds()
		switch {
		case r.Last > 0:
			x := calendar.NewIndex(set)
			bounds = calendar.Interval{Start: x.Select(max(x.Len()-r.Last, 0)), End: set.Bounds().End}
		case r.given():
			axis := t.Axis
			if !named {
				axis = base
			}
			iv, err := axis.ParseRange(r.From, r.To, inv.Now())
			if err != nil {
				return nil, &backfill.InputError{What: fmt.Sprintf("range of %s: %v", name, err)}
			}
			bounds = axis.Convert(iv, t.Axis)
		}
		out[name] = set.Within(bounds)
		found += out[name].Count()
		asked = firstOf(asked, name)
		inv.echo(echoed, t.Axis, bounds)
	}
	if found == 0 && asked != "" && (r.From != "" || r.To != "") {
		return nil, nothingExpected(c, sight, asked)
	}
	return out, nil
}

// finest is the finest axis of the tables.
func finest(c *backfill.Coordinator, names []string) calendar.Axis {
	var base calendar.Axis
	for _, name := range names {
		axis := c.Tables[name].Axis
		if axis.Grain != calendar.None && (base.Grain == calendar.None || axis.Grain < base.Grain) {
			base = axis
		}
	}
	return base
}

// nothingExpected says that a range holds no partition of a table, and where its partitions are.
func nothingExpected(c *backfill.Coordinator, sight *backfill.Sight, name string) error {
	what := fmt.Sprintf("no partition of %s is expected in that range", name)
	set := sight.Expected[name]
	if set.Empty() {
		return &backfill.InputError{What: what + ", nor in any other: its calendar names none that is due", Next: "look at the calendar in the project file, and at `headway observe`"}
	}
	bounds := set.Bounds()
	return &backfill.InputError{
		What: fmt.Sprintf("%s: its calendar names %s from %s to %s that are due", what, count(set.Count(), "partition"), c.ID(name, bounds.Start), c.ID(name, bounds.End-1)),
		Next: "see `headway status " + name + "`",
	}
}

// echo tells the resolved interval, once for each axis and interval.
func (inv *invocation) echo(told map[string]bool, axis calendar.Axis, iv calendar.Interval) {
	line := fmt.Sprintf("range: [%s, %s) by %s", openID(axis, iv.Start), openID(axis, iv.End), axis.Grain)
	switch {
	case iv.Empty():
		line = "range: nothing is expected yet"
	case iv.Start <= calendar.Beginning && iv.End >= calendar.Horizon:
		line = "range: all, by " + axis.Grain.String()
	}
	if !told[line] {
		told[line] = true
		inv.say("%s", line)
	}
}

func openID(axis calendar.Axis, p calendar.Partition) string {
	if p <= calendar.Beginning || p >= calendar.Horizon {
		return "…"
	}
	return axis.ID(p)
}

// openTable opens the project to change what is known of one of its tables.
func (inv *invocation) openTable(name string) (*backfill.Coordinator, *worker.Table, error) {
	c, err := inv.openAny(false, name)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.Names([]string{name}); err != nil {
		inv.close(c)
		return nil, nil, err
	}
	return c, c.Tables[name], nil
}
