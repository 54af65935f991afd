package duckdb

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
)

var holderPID = regexp.MustCompile(`\(PID (\d+)\)`)

// holderIn names the process that the engine's error speaks of, as far as it does.
func holderIn(err error) string {
	if m := holderPID.FindStringSubmatch(err.Error()); m != nil {
		return holder(m[1])
	}
	return ""
}

// holder names a process by its pid and command line, and says if it is this one.
func holder(pid string) string {
	if n, err := strconv.Atoi(pid); err == nil && n == os.Getpid() {
		return process(pid) + " (this process)"
	}
	return process(pid)
}

// process names a process by its pid and command line.
func process(pid string) string {
	who := "pid " + pid
	line, err := os.ReadFile("/proc/" + pid + "/cmdline") //nolint:gosec // digits, by the expression that found them
	if err != nil || len(line) == 0 {
		return who
	}
	command := strings.TrimSpace(strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " "))
	return who + ", " + shorten(command)
}

// lentBy stands before a process that has the turn and has lent the file to a command.
const lentBy = "lent by "

// pidOf is the pid of a process as it was named.
func pidOf(process string) string {
	pid, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(process, lentBy), "pid "), ",")
	if _, err := strconv.Atoi(pid); err != nil {
		return ""
	}
	return pid
}

// stat is the state of a process and who started it; "" where the system does not tell.
func stat(pid string) (state, parent string) {
	text, err := os.ReadFile("/proc/" + pid + "/stat") //nolint:gosec // digits
	if pid == "" || err != nil {
		return "", ""
	}
	// pid (command) state ppid: the command may hold anything, brackets too.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}

// stopped reports whether a process has been stopped by a signal: it does nothing until it is told to go on.
func stopped(process string) bool {
	state, _ := stat(pidOf(process))
	return state == "T"
}

// lentToUs reports whether a process has lent the file to a command that has started this process, or what has started it.
func lentToUs(process string) bool {
	wanted := pidOf(process)
	if wanted == "" || !strings.HasPrefix(process, lentBy) {
		return false
	}
	const generations = 100 // no more are looked at
	pid := strconv.Itoa(os.Getppid())
	for range generations {
		if pid == wanted {
			return true
		}
		if _, pid = stat(pid); pid == "" || pid == "0" {
			return false
		}
	}
	return false
}
