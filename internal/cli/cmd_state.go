package cli

import (
	"github.com/headway-data/headway/internal/warehouse"
)

type stateCmd struct {
	Move    stateMoveCmd `cmd:"" help:"Make this project's state the one that coordinates its warehouses."`
	Copy    laterCmd     `cmd:"" hidden:"" passthrough:"" help:"Copy the state."`
	Compact laterCmd     `cmd:"" hidden:"" passthrough:"" help:"Make the state smaller."`
}

type stateMoveCmd struct {
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// A ledgerAnswer is a ledger that coordinates, or did.
type ledgerAnswer struct {
	Ledger string  `json:"ledger"`
	URL    *string `json:"url"` // null where it is not known
}

// A movedAnswer is a warehouse and who coordinates it.
type movedAnswer struct {
	Warehouse string        `json:"warehouse"`
	Location  string        `json:"location"`
	Moved     bool          `json:"moved"`
	Before    *ledgerAnswer `json:"before"` // null where there was none
	After     *ledgerAnswer `json:"after"`
}

// Run makes this state the one that coordinates.
func (cmd *stateMoveCmd) Run(inv *invocation) error {
	reason, err := inv.reason(cmd.Reason, "move the coordination of the warehouses to this state")
	if err != nil {
		return err
	}
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	moved, err := c.MoveState(inv.ctx, reason)
	if err != nil {
		return err
	}
	answer := struct {
		Schema     string        `json:"schema"`
		Warehouses []movedAnswer `json:"warehouses"`
	}{"headway.state_move/v1", []movedAnswer{}}
	for _, one := range moved {
		answer.Warehouses = append(answer.Warehouses, movedAnswer{one.Name, one.Location, one.Moved, ledgerOf(one.Before), ledgerOf(one.After)})
	}
	if inv.json() {
		return inv.answer(answer)
	}
	for _, one := range moved {
		now := "ledger " + one.After.ID + " at " + one.After.URL
		switch {
		case !one.Moved:
			inv.print("warehouse %s (%s) is coordinated by this state: %s", one.Name, one.Location, now)
		case one.Before.URL != "":
			inv.print("warehouse %s (%s): coordinated by %s from now on, no longer by ledger %s at %s", one.Name, one.Location, now, one.Before.ID, one.Before.URL)
		default:
			inv.print("warehouse %s (%s): coordinated by %s from now on, no longer by ledger %s", one.Name, one.Location, now, one.Before.ID)
		}
	}
	return nil
}

func ledgerOf(l warehouse.Ledger) *ledgerAnswer {
	if l.ID == "" {
		return nil
	}
	out := &ledgerAnswer{Ledger: l.ID}
	if l.URL != "" {
		out.URL = &l.URL
	}
	return out
}
