package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/mem"
)

// span is how many partitions a random operation may be about: few, so that operations meet.
const span = 12

var modelTables = []string{"main/a", "main/b"}

// Model compares a driver with the model in memory over random operations: every answer, every error, and after each operation all that
// can be read.
func Model(t *testing.T, open func(t *testing.T) Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		h := open(t)
		m := &machine{t: rt, test: t, h: h, w: h.World(), ctx: t.Context(), seen: map[string]*history.Table{}}
		m.driver = h.Open(t)
		defer func() { m.ok(m.driver.Close()) }()
		m.model = mem.New(mem.Options{ID: m.driver.ID(), Now: m.w.Now, Machine: m.w.Machine()})
		rt.Repeat(map[string]func(*rapid.T){
			"acquire": m.acquire, "acquire again": m.acquireAgain, "renew": m.renew, "release": m.release, "pass time": m.passTime,
			"die": m.die, "restart": m.restart, "start": m.start, "intend": m.intend, "record": m.record, "fail": m.fail,
			"settle": m.settle, "recheck": m.recheck, "observe": m.observe, "mark": m.mark, "order": m.order, "run": m.run, "": m.compare,
		})
		for _, key := range modelTables {
			m.compareTable(key)
		}
	})
}

// A machine is the driver, the model, and what was asked of both.
type machine struct {
	t      *rapid.T
	test   *testing.T
	ctx    context.Context //nolint:containedctx // the test's
	h      Harness
	w      *World
	driver ledger.Ledger
	model  *mem.Ledger

	names    int
	leases   []ledger.LeaseRequest
	attempts []ledger.Attempt
	intents  []ledger.Intent

	seen  map[string]*history.Table // a reader that lays changes over what it has
	since history.Seq
}

func (m *machine) ok(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) name(prefix string) string {
	m.names++
	return fmt.Sprintf("%s-%d", prefix, m.names)
}

// class reduces an error to what callers branch on.
func class(err error) string {
	if err == nil {
		return "none"
	}
	if conflict, ok := errors.AsType[*ledger.ConflictError](err); ok {
		for i := range conflict.Conflicts {
			c := &conflict.Conflicts[i]
			c.Since, c.StartedAt = c.Since.UTC(), c.StartedAt.UTC()
		}
		return fmt.Sprintf("queued %t: %+v", conflict.Queued, conflict.Conflicts)
	}
	if older, ok := errors.AsType[*ledger.OlderCodeError](err); ok {
		older.Stands.At = older.Stands.At.UTC()
		return fmt.Sprintf("%+v", *older)
	}
	for _, is := range []error{ledger.ErrUnknown, ledger.ErrLost, ledger.ErrNotFound, ledger.ErrUnsettled, ledger.ErrPaused, ledger.ErrAxis, ledger.ErrSchema} {
		if errors.Is(err, is) {
			return is.Error()
		}
	}
	return "another"
}

// both runs an operation on the driver, at times twice, and on the model.
func both[T any](m *machine, op func(l ledger.Ledger) (T, error)) (T, error) {
	got, gotErr := op(m.driver)
	if rapid.IntRange(0, 9).Draw(m.t, "again") == 0 {
		again, err := op(m.driver)
		if gotErr == nil && (err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", got)) {
			m.t.Fatalf("the second time it gave %+v, %v; the first time %+v", again, err, got)
		}
	}
	want, wantErr := op(m.model)
	if class(gotErr) != class(wantErr) {
		m.t.Fatalf("got error %v (%s), want %v (%s)", gotErr, class(gotErr), wantErr, class(wantErr))
	}
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); gotErr == nil && g != w {
		m.t.Fatalf("\n got %s\nwant %s", g, w)
	}
	return got, gotErr
}

func (m *machine) drawSet(label string) calendar.Set {
	ivs := make([]calendar.Interval, rapid.IntRange(1, 3).Draw(m.t, label+" parts"))
	for i := range ivs {
		start := rapid.IntRange(0, span-1).Draw(m.t, label+" from")
		ivs[i] = calendar.Interval{Start: calendar.Partition(start), End: calendar.Partition(start + rapid.IntRange(1, 5).Draw(m.t, label+" length"))}
	}
	return calendar.NewSet(ivs...)
}

func (m *machine) drawTable() string { return rapid.SampledFrom(modelTables).Draw(m.t, "table") }

func (m *machine) chance(percent int, label string) bool {
	return rapid.IntRange(0, 99).Draw(m.t, label) < percent
}

func (m *machine) drawClaims(label string) []ledger.Claim {
	var out []ledger.Claim
	for _, key := range modelTables {
		if m.chance(60, label+" "+key) {
			out = append(out, ledger.Claim{Table: key, Axis: day, Set: m.drawSet(label)})
		}
	}
	return out
}

func (m *machine) acquire(*rapid.T) {
	req := ledger.LeaseRequest{
		ID: ledger.LeaseID(m.name("l")), Run: ledger.RunID(fmt.Sprintf("r-%d", rapid.IntRange(0, 3).Draw(m.t, "run"))),
		Holder: m.w.Holder(), Writes: m.drawClaims("write"), TTL: ttl, Settles: m.chance(70, "settles"), Reason: "because",
		Class: rapid.SampledFrom([]ledger.Class{ledger.ClassBackfill, ledger.ClassBackfill, ledger.ClassFix}).Draw(m.t, "class"),
	}
	if m.chance(40, "waits") {
		req.Wait, req.Run = true, ledger.RunID(fmt.Sprintf("r-%d", rapid.IntRange(0, 9).Draw(m.t, "waiting run")))
	}
	if m.chance(50, "another class") {
		req.Class, req.Preempt = rapid.SampledFrom(classes).Draw(m.t, "class"), m.chance(50, "preempts")
	}
	if m.chance(20, "reads") {
		req.Reads = m.drawClaims("read")
	}
	if m.chance(5, "another axis") && len(req.Writes) > 0 && m.seen[req.Writes[0].Table] != nil {
		req.Writes[0].Axis = calendar.Axis{Grain: calendar.Month}
	}
	_, err := both(m, func(l ledger.Ledger) (*leaseView, error) { return viewLease(l.Acquire(m.ctx, req)) })
	if conflict, _ := errors.AsType[*ledger.ConflictError](err); err == nil || (conflict != nil && conflict.Queued) {
		m.leases = append(m.leases, req)
	}
}

// A leaseView prints as what is in it.
type leaseView struct {
	ID     ledger.LeaseID
	Run    ledger.RunID
	Tokens map[string]history.Token
	Settle []ledger.Claim
}

func viewLease(l *ledger.Lease, err error) (*leaseView, error) {
	if err != nil {
		return nil, err
	}
	return &leaseView{l.ID, l.Run, l.Tokens, l.Settle}, nil
}

func (v *leaseView) String() string { return fmt.Sprintf("%+v", *v) }

func (m *machine) aLease() ledger.LeaseRequest {
	if len(m.leases) == 0 {
		m.t.Skip("there is no lease")
	}
	// Late ones are more likely to live.
	i := len(m.leases) - 1 - rapid.IntRange(0, min(len(m.leases)-1, 4)).Draw(m.t, "lease")
	return m.leases[i]
}

func (m *machine) acquireAgain(*rapid.T) {
	req := m.aLease()
	if m.chance(20, "other claims") {
		req.Writes = m.drawClaims("write")
	}
	_, _ = both(m, func(l ledger.Ledger) (*leaseView, error) { return viewLease(l.Acquire(m.ctx, req)) })
}

func (m *machine) renew(*rapid.T) {
	ids := []ledger.LeaseID{m.aLease().ID, "unknown", m.aLease().ID}
	_, _ = both(m, func(l ledger.Ledger) ([]ledger.LeaseID, error) { return l.Renew(m.ctx, ids) })
}

func (m *machine) release(*rapid.T) {
	id := m.aLease().ID
	var claims []ledger.Claim
	if m.chance(70, "a part") {
		claims = m.drawClaims("back")
		if claims == nil {
			claims = []ledger.Claim{}
		}
	}
	_, _ = both(m, func(l ledger.Ledger) (bool, error) { return true, l.Release(m.ctx, id, claims) })
}

func (m *machine) passTime(*rapid.T) {
	m.w.Advance(time.Duration(rapid.IntRange(1, 3).Draw(m.t, "thirds")) * ttl / 3)
}

func (m *machine) die(*rapid.T) { m.w.Kill(m.aLease().Holder) }

func (m *machine) restart(*rapid.T) {
	m.ok(m.driver.Close())
	if m.chance(20, "reboot") {
		m.w.Reboot()
	}
	m.model.See(m.w.Machine())
	m.driver = m.h.Open(m.test)
}

func (m *machine) start(*rapid.T) {
	lease := m.aLease()
	key := m.drawTable()
	set := m.drawSet("attempt")
	for _, c := range lease.Writes {
		if c.Table == key && m.chance(85, "within the lease") {
			if in := set.Intersect(c.Set); !in.Empty() {
				set = in
			}
		}
	}
	head, err := m.driver.Head(m.ctx)
	m.ok(err)
	version := rapid.SampledFrom([]string{"v1", "v1", "v2", "w1", "w2", ""}).Draw(m.t, "version")
	req := ledger.AttemptRequest{
		ID: ledger.AttemptID(m.name("a")), Lease: lease.ID, Run: lease.Run, Table: key, Set: set, Version: version,
		Code: ledger.VersionRecord{Version: version, Producer: "p" + version[:min(len(version), 1)], Commit: "c", Dirty: true, Summary: "s"}, ReadSeq: head,
		Guarded: m.chance(15, "guarded"), At: m.w.Now(), Asked: head - history.Seq(rapid.IntRange(0, min(9, int(head))).Draw(m.t, "asked")),
	}
	if m.chance(40, "downgrade") {
		req.Downgrade = "because"
	}
	a, err := both(m, func(l ledger.Ledger) (ledger.Attempt, error) {
		a, err := l.StartAttempt(m.ctx, req)
		if err != nil {
			return ledger.Attempt{}, err
		}
		return *a, nil
	})
	if err == nil {
		m.attempts = append(m.attempts, a)
	}
}

func (m *machine) anAttempt() ledger.Attempt {
	if len(m.attempts) == 0 {
		m.t.Skip("there is no attempt")
	}
	i := len(m.attempts) - 1 - rapid.IntRange(0, min(len(m.attempts)-1, 4)).Draw(m.t, "attempt")
	return m.attempts[i]
}

func (m *machine) drawMetrics(set calendar.Set) []ledger.Metric {
	var out []ledger.Metric
	for p := range set.Partitions() {
		if m.chance(50, "measured") {
			check := rapid.SampledFrom([]string{"c.x", "c.y"}).Draw(m.t, "check")
			out = append(out, ledger.Metric{Check: check, Partition: p, Value: float64(rapid.IntRange(0, 2).Draw(m.t, "value")) / 2, Weight: 5, Passed: true})
		}
	}
	return out
}

func (m *machine) intend(*rapid.T) {
	a := m.anAttempt()
	in := ledger.Intent{
		Attempt: a.ID, Run: a.Run, Table: a.Table, Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version, CheckVersion: "cv",
		Hulls: []ledger.Hull{{Input: "main/b", Reach: calendar.Interval{Start: -3, End: 4}}}, ReadAt: m.w.Now(),
	}
	kept := a.Set
	if m.chance(20, "leaves some") {
		kept = kept.Intersect(m.drawSet("left"))
	}
	if m.chance(40, "quarantines") {
		in.Quarantine = kept.Intersect(m.drawSet("quarantine"))
		kept = kept.Minus(in.Quarantine)
		if m.chance(30, "some failed") {
			in.Failed = in.Quarantine.Intersect(m.drawSet("failed"))
		}
		in.Reasons = map[calendar.Partition]string{}
		for p := range in.Quarantine.Partitions() {
			in.Reasons[p] = rapid.SampledFrom([]string{"low", "high"}).Draw(m.t, "reason")
		}
	}
	if m.chance(25, "fails") {
		in.Failing = kept.Intersect(m.drawSet("failing"))
		for p := range in.Failing.Partitions() {
			if in.Reasons == nil {
				in.Reasons = map[calendar.Partition]string{}
			}
			in.Reasons[p] = "fails"
		}
	}
	for p := range kept.Partitions() {
		c := ledger.Content{Partition: p, Rows: 3, Fingerprint: rapid.SampledFrom([]string{"f", "g"}).Draw(m.t, "rows")}
		if m.chance(15, "empty") {
			c = ledger.Content{Partition: p}
			in.Empty = in.Empty.Union(calendar.Of(p))
		}
		in.Publish = append(in.Publish, c)
	}
	if m.chance(30, "short") {
		in.Shortfall = []ledger.ShortSet{{Set: m.drawSet("short"), Shortfall: history.Short}}
	}
	in.Metrics = m.drawMetrics(a.Set)
	if m.chance(5, "wrong token") {
		in.Token++
	}
	if _, err := both(m, func(l ledger.Ledger) (bool, error) { return true, l.Intend(m.ctx, in) }); err == nil {
		m.intents = append(m.intents, in)
	}
}

func (m *machine) drawCommit() ledger.Commit {
	if len(m.intents) == 0 {
		m.t.Skip("there is no intent")
	}
	in := m.intents[len(m.intents)-1-rapid.IntRange(0, min(len(m.intents)-1, 5)).Draw(m.t, "intent")]
	all := make([]calendar.Partition, 0, len(in.Publish))
	for _, c := range in.Publish {
		all = append(all, c.Partition)
	}
	c := ledger.Commit{Attempt: in.Attempt, Published: calendar.Of(all...), At: m.w.Now()}
	if m.chance(25, "partly") {
		c.Published = c.Published.Intersect(m.drawSet("published"))
	}
	if m.chance(50, "unchanged") {
		c.Unchanged = c.Published.Intersect(m.drawSet("unchanged"))
	}
	return c
}

func (m *machine) record(*rapid.T) {
	c := m.drawCommit()
	_, _ = both(m, func(l ledger.Ledger) (history.Seq, error) { return l.Record(m.ctx, c) })
}

func (m *machine) fail(*rapid.T) {
	a := m.anAttempt()
	f := ledger.Failure{
		Attempt: a.ID, Token: a.Token, Outcome: rapid.SampledFrom([]history.Outcome{history.Failed, history.Quarantined}).Draw(m.t, "outcome"),
		Cancelled: m.chance(20, "cancelled"), Reason: "boom", CheckVersion: "cv", Metrics: m.drawMetrics(a.Set),
		Reasons: map[calendar.Partition]string{a.Set.Bounds().Start: "first"}, At: m.w.Now(),
	}
	_, _ = both(m, func(l ledger.Ledger) (history.Seq, error) { return l.Fail(m.ctx, f) })
}

func (m *machine) settle(*rapid.T) {
	lease, key := m.aLease(), m.drawTable()
	set := m.drawSet("settled")
	for _, c := range lease.Writes {
		if c.Table == key && m.chance(80, "all of the lease") {
			set = c.Set
		}
	}
	var found []ledger.Commit
	if m.chance(60, "found") && len(m.intents) > 0 {
		found = append(found, m.drawCommit())
	}
	_, _ = both(m, func(l ledger.Ledger) (history.Seq, error) { return l.Settle(m.ctx, lease.ID, key, set, found) })
}

func (m *machine) recheck(*rapid.T) {
	head, err := m.driver.Head(m.ctx)
	m.ok(err)
	r := ledger.Recheck{
		Table: m.drawTable(), Axis: day, Seq: head - history.Seq(rapid.IntRange(0, min(4, int(head))).Draw(m.t, "ago")),
		CheckVersion: rapid.SampledFrom([]string{"cv", "cw"}).Draw(m.t, "checks"), Passing: m.drawSet("passing"), Reasons: map[calendar.Partition]string{},
	}
	if m.chance(60, "fails") {
		r.Failing = m.drawSet("failing")
		if !m.chance(5, "both") {
			r.Passing = r.Passing.Minus(r.Failing)
		}
		for p := range r.Failing.Partitions() {
			r.Reasons[p] = rapid.SampledFrom([]string{"low", "high"}).Draw(m.t, "reason")
		}
	}
	if m.chance(5, "another axis") {
		r.Axis = calendar.Axis{Grain: calendar.Month}
	}
	r.Metrics = m.drawMetrics(r.Passing.Union(r.Failing))
	_, _ = both(m, func(l ledger.Ledger) (history.Seq, error) { return l.Recheck(m.ctx, r) })
}

func (m *machine) observe(*rapid.T) {
	o := ledger.Observation{At: m.w.Now()}
	if m.chance(50, "expected") {
		e := ledger.Expected{Table: m.drawTable(), Axis: day, Set: m.drawSet("expected")}
		if m.chance(10, "open") {
			e.Set = e.Set.Union(calendar.Range(span, calendar.Horizon))
		}
		o.Expected = append(o.Expected, e)
	}
	if m.chance(30, "periods") {
		o.Periods = map[string][]calendar.Interval{"season": m.drawSet("season").Intervals()}
	}
	if m.chance(50, "source") {
		s := ledger.Seen{Table: "main/source", Axis: day, Looked: m.drawSet("looked"), Meta: rapid.SampledFrom([]string{"m", "n"}).Draw(m.t, "meta")}
		if m.chance(50, "everywhere") {
			s.Looked = calendar.All()
		}
		s.Drifted = s.Looked.Intersect(calendar.Range(0, span))
		for p := range s.Drifted.Partitions() {
			switch rapid.IntRange(0, 5).Draw(m.t, "stands") {
			case 0:
				s.Empty = s.Empty.Union(calendar.Of(p))
			case 1, 2, 3:
				s.Contents = append(s.Contents, ledger.Content{Partition: p, Rows: 1, Fingerprint: rapid.SampledFrom([]string{"f", "g"}).Draw(m.t, "rows")})
			}
		}
		s.Drifted = calendar.Set{}
		if m.chance(30, "drifted") {
			s.Drifted = s.Looked.Intersect(m.drawSet("drift"))
		}
		o.Sources = append(o.Sources, s)
	}
	// The second time nothing is new: only the state can be compared.
	want, err := m.model.Observe(m.ctx, o)
	m.ok(err)
	got, err := m.driver.Observe(m.ctx, o)
	m.ok(err)
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		m.t.Fatalf("\n got %+v\nwant %+v", got, want)
	}
}

func (m *machine) mark(*rapid.T) {
	m.w.Advance(time.Nanosecond) // a mark is known by its instant
	k := ledger.Mark{
		Kind:  rapid.SampledFrom([]ledger.MarkKind{ledger.MarkFresh, ledger.MarkStale, ledger.MarkSkipped, ledger.MarkGone, ledger.MarkHeadTo}).Draw(m.t, "kind"),
		Table: m.drawTable(), Axis: day, Set: m.drawSet("marked"), Version: rapid.SampledFrom([]string{"v1", "v2", "w1", "w2"}).Draw(m.t, "version"),
		Actor: ledger.Actor{User: "ada", Host: "host", PID: 7}, Reason: "because", At: m.w.Now(),
	}
	if m.chance(50, "vouches") {
		k.CheckVersion = "cv"
	}
	if k.Kind == ledger.MarkFresh && m.chance(50, "observed") {
		for p := range k.Set.Partitions() {
			if m.chance(60, "stands") {
				k.Contents = append(k.Contents, ledger.Content{
					Partition: p, Rows: int64(rapid.IntRange(0, 3).Draw(m.t, "rows")), Fingerprint: rapid.SampledFrom([]string{"f", "g"}).Draw(m.t, "print"),
				})
			}
		}
	}
	_, _ = both(m, func(l ledger.Ledger) (history.Seq, error) { return l.Mark(m.ctx, k) })
}

func (m *machine) order(*rapid.T) {
	o := ledger.Order{
		ID: ledger.LeaseID(m.name("o")), Table: m.drawTable(), Axis: day, Set: m.drawSet("ordered"),
		Kind: rapid.SampledFrom([]ledger.OrderKind{
			ledger.OrderHold, ledger.OrderHold, ledger.OrderUnhold, ledger.OrderBreak, ledger.OrderStop, ledger.OrderStopHold,
			ledger.OrderPause, ledger.OrderPause, ledger.OrderResume,
		}).Draw(m.t, "kind"),
		Lease: "unknown", Run: ledger.RunID(fmt.Sprintf("r-%d", rapid.IntRange(0, 4).Draw(m.t, "run"))),
		Actor: ledger.Actor{User: "ada", Host: "host", PID: 7}, Reason: "because", At: m.w.Now(),
	}
	if len(m.leases) > 0 && m.chance(90, "known") {
		o.Lease = m.aLease().ID
	}
	if m.chance(40, "ends") {
		o.Until = m.w.Now().Add(time.Duration(rapid.IntRange(1, 4).Draw(m.t, "until")) * ttl / 3)
	}
	if m.chance(10, "open") {
		o.Set = calendar.Range(rapid.SampledFrom([]calendar.Partition{3, calendar.Beginning}).Draw(m.t, "from"), calendar.Horizon)
	}
	if m.chance(5, "another axis") && m.seen[o.Table] != nil {
		o.Axis = calendar.Axis{Grain: calendar.Month}
	}
	_, _ = both(m, func(l ledger.Ledger) (history.Seq, error) { return l.Order(m.ctx, o) })
}

func (m *machine) run(*rapid.T) {
	r := ledger.RunRecord{
		ID:    ledger.RunID(fmt.Sprintf("r-%d", rapid.IntRange(0, 3).Draw(m.t, "run"))),
		State: rapid.SampledFrom([]ledger.RunState{"planned", "running", "paused", "stopping", "done"}).Draw(m.t, "state"), Command: m.name("headway run"),
		Done: m.names, Total: 1000, Sets: m.drawClaims("wrote"), StartedAt: m.w.Now(), Plan: []byte(`{}`),
	}
	r.Ended = r.State == "done"
	_, _ = both(m, func(l ledger.Ledger) (bool, error) { return true, l.PutRun(m.ctx, r) })
}

// compare reads everything from both.
func (m *machine) compare(*rapid.T) {
	keys := append(slices.Clone(modelTables), "main/source", "main/unknown")
	got, err := m.driver.Snapshot(m.ctx, keys)
	m.ok(err)
	want, err := m.model.Snapshot(m.ctx, keys)
	m.ok(err)
	m.agree("snapshot", describe(got), describe(want))
	m.follow(got, keys)
	if m.chance(40, "compares all") {
		m.compareTable(rapid.SampledFrom(keys).Draw(m.t, "compared"))
	}
}

// compareTable reads everything about one table from both.
func (m *machine) compareTable(key string) {
	all := calendar.Range(-100, 100)
	for what, read := range map[string]func(l ledger.Ledger) (any, error){
		"metrics":  func(l ledger.Ledger) (any, error) { return l.Metrics(m.ctx, key, all) },
		"contents": func(l ledger.Ledger) (any, error) { return l.Contents(m.ctx, key, all) },
		"versions": func(l ledger.Ledger) (any, error) { return l.Versions(m.ctx, key) },
		"intents":  func(l ledger.Ledger) (any, error) { return l.Intents(m.ctx, []string{key}) },
		"attempts": func(l ledger.Ledger) (any, error) { return l.Attempts(m.ctx, ledger.AttemptFilter{Table: key}) },
		"runs":     func(l ledger.Ledger) (any, error) { return l.Runs(m.ctx, ledger.RunFilter{Table: key}) },
		"audit":    func(l ledger.Ledger) (any, error) { return l.Audit(m.ctx, ledger.AuditFilter{Table: key}) },
		"verify":   func(l ledger.Ledger) (any, error) { return l.VerifyAudit(m.ctx) },
		"leases": func(l ledger.Ledger) (any, error) {
			return l.Leases(m.ctx, ledger.LeaseFilter{Table: key, Waiting: true})
		},
	} {
		got, err := read(m.driver)
		m.ok(err)
		want, err := read(m.model)
		m.ok(err)
		m.agree(what+" of "+key, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

func (m *machine) agree(what, got, want string) {
	if got != want {
		m.t.Fatalf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// follow keeps a reader up with Changes and compares it with a snapshot.
func (m *machine) follow(now *history.Snapshot, keys []string) {
	changed, err := m.driver.Changes(m.ctx, m.since, keys)
	m.ok(err)
	for key, c := range changed.Tables {
		h := *c
		if old := m.seen[key]; old != nil {
			h.Segments = history.Overlay(old.Segments, c.Segments)
			h.Verdicts = history.Overlay(history.Without(old.Verdicts, history.Covered(c.Segments)), c.Verdicts)
		}
		m.seen[key] = &h
	}
	m.since = changed.Seq
	followed := &history.Snapshot{Ledger: now.Ledger, Seq: changed.Seq, Periods: changed.Periods, Tables: map[string]*history.Table{}}
	for _, key := range keys {
		followed.Tables[key] = &history.Table{}
		if h := m.seen[key]; h != nil {
			followed.Tables[key] = h
		}
	}
	m.agree("changes laid over what was known", describe(followed), describe(now))
}

// describe prints a snapshot so that two that say the same are the same text.
func describe(s *history.Snapshot) string {
	var out strings.Builder
	fmt.Fprintf(&out, "ledger %s at %d, periods %+v\n", s.Ledger, s.Seq, s.Periods)
	for _, key := range slices.Sorted(maps.Keys(s.Tables)) {
		h := *s.Tables[key]
		h.Segments = slices.Clone(h.Segments)
		for i := range h.Segments {
			h.Segments[i].ReadAt = h.Segments[i].ReadAt.UTC()
		}
		h.Segments, h.Verdicts, h.Moves = history.Overlay(nil, h.Segments), history.Overlay(nil, h.Verdicts), history.Overlay(nil, h.Moves)
		fmt.Fprintf(&out, "%s: %+v\n", key, h)
	}
	return out.String()
}
