package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

type holdCmd struct {
	rangeFlags
	Table  string `arg:"" help:"Table."`
	Until  string `help:"When the hold ends by itself: a time, or a duration from now like 90m. Without it, it does not." placeholder:"TIME"`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run keeps a table or a range of it from being written.
func (cmd *holdCmd) Run(inv *invocation) error {
	reason, err := inv.reason(cmd.Reason, "hold "+cmd.Table)
	if err != nil {
		return err
	}
	c, set, err := inv.openCells(cmd.Table, cmd.rangeFlags)
	if err != nil {
		return err
	}
	defer inv.close(c)
	until, err := inv.instant(c.Tables[cmd.Table].Axis, cmd.Until)
	if err != nil {
		return err
	}
	o, err := c.Hold(inv.ctx, cmd.Table, set, until, reason)
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema    string                `json:"schema"`
			Hold      string                `json:"hold"`
			Table     string                `json:"table"`
			Intervals []backfill.IntervalID `json:"intervals"`
			Until     *time.Time            `json:"until"`
			Reason    string                `json:"reason"`
		}{"headway.hold/v1", string(o.ID), cmd.Table, c.Intervals(cmd.Table, set), timeOrNil(until), reason})
	}
	text := ""
	if !until.IsZero() {
		text = " until " + until.UTC().Format(time.DateTime) + " UTC"
	}
	inv.print("held: %s %s%s: no run writes there; release it with `headway unhold %s`", cmd.Table, c.Format(cmd.Table, set), text, cmd.Table)
	return nil
}

type unholdCmd struct {
	rangeFlags
	Table  string `arg:"" help:"Table."`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run releases a table, or a range of it, from every hold.
func (cmd *unholdCmd) Run(inv *invocation) error {
	c, set, err := inv.openCells(cmd.Table, cmd.rangeFlags)
	if err != nil {
		return err
	}
	defer inv.close(c)
	was, err := c.Unhold(inv.ctx, cmd.Table, set, cmd.Reason)
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema    string                `json:"schema"`
			Table     string                `json:"table"`
			Intervals []backfill.IntervalID `json:"intervals"`
		}{"headway.unhold/v1", cmd.Table, c.Intervals(cmd.Table, was)})
	}
	if was.Empty() {
		inv.print("nothing of %s %s was held; see `headway ps`", cmd.Table, c.Format(cmd.Table, set))
		return nil
	}
	if c.Unseen() {
		inv.print("released: %s %s", cmd.Table, c.Format(cmd.Table, was))
		return nil
	}
	inv.print("released: %s %s; `headway run %s` does what is left", cmd.Table, c.Format(cmd.Table, was), cmd.Table)
	return nil
}

// openCells opens the project for what concerns cells of one table. The caller closes it.
func (inv *invocation) openCells(table string, r rangeFlags) (*backfill.Coordinator, calendar.Set, error) {
	c, _, err := inv.openTable(table)
	if err != nil {
		return nil, calendar.Set{}, err
	}
	set, err := inv.cells(c, table, r)
	if err != nil {
		inv.close(c)
		return nil, calendar.Set{}, err
	}
	return c, set, nil
}

// cells turns the range flags into the partitions that they name, whether a calendar names them or not: a hold on a table is also on what it
// will have tomorrow. Without a range it is the whole table.
func (inv *invocation) cells(c *backfill.Coordinator, table string, r rangeFlags) (calendar.Set, error) {
	if r.Last != 0 {
		sight, err := inv.glance(c, []string{table}, observeFlag{NoObserve: true})
		if err != nil {
			return calendar.Set{}, err
		}
		sets, err := inv.resolve(c, sight, []string{table}, r, true)
		return sets[table], err
	}
	axis := c.Tables[table].Axis
	iv, err := axis.ParseRange(r.From, r.To, inv.Now())
	if err != nil {
		return calendar.Set{}, &backfill.InputError{What: fmt.Sprintf("range of %s: %v", table, err)}
	}
	inv.echo(map[string]bool{}, axis, iv)
	return calendar.NewSet(iv), nil
}

// instant reads a time of the wall clock: RFC 3339, a date with or without a time in the table's zone, or a duration from now. "" is the
// zero time.
func (inv *invocation) instant(axis calendar.Axis, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "+")); err == nil {
		return inv.Now().Add(d), nil
	}
	zone, err := time.LoadLocation(axis.Zone)
	if err != nil {
		zone = time.UTC
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &backfill.InputError{What: fmt.Sprintf("%q is no time", text), Next: "write 2026-01-05T18:00, 2026-01-05T18:00:00Z or 90m"}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type leaseCmd struct {
	Break leaseBreakCmd `cmd:"" help:"End a lease from outside."`
}

type leaseBreakCmd struct {
	ID     string `arg:"" name:"lease" help:"Lease, as ps --leases shows it."`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run ends a lease.
func (cmd *leaseBreakCmd) Run(inv *invocation) error {
	reason, err := inv.reason(cmd.Reason, "break lease "+cmd.ID)
	if err != nil {
		return err
	}
	c, err := inv.openAny(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	was, err := c.BreakLease(inv.ctx, ledger.LeaseID(cmd.ID), reason)
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema string      `json:"schema"`
			Lease  string      `json:"lease"`
			Run    string      `json:"run"`
			Sets   []setAnswer `json:"sets"`
		}{"headway.lease_break/v1", cmd.ID, string(was.Run), setsOf(c, was.Writes)})
	}
	inv.print("broken: lease %s of run %s over %s", cmd.ID, was.Run, strings.Join(claimTexts(c, was.Writes), ", "))
	inv.print("its holder can publish nothing more under it; what it had in flight is settled by the next `headway run`")
	return nil
}

func setsOf(c *backfill.Coordinator, claims []ledger.Claim) []setAnswer {
	out := []setAnswer{}
	for _, claim := range claims {
		name := c.NameOf(claim.Table)
		out = append(out, setAnswer{name, c.Intervals(name, claim.Set)})
	}
	return out
}

func claimTexts(c *backfill.Coordinator, claims []ledger.Claim) []string {
	var out []string
	for _, claim := range claims {
		out = append(out, c.NameOf(claim.Table)+" "+claim.Axis.FormatSet(claim.Set, 2))
	}
	return out
}

type fenceCmd struct {
	Check fenceCheckCmd `cmd:"" help:"Ask whether a token may still write: exit 0 if so, 4 if not."`
}

type fenceCheckCmd struct {
	rangeFlags
	Table string `required:"true" help:"Table." placeholder:"TABLE"`
	Token int64  `required:"true" help:"Token, as HEADWAY_TOKEN gave it." placeholder:"N"`
}

// Run asks whether a token may still write.
func (cmd *fenceCheckCmd) Run(inv *invocation) error {
	c, _, err := inv.openTable(cmd.Table)
	if err != nil {
		return err
	}
	defer inv.close(c)
	var set calendar.Set
	if cmd.given() {
		if set, err = inv.cells(c, cmd.Table, cmd.rangeFlags); err != nil {
			return err
		}
	}
	found, err := c.FenceCheck(inv.ctx, cmd.Table, history.Token(cmd.Token), set)
	if err != nil {
		return err
	}
	if found.Unasked != nil {
		inv.warn("%v: this is the word of the state alone", found.Unasked)
	}
	if inv.json() {
		err = inv.answer(struct {
			Schema    string                `json:"schema"`
			Table     string                `json:"table"`
			Token     int64                 `json:"token"`
			May       bool                  `json:"may_write"`
			Why       string                `json:"why"`
			Intervals []backfill.IntervalID `json:"intervals"`
		}{"headway.fence/v1", cmd.Table, cmd.Token, found.May, found.Why, c.Intervals(cmd.Table, found.Set)})
	} else {
		inv.print("%s", found.Why)
	}
	if err == nil && !found.May {
		return &exitError{Code: exitTaken}
	}
	return err
}
