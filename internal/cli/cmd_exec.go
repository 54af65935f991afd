package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/ledger"
)

type execCmd struct {
	rangeFlags
	policyFlags
	Table       []string      `required:"true" help:"The table that the command writes. Repeat it where the command writes several." placeholder:"T"`
	Reads       []string      `help:"A table that the command reads: nobody writes these dates of it meanwhile." placeholder:"T"`
	Class       string        `enum:"fix,scheduled,backfill" default:"backfill" help:"fix, scheduled or backfill."`
	Timeout     time.Duration `help:"How long one run of the command may take." placeholder:"D"`
	Chunk       string        `help:"Run the command once for each so many partitions (N), days (30d), hours (6h) or months (3mo)." placeholder:"N|D"`
	MaxParallel int           `help:"Chunks at once." default:"1" placeholder:"N"`
	Retries     int           `help:"How often a chunk is tried again." placeholder:"N"`
	FailFast    bool          `help:"Stop at the first chunk that fails."`
	Reverse     bool          `help:"Newest chunks first."`
	Files       []string      `help:"Files that are part of the code, beside those among the arguments." placeholder:"GLOB" sep:"none"`
	Producer    string        `help:"Whose versions of the code these are; default: the program and its first file." placeholder:"NAME"`
	CodeVersion string        `name:"version" help:"Which version of the code this is; default: a hash of the arguments and the files." placeholder:"V"`
	Resume      bool          `help:"Do what the last exec of the same tables, range, command and files left."`
	Direct      bool          `help:"The command writes to the table itself, and not to HEADWAY_STAGING_TABLE."`
	Grain       string        `enum:",hour,day,month,none" default:"" help:"Grain of a table that no project declares; default: as the range is written." placeholder:"G"`
	Report      string        `help:"Write what became of it, or who is in the way, as JSON to a file." placeholder:"FILE"`
	Reason      string        `help:"Why; kept with the run." placeholder:"TEXT"`

	AllowDowngrade bool `help:"Let this code replace what newer code, or a fix, wrote; wants --reason, which the audit log keeps."`

	Cmd []string `arg:"" help:"The command, after --. {from} {to} {start} {end} {dates} {token} in its arguments are filled in." passthrough:""`
}

// ownCodes is what Headway adds to its own exit codes where others are a command's.
const ownCodes = 100

// Run puts Headway around a command.
func (cmd *execCmd) Run(inv *invocation) error {
	inv.prefix = "headway: "
	err := cmd.run(inv)
	var exit *exitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Err == nil:
		return err
	}
	return &exitError{Code: ownCode(inv.codeOf(err)), Err: err}
}

// ownCode is a code of Headway's own beside those of a command. Signals are everybody's.
func ownCode(code int) int {
	if code > 0 && code < ownCodes {
		return ownCodes + code
	}
	return code
}

func (cmd *execCmd) run(inv *invocation) error {
	if inv.json() {
		return &backfill.InputError{What: "stdout is the command's: exec answers nothing there", Next: "name a file with --report FILE"}
	}
	args, err := cmd.given()
	if err != nil {
		return err
	}
	if cmd.AllowDowngrade {
		reason, err := inv.reason(cmd.Reason, "let older code write")
		if err != nil {
			return err
		}
		cmd.Reason = reason
	}
	if err := cmd.reportable(inv); err != nil {
		return err
	}
	outcomes := &outcomes{codes: map[string]int{}}
	wrap, err := cmd.wrap(inv, args, outcomes)
	if err != nil {
		return err
	}
	if inv.Shims != nil {
		// The shim starts while the lease is being had; the command itself does not before it is there.
		warm := make(chan struct{})
		go func() { defer close(warm); inv.Shims.Warm() }()
		defer func() { <-warm }()
	}
	c, err := cmd.open(inv, wrap)
	if err != nil {
		return err
	}
	defer inv.close(c)
	asked, err := askedOf(inv, c, cmd.Table, cmd.rangeFlags)
	if err != nil {
		return err
	}
	sight, err := inv.lookWith(c, backfill.LookOptions{Tables: cmd.Table, Asked: asked})
	if err != nil {
		return err
	}
	sets, err := inv.resolve(c, sight, cmd.Table, cmd.rangeFlags, true)
	if err != nil {
		return err
	}
	if c.Unseen() {
		sets = asked
	}
	return cmd.carryOut(inv, c, sight, sets, outcomes)
}

// given is the command, and an error where the flags before it cannot be meant.
func (cmd *execCmd) given() ([]string, error) {
	const example = "headway exec --table T --from A --to B -- python3 job.py {from} {to}"
	args := cmd.Cmd
	switch {
	case len(args) > 0 && args[0] == "--":
		args = args[1:]
	case len(args) > 0 && strings.HasPrefix(args[0], "-"):
		return nil, &backfill.InputError{What: "exec has no flag " + args[0], Next: "see `headway exec --help`; the command stands after --: " + example}
	}
	negative := func(flag string, bad bool) error {
		if !bad {
			return nil
		}
		return &backfill.InputError{What: flag + " is below what it can be", Next: "see `headway exec --help`"}
	}
	if len(args) == 0 {
		return nil, &backfill.InputError{What: "there is no command", Next: "write it after --: " + example}
	}
	if len(cmd.Table) == 0 {
		return nil, &backfill.InputError{What: "--table names no table", Next: "name what the command writes: " + example}
	}
	return args, errors.Join(
		negative("--retries", cmd.Retries < 0), negative("--timeout", cmd.Timeout < 0), negative("--wait-timeout", cmd.WaitTimeout < 0),
		negative("--max-parallel", cmd.MaxParallel < 1), negative("--last", cmd.Last < 0),
	)
}

// carryOut runs the command, tells what became of it, and gives the exit code.
func (cmd *execCmd) carryOut(inv *invocation, c *backfill.Coordinator, sight *backfill.Sight, sets map[string]calendar.Set, outcomes *outcomes) error {
	reads, err := cmd.reads(c, sets)
	if err != nil {
		return err
	}
	expect, err := cmd.expectations(c)
	if err != nil {
		return err
	}
	requested := maps.Clone(sets)
	progress := inv.newProgress(c)
	progress.heading = cmd.heading(c, sets)
	report, err := c.Exec(inv.ctx, sight, sets, cmd.Resume, backfill.RunOptions{
		Class: ledger.Class(cmd.Class), MaxParallel: cmd.MaxParallel, FailFast: cmd.FailFast, Reverse: cmd.Reverse, Reason: cmd.Reason,
		Command: "headway " + backfill.ShellLine(inv.args), Reads: reads, OnStart: progress.start, OnEvent: progress.event,
		AllowDowngrade: cmd.AllowDowngrade,
		OnConflict:     cmd.policy(cmd.Class), WaitTimeout: cmd.WaitTimeout, OnWait: inv.tellWait(c),
		Expect: expect, Stall: inv.stall(),
		OnNothingToResume: func() {
			inv.say("there is nothing to resume: no exec of the same tables, range, command and files is known here, so all of it is done")
		},
	})
	progress.stop()
	if conflict := c.Conflict(err, ledger.Class(cmd.Class), requested, inv.args); conflict != nil {
		if err := cmd.write(inv, conflict); err != nil {
			return err
		}
		fmt.Fprintf(inv.Stderr, "headway: %s\n", inv.plain(inv.Stderr, conflict.Text(c)))
		return &exitError{Code: ownCodes + exitTaken}
	}
	switch {
	case report == nil && err == nil:
		inv.say("nothing is left of it: the last exec of the same tables, range, command and files did all")
		return nil
	case report == nil:
		return err
	}
	if writeErr := cmd.write(inv, report); writeErr != nil {
		return writeErr
	}
	inv.tellExec(report)
	if err != nil {
		return err
	}
	if code := outcomes.code(report.Exit); code != 0 {
		return &exitError{Code: code}
	}
	return nil
}

// heading is what is said of a run when it begins.
func (cmd *execCmd) heading(c *backfill.Coordinator, sets map[string]calendar.Set) string {
	parts := make([]string, 0, len(cmd.Table))
	for _, name := range cmd.Table {
		parts = append(parts, name+" "+c.Format(name, sets[name]))
	}
	level := "guarded: the command writes itself"
	if !c.Unseen() && !cmd.Direct && c.Tables[cmd.Table[0]].Write == catalog.Staged {
		level = "staged: Headway publishes"
	}
	return fmt.Sprintf("%s, class %s, %s", strings.Join(parts, ", "), cmd.Class, level)
}

// wrap is the command with what was said of it.
func (cmd *execCmd) wrap(inv *invocation, args []string, outcomes *outcomes) (*backfill.Wrap, error) {
	const everything = 10_000_000
	// What cannot be started reserves nothing and leaves nothing in doubt. (A path is looked for where the command runs, which is here.)
	if _, err := exec.LookPath(args[0]); err != nil {
		return nil, cannotStart(args[0], err)
	}
	w := &backfill.Wrap{
		Tables: cmd.Table, Args: args, Files: cmd.Files, Dir: inv.Dir, Typed: []string{cmd.From, cmd.To}, Producer: cmd.Producer,
		Version: cmd.CodeVersion, Direct: cmd.Direct, Retries: cmd.Retries, Timeout: cmd.Timeout, Streams: inv.streams(), Ended: outcomes.ended,
		Batch: catalog.Batch{Size: everything, Parallel: cmd.MaxParallel},
	}
	if cmd.Chunk != "" {
		n, unit, err := chunkOf(cmd.Chunk)
		if err != nil {
			return nil, err
		}
		if unit == calendar.None {
			w.Batch.Size = n
		} else {
			w.Batch.Span = n
			w.SpanUnit = unit
		}
	}
	return w, nil
}

// The codes of env(1).
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// cannotStart says why a program cannot be started.
func cannotStart(program string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &exitError{Code: exitCannotRun, Err: &backfill.InputError{What: fmt.Sprintf("%s cannot be run: %v", program, err), Next: "is it a program? If so: chmod +x"}}
	}
	return &exitError{Code: exitNotFound, Err: &backfill.InputError{What: fmt.Sprintf("there is no program %s: %v", program, err), Next: "install it, or write the path to it"}}
}

// chunkOf reads --chunk: a number of partitions, or of days, hours or months.
func chunkOf(text string) (n int, unit calendar.Grain, err error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	units := map[string]calendar.Grain{"": calendar.None, "h": calendar.Hour, "d": calendar.Day, "mo": calendar.Month}
	unit, ok := units[text[len(digits):]]
	n, bad := strconv.Atoi(digits)
	if !ok || bad != nil || n < 1 {
		return 0, 0, &backfill.InputError{What: fmt.Sprintf("--chunk %q is no size of a chunk", text), Next: "write a number of partitions like 7, or 30d, 6h, 3mo"}
	}
	return n, unit, nil
}

// open opens the project, or without one the state in which the tables of commands are.
func (cmd *execCmd) open(inv *invocation, wrap *backfill.Wrap) (*backfill.Coordinator, error) {
	if _, _, err := inv.projectFile(); err == nil && cmd.Grain != "" {
		return nil, &backfill.InputError{What: "--grain is for tables that no project declares", Next: "leave it away: the project says it"}
	}
	return inv.openCoordinating(wrap, axisOf(cmd.Grain, cmd.rangeFlags), slices.Concat(cmd.Table, cmd.Reads)...)
}

// axisOf is that of a table that no project declares: as the range is written, if nobody says.
func axisOf(grain string, r rangeFlags) calendar.Axis {
	axis := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
	switch grain {
	case "hour":
		axis.Grain = calendar.Hour
	case "month":
		axis.Grain = calendar.Month
	case "none":
		return calendar.Whole()
	case "":
		switch {
		case strings.Contains(r.From+r.To, "T"):
			axis.Grain = calendar.Hour
		case len(r.From) == len("2024-01") && len(r.To) == len("2024-01") && r.From[4] == '-' && r.To[4] == '-':
			axis.Grain = calendar.Month
		}
	}
	return axis
}

// askedOf are the partitions of tables that no calendar names; nil in a project.
func askedOf(inv *invocation, c *backfill.Coordinator, tables []string, r rangeFlags) (map[string]calendar.Set, error) {
	if !c.Unseen() {
		return nil, nil //nolint:nilnil // the project's calendars say
	}
	out := map[string]calendar.Set{}
	for _, name := range tables {
		t := c.Tables[name]
		if !t.Partitioned() {
			out[name] = calendar.Of(0)
			continue
		}
		if r.From == "" || r.To == "" {
			return nil, &backfill.InputError{
				What: fmt.Sprintf("which dates of %s are written? No project says where the table begins and ends", name),
				Next: "say --from and --to, or --grain none for a table without partitions",
			}
		}
		iv, err := t.Axis.ParseRange(r.From, r.To, inv.Now())
		if err != nil {
			return nil, &backfill.InputError{What: fmt.Sprintf("range of %s: %v", name, err)}
		}
		out[name] = calendar.NewSet(iv)
	}
	return out, nil
}

// reads are what nobody may write while the command runs: the tables of --reads, over the dates that are written.
func (cmd *execCmd) reads(c *backfill.Coordinator, sets map[string]calendar.Set) ([]ledger.Claim, error) {
	from := c.Tables[cmd.Table[0]]
	var set calendar.Set // of all tables, which have one axis
	for _, name := range cmd.Table {
		set = set.Union(sets[name])
	}
	if set.Empty() {
		return nil, nil
	}
	out := make([]ledger.Claim, 0, len(cmd.Reads))
	for _, name := range cmd.Reads {
		if _, err := c.Names([]string{name}); err != nil {
			return nil, err
		}
		t := c.Tables[name]
		over := calendar.Of(0)
		if t.Partitioned() {
			over = calendar.All()
			if from.Partitioned() {
				over = calendar.NewSet(from.Axis.Convert(set.Bounds(), t.Axis))
			}
		}
		out = append(out, ledger.Claim{Table: t.Key, Axis: t.Axis, Set: over})
	}
	return out, nil
}

// reportable makes the report's file, empty: that it cannot be written is to be known before the command has run, not after.
func (cmd *execCmd) reportable(inv *invocation) error {
	if cmd.Report == "" {
		return nil
	}
	if err := os.WriteFile(resolve(inv.Dir, cmd.Report), nil, 0o600); err != nil {
		return &backfill.InputError{What: fmt.Sprintf("--report: %v", err), Next: "name a file that can be written"}
	}
	return nil
}

// write writes a report's file, if one is wanted.
func (cmd *execCmd) write(inv *invocation, v any) error {
	if cmd.Report == "" {
		return nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.WriteFile(resolve(inv.Dir, cmd.Report), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// streams are this process's own for a command: as they are where a person looks at them, else passed on and logged.
func (inv *invocation) streams() *command.Streams {
	file := func(stream any, or *os.File) *os.File {
		if f, ok := stream.(*os.File); ok {
			return f
		}
		return or
	}
	return &command.Streams{
		In: file(inv.Stdin, os.Stdin), Out: file(inv.Stdout, os.Stdout), Err: file(inv.Stderr, os.Stderr), Inherit: inv.Terminal(inv.Stdout) || inv.Terminal(inv.Stderr),
	}
}

// tellExec says on stderr what became of it: stdout is the command's.
// What went wrong --quiet does not silence.
func (inv *invocation) tellExec(r *backfill.Report) {
	quiet := inv.flags.Quiet
	inv.flags.Quiet = quiet && r.Exit == 0
	defer func() { inv.flags.Quiet = quiet }()
	for _, t := range r.Tables {
		for _, open := range t.Open {
			inv.say("%s: %s %s", t.Table, open.What, intervalText(open.Intervals))
		}
		if t.Reason != nil {
			inv.say("  %s", strings.ReplaceAll(*t.Reason, "\n", "\n  "))
		}
		for _, c := range t.Checks {
			if figure(c.Before) != figure(c.After) || !c.Passed {
				inv.say("check %s: %s -> %s (wanted: %s)%s", c.ID, figure(c.Before), figure(c.After), wanted(c), map[bool]string{false: ": did not pass everywhere"}[c.Passed])
			}
		}
		if t.Published > 0 && t.Unchanged == t.Published {
			inv.warn("the command changed nothing in %s: all %s hold what they held before", t.Table, count(t.Published, "partition"))
		}
	}
	for _, e := range r.Expectations {
		inv.say("%s", e.Text())
	}
	line := fmt.Sprintf("run %s: %s in %.1f s: %s done", r.Run, r.State, r.Seconds, count(r.Published, "partition"))
	if r.Unchanged > 0 {
		line += fmt.Sprintf(", %s of them changed", thousands(r.Published-r.Unchanged))
	}
	inv.say("%s", line)
}
