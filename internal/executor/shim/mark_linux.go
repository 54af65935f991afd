package shim

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SeesMarks says whether the environment of processes can be looked at, so that Marked and KillMarked find those that carry a mark.
const SeesMarks = true

// Marked are the processes of this machine that an attempt has started, by the variable Mark in their environment: whoever their parent is by
// now. What has dropped the variable is not found, nor what belongs to another user.
func Marked(attempt string) []int {
	var out []int
	eachMarked(attempt, func(pid int, _ int) { out = append(out, pid) })
	return out
}

// KillMarked kills what an attempt has started, wherever it is, until nothing is left or patience is over: then it gives the rest. It does not
// kill the process that calls it, though that may be one of them.
func KillMarked(attempt string, patience time.Duration) []int {
	const pause = 2 * time.Millisecond
	self, quiet := os.Getpid(), 0
	var left []int
	for waited := time.Duration(0); ; waited += pause {
		left = nil
		eachMarked(attempt, func(pid, fd int) {
			if pid != self {
				left = append(left, pid)
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			}
		})
		// What starts another program at the moment when it is looked at has no environment, so one look is not enough.
		if quiet++; len(left) > 0 {
			quiet = 0
		}
		const looks = 3
		if quiet >= looks || waited >= patience {
			return left
		}
		<-time.After(pause)
	}
}

// announce gives this process a name that tells for which attempt it is about to start a command; "": its own.
func announce(attempt string) {
	if attempt == "" {
		attempt = "headway"
	}
	_ = os.WriteFile("/proc/self/comm", []byte(attempt), 0) // without /proc nothing is found by any mark
}

// eachMarked shows each process that carries the mark of an attempt, held by a pidfd so that nobody else who has its number is ever meant.
func eachMarked(attempt string, show func(pid, fd int)) {
	proc, err := os.Open("/proc")
	if err != nil || attempt == "" {
		return
	}
	defer proc.Close() //nolint:errcheck // it was only read
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || !marked(pid, attempt) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if marked(pid, attempt) { // asked again, now that it is held
			show(pid, fd)
		}
		_ = unix.Close(fd)
	}
}

// marked reports whether a process carries the mark of an attempt. One that has ended has no environment any more.
func marked(pid int, attempt string) bool {
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && named(string(bytes.TrimSpace(comm)), attempt) {
		return !zombie(pid)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(environ, []byte(attempt)) {
		return false
	}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if list, ok := strings.CutPrefix(string(variable), Mark+"="); ok {
			return slices.Contains(strings.Split(list, ","), attempt)
		}
	}
	return false
}

// named reports whether the name of a process is that of an attempt: the kernel keeps its first 15 bytes.
func named(comm, attempt string) bool {
	const kept = 15
	return comm == attempt[:min(len(attempt), kept)]
}

// zombie reports whether a process has ended, and nobody has taken note of it yet.
func zombie(pid int) bool {
	p, ok := look(pid)
	return !ok || p.dead
}
