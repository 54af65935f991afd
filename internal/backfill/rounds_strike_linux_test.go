package backfill_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

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
	switch r.random.IntN(12) {
	case 0:
		r.kill("headway", headway)
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
	default:
		for _, x := range r.leases() {
			if string(x.Run) == last.run {
				r.order("lease", "break", string(x.ID), "--reason", "chaos")
			}
		}
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
