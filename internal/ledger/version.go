package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A VersionRecord is a code version of a table: what it is, and where it came from. The ledger keeps it with the version's first publish and
// never changes it, but for Head and Fix. Within a table a version has one producer: that with which it first published.
type VersionRecord struct {
	Version string
	// Producer is in whose order the version stands: the table's name for its own code; for a wrapped command its program and first file, or
	// what a person calls it. Versions of different producers are not ordered.
	Producer string
	Commit   string // git commit, "" outside a checkout
	Dirty    bool
	Summary  string // first line of what changed, or the command

	// The rest is filled by the ledger.

	Seq  history.Seq // of the first publish
	At   time.Time
	Run  RunID  // that published it first
	User string // who ran it
	Head bool   // the newest of its producer, or what a person made its head
	Fix  bool   // an attempt of class fix has published with it
}

// An OlderCodeError refuses an attempt whose code is older than what it would replace (rule 22).
type OlderCodeError struct {
	Table    string       // key
	Set      calendar.Set // of the attempt's partitions, those that it may not write
	Version  string       // of the attempt
	Producer string       // of Version
	// Since is as of when Version counts: its first publish or, where it has not Published, when its run was asked for.
	Since     history.Seq
	Published bool
	// Stands is what Version may not replace: the head of its producer or, for Fix, what class fix wrote with a version of another producer.
	Stands VersionRecord
	Fix    bool
}

func (e *OlderCodeError) Error() string {
	what := "has replaced it"
	if e.Fix {
		what = "is a fix that was published after it"
	}
	return fmt.Sprintf("version %.12s of %s (%s) may not write %d partitions: version %.12s (%s), of %s, %s",
		e.Version, e.Table, e.Producer, e.Set.Count(), e.Stands.Version, e.Stands.Producer, e.Stands.At.UTC().Format(time.DateTime), what)
}

// Older judges whether the code of an attempt may write its partitions, given the versions of the table; nil if it may. standing gives the
// segments over the partitions; it is asked only if that matters.
func (r AttemptRequest) Older(versions []VersionRecord, standing func() ([]history.Segment, error)) (*OlderCodeError, error) {
	e := &OlderCodeError{Table: r.Table, Set: r.Set, Version: r.Version, Producer: r.Code.Producer, Since: r.asked()}
	if i := slices.IndexFunc(versions, func(v VersionRecord) bool { return v.Version == r.Version }); i >= 0 {
		e.Producer, e.Since, e.Published = versions[i].Producer, versions[i].Seq, true
	}
	fixes := map[string]VersionRecord{}
	for _, v := range versions {
		switch {
		case v.Version == r.Version:
		case v.Producer != e.Producer:
			if v.Fix && v.Seq > e.Since {
				fixes[v.Version] = v
			}
		case v.Head && r.Version != "" && (e.Published || v.Seq > e.Since):
			e.Stands = v
			return e, nil
		}
	}
	if len(fixes) == 0 {
		return nil, nil //nolint:nilnil // it may
	}
	segments, err := standing()
	if err != nil {
		return nil, err
	}
	var fixed []calendar.Interval
	for _, s := range history.Clip(segments, r.Set) {
		if v, ok := fixes[s.FixedBy]; ok {
			fixed = append(fixed, s.Interval)
			if v.Seq > e.Stands.Seq {
				e.Stands = v
			}
		}
	}
	if len(fixed) == 0 {
		return nil, nil //nolint:nilnil // it may
	}
	e.Set, e.Fix = calendar.NewSet(fixed...), true
	return e, nil
}

func (r AttemptRequest) asked() history.Seq {
	if r.Asked == 0 {
		return r.ReadSeq
	}
	return r.Asked
}

// Downgraded is the audit entry of an attempt that a person lets write although its code is older: by whom, over what, and why. rows are the
// segments over e.Set; clock is the reading before the attempt, seq the attempt's.
func (r AttemptRequest) Downgraded(e *OlderCodeError, by Holder, rows []history.Segment, clock, seq history.Seq) AuditEntry {
	return AuditEntry{
		At: r.At, Actor: Actor{User: by.User, Host: by.Host, PID: by.PID}, Action: ActionDowngrade, Table: r.Table, Set: e.Set, Reason: r.Downgrade,
		Before: Describe(clock, e.Stands.Version, rows), After: Describe(seq, e.Version, nil),
	}
}

// ActionDowngrade is the action of an audit entry that tells of older code that was let write: Before.head is the version that stood, After.head
// the one that was asked with.
const ActionDowngrade = "downgrade"
