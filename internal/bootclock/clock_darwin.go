package bootclock

import "golang.org/x/sys/unix"

// On macOS the monotonic clock counts suspend.
const clock = unix.CLOCK_MONOTONIC
