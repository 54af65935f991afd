//go:build unix

// Package shim is the small process that stands between Headway and a command: Headway's own binary again. It ends the command's whole
// process tree when it is told to, when Headway is gone (kill -9 included), or when the lease under which the command works is no longer
// trusted, which it judges by its own clock: a Headway that is suspended lets no command outlive its lease.
//
// On Linux it is the reaper of all that the command starts (PR_SET_CHILD_SUBREAPER): what loses its parent comes back to it, sessions and
// process groups of their own notwithstanding, and it ends only when it has no child left, so that nothing is. Elsewhere it reaches the
// command's process group. It is in a session of its own, so a terminal's signals go to Headway, which decides, and not to it.
//
// It is spoken to in lines, over two pipes: orders come on descriptor 3, and the end of that pipe is Headway's end; what happened is told on
// descriptor 4. The streams and the environment are the command's, untouched. It ends with the command's exit code, 128 and the
// number of the signal that ended it, or 126 and 127 as env(1) does.
package shim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headway-data/headway/internal/bootclock"
)

// Word is the first argument that makes a binary the shim.
const Word = "__shim"

// The descriptors of the two pipes.
const (
	ordersFile  = 3
	reportsFile = 4
)

// Settings are what a shim is started with.
type Settings struct {
	Until time.Duration // when the lease is no longer trusted, on the boot clock; 0: there is none
	Grace time.Duration // from TERM to KILL
	Drain time.Duration // how long what the command has left behind may live on, once it has ended by itself
	Path  string        // the program's file, seen from the working folder
	Args  []string      // with the program's name as the first
}

// Arguments are the shim's own: from Word on.
func (s Settings) Arguments() []string {
	out := []string{Word, number(s.Until), number(s.Grace), number(s.Drain), s.Path}
	return append(out, s.Args...)
}

func number(d time.Duration) string { return strconv.FormatInt(int64(d), 10) }

// settingsOf is the opposite of Arguments.
func settingsOf(args []string) (Settings, error) {
	const path, name = 4, 5
	if len(args) <= name {
		return Settings{}, errors.New("the shim is not for people: Headway runs commands under it")
	}
	var ds [path - 1]time.Duration
	for i := range ds {
		n, err := strconv.ParseInt(args[1+i], 10, 64)
		if err != nil {
			return Settings{}, fmt.Errorf("the shim's argument %d: %w", 1+i, err)
		}
		ds[i] = time.Duration(n)
	}
	return Settings{Until: ds[0], Grace: ds[1], Drain: ds[2], Path: args[path], Args: args[name:]}, nil
}

// Asked reports whether a process with these arguments (os.Args) is to be the shim.
func Asked(args []string) bool { return len(args) > 1 && args[1] == Word }

// Self is how the present program is started again as a shim: for programs that call Main when they are Asked. Linux leads to the very file
// that runs, whatever stands at its path by now: the two must understand each other. nil where the program's file is not known.
func Self() []string {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe"}
	}
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{path}
}

// Main is the shim's life, in a process that does nothing else. It gives the exit code.
func Main(args []string) int {
	s, err := settingsOf(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "headway: %v\n", err)
		return 2
	}
	syscall.CloseOnExec(ordersFile)
	syscall.CloseOnExec(reportsFile)
	orders, reports := os.NewFile(ordersFile, "orders"), os.NewFile(reportsFile, "reports")
	return supervise(s, bootclock.Now, orders, reports)
}

// Orders that a shim takes, each a line.
const (
	OrderStop  = "stop\n" // TERM to all, KILL after the time of grace
	OrderKill  = "kill\n" // KILL to all that is left
	orderUntil = "until "
)

// OrderUntil moves the time until which the lease is trusted.
func OrderUntil(until time.Duration) string { return orderUntil + number(until) + "\n" }

// A Report is what a shim tells of.
type Report struct {
	Kind Kind
	N    int
	Text string // of Broken
}

// A Kind is the kind of a report.
type Kind string

// The kinds of reports, and what their numbers are.
const (
	Started  Kind = "started"  // the command runs; its process id
	Refused  Kind = "refused"  // it could not be started; the errno
	Broken   Kind = "broken"   // the shim cannot do what it is for, so it started nothing
	Exit     Kind = "exit"     // the command ended; its wait status
	Deadline Kind = "deadline" // the lease is no longer trusted: everything is being stopped
	Killing  Kind = "killing"  // the time of grace is over
	Left     Kind = "left"     // the command had ended by itself, and so many processes that it had left behind are being killed
)

// Read reads a shim's reports until it has ended.
func Read(r io.Reader, tell func(Report)) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		out := Report{Kind: Kind(kind), Text: rest}
		out.N, _ = strconv.Atoi(rest) // Broken has none
		tell(out)
	}
}
