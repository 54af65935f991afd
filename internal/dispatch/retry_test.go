package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headway-data/headway/internal/run"
)

var errFlaky = errors.New("flaky")

func TestRetry(t *testing.T) {
	permanent := errors.New("permanent")
	isPermanent := func(err error) bool { return errors.Is(err, permanent) }
	for _, tt := range []struct {
		name   string
		tries  int
		random func() float64
		errs   []error // of the tries, in order; then nil
		want   error
		called int
		waited time.Duration
	}{
		{"first try", 3, nil, nil, nil, 1, 0},
		{"second try", 3, nil, []error{errFlaky}, nil, 2, time.Second},
		{"never", 4, nil, []error{errFlaky, errFlaky, errFlaky, errFlaky, errFlaky}, errFlaky, 4, 7 * time.Second},
		{"permanent", 4, nil, []error{errFlaky, fmt.Errorf("bad: %w", permanent)}, permanent, 2, time.Second},
		{"one try", 1, nil, []error{errFlaky}, errFlaky, 1, 0},
		{"no try is one", 0, nil, []error{errFlaky}, errFlaky, 1, 0},
		{"up to the longest", 7, nil, []error{errFlaky, errFlaky, errFlaky, errFlaky, errFlaky, errFlaky, errFlaky}, errFlaky, 7, 35 * time.Second},
		{"least jitter", 3, func() float64 { return 0 }, []error{errFlaky, errFlaky, errFlaky}, errFlaky, 3, 1500 * time.Millisecond},
		{"half jitter", 2, func() float64 { return 0.5 }, []error{errFlaky, errFlaky}, errFlaky, 2, 750 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, called := time.Now(), 0
			var told []int
			b := Backoff{Longest: 10 * time.Second, Random: tt.random, Notify: func(try int, _ error, _ time.Duration) { told = append(told, try) }}
			err := b.Retry(t.Context(), tt.tries, isPermanent, func(_ context.Context, try int) error {
				if called++; try != called {
					t.Errorf("%s: try %d is called %d", tt.name, called, try)
				}
				if try > len(tt.errs) {
					return nil
				}
				return tt.errs[try-1]
			})
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil || called != tt.called {
				t.Errorf("%s: %v after %d tries, want %v after %d", tt.name, err, called, tt.want, tt.called)
			}
			if waited := time.Since(began); waited != tt.waited {
				t.Errorf("%s: waited %s, want %s", tt.name, waited, tt.waited)
			}
			if len(told) != called-1 {
				t.Errorf("%s: told of tries %v", tt.name, told)
			}
		})
	}
}

// TestRetryEndsWithTheContext: a wait ends at once, and both errors are told.
func TestRetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the lease is lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		began := time.Now()
		time.AfterFunc(300*time.Millisecond, func() { cancel(gone) })
		err := Backoff{}.Retry(ctx, 5, nil, func(context.Context, int) error { return errFlaky })
		if !errors.Is(err, errFlaky) || !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(began); waited != 300*time.Millisecond {
			t.Errorf("ended after %s", waited)
		}
	})
}

func TestBackoffIsBounded(t *testing.T) {
	j := &jittered{Backoff: Backoff{Random: func() float64 { return 0.999 }}}
	var waits []time.Duration
	for range 200 {
		waits = append(waits, j.NextBackOff())
	}
	if longest := slices.Max(waits); longest > DefaultLongest || longest < DefaultLongest/2 {
		t.Errorf("longest wait %s", longest)
	}
	if j = (&jittered{Backoff: Backoff{First: time.Hour, Longest: time.Minute}}); j.NextBackOff() != time.Minute {
		t.Error("the first wait is longer than the longest")
	}
}

func TestStopOf(t *testing.T) {
	signal := run.Stop{Cause: run.CauseStopped, Signal: 2, Reason: "interrupted"}
	lost := run.Stop{Cause: run.CauseConflict, Reason: "the lease is lost"}
	for name, tt := range map[string]struct {
		cause error
		want  run.Stop
	}{
		"signal":  {&StopError{Stop: signal}, signal},
		"wrapped": {fmt.Errorf("over: %w", &StopError{Stop: lost}), lost},
		"plain":   {nil, run.Stop{Cause: run.CauseStopped, Reason: "stopped"}},
		"error":   {errFlaky, run.Stop{Cause: run.CauseStopped, Reason: "flaky"}},
		"zero":    {&StopError{}, run.Stop{Cause: run.CauseStopped, Reason: "the run was stopped"}},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(tt.cause)
		if got := StopOf(ctx); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
	if got := (&StopError{Stop: lost}).Error(); got != "the lease is lost" {
		t.Errorf("got %q", got)
	}
}
