package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
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
	sight, p, err := inv.makePlan(c, &cmd.requestFlags, false)
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
	if err := inv.showPlan(p, cmd.Explain); err != nil {
		return err
	}
	if cmd.ExitCode && (len(p.Steps) > 0 || len(p.Blocked) > 0 || len(p.Rechecks) > 0 || c.Unreadable(sight, cmd.Table) != nil) {
		return &exitError{Code: exitRefused}
	}
	return nil
}

// showPlan answers with a plan.
func (inv *invocation) showPlan(p *plan.Plan, explain bool) error {
	if !inv.json() {
		inv.printPlan(p, explain)
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
	flags, err := json.Marshal(f) //nolint:musttag // read by run --plan of the same program and nobody else
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	all["flags"] = flags
	return json.MarshalIndent(all, "", "  ")
}

// makePlan looks at the world and resolves the flags. todaysCode: what newer code wrote is stale by today's files.
func (inv *invocation) makePlan(c *backfill.Coordinator, f *requestFlags, todaysCode bool) (*backfill.Sight, *plan.Plan, error) {
	if _, err := c.Names(f.Table); err != nil {
		return nil, nil, err
	}
	leave := f.Class == "scheduled" && !strings.Contains(f.Reprocess, "code") && !strings.Contains(f.Reprocess, "stale") && !strings.Contains(f.Reprocess, "all")
	sight, err := inv.lookWith(c, backfill.LookOptions{Tables: f.Table, NoObserve: f.NoObserve, LeaveCode: leave, TodaysCode: todaysCode})
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
func (inv *invocation) printPlan(p *plan.Plan, explain bool) {
	if len(p.Steps) == 0 && len(p.Blocked) == 0 && len(p.Rechecks) == 0 {
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
	inv.printBlocked(p, explain)
	for _, s := range p.Skipped {
		inv.print("left out: %s of %s (%s): %s", count(s.Set.Count(), "partition"), s.Table, span(s.Axis, s.Set), s.Why)
	}
	checks := 0
	for _, r := range p.Rechecks {
		inv.print("check again: %s of %s (%s): %s", count(r.Set.Count(), "partition"), r.Table, span(r.Axis, r.Set), r.Why)
		checks += r.Set.Count()
	}
	line := fmt.Sprintf("plan %s: %s to compute", p.ID, count(p.Partitions(), "partition"))
	if checks > 0 {
		line += fmt.Sprintf(", %s to check again", thousands(checks))
	}
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

// printBlocked tells what is blocked, in detail where the cause lies outside the plan, and by number where it only waits for what is blocked
// itself.
func (inv *invocation) printBlocked(p *plan.Plan, explain bool) {
	blocked := map[string]calendar.Set{}
	for _, b := range p.Blocked {
		blocked[b.Table] = b.Set
	}
	var behind []string
	n := 0
	for _, b := range p.Blocked {
		roots := b.Items
		if !explain {
			roots = rootsOf(b.Items, blocked)
		}
		if len(roots) == 0 {
			behind = append(behind, b.Table)
			n += b.Set.Count()
			continue
		}
		inv.print("blocked: %s of %s (%s)", count(b.Set.Count(), "partition"), b.Table, span(b.Axis, b.Set))
		inv.printLacks(b.Axis, roots, explain)
	}
	if len(behind) > 0 {
		inv.print("blocked behind them: %s of %s (--explain tells each)", count(n, "partition"), abbreviated(behind, 3))
	}
}

// rootsOf are the blocked partitions that lack something which is not blocked itself, with only that of what they lack.
func rootsOf(items []plan.BlockedItem, blocked map[string]calendar.Set) []plan.BlockedItem {
	var out []plan.BlockedItem
	for _, item := range items {
		var lacks []plan.Lack
		for _, l := range item.Missing {
			if l.Set = l.Set.Minus(blocked[l.Table]); !l.Set.Empty() {
				lacks = append(lacks, l)
			}
		}
		if item.Missing = lacks; item.Held || len(lacks) > 0 {
			out = append(out, item)
		}
	}
	return out
}

// printLacks tells what blocked partitions wait for, those that wait for partitions of the same tables together, and what mends it.
func (inv *invocation) printLacks(axis calendar.Axis, items []plan.BlockedItem, explain bool) {
	type group struct {
		partitions []calendar.Partition
		lacks      map[string]plan.Lack
		fix        string
	}
	groups, order := map[string]*group{}, []string{}
	for _, item := range items {
		words := []string{fmt.Sprint(item.Held)}
		for _, l := range item.Missing {
			words = append(words, l.Table)
		}
		if explain {
			words = append(words, axis.ID(item.Partition))
		}
		key := strings.Join(words, " ")
		g := groups[key]
		if g == nil {
			g = &group{lacks: map[string]plan.Lack{}, fix: firstOf(strings.Join(item.Fix.Argv, " "), item.Fix.Text)}
			groups[key] = g
			order = append(order, key)
		}
		g.partitions = append(g.partitions, item.Partition)
		for _, l := range item.Missing {
			l.Set = l.Set.Union(g.lacks[l.Table].Set)
			g.lacks[l.Table] = l
		}
	}
	for _, key := range order {
		g := groups[key]
		one := plan.BlockedItem{Held: strings.HasPrefix(key, "true")}
		for _, name := range slices.Sorted(maps.Keys(g.lacks)) {
			one.Missing = append(one.Missing, g.lacks[name])
		}
		inv.print("  %s: %s", extent(axis, calendar.Of(g.partitions...)), lacks(one))
		if g.fix != "" {
			inv.print("    mend it: %s", g.fix)
		}
	}
}

// extent is a set as people read it: its ranges, or, where they are many, its first and last partition and how many it has.
func extent(axis calendar.Axis, set calendar.Set) string {
	if len(set.Intervals()) <= 2 {
		return axis.FormatSet(set, 2)
	}
	return fmt.Sprintf("%s (%s)", span(axis, set), thousands(set.Count()))
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
		parts = append(parts, l.Table+" "+extent(l.Axis, l.Set))
	}
	if len(parts) == 0 {
		return "waiting for inputs"
	}
	return "waiting for " + strings.Join(parts, " and ")
}
