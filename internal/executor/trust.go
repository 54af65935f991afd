package executor

import (
	"context"
	"sync"
	"time"
)

// A Trust is the time until which a holder trusts its lease, on the boot clock. It is less than what the ledger grants: what has to be
// stopped needs time to end. Its methods may be called from many goroutines.
type Trust struct {
	clock   func() time.Duration
	mu      sync.Mutex
	until   time.Duration
	changed chan struct{}
}

// NewTrust trusts until a time on the clock that is given: the boot clock.
func NewTrust(clock func() time.Duration, until time.Duration) *Trust {
	return &Trust{clock: clock, until: until, changed: make(chan struct{})}
}

// Extend trusts for longer, once the lease has been renewed. An earlier time than there was changes nothing.
func (t *Trust) Extend(until time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until <= t.until {
		return
	}
	t.until = until
	close(t.changed)
	t.changed = make(chan struct{})
}

// Until is the time, and a channel that is closed when there is a later one. Without a Trust it is 0, and nothing changes.
func (t *Trust) Until() (until time.Duration, changed <-chan struct{}) {
	if t == nil {
		return 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until, t.changed
}

// Over reports whether the lease is trusted no longer. Without a Trust it never is.
func (t *Trust) Over() bool {
	until, _ := t.Until()
	return t != nil && t.clock() >= until
}

// Wait waits until the lease is trusted: not at all while it is. When ctx ends, it gives up with the cause.
func (t *Trust) Wait(ctx context.Context) error {
	for {
		until, changed := t.Until()
		if t == nil || t.clock() < until {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
