package ledgertest

import (
	"sync"
	"time"

	"github.com/headway-data/headway/internal/ledger"
)

// A World is the clock and the machine that a ledger under test sees.
type World struct {
	mu   sync.Mutex
	now  time.Time
	up   time.Duration
	boot int
	pids int
	dead map[int]bool
}

// NewWorld is a machine a day after its start, in the night of 2 January 2026.
func NewWorld() *World {
	return &World{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), up: 24 * time.Hour, dead: map[int]bool{}}
}

// Now is the wall clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Advance lets time pass.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.up = w.now.Add(d), w.up+d
}

// Reboot ends the boot: every process is gone and the clock of the machine begins again.
func (w *World) Reboot() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boot, w.up = w.boot+1, time.Minute
}

// Holder is a new process on the machine.
func (w *World) Holder() ledger.Holder {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pids++
	return ledger.Holder{Host: "host", Boot: w.bootID(), PID: w.pids, Start: int64(w.pids) * 100, User: "ada"}
}

// Kill ends a process.
func (w *World) Kill(h ledger.Holder) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[h.PID] = true
}

func (w *World) bootID() string { return string(rune('a' + w.boot)) }

// Machine is the machine as a ledger opened now sees it. A ledger must be opened again after Reboot.
func (w *World) Machine() ledger.Machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return ledger.Machine{
		Host: "host",
		Boot: w.bootID(),
		Clock: func() time.Duration {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.up
		},
		Alive: func(h ledger.Holder) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.dead[h.PID]
		},
	}
}
