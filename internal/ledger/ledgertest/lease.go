package ledgertest

import (
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

var classes = []ledger.Class{ledger.ClassBackfill, ledger.ClassScheduled, ledger.ClassFix}

var leaseCases = []testCase{
	{"AllClaimsOrNone", func(f *fixture) {
		f.acquire(f.request(5, 8))
		req := f.request(0, 3)
		req.Writes = append(req.Writes, ledger.Claim{Table: "main/u", Axis: day, Set: days(0, 9)})
		req.Writes[0].Set = days(0, 6)
		before := f.head()
		f.refused(req)
		slices.Reverse(req.Writes) // whichever of them is in the way
		f.refused(req)
		same(f, "clock after a refusal", f.head(), before)
		other := f.request(0, 9)
		other.Writes[0].Table = "main/u"
		f.acquire(other)
		f.acquire(f.request(0, 5))
	}},
	{"ConflictNamesEveryHolder", func(f *fixture) {
		first, second := f.request(0, 4), f.request(6, 9)
		first.Reason, second.Class = "the fix", ledger.ClassFix
		f.ok(f.l.PutRun(f.ctx, ledger.RunRecord{ID: first.Run, State: "running", Command: "headway run t", Done: 1, Total: 4, StartedAt: f.w.Now()}))
		f.acquire(first)
		since := f.w.Now()
		f.w.Advance(time.Second)
		f.acquire(second)
		got := f.refused(f.request(2, 8))
		for i := range got {
			got[i].Since, got[i].StartedAt = got[i].Since.UTC(), got[i].StartedAt.UTC()
		}
		same(f, "conflicts", got, []ledger.Conflict{
			{
				Lease: first.ID, Run: first.Run, Class: first.Class, Table: table, Overlap: days(2, 4), Holder: first.Holder, Since: since,
				Command: "headway run t", Done: 1, Total: 4, StartedAt: since, Reason: "the fix",
			},
			{Lease: second.ID, Run: second.Run, Class: second.Class, Table: table, Overlap: days(6, 8), Holder: second.Holder, Since: f.w.Now()},
		})
	}},
	{"NeighboursDoNotConflict", func(f *fixture) {
		f.acquire(f.request(5, 8))
		f.acquire(f.request(0, 5))
		f.acquire(f.request(8, 9))
	}},
	{"SetsWithHolesFit", func(f *fixture) {
		req := f.request(0, 1)
		req.Writes[0].Set = calendar.Of(0, 2, 4, 6)
		f.acquire(req)
		req = f.request(0, 1)
		req.Writes[0].Set = calendar.Of(1, 3, 5)
		f.acquire(req)
		f.sets("overlap", f.refused(f.request(4, 10))[0].Overlap.Union(f.refused(f.request(5, 6))[0].Overlap), calendar.Of(4, 5, 6))
	}},
	{"OpenClaims", func(f *fixture) {
		req := f.request(0, 1)
		req.Writes[0].Set = calendar.Range(10, calendar.Horizon)
		f.acquire(req)
		f.refused(f.request(1000, 1001))
		f.acquire(f.request(0, 10))
	}},
	{"OwnLeaseConflictsToo", func(f *fixture) {
		req := f.request(0, 5)
		f.acquire(req)
		again := f.request(3, 7)
		again.Run = req.Run
		f.refused(again)
	}},
	{"NoClassTakesALiveLease", func(f *fixture) {
		for i, has := range classes {
			held := f.request(calendar.Partition(10*i), calendar.Partition(10*i+5))
			held.Class = has
			f.acquire(held)
			for _, wants := range classes {
				req := f.request(calendar.Partition(10*i+4), calendar.Partition(10*i+6))
				req.Class = wants
				same(f, "conflicts", len(f.refused(req)), 1)
			}
		}
	}},
	{"AcquireIsIdempotent", func(f *fixture) {
		req := f.request(0, 5)
		first := f.acquire(req)
		head := f.head()
		same(f, "the same lease", f.acquire(req), first)
		f.reopen()
		same(f, "the same lease after opening again", f.acquire(req), first)
		same(f, "clock", f.head(), head)
		f.ok(f.l.Release(f.ctx, req.ID, nil))
		_, err := f.l.Acquire(f.ctx, req)
		f.is(err, ledger.ErrLost)
	}},
	{"TokensGrowAndAreNeverReset", func(f *fixture) {
		last := history.Token(0)
		for range 3 {
			l := f.acquire(f.request(0, 5))
			a := f.attempt(l, 0, 1)
			if l.Tokens[table] <= last || a.Token <= l.Tokens[table] {
				f.Fatalf("tokens %d, %d, %d do not grow", last, l.Tokens[table], a.Token)
			}
			last = a.Token
			_, err := f.l.Fail(f.ctx, ledger.Failure{Attempt: a.ID, Token: a.Token, Cancelled: true})
			f.ok(err)
			f.ok(f.l.Release(f.ctx, l.ID, nil))
			f.reopen()
		}
	}},
	{"AxisIsKept", func(f *fixture) {
		f.acquire(f.request(0, 5))
		req := f.request(7, 8)
		req.Writes[0].Axis = calendar.Axis{Grain: calendar.Hour}
		_, err := f.l.Acquire(f.ctx, req)
		f.is(err, ledger.ErrAxis)
		req.Writes[0].Axis = calendar.Axis{Grain: calendar.Day, Zone: "America/New_York"}
		_, err = f.l.Acquire(f.ctx, req)
		f.is(err, ledger.ErrAxis)
	}},
	{"MalformedRequests", func(f *fixture) {
		for what, change := range map[string]func(*ledger.LeaseRequest){
			"no id":       func(r *ledger.LeaseRequest) { r.ID = "" },
			"no claim":    func(r *ledger.LeaseRequest) { r.Writes = nil },
			"empty claim": func(r *ledger.LeaseRequest) { r.Writes[0].Set = calendar.Set{} },
			"no run":      func(r *ledger.LeaseRequest) { r.Run = "" },
			"no ttl":      func(r *ledger.LeaseRequest) { r.TTL = 0 },
			"twice":       func(r *ledger.LeaseRequest) { r.Writes = append(r.Writes, r.Writes[0]) },
		} {
			req := f.request(0, 5)
			change(&req)
			if _, err := f.l.Acquire(f.ctx, req); err == nil {
				f.Fatalf("a request with %s was granted", what)
			}
		}
		same(f, "clock", f.head(), 1)
	}},
	{"ExpiredLeaseGivesWay", func(f *fixture) {
		old := f.request(0, 5)
		f.acquire(old)
		f.w.Advance(ttl - 1)
		f.refused(f.request(0, 5))
		f.w.Advance(1)
		f.acquire(f.request(0, 5))
		live, err := f.l.Renew(f.ctx, []ledger.LeaseID{old.ID})
		f.ok(err)
		same(f, "live leases", len(live), 0)
	}},
	{"OverdueLeaseThatNobodyWantedIsRenewed", func(f *fixture) {
		req := f.request(0, 5)
		l := f.acquire(req)
		f.attempt(l, 0, 1)
		f.w.Advance(2 * ttl)
		f.sets("unsettled while overdue", f.history().Unsettled, days(0, 1))
		f.sets("reserved while overdue", f.history().Reserved, calendar.Set{})
		before := f.head()
		live, err := f.l.Renew(f.ctx, []ledger.LeaseID{req.ID})
		f.ok(err)
		same(f, "live leases", live, []ledger.LeaseID{req.ID})
		f.sets("in flight again", f.history().InFlight, days(0, 1))
		if f.head() == before {
			f.Fatal("a lease came back and the clock stood still")
		}
		f.refused(f.request(0, 5))
	}},
	{"RenewExtends", func(f *fixture) {
		a, b := f.request(0, 5), f.request(5, 9)
		f.acquire(a)
		f.acquire(b)
		before := f.head()
		for range 5 {
			f.w.Advance(ttl - 1)
			live, err := f.l.Renew(f.ctx, []ledger.LeaseID{a.ID, "unknown", b.ID})
			f.ok(err)
			same(f, "live leases", live, []ledger.LeaseID{a.ID, b.ID})
		}
		same(f, "clock", f.head(), before)
		f.refused(f.request(0, 9))
	}},
	{"DeadHolderGivesWayAtOnce", func(f *fixture) {
		req := f.request(0, 5)
		l := f.acquire(req)
		f.attempt(l, 1, 3)
		f.w.Kill(req.Holder)
		f.sets("unsettled", f.history().Unsettled, days(1, 3))
		next := f.acquire(f.request(0, 5))
		same(f, "to be settled", next.Settle, []ledger.Claim{claim(1, 3)})
	}},
	{"EarlierBootIsDead", func(f *fixture) {
		f.acquire(f.request(0, 5))
		f.w.Reboot()
		f.reopen()
		f.acquire(f.request(0, 5))
	}},
	{"ReleaseFreesWhatIsNotInFlight", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		f.attempt(l, 0, 2)
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{claim(1, 4)}))
		f.sets("reserved", f.history().Reserved, calendar.Of(0, 4, 5))
		f.sets("unsettled", f.history().Unsettled, days(1, 2))
		f.sets("in flight", f.history().InFlight, days(0, 1))
		f.acquire(f.request(2, 4))
		f.refused(f.request(4, 5))
		next := f.acquire(f.request(1, 2))
		same(f, "to be settled", next.Settle, []ledger.Claim{claim(1, 2)})
	}},
	{"ReleaseOfWhatIsNotHeldIsANoOp", func(f *fixture) {
		l := f.acquire(f.request(0, 5))
		before := f.head()
		f.ok(f.l.Release(f.ctx, "unknown", nil))
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{claim(7, 9)}))
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{{Table: "main/u", Axis: day, Set: days(0, 5)}}))
		same(f, "clock", f.head(), before)
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		after := f.head()
		f.ok(f.l.Release(f.ctx, l.ID, nil))
		same(f, "clock", f.head(), after)
	}},
	{"ReleasingEverythingEndsTheLease", func(f *fixture) {
		l := f.acquire(f.request(0, 5))
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{claim(0, 3)}))
		f.ok(f.l.Release(f.ctx, l.ID, []ledger.Claim{claim(3, 5)}))
		live, err := f.l.Renew(f.ctx, []ledger.LeaseID{l.ID})
		f.ok(err)
		same(f, "live leases", len(live), 0)
	}},
	{"ReadersWaitOnlyForWhatIsInFlight", func(f *fixture) {
		l := f.acquire(f.request(0, 6))
		a := f.attempt(l, 2, 4)
		read := f.request(0, 2)
		read.Writes, read.Reads = nil, []ledger.Claim{claim(0, 6)}
		f.sets("overlap", f.refused(read)[0].Overlap, days(2, 4))
		own := read
		own.ID, own.Run = "own", l.Run
		f.acquire(own)
		f.intend(f.intent(a))
		f.record(ledger.Commit{Attempt: a.ID, Published: a.Set})
		f.acquire(read)
		// Now it reads: nothing may be put in flight there by others, until it is done.
		_, err := f.l.StartAttempt(f.ctx, f.attemptRequest(l, 5, 6))
		f.conflict(err)
		f.ok(f.l.Release(f.ctx, read.ID, []ledger.Claim{claim(5, 6)}))
		f.attempt(l, 5, 6)
		_, err = f.l.StartAttempt(f.ctx, f.attemptRequest(l, 4, 5))
		f.conflict(err)
		f.w.Kill(read.Holder)
		f.attempt(l, 4, 5)
	}},
	{"UnsettledIsNeitherReadableNorGrantable", func(f *fixture) {
		req := f.request(0, 6)
		f.attempt(f.acquire(req), 2, 4)
		f.w.Kill(req.Holder)
		read := f.request(0, 1)
		read.Writes, read.Reads = nil, []ledger.Claim{claim(3, 6)}
		_, err := f.l.Acquire(f.ctx, read)
		f.is(err, ledger.ErrUnsettled)
		careless := f.request(3, 6)
		careless.Settles = false
		before := f.head()
		_, err = f.l.Acquire(f.ctx, careless)
		f.is(err, ledger.ErrUnsettled)
		same(f, "clock", f.head(), before)
		careless.Writes[0].Set = days(4, 6)
		f.acquire(careless)
	}},
}
