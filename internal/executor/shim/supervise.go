//go:build unix

package shim

import (
	"errors"
	"fmt"
	"io"
	"net"
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

// A supervisor is the shim's state while a command runs. One goroutine has it.
type supervisor struct {
	Settings
	clock   func() time.Duration // the boot clock
	reports io.Writer
	tree    tree
	status  syscall.WaitStatus
	ended   bool // the command itself
	phase   phase
	next    time.Duration // when leftover or stopping comes to its end
	pause   time.Duration // between rounds of killing
}

// signals are what a shim hears of.
type signals struct{ children, others chan os.Signal }

// serve runs the commands that it is told to, until whoever tells it is gone and nothing of the last one is left.
func serve(clock func() time.Duration, socket *net.UnixConn) int {
	// The command dies with the thread that started it, should this process be killed: so that is this thread, until the end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	heard := signals{make(chan os.Signal, 1), make(chan os.Signal, 8)}
	signal.Notify(heard.children, syscall.SIGCHLD)
	// They must not end the shim. They are caught, not ignored: the command would inherit that. What was ignored before it shall inherit.
	for _, one := range []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	} {
		if !signal.Ignored(one) {
			signal.Notify(heard.others, one)
		}
	}
	broken := prepare()
	orders := read(socket)
	for {
		select {
		case <-heard.others: // they were for a command that is gone
		case o, ok := <-orders:
			if !ok {
				return 0
			}
			if o.run == nil {
				continue
			}
			s := &supervisor{Settings: o.run.Settings, clock: clock, reports: socket}
			code := s.supervise(o.run, broken, heard, orders)
			s.report(Over, strconv.Itoa(code))
		}
	}
}

// supervise runs one command, and returns its exit code when nothing of it is left.
func (s *supervisor) supervise(o *runOrder, broken error, heard signals, orders <-chan order) int {
	defer o.close()
	if broken = errors.Join(broken, o.broken); broken != nil {
		s.report(Broken, broken.Error())
		return 126
	}
	announce(s.attempt())
	defer announce("")
	s.report(Ready, "0")
	if !s.mayGo(orders) {
		return 126
	}
	if s.Until != 0 && s.clock() >= s.Until {
		s.report(Deadline, "0")
		return 126
	}
	if errno := s.start(o); errno != 0 {
		s.report(Refused, strconv.Itoa(int(errno)))
		if errno == syscall.ENOENT {
			return 127
		}
		return 126
	}
	return s.loop(heard, orders)
}

// mayGo waits for the word to start the command. Any other word, and that of one who is gone, is against it.
func (s *supervisor) mayGo(orders <-chan order) bool {
	for o := range orders {
		if !strings.HasPrefix(o.text, orderUntil) {
			return o.text == OrderGo
		}
		s.obey(o.text, true)
	}
	return false
}

// start starts the command, and lets go of its streams: their end is to be that of the command and what it starts.
func (s *supervisor) start(o *runOrder) syscall.Errno {
	as := &syscall.ProcAttr{Dir: s.Dir, Env: s.Env, Sys: attributes()}
	for _, fd := range o.streams {
		as.Files = append(as.Files, uintptr(fd))
	}
	pid, err := syscall.ForkExec(s.Path, s.Args, as) //nolint:gosec // to run what the project says is the point
	if err != nil {
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			return errno
		}
		return syscall.EINVAL
	}
	s.tree.command = pid
	s.report(Started, strconv.Itoa(pid))
	o.close()
	return 0
}

// loop supervises until nothing is left.
func (s *supervisor) loop(heard signals, orders <-chan order) int {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		if s.reap() {
			return s.code()
		}
		timer.Reset(s.act())
		select {
		case <-heard.children:
			s.pause = shortest
		case one := <-heard.others:
			switch one {
			case syscall.SIGTERM:
				s.stop()
			case syscall.SIGINT:
				if !s.ended {
					_ = syscall.Kill(-s.tree.command, syscall.SIGINT)
				}
			}
		case o, ok := <-orders:
			if !ok {
				orders = nil
			}
			s.obey(o.text, ok)
		case <-timer.C:
		}
	}
}

// reap takes note of what has ended, and reports whether nothing is left.
func (s *supervisor) reap() (nothing bool) {
	const most = 256 // then it is looked whether something is due: a command may fork and end as fast as this takes note of it
	for range most {
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
	s.pause = shortest
	return false
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

// obey carries out an order. Without one, whoever gives them is gone, and his leases are free: others may write at once, so there is no time
// of grace.
func (s *supervisor) obey(order string, ok bool) {
	until, renewed := strings.CutPrefix(order, orderUntil)
	switch {
	case !ok:
		s.kill()
	case order == OrderStop:
		s.stop()
	case order == OrderKill:
		s.kill()
	case renewed:
		if n, err := strconv.ParseInt(strings.TrimSpace(until), 10, 64); err == nil {
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
