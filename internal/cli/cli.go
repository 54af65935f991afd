// Package cli is the command line: flags to use cases, answers to text or JSON, errors to exit codes. The result goes to stdout, all else
// to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/willabides/kongplete"
	"golang.org/x/term"

	"github.com/headway-data/headway/internal/backfill"
)

// A Process is what the command line is given by main: its streams, its folder and what the use cases need.
type Process struct {
	backfill.Environment
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Dir     string // working folder, absolute
	Version string
	// Config are the machine's and the user's configuration files, the first that says something wins. They need not exist.
	Config []string
	// StateDir is the folder of the user's own state; "" where he has none.
	StateDir string
	// Terminal reports whether a stream is one that a person looks at.
	Terminal func(w io.Writer) bool
	// Self is how this program is started again: see RunUnder.
	Self []string
	// Signal is the signal that ended ctx, or 0.
	Signal func() int
}

// commands is the whole command line, as kong reads it.
type commands struct {
	Project string `help:"Project file or folder." placeholder:"PATH" env:"HEADWAY_PROJECT"`
	State   string `help:"Where the state is: sqlite:PATH, or user for your own." placeholder:"URL" env:"HEADWAY_STATE"`
	Env     string `help:"Environment of the project file." placeholder:"NAME" env:"HEADWAY_ENV"`
	Output  string `help:"Form of the answer: text, json or jsonl." enum:"text,json,jsonl" default:"text" short:"o"`
	Quiet   bool   `help:"No progress on stderr." short:"q"`

	LeaseTTL time.Duration `hidden:"" help:"For how long leases are granted; for tests." env:"HEADWAY_LEASE_TTL"`

	Init     initCmd     `cmd:"" group:"project" help:"Make a project that runs at once."`
	Validate validateCmd `cmd:"" group:"project" help:"Check the project file; with --connect also the SQL."`
	Render   renderCmd   `cmd:"" group:"project" help:"Show the SQL or command lines as they would run."`
	Lineage  lineageCmd  `cmd:"" group:"project" help:"The graph of tables."`
	Code     codeCmd     `cmd:"" group:"project" help:"Code versions of a table."`

	Exec    execCmd    `cmd:"" group:"work" help:"Put Headway around a command of your own."`
	Plan    planCmd    `cmd:"" group:"work" help:"Show what would be computed, and why."`
	Run     runCmd     `cmd:"" group:"work" help:"Compute what is missing or stale."`
	Wait    waitCmd    `cmd:"" group:"work" help:"Wait until partitions are fresh."`
	Mark    markCmd    `cmd:"" group:"work" help:"Say that partitions are fresh, stale or skipped."`
	Observe observeCmd `cmd:"" group:"work" help:"Look at the sources: rows, columns, changes."`
	Check   checkCmd   `cmd:"" group:"work" help:"Run the checks on what is published."`

	Adopt  adoptCmd  `cmd:"" group:"who" help:"Give a process that already runs a lease."`
	Stop   stopCmd   `cmd:"" group:"who" help:"End a run; with --hold so that nothing starts it again."`
	Pause  pauseCmd  `cmd:"" group:"who" help:"Let a run start nothing for now."`
	Resume resumeCmd `cmd:"" group:"who" help:"Let a paused run go on."`
	Retry  retryCmd  `cmd:"" group:"work" help:"Do again what a run has left."`
	Hold   holdCmd   `cmd:"" group:"who" help:"Keep a table or a range of it from being written."`
	Unhold unholdCmd `cmd:"" group:"who" help:"Release a hold."`
	Lease  leaseCmd  `cmd:"" group:"who" help:"End a lease from outside."`
	Ledger stateCmd  `cmd:"" name:"state" group:"who" help:"Make this project's state the one that coordinates its warehouses."`
	Fence  fenceCmd  `cmd:"" group:"who" help:"Ask whether a token may still write."`

	Status statusCmd `cmd:"" group:"see" help:"Coverage by state, watermark, holes."`
	Why    whyCmd    `cmd:"" group:"see" help:"Why a partition is as it is, down to the root."`
	Ps     psCmd     `cmd:"" group:"see" help:"Runs under way: who, what, how far."`
	Show   showCmd   `cmd:"" group:"see" help:"A run: what it did to which partitions."`
	Logs   logsCmd   `cmd:"" group:"see" help:"What the attempts of a run wrote."`
	Audit  auditCmd  `cmd:"" group:"see" help:"Who did what by hand, and why."`

	DemoJob    jobCmd                       `cmd:"" hidden:"" name:"demo-job"`
	Demo       demoCmd                      `cmd:"" group:"help" help:"Run the reference pipeline, on generated or real data."`
	Doctor     doctorCmd                    `cmd:"" group:"help" help:"Look whether this machine and project are fit to run."`
	Schema     schemaCmd                    `cmd:"" group:"help" help:"JSON Schema of the project file and the answers."`
	Completion kongplete.InstallCompletions `cmd:"" group:"help" help:"Set up shell completion."`
	Version    versionCmd                   `cmd:"" group:"help" help:"Print the version."`
	Help       helpCmd                      `cmd:"" group:"help" help:"Print this, or the flags of a command."`

	laterCommands
}

// groups are how the help orders the commands.
var groups = []kong.Group{
	{Key: "project", Title: "The project:"},
	{Key: "work", Title: "To do the work:"},
	{Key: "who", Title: "Who may write:"},
	{Key: "see", Title: "To see what was done:"},
	{Key: "help", Title: "Help:"},
}

// invocation is what every command gets: the process, the flags, and where to answer.
type invocation struct {
	*Process
	flags *commands
	args  []string
	// prefix begins each line that is said on stderr, where others write there too.
	prefix string
	ctx    context.Context //nolint:containedctx // kong hands one value to the command's Run; the context lives as long as that call
}

// Main runs one command line and gives its exit code.
func Main(ctx context.Context, p *Process, args []string) int {
	flags := commands{Output: outputOf(args)}
	if p.Shims != nil {
		defer p.Shims.Close()
	}
	inv := &invocation{Process: p, flags: &flags, args: args, ctx: ctx}
	exited := -1
	parser, err := kong.New(&flags,
		kong.Name("headway"),
		kong.Description("Coordinates backfills of date-partitioned tables."),
		kong.Writers(p.Stdout, p.Stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups(groups),
		kong.Vars{"version": p.Version},
		kong.WithHyphenPrefixedParameters(true), // --from -3d
	)
	if err != nil {
		return inv.fail(err)
	}
	kongplete.Complete(parser)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == "help" && !slices.Contains(args, "--help") {
		args = append(slices.Clone(args[1:]), "--help")
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		flags.Output = outputOf(args)
		if err = usage(err, args); args[0] == "exec" {
			err = &exitError{Code: ownCode(exitUsage), Err: err}
		}
		return inv.fail(err)
	}
	p.LeaseTTL = flags.LeaseTTL
	if err := k.Run(inv); err != nil {
		return inv.fail(err)
	}
	return 0
}

// outputOf is the form of answer that a command line asks for: errors in the line itself are told in that form too.
func outputOf(args []string) string {
	for i, arg := range args {
		if arg == "--" {
			break // what follows is for a command of a person's own
		}
		name, value, given := strings.Cut(arg, "=")
		if !given && i+1 < len(args) {
			value = args[i+1]
		}
		if (name == "-o" || name == "--output") && (value == "json" || value == "jsonl") {
			return value
		}
	}
	return "text"
}

// usage marks an error of the command line itself.
func usage(err error, args []string) error {
	next := "see `headway --help`"
	if known := commandOf(args); known != "" {
		next = fmt.Sprintf("see `headway %s --help`", known)
	}
	return &backfill.InputError{What: err.Error(), Next: next}
}

// commandOf is the command that a line names, "" where it names none.
func commandOf(args []string) string {
	for _, arg := range args {
		if arg != "" && commandNames[arg] {
			return arg
		}
	}
	return ""
}

// open opens the project of this invocation. The caller closes it.
func (inv *invocation) open(readOnly bool) (*backfill.Coordinator, error) {
	return inv.openWith(readOnly, nil)
}

// openWith opens the project for a command of a person's own.
func (inv *invocation) openWith(readOnly bool, wrap *backfill.Wrap) (*backfill.Coordinator, error) {
	dir, file, err := inv.projectFile()
	if err != nil {
		return nil, err
	}
	fallback, err := configuredState(inv.Config)
	if err != nil {
		return nil, err
	}
	state := inv.flags.State
	if state == userWord {
		if state, err = inv.userState(); err != nil {
			return nil, err
		}
	}
	return backfill.Open(inv.ctx, inv.Environment, backfill.Options{
		Dir: dir, File: file, Env: inv.flags.Env, State: state, Fallback: fallback, ReadOnly: readOnly, Wrap: wrap,
	})
}

const projectFileName = "headway.yaml"

// projectFile finds the project: the one named, or the nearest headway.yaml in this folder and those above it.
func (inv *invocation) projectFile() (dir, file string, err error) {
	if named := inv.flags.Project; named != "" {
		if !filepath.IsAbs(named) {
			named = filepath.Join(inv.Dir, named)
		}
		info, err := os.Stat(named)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", "", &backfill.InputError{What: "no project at " + named, Next: "make one with `headway init`"}
		case err != nil:
			return "", "", fmt.Errorf("look for the project: %w", err)
		case info.IsDir():
			return named, projectFileName, nil
		}
		return filepath.Dir(named), filepath.Base(named), nil
	}
	for at := inv.Dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, projectFileName)); err == nil {
			return at, projectFileName, nil
		}
		if at == filepath.Dir(at) {
			return "", "", &backfill.InputError{
				What: fmt.Sprintf("no %s in %s or above it", projectFileName, inv.Dir),
				Next: "make a project with `headway init`, or name one with --project",
			}
		}
	}
}

// say writes a line for people to stderr, unless --quiet.
func (inv *invocation) say(format string, args ...any) {
	if !inv.flags.Quiet {
		fmt.Fprintln(inv.Stderr, inv.prefix+inv.plain(inv.Stderr, fmt.Sprintf(format, args...)))
	}
}

// warn writes a line to stderr that --quiet does not silence.
func (inv *invocation) warn(format string, args ...any) {
	fmt.Fprintln(inv.Stderr, inv.prefix+"warning: "+inv.plain(inv.Stderr, fmt.Sprintf(format, args...)))
}

// json reports whether the answer is wanted as JSON.
func (inv *invocation) json() bool { return inv.flags.Output != "text" }

// terminalOf is the default for Process.Terminal.
func terminalOf(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// reason gives the reason for what hurts: from the flag, or asked for on a terminal.
func (inv *invocation) reason(given, what string) (string, error) {
	if strings.TrimSpace(given) != "" {
		return given, nil
	}
	if f, ok := inv.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(inv.Stderr, "reason to %s: ", what)
		line, err := readLine(inv.Stdin)
		if err == nil && strings.TrimSpace(line) != "" {
			return strings.TrimSpace(line), nil
		}
	}
	return "", &backfill.InputError{What: "a reason is needed to " + what, Next: "say it with --reason \"…\": it is kept in the audit log"}
}

// Logger is the log of a process: warnings and worse, as text, on stderr.
func Logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func readLine(r io.Reader) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for b.Len() < 4096 {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			return b.String(), nil
		}
		if n == 1 {
			b.WriteByte(one[0])
		}
		if err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}
