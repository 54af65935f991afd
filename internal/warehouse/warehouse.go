// Package warehouse is the contract of where data lives: staging, checking, publishing, observing.
//
// Nothing reaches a table but through Publish, and Publish is one transaction of the warehouse: it looks at the fence on every
// partition, replaces exactly the partitions it was given, writes their markers and checks itself by fingerprints. A writer whose
// token has been superseded can therefore never become visible, however late it wakes up (rules 1, 12).
//
// Headway's own relations live in the schema _headway of the warehouse (fence, marker, source copies) and _headway_stage (stages).
package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A Warehouse is one store of data. Its methods may be called from many goroutines.
type Warehouse interface {
	// Location is the canonical location: the same for every path and alias that leads to this store.
	Location() string

	// Claim makes the ledger the one that may coordinate writes here, or finds that it already is: of the same id, and at the same place as
	// seen from here, so that a ledger and its warehouse may be moved and copied together, but a copy of the ledger alone is another.
	// *ForeignLedgerError otherwise. floors gives, per table key, the highest token the warehouse has seen: a restored ledger must start above it.
	Claim(ctx context.Context, by Ledger) (floors map[string]history.Token, err error)

	// Coordination tells which ledger coordinates writes here, and the floors. Nothing is claimed by asking.
	Coordination(ctx context.Context) (Coordination, error)

	// Move makes the ledger the one that coordinates, whoever did before, and says who that was. It may know the tables by other keys: fences and
	// markers of the old keys are kept under the new ones from then on; who still writes by an old key finds no fence. All of it happens or nothing.
	Move(ctx context.Context, to Ledger, keys map[string]string) (before Coordination, err error)

	// Raise puts the fence over the partitions at their token where it is lower; partitions without a fence row get one. All of it happens
	// in one transaction: it returns *FencedError naming partitions of a table whose fence is already higher, and then nothing was changed.
	Raise(ctx context.Context, fences ...Fence) error

	// Stage computes a query's rows into a new stage, in one statement however many partitions it is for. The query selects the rows of
	// the set's bounds; rows of those bounds that are outside the set are dropped (computed in passing); rows outside the bounds, or whose
	// partition column is null, refuse the stage with *OutsideError; a query without the partition column, or with one that is no time,
	// does with *SchemaError. A statement that fails on values gives *DataError, one that cannot be run as written *QueryError.
	Stage(ctx context.Context, req StageRequest) (*Stage, error)

	// OpenStage makes an empty stage that a command will fill: a relation like the target where that exists. name is what the command is told.
	OpenStage(ctx context.Context, target Target, set calendar.Set, attempt string) (name string, err error)

	// SealStage closes what a command has filled: it is renamed so that the command's descendants can no longer write to it, and looked at
	// as Stage does. A stage that was never created or filled is an empty stage.
	SealStage(ctx context.Context, target Target, set calendar.Set, attempt string) (*Stage, error)

	// Check runs the checks over the partitions of a stage, or of the published relation when stage is nil. It answers for every partition of
	// set and every check; a partition that a query's answer does not mention has failed. One statement a check, at most. Staged rows of
	// partitions that fail a check that blocks are kept aside, as long as Sweep is told to keep the attempt.
	Check(ctx context.Context, target Target, stage *Stage, set calendar.Set, checks []Check) ([]Verdict, error)

	// Publish replaces exactly the partitions of Publication.Set by the stage's rows, in one transaction, and says what was replaced.
	// *FencedError when the fence on any of them is not the token (or is absent); *MismatchError when what was inserted is not what was
	// checked; *SchemaError when the rows do not fit the relation. The relation is created at its first publish; a new nullable column is added.
	// After an error that wraps ErrUnknown the transaction may have committed: look at Markers.
	Publish(ctx context.Context, p Publication) (*Published, error)

	// Discard drops a stage. Dropping what is not there is a no-op. Sweep drops the stages of attempts that are not in keep.
	Discard(ctx context.Context, stage *Stage) error
	Sweep(ctx context.Context, keep map[string]bool) error

	// Markers tells what was committed for the partitions: the newest marker of each.
	Markers(ctx context.Context, table string, set calendar.Set) ([]Marker, error)

	// Contents counts and fingerprints the rows that stand in the relation, per partition of the set that has rows. Partitions without
	// rows are not mentioned. A relation that does not exist has none.
	Contents(ctx context.Context, target Target, set calendar.Set) ([]Content, error)

	// Observe looks at a source. Files are loaded into a copy inside the warehouse and read from there, so what is fingerprinted is what is
	// read (rule 23); a view named Target.Relation reads the copy, so that queries of people may name the source. Relations are read as
	// they are. When the source's cheap version equals req.Known nothing is loaded and
	// SourceState.Unchanged is true.
	//
	// A value in a file that cannot be read as its column's declared type takes its partition along, and no other: the partition is in
	// SourceState.Drifted, SourceState.Misfits says why, and the copy has no rows of it. Where it cannot be told which partition that is (the
	// value is in the partition column, or its row has none; the source has no partitions; the file as a whole cannot be read) the error
	// is *SourceError and the copy that stood stays.
	Observe(ctx context.Context, req SourceRequest) (*SourceState, error)

	// Dates runs a calendar's query: its first column, as partitions of the axis.
	Dates(ctx context.Context, query string, axis calendar.Axis) (calendar.Set, error)

	// Bind prepares a query without running it and says which columns it gives and which relations it reads. Relations of the shapes are
	// taken to be there, empty and with these columns; nothing is made.
	Bind(ctx context.Context, query string, shapes ...Shape) (*Binding, error)

	// Shapes finds out which columns relations will have that are not there yet, from the queries that make them, which may read one another
	// and themselves. It answers for drafts whose relation is missing, or lacks a column that the draft gives, in their order; the others
	// are as they stand. Drafts should come after those they read. Nothing is made. *ShapeError where it cannot be told.
	Shapes(ctx context.Context, drafts []Draft) ([]Shape, error)

	// Prepare makes the relation of a shape where it is missing, empty, and adds to it, nullable, the columns that it lacks. It is a no-op
	// where nothing is missing. No partition's rows change.
	Prepare(ctx context.Context, shape Shape) error

	// Relation is how a relation is written in a query, quoted: for {{table "x"}}. Literal is how a value of the axis is written:
	// for {{start}}. Cells is a query that gives a row for each partition: for {{partitions}}.
	Dialect

	// Turn makes this process the one that uses a store which admits one process at a time, until end is called: what calls between are
	// made for is not interrupted by another process's use. It waits as long as others have their turns, in the order in which they came,
	// and while this process has one that somebody else waits to follow. Turns of one process overlap. A method that is called outside a
	// turn is one of its own, or part of one under way. Waiting ends with ctx, by *LockedError, or when the store is closed. end may be
	// called again, as a no-op. Stores that admit several processes give turns at once.
	Turn(ctx context.Context) (end func(), err error)

	// Lend gives the store away while fn runs: a command that opens the same file can then write to it. No other method runs meanwhile, and
	// the turn goes on. Stores that admit several processes just run fn.
	Lend(ctx context.Context, fn func(ctx context.Context) error) error

	// Leave lets go of the store until it is used next: any process may use it. It waits for calls under way; where a turn is, it is a
	// no-op. What is staged stays.
	Leave(ctx context.Context) error

	// Close ends the use of the store.
	Close() error
}

// A Dialect writes names and values into queries. It does no I/O.
type Dialect interface {
	// Relation quotes a relation; "t" and "s.t" are written by people.
	Relation(name string) string
	// Literal is the start of partition p as a typed literal: DATE '2024-01-05', TIMESTAMPTZ '…'.
	Literal(axis calendar.Axis, p calendar.Partition) string
	// Cells is a parenthesised query with the columns partition_start and partition_end and one <period>_start per period (null where
	// the partition lies in none), a row for each partition of the set.
	Cells(axis calendar.Axis, set calendar.Set, periods map[string][]calendar.Interval) string
}

// A Ledger is one that coordinates, or would.
type Ledger struct {
	ID  string
	URL string // where it is, fit to be shown
}

// A Coordination is who coordinates writes to a store.
type Coordination struct {
	Ledger                          // the zero value: none has been claimed yet
	Place  string                   // where it is, as seen from here; "": not known
	Since  string                   // RFC 3339
	Floors map[string]history.Token // by table key: the highest token that was seen
}

// A Fence is what publishing to partitions of a table (by the ledger's key) demands from now on.
type Fence struct {
	Table string
	Set   calendar.Set
	Token history.Token
}

// A Target is a table as the warehouse sees it.
type Target struct {
	Table    string // the ledger's key: what fence and markers are kept by
	Relation string
	Column   string // the partition column; "" for an unpartitioned table
	Axis     calendar.Axis
	Digits   int // significant digits of floating-point values in fingerprints
	// Columns are those that are declared: what the relation is made with, and what rows must have. None: what the rows have.
	Columns []Column
}

// A Draft is a relation that may be missing, and what makes it.
type Draft struct {
	Target Target
	Query  string // rendered for any partition; not looked at where the target's columns are declared
}

// A Shape is the columns that a relation has or will have.
type Shape struct {
	Target  Target
	Columns []Column
}

// A StageRequest computes a stage.
type StageRequest struct {
	Target  Target
	Set     calendar.Set
	Query   string // rendered
	Attempt string
}

// A Stage is rows that were computed and wait to be checked and published. It can no longer be written to.
type Stage struct {
	Relation string // quoted: for {{staged}}
	Attempt  string
	Set      calendar.Set
	Contents []Content // per partition that has rows
	Columns  []Column
	Dropped  int64 // rows computed in passing, for partitions that are not in the set
}

// A Content is the rows of one partition: how many, and the fingerprint of their values (rule 13).
type Content struct {
	Partition   calendar.Partition
	Rows        int64
	Fingerprint string
}

// A Column is a column of rows.
type Column struct {
	Name, Type string
	Nullable   bool
}

// A Check is a catalog check whose queries are rendered.
type Check struct {
	ID        string
	Kind      string
	Columns   []string
	Min, Max  *float64
	Values    []string
	Pattern   string
	To        string // quoted relation
	ToColumns []string
	// Query gives (partition, value) rows; for kind rows it gives the expected numbers.
	Query string
	// Where is a condition on rows; the check judges only these. "" is all.
	Where string
	Warn  bool
}

// A Verdict is what a check found on one partition.
type Verdict struct {
	Check     string
	Partition calendar.Partition
	Value     float64 // share, number or value that was compared
	Weight    int64   // rows it speaks of
	Passed    bool
	Warn      bool
	Example   string // a value that failed, and what was wanted, for people; "" when passed
}

// A Publication is one publish.
type Publication struct {
	Target  Target
	Stage   *Stage
	Set     calendar.Set // what passed; a subset of the stage's set
	Token   history.Token
	Attempt string
	Ledger  string
	Version string
	At      time.Time
}

// Published is what a publish did.
type Published struct {
	Replaced []Content // what stood there before, per partition that had rows
	Inserted []Content
	Created  bool     // the relation was created
	Added    []string // columns that were added
}

// A Marker is written with each published partition, in the same transaction.
type Marker struct {
	Table       string
	Partition   calendar.Partition
	Attempt     string
	Token       history.Token
	Version     string
	Rows        int64
	Fingerprint string
	Replaced    string // fingerprint of what stood there before; "" for nothing
	At          time.Time
}

// A SourceRequest asks to look at a source.
type SourceRequest struct {
	Target Target
	Files  string   // glob; absolute. "" for a relation
	Known  string   // the cheap version at the last look; "" to look in any case
	Types  []Column // declared types, from the contract; others are found out
}

// A SourceState is what a source holds.
type SourceState struct {
	Unchanged bool
	Version   string // cheap version: names, sizes, times
	Columns   []Column
	Contents  []Content
	Nulls     int64 // rows whose partition column is null
	Rows      int64
	// Drifted partitions have rows of which the copy has none, for the reasons in Misfits; Contents counts and fingerprints them as their
	// files have them. Both are told of an unchanged source too.
	Drifted calendar.Set
	Misfits []Misfit
}

// A Misfit is a column of which some values cannot be read as its type.
type Misfit struct {
	Column, Type string
	Values       int64        // how many there are
	Partitions   calendar.Set // in which they are
	// Value is the first of them, in the first partition, and File and Line are where it stands; "" and 0 where that is not known.
	Value, File string
	Line        int
}

func (m Misfit) String() string {
	at := m.File
	if at != "" && m.Line > 0 {
		at += fmt.Sprintf(":%d", m.Line)
	}
	if at != "" {
		at += ": "
	}
	return fmt.Sprintf("%scolumn %s has %q, which is no %s", at, m.Column, m.Value, m.Type)
}

// A Binding is what a query would give and read.
type Binding struct {
	Columns []Column
	Reads   []string // relations, schema.table
}
