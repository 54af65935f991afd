package cli

import (
	"fmt"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// accept says that losses are right: until then they are drift, and what rests on them waits (rule 18).
func (cmd observeCmd) accept(inv *invocation, c *backfill.Coordinator) error {
	names := cmd.Source
	for _, name := range names {
		if _, err := c.Names([]string{name}); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		for _, t := range c.Project.Tables {
			names = append(names, t.Name)
		}
	}
	sight, err := inv.look(c, names, observeFlag{})
	if err != nil {
		return err
	}
	if err := c.Unreadable(sight, names); err != nil {
		return err // what it lost cannot be told
	}
	lost := map[string]calendar.Set{}
	for _, name := range names {
		if lost[name], err = c.Losses(inv.ctx, sight, name); err != nil {
			return err
		}
		if err := cmd.onlyLosses(inv, c, sight, name, lost[name]); err != nil {
			return err
		}
	}
	list, reason := []markAnswer{}, ""
	for _, name := range names {
		set := lost[name]
		if set.Empty() {
			continue
		}
		if reason == "" {
			if reason, err = inv.reason(cmd.Reason, "accept what was lost"); err != nil {
				return err
			}
		}
		if err := c.AcceptLosses(inv.ctx, sight, name, set, reason); err != nil {
			return err
		}
		list = append(list, markAnswer{
			Table: name, As: "gone", Partitions: set.Count(), text: c.Format(name, set),
			Intervals: c.Intervals(name, backfill.Bridge(set, sight.Expected[name])),
		})
	}
	if len(list) == 0 && !inv.json() {
		inv.print("nothing is lost")
		return nil
	}
	return inv.printMarks(list)
}

// onlyLosses refuses for a source, named by itself, that has rows which break its contract or its checks: there is something to look at.
func (cmd observeCmd) onlyLosses(inv *invocation, c *backfill.Coordinator, sight *backfill.Sight, name string, lost calendar.Set) error {
	if len(cmd.Source) == 0 || !c.Tables[name].IsSource() || !lost.Empty() {
		return nil
	}
	var drifted calendar.Set
	if err := sight.View.With(inv.ctx, func(w *plan.World) error {
		drifted = w.Judge(name).Drifted
		return nil
	}); err != nil || drifted.Empty() {
		return err
	}
	return &backfill.RefusedError{
		What: fmt.Sprintf("%s has rows on %s that break its contract or its checks: only losses can be accepted", name, c.Format(name, drifted)),
		Next: "mend the data, or say in the project file what they should look like",
	}
}
