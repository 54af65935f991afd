//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dying is how long a process may take to die of KILL. Only one that the kernel holds, like one that waits for a dead disk, takes any time.
const dying = 10 * time.Second

// A process is one run of a command.
type process struct {
	table, part string // for messages
	args        []string
	env         []string
	dir         string
	grace       time.Duration // from TERM to KILL
	drain       time.Duration // how long the rest of the output is waited for once the program has ended
	out         *output
}

// run runs the program to its end. It gives an *ExitError when the program failed, a *StartError when it could not be started, and an
// error that wraps the context's cause when it was stopped.
func (p *process) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return p.stopped(ctx, nil)
	}
	streams, err := openStreams()
	if err != nil {
		return fmt.Errorf("make pipes for the command of %s: %w", p.table, err)
	}
	defer streams.close()
	cmd := p.prepare(ctx)
	cmd.Stdout, cmd.Stderr = streams.out.w, streams.err.w
	ended, err := start(cmd)
	if err != nil {
		return p.startError(err)
	}
	streams.closeWriters()
	var last tail
	var pumps sync.WaitGroup
	pumps.Go(func() { p.out.pump(streams.out.r, nil) })
	pumps.Go(func() { p.out.pump(streams.err.r, &last) })
	silent := make(chan struct{}) // closed when nobody can write to the streams any more
	go func() {
		pumps.Wait()
		close(silent)
	}()
	stuck, exit := p.wait(ctx, cmd.Process.Pid, ended, silent)
	if !within(p.drain, silent) {
		p.out.say("something that the command started still holds its output, and is not waited for")
		streams.close()
		<-silent
	}
	switch {
	case stuck:
		return fmt.Errorf("process %d, the command of %s, does not end, not even by KILL, and is left behind: %w", cmd.Process.Pid, p.table, context.Cause(ctx))
	case ctx.Err() != nil:
		return p.stopped(ctx, last.lines)
	}
	return p.exitError(exit, last.lines)
}

// prepare makes the command; nothing has happened yet.
func (p *process) prepare(ctx context.Context) *exec.Cmd {
	// The end of ctx is answered by wait, with more patience and more thoroughly than exec would.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.args[0], p.args[1:]...) //nolint:gosec // to run what the project says is the point
	cmd.Env, cmd.Dir = p.env, p.dir
	cmd.SysProcAttr = attributes()
	return cmd
}

// start starts a command and gives a channel on which its end is told. A thread of its own does both: on Linux the child is killed when
// the thread that started it ends, so it must last as long as the child.
func start(cmd *exec.Cmd) (<-chan error, error) {
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}

// wait waits for the end of a program, whose process group has its id. When ctx ends the group gets TERM, and after the time of grace KILL.
// What the program leaves in its group may write its last lines (that is known by the streams) and is then killed. stuck means that even
// KILL did not end the program in time.
func (p *process) wait(ctx context.Context, group int, ended <-chan error, silent <-chan struct{}) (stuck bool, exit error) {
	// The group's id cannot be another's by then: ids are given out in turn, and whoever still writes is most likely of the group.
	defer kill(group, syscall.SIGKILL)
	select {
	case exit = <-ended:
		within(p.drain, silent)
		return false, exit
	case <-ctx.Done():
	}
	p.out.say(fmt.Sprintf("stopping: %v", context.Cause(ctx)))
	kill(group, syscall.SIGTERM)
	kill(group, syscall.SIGCONT) // what is suspended could not hear it
	grace := time.After(p.grace)
	select {
	case exit = <-ended:
		select {
		case <-silent:
		case <-grace:
		}
		return false, exit
	case <-grace:
	}
	p.out.say(fmt.Sprintf("killing: it has not ended within %s", p.grace))
	kill(group, syscall.SIGKILL)
	select {
	case exit = <-ended:
		return false, exit
	case <-time.After(dying):
		return true, nil
	}
}

// within waits for a channel to be closed, at most for d, and tells whether it was.
func within(d time.Duration, closed <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-timer.C:
		return false
	}
}

// kill sends a signal to a process group. A group that is gone needs none.
func kill(group int, s syscall.Signal) { _ = syscall.Kill(-group, s) }

func (p *process) stopped(ctx context.Context, last []string) error {
	return fmt.Errorf("the command of %s (%s) was stopped: %w%s", p.table, p.part, context.Cause(ctx), quote(last))
}

// exitError says how a program failed; nil when it did not.
func (p *process) exitError(exit error, last []string) error {
	if exit == nil {
		return nil
	}
	failed, ok := errors.AsType[*exec.ExitError](exit)
	if !ok {
		return fmt.Errorf("wait for the command of %s: %w", p.table, exit)
	}
	out := &ExitError{Table: p.table, Part: p.part, Program: p.args[0], Code: failed.ExitCode(), Last: last}
	if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		out.Signal = status.Signal()
		out.Code = 128 + int(out.Signal)
	}
	return out
}

// startError says why a program could not be started, and what to do.
func (p *process) startError(err error) error {
	out := &StartError{Table: p.table, Program: p.args[0], Code: 126, Err: err}
	_, dirErr := os.Stat(p.dir)
	switch {
	case p.dir != "" && dirErr != nil:
		out.Err, out.Next = dirErr, "commands run in the project's folder: is it still there?"
	case errors.Is(err, exec.ErrNotFound):
		out.Code, out.Next = 127, "install it, or write the path to it"
	case errors.Is(err, fs.ErrNotExist):
		out.Code, out.Next = 127, "is the path right, seen from the project's folder? If the file is there, the program in its first line is not"
	case errors.Is(err, syscall.E2BIG):
		out.Next = "the partitions are too many for arguments and variables: give the table a smaller batch size"
	case errors.Is(err, fs.ErrPermission):
		out.Next = "is it a program? If so: chmod +x"
	case errors.Is(err, syscall.ENOEXEC):
		out.Next = "a script needs a first line like #!/usr/bin/env python3, or its interpreter as the first argument"
	}
	return out
}

// streams are the pipes of a program's output.
type streams struct{ out, err pipe }

type pipe struct{ r, w *os.File }

func openStreams() (*streams, error) {
	s := &streams{}
	var err error
	if s.out.r, s.out.w, err = os.Pipe(); err != nil {
		return nil, err
	}
	if s.err.r, s.err.w, err = os.Pipe(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// closeWriters leaves the pipes' writing ends to the program, so that the reading ends see its end.
func (s *streams) closeWriters() { closeAll(s.out.w, s.err.w) }

func (s *streams) close() { closeAll(s.out.r, s.out.w, s.err.r, s.err.w) }

// closeAll closes what is not closed yet.
func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// quote shows the last lines of a program's stderr under an error.
func quote(last []string) string {
	if len(last) == 0 {
		return ""
	}
	return "\n  " + strings.Join(last, "\n  ")
}
