package warehouse

import (
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// ErrUnknown is wrapped by errors after which a transaction may or may not have committed.
var ErrUnknown = errors.New("the outcome is unknown")

// A ForeignLedgerError says that another ledger coordinates writes here.
type ForeignLedgerError struct {
	Location, Ledger string // whose it is
	URL              string // where that is; "" where it is not known
	Since            string
	// Asks is where the ledger is that was refused, if it is of the same id: a copy.
	Asks string
}

func (e *ForeignLedgerError) Error() string {
	text := fmt.Sprintf("%s is coordinated by the ledger %s", e.Location, e.Ledger)
	if e.URL != "" {
		text += " at " + e.URL
	}
	text += fmt.Sprintf(" (since %s)", e.Since)
	if e.Asks != "" {
		text += ", of which " + e.Asks + " is a copy"
	}
	return text
}

// A FencedError says that a newer token stands on partitions, or that they have no fence.
type FencedError struct {
	Table   string
	Token   history.Token
	Fenced  calendar.Set // partitions whose fence is not the token
	Highest history.Token
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("token %d no longer holds the fence on %d partitions of %s (highest %d): somebody else has taken them over",
		e.Token, e.Fenced.Count(), e.Table, e.Highest)
}

// An OutsideError says that computed rows do not belong to the chunk.
type OutsideError struct {
	Table   string
	Rows    int64
	Nulls   int64 // of these, rows whose partition column is null
	Example string
	Chunk   string
}

func (e *OutsideError) Error() string {
	return fmt.Sprintf("%d rows for %s lie outside the chunk %s (%d of them with a null partition; example: %s): "+
		"the query must select the rows of {{start}}..{{end}} only", e.Rows, e.Table, e.Chunk, e.Nulls, e.Example)
}

// A MismatchError says that what was inserted is not what was checked. The transaction was rolled back.
type MismatchError struct {
	Table     string
	Partition string
	Checked   string
	Inserted  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("partition %s of %s: the rows inserted (%s) are not the rows checked (%s): rolled back", e.Partition, e.Table, e.Inserted, e.Checked)
}

// A SchemaError says that rows do not fit the relation that stands.
type SchemaError struct {
	Relation, Column string
	Found, Wanted    string
	Next             string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("column %q of %s: the query gives %s, the table has %s: %s", e.Column, e.Relation, e.Found, e.Wanted, e.Next)
}

// A SourceError says that a source cannot be read as it is.
type SourceError struct {
	Source, File string
	What         string
	Next         string
}

func (e *SourceError) Error() string {
	s := "source " + e.Source
	if e.File != "" {
		s += " (" + e.File + ")"
	}
	s += ": " + e.What
	if e.Next != "" {
		s += ": " + e.Next
	}
	return s
}

// A LockedError says that another process has the store open.
type LockedError struct {
	Path, Holder string // pid and command, where known
	Err          error  // what ended the wait for it; nil where its time was over
}

// Unwrap gives what ended the wait.
func (e *LockedError) Unwrap() error { return e.Err }

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%s is open in another process", e.Path)
	}
	return fmt.Sprintf("%s is open in another process: %s", e.Path, e.Holder)
}

// A DataError says that a statement failed on the values it met: a conversion, a number out of range, a division. Other partitions may
// compute well.
type DataError struct {
	Table string
	Err   error
}

func (e *DataError) Error() string {
	return fmt.Sprintf("computing %s failed on its data: %v", e.Table, e.Err)
}

// Unwrap gives the warehouse's own error.
func (e *DataError) Unwrap() error { return e.Err }

// A QueryError says that a statement cannot be run as it is written: a syntax error, an unknown table or column. It fails the same way
// however often it is tried.
type QueryError struct {
	What string // which statement
	Err  error
}

func (e *QueryError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }

// Unwrap gives the warehouse's own error.
func (e *QueryError) Unwrap() error { return e.Err }

// A ShapeError says that it cannot be told which columns a relation will have that is not there yet.
type ShapeError struct {
	Table, Relation string
	What            string // what could not be told, and why
	Err             error  // the warehouse's own error, nil where there is none
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("the columns of %s, which is not there yet, cannot be told: %s", e.Relation, e.What)
}

// Unwrap gives the warehouse's own error.
func (e *ShapeError) Unwrap() error { return e.Err }
