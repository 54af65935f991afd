package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// The default guard: above it, run wants a yes.
const guardPartitions = 500

type runCmd struct {
	requestFlags
	policyFlags
	laterFlags
	Plan        string `help:"Carry out a plan that plan --out wrote; refused when the world has moved on." placeholder:"FILE"`
	MaxParallel int    `help:"Chunks at once, over all warehouses." placeholder:"N"`
	Reverse     bool   `help:"Newest partitions first. Refused where a table reads itself."`
	FailFast    bool   `help:"Stop at the first failure."`
	DryRun      bool   `help:"Show the plan and do nothing."`
	Detach      bool   `help:"Let it go on by itself, and tell which run it is." json:"-"`
	Yes         bool   `short:"y" help:"Do not ask, however many partitions it is."`
	Reason      string `help:"Why; kept with the run." placeholder:"TEXT"`

	AllowDowngrade bool `help:"Let today's files replace what newer code, or a fix, wrote; wants --reason, which the audit log keeps."`
}

// Run computes what is missing or stale.
func (cmd *runCmd) Run(inv *invocation) error {
	if err := cmd.refuse(); err != nil {
		return err
	}
	if cmd.AllowDowngrade {
		reason, err := inv.reason(cmd.Reason, "let older code write")
		if err != nil {
			return err
		}
		cmd.Reason = reason
	}
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	wanted := ""
	if cmd.Plan != "" {
		if wanted, err = inv.savedPlan(cmd.Plan, &cmd.requestFlags); err != nil {
			return err
		}
	}
	sight, p, err := inv.makePlan(c, &cmd.requestFlags, cmd.AllowDowngrade)
	if err != nil {
		return err
	}
	if wanted != "" && wanted != p.ID {
		return &backfill.RefusedError{
			What: fmt.Sprintf("plan %s is out of date: what it was asked for now gives plan %s", wanted, p.ID),
			Next: "look at the new one with `headway plan`, and write it again",
		}
	}
	if cmd.DryRun {
		return inv.showPlan(p, false)
	}
	if err := inv.guard(c, p, cmd.Yes); err != nil {
		return err
	}
	if cmd.Detach {
		return inv.detach(filepath.Join(c.Dir, ".headway", "logs"))
	}
	return cmd.carryOut(inv, c, sight, p)
}

// carryOut carries out the plan and tells what became of it.
func (cmd *runCmd) carryOut(inv *invocation, c *backfill.Coordinator, sight *backfill.Sight, p *plan.Plan) error {
	expect, err := cmd.expectations(c)
	if err != nil {
		return err
	}
	progress := inv.newProgress(c)
	report, err := c.Run(inv.ctx, sight, p, backfill.RunOptions{
		Class: ledger.Class(cmd.Class), MaxParallel: cmd.MaxParallel, Reverse: cmd.Reverse, FailFast: cmd.FailFast,
		Command: "headway " + backfill.ShellLine(inv.args), Reason: cmd.Reason, OnStart: progress.start, OnEvent: progress.event,
		AllowDowngrade: cmd.AllowDowngrade, Expect: expect, Stall: inv.stall(),
		OnConflict: cmd.policy(cmd.Class), WaitTimeout: cmd.WaitTimeout, OnWait: inv.tellWait(c),
	})
	progress.stop()
	if conflict := c.Conflict(err, ledger.Class(cmd.Class), wantedOf(p), inv.args); conflict != nil {
		err = &conflictError{err, conflict.Text(c)}
		if !inv.json() {
			return err // nothing was done: there is nothing else to tell
		}
	}
	if report == nil {
		return err
	}
	if len(report.Tables) == 0 && report.Exit == 0 && len(p.Skipped) > 0 && !inv.json() {
		inv.printPlan(p, false)
		return err
	}
	if answerErr := inv.printReport(report); answerErr != nil {
		return answerErr
	}
	if err != nil {
		return &exitError{Code: inv.codeOf(err), Err: err, told: true}
	}
	if report.Exit != 0 {
		return &exitError{Code: report.Exit}
	}
	return nil
}

// wantedOf is what a plan would write.
func wantedOf(p *plan.Plan) map[string]calendar.Set {
	out := map[string]calendar.Set{}
	for _, s := range p.Steps {
		out[s.Table] = out[s.Table].Union(s.Set)
	}
	return out
}

// A conflictError is a conflict with what people are told of it.
type conflictError struct {
	error
	text string
}

func (e *conflictError) Error() string { return e.text }

func (e *conflictError) Unwrap() error { return e.error }

// savedPlan reads a plan that plan --out wrote: its id, and the flags that it was asked for with.
func (inv *invocation) savedPlan(file string, flags *requestFlags) (string, error) {
	if len(flags.Table) > 0 || flags.given() || flags.Reprocess != "" || flags.Upstream || flags.Downstream {
		return "", &backfill.InputError{What: "--plan names what to do already", Next: "leave tables, ranges and kinds away"}
	}
	text, err := os.ReadFile(resolve(inv.Dir, file))
	if err != nil {
		return "", &backfill.InputError{What: "the plan cannot be read: " + err.Error()}
	}
	var was struct {
		Schema string       `json:"schema"`
		Plan   string       `json:"plan"`
		Flags  requestFlags `json:"flags"`
	}
	if err := json.Unmarshal(text, &was); err != nil || was.Schema != plan.Schema { //nolint:musttag // what plan --out of the same program wrote
		return "", &backfill.InputError{What: file + " is no plan", Next: "write one with `headway plan --out " + file + "`"}
	}
	*flags = was.Flags
	return was.Plan, nil
}

// guard asks before a large run.
func (inv *invocation) guard(c *backfill.Coordinator, p *plan.Plan, yes bool) error {
	limit := guardPartitions
	if c.Project.Guard.Partitions > 0 {
		limit = c.Project.Guard.Partitions
	}
	n := p.Partitions()
	if yes || n <= limit {
		return nil
	}
	if f, ok := inv.Stdin.(*os.File); ok && inv.Terminal(f) {
		inv.printPlan(p, false)
		fmt.Fprintf(inv.Stderr, "compute %s? [y/N] ", count(n, "partition"))
		line, err := readLine(inv.Stdin)
		if err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y") {
			return nil
		}
		return &backfill.RefusedError{What: "nothing was done"}
	}
	return &backfill.RefusedError{
		What: fmt.Sprintf("the plan has %s, above the guard of %s", count(n, "partition"), thousands(limit)),
		Next: "look at it with `headway plan`, then say --yes",
	}
}

// printReport tells what became of a run.
func (inv *invocation) printReport(r *backfill.Report) error {
	if inv.json() {
		return inv.answer(r)
	}
	for _, e := range r.Expectations {
		if len(r.Tables) == 0 {
			inv.print("%s", e.Text())
		}
	}
	if len(r.Tables) == 0 {
		if r.Exit == 0 {
			inv.print("%s", idle(false))
		} else if r.Reason != nil {
			inv.print("nothing was done: %s", *r.Reason)
		}
		return nil
	}
	rows := [][]string{{"TABLE", "PUBLISHED", "UNCHANGED", "FRESH", "QUARANTINED", "FAILED", "BLOCKED", "STOPPED", "CHECKED AGAIN"}}
	for _, t := range r.Tables {
		rows = append(rows, []string{
			t.Table, thousands(t.Published), thousands(t.Unchanged), thousands(t.Skipped), thousands(t.Quarantined), thousands(t.Failed),
			thousands(t.Blocked), thousands(t.Stopped), thousands(t.Checked),
		})
	}
	inv.table(dropZeroColumns(rows, 2))
	inv.printChecks(r)
	inv.printOpen(r)
	for _, s := range r.StaleAfter {
		if s.Partitions <= openOf(r, s.Table) {
			continue // told above
		}
		inv.print("not fresh after the run: %s of %s", count(s.Partitions, "partition"), s.Table)
	}
	for _, e := range r.Expectations {
		inv.print("%s", e.Text())
	}
	line := fmt.Sprintf("run %s: %s in %.1f s: %s published", r.Run, r.State, r.Seconds, count(r.Published, "partition"))
	if r.Unchanged > 0 {
		line += fmt.Sprintf(" (%s unchanged)", thousands(r.Unchanged))
	}
	if r.Skipped > 0 {
		line += fmt.Sprintf(", %s found fresh", thousands(r.Skipped))
	}
	checked := 0
	for _, t := range r.Tables {
		checked += t.Checked
	}
	if checked > 0 {
		line += fmt.Sprintf(", %s checked again", thousands(checked))
	}
	inv.print("%s", line)
	return nil
}

// openOf is how many partitions of a table the run did not publish.
func openOf(r *backfill.Report, table string) int {
	for _, t := range r.Tables {
		if t.Table == table {
			return t.Quarantined + t.Failed + t.Blocked + t.Stopped
		}
	}
	return 0
}

// printOpen names what was not published and the first reason of each table. Tables come in the order of the graph: what is blocked after the
// first blocked one mostly waits for it, and is told by number.
func (inv *invocation) printOpen(r *backfill.Report) {
	told := map[string]bool{}
	var behind []string
	first := true
	for _, t := range r.Tables {
		only := t.Quarantined+t.Failed+t.Stopped == 0 && t.Blocked > 0
		if only && !first {
			behind = append(behind, t.Table)
			continue
		}
		first = first && t.Blocked == 0 && t.Quarantined+t.Failed == 0
		for _, open := range t.Open {
			inv.print("%s: %s %s", t.Table, open.What, intervalText(open.Intervals))
		}
		if t.Reason != nil && !told[*t.Reason] {
			told[*t.Reason] = true
			inv.print("  %s", strings.ReplaceAll(*t.Reason, "\n", "\n  "))
		}
	}
	if len(behind) > 0 {
		inv.print("blocked as well: %s (`headway why TABLE PARTITION` tells the chain)", abbreviated(behind, 4))
	}
	for _, e := range r.Expectations {
		told[e.Text()] = true // it is told at the end
	}
	if r.Reason != nil && r.Exit != 0 && !told[*r.Reason] && len(told) == len(r.Expectations) {
		inv.print("  %s", strings.ReplaceAll(*r.Reason, "\n", "\n  "))
	}
}

// printChecks shows each metric of the run, before and after, over the same partitions.
func (inv *invocation) printChecks(r *backfill.Report) {
	rows := [][]string{{"CHECK", "BEFORE", "AFTER", "WANTED", "NOTE"}}
	for _, t := range r.Tables {
		for _, c := range t.Checks {
			note := ""
			switch {
			case !c.Passed && c.Severity == "warn":
				note = "warning: did not pass everywhere"
			case !c.Passed:
				note = "did not pass everywhere"
			case c.Before == nil:
				note = "new"
			case figure(c.Before) != figure(c.After):
				note = "moved"
			}
			rows = append(rows, []string{c.ID, figure(c.Before), figure(c.After), wanted(c), note})
		}
	}
	if len(rows) > 1 {
		inv.print("")
		inv.table(rows)
		inv.print("")
	}
}

// wanted is what a check asks for, in words.
func wanted(c backfill.CheckReport) string {
	switch {
	case c.Threshold != nil && c.Upper:
		return "at most " + figure(c.Threshold)
	case c.Threshold != nil:
		return "at least " + figure(c.Threshold)
	}
	return "-"
}

func figure(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.6g", *f)
}

// dropZeroColumns leaves out columns that are 0 in every row, from the given one on.
func dropZeroColumns(rows [][]string, from int) [][]string {
	out := make([][]string, len(rows))
	for col := range rows[0] {
		keep := col < from
		for _, row := range rows[1:] {
			keep = keep || row[col] != "0"
		}
		if keep {
			for i, row := range rows {
				out[i] = append(out[i], row[col])
			}
		}
	}
	return out
}

func intervalText(ivs []backfill.IntervalID) string {
	const most = 3
	var parts []string
	for i, iv := range ivs {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more ranges", len(ivs)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("[%s, %s)", iv.Start, iv.End))
	}
	return strings.Join(parts, ", ")
}
