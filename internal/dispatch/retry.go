package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The defaults of a Backoff.
const (
	DefaultFirst   = time.Second
	DefaultLongest = time.Minute
)

// A Backoff is how long to wait between tries: about First after the first try, twice as long after each further one, about Longest at
// most. "About" is between half and all of it, so that workers that failed together do not try again together.
type Backoff struct {
	First, Longest time.Duration // 0: the defaults
	// Random gives numbers in [0, 1); nil waits the whole time.
	Random func() float64
	// Notify is told each failed try that will be followed by another, and how long until then. It may be nil.
	Notify func(try int, err error, wait time.Duration)
}

// Retry calls fn until it succeeds, with the number of the try, from 1. It gives up after as many tries (below 1 counts as 1), at an
// error that isPermanent (nil: none is), and when ctx ends; then it gives fn's last error, joined with the cause of ctx's end where that
// is why. It never waits after the last try.
func (b Backoff) Retry(ctx context.Context, tries int, isPermanent func(error) bool, fn func(ctx context.Context, try int) error) error {
	try := 0
	var last error
	operation := func() (struct{}, error) {
		try++
		last = fn(ctx, try)
		if last != nil && isPermanent != nil && isPermanent(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}
	notify := func(err error, wait time.Duration) {
		if b.Notify != nil {
			b.Notify(try, err, wait)
		}
	}
	_, err := backoff.Retry(ctx, operation,
		backoff.WithBackOff(&jittered{Backoff: b}), backoff.WithNotify(notify),
		backoff.WithMaxTries(uint(max(tries, 1))),
		backoff.WithMaxElapsedTime(0),
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(last, context.Cause(ctx)):
		return fmt.Errorf("%w (not tried again: %w)", last, context.Cause(ctx))
	}
	return last
}

// jittered is the sequence of waits. The library's own draws its jitter from the process's randomness.
type jittered struct {
	Backoff
	wait time.Duration
}

// Reset begins the sequence anew.
func (j *jittered) Reset() { j.wait = 0 }

// NextBackOff is how long to wait this time.
func (j *jittered) NextBackOff() time.Duration {
	longest := orDefault(j.Longest, DefaultLongest)
	if j.wait == 0 {
		j.wait = min(orDefault(j.First, DefaultFirst), longest)
	} else {
		j.wait = min(2*j.wait, longest)
	}
	if j.Random == nil {
		return j.wait
	}
	return j.wait/2 + time.Duration(j.Random()*float64(j.wait/2))
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
