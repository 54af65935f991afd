package cli

import (
	"fmt"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

type adoptCmd struct {
	rangeFlags
	PID    int      `name:"pid" required:"true" help:"The process that already runs." placeholder:"N"`
	Table  []string `required:"true" help:"The table that it writes. Repeat it where it writes several." placeholder:"T"`
	Class  string   `enum:"fix,scheduled,backfill" default:"backfill" help:"fix, scheduled or backfill."`
	Grain  string   `enum:",hour,day,month,none" default:"" help:"Grain of a table that no project declares; default: as the range is written." placeholder:"G"`
	Reason string   `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run gives a process that already runs a lease, which ends when it does.
func (cmd *adoptCmd) Run(inv *invocation) error {
	reason, err := inv.reason(cmd.Reason, fmt.Sprintf("adopt process %d", cmd.PID))
	if err != nil {
		return err
	}
	job, err := inv.FindJob(cmd.PID)
	if err != nil {
		return &backfill.InputError{What: err.Error(), Next: "look for it with ps -ef"}
	}
	c, err := inv.openCoordinating(nil, axisOf(cmd.Grain, cmd.rangeFlags), cmd.Table...)
	if err != nil {
		return err
	}
	defer inv.close(c)
	if _, err := c.Names(cmd.Table); err != nil {
		return err
	}
	asked, err := askedOf(inv, c, cmd.Table, cmd.rangeFlags)
	if err != nil {
		return err
	}
	sight, err := inv.lookWith(c, backfill.LookOptions{Tables: cmd.Table, Asked: asked, Glance: true})
	if err != nil {
		return err
	}
	sets := asked
	if !c.Unseen() {
		if sets, err = inv.resolve(c, sight, cmd.Table, cmd.rangeFlags, true); err != nil {
			return err
		}
	}
	r, err := c.Adopt(inv.ctx, sight, backfill.AdoptRequest{Job: job, Sets: sets, Class: ledger.Class(cmd.Class), Reason: reason})
	if conflict := c.Conflict(err, ledger.ClassFix, sets, nil); conflict != nil {
		text := fmt.Sprintf("process %d (%s) is now run %s, and writes where others do:\n%s\n  end the process, and let nothing start it again:\n    headway stop %s --hold --reason WHY",
			cmd.PID, job.Command, r.ID, conflict.Text(c), r.ID)
		return &conflictError{err, text}
	}
	if err != nil {
		return err
	}
	return cmd.tell(inv, c, r, sets)
}

func (cmd *adoptCmd) tell(inv *invocation, c *backfill.Coordinator, r *ledger.RunRecord, sets map[string]calendar.Set) error {
	if inv.json() {
		return inv.answer(struct {
			Schema string      `json:"schema"`
			Run    string      `json:"run"`
			PID    int         `json:"pid"`
			Sets   []setAnswer `json:"sets"`
		}{"headway.adopt/v1", string(r.ID), cmd.PID, setsOf(c, r.Sets)})
	}
	inv.print("adopted: process %d of %s (%s) is now run %s", cmd.PID, r.Holder.User, r.Command, r.ID)
	for _, name := range cmd.Table {
		inv.print("  %s %s is in doubt until it is written through Headway: nobody has fenced or checked what the process leaves", name, c.Format(name, sets[name]))
	}
	inv.print("its lease ends when the process does; end both with `headway stop %s --reason WHY`", r.ID)
	return nil
}
