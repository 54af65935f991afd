//go:build unix

package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/headway-data/headway/internal/executor/shim"
)

// A watch is what this process knows of a command that runs under a shim. One goroutine has it.
type watch struct {
	*process
	path    string
	by      *supervisor
	changed <-chan struct{} // closed when the lease is trusted for longer than the shim was told last
	silent  <-chan struct{} // closed when nobody can write to the command's streams any more

	pid     int // of the command
	ended   bool
	status  syscall.WaitStatus
	refused syscall.Errno // why it could not be started
	broken  string        // why the shim could not do what it is for
	left    []int         // what could not be killed without the shim
	late    bool          // it was stopped because its lease was not renewed
}

// start starts the program under a shim.
func (p *process) start(ctx context.Context, stdin, stdout, stderr *os.File) (*watch, error) {
	// It is only looked for here, and its variables put in order: of two of one name the last counts.
	program := exec.Command(p.args[0]) //nolint:gosec,noctx // to run what the project says is the point
	program.Env = p.env
	if program.Err != nil {
		return nil, p.startError(program.Err) // it is not in PATH
	}
	by, err := p.shims.get()
	if err != nil {
		return nil, fmt.Errorf("the process that supervises the command of %s cannot be started: %w", p.table, err)
	}
	until, changed := p.trust.Until()
	settings := shim.Settings{Until: until, Grace: p.grace, Drain: p.drain, Dir: p.dir, Path: program.Path, Args: p.args, Env: program.Environ()}
	if err := by.run(settings, stdin, stdout, stderr); err != nil {
		by.end()
		return nil, fmt.Errorf("the process that supervises the command of %s cannot be told to run it: %w", p.table, err)
	}
	w := &watch{process: p, path: program.Path, by: by, changed: changed}
	if err := w.confirmed(ctx); err != nil {
		return w, err
	}
	return w, nil
}

// confirmed gives the shim the word to start the command, once it can be found by its mark: whoever has taken the partitions before that is heard of
// now, and whoever takes them from now on finds the shim, and waits for its end.
func (w *watch) confirmed(ctx context.Context) error {
	select {
	case r, ok := <-w.by.reports:
		switch {
		case !ok:
			return nil // the wait for the command says so
		case r.Kind != shim.Ready:
			w.note(r) // it is broken
			return nil
		}
	case <-ctx.Done():
		w.by.end()
		return w.stopped(ctx, nil)
	}
	if err := w.confirm(ctx); err != nil {
		w.by.end()
		return err
	}
	w.by.tell(shim.OrderGo)
	return nil
}

// wait waits until nothing of a command is left, and stops it when ctx ends. over is false if that takes longer than it may: then it is
// left to the shim, which goes on trying.
func (w *watch) wait(ctx context.Context) (over bool) {
	stop, silent := ctx.Done(), (<-chan struct{})(nil)
	var patience, deaf <-chan time.Time
	for {
		select {
		case r, ok := <-w.by.reports:
			if !ok {
				_ = w.by.socket.Close()
				w.orphaned()
				return true
			}
			switch w.note(r); r.Kind {
			case shim.Over:
				w.shims.put(w.by)
				return true
			case shim.Exit:
				silent, patience = w.silent, time.After(w.grace+w.drain+dying)
			case shim.Deadline:
				patience = time.After(w.grace + dying)
			}
		case <-stop:
			stop, patience, deaf = nil, time.After(w.grace+dying), time.After(w.grace+listening)
			w.out.say(fmt.Sprintf("stopping: %v", context.Cause(ctx)))
			w.by.tell(shim.OrderStop)
		case <-w.changed:
			var until time.Duration
			until, w.changed = w.trust.Until()
			w.by.tell(shim.OrderUntil(until))
		case <-silent:
			// Nobody has a last word to say.
			silent = nil
			if stop != nil {
				w.by.tell(shim.OrderKill)
			}
		case <-deaf:
			// The shim has not done what it is for: somebody has suspended it, perhaps.
			w.sweep()
		case <-patience:
			w.by.end()
			return false
		}
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

// listening is how long after the time of grace a shim may take to end what it was told to, before this process does.
const listening = 2 * time.Second

// sweep kills what the command has started, and its shim, without the shim.
func (w *watch) sweep() { w.left = shim.KillMarked(w.attempt, dying) }

// orphaned kills what is within reach when somebody has killed the shim: the command's process group, and what carries its mark.
func (w *watch) orphaned() {
	if w.pid != 0 && !w.ended {
		_ = syscall.Kill(-w.pid, syscall.SIGKILL)
	}
	w.sweep()
}

// mayLive says what may still run of a command whose shim is gone.
func (w *watch) mayLive() string {
	switch {
	case !shim.SeesMarks:
		return ": what it had started in sessions of their own may still run"
	case len(w.left) > 0:
		return fmt.Sprintf(": processes %v, which it had started, do not end, not even by KILL", w.left)
	}
	return ""
}
