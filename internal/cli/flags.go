package cli

import (
	"fmt"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
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

func (inv *invocation) lookWith(c *backfill.Coordinator, o backfill.LookOptions) (*backfill.Sight, error) {
	sight, err := c.Look(inv.ctx, o)
	if err != nil {
		return nil, err
	}
	for _, t := range c.Project.Tables {
		found := sight.Sources[t.Name]
		if found == nil {
			continue
		}
		if found.Err != nil {
			inv.warn("%v", found.Err)
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
	return sight, nil
}

// resolve turns the range flags into expected partitions per table, and echoes the half-open interval. A range is read on the axis of the
// tables named; without a name it is read on the finest one and what it overlaps is meant.
func (inv *invocation) resolve(c *backfill.Coordinator, sight *backfill.Sight, names []string, r rangeFlags, named bool) (map[string]calendar.Set, error) {
	out := make(map[string]calendar.Set, len(names))
	if r.Last > 0 && (r.From != "" || r.To != "") {
		return nil, &backfill.InputError{What: "--last and --from/--to exclude each other", Next: "give one of them"}
	}
	var base calendar.Axis
	for _, name := range names {
		axis := c.Tables[name].Axis
		if axis.Grain != calendar.None && (base.Grain == calendar.None || axis.Grain < base.Grain) {
			base = axis
		}
	}
	echoed := map[string]bool{}
	for _, name := range names {
		t := c.Tables[name]
		set := sight.Expected[name]
		switch {
		case r.Last > 0:
			x := calendar.NewIndex(set)
			set = set.Within(calendar.Interval{Start: x.Select(x.Len() - r.Last), End: calendar.Horizon})
		case r.given() && t.Partitioned():
			axis := t.Axis
			if !named {
				axis = base
			}
			iv, err := axis.ParseRange(r.From, r.To, inv.Now())
			if err != nil {
				return nil, &backfill.InputError{What: fmt.Sprintf("range of %s: %v", name, err)}
			}
			iv = axis.Convert(iv, t.Axis)
			inv.echo(echoed, t.Axis, iv)
			out[name] = set.Within(iv)
			continue
		}
		out[name] = set
		if t.Partitioned() {
			inv.echo(echoed, t.Axis, set.Bounds())
		}
	}
	return out, nil
}

// echo tells the resolved interval, once for each axis and interval.
func (inv *invocation) echo(told map[string]bool, axis calendar.Axis, iv calendar.Interval) {
	line := fmt.Sprintf("range: [%s, %s) by %s", openID(axis, iv.Start), openID(axis, iv.End), axis.Grain)
	if iv.Empty() {
		line = "range: nothing is expected there"
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
