//go:build unix && !linux

package foreign

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	terminate = unix.SIGTERM
	kill      = unix.SIGKILL
)

// look asks ps(1).
func look(pid int) (Process, int, error) {
	out, err := exec.Command("ps", "-o", "uid=,stat=,command=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec,noctx // a number; it ends at once
	if err != nil {
		return Process{}, 0, fmt.Errorf("there is no process %d", pid)
	}
	fields := strings.Fields(string(out))
	const uid, state, command = 0, 1, 2
	if len(fields) <= command || strings.HasPrefix(fields[state], "Z") {
		return Process{}, 0, fmt.Errorf("process %d has ended", pid)
	}
	id, err := strconv.Atoi(fields[uid])
	return Process{Command: strings.Join(fields[command:], " ")}, id, err
}

// A tree is a process and, if it leads one, its process group: more is not within reach here.
type tree struct{ pid, group int }

func open(pid int) (*tree, error) {
	t := &tree{pid: pid}
	if group, err := unix.Getpgid(pid); err == nil && group == pid {
		t.group = group
	}
	return t, nil
}

func (*tree) close() {}

func (*tree) grow() {}

func (t *tree) signal(s unix.Signal) error {
	to := t.pid
	if t.group != 0 {
		to = -t.group
	}
	if err := unix.Kill(to, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (t *tree) alive() bool {
	to := t.pid
	if t.group != 0 {
		to = -t.group
	}
	return !errors.Is(unix.Kill(to, 0), unix.ESRCH)
}
