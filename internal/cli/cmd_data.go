package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

type checkCmd struct {
	rangeFlags
	observeFlag
	Table string `arg:"" help:"Table or source."`
}

// A checkAnswer is a check over the partitions asked for.
type checkAnswer struct {
	ID       string         `json:"id"`
	Value    *float64       `json:"value"`
	Passed   int            `json:"passed"`
	Failed   int            `json:"failed"`
	Severity string         `json:"severity"`
	Failures []checkFailure `json:"failures"`
}

type checkFailure struct {
	Partition string  `json:"partition"`
	Value     float64 `json:"value"`
	Example   string  `json:"example"`
}

// A recordedAnswer counts the partitions whose state the check decided.
type recordedAnswer struct {
	Checked int `json:"checked"`
	Failing int `json:"failing"`
	Cleared int `json:"cleared"`
}

// maxFailures is how many failed partitions of a check are named.
const maxFailures = 10

// Run runs the checks on what is published.
func (cmd *checkCmd) Run(inv *invocation) error {
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	names, err := c.Names([]string{cmd.Table})
	if err != nil {
		return err
	}
	sight, err := inv.look(c, names, cmd.observeFlag)
	if err != nil {
		return err
	}
	sets, err := inv.resolve(c, sight, names, cmd.rangeFlags, true)
	if err != nil {
		return err
	}
	found, err := c.Recheck(inv.ctx, sight, cmd.Table, sets[cmd.Table])
	if err != nil {
		return err
	}
	list, blocked := checkAnswers(c, cmd.Table, found.Verdicts)
	if inv.json() {
		err = inv.answer(struct {
			Schema   string         `json:"schema"`
			Table    string         `json:"table"`
			Checks   []*checkAnswer `json:"checks"`
			Recorded recordedAnswer `json:"recorded"`
		}{"headway.check/v1", cmd.Table, notNil(list), recordedAnswer{found.Checked.Count(), found.Failing.Count(), found.Cleared.Count()}})
	} else {
		inv.printCheckAnswers(cmd.Table, list)
		inv.printRecorded(c, cmd.Table, found)
	}
	if err == nil && blocked {
		return &exitError{Code: exitRefused}
	}
	return err
}

// checkAnswers gathers verdicts by check, in the order of the project file. blocked: one that blocks did not pass.
func checkAnswers(c *backfill.Coordinator, table string, verdicts []warehouse.Verdict) (list []*checkAnswer, blocked bool) {
	byID := map[string]*checkAnswer{}
	sums := map[string][2]float64{}
	for _, check := range c.Tables[table].Checks {
		one := &checkAnswer{ID: check.ID, Severity: backfill.SeverityOf(check.Check), Failures: []checkFailure{}}
		byID[check.ID] = one
		list = append(list, one)
	}
	for _, v := range verdicts {
		one := byID[v.Check]
		weight := float64(max(v.Weight, 1))
		sums[v.Check] = [2]float64{sums[v.Check][0] + v.Value*weight, sums[v.Check][1] + weight}
		if v.Passed {
			one.Passed++
			continue
		}
		one.Failed++
		blocked = blocked || !v.Warn
		if len(one.Failures) < maxFailures {
			one.Failures = append(one.Failures, checkFailure{c.ID(table, v.Partition), v.Value, v.Example})
		}
	}
	for id, s := range sums {
		value := s[0] / s[1]
		byID[id].Value = &value
	}
	return list, blocked
}

func (inv *invocation) printCheckAnswers(table string, list []*checkAnswer) {
	if len(list) == 0 {
		inv.print("%s has no checks", table)
		return
	}
	rows := [][]string{{"CHECK", "VALUE", "PASSED", "FAILED", "SEVERITY"}}
	for _, one := range list {
		rows = append(rows, []string{one.ID, figure(one.Value), thousands(one.Passed), thousands(one.Failed), one.Severity})
	}
	inv.table(rows)
	for _, one := range list {
		for _, f := range one.Failures {
			inv.print("%s %s: %.6g: %s", one.ID, f.Partition, f.Value, f.Example)
		}
		if more := one.Failed - len(one.Failures); more > 0 {
			inv.print("%s: and %d more", one.ID, more)
		}
	}
}

// printRecorded tells what the state now holds of what was checked.
func (inv *invocation) printRecorded(c *backfill.Coordinator, table string, found *backfill.Rechecked) {
	if c.Tables[table].IsSource() || found.Checked.Empty() {
		return
	}
	line := "recorded: " + count(found.Checked.Count(), "partition") + " checked"
	if n := found.Failing.Count(); n > 0 {
		line += fmt.Sprintf(", %s failing, and not readable until that is mended (%s)", thousands(n), c.Format(table, found.Failing))
	}
	if n := found.Cleared.Count(); n > 0 {
		line += fmt.Sprintf(", %s no longer failing (%s)", thousands(n), c.Format(table, found.Cleared))
	}
	inv.print("%s", line)
}

type markCmd struct {
	rangeFlags
	Table      string `arg:"" optional:"" help:"Table; --all for all of them."`
	As         string `enum:"fresh,stale,skipped," default:"" help:"fresh, stale or skipped."`
	Observed   bool   `help:"fresh: only what stands in the warehouse, as it is."`
	All        bool   `help:"Every table of the project."`
	Checkpoint string `help:"Take what a job's checkpoint file says was done, failed and skipped." placeholder:"FILE"`
	Reason     string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// A markAnswer is what was marked of one table.
type markAnswer struct {
	Table      string                `json:"table"`
	As         string                `json:"as"`
	Partitions int                   `json:"partitions"`
	Intervals  []backfill.IntervalID `json:"intervals"`
	Without    int                   `json:"without_rows"`
	Rows       int64                 `json:"rows"`

	text string
}

// Run records a person's word on partitions.
func (cmd *markCmd) Run(inv *invocation) error {
	if err := cmd.consistent(); err != nil {
		return err
	}
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	var asked []string
	if cmd.Table != "" {
		asked = []string{cmd.Table}
	}
	names, err := c.Names(asked)
	if err != nil {
		return err
	}
	reason, err := inv.reason(cmd.Reason, "mark partitions as "+cmd.As)
	if err != nil {
		return err
	}
	sight, err := inv.look(c, asked, observeFlag{})
	if err != nil {
		return err
	}
	sets, err := inv.resolve(c, sight, names, cmd.rangeFlags, !cmd.All)
	if err != nil {
		return err
	}
	var list []markAnswer
	for _, name := range names {
		requests, err := cmd.requests(inv, c, name, sets[name], reason)
		if err != nil {
			return err
		}
		for _, req := range requests {
			one, err := c.Mark(inv.ctx, req)
			if err != nil {
				return err
			}
			list = append(list, markAnswer{
				Table: name, As: string(req.Kind), Partitions: one.Marked.Count(), Rows: one.Rows, Without: one.Without.Count(),
				Intervals: c.Intervals(name, backfill.Bridge(one.Marked, sight.Expected[name])), text: c.Format(name, one.Marked),
			})
		}
	}
	return inv.printMarks(list)
}

// consistent refuses flags that do not go together, and fills in what a checkpoint leaves open.
func (cmd *markCmd) consistent() error {
	if cmd.As == "" && cmd.Checkpoint == "" {
		return &backfill.InputError{What: "mark as what?", Next: "say --as fresh, stale or skipped, or --checkpoint FILE"}
	}
	if cmd.As == "" {
		cmd.As = "fresh"
	}
	if (cmd.Table == "") != cmd.All {
		return &backfill.InputError{What: "mark wants a table, or --all", Next: "name one of them"}
	}
	if cmd.All && !cmd.Observed {
		return &backfill.InputError{What: "--all marks only what is observed to stand there", Next: "add --observed"}
	}
	if cmd.Observed && cmd.As != "fresh" {
		return &backfill.InputError{What: "--observed goes with --as fresh", Next: "leave one of them away"}
	}
	if cmd.Checkpoint != "" && cmd.All {
		return &backfill.InputError{What: "a checkpoint is of one job and one table", Next: "name the table instead of --all"}
	}
	if cmd.Checkpoint != "" && cmd.As != "fresh" {
		return &backfill.InputError{What: "--checkpoint says itself which dates are done and which were skipped", Next: "leave --as away"}
	}
	return nil
}

// requests are the marks for one table: one, or those that a checkpoint asks for.
func (cmd *markCmd) requests(inv *invocation, c *backfill.Coordinator, name string, set calendar.Set, reason string) ([]backfill.MarkRequest, error) {
	if cmd.Checkpoint == "" {
		return []backfill.MarkRequest{{Table: name, Set: set, Kind: ledger.MarkKind(cmd.As), Observed: cmd.Observed, Reason: reason}}, nil
	}
	point, err := backfill.ReadCheckpoint(resolve(inv.Dir, cmd.Checkpoint))
	if err != nil {
		return nil, err
	}
	told, err := point.Sets(c.Tables[name].Axis)
	if err != nil {
		return nil, err
	}
	reason += " (checkpoint " + cmd.Checkpoint
	if point.JobName != "" {
		reason += " of job " + point.JobName
	}
	reason += ")"
	done, skipped := told.Successful, told.Skipped
	inv.say("checkpoint: %s successful, %s failed, %s skipped", thousands(done.Count()), thousands(told.Failed.Count()), thousands(skipped.Count()))
	if n := told.Outside.Count(); n > 0 {
		inv.warn("%s of the checkpoint are outside its own range %s..%s and are left out: %s",
			count(n, "date"), firstOf(point.StartDate, "..."), firstOf(point.EndDate, "..."), c.Format(name, told.Outside))
	}
	if outside := calendar.UnionAll(done, skipped).Minus(set); !outside.Empty() {
		inv.warn("%s of the checkpoint are not expected of %s, or not in the range asked for, and are left out: %s",
			count(outside.Count(), "date"), name, c.Format(name, outside))
	}
	var out []backfill.MarkRequest
	if done = done.Intersect(set); !done.Empty() {
		out = append(out, backfill.MarkRequest{Table: name, Set: done, Kind: ledger.MarkFresh, Observed: true, Reason: reason})
	}
	if skipped = skipped.Intersect(set); !skipped.Empty() {
		out = append(out, backfill.MarkRequest{Table: name, Set: skipped, Kind: ledger.MarkSkipped, Reason: reason})
	}
	return out, nil
}

func (inv *invocation) printMarks(list []markAnswer) error {
	if inv.json() {
		return inv.answer(struct {
			Schema string       `json:"schema"`
			Marks  []markAnswer `json:"marks"`
		}{"headway.mark/v1", notNil(list)})
	}
	for _, m := range list {
		line := fmt.Sprintf("%s: %s marked %s", m.Table, count(m.Partitions, "partition"), m.As)
		if m.Partitions > 0 {
			line += " (" + m.text + ")"
		}
		if m.Rows > 0 {
			line += fmt.Sprintf(", %s rows", thousands(int(m.Rows)))
		}
		if m.Without > 0 {
			line += fmt.Sprintf("; %s have no rows and stay as they were", thousands(m.Without))
		}
		inv.print("%s", line)
	}
	return nil
}

type waitCmd struct {
	rangeFlags
	observeFlag
	Table   []string      `arg:"" help:"Tables."`
	Timeout time.Duration `help:"Give up after so long; exit 4." placeholder:"DURATION"`
}

// Run waits until partitions are fresh.
func (cmd *waitCmd) Run(inv *invocation) error {
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	names, err := c.Names(cmd.Table)
	if err != nil {
		return err
	}
	sight, err := inv.glance(c, cmd.Table, cmd.observeFlag)
	if err != nil {
		return err
	}
	named := sight.Expected
	if cmd.given() { // what is named may come yet; without a range nobody waits for ever
		named = map[string]calendar.Set{}
		for _, name := range names {
			named[name] = sight.Expected[name].Union(sight.Coming[name])
		}
	}
	sets, err := inv.resolveIn(c, sight, named, names, cmd.rangeFlags, true)
	if err != nil {
		return err
	}
	left := 0
	err = c.Wait(inv.ctx, sight, sets, cmd.Timeout, func(n int) {
		if left = n; n == 0 {
			return
		}
		inv.say("waiting for %s of %s", count(n, "partition"), strings.Join(names, ", "))
	})
	late := errors.Is(err, backfill.ErrWaited)
	if inv.json() && (err == nil || late) {
		if err := inv.answer(struct {
			Schema  string   `json:"schema"`
			Tables  []string `json:"tables"`
			Fresh   bool     `json:"fresh"`
			Missing int      `json:"missing"`
		}{"headway.wait/v1", names, !late, left}); err != nil {
			return err
		}
	}
	if late {
		return &exitError{Code: exitTaken, told: true, Err: fmt.Errorf("%w: %s of %s: see `headway status %s`, or wait longer with --timeout",
			err, count(left, "partition"), strings.Join(names, ", "), names[0])}
	}
	return err
}
