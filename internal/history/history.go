// Package history is what a ledger knows of tables, as plain data: which partitions were written, from what, and what has changed
// since. The planner judges freshness from it; ledgers fill it. It does no I/O and knows no clock.
//
// All slices of intervals here are sorted by Start and disjoint. Neighbouring partitions that share everything share one row, so the
// size of a history grows with what happened, not with the number of partitions.
package history

import (
	"time"

	"github.com/headway-data/headway/internal/calendar"
)

// A Seq is a reading of a ledger's logical clock. It starts at 1, grows with every change that freshness depends on, and is never
// reset. 0 means never.
type Seq int64

// A Token is a fencing token. Tokens of one table only grow; each lease and each attempt has its own.
type Token int64

// A Content says what stands in a partition's rows, as far as the ledger knows.
type Content uint8

// The contents. The zero value is Rows.
const (
	Rows    Content = iota // published rows
	Empty                  // published, and no rows were right
	Skipped                // a person said that there will be no rows; counts as fresh
	InDoubt                // a writer that Headway does not fence may have left anything
	Failing                // rows that stand there and fail a check that blocks: not readable
	Foreign                // rows that are not what the marker says
	Drifted                // a source's partition that broke its contract, or was lost after it had been read: not readable
)

func (c Content) String() string {
	return [...]string{"rows", "empty", "skipped", "in_doubt", "failing", "foreign", "drifted"}[c]
}

// Readable reports whether consumers may read partitions of this content.
func (c Content) Readable() bool { return c <= Skipped }

// Checkable reports whether something stands there that checks can be asked about.
func (c Content) Checkable() bool { return c == Rows || c == Empty || c == Failing }

// A Shortfall says that a partition was computed from less than its windows ask for.
type Shortfall uint8

// The shortfalls.
const (
	Full      Shortfall = iota
	Bootstrap           // within the first partitions of a period, as the table declares
	Short               // fewer inputs than the window names, as a lowered `complete` admits
)

func (s Shortfall) String() string { return [...]string{"full", "bootstrap", "short"}[s] }

// A Segment is a run of neighbouring partitions with the same materialization.
type Segment struct {
	calendar.Interval
	// ReadSeq is the clock before the inputs were read; 0 for sources, which read nothing.
	ReadSeq Seq
	// ChangedSeq is the clock when the content last changed.
	ChangedSeq Seq
	// Version is the code that computed it; "" for sources and for what was taken over without code.
	Version string
	// Attempt wrote it; "" for sources and what was taken over.
	Attempt   string
	Content   Content
	Shortfall Shortfall
	// Accepted: a person took the content over as it is (`mark --as fresh`, `code accept`), as of Version.
	Accepted bool
	// Stale: a person asked for it to be computed again (`mark --as stale`).
	Stale bool
	// ReadAt is the wall clock of ReadSeq, for windows of late data; zero where unknown.
	ReadAt time.Time
	// CheckVersion and CheckSeq say with which checks, and at which clock, the content was last checked; "" and 0: never.
	CheckVersion string
	CheckSeq     Seq
	// FixedBy is the version with which an attempt of class fix wrote the content; "" where none did. It stays, whatever is said of the
	// content, until other content takes its place (rule 22).
	FixedBy string
}

// A Move says when a partition last entered or left the set that its table's calendar expects.
type Move struct {
	calendar.Interval
	Seq    Seq
	Gained bool
}

// An Outcome is how the last attempt at a partition ended when it did not publish.
type Outcome uint8

// The outcomes.
const (
	Failed      Outcome = iota + 1 // an attempt failed
	Quarantined                    // its rows failed their checks: kept aside, or failing where they stand
)

func (o Outcome) String() string { return [...]string{"", "failed", "quarantined"}[o] }

// A Verdict is the last outcome of a partition that did not pass: of rows that were not published, or of failing ones that stand there. A
// publish of the partition removes it. It is tried again by itself only when its key changes: what was read (ReadSeq against today's
// history), the code, the checks, or what the checks read (CheckSeq).
type Verdict struct {
	calendar.Interval
	Outcome      Outcome
	Attempt      string
	ReadSeq      Seq
	Version      string
	CheckVersion string
	CheckSeq     Seq
	Reason       string // one line: which check, with its value, or the error
}

// A PeriodChange is a definition of a period that came into force at Seq; it holds until the next one.
type PeriodChange struct {
	Seq       Seq
	Intervals []calendar.Interval // of civil days
}

// A Table is the history of one table or source.
type Table struct {
	Segments []Segment
	// Known is the expected set as the ledger last logged it, and Moves when its members came and went.
	Known calendar.Set
	Moves []Move
	// Verdicts are about attempts that did not publish.
	Verdicts []Verdict
	// Versions are the code versions that have published, oldest first.
	Versions []Version
	// Meta is, for a source, the cheap version (names, sizes, times) that goes with its last observation.
	Meta string
	// Held partitions are under a person's hold. InFlight ones are being written right now; Reserved ones are leased to a live run.
	Held     calendar.Set
	InFlight calendar.Set
	Reserved calendar.Set
	// Unsettled partitions belonged to a lease that ended without saying what became of them.
	Unsettled calendar.Set
}

// A Snapshot is a consistent reading of histories at Seq.
type Snapshot struct {
	Ledger  string
	Seq     Seq
	Tables  map[string]*Table         // by the ledger's table key
	Periods map[string][]PeriodChange // by period name, oldest first
}

// Table gives the history of a key; an empty one if nothing is known of it.
func (s *Snapshot) Table(key string) *Table {
	if t := s.Tables[key]; t != nil {
		return t
	}
	return &Table{}
}
