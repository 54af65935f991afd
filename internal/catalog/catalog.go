// Package catalog is what a project declares: tables, sources, inputs, windows, checks, gates, calendars, periods. It parses the
// project file strictly, with every error at file:line:column, and builds the graph. It reads files only through the fs.FS it is
// given, and knows no clock and no environment but what it is handed.
package catalog

import (
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/calendar"
)

// A Pos is a place in a project file. Line and Column count from 1; the zero Pos is unknown.
type Pos struct {
	File         string
	Line, Column int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// A Project is a parsed and checked project file with its includes, for one environment.
type Project struct {
	Name        string
	Environment string // "" where the project declares none
	Protected   bool   // the environment may be used only where it is named
	// SchemaPrefix is put before every table's schema in this environment.
	SchemaPrefix string
	Zone         string
	// State is where the ledger is, sqlite:… or postgres://…, as written: it may still hold ${…} (see Resolve). "" where not said.
	State      string
	StatePos   Pos
	Warehouses []*Warehouse
	Calendars  []*Calendar
	Periods    []*Period
	// Tables are the sources, tables and what producers make, in the order of the file. Names are unique.
	Tables    []*Table
	Producers []*Producer
	Gates     []*Gate
	Guard     Guard
	// Limits
	MaxParallel int // attempts at once over all warehouses; 0: not said

	lines map[string][]string // of every file that was read, for errors that are found later
}

// A Warehouse is where tables live.
type Warehouse struct {
	Name string
	Type string // duckdb, postgres, bigquery
	// Path, URL, Project, Dataset and Location may still hold ${…}, which is resolved when a connection opens (see Resolve).
	Path        string // duckdb: the file, relative to the project folder
	URL         string // postgres
	Project     string // bigquery
	Dataset     string
	Location    string
	MaxParallel int // attempts at once; 0: the driver's default
	Pos         Pos
}

// A Calendar tells which partitions are expected. Exactly one of its ways is set.
type Calendar struct {
	Name     string
	Query    string         // rows of one column, dates
	File     string         // CSV with a header, relative to the project folder
	Column   string         // the file's column
	Every    bool           // every cell of the grain
	Grain    calendar.Grain // with Every: the grain it was written for, which is that of every table that uses it
	Weekdays bool           // Monday to Friday
	Pos      Pos
}

// A Period is a named list of intervals, like seasons.
type Period struct {
	Name      string
	Intervals []calendar.Interval // of civil days (calendar.Date), half-open, sorted, disjoint
	Pos       Pos
}

// A Guard is the size above which `run` wants a yes. Zero fields mean the defaults (500 partitions, 1 TB).
type Guard struct {
	Partitions int
	Bytes      int64
}

// A Table is anything with partitions that others may read: a source, a table that Headway makes by SQL or a command, or a table of
// a producer.
type Table struct {
	Name      string
	Relation  string // schema.table or table, as written or the table's name
	Warehouse string
	Axis      calendar.Axis
	Column    string // the partition column; "" for partition: none
	Calendar  string // name of a calendar; "" is every cell
	Start     calendar.Partition
	HasStart  bool
	// DueAfter is the delay after a partition's end from which it is expected.
	DueAfter time.Duration

	Source   *Source  // set for sources
	Producer string   // set for what a producer makes
	SQL      *SQL     // set for tables made by a query
	Command  *Command // set for tables made by a command (also through a producer)
	Inputs   []*Input
	Columns  []Column // those of its rows, where they are declared; else what its query or command gives

	Write        WriteMode
	Batch        Batch
	Bootstrap    *BootstrapRule
	Empty        EmptyPolicy
	Immutable    bool
	OnCodeChange CodeChange
	Lookback     int
	Retries      int
	Timeout      time.Duration // 0: none
	Keep         time.Duration // how long replaced rows are kept; 0: not
	Digits       int           // significant digits of floating-point values in fingerprints; default 9
	Tags         []string
	Schedule     string
	Checks       []*Check
	Pos          Pos
}

// IsSource reports whether the table is only read.
func (t *Table) IsSource() bool { return t.Source != nil }

// Partitioned reports whether the table has more than the one partition of an unpartitioned table.
func (t *Table) Partitioned() bool { return t.Axis.Grain != calendar.None }

// A Column is a declared column of a table's rows and its type, as the warehouse writes it.
type Column struct {
	Name, Type string
	Pos        Pos
}

// A Source is where a table that Headway only reads comes from.
type Source struct {
	Files    string // a glob, relative to the project folder; "" for a relation
	Observe  Observe
	Contract *Contract
}

// Observe says how a source's changes are noticed.
type Observe struct {
	By       string // fingerprint (default) or metadata
	Lookback int    // partitions that are looked at again each time; 0: all
}

// A Contract is what a source must look like.
type Contract struct {
	Columns  []ContractColumn
	Patterns map[string]string // column → regular expression
	Extra    string            // columns that are not named: allow (default), warn, refuse
	Pos      Pos
}

// A ContractColumn is a column and its type, as the warehouse writes it.
type ContractColumn struct {
	Name, Type string
	Nullable   bool
	Pos        Pos
}

// SQL is a query that computes the rows of a table for an interval.
type SQL struct {
	File string // relative to the project folder
	Text string
	Pos  Pos
}

// A Command computes partitions by running a program. Arguments are templates; no shell is involved.
type Command struct {
	Args  []string
	Files []string // globs of files that are part of the code version
	Env   []EnvVar
	Pos   Pos
}

// An EnvVar is a variable for a command; the value may hold ${…}, resolved when the command starts.
type EnvVar struct{ Name, Value string }

// A WriteMode says who writes a table's rows.
type WriteMode uint8

// The write modes: Headway publishes what was staged, or the command writes to the warehouse itself.
const (
	Staged WriteMode = iota
	Direct
)

// Batch is how a step is cut into chunks. Zero fields mean the defaults.
type Batch struct {
	Size     int // partitions a chunk
	Span     int // cells that a chunk spans at most, expected or not; 0: any
	Parallel int // chunks of this table at once
}

// BootstrapRule marks the first Partitions expected partitions of each interval of the period Of as computed from short windows.
type BootstrapRule struct {
	Partitions int
	Of         string
}

// An EmptyPolicy says what a partition without rows means.
type EmptyPolicy uint8

// The policies: an empty partition is refused, or is a fine result.
const (
	RefuseEmpty EmptyPolicy = iota
	AllowEmpty
)

// A CodeChange says what a new code version does to what stands.
type CodeChange uint8

// The ways: what older code wrote is stale, or stays fresh.
const (
	Restate CodeChange = iota
	Forward
)

// An Input is an edge of the graph: the table reads the windows' partitions of another table.
type Input struct {
	Table    string
	Windows  []Window // at least one; lineage and input range are their union
	Complete float64  // share of the window's due partitions that must be fresh, 0 to 1; default 1
	Min      int      // at least that many; default 0
	// Restates is false where later changes of the input do not make this table stale; it must be fresh all the same.
	Restates bool
	Columns  []string // that are read; empty: all
	Pos      Pos
}

// A WindowKind is a way to name the input partitions that a partition reads.
type WindowKind uint8

// The kinds of windows, as in cli.md.
const (
	Same       WindowKind = iota // the input partitions that overlap the partition
	Offset                       // civil offsets of Unit, From to To, both ends in
	Partitions                   // From to To in the input's calendar; 0 overlaps, -1 is the last that ended before
	Since                        // from the start of the period Within to the partition moved by To (Through)
	Everything                   // all partitions of the input
	PerRows                      // the last N rows of each entity
	PerParts                     // the last N partitions in which each entity occurs
)

// A Window is one window of an input.
type Window struct {
	Kind     WindowKind
	Unit     calendar.Grain // of Offset: Hour, Day or Month
	From, To int            // Offset and Partitions: both ends in; Since, PerRows and PerParts: To is `through`, counted in input partitions
	Count    int            // PerRows, PerParts: how many
	Per      string         // PerRows, PerParts: the entity's column
	Within   string         // Since, PerRows, PerParts: a period
	Days     int            // PerRows, PerParts: a number of days instead of a period
	Pos      Pos
}

// A Check judges the rows of partitions.
type Check struct {
	ID        string // T.column.kind, T.kind or T.name
	Kind      CheckKind
	Columns   []string // unique, not_null (one), range (one), accepted (one), pattern (one), relationship
	Min, Max  *float64 // not_null, relationship, sql: min share or value; rows, range: bounds
	Equals    string   // rows: a query giving partition and expected number
	Values    []string // accepted values
	Pattern   string
	To        string   // relationship: the other table
	ToColumns []string // relationship: its columns; default the same names
	Query     string   // sql: partition and value
	Warn      bool     // severity warn: told, but it blocks nothing
	Where     string   // a condition on rows: only these are judged; "" is all
	Pos       Pos
}

// A CheckKind is what a check looks at.
type CheckKind string

// The kinds of checks.
const (
	CheckUnique       CheckKind = "unique"
	CheckNotNull      CheckKind = "not_null"
	CheckRows         CheckKind = "rows"
	CheckRange        CheckKind = "range"
	CheckAccepted     CheckKind = "accepted_values"
	CheckRelationship CheckKind = "relationship"
	CheckPattern      CheckKind = "pattern"
	CheckSQL          CheckKind = "sql"
)

// A Producer is one command that makes several tables at once: they have one axis, one warehouse, and the command with all that belongs to it.
type Producer struct {
	Name   string
	Tables []string
	Pos    Pos
}

// A Gate is a named set of requirements over tables.
type Gate struct {
	Name         string
	Tables       []string
	Requirements []Requirement
	Pos          Pos
}

// A Requirement of a gate: a share of fresh partitions, or a check's value.
type Requirement struct {
	Fresh  *float64
	Check  string
	Min    *float64
	Max    *float64
	Pooled bool
	Pos    Pos
}
