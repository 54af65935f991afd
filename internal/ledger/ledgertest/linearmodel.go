package ledgertest

import (
	"errors"
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A raceState is a table as the model of a race has it. It is never changed, only replaced.
type raceState struct {
	token    history.Token
	leases   map[ledger.LeaseID]raceLease
	queue    []asked // in the order in which they came
	attempts map[ledger.AttemptID]raceAttempt
}

type raceLease struct {
	set    calendar.Set
	class  ledger.Class
	paused bool
}

func (x raceLease) equal(y raceLease) bool {
	return x.class == y.class && x.paused == y.paused && x.set.Equal(y.set)
}

// A raceAttempt is of one day, and has not ended.
type raceAttempt struct {
	lease     ledger.LeaseID
	day       calendar.Partition
	unsettled bool // otherwise it is in flight
	intends   bool
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
		was := state.(raceState) //nolint:forcetypeassert // as above
		next := was.clone()
		return next.step(in.(asked), out.(answered)), next //nolint:forcetypeassert // as above
	},
	Equal: func(a, b any) bool {
		x, y := a.(raceState), b.(raceState) //nolint:forcetypeassert // as above
		same := func(a, b asked) bool { return a.lease == b.lease }
		return x.token == y.token && slices.EqualFunc(x.queue, y.queue, same) && maps.EqualFunc(x.leases, y.leases, raceLease.equal) &&
			maps.Equal(x.attempts, y.attempts)
	},
}

func (s *raceState) clone() raceState {
	next := raceState{
		token: s.token, leases: map[ledger.LeaseID]raceLease{}, queue: slices.Clone(s.queue), attempts: map[ledger.AttemptID]raceAttempt{},
	}
	maps.Copy(next.leases, s.leases)
	maps.Copy(next.attempts, s.attempts)
	return next
}

// step says whether a table that stands so may answer so, and changes it to how it stands afterwards.
func (s *raceState) step(in asked, out answered) bool {
	a, known := s.attempts[in.attempt]
	live := s.leases[in.lease].set.Covers(in.set)
	switch in.what {
	case "acquire":
		return s.acquire(in, out)
	case "settle":
		for id, a := range s.attempts {
			if live && a.unsettled && in.set.Contains(a.day) {
				delete(s.attempts, id)
			}
		}
		return refusedWith(out, !live, ledger.ErrLost)
	case "pause", "resume":
		if x, ok := s.leases[in.lease]; ok {
			x.paused = in.what == "pause"
			s.leases[in.lease] = x
		}
	case "start":
		if !live {
			return refusedWith(out, true, ledger.ErrLost)
		}
		if s.leases[in.lease].paused {
			return refusedWith(out, true, ledger.ErrPaused)
		}
		first, _ := in.set.First()
		for _, a := range s.attempts {
			if a.day == first {
				return a.unsettled && refusedWith(out, true, ledger.ErrUnsettled)
			}
		}
		s.token++
		s.attempts[in.attempt] = raceAttempt{lease: in.lease, day: first}
		return out.refused == nil && out.token == s.token
	case "intend":
		lost := !known || a.unsettled
		if !lost {
			a.intends = true
			s.attempts[in.attempt] = a
		}
		return refusedWith(out, lost, ledger.ErrLost)
	case "end":
		_, has := s.leases[a.lease]
		if known && has {
			delete(s.attempts, in.attempt)
		}
		return refusedWith(out, !known || !has, ledger.ErrLost)
	case "release":
		s.queue = slices.DeleteFunc(s.queue, func(w asked) bool { return w.lease == in.lease })
		s.lose(in.lease, calendar.All())
	case "look":
		return s.looks(out)
	}
	return true
}

func refusedWith(out answered, refused bool, with error) bool {
	return refused == (out.refused != nil) && (!refused || errors.Is(out.refused, with))
}

func (s *raceState) acquire(in asked, out answered) bool {
	place := slices.IndexFunc(s.queue, func(w asked) bool { return w.lease == in.lease })
	inTheWay, publishing, taken := s.inTheWay(in, place)
	if out.refusedBy != nil {
		if in.wait && place < 0 {
			s.queue = append(s.queue, in)
		}
		return len(inTheWay) > 0 && slices.Equal(inTheWay, out.refusedBy) && out.queued == in.wait && out.publishing == publishing
	}
	s.queue = slices.DeleteFunc(s.queue, func(w asked) bool { return w.lease == in.lease })
	for _, id := range taken {
		s.lose(id, in.set)
	}
	s.token++
	s.leases[in.lease] = raceLease{set: in.set, class: in.class}
	var settle []calendar.Partition
	for _, a := range s.attempts {
		if a.unsettled && in.set.Contains(a.day) {
			settle = append(settle, a.day)
		}
	}
	return len(inTheWay) == 0 && out.token == s.token && out.settle.Equal(calendar.Of(settle...))
}

// inTheWay gives the leases and waiters that refuse a request, whether one of them is publishing, and the leases from which it takes.
func (s *raceState) inTheWay(in asked, place int) (refuse []ledger.LeaseID, publishing bool, taken []ledger.LeaseID) {
	for id, x := range s.leases {
		if !x.set.Overlaps(in.set) {
			continue
		}
		lower := in.preempt && x.class.Rank() < in.class.Rank()
		if !lower && !x.paused {
			refuse = append(refuse, id)
			continue
		}
		taken = append(taken, id)
		for _, a := range s.attempts {
			if a.lease == id && !a.unsettled && (a.intends || !lower) && in.set.Contains(a.day) {
				refuse, publishing = append(refuse, id), publishing || lower
				break
			}
		}
	}
	for i, w := range s.queue {
		above := w.class.Rank() - in.class.Rank()
		if i != place && w.set.Overlaps(in.set) && (above > 0 || (above == 0 && (place < 0 || i < place))) {
			refuse = append(refuse, w.lease)
		}
	}
	slices.Sort(refuse)
	return refuse, publishing, taken
}

// lose takes days from a lease: what is in flight there becomes unsettled. A lease without any ends.
func (s *raceState) lose(id ledger.LeaseID, set calendar.Set) {
	x := s.leases[id]
	for name, a := range s.attempts {
		if a.lease == id && set.Contains(a.day) && x.set.Contains(a.day) {
			a.unsettled = true
			s.attempts[name] = a
		}
	}
	if x.set = x.set.Minus(set); x.set.Empty() {
		delete(s.leases, id)
		return
	}
	s.leases[id] = x
}

func (s *raceState) looks(out answered) bool {
	var reserved, inFlight, unsettled calendar.Set
	for _, x := range s.leases {
		reserved = reserved.Union(x.set)
	}
	for _, a := range s.attempts {
		if a.unsettled {
			unsettled = unsettled.Union(calendar.Of(a.day))
		} else {
			inFlight = inFlight.Union(calendar.Of(a.day))
		}
	}
	return out.reserved.Equal(reserved) && out.inFlight.Equal(inFlight) && out.unsettled.Equal(unsettled)
}
