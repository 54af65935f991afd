// Package bootclock reads the machine's clock that counts while it sleeps. Leases and their deadlines go by it (rule 8): Go's own monotonic
// clock stops in suspend, and the civil clock can be set. It is read here and nowhere else; what goes by it gets it handed in.
package bootclock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time since this machine was booted, suspend included. It never goes back, and means nothing on another machine or after
// another boot.
func Now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic("bootclock: the boot clock cannot be read: " + err.Error()) // the kernel has it, or Headway cannot run
	}
	return time.Duration(t.Nano())
}
