package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

type whyCmd struct {
	observeFlag
	Table     string `arg:"" help:"Table."`
	Partition string `arg:"" optional:"" default:"all" help:"Partition, by its id; not needed for an unpartitioned table."`
}

// Run explains a partition down to the root cause.
func (cmd whyCmd) Run(inv *invocation) error {
	c, err := inv.openAny(cmd.NoObserve)
	if err != nil {
		return err
	}
	defer inv.close(c)
	if _, err := c.Names([]string{cmd.Table}); err != nil {
		return err
	}
	axis := c.Tables[cmd.Table].Axis
	p, err := axis.ParseBound(cmd.Partition, calendar.From, inv.Now())
	if err != nil {
		return &backfill.InputError{What: fmt.Sprintf("partition of %s: %v", cmd.Table, err)}
	}
	sight, err := inv.glance(c, []string{cmd.Table}, cmd.observeFlag)
	if err != nil {
		return err
	}
	var chain *plan.Chain
	if err := sight.View.With(inv.ctx, func(w *plan.World) error {
		chain = w.Why(cmd.Table, p)
		return nil
	}); err != nil {
		return err
	}
	if c.Unseen() && len(chain.Fix.Argv) > 1 && chain.Fix.Argv[1] == "run" { // nothing but the command itself knows how
		chain.Fix.Argv = append(append([]string{"headway", "exec", "--table"}, chain.Fix.Argv[2:]...), "--", "COMMAND")
	}
	origin, err := inv.origin(c, sight, cmd.Table, p)
	if err != nil {
		return err
	}
	taking, err := inv.takingOf(c, cmd.Table, p)
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answerWhy(chain, origin, taking)
	}
	inv.printChain(chain)
	if taking != nil {
		inv.print("%s", taking.Text())
	}
	if len(chain.Links) > 0 && chain.Links[0].State == plan.StateHeld {
		why, err := c.HeldWhy(inv.ctx, cmd.Table, calendar.Of(p))
		if err != nil {
			return err
		}
		inv.print("%s", why)
	}
	if origin != nil {
		inv.print("written by attempt %s of run %s at %s, code %s", origin.Attempt, origin.Run, origin.At.UTC().Format(time.DateTime), short(origin.Code))
		for _, read := range origin.Read {
			inv.print("  from %s %s (%s)", read.Table, read.text, count(read.Partitions, "partition"))
		}
	}
	return nil
}

// An origin is who wrote what stands in a partition, with which code, from which inputs.
type origin struct {
	Attempt string       `json:"attempt"`
	Run     string       `json:"run"`
	At      time.Time    `json:"at"`
	Code    string       `json:"code"`
	Read    []originRead `json:"read"`
}

type originRead struct {
	Table      string                `json:"table"`
	Intervals  []backfill.IntervalID `json:"intervals"`
	Partitions int                   `json:"partitions"`

	text string
}

// origin is nil for what no attempt wrote.
func (inv *invocation) origin(c *backfill.Coordinator, sight *backfill.Sight, table string, p calendar.Partition) (*origin, error) {
	by, err := c.Provenance(inv.ctx, table, p)
	if err != nil || by == nil {
		return nil, err
	}
	out := &origin{Attempt: string(by.ID), Run: string(by.Run), At: by.EndedAt, Code: by.Version, Read: []originRead{}}
	return out, sight.View.With(inv.ctx, func(w *plan.World) error {
		for _, in := range c.Tables[table].Inputs {
			read := w.Upstream(table, in, calendar.Of(p))
			if read.Empty() {
				continue
			}
			bridged := backfill.Bridge(read, sight.Expected[in.Table])
			out.Read = append(out.Read, originRead{in.Table, c.Intervals(in.Table, bridged), read.Count(), span(c.Tables[in.Table].Axis, read)})
		}
		return nil
	})
}

// takingOf is how a partition was taken from a run, where nobody has published it since; nil where it was not.
func (inv *invocation) takingOf(c *backfill.Coordinator, table string, p calendar.Partition) (*backfill.Taking, error) {
	all, err := c.Takings(inv.ctx, table)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Set.Contains(p) {
			return &all[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it was not
}

// answerWhy adds to the chain's JSON who wrote the partition, and from whom it was taken.
func (inv *invocation) answerWhy(chain *plan.Chain, by *origin, taking *backfill.Taking) error {
	text, err := chain.JSON()
	if err != nil {
		return fmt.Errorf("write down why: %w", err)
	}
	written, err := json.Marshal(by)
	if err != nil {
		return fmt.Errorf("write down why: %w", err)
	}
	taken, err := json.Marshal(taking)
	if err != nil {
		return fmt.Errorf("write down why: %w", err)
	}
	text = bytes.TrimSuffix(bytes.TrimSpace(text), []byte("}"))
	return inv.answer(json.RawMessage(fmt.Sprintf(`%s,"written_by":%s,"preempted":%s}`, text, written, taken)))
}

func (inv *invocation) printChain(chain *plan.Chain) {
	for i, l := range chain.Links {
		indent := strings.Repeat("  ", min(i, 12))
		inv.print("%s%s %s: %s: %s", indent, l.Table, l.ID(), firstOf(string(l.State), "not expected"), l.Reason)
	}
	if chain.Left > 0 {
		inv.print("(%d links in the middle are left out)", chain.Left)
	}
	if chain.Fix.Text != "" {
		inv.print("mend it: %s", chain.Fix.Text)
		if len(chain.Fix.Argv) > 0 {
			inv.print("  %s", backfill.ShellLine(chain.Fix.Argv))
		}
	}
}
