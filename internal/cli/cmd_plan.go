package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// requestFlags are what plan and run have in common.
type requestFlags struct {
	rangeFlags
	observeFlag
	Table        []string `arg:"" optional:"" help:"Tables; without one all."`
	Reprocess    string   `help:"What to compute: missing, failed, quarantined, input, code, lookback, stale, all. Default: everything but all." placeholder:"KINDS"`
	Downstream   bool     `help:"Also what rests on the named partitions." xor:"down"`
	NoDownstream bool     `help:"Not what rests on them, also for class fix." xor:"down"`
	Upstream     bool     `help:"Also what the named partitions rest on."`
	Class        string   `enum:"fix,scheduled,backfill" default:"backfill" help:"fix, scheduled or backfill."`
}

// request turns the flags into a request against what was seen.
func (inv *invocation) request(c *backfill.Coordinator, sight *backfill.Sight, f *requestFlags) (plan.Request, error) {
	req := plan.Request{
		Tables: f.Table, Upstream: f.Upstream, Class: f.Class, Env: c.Project.Environment,
		Downstream: f.Downstream || f.Class == "fix" && !f.NoDownstream,
	}
	if f.Reprocess != "" {
		var err error
		if req.Reprocess, err = plan.ParseReprocess(f.Reprocess); err != nil {
			return req, usage(err, []string{"plan"})
		}
		req.Explicit = true
	}
	names, err := c.Names(f.Table)
	if err != nil {
		return req, err
	}
	for _, name := range f.Table {
		if c.Tables[name].IsSource() {
			return req, &backfill.InputError{What: name + " is a source: Headway reads it and does not compute it", Next: "name a table that reads it, or `headway observe " + name + "`"}
		}
	}
	if iv, axis, ok := inv.oneRange(c, f); ok {
		req.Range = &plan.Range{Axis: axis, Interval: iv}
	}
	req.Sets, err = inv.resolve(c, sight, names, f.rangeFlags, len(f.Table) > 0)
	return req, err
}

// oneRange is the range as it was named, on the axis of the first table named or of the finest of all.
func (inv *invocation) oneRange(c *backfill.Coordinator, f *requestFlags) (calendar.Interval, calendar.Axis, bool) {
	if f.From == "" && f.To == "" {
		return calendar.Interval{}, calendar.Axis{}, false
	}
	var axis calendar.Axis
	for _, t := range c.Project.Tables {
		if len(f.Table) > 0 && f.Table[0] != t.Name || !t.Partitioned() {
			continue
		}
		if axis.Grain == calendar.None || t.Axis.Grain < axis.Grain {
			axis = t.Axis
		}
	}
	iv, err := axis.ParseRange(f.From, f.To, inv.Now())
	return iv, axis, err == nil && axis.Grain != calendar.None
}

type planCmd struct {
	requestFlags
	Explain  bool   `help:"Name the partitions that each cause is because of."`
	Cost     bool   `help:"Also tell what the plan would read, where the warehouse can say."`
	Out      string `help:"Write the plan as JSON to a file, for run --plan." placeholder:"FILE"`
	ExitCode bool   `help:"Exit 3 when there is something to do or something is blocked."`
}

// Run shows what would be computed, and why.
func (cmd *planCmd) Run(inv *invocation) error {
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	_, p, err := inv.makePlan(c, &cmd.requestFlags)
	if err != nil {
		return err
	}
	text, err := p.JSON()
	if err != nil {
		return fmt.Errorf("write down the plan: %w", err)
	}
	if cmd.Cost {
		inv.say("cost: the warehouse cannot say what a query would read before it runs")
	}
	if cmd.Out != "" {
		saved, err := withFlags(text, &cmd.requestFlags)
		if err != nil {
			return err
		}
		if err := os.WriteFile(resolve(inv.Dir, cmd.Out), append(saved, '\n'), 0o600); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
		inv.say("plan %s written to %s", p.ID, cmd.Out)
	}
	if err := inv.showPlan(c, p, cmd.Explain); err != nil {
		return err
	}
	if cmd.ExitCode && (len(p.Steps) > 0 || len(p.Blocked) > 0) {
		return &exitError{Code: exitRefused}
	}
	return nil
}

// showPlan answers with a plan.
func (inv *invocation) showPlan(c *backfill.Coordinator, p *plan.Plan, explain bool) error {
	if !inv.json() {
		inv.printPlan(c, p, explain)
		return nil
	}
	text, err := p.JSON()
	if err != nil {
		return fmt.Errorf("write down the plan: %w", err)
	}
	return inv.answer(json.RawMessage(text))
}

// withFlags adds to a plan's JSON what it was asked for with, so that run --plan asks for the same.
func withFlags(text []byte, f *requestFlags) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	flags, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	all["flags"] = flags
	return json.MarshalIndent(all, "", "  ")
}

// makePlan looks at the world and resolves the flags.
func (inv *invocation) makePlan(c *backfill.Coordinator, f *requestFlags) (*backfill.Sight, *plan.Plan, error) {
	if _, err := c.Names(f.Table); err != nil {
		return nil, nil, err
	}
	leave := f.Class == "scheduled" && !strings.Contains(f.Reprocess, "code") && !strings.Contains(f.Reprocess, "stale") && !strings.Contains(f.Reprocess, "all")
	sight, err := inv.lookWith(c, backfill.LookOptions{Tables: f.Table, NoObserve: f.NoObserve, LeaveCode: leave})
	if err != nil {
		return nil, nil, err
	}
	if leave {
		if err := inv.tellLeftCode(c, sight, f.Table); err != nil {
			return nil, nil, err
		}
	}
	req, err := inv.request(c, sight, f)
	if err != nil {
		return nil, nil, err
	}
	p, err := c.Plan(inv.ctx, sight, req)
	return sight, p, err
}

// tellLeftCode counts what a scheduled run leaves that other code computed.
func (inv *invocation) tellLeftCode(c *backfill.Coordinator, sight *backfill.Sight, asked []string) error {
	names, err := c.Names(asked)
	if err != nil {
		return err
	}
	return sight.View.With(inv.ctx, func(w *plan.World) error {
		for _, name := range names {
			if n := w.Judge(name).Code.Count(); n > 0 {
				inv.say("left as they are: %s of %s computed by other code (class scheduled; --reprocess code computes them)", count(n, "partition"), name)
			}
		}
		return nil
	})
}

// printPlan shows a plan to a person.
func (inv *invocation) printPlan(c *backfill.Coordinator, p *plan.Plan, explain bool) {
	if len(p.Steps) == 0 && len(p.Blocked) == 0 {
		for _, s := range p.Skipped {
			inv.print("left out: %s of %s (%s): %s", count(s.Set.Count(), "partition"), s.Table, span(s.Axis, s.Set), s.Why)
		}
		inv.print("%s", idle(len(p.Skipped) > 0))
		return
	}
	if len(p.Steps) > 0 {
		rows := [][]string{{"TABLE", "PARTITIONS", "CAUSE", "RANGE"}}
		for i := range p.Steps {
			s := &p.Steps[i]
			for _, cause := range s.Causes {
				rows = append(rows, []string{
					s.Table, thousands(cause.Set.Count()), causeText(cause, explain), span(s.Axis, cause.Set),
				})
			}
		}
		inv.table(rows)
	}
	for _, b := range p.Blocked {
		inv.print("blocked: %s of %s (%s)", count(b.Set.Count(), "partition"), b.Table, span(b.Axis, b.Set))
		inv.printLacks(b, explain)
	}
	for _, s := range p.Skipped {
		inv.print("left out: %s of %s (%s): %s", count(s.Set.Count(), "partition"), s.Table, span(s.Axis, s.Set), s.Why)
	}
	line := fmt.Sprintf("plan %s: %s to compute", p.ID, count(p.Partitions(), "partition"))
	if n := p.BlockedPartitions(); n > 0 {
		line += fmt.Sprintf(", %s blocked", thousands(n))
	}
	inv.print("%s", line)
}

// idle says that nothing was to be done.
func idle(leftOut bool) string {
	if leftOut {
		return "nothing to do of what was asked for; what is left out is not fresh"
	}
	return "nothing to do: all that was asked for is fresh"
}

// printLacks tells what blocked partitions wait for, those that wait for the same together, and what mends it.
func (inv *invocation) printLacks(b plan.Blocked, explain bool) {
	most := 3
	if explain {
		most = len(b.Items)
	}
	sets, fixes := map[string][]calendar.Partition{}, map[string]string{}
	var order []string
	for _, item := range b.Items {
		text := lacks(item)
		if sets[text] == nil {
			order = append(order, text)
			fixes[text] = firstOf(strings.Join(item.Fix.Argv, " "), item.Fix.Text)
		}
		sets[text] = append(sets[text], item.Partition)
	}
	for i, text := range order {
		if i == most {
			inv.print("  and more: --explain names up to %d partitions", len(b.Items))
			return
		}
		inv.print("  %s %s", b.Axis.FormatSet(calendar.Of(sets[text]...), 2), text)
		if fixes[text] != "" && (i == 0 || fixes[order[i-1]] != fixes[text]) {
			inv.print("    mend it: %s", fixes[text])
		}
	}
}

// span is a set as its first and last partition.
func span(axis calendar.Axis, set calendar.Set) string {
	if axis.Grain == calendar.None || set.Empty() {
		return "whole"
	}
	return axis.FormatRange(set.Bounds())
}

func causeText(c plan.Cause, explain bool) string {
	text := string(c.Kind)
	if c.Kind == plan.CauseCode {
		text += fmt.Sprintf(" %s -> %s", firstOf(short(c.From), "unknown"), short(c.To))
	}
	most := 1
	if explain {
		most = len(c.Because)
	}
	var names []string
	for i, ref := range c.Because {
		if i == most {
			break
		}
		names = append(names, ref.Table+" "+ref.ID())
	}
	if len(names) > 0 {
		text += " (" + strings.Join(names, ", ") + ")"
	}
	return text
}

func lacks(item plan.BlockedItem) string {
	if item.Held {
		return "is held"
	}
	var parts []string
	for _, l := range item.Missing {
		parts = append(parts, fmt.Sprintf("%s %s", l.Table, l.Axis.FormatSet(l.Set, 2)))
	}
	if len(parts) == 0 {
		return "waits for its inputs"
	}
	return "waits for " + strings.Join(parts, " and ")
}

type whyCmd struct {
	observeFlag
	Table     string `arg:"" help:"Table."`
	Partition string `arg:"" optional:"" default:"all" help:"Partition, by its id; not needed for an unpartitioned table."`
}

// Run explains a partition down to the root cause.
func (cmd whyCmd) Run(inv *invocation) error {
	c, err := inv.open(false)
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
	sight, err := inv.look(c, []string{cmd.Table}, cmd.observeFlag)
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
	if inv.json() {
		text, err := chain.JSON()
		if err != nil {
			return fmt.Errorf("write down why: %w", err)
		}
		return inv.answer(json.RawMessage(bytes.TrimSpace(text)))
	}
	inv.printChain(chain)
	return inv.printProvenance(c, sight, cmd.Table, p)
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
			inv.print("  %s", strings.Join(chain.Fix.Argv, " "))
		}
	}
}

// printProvenance tells who wrote what stands in a partition, with which code, from which inputs.
func (inv *invocation) printProvenance(c *backfill.Coordinator, sight *backfill.Sight, table string, p calendar.Partition) error {
	origin, err := c.Provenance(inv.ctx, table, p)
	if err != nil || origin == nil {
		return err
	}
	inv.print("written by attempt %s of run %s at %s, code %s", origin.ID, origin.Run, origin.EndedAt.UTC().Format("2006-01-02 15:04:05"), short(origin.Version))
	return sight.View.With(inv.ctx, func(w *plan.World) error {
		for _, in := range c.Tables[table].Inputs {
			if read := w.Upstream(table, in, calendar.Of(p)); !read.Empty() {
				inv.print("  from %s %s (%s)", in.Table, span(c.Tables[in.Table].Axis, read), count(read.Count(), "partition"))
			}
		}
		return nil
	})
}
