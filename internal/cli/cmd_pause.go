package cli

import (
	"fmt"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

type pauseCmd struct {
	Of     string `arg:"" name:"run" help:"Run: an id, a prefix of one, last, or a table's name."`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run keeps a run from starting anything.
func (cmd *pauseCmd) Run(inv *invocation) error { return inv.pause(cmd.Of, true, cmd.Reason) }

type resumeCmd struct {
	Of     string `arg:"" name:"run" help:"Run: an id, a prefix of one, last, or a table's name."`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run lets a paused run go on.
func (cmd *resumeCmd) Run(inv *invocation) error { return inv.pause(cmd.Of, false, cmd.Reason) }

func (inv *invocation) pause(of string, paused bool, reason string) error {
	c, err := inv.openAny(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	r, err := c.FindActive(inv.ctx, of)
	if err != nil {
		return err
	}
	if err := c.PauseRun(inv.ctx, r, paused, reason); err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema string `json:"schema"`
			Run    string `json:"run"`
			Paused bool   `json:"paused"`
		}{"headway.pause/v1", string(r.ID), paused})
	}
	if paused {
		inv.print("run %s is paused: it starts nothing more, and others may take what it has not begun; go on with `headway resume %s`", r.ID, r.ID)
		return nil
	}
	inv.print("run %s goes on", r.ID)
	return nil
}

type retryCmd struct {
	policyFlags
	Of     string `arg:"" name:"run" optional:"" default:"last" help:"Run: an id, a prefix of one, last, or a table's name."`
	Failed bool   `help:"Only what it tried and failed at, and not what it never came to."`
	Reason string `help:"Why; kept with the run." placeholder:"TEXT"`
}

// Run does again what a run has left.
func (cmd *retryCmd) Run(inv *invocation) error {
	c, err := inv.openAny(false)
	if err != nil {
		return err
	}
	r, err := c.FindRun(inv.ctx, cmd.Of)
	inv.close(c)
	if err != nil {
		return err
	}
	wrap := backfill.WrapOf(r)
	ended := &outcomes{codes: map[string]int{}}
	axis := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
	if wrap != nil {
		wrap.Streams, wrap.Ended = inv.streams(), ended.ended
		inv.prefix = "headway: "
		if len(r.Sets) > 0 {
			axis = r.Sets[0].Axis
		}
		c, err = inv.openCoordinating(wrap, axis, wrap.Tables...)
	} else {
		c, err = inv.open(false)
	}
	if err != nil {
		return err
	}
	defer inv.close(c)
	return cmd.again(inv, c, r, wrap, ended)
}

func (cmd *retryCmd) again(inv *invocation, c *backfill.Coordinator, r *ledger.RunRecord, wrap *backfill.Wrap, ended *outcomes) error {
	tables := make([]string, 0, len(r.Sets))
	asked := map[string]calendar.Set{}
	for _, set := range r.Sets {
		name, ok := c.Keys[set.Table]
		if !ok {
			return &backfill.InputError{What: fmt.Sprintf("run %s wrote %s, which this project does not have", r.ID, c.NameOf(set.Table))}
		}
		tables = append(tables, name)
		asked[name] = set.Set
	}
	sight, err := inv.lookWith(c, backfill.LookOptions{Tables: tables, Asked: asked})
	if err != nil {
		return err
	}
	expect, err := cmd.expectations(c)
	if err != nil {
		return err
	}
	progress := inv.newProgress(c)
	report, err := c.Retry(inv.ctx, sight, r, cmd.Failed, backfill.RunOptions{
		Class: r.Class, Command: "headway " + backfill.ShellLine(inv.args), Reason: cmd.Reason, OnStart: progress.start, OnEvent: progress.event,
		OnConflict: cmd.policy(string(r.Class)), WaitTimeout: cmd.WaitTimeout, OnWait: inv.tellWait(c), Expect: expect,
	})
	progress.stop()
	if conflict := c.Conflict(err, r.Class, asked, inv.args); conflict != nil {
		err = &conflictError{err, conflict.Text(c)}
	}
	switch {
	case report == nil && err == nil:
		inv.print("nothing is left of run %s", r.ID)
		return nil
	case report == nil:
		return err
	case wrap != nil && !inv.json():
		inv.tellExec(report)
	default:
		if answerErr := inv.printReport(report); answerErr != nil {
			return answerErr
		}
	}
	if err != nil {
		return &exitError{Code: inv.codeOf(err), Err: err, told: true}
	}
	if wrap != nil && report.Exit != 0 {
		return &exitError{Code: ended.code(report.Exit)}
	}
	if report.Exit != 0 {
		return &exitError{Code: report.Exit}
	}
	return nil
}
