//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/headway-data/headway/internal/executor"
)

// dying is how long a process may take to die of KILL. Only one that the kernel holds, like one that waits for a dead disk, takes any time.
const dying = 10 * time.Second

// A process is one run of a command, under a shim.
type process struct {
	table, part string // for messages
	attempt     string // by which what it has started is known
	args        []string
	env         []string
	dir         string
	shims       *Shims
	confirm     func(ctx context.Context) error // asked before the program starts
	trust       *executor.Trust                 // of the lease
	grace       time.Duration                   // from TERM to KILL
	drain       time.Duration                   // how long what it left behind may write its last words once the program has ended
	out         *output
	streams     *Streams // of this process, where the command shares them
}

// run runs the program to its end. It gives an *ExitError when the program failed, a *StartError when it could not be started, an error
// that wraps the context's cause when it was stopped, and one that wraps executor.ErrTrust when its lease was not renewed in time.
func (p *process) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return p.stopped(ctx, nil)
	}
	in, err := p.stdin()
	if err != nil {
		return err
	}
	if p.streams == nil || p.streams.In == nil {
		defer in.Close() //nolint:errcheck // nothing was read
	}
	if p.streams != nil && p.streams.Inherit {
		w, err := p.start(ctx, in, p.streams.Out, p.streams.Err)
		if err != nil {
			return err
		}
		return p.verdict(ctx, w, w.wait(ctx), nil)
	}
	streams, err := openStreams()
	if err != nil {
		return fmt.Errorf("make pipes for the command of %s: %w", p.table, err)
	}
	defer streams.close()
	w, err := p.start(ctx, in, streams.out.w, streams.err.w)
	if err != nil {
		return err
	}
	streams.closeWriters()
	var last tail
	var pumps sync.WaitGroup
	pumps.Go(func() { p.out.pump(p.through(streams.out.r, false), nil); _ = streams.out.r.Close() })
	pumps.Go(func() { p.out.pump(p.through(streams.err.r, true), &last); _ = streams.err.r.Close() })
	silent := make(chan struct{}) // closed when nobody can write to the streams any more
	go func() {
		pumps.Wait()
		close(silent)
	}()
	w.silent = silent
	over := w.wait(ctx)
	if !within(p.drain, silent) {
		p.out.say("something that the command started still holds its output, and is not waited for")
		streams.close()
		<-silent
	}
	return p.verdict(ctx, w, over, last.lines)
}

// stdin is what the command reads: this process's own, or nothing.
func (p *process) stdin() (*os.File, error) {
	if p.streams != nil && p.streams.In != nil {
		return p.streams.In, nil
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open what the command of %s reads: %w", p.table, err)
	}
	return in, nil
}

// through passes on what is read to this process's own stream, byte by byte as it comes. If that cannot be written to any more, the command
// finds its own output closed, as it would without Headway.
func (p *process) through(from *os.File, stderr bool) io.Reader {
	switch {
	case p.streams == nil:
		return from
	case stderr:
		return io.TeeReader(from, p.streams.Err)
	}
	return io.TeeReader(from, p.streams.Out)
}

// verdict says how it went; nil when the program did what it was to do.
func (p *process) verdict(ctx context.Context, w *watch, over bool, last []string) error {
	switch {
	case !over && ctx.Err() != nil:
		return fmt.Errorf("process %d, the command of %s, does not end, not even by KILL, and is left behind: %w", w.pid, p.table, context.Cause(ctx))
	case w.refused != 0:
		return p.startError(&fs.PathError{Op: "fork/exec", Path: w.path, Err: w.refused})
	case ctx.Err() != nil:
		return p.stopped(ctx, last)
	case w.late:
		return fmt.Errorf("the command of %s (%s) was stopped: %w%s", p.table, p.part, executor.ErrTrust, quote(last))
	case w.broken != "":
		return fmt.Errorf("the command of %s (%s) cannot be supervised: %s", p.table, p.args[0], w.broken)
	case !w.ended:
		return fmt.Errorf("the command of %s (%s) was killed, since the headway process that supervised it was%s%s", p.table, p.part, w.mayLive(), quote(last))
	}
	if !over {
		p.out.say("something that the command started does not end, not even by KILL, and is left behind")
	}
	return p.exitError(w.status, last)
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

func (p *process) stopped(ctx context.Context, last []string) error {
	return fmt.Errorf("the command of %s (%s) was stopped: %w%s", p.table, p.part, context.Cause(ctx), quote(last))
}

// exitError says how a program failed; nil when it did not.
func (p *process) exitError(status syscall.WaitStatus, last []string) error {
	if status.Exited() && status.ExitStatus() == 0 {
		return nil
	}
	out := &ExitError{Table: p.table, Part: p.part, Program: p.args[0], Code: status.ExitStatus(), Last: last}
	if status.Signaled() {
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
