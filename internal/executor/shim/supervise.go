//go:build unix

package shim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A phase is how far the end of a command has come.
type phase int

const (
	running  phase = iota
	leftover       // the command has ended by itself; what it left behind may still say its last words
	stopping       // all of it was told to end
	killing        // all of it is being killed, again and again
)

// Bounds of how long the shim waits before it looks again.
const (
	longest  = time.Second // for a deadline: timers stop while the machine sleeps, the boot clock does not
	shortest = time.Millisecond
)

// A supervisor is the shim's state. One goroutine has it.
type supervisor struct {
	Settings
	clock   func() time.Duration // the boot clock
	reports *os.File
	tree    tree
	status  syscall.WaitStatus
	ended   bool // the command itself
	phase   phase
	next    time.Duration // when leftover or stopping comes to its end
	pause   time.Duration // between rounds of killing
}

// supervise starts the command, and returns its exit code when nothing of it is left.
func supervise(settings Settings, clock func() time.Duration, orders, reports *os.File) int {
	// The command dies with the thread that started it, should this process be killed: so that is this thread, until the end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := &supervisor{Settings: settings, clock: clock, reports: reports}
	children, others := make(chan os.Signal, 1), make(chan os.Signal, 8)
	signal.Notify(children, syscall.SIGCHLD)
	// They must not end the shim. They are caught, not ignored: the command would inherit that. What was ignored before it shall inherit.
	for _, one := range []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	} {
		if !signal.Ignored(one) {
			signal.Notify(others, one)
		}
	}
	if err := s.tree.prepare(); err != nil {
		s.report(Broken, err.Error())
		return 126
	}
	if s.Until != 0 && s.clock() >= s.Until {
		s.report(Deadline, "0")
		return 126
	}
	if errno := s.start(); errno != 0 {
		s.report(Refused, strconv.Itoa(int(errno)))
		if errno == syscall.ENOENT {
			return 127
		}
		return 126
	}
	return s.loop(children, others, read(orders))
}

// start starts the command, and lets go of its streams: their end is to be that of the command and what it starts.
func (s *supervisor) start() syscall.Errno {
	as := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attributes()}
	pid, err := syscall.ForkExec(s.Path, s.Args, as) //nolint:gosec // to run what the project says is the point
	if err != nil {
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			return errno
		}
		return syscall.EINVAL
	}
	s.tree.command = pid
	s.report(Started, strconv.Itoa(pid))
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		_ = f.Close()
	}
	return 0
}

// read gives the orders that come, and closes the channel when whoever gave them is gone.
func read(orders *os.File) <-chan string {
	out := make(chan string)
	go func() {
		defer close(out)
		for lines := bufio.NewScanner(orders); lines.Scan(); {
			out <- lines.Text()
		}
	}()
	return out
}

// loop supervises until nothing is left.
func (s *supervisor) loop(children, others <-chan os.Signal, orders <-chan string) int {
	timer := time.NewTimer(longest)
	for {
		if s.reap() {
			return s.code()
		}
		timer.Reset(s.act())
		select {
		case <-children:
			s.pause = shortest
		case one := <-others:
			switch one {
			case syscall.SIGTERM:
				s.stop()
			case syscall.SIGINT:
				if !s.ended {
					_ = syscall.Kill(-s.tree.command, syscall.SIGINT)
				}
			}
		case order, ok := <-orders:
			if !ok {
				orders = nil
			}
			s.obey(order, ok)
		case <-timer.C:
		}
	}
}

// reap takes note of what has ended, and reports whether nothing is left.
func (s *supervisor) reap() (nothing bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // ECHILD: no child, so no descendant of those that come back to this process
			return s.tree.gone()
		case pid == 0:
			return false
		case pid == s.tree.command && !s.ended:
			s.ended, s.status = true, status
			s.report(Exit, strconv.Itoa(int(status)))
			if s.phase == running {
				s.phase, s.next = leftover, s.clock()+s.Drain
			}
		}
	}
}

// act does what is due, and gives the time after which to look again.
func (s *supervisor) act() time.Duration {
	now := s.clock()
	if s.phase < stopping && s.Until != 0 && now >= s.Until {
		s.report(Deadline, "0")
		s.stop()
	}
	switch s.phase {
	case running:
		if s.Until == 0 {
			return longest
		}
		return min(longest, s.Until-now)
	case leftover, stopping:
		if now < s.next {
			s.remind()
			return min(longest, s.next-now)
		}
		s.kill()
	case killing:
		s.tree.signal(syscall.SIGKILL)
	}
	s.pause = min(2*s.pause, longest)
	return s.pause
}

// obey carries out an order. Without one, whoever gave them is gone, and his leases are free: others may write at once, so there is no time
// of grace.
func (s *supervisor) obey(order string, ok bool) {
	until, renewed := strings.CutPrefix(order, orderUntil)
	switch {
	case !ok:
		s.kill()
	case order == strings.TrimSpace(OrderStop):
		s.stop()
	case order == strings.TrimSpace(OrderKill):
		s.kill()
	case renewed:
		if n, err := strconv.ParseInt(until, 10, 64); err == nil {
			s.Until = time.Duration(n)
		}
	}
}

// stop tells all to end. What is suspended could not hear it, so it is woken.
func (s *supervisor) stop() {
	if s.phase >= stopping {
		return
	}
	s.phase, s.next = stopping, s.clock()+s.Grace
	s.tree.signal(syscall.SIGTERM)
	s.tree.signal(syscall.SIGCONT)
}

// remind tells what the command has left behind to end once more, when the command itself has ended: a child that was being forked when all
// were told may have heard it before it was itself, in the shell's name, and forgotten it.
func (s *supervisor) remind() {
	if s.phase == stopping && s.ended {
		s.tree.signal(syscall.SIGTERM)
	}
}

// kill begins to kill all.
func (s *supervisor) kill() {
	if s.phase == killing {
		return
	}
	if s.phase == stopping {
		s.report(Killing, "0")
	}
	n := s.tree.signal(syscall.SIGKILL)
	if s.phase == leftover && n > 0 {
		s.report(Left, strconv.Itoa(n))
	}
	s.phase, s.pause = killing, shortest
}

// code is the exit code for how the command ended.
func (s *supervisor) code() int {
	if s.status.Signaled() {
		return 128 + int(s.status.Signal())
	}
	return s.status.ExitStatus()
}

// report tells Headway. If it is gone, nobody wants to know.
func (s *supervisor) report(kind Kind, what string) {
	fmt.Fprintf(s.reports, "%s %s\n", kind, strings.ReplaceAll(what, "\n", " "))
}
