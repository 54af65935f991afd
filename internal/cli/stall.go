package cli

import (
	"context"
	"io"
	"os"
)

// stallVariable names a named pipe: a run that finds it lets its file go just before it publishes, and goes on when somebody has written to the
// pipe and closed it. It is for the demonstration and for tests: what a machine does that freezes.
const stallVariable = "HEADWAY_STALL"

func (inv *invocation) stall() func(context.Context) {
	path, ok := inv.Lookup(stallVariable)
	if !ok || path == "" {
		return nil
	}
	return func(context.Context) {
		inv.warn("stalled before a publish, until somebody writes to %s", path)
		f, err := os.Open(path) //nolint:gosec // whoever sets the variable says so
		if err != nil {
			return
		}
		defer f.Close()               //nolint:errcheck // it was only read
		_, _ = io.Copy(io.Discard, f) // its end is what is waited for
	}
}
