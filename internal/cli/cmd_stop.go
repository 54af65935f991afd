package cli

import (
	"strings"

	"github.com/headway-data/headway/internal/backfill"
)

type stopCmd struct {
	Of     string `arg:"" name:"run" help:"Run: an id, a prefix of one, last, or a table's name."`
	Hold   bool   `help:"End its lease at once, and hold what it reserved, so that nothing starts it again."`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run asks a run to end, and waits until it has.
func (cmd *stopCmd) Run(inv *invocation) error {
	reason, err := inv.reason(cmd.Reason, "stop "+cmd.Of)
	if err != nil {
		return err
	}
	c, err := inv.openAny(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	r, err := c.FindActive(inv.ctx, cmd.Of)
	if err != nil {
		return err
	}
	if !r.Ended {
		inv.say("stopping run %s (%s, pid %d on %s, user %s): %s", r.ID, r.Class, r.Holder.PID, r.Holder.Host, r.Holder.User, r.Command)
	}
	out, err := c.StopRun(inv.ctx, r, cmd.Hold, reason)
	if err != nil {
		return err
	}
	if inv.json() {
		answer := struct {
			Schema string      `json:"schema"`
			Run    string      `json:"run"`
			State  string      `json:"state"`
			Ended  bool        `json:"ended"`
			Exit   *int        `json:"exit"`
			Held   []setAnswer `json:"held"`
			Broken bool        `json:"broken"`
		}{Schema: "headway.stop/v1", Run: string(r.ID), State: c.StateOf(&out.Run), Ended: out.Run.Ended, Held: setsOf(c, out.Held), Broken: out.Broken}
		if out.Run.Ended {
			answer.Exit = &out.Run.Exit
		}
		return inv.answer(answer)
	}
	inv.printStop(c, out, cmd.Hold)
	return nil
}

func (inv *invocation) printStop(c *backfill.Coordinator, out *backfill.StopAnswer, hold bool) {
	id := out.Run.ID
	switch {
	case out.Before:
		inv.print("run %s had ended already: %s", id, out.Run.State)
	case out.Run.Ended:
		inv.print("run %s: %s after %s of %s", id, out.Run.State, thousands(out.Run.Done), count(out.Run.Total, "partition"))
	case c.StateOf(&out.Run) == backfill.StateDead:
		inv.print("run %s is dead: its process is gone; the next `headway run` finds out what it did", id)
	case out.Broken:
		inv.print("run %s did not answer and has lost its lease: it can publish nothing more; what it had in flight is settled by the next `headway run`", id)
	default:
		inv.print("run %s has not answered yet; its lease has ended, it can publish nothing more", id)
	}
	if hold {
		inv.print("held: %s; release it with `headway unhold TABLE`", strings.Join(claimTexts(c, out.Held), ", "))
	}
}
