//go:build unix

// Package shim is the small process that stands between Headway and a command: Headway's own binary again. It ends the command's whole
// process tree when it is told to, when Headway is gone (kill -9 included), or when the lease under which the command works is no longer
// trusted, which it judges by its own clock: a Headway that is suspended lets no command outlive its lease.
//
// On Linux it is the reaper of all that the command starts (PR_SET_CHILD_SUBREAPER): what loses its parent comes back to it, sessions and
// process groups of their own notwithstanding, and it ends only when it has no child left, so that nothing is. Elsewhere it reaches the
// command's process group. It is in a session of its own, so a terminal's signals go to Headway, which decides, and not to it.
//
// It is spoken to over a socket, descriptor 3: orders come, each a line, and reports of what happened go; the end of the orders is Headway's
// end. It runs one command at a time, and one after the other for as long as Headway wants: to start this binary takes ten times as long as
// to start a small program. The streams come with the order to run, and the shim lets go of them as soon as the command has them.
package shim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
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

// Mark is the variable by which the processes of attempts are known when nobody stands over them any more: the ids of the attempts that a command
// works for, by commas. A command's children inherit it. A shim is known by the first of them as the name of its process, from before it starts
// the command until nothing of it is left.
const Mark = "HEADWAY_ATTEMPTS"

// attempt is the first attempt that a command works for; "" where it works for none.
func (s Settings) attempt() string {
	for _, v := range s.Env {
		if list, ok := strings.CutPrefix(v, Mark+"="); ok {
			first, _, _ := strings.Cut(list, ",")
			return first
		}
	}
	return ""
}

// socketFile is the descriptor of the socket.
const socketFile = 3

// Settings are what a command is run with.
type Settings struct {
	Until time.Duration // when the lease is no longer trusted, on the boot clock; 0: there is none
	Grace time.Duration // from TERM to KILL
	Drain time.Duration // how long what the command has left behind may live on, once it has ended by itself
	Dir   string        // the working folder; "": the shim's own
	Path  string        // the program's file, seen from the working folder
	Args  []string      // with the program's name as the first
	Env   []string      // all of the environment
}

// Order is how a shim is told to run a command. With its first byte come the descriptors of the three streams.
func (s Settings) Order() ([]byte, error) {
	parts := append([]string{number(s.Until), number(s.Grace), number(s.Drain), s.Dir, s.Path, strconv.Itoa(len(s.Args))}, s.Args...)
	parts = append(parts, s.Env...)
	for _, p := range parts {
		if strings.ContainsRune(p, 0) {
			return nil, fmt.Errorf("%q holds a zero byte: %w", p, syscall.EINVAL)
		}
	}
	text := strings.Join(parts, "\x00")
	return []byte(orderRun + strconv.Itoa(len(text)) + "\n" + text), nil
}

func number(d time.Duration) string { return strconv.FormatInt(int64(d), 10) }

// settingsOf is the opposite of Order: of what follows its first line.
func settingsOf(text string) (Settings, error) {
	const dir, path, count, args = 3, 4, 5, 6
	parts := strings.Split(text, "\x00")
	if len(parts) <= args {
		return Settings{}, errors.New("the order to run a command is cut short")
	}
	var ds [dir]time.Duration
	for i := range ds {
		n, err := strconv.ParseInt(parts[i], 10, 64)
		if err != nil {
			return Settings{}, fmt.Errorf("part %d of the order to run a command: %w", i, err)
		}
		ds[i] = time.Duration(n)
	}
	n, err := strconv.Atoi(parts[count])
	if err != nil || n < 1 || n > len(parts)-args {
		return Settings{}, fmt.Errorf("the order to run a command has %q arguments", parts[count])
	}
	return Settings{Until: ds[0], Grace: ds[1], Drain: ds[2], Dir: parts[dir], Path: parts[path], Args: parts[args : args+n], Env: parts[args+n:]}, nil
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
func Main([]string) int {
	file := os.NewFile(socketFile, "headway")
	conn, err := net.FileConn(file)
	_ = file.Close()
	socket, ok := conn.(*net.UnixConn)
	if err != nil || !ok {
		fmt.Fprintln(os.Stderr, "headway: the shim is not for people: Headway runs commands under it")
		return 2
	}
	return serve(bootclock.Now, socket)
}

// Orders that a shim takes, each a line. Where no command runs, all but the one to run one mean nothing.
const (
	OrderGo    = "go\n"   // the command may start, after Ready; nothing is started before
	OrderStop  = "stop\n" // TERM to all, KILL after the time of grace
	OrderKill  = "kill\n" // KILL to all that is left
	orderUntil = "until "
	orderRun   = "run " // and how many bytes of settings follow
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
	Ready    Kind = "ready"    // the shim can be found by its mark, and waits for the word to start the command
	Started  Kind = "started"  // the command runs; its process id
	Refused  Kind = "refused"  // it could not be started; the errno
	Broken   Kind = "broken"   // the shim cannot do what it is for, so it started nothing
	Exit     Kind = "exit"     // the command ended; its wait status
	Deadline Kind = "deadline" // the lease is no longer trusted: everything is being stopped
	Killing  Kind = "killing"  // the time of grace is over
	Left     Kind = "left"     // the command had ended by itself, and so many processes that it had left behind are being killed
	Over     Kind = "over"     // nothing of the command is left, and the next one may come; the exit code, as env(1) has it
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
