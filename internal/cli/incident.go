package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// incidentTable is the table that two backfills wrote at once.
const incidentTable = "team_offense_game_summary"

// incidentMetric is what the fix was to mend: the share of players whose usage rate is known.
const incidentMetric = "player_game_summary.usage_rate.not_null >= 0.95"

// jobCmd is the demo's stand-in for a person's own script: it runs a query over a range, and writes to the stage that it is given.
type jobCmd struct {
	Path  string `arg:""`
	Query string `arg:""`
	From  string `arg:""`
	To    string `arg:""`
}

// Run runs the query.
func (cmd *jobCmd) Run(inv *invocation) error {
	text, err := os.ReadFile(resolve(inv.Dir, cmd.Query))
	if err != nil {
		return err
	}
	staging, _ := inv.Lookup("HEADWAY_STAGING_TABLE")
	query := strings.NewReplacer("$STAGING", staging, "$FROM", cmd.From, "$TO", cmd.To).Replace(string(text))
	return duckdb.Script(inv.ctx, resolve(inv.Dir, cmd.Path), query)
}

// A night is the incident, replayed: real processes on one warehouse.
type night struct {
	*demo
	root                    string
	first, fixEnd, last     string   // of the table; the fix goes up to fixEnd
	zombieFrom, zombieTo    string   // a range after the fix
	self                    []string // how headway is started as a process of its own
	phase1, fix             string   // runs
	seen                    []seenProgress
	again, refused, expects int // exit codes: phase 1 started again, the fix at first, the wrong fix
	zombie                  string
	zombieExit              int
	overlap, total          int
}

// seenProgress is what ps told of the fix at one moment.
type seenProgress struct{ done, total int }

// A process is a headway of its own.
type process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer // stdout and stderr
	done chan struct{}
	code int // once done
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimRight(p.out.String(), "\n")
}

// start starts headway in a checkout, as a process of its own, and shows the command.
func (n *night) start(checkout string, env []string, args ...string) *process {
	p := &process{done: make(chan struct{})}
	if n.err != nil {
		close(p.done)
		return p
	}
	n.inv.print("%s$ headway %s &", checkout, shellWords(args))
	c := exec.CommandContext(n.inv.ctx, n.self[0]) //nolint:gosec // this program again
	c.Args, c.Dir = append([]string{"headway"}, args...), filepath.Join(n.root, checkout)
	c.Env = append(append(os.Environ(), "HEADWAY_DEMO="+n.self[1]), env...)
	c.Stdout, c.Stderr = p, p
	// Stopped as a person would stop it, so that it ends its own commands.
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	if err := c.Start(); err != nil {
		n.err = fmt.Errorf("start headway: %w", err)
		close(p.done)
		return p
	}
	p.cmd = c
	go func() {
		defer close(p.done)
		_ = c.Wait()
		p.code = c.ProcessState.ExitCode()
	}()
	return p
}

// end waits for a process, and shows what it said last.
func (n *night) end(what string, p *process, lines int) int {
	<-p.done
	if n.err != nil {
		return 0
	}
	n.inv.print("%s ended with exit %d:", what, p.code)
	all := strings.Split(p.text(), "\n")
	for _, line := range all[max(0, len(all)-lines):] {
		n.inv.print("  %s", line)
	}
	return p.code
}

// in runs a command in a checkout, in the foreground.
func (n *night) in(checkout, why string, args ...string) int {
	if n.err != nil {
		return 0
	}
	if why != "" {
		n.inv.heading("%s", why)
	}
	n.inv.print("%s$ headway %s", checkout, shellWords(args))
	var out bytes.Buffer
	here := *n.inv.Process
	here.Dir, here.Stdout, here.Stderr = filepath.Join(n.root, checkout), &out, &out
	began := n.inv.Now()
	code := Main(n.inv.ctx, &here, args)
	for line := range strings.Lines(out.String()) {
		n.inv.print("  %s", strings.TrimRight(line, "\n"))
	}
	n.inv.print("(%s, exit %d)", n.inv.Now().Sub(began).Round(10*time.Millisecond), code)
	return code
}

// ask gives the JSON answer of a command.
func (n *night) ask(into any, args ...string) error {
	var out bytes.Buffer
	here := *n.inv.Process
	here.Dir, here.Stdout, here.Stderr = filepath.Join(n.root, checkoutNew), &out, io.Discard
	Main(n.inv.ctx, &here, append(args, "-q", "-o", "json"))
	return json.Unmarshal(out.Bytes(), into)
}

// psRun is what the story needs of a run in ps/v1.
type psRun struct {
	Run   string `json:"run"`
	Class string `json:"class"`
	State string `json:"state"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

func (n *night) runs() []psRun {
	var answer struct {
		Runs []psRun `json:"runs"`
	}
	if n.err == nil {
		n.err = n.ask(&answer, "ps")
	}
	return answer.Runs
}

// until polls what runs, four times a second, until something holds; the story fails if it does not within two minutes.
func (n *night) until(what string, holds func(runs []psRun) bool) {
	ctx, cancel := context.WithTimeout(n.inv.ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for n.err == nil && !holds(n.runs()) {
		select {
		case <-ctx.Done():
			n.err = fmt.Errorf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// play plays the night.
func (d *demo) incident(data string) error {
	n := &night{demo: d, root: filepath.Join(d.dir, "incident")}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	n.self = []string{self, self}
	if runtime.GOOS == "linux" {
		n.self[0] = "/proc/self/exe"
	}
	if err := os.MkdirAll(n.root, 0o750); err != nil {
		return err
	}
	if err := makeCheckouts(n.root, data); err != nil {
		return fmt.Errorf("make the checkouts: %w", err)
	}
	d.inv.heading("THE NIGHT OF 3 JANUARY, once more, with real processes. Three checkouts share a warehouse: old code with home and away the wrong " +
		"way round\nin its keys, a fix that fixes nothing, and the fix.")
	n.history()
	n.wrongFix()
	n.collision()
	n.freeze()
	n.rest()
	if n.err != nil {
		return n.err
	}
	return n.account()
}

// history computes everything with the old code.
func (n *night) history() {
	n.in(checkoutOld, "History: everything was computed by the old code. Its one check only warns, and nobody reads warnings.", "run", "--yes", "-q")
	var status struct {
		Tables []struct {
			Intervals []struct {
				Start string `json:"start"`
				End   string `json:"end"`
				State string `json:"state"`
			} `json:"intervals"`
		} `json:"tables"`
	}
	if n.err != nil {
		return
	}
	var here bytes.Buffer
	old := *n.inv.Process
	old.Dir, old.Stdout, old.Stderr = filepath.Join(n.root, checkoutOld), &here, io.Discard
	Main(n.inv.ctx, &old, []string{"status", incidentTable, "--no-observe", "-q", "-o", "json"})
	if err := json.Unmarshal(here.Bytes(), &status); err != nil || len(status.Tables) == 0 {
		n.err = fmt.Errorf("see what the history holds: %w", err)
		return
	}
	for _, iv := range status.Tables[0].Intervals {
		if iv.State == "fresh" {
			n.first = firstOf(n.first, iv.Start)
			n.last = iv.End
		}
	}
	last, err := time.Parse(time.DateOnly, n.last)
	if err != nil {
		n.err = fmt.Errorf("see what the history holds: %w", err)
		return
	}
	last = last.AddDate(0, 0, -1)
	n.last, n.fixEnd = last.Format(time.DateOnly), "2024-05-01"
	if n.last < "2024-06" { // the generated league is shorter
		n.fixEnd = "2022-12-31"
	}
	n.zombieFrom, n.zombieTo = last.AddDate(0, 0, -20).Format(time.DateOnly), last.AddDate(0, 0, -10).Format(time.DateOnly)
}

// wrongFix runs a fix that does not fix: nobody measured before and after.
func (n *night) wrongFix() {
	n.expects = n.in(checkoutWrong, "A first fix. Its steps all succeed; what it was to mend is measured before and after, and it has not moved.",
		"run", incidentTable, "player_game_summary", "--class", "fix", "--no-downstream", "--from", n.first, "--to", n.month(), "--expect", incidentMetric,
		"--reason", "home and away were mixed up")
}

// month is a date some weeks after the first.
func (n *night) month() string {
	first, err := time.Parse(time.DateOnly, n.first)
	if err != nil {
		return n.first
	}
	return first.AddDate(0, 1, 0).Format(time.DateOnly)
}

// collision is the heart of it: phase 1 with the old code over everything, and the fix over most of it.
func (n *night) collision() {
	if n.err != nil {
		return
	}
	n.inv.heading("Phase 1: a backfill of the team table, the old script over everything, started before anybody knew.")
	job := []string{"--", "sh", "jobs/phase1.sh", "{from}", "{to}"}
	phase1 := n.start(checkoutOld, nil, append([]string{
		"exec", "--table", incidentTable, "--from", n.first, "--to", n.last, "--chunk", "21d", "--reason", "phase 1: fill the seasons again",
	}, job...)...)
	n.until("phase 1 has done something", func(runs []psRun) bool {
		for _, r := range runs {
			if r.Done > 0 {
				n.phase1, n.total = r.Run, r.Total
			}
		}
		return n.phase1 != ""
	})
	fix := []string{
		"run", incidentTable, "--class", "fix", "--from", n.first, "--to", n.fixEnd, "--expect", incidentMetric, "--yes",
		"--reason", "home rows had keys that nothing joins to",
	}
	n.refused = n.in(checkoutNew, "The fix. Its range overlaps: it is refused, and told who has it and what would resolve it.", fix...)
	if n.err != nil {
		return
	}
	n.inv.heading("A fix goes before a backfill: it takes exactly the overlap. Phase 1 goes on with the rest.")
	fixing := n.start(checkoutNew, nil, append(fix, "--on-conflict", "preempt")...)
	n.until("the fix has the range", func(runs []psRun) bool {
		for _, r := range runs {
			if r.Class == "fix" && r.Done > 0 {
				n.fix = r.Run
			}
		}
		select {
		case <-fixing.done:
			return true
		default:
			return n.fix != ""
		}
	})
	n.inv.heading("Somebody starts phase 1 again; it queues behind the fix.")
	queued := n.start(checkoutOld, nil, append([]string{
		"exec", "--table", incidentTable, "--from", n.first, "--to", n.month(), "--on-conflict", "wait", "--reason", "phase 1, once more",
	}, job...)...)
	n.watch(fixing)
	n.in(checkoutNew, "All along, anybody can see it.", "ps", "--all")
	n.end("the fix", fixing, 30)
	if code := n.end("phase 1, queued behind the fix,", queued, 2); n.err == nil {
		n.again = code
	}
	n.end("phase 1", phase1, 4)
}

// watch takes down what ps tells of the fix while it runs.
func (n *night) watch(fixing *process) {
	n.until("the fix has ended", func(runs []psRun) bool {
		for _, r := range runs {
			if r.Run == n.fix && (len(n.seen) == 0 || n.seen[len(n.seen)-1].done != r.Done) {
				n.seen = append(n.seen, seenProgress{r.Done, r.Total})
			}
		}
		select {
		case <-fixing.done:
			return true
		default:
			return false
		}
	})
}

// freeze lets a machine freeze at the worst moment: just before it publishes. Its lease is broken, another has the range, and then it wakes.
func (n *night) freeze() {
	if n.err != nil {
		return
	}
	pipe := filepath.Join(n.root, "frozen")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		n.err = fmt.Errorf("make a named pipe: %w", err)
		return
	}
	n.inv.heading("Another of phase 1's jobs, on a machine that freezes just before it publishes. (SIGSTOP.)")
	p := n.start(checkoutOld, []string{stallVariable + "=" + pipe},
		"exec", "--table", incidentTable, "--from", n.zombieFrom, "--to", n.zombieTo, "--reason", "phase 1, the last weeks", "--", "sh", "jobs/phase1.sh", "{from}", "{to}")
	n.until("it is about to publish", func(runs []psRun) bool {
		for _, r := range runs {
			n.zombie = r.Run
		}
		return strings.Contains(p.text(), "stalled before a publish")
	})
	if n.err != nil {
		return
	}
	n.signal(p, syscall.SIGSTOP)
	var leases struct {
		Leases []struct {
			Lease *string `json:"lease"`
		} `json:"leases"`
	}
	if n.err = n.ask(&leases, "ps", "--leases"); n.err != nil || len(leases.Leases) == 0 || leases.Leases[0].Lease == nil {
		return
	}
	n.in(checkoutNew, "Nobody waits for it: its lease is broken, and the fix takes its dates.", "lease", "break", *leases.Leases[0].Lease, "--reason", "its machine hangs")
	n.in(checkoutNew, "", "run", incidentTable, "--class", "fix", "--no-downstream", "--from", n.zombieFrom, "--to", n.zombieTo, "-q", "--reason", "the last weeks as well")
	n.inv.heading("The frozen job wakes up, knows nothing, and publishes. (SIGCONT.)")
	n.signal(p, syscall.SIGCONT)
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) //nolint:gosec // the pipe just made
	if err != nil {
		n.err = fmt.Errorf("wake it up: %w", err)
		return
	}
	_ = w.Close()
	n.zombieExit = n.end("the woken job", p, 3)
}

func (n *night) signal(p *process, s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && n.err == nil {
		n.err = fmt.Errorf("signal %s: %w", s, err)
	}
}

// rest computes what rests on it, in order.
func (n *night) rest() {
	n.in(checkoutNew, "Phase 4 by itself is refused where its inputs are stale: what is not right is not computed from.",
		"run", "player_composite_factors", "--from", n.last, "--to", n.last)
	n.in(checkoutNew, "With what it rests on, in order: the rest of the table with the new code, then the players, then phase 4.", "run", "--yes", "-q")
	n.in(checkoutNew, "", "status")
	n.in(checkoutNew, "Who did what by hand, and why. The log is a chain: nothing in it can be changed unseen.", "audit")
	n.in(checkoutNew, "", "audit", "--verify")
}
