//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/headway-data/headway/internal/executor/shim"
)

// A watch is what this process knows of a command that runs under a shim. One goroutine has it.
type watch struct {
	*process
	path    string
	shim    *exec.Cmd
	orders  *os.File           // to the shim; the end of the pipe tells it that this process is gone
	reports <-chan shim.Report // from the shim; closed when it has ended
	changed <-chan struct{}    // closed when the lease is trusted for longer than the shim was told last
	silent  <-chan struct{}    // closed when nobody can write to the command's streams any more

	pid     int // of the command
	ended   bool
	status  syscall.WaitStatus
	refused syscall.Errno // why it could not be started
	broken  string        // why the shim could not do what it is for
	late    bool          // it was stopped because its lease was not renewed
}

// start starts the program under a shim.
func (p *process) start(ctx context.Context, stdout, stderr *os.File) (*watch, error) {
	program := exec.CommandContext(context.WithoutCancel(ctx), p.args[0]) //nolint:gosec // to run what the project says is the point
	if program.Err != nil {
		return nil, p.startError(program.Err) // it is not in PATH
	}
	orders, reports, err := openPipes()
	if err != nil {
		return nil, fmt.Errorf("make pipes for the command of %s: %w", p.table, err)
	}
	defer closeAll(orders.r, reports.w)
	until, changed := p.trust.Until()
	settings := shim.Settings{Until: until, Grace: p.grace, Drain: p.drain, Path: program.Path, Args: p.args}
	// The end of ctx is answered by wait, with more patience and more thoroughly than exec would.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.shim[0]) //nolint:gosec // this program again, or what the wiring says
	cmd.Args = slices.Concat([]string{"headway"}, p.shim[1:], settings.Arguments())
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, stdout, stderr
	if p.streams != nil && p.streams.In != nil {
		cmd.Stdin = p.streams.In
	}
	cmd.ExtraFiles = []*os.File{orders.r, reports.w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signal of a terminal reaches it
	if err := cmd.Start(); err != nil {
		closeAll(orders.w, reports.r)
		return nil, p.shimError(program.Path, err)
	}
	told := make(chan shim.Report)
	go func() {
		defer close(told)
		shim.Read(reports.r, func(r shim.Report) { told <- r })
		_ = reports.r.Close()
		_ = cmd.Wait() // how the command ended has been told
	}()
	return &watch{process: p, path: program.Path, shim: cmd, orders: orders.w, reports: told, changed: changed}, nil
}

// shimError says why a shim could not be started. What it was given is the command's: its folder, its arguments and its variables.
func (p *process) shimError(path string, err error) error {
	_, dirErr := os.Stat(p.dir)
	switch {
	case errors.Is(err, syscall.E2BIG):
		return p.startError(&fs.PathError{Op: "fork/exec", Path: path, Err: syscall.E2BIG})
	case p.dir != "" && dirErr != nil:
		return p.startError(err)
	}
	return fmt.Errorf("the process that supervises the command of %s cannot be started: %w", p.table, err)
}

// openPipes makes the two pipes between this process and a shim.
func openPipes() (orders, reports pipe, err error) {
	s, err := openStreams()
	if err != nil {
		return pipe{}, pipe{}, err
	}
	return s.out, s.err, nil
}

// wait waits until nothing of a command is left, and stops it when ctx ends. over is false if that takes longer than it may: then it is
// left to the shim, which goes on trying.
func (w *watch) wait(ctx context.Context) (over bool) {
	defer w.orders.Close() //nolint:errcheck // nothing is buffered
	stop, silent := ctx.Done(), (<-chan struct{})(nil)
	var patience <-chan time.Time
	for {
		select {
		case r, ok := <-w.reports:
			if !ok {
				w.orphaned()
				return true
			}
			switch w.note(r); r.Kind {
			case shim.Exit:
				silent, patience = w.silent, time.After(w.grace+w.drain+dying)
			case shim.Deadline:
				patience = time.After(w.grace + dying)
			}
		case <-stop:
			stop, patience = nil, time.After(w.grace+dying)
			w.out.say(fmt.Sprintf("stopping: %v", context.Cause(ctx)))
			w.tell(shim.OrderStop)
		case <-w.changed:
			var until time.Duration
			until, w.changed = w.trust.Until()
			w.tell(shim.OrderUntil(until))
		case <-silent:
			// Nobody has a last word to say.
			silent = nil
			if stop != nil {
				w.tell(shim.OrderKill)
			}
		case <-patience:
			go w.drop()
			return false
		}
	}
}

// drop reads on what a shim tells that is not waited for any more.
func (w *watch) drop() {
	for r := range w.reports {
		_ = r
	}
}

// note takes in what the shim tells.
func (w *watch) note(r shim.Report) {
	switch r.Kind {
	case shim.Started:
		w.pid = r.N
	case shim.Refused:
		w.refused = syscall.Errno(r.N)
	case shim.Broken:
		w.broken = r.Text
	case shim.Exit:
		w.ended, w.status = true, syscall.WaitStatus(r.N) //nolint:gosec // it was one
	case shim.Deadline:
		w.late = true
		w.out.say("stopping: the lease was not renewed in time")
	case shim.Killing:
		w.out.say(fmt.Sprintf("killing: it has not ended within %s", w.grace))
	case shim.Left:
		w.out.say(fmt.Sprintf("killing what the command has left running: processes: %d", r.N))
	}
}

// tell gives the shim an order. One that has ended needs none.
func (w *watch) tell(order string) { _, _ = w.orders.WriteString(order) }

// orphaned kills what is within reach when somebody has killed the shim: the command's process group.
func (w *watch) orphaned() {
	if w.pid != 0 && !w.ended {
		_ = syscall.Kill(-w.pid, syscall.SIGKILL)
	}
}
