package sqlite

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/ledger"
)

// bootID names the boot, and after a slash the process namespace.
func bootID() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return strings.TrimSpace(string(boot))
	}
	return strings.TrimSpace(string(boot)) + "/" + strings.Trim(strings.TrimPrefix(namespace, "pid:"), "[]")
}

// startOf is a process's start time in clock ticks since boot: field 22 of /proc/PID/stat (proc(5)); 0 when there is none.
func startOf(pid int) int64 {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat") //nolint:gosec // a number
	if err != nil {
		return 0
	}
	// The command's name, in parentheses, may hold anything.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0
	}
	fields := strings.Fields(string(stat[end+1:]))
	const startField = 22 - 3
	if len(fields) <= startField {
		return 0
	}
	start, err := strconv.ParseInt(fields[startField], 10, 64)
	if err != nil {
		return 0
	}
	return start
}

// alive reports whether a process of this machine may still run. A zombie does not.
func alive(h ledger.Holder) bool {
	if h.PID == os.Getpid() && h.Start == thisProcess().Start {
		return true
	}
	if err := unix.Kill(h.PID, 0); errors.Is(err, unix.ESRCH) {
		return false
	}
	start := startOf(h.PID)
	return (start == 0 || h.Start == 0 || start == h.Start) && !zombie(h.PID)
}

// zombie reports whether a process has ended and its parent has not noticed: it writes nothing any more.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	state := bytes.TrimLeft(stat[bytes.LastIndexByte(stat, ')')+1:], " ")
	return len(state) > 0 && state[0] == 'Z' && !threads(pid)
}

// threads reports whether threads of a process live though its first one has ended.
func threads(pid int) bool {
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	return err == nil && len(tasks) > 1
}
