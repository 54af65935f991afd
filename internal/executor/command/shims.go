//go:build unix

package command

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/headway-data/headway/internal/executor/shim"
)

// maxIdle is how many shims wait for commands at most.
const maxIdle = 16

// Shims are the shims of a process. One that has seen a command to its end waits for the next: starting one takes several times as long as
// starting a small command. Its methods may be called from many goroutines.
type Shims struct {
	start []string

	mu   sync.Mutex
	idle []*supervisor
}

// NewShims says how a shim is started: a program, and arguments before shim.Word. See shim.Self.
func NewShims(start []string) *Shims { return &Shims{start: start} }

// Warm starts a shim for the first command, if there is none yet. It is for who knows that a command will come, to be called while other things are done.
func (s *Shims) Warm() {
	s.mu.Lock()
	none := len(s.idle) == 0
	s.mu.Unlock()
	if !none {
		return
	}
	if one, err := s.begin(); err == nil { // who needs it will be told why there is none
		s.put(one)
	}
}

// Close ends those that wait for commands, and waits for their end. More can be had afterwards.
func (s *Shims) Close() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, one := range idle {
		_ = one.socket.Close()
	}
	for _, one := range idle {
		<-one.ended
	}
}

// get gives a shim that is the caller's until he puts it back or ends it.
func (s *Shims) get() (*supervisor, error) {
	for {
		s.mu.Lock()
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			return s.begin()
		}
		one := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		select {
		case <-one.reports: // it tells nothing while it waits: somebody has killed it
			one.end()
		default:
			return one, nil
		}
	}
}

// put gives a shim back whose command is over.
func (s *Shims) put(one *supervisor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) >= maxIdle {
		one.end()
		return
	}
	s.idle = append(s.idle, one)
}

// A supervisor is a shim, seen from here.
type supervisor struct {
	pid     int
	socket  *net.UnixConn
	reports chan shim.Report // closed when it has ended
	ended   chan struct{}    // closed when nothing of it is left
}

// begin starts a shim.
func (s *Shims) begin() (*supervisor, error) {
	// Until both are marked, another goroutine must not start a program that would inherit them.
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, its := os.NewFile(uintptr(fds[0]), "shim"), os.NewFile(uintptr(fds[1]), "headway")
	defer closeAll(ours, its)
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("the socket is none of this machine's")
	}
	// It ends when its socket does: no context is patient and thorough enough for that.
	cmd := exec.Command(s.start[0]) //nolint:gosec,noctx // this program again, or what the wiring says
	cmd.Args = slices.Concat([]string{"headway"}, s.start[1:], []string{shim.Word})
	cmd.ExtraFiles = []*os.File{its}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signal of a terminal reaches it
	if err := cmd.Start(); err != nil {
		_ = socket.Close()
		return nil, err
	}
	one := &supervisor{pid: cmd.Process.Pid, socket: socket, reports: make(chan shim.Report), ended: make(chan struct{})}
	go func() {
		defer close(one.ended)
		defer close(one.reports)
		shim.Read(socket, func(r shim.Report) { one.reports <- r })
		_ = cmd.Wait() // how the commands ended has been told
	}()
	return one, nil
}

// hearing bounds for how long an order may wait for a shim that somebody has suspended.
const hearing = 10 * time.Second

// run has it run a command with these streams.
func (one *supervisor) run(settings shim.Settings, in, out, err *os.File) error {
	order, bad := settings.Order()
	if bad != nil {
		return bad
	}
	// A command's streams block, as every program expects them to: that is what Fd does to them.
	rights := syscall.UnixRights(int(in.Fd()), int(out.Fd()), int(err.Fd()))
	_ = one.socket.SetWriteDeadline(time.Now().Add(hearing)) //nolint:forbidigo // by what the runtime's timers go by
	n, _, bad := one.socket.WriteMsgUnix(order, rights, nil)
	if bad == nil && n < len(order) {
		_, bad = one.socket.Write(order[n:])
	}
	return bad
}

// tell gives it an order. One that has ended needs none.
func (one *supervisor) tell(order string) {
	_ = one.socket.SetWriteDeadline(time.Now().Add(hearing)) //nolint:forbidigo // as above
	_, _ = one.socket.Write([]byte(order))
}

// end lets it end, with all that is left of its command. It is not waited for.
func (one *supervisor) end() {
	_ = one.socket.Close()
	go func() {
		for r := range one.reports {
			_ = r
		}
	}()
}
