package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// Linearizable lets many goroutines acquire, start, end, release and look at the same few days of a few tables, through the handles in turn,
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
	what    string // acquire, start, end, release, look
	table   string
	lease   ledger.LeaseID
	attempt ledger.AttemptID
	set     calendar.Set
	wait    bool
}

// An answered is what he got.
type answered struct {
	refusedBy          []ledger.LeaseID // acquire: sorted; nil if it was granted
	queued             bool
	token              history.Token
	reserved, inFlight calendar.Set
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
			set: days(start, start+1+calendar.Partition(r.rng.IntN(4))), wait: r.rng.IntN(2) == 0,
		}
		got := r.acquire(ctx, in, holder)
		for tries := r.rng.IntN(10); got.queued && tries > 0; tries-- {
			got = r.acquire(ctx, in, holder)
		}
		if got.refusedBy != nil && !got.queued {
			continue
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
			ID: in.lease, Run: ledger.RunID("r-" + in.lease), Class: ledger.ClassBackfill, Holder: holder, TTL: time.Hour, Settles: true,
			Writes: []ledger.Claim{{Table: in.table, Axis: day, Set: in.set}}, Wait: in.wait,
		})
		if conflict, ok := errors.AsType[*ledger.ConflictError](err); ok {
			out := answered{refusedBy: []ledger.LeaseID{}, queued: conflict.Queued}
			for _, c := range conflict.Conflicts {
				out.refusedBy = append(out.refusedBy, c.Lease)
			}
			slices.Sort(out.refusedBy)
			return out, nil
		}
		if err != nil {
			return answered{}, err
		}
		return answered{token: l.Tokens[in.table]}, nil
	})
}

// attempt starts an attempt on the first day of a lease and gives it up.
func (r *racer) attempt(ctx context.Context, of asked) {
	first, _ := of.set.First()
	in := asked{what: "start", table: of.table, lease: of.lease, attempt: ledger.AttemptID(r.name("a")), set: calendar.Of(first)}
	out := r.do(in, func() (answered, error) {
		a, err := r.ledger.StartAttempt(ctx, ledger.AttemptRequest{
			ID: in.attempt, Lease: in.lease, Run: ledger.RunID("r-" + in.lease), Table: in.table, Set: in.set, Version: "v1", At: r.world.Now(),
		})
		if err != nil {
			return answered{}, err
		}
		return answered{token: a.Token}, nil
	})
	r.look(ctx, in.table)
	in.what = "end"
	r.do(in, func() (answered, error) {
		_, err := r.ledger.Fail(ctx, ledger.Failure{
			Attempt: in.attempt, Token: out.token, Outcome: history.Failed, Cancelled: true, Reason: "given up", At: r.world.Now(),
		})
		return answered{}, err
	})
}

func (r *racer) look(ctx context.Context, table string) {
	r.do(asked{what: "look", table: table}, func() (answered, error) {
		s, err := r.ledger.Snapshot(ctx, []string{table})
		if err != nil {
			return answered{}, err
		}
		return answered{reserved: s.Table(table).Reserved, inFlight: s.Table(table).InFlight}, nil
	})
}

// A raceState is a table as the model has it. It is never changed, only replaced.
type raceState struct {
	token  history.Token
	leases map[ledger.LeaseID]calendar.Set
	queue  []asked // in the order in which they came
	flying map[ledger.AttemptID]calendar.Set
}

var raceModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		byTable := map[string][]porcupine.Operation{}
		for _, op := range all {
			table := op.Input.(asked).table //nolint:forcetypeassert // nothing else is put in
			byTable[table] = append(byTable[table], op)
		}
		return slices.Collect(maps.Values(byTable))
	},
	Init: func() any { return raceState{} },
	Step: func(state, in, out any) (bool, any) {
		return state.(raceState).step(in.(asked), out.(answered)) //nolint:forcetypeassert // as above
	},
	Equal: func(a, b any) bool {
		x, y := a.(raceState), b.(raceState) //nolint:forcetypeassert // as above
		same := func(a, b asked) bool { return a.lease == b.lease }
		return x.token == y.token && slices.EqualFunc(x.queue, y.queue, same) && maps.EqualFunc(x.leases, y.leases, calendar.Set.Equal) && maps.EqualFunc(x.flying, y.flying, calendar.Set.Equal)
	},
}

// step says whether a table that stands so may answer so, and how it stands afterwards.
func (s raceState) step(in asked, out answered) (bool, raceState) {
	own := func(w asked) bool { return w.lease == in.lease }
	next := raceState{token: s.token, leases: maps.Clone(s.leases), queue: s.queue, flying: maps.Clone(s.flying)}
	switch in.what {
	case "acquire":
		var inTheWay []ledger.LeaseID
		for id, set := range s.leases {
			if set.Overlaps(in.set) {
				inTheWay = append(inTheWay, id)
			}
		}
		place := slices.IndexFunc(s.queue, own)
		for i, w := range s.queue {
			if w.set.Overlaps(in.set) && (place < 0 || i < place) {
				inTheWay = append(inTheWay, w.lease)
			}
		}
		slices.Sort(inTheWay)
		if out.refusedBy != nil {
			if in.wait && place < 0 {
				next.queue = append(slices.Clone(s.queue), in)
			}
			return len(inTheWay) > 0 && slices.Equal(inTheWay, out.refusedBy) && out.queued == in.wait, next
		}
		next.queue = slices.DeleteFunc(slices.Clone(s.queue), own)
		if next.leases == nil {
			next.leases = map[ledger.LeaseID]calendar.Set{}
		}
		next.leases[in.lease], next.token = in.set, s.token+1
		return len(inTheWay) == 0 && out.token == next.token, next
	case "start":
		for _, set := range s.flying {
			if set.Overlaps(in.set) {
				return false, s
			}
		}
		if next.flying == nil {
			next.flying = map[ledger.AttemptID]calendar.Set{}
		}
		next.flying[in.attempt], next.token = in.set, s.token+1
		return s.leases[in.lease].Covers(in.set) && out.token == next.token, next
	case "end":
		delete(next.flying, in.attempt)
	case "release":
		delete(next.leases, in.lease)
		next.queue = slices.DeleteFunc(slices.Clone(s.queue), own)
	case "look":
		reserved, inFlight := calendar.UnionAll(slices.Collect(maps.Values(s.leases))...), calendar.UnionAll(slices.Collect(maps.Values(s.flying))...)
		return out.reserved.Equal(reserved) && out.inFlight.Equal(inFlight), s
	}
	return true, next
}
