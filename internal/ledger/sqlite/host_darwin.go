package sqlite

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/ledger"
)

// bootID names the boot by its time.
func bootID() string {
	t, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return "unknown"
	}
	return strconv.FormatInt(t.Sec, 10)
}

// startOf is a process's start time in microseconds since 1970; 0 when there is none.
func startOf(pid int) int64 {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0
	}
	const million = 1_000_000
	return p.Proc.P_starttime.Sec*million + int64(p.Proc.P_starttime.Usec)
}

// alive reports whether a process of this machine may still run.
func alive(h ledger.Holder) bool {
	if h.PID == os.Getpid() && h.Start == thisProcess().Start {
		return true
	}
	if err := unix.Kill(h.PID, 0); errors.Is(err, unix.ESRCH) {
		return false
	}
	start := startOf(h.PID)
	return start == 0 || h.Start == 0 || start == h.Start
}
