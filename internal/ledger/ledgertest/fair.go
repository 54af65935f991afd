package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// The size of a crowd: all want a few days of one table.
const (
	crowd       = 24
	crowdRounds = 6
	crowdDays   = 8
)

// A turn is how one request of a crowd fared. The numbers are of one counter: what comes later has the higher one.
type turn struct {
	id      ledger.LeaseID
	class   ledger.Class
	set     calendar.Set
	asked   int64 // before it asked for the first time
	queued  int64 // after it was told that it waits; 0: it never was
	tried   int64 // before it asked for the last time
	granted int64 // after it was granted
}

// overtook reports whether a later request surely got ahead of one that waited: it first asked when the other was in the queue already, and
// was granted before the other asked for the last time.
func (one *turn) overtook(waiter *turn) bool {
	return waiter.queued > 0 && waiter.queued < one.asked && one.granted < waiter.tried && waiter.set.Overlaps(one.set)
}

// Fair lets many goroutines wait for ranges that overlap, through the handles in turn, which are open on one store. Everybody's turn comes, and
// nobody who waits is overtaken by somebody of the same or a lower class who came later and wants some of the same.
func Fair(t *testing.T, seed uint64, w *World, handles []ledger.Ledger) {
	t.Logf("seed %d", seed)
	var (
		clock atomic.Int64
		mu    sync.Mutex
		turns []*turn
		wg    sync.WaitGroup
	)
	for client := range crowd {
		l, rng, holder := handles[client%len(handles)], rand.New(rand.NewPCG(seed, uint64(client))), w.Holder()
		wg.Go(func() {
			for n := range crowdRounds {
				start := calendar.Partition(rng.IntN(crowdDays))
				one := &turn{
					id: ledger.LeaseID(fmt.Sprintf("l-%d-%d", client, n)), class: classes[rng.IntN(len(classes))],
					set: days(start, start+1+calendar.Partition(rng.IntN(crowdDays/2))),
				}
				if err := one.take(t.Context(), l, holder, &clock); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				turns = append(turns, one)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	waited := 0
	for _, a := range turns {
		if a.queued > 0 {
			waited++
		}
		for _, b := range turns {
			if b.overtook(a) && b.class.Rank() <= a.class.Rank() {
				t.Errorf("%s (%s) came when %s (%s) waited and was granted before it", b.id, b.class, a.id, a.class)
			}
		}
	}
	if waited < crowd {
		t.Errorf("only %d of %d had to wait", waited, len(turns))
	}
}

// take asks until it is granted, and gives the lease back.
func (one *turn) take(ctx context.Context, l ledger.Ledger, holder ledger.Holder, clock *atomic.Int64) error {
	one.asked = clock.Add(1)
	for {
		one.tried = clock.Add(1)
		_, err := l.Acquire(ctx, ledger.LeaseRequest{
			ID: one.id, Run: ledger.RunID("r-" + one.id), Class: one.class, Holder: holder, TTL: time.Hour, Settles: true, Wait: true,
			Writes: []ledger.Claim{{Table: table, Axis: day, Set: one.set}},
		})
		if err == nil {
			one.granted = clock.Add(1)
			runtime.Gosched() // others ask meanwhile
			return l.Release(ctx, one.id, nil)
		}
		if conflict, ok := errors.AsType[*ledger.ConflictError](err); !ok || !conflict.Queued {
			return err
		}
		if one.queued == 0 {
			one.queued = clock.Add(1)
		}
	}
}
