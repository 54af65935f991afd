package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	terminate = unix.SIGTERM
	kill      = unix.SIGKILL
)

// look reads what /proc says of a process (proc(5)).
func look(pid int) (Process, int, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, 0, fmt.Errorf("there is no process %d", pid)
	}
	if err != nil {
		return Process{}, 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	uid := 0
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		uid = int(s.Uid)
	}
	if s, ok := statOf(pid); !ok || s.dead {
		return Process{}, 0, fmt.Errorf("process %d has ended", pid)
	}
	line, err := os.ReadFile(dir + "/cmdline") //nolint:gosec // a number in /proc
	if err != nil {
		return Process{}, 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return Process{Command: string(bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))}, uid, nil
}

// A stat is what is needed of /proc/PID/stat.
type stat struct {
	parent int
	start  string
	dead   bool
}

func statOf(pid int) (stat, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	// The command's name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const state, parent, start = 0, 1, 22 - 3
	if len(fields) <= start {
		return stat{}, false
	}
	s := stat{start: fields[start], dead: strings.ContainsAny(fields[state], "ZXx")}
	s.parent, err = strconv.Atoi(fields[parent])
	return s, err == nil
}

// A tree is a process and all its descendants that were seen while an ancestor of theirs was. Each is held by a pidfd: what takes over the
// number of one that has ended is never meant.
type tree struct {
	fds   map[int]int    // by pid
	start map[int]string // start times, to tell a number that was used again
}

func open(pid int) (*tree, error) {
	t := &tree{fds: map[int]int{}, start: map[int]string{}}
	if err := t.add(pid); err != nil && !errors.Is(err, unix.ESRCH) {
		return t, fmt.Errorf("take hold of process %d: %w", pid, err)
	}
	return t, nil
}

func (t *tree) add(pid int) error {
	s, ok := statOf(pid)
	if !ok {
		return unix.ESRCH
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	t.fds[pid], t.start[pid] = fd, s.start
	return nil
}

func (t *tree) close() {
	for _, fd := range t.fds {
		_ = unix.Close(fd)
	}
}

// grow adds the children, and theirs, of what is known.
func (t *tree) grow() {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	children := map[int][]int{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name.Name()); err == nil {
			if s, ok := statOf(pid); ok && !s.dead {
				children[s.parent] = append(children[s.parent], pid)
			}
		}
	}
	queue := make([]int, 0, len(t.fds))
	for pid := range t.fds {
		if s, ok := statOf(pid); ok && s.start == t.start[pid] {
			queue = append(queue, pid)
		}
	}
	for i := 0; i < len(queue); i++ {
		for _, child := range children[queue[i]] {
			if _, known := t.fds[child]; !known && t.add(child) == nil {
				queue = append(queue, child)
			}
		}
	}
}

// signal sends a signal to all that live; what is suspended could not hear it, so it is woken.
func (t *tree) signal(s unix.Signal) error {
	var errs []error
	for _, fd := range t.fds {
		if err := unix.PidfdSendSignal(fd, s, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
			continue
		}
		_ = unix.PidfdSendSignal(fd, unix.SIGCONT, nil, 0)
	}
	return errors.Join(errs...)
}

// alive reports whether any of them lives: a pidfd can be read from when its process has ended.
func (t *tree) alive() bool {
	for _, fd := range t.fds {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor
		if n, err := unix.Poll(polled, 0); err == nil && n == 0 {
			return true
		}
	}
	return false
}
