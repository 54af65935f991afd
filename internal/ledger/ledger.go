// Package ledger is the contract of Headway's memory: who may write which partitions, who wrote them, with which code, from what.
//
// A ledger is a set of business transactions. Each method below is one transaction: it happens whole or not at all, is durable when
// it returns nil, and is serialised with every other. A method that returns an error has changed nothing, unless the error wraps
// ErrUnknown: then it may have happened, and the caller settles the question by asking again (every mutation can be repeated: by its
// id it is a no-op the second time, and returns the same answer), or is a ConflictError that says Queued.
//
// Three counters never go back and are never reset: the logical clock (history.Seq), one token per table (history.Token), and the
// position in the audit log.
//
// A stale write cannot be expressed: whoever records, intends or releases passes the Attempt or Lease that it was given, and the
// transaction looks at its token. Sets are partitions on the table's axis; a table keeps the axis it was first used with.
package ledger

import (
	"context"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A Ledger is one store. Its methods may be called from many goroutines, and several processes may have the same store open.
type Ledger interface {
	// ID is the ledger's name, given once when the store was created. It is what a warehouse remembers.
	ID() string

	// URL is where the store is, fit to be shown: passwords struck out.
	URL() string

	// Snapshot reads the histories of the tables (by key) and all periods at one moment. Unknown keys give empty histories.
	// Leases that ended without settling show as Unsettled. It changes nothing.
	Snapshot(ctx context.Context, tables []string) (*history.Snapshot, error)

	// Changes is a snapshot of what has changed after since: Tables holds only those of the tables that changed, of their Segments and
	// Verdicts only the rows written after since (a verdict that was removed is seen by the newer segment over it), all else whole. A
	// reader that lays Segments over its own (history.Overlay) has what Snapshot would give. Its cost grows with what changed.
	Changes(ctx context.Context, since history.Seq, tables []string) (*history.Snapshot, error)

	// Head is the logical clock: equal to a snapshot's Seq while the snapshot is still true. It must be cheap.
	Head(ctx context.Context) (history.Seq, error)

	// Observe records what was seen outside: calendars that gained or lost dates, periods that changed, source partitions whose
	// content is new, changed, gone or drifted. What is as it was is a no-op and does not move the clock; changes get one new Seq,
	// which is returned with what changed. (Rule 17: gains and losses are logged alike.)
	Observe(ctx context.Context, seen Observation) (Observed, error)

	// Acquire grants a write lease over all claims or none. A *ConflictError names every live lease of another run, every hold and every
	// waiter ahead that overlaps a claim to write, and what a claim to read finds in flight of other runs or wanted by waiters ahead; holds
	// do not keep from reading. What overlaps a lease that ended unsettled is granted only to a request that says
	// it will settle: Lease.Settle then names those partitions, and no attempt may start on them before Settle was called.
	// The tokens are fresh, one per table. Acquire also expires leases whose time is over or whose holder is known to be dead.
	//
	// A request to Wait that is refused for conflicts is put into the queue as a waiter, or stays there, and the ConflictError says Queued: the
	// one error after which something has changed. A waiter holds nothing. To ask again with the same id is its heartbeat and the next try. It
	// leaves the queue when it is granted, by Release of its id, by OrderBreak, and when it is over as leases are: its TTL has passed since it
	// last asked, or its holder is dead. Whoever asks after that, or for more than before or as another run or class, is the last again. Of
	// waiters that overlap (but for two that only read there), those of a higher class are ahead of those of a lower one, and within a class
	// whoever came first; whoever does not wait comes last in its class. Requests that do not overlap never wait for one another.
	// So that nothing can wait in a circle, who has something never waits for a waiter: what a run with a live lease wants to read nobody
	// ahead keeps from it, and it may not wait to write. At most MaxWaiters wait: more are refused as if they did not want to.
	//
	// A request to Preempt takes what live leases of runs of a lower class have of its Writes, in the transaction that grants it: exactly the
	// overlap, and nothing unless all is granted. Their claims shrink (a lease that has nothing left ends); what they had in flight there becomes
	// unsettled, so that Lease.Settle names it. An attempt that has an intent there and has not ended is in the middle of a publish: it stays in
	// the way as a conflict that says Publishing, and the caller asks again in a moment. So do leases of the same or a higher class, and
	// whatever it would read. What was taken is noted in the RunRecord that it was taken from, and audited with the request's reason.
	//
	// Of another run that is paused a request of any class takes so, whether it says Preempt or not, what is not in flight; what is stays in the
	// way as ever. Waiters of a paused run keep their places, but keep nobody back.
	Acquire(ctx context.Context, req LeaseRequest) (*Lease, error)

	// Renew extends leases by their TTL and returns those that are still live. A lease that is missing from the answer has ended
	// and cannot come back. One whose deadline has passed (rule 8: the machine slept) is extended unless somebody waits for what it has: a
	// request of another run in the queue that it is in the way of, of a run that is not paused, whose holder is not known to be dead. That that
	// one's own TTL has passed since it last asked does not matter: it has slept as well. Then the lease ends. Of a run that is asked to stop
	// no lease is extended: it lasts for what is left of its TTL, so that a holder that does not answer loses it.
	Renew(ctx context.Context, leases []LeaseID) ([]LeaseID, error)

	// Release gives partitions back, or all of the lease when claims is nil. Partitions in flight cannot be released: they become
	// unsettled. Releasing what is not held is a no-op. A waiter has nothing to give back; with claims nil it leaves the queue.
	Release(ctx context.Context, lease LeaseID, claims []Claim) error

	// Settle folds what was found in the warehouse into the ledger, for partitions of a lease: after the fence over them was raised
	// with the lease's token, markers are what was ever committed, and an intent without a marker never will be. Commits of markers
	// are recorded as Record would; the partitions stop being unsettled; intents without markers end as failed attempts.
	Settle(ctx context.Context, lease LeaseID, table string, set calendar.Set, found []Commit) (history.Seq, error)

	// Intents are the intents not yet recorded or ended, for the tables: what a crash may have left.
	Intents(ctx context.Context, tables []string) ([]Intent, error)

	// Leases lists the leases that have not ended, the holds that stand and, if the filter asks for them, those who wait, oldest first; at
	// most limit. It changes nothing.
	Leases(ctx context.Context, f LeaseFilter) ([]LeaseRecord, error)

	// Order carries out a person's word on who may write. Each is audited, a line for each table that it touches, with what stood there
	// before and after; one that finds nothing to do is not, and does not move the clock. It returns the clock of the change.
	//
	//   - OrderHold: *ConflictError names every live lease of a run that overlaps; leases there that are over end. Holds may overlap one another.
	//     While a hold stands no lease is granted over it, so nothing starts there. What is unsettled under it stays so.
	//   - OrderUnhold: releases the set, whoever put the holds on. What is not held is left alone.
	//   - OrderBreak: the lease ends (rule 2): what it has in flight becomes unsettled, the rest is free. ErrNotFound where there never was such
	//     a lease, ErrLost where it has ended already. Recording what was committed under it is not refused. A waiter leaves the queue.
	//   - OrderStop: is kept with the run and seen in its record and its leases. ErrNotFound where there is no such run. A run that has ended, or
	//     was asked before, is left as it is.
	//   - OrderAdopt: is audited for what the run writes, and changes nothing else. ErrNotFound where there is no such run.
	//   - OrderPause, OrderResume: are kept with the run and seen in its record and its leases. ErrNotFound where there is no such run. A run that
	//     has ended, is paused already, or is not, is left as it is. What a paused run has in flight goes on, and its leases are renewed.
	//   - OrderStopHold: in one transaction also ends all leases of the run, as OrderBreak does, takes what it waits for out of the queue, and
	//     puts a hold over what the leases claimed, or, where
	//     it has none, over what the run's record says that it writes (then *ConflictError as for OrderHold). It does so also of a run that has ended.
	Order(ctx context.Context, o Order) (history.Seq, error)

	// PutRun stores a run, new or changed. The State of a stored run only moves forward; a run that has ended stays as it is.
	// What the ledger fills (Stop, Paused, Preempted) stays, whatever run says.
	PutRun(ctx context.Context, run RunRecord) error

	// Runs lists runs, newest first, at most limit. A filter's empty fields match all.
	Runs(ctx context.Context, f RunFilter) ([]RunRecord, error)

	// StartAttempt draws the attempt's token and puts its partitions in flight. The attempt's ReadSeq is req.ReadSeq: the clock of the
	// snapshot that it was judged by, which was taken before its first read; what changes after that makes its partitions stale again,
	// so nothing is lost by starting a little later. The partitions must be claimed by the lease, settled (ErrUnsettled), and not in
	// flight; ErrLost if the lease has ended, ErrPaused if its run is paused. With Guarded the partitions are put in doubt in the same transaction (rule 14).
	//
	// *OlderCodeError refuses older code over newer content (rule 22). Versions are ordered within their producer: by their first publish,
	// which makes each the head, or by a person's word (MarkHeadTo). What has not published yet counts as of req.Asked. So refused is
	//   - a version that is not the head of its producer and has published, or that was asked for before that head first published;
	//   - a version that counts as of a time before the first publish of a version of another producer with which class fix wrote what stands in
	//     any of the partitions (Segment.FixedBy). Other content of another producer is replaced by anybody.
	// Where it would be refused, req.Downgrade lets it through and is audited: by the lease's holder, over the partitions that would have refused
	// it. A version that was replaced becomes the head of its producer again when that attempt publishes; what fixes wrote elsewhere stays safe.
	StartAttempt(ctx context.Context, req AttemptRequest) (*Attempt, error)

	// Intend stores what an attempt is about to publish, before it publishes (rule 11). ErrLost if the attempt's token has been
	// superseded or its lease has ended, or if it would publish or quarantine partitions that the attempt has in flight no longer, because
	// they were taken or released. The rest it may still publish.
	Intend(ctx context.Context, intent Intent) error

	// Record tells what the warehouse has committed for an intent, and what else became of the attempt's partitions: quarantined,
	// failed, or left. It ends the attempt. What the warehouse has committed is recorded whoever finds it, also when the lease is
	// gone: a commit is never refused. The new ChangedSeq is drawn here, after the commit; partitions listed as unchanged keep
	// theirs. What is published counts as checked by the intent's check version at its ReadSeq; of it, the intent's Failing partitions
	// become Failing, with a verdict as quarantined ones get. The first publish of a code version registers it as its producer's head,
	// unless an attempt that started later, or a person, has made another the head. Content is FixedBy its version if the attempt's lease is of
	// class fix; otherwise by nobody, but where it is unchanged by whom it was.
	Record(ctx context.Context, c Commit) (history.Seq, error)

	// Fail ends an attempt that published nothing: all its partitions get the outcome, but for those that were taken from it or released. A
	// cancelled attempt leaves no verdict.
	Fail(ctx context.Context, f Failure) (history.Seq, error)

	// Recheck records what checking rows that stand there came to (rule 15). It writes no data and needs no lease. Partitions whose
	// content changed after r.Seq, or was checked after it, that are in flight or unsettled, or that do not stand as Rows, Empty or
	// Failing, are left alone: whoever wrote them has checked them, or will. Of the others, all get the check version and r.Seq as
	// CheckSeq, and keep their ChangedSeq, so that nobody who read them goes stale. Passing ones that were Failing become Rows again, or
	// Empty where no rows are known to stand, and their verdict goes; verdicts about rows that were kept aside stay. Failing ones
	// become Failing, with a verdict (Quarantined) whose key is what their rows were computed from, or, where rows computed later were
	// quarantined, what those were. Metrics are kept of the partitions that it changes. If it changes none the clock does not move.
	// A table that was never used is no error: nothing stands in it.
	Recheck(ctx context.Context, r Recheck) (history.Seq, error)

	// Attempts lists attempts, oldest first, by run or by table and set; at most limit.
	Attempts(ctx context.Context, f AttemptFilter) ([]AttemptRecord, error)

	// Metrics gives the latest stored value of each check of a table for the partitions of the set, oldest partition first.
	Metrics(ctx context.Context, table string, set calendar.Set) ([]Metric, error)

	// Contents gives rows and fingerprint of each published or observed partition of the set.
	Contents(ctx context.Context, table string, set calendar.Set) ([]Content, error)

	// Mark changes what the ledger holds of partitions because a person says so; it is audited with its reason.
	Mark(ctx context.Context, m Mark) (history.Seq, error)

	// Axes gives the axis of every table that was ever used, by its key.
	Axes(ctx context.Context) (map[string]calendar.Axis, error)

	// Tokens gives the last token drawn of every table that was ever used, by its key.
	Tokens(ctx context.Context) (map[string]history.Token, error)

	// RaiseTokens sees to it that later tokens of the tables are above the floors: a ledger that was restored from a backup has forgotten what it
	// drew since, and its warehouses have not (rule 9). Counters never go down. No history changes, and the clock does not move.
	RaiseTokens(ctx context.Context, floors []Floor) error

	// Note writes into the audit log what a person did outside of the ledger: when, who, what, why, before and after are the entry's, its place
	// in the log is not. The same entry again is a no-op.
	Note(ctx context.Context, e AuditEntry) error

	// Versions lists the code versions of a table that have published, of all producers, oldest first.
	Versions(ctx context.Context, table string) ([]VersionRecord, error)

	// Audit lists entries of the audit log, oldest first; VerifyAudit walks the whole chain and returns a *ChainError naming the
	// first entry that was edited, removed or moved.
	Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
	VerifyAudit(ctx context.Context) (entries int, err error)

	// Close ends the use of the store. It waits for transactions under way.
	Close() error
}

// The ids are opaque, unique, and safe in file names.
//
//nolint:revive // one comment for the three
type (
	LeaseID   string
	RunID     string
	AttemptID string
)

// A Claim is a table (by key) and partitions of it.
type Claim struct {
	Table string
	Axis  calendar.Axis
	Set   calendar.Set
}

// A Holder is who has a lease: shown to people, and asked whether it still lives.
type Holder struct {
	Host  string
	Boot  string // boot id of the host
	PID   int
	Start int64 // the process's start time in clock ticks since boot
	User  string
}

// An Actor is who does something that is audited.
type Actor struct {
	User string
	Host string
	PID  int
}

// A Class orders runs: fix over scheduled over backfill.
type Class string

// The classes.
const (
	ClassFix       Class = "fix"
	ClassScheduled Class = "scheduled"
	ClassBackfill  Class = "backfill"
)

// Rank is higher for what may take from the other.
func (c Class) Rank() int {
	switch c {
	case ClassFix:
		return 3
	case ClassScheduled:
		return 2
	}
	return 1
}

// An AttemptRequest starts an attempt.
type AttemptRequest struct {
	ID      AttemptID
	Lease   LeaseID
	Run     RunID
	Table   string
	Set     calendar.Set
	Version string
	// Code is what the version stands for, kept when the version is registered.
	Code    VersionRecord
	ReadSeq history.Seq
	// Asked is the clock when the run was asked for, before it waited for anything: as of when its code counts if that has not published
	// yet. 0: ReadSeq.
	Asked history.Seq
	// Downgrade is why older code may replace newer content; "": it may not.
	Downgrade string
	Guarded   bool
	At        time.Time // wall clock, for people
}

// An Attempt is the right to publish what it computed for its partitions.
type Attempt struct {
	ID      AttemptID
	Lease   LeaseID
	Run     RunID
	Table   string
	Set     calendar.Set
	Token   history.Token
	ReadSeq history.Seq
	Version string
}

// A Content is what stands in one partition.
type Content struct {
	Partition   calendar.Partition
	Rows        int64
	Fingerprint string
}

// A Hull is the range of an input's partitions that an attempt's windows reached.
type Hull struct {
	Input string // table key
	Reach calendar.Interval
}

// A Metric is a check's value on one partition.
type Metric struct {
	Check     string
	Partition calendar.Partition
	// Value is the share or number that was compared; Weight is how many rows (or entities) it speaks of, so that values of several
	// partitions can be pooled.
	Value  float64
	Weight int64
	Passed bool
	At     history.Seq // filled by the ledger
}

// An Intent is what an attempt is about to publish. Its id is the attempt's.
type Intent struct {
	Attempt      AttemptID
	Run          RunID
	Table        string
	Token        history.Token
	ReadSeq      history.Seq
	Version      string
	CheckVersion string
	Publish      []Content    // what passed
	Empty        calendar.Set // of these, the partitions whose emptiness is right
	Shortfall    []ShortSet
	Hulls        []Hull
	Metrics      []Metric
	Quarantine   calendar.Set
	// Failed are those of Quarantine of which there are no rows to judge: the command said that it failed at them, or did not name them. Their
	// verdict is Failed.
	Failed calendar.Set
	// Failing are those of Publish that stand though a check that blocks refuses them: of a command that writes to the table itself.
	Failing calendar.Set
	Reasons map[calendar.Partition]string // why each quarantined or failing partition did not pass
	ReadAt  time.Time
}

// A ShortSet says which partitions were computed from less.
type ShortSet struct {
	Set       calendar.Set
	Shortfall history.Shortfall
}

// A Commit is what became of an attempt.
type Commit struct {
	Attempt AttemptID
	// Published are the partitions that the warehouse has committed under the attempt's marker. Unchanged are those whose replaced and
	// inserted rows are equal and equal to what the ledger knew: they keep their ChangedSeq (rule 12).
	Published calendar.Set
	Unchanged calendar.Set
	At        time.Time
}

// A Failure ends an attempt without a publish.
type Failure struct {
	Attempt   AttemptID
	Token     history.Token
	Outcome   history.Outcome // Failed or Quarantined
	Cancelled bool            // stopped from outside: no verdict
	Reason    string
	// For Quarantined: verdicts, metrics and their key, as in Intent.
	CheckVersion string
	Metrics      []Metric
	Reasons      map[calendar.Partition]string
	At           time.Time
}

// An Observation is what was seen outside.
type Observation struct {
	Expected []Expected
	Periods  map[string][]calendar.Interval
	Sources  []Seen
	At       time.Time
}

// Expected is the set that a table's calendar names now, up to what is due.
type Expected struct {
	Table string
	Axis  calendar.Axis
	Set   calendar.Set
}

// Seen is what a source was found to hold in Looked: Contents of each partition with rows; Empty ones are expected, without rows, and
// allowed to be; Drifted ones broke the contract. Of Looked, all else is missing: it is recorded as lost if it was known, unless a person has
// marked it as skipped.
type Seen struct {
	Table    string
	Axis     calendar.Axis
	Looked   calendar.Set
	Contents []Content
	Empty    calendar.Set
	Drifted  calendar.Set
	Meta     string // the cheap version (file names, sizes, times) that goes with it
}

// Observed is what an observation changed.
type Observed struct {
	Seq     history.Seq
	Gained  map[string]calendar.Set // by table key
	Lost    map[string]calendar.Set
	Changed map[string]calendar.Set // content new or different
	Gone    map[string]calendar.Set // source partitions that were known and are not there
}

// A Recheck is what checking rows that stand in a table came to. A partition is in at most one of Passing and Failing.
type Recheck struct {
	Table string
	Axis  calendar.Axis
	// Seq is the clock of the snapshot that was taken before the rows were looked at.
	Seq          history.Seq
	CheckVersion string
	Passing      calendar.Set
	Failing      calendar.Set
	Reasons      map[calendar.Partition]string // why each failing partition did not pass
	Metrics      []Metric
}

// A MarkKind is what a person says of partitions.
type MarkKind string

// The marks.
const (
	MarkFresh   MarkKind = "fresh"   // what stands is right as it is, by today's code and inputs
	MarkStale   MarkKind = "stale"   // compute it again
	MarkSkipped MarkKind = "skipped" // there will be no rows: counts as fresh
	MarkGone    MarkKind = "gone"    // the calendar no longer names them, and is right: they leave Known, which is logged as a loss (rule 18)
	MarkHeadTo  MarkKind = "promote" // make Version the head of its producer
)

// A Mark is a person's word on partitions.
type Mark struct {
	Kind     MarkKind
	Table    string
	Axis     calendar.Axis
	Set      calendar.Set
	Contents []Content // for fresh with --observed: what stands there
	Version  string
	// CheckVersion, for fresh, are the checks that the person vouches for: what is taken over counts as checked by them now. "": it
	// stays checked as it was.
	CheckVersion string
	Actor        Actor
	Reason       string
	At           time.Time
}
