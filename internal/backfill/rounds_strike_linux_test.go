package backfill_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/sqlite"
)

// strike does something bad to one of the processes that work; false: there is none.
func (r *round) strike() bool {
	lines := r.journal()
	at := slices.IndexFunc(r.launched, func(l *launched) bool { return !l.ended() })
	if at < 0 || len(lines) == 0 {
		return false
	}
	var live []*launched
	for _, l := range r.launched {
		if !l.ended() {
			live = append(live, l)
		}
	}
	headway := live[r.random.IntN(len(live))].Process.Pid
	last := lines[len(lines)-1]
	for i := len(lines) - 1; last.kind == "beat" && i > 0; i-- {
		last = lines[i]
	}
	if last.kind == "beat" {
		return false
	}
	parent := parentOf(last.shim)
	switch r.random.IntN(14) {
	case 0:
		r.kill("headway", headway)
	case 12, 13:
		return r.strikeAlone(last, parent)
	case 1, 2:
		r.kill("shim", last.shim)
	case 3:
		r.kill("script", last.script)
	case 4:
		r.freeze("headway", headway)
	case 5:
		r.freeze("shim", last.shim)
	case 6:
		r.freeze("script", last.script)
	case 7:
		r.freeze("headway", parent)
		r.freeze("shim", last.shim)
	case 8:
		r.freeze("shim", last.shim)
		r.kill("headway", parent)
	case 9:
		r.kill("headway", parent)
		r.kill("shim", last.shim)
	case 10:
		r.order("stop", last.run, "-q", "--reason", "chaos")
	case 11:
		for _, x := range r.leases() {
			if string(x.Run) == last.run {
				r.order("lease", "break", string(x.ID), "--reason", "chaos")
			}
		}
	}
	return true
}

// A victim is a process that is held, so that nobody else who has its number is ever meant.
type victim struct {
	pid, fd int
	what    string
}

// holdProcess takes hold of a process of the round; nil if there is none.
func (r *round) holdProcess(what string, pid int) *victim {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(environ, []byte(r.mark)) {
		_ = unix.Close(fd)
		return nil
	}
	return &victim{pid, fd, what}
}

func (r *round) send(v *victim, s syscall.Signal) {
	err := unix.PidfdSendSignal(v.fd, s, nil, 0)
	r.note("%s of %s %d: %v", unix.SignalName(s), v.what, v.pid, err)
}

// kill kills a process.
func (r *round) kill(what string, pid int) {
	if v := r.holdProcess(what, pid); v != nil {
		r.told.count("kill " + what)
		r.send(v, syscall.SIGKILL)
		_ = unix.Close(v.fd)
	}
}

// freeze suspends a process until it is thawed.
func (r *round) freeze(what string, pid int) {
	if v := r.holdProcess(what, pid); v != nil {
		r.told.count("suspend " + what)
		r.send(v, syscall.SIGSTOP)
		r.frozen = append(r.frozen, v)
	}
}

// thaw lets all go on that are suspended.
func (r *round) thaw() {
	for _, v := range r.frozen {
		r.send(v, syscall.SIGCONT)
		_ = unix.Close(v.fd)
	}
	r.frozen = nil
}

// order gives an order on the command line, beside what goes on. Whom it is for may have ended.
func (r *round) order(args ...string) {
	r.told.count(args[0])
	c := r.command(args...)
	r.note("order: %s", strings.Join(args, " "))
	r.others.Go(func() {
		out, err := c.CombinedOutput()
		r.note("order %s: %d: %s", strings.Join(args, " "), exitOf(err), bytes.TrimSpace(out))
		if code := exitOf(err); code != 0 && code != 2 {
			r.Errorf("headway %v: exit %d: %s", args, code, out)
		}
	})
}

// marked are the processes of the round that have a variable in their environment.
func (r *round) marked(variable string) []int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		r.Fatal(err)
	}
	var out []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(r.mark)) || !bytes.Contains(environ, []byte(variable)) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// works takes hold of the processes that the attempts of a run have started.
func (r *round) works(run string) []*victim {
	var out []*victim
	for _, pid := range r.marked("HEADWAY_RUN_ID=" + run + "\x00") {
		if v := r.holdProcess("what "+run+" has started", pid); v != nil {
			out = append(out, v)
		}
	}
	return out
}

// allEnd wants that processes end by themselves, now that something has happened to the headway over them, whoever else does nothing. How soon
// is not asked.
func (r *round) allEnd(works []*victim, happened string) {
	limit, cancel := context.WithTimeout(r.Context(), 5*roundTTL)
	defer cancel()
	for _, v := range works {
		n := 0
		for n != 1 && limit.Err() == nil {
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}, 50) // the runtime interrupts it now and then
		}
		if n != 1 {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", v.pid))
			r.Errorf("process %d, %s, lives on although its headway was %s: %q", v.pid, v.what, happened, line)
		}
		_ = unix.Close(v.fd)
	}
}

// noOrphans wants that nothing of what attempts have started still runs. A process that has been killed may need a moment to end.
func (r *round) noOrphans() {
	var left []*victim
	for _, pid := range r.marked("HEADWAY_ATTEMPT=") {
		if v := r.holdProcess("what is left at the end", pid); v != nil {
			left = append(left, v)
		}
	}
	r.allEnd(left, "gone")
}

// strikeAlone kills or suspends a headway while its script is suspended, which so does not end by itself: its shim is to see to it.
func (r *round) strikeAlone(last entry, headway int) bool {
	r.thaw() // a shim, perhaps
	v := r.holdProcess("headway", headway)
	if v == nil {
		return false // it was killed, and perhaps its shim, too
	}
	_ = unix.Close(v.fd)
	r.freeze("script", last.script)
	works := r.works(last.run)
	if r.random.IntN(2) == 0 {
		r.kill("headway", headway)
		r.allEnd(works, "killed")
	} else {
		r.freeze("headway", headway)
		r.allEnd(works, "suspended")
	}
	return true
}

// parentOf is the parent of a process; 0 when it is gone.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// open opens the state that the execs share, once there is one.
func (r *round) open() *sqlite.Ledger {
	if r.led == nil {
		led, err := sqlite.Open(r.Context(), r.state, sqlite.Options{ReadOnly: true})
		if err != nil {
			r.Fatal(err)
		}
		r.led = led
		r.Cleanup(func() { _ = led.Close() })
	}
	return r.led
}

func (r *round) leases() []ledger.LeaseRecord {
	out, err := r.open().Leases(r.Context(), ledger.LeaseFilter{})
	if err != nil {
		r.Fatal(err)
	}
	return out
}
