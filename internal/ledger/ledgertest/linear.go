package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// The size of a race: enough that leases meet all the time, and that the checker is done in a second.
const (
	racers      = 8
	raceRounds  = 60
	raceTables  = 3
	raceDays    = 12
	raceTimeout = 2 * time.Minute
)

// Linearizable lets many goroutines acquire, wait, preempt, pause, start, end, release and look at the same few days of a few tables, through the handles in turn,
// which are open on one store. What each was answered must be what one caller after the other would have been answered, in an order in which
// nobody who had his answer comes after somebody who asked later (Herlihy and Wing, Linearizability, 1990). So at no moment two leases
// overlap, every refusal names just who was in the way, tokens are drawn without gap or repetition, and nobody reads an old state.
func Linearizable(t *testing.T, seed uint64, w *World, handles []ledger.Ledger) {
	t.Logf("seed %d", seed)
	r := &race{t: t, world: w}
	var wg sync.WaitGroup
	for client := range racers {
		racer := &racer{race: r, client: client, ledger: handles[client%len(handles)], rng: rand.New(rand.NewPCG(seed, uint64(client)))}
		wg.Go(func() { racer.run(t.Context()) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	switch porcupine.CheckOperationsTimeout(raceModel, r.history, raceTimeout) {
	case porcupine.Illegal:
		t.Errorf("%d operations have no order that explains their answers", len(r.history))
	case porcupine.Unknown:
		t.Errorf("%d operations could not be checked in %s", len(r.history), raceTimeout)
	case porcupine.Ok:
	}
}

// An asked is what a caller wanted of a table.
type asked struct {
	what    string // acquire, settle, pause, resume, start, intend, end, release, look
	table   string
	lease   ledger.LeaseID
	attempt ledger.AttemptID
	set     calendar.Set
	class   ledger.Class
	wait    bool
	preempt bool
}

// An answered is what he got.
type answered struct {
	refusedBy                     []ledger.LeaseID // acquire: sorted; nil if it was granted
	publishing, queued            bool
	settle                        calendar.Set
	token                         history.Token
	refused                       error // which of refusals, if any
	reserved, inFlight, unsettled calendar.Set
}

var refusals = []error{ledger.ErrLost, ledger.ErrUnsettled, ledger.ErrPaused}

// refusal is what of an error a model knows; the rest is an error.
func refusal(err error) (answered, error) {
	for _, is := range refusals {
		if errors.Is(err, is) {
			return answered{refused: is}, nil
		}
	}
	return answered{}, err
}

type race struct {
	t       *testing.T
	world   *World
	clock   atomic.Int64 // what comes later has a higher number: that is all the checker asks of time
	mu      sync.Mutex
	history []porcupine.Operation
}

type racer struct {
	*race
	client int
	ledger ledger.Ledger
	rng    *rand.Rand
	n      int
}

// do carries out one operation and notes when it was asked and when it was answered.
func (r *racer) do(in asked, fn func() (answered, error)) answered {
	call := r.clock.Add(1)
	out, err := fn()
	end := r.clock.Add(1)
	if err != nil {
		r.t.Errorf("%s: %v", in.what, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: r.client, Input: in, Output: out, Call: call, Return: end})
	return out
}

func (r *racer) name(prefix string) string {
	r.n++
	return fmt.Sprintf("%s-%d-%d", prefix, r.client, r.n)
}

func (r *racer) run(ctx context.Context) {
	holder := r.world.Holder()
	for range raceRounds {
		if r.t.Failed() {
			return
		}
		start := calendar.Partition(r.rng.IntN(raceDays))
		in := asked{
			what: "acquire", table: fmt.Sprintf("main/race%d", r.rng.IntN(raceTables)), lease: ledger.LeaseID(r.name("l")),
			set: days(start, start+1+calendar.Partition(r.rng.IntN(4))), wait: r.rng.IntN(2) == 0, class: ledger.ClassBackfill,
		}
		if r.rng.IntN(4) == 0 {
			in.class, in.preempt = ledger.ClassFix, r.rng.IntN(4) > 0
		}
		got := r.acquire(ctx, in, holder)
		for tries := r.rng.IntN(10); got.queued && tries > 0; tries-- {
			got = r.acquire(ctx, in, holder)
		}
		if got.refusedBy != nil && !got.queued {
			continue
		}
		if !got.settle.Empty() {
			r.settle(ctx, in, got.settle)
		}
		if !got.queued && r.rng.IntN(4) == 0 {
			r.order(ctx, in, ledger.OrderPause)
			r.attempt(ctx, in)
			r.order(ctx, in, ledger.OrderResume)
		}
		for n := r.rng.IntN(3); n > 0 && !got.queued; n-- {
			r.attempt(ctx, in)
		}
		in.what = "release"
		r.do(in, func() (answered, error) { return answered{}, r.ledger.Release(ctx, in.lease, nil) })
		r.look(ctx, in.table)
	}
}

func (r *racer) acquire(ctx context.Context, in asked, holder ledger.Holder) answered {
	return r.do(in, func() (answered, error) {
		l, err := r.ledger.Acquire(ctx, ledger.LeaseRequest{
			ID: in.lease, Run: ledger.RunID("r-" + in.lease), Class: in.class, Holder: holder, TTL: time.Hour, Settles: true,
			Writes: []ledger.Claim{{Table: in.table, Axis: day, Set: in.set}}, Wait: in.wait, Preempt: in.preempt,
		})
		if conflict, ok := errors.AsType[*ledger.ConflictError](err); ok {
			out := answered{refusedBy: []ledger.LeaseID{}, queued: conflict.Queued}
			for _, c := range conflict.Conflicts {
				out.refusedBy = append(out.refusedBy, c.Lease)
				out.publishing = out.publishing || c.Publishing
			}
			slices.Sort(out.refusedBy)
			return out, nil
		}
		if err != nil {
			return answered{}, err
		}
		out := answered{token: l.Tokens[in.table]}
		for _, c := range l.Settle {
			out.settle = c.Set
		}
		return out, nil
	})
}

// order pauses or resumes the run of a lease.
func (r *racer) order(ctx context.Context, in asked, kind ledger.OrderKind) {
	in.what = string(kind)
	run := ledger.RunID("r-" + in.lease)
	if err := r.ledger.PutRun(ctx, ledger.RunRecord{ID: run, State: "running"}); err != nil {
		r.t.Error(err)
	}
	r.do(in, func() (answered, error) {
		_, err := r.ledger.Order(ctx, ledger.Order{ID: ledger.LeaseID(r.name("o")), Kind: kind, Run: run, Reason: "so", At: r.world.Now()})
		return answered{}, err
	})
}

func (r *racer) settle(ctx context.Context, in asked, set calendar.Set) {
	in.what, in.set = "settle", set
	r.do(in, func() (answered, error) {
		_, err := r.ledger.Settle(ctx, in.lease, in.table, in.set, nil)
		return refusal(err)
	})
}

// attempt starts an attempt on the first day of a lease and gives it up, at times in the middle of publishing it.
func (r *racer) attempt(ctx context.Context, of asked) {
	first, _ := of.set.First()
	in := asked{what: "start", table: of.table, lease: of.lease, attempt: ledger.AttemptID(r.name("a")), set: calendar.Of(first)}
	out := r.do(in, func() (answered, error) {
		a, err := r.ledger.StartAttempt(ctx, ledger.AttemptRequest{
			ID: in.attempt, Lease: in.lease, Run: ledger.RunID("r-" + in.lease), Table: in.table, Set: in.set, Version: "v1", At: r.world.Now(),
		})
		if err != nil {
			return refusal(err)
		}
		return answered{token: a.Token}, nil
	})
	r.look(ctx, in.table)
	if out.refused != nil {
		return
	}
	if r.rng.IntN(2) == 0 {
		in.what = "intend"
		r.do(in, func() (answered, error) {
			return refusal(r.ledger.Intend(ctx, ledger.Intent{
				Attempt: in.attempt, Table: in.table, Token: out.token, Version: "v1", Publish: []ledger.Content{{Partition: first, Rows: 1}},
			}))
		})
		r.look(ctx, in.table)
	}
	in.what = "end"
	r.do(in, func() (answered, error) {
		_, err := r.ledger.Fail(ctx, ledger.Failure{
			Attempt: in.attempt, Token: out.token, Outcome: history.Failed, Cancelled: true, Reason: "given up", At: r.world.Now(),
		})
		return refusal(err)
	})
}

func (r *racer) look(ctx context.Context, table string) {
	r.do(asked{what: "look", table: table}, func() (answered, error) {
		s, err := r.ledger.Snapshot(ctx, []string{table})
		if err != nil {
			return answered{}, err
		}
		h := s.Table(table)
		return answered{reserved: h.Reserved, inFlight: h.InFlight, unsettled: h.Unsettled}, nil
	})
}
