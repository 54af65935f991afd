// Package executor is the contract of how a step runs: what computes the rows of a chunk. It has two drivers: query (SQL in the
// warehouse) and command (a program, under a shim).
//
// An executor computes and stages, or lets a command write to the table itself. It decides nothing about who may write and publishes
// nothing: it is called between the attempt's start and its checks, with the fence over the chunk already raised to the attempt's token.
package executor

import (
	"context"
	"errors"
	"io"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// An Executor computes the rows of one table. Its methods may be called from many goroutines.
type Executor interface {
	// Produce computes the rows of the task's partitions and blocks until that is over: when it returns, nothing that it started is
	// left running, as far as the operating system lets it know.
	//
	// It gives the stage that holds the rows; nil where the table's command wrote to the table itself, so that the caller looks there.
	// The report is nil where nothing was said about single partitions: then all of the task's set was computed. With a report,
	// partitions that it does not name count as failed.
	//
	// After an error nothing of the task may be published. When ctx ends, Produce stops what it runs, waits for its end within bounds,
	// and returns an error that wraps context.Cause(ctx). It does not try again.
	Produce(ctx context.Context, t Task) (*warehouse.Stage, *Report, error)
}

// A Together is an executor that computes several tables at once: those of a producer.
type Together interface {
	// ProduceAll is Produce for all tables of a producer, by one run of what computes them for each range of the union of the tasks' sets.
	// There is a task for each of its tables, in its order, all of one warehouse and axis; at least one has partitions to compute. What is
	// made for a table in passing, beside its task's set, is not lost on the way but not published either: a stage may hold it. A task
	// without partitions has an attempt's id of its own and no token; what is staged for it is dropped.
	//
	// It gives a product for each task. An error in one is about that table alone; the error beside them is about all, and then there
	// are no products.
	ProduceAll(ctx context.Context, ts []Task) ([]Product, error)
}

// A Product is what Produce gives for one of several tables.
type Product struct {
	Stage  *warehouse.Stage
	Report *Report
	Err    error
}

// A Task is one try at one chunk, or at one table of a chunk.
type Task struct {
	Table  *catalog.Table
	Target warehouse.Target
	// Dialect writes names and values into queries: the warehouse's own.
	Dialect warehouse.Dialect
	// Set is what is to be computed: expected partitions only; not empty, but for a table of which the others of its producer alone need something.
	Set calendar.Set
	// Expected are the table's expected partitions: a command's range may bridge what is not expected, but not what is and is not asked
	// for. Empty where that is not known: then nothing is bridged.
	Expected calendar.Set
	Run      string
	Attempt  string
	Token    history.Token
	Number   int // of the try, from 1
	// Inputs are the declared inputs by catalog name: what a query may read.
	Inputs map[string]Input
	// Tables are the quoted relations of all tables of the project by catalog name, for messages and for checks.
	Tables map[string]string
	// Periods are the project's periods, in civil days.
	Periods map[string][]calendar.Interval
	// Trust is how long the lease that the task works under is trusted. What the task runs as a process of its own does not outlive it,
	// even if this process is suspended. nil: there is no lease, and no bound.
	Trust *Trust
	// Progress, if given, is told now and then how many partitions the task has done so far, by its own account; 0 when that does not count any
	// more. It is called from one goroutine at a time.
	Progress func(partitions int)
	// Confirm is asked right before a program starts that writes to the table itself, when others can already find the process that will supervise
	// it: an error keeps it from starting. nil: nobody is asked.
	Confirm func(ctx context.Context) error
	Dir     string    // the project folder, absolute
	Log     io.Writer // takes the output of commands, line by line
	// Lookup resolves ${NAME} and ${file:path} in the environment of commands.
	Lookup func(name string) (value string, ok bool)
}

// An Input is a table that a task reads.
type Input struct {
	Relation string // quoted
	Axis     calendar.Axis
	// Reach is the hull of the input's partitions that the windows of the task's set reach, on the input's axis; it may be empty.
	Reach calendar.Interval
}

// A Report is what a command said about single partitions.
type Report struct {
	Partitions map[calendar.Partition]PartitionReport
}

// A PartitionReport is what a command said about one partition.
type PartitionReport struct {
	State ReportState
	Rows  int64  // as counted by the command; -1 where it did not say
	Error string // for failed ones, bounded; "" where it did not say
	// Unnamed: it said nothing about this one, which counts as failed since it spoke of others.
	Unnamed bool
}

// A ReportState is how a partition came out by a command's own account.
type ReportState string

// The states, as commands write them.
const (
	ReportDone   ReportState = "done"
	ReportEmpty  ReportState = "empty"
	ReportFailed ReportState = "failed"
)

// ErrPermanent is matched (errors.Is) by errors that trying again will not help: a program that does not exist, a variable that is not set.
var ErrPermanent = errors.New("trying again will not help")

// ErrTrust says that what a task ran was stopped because its lease had not been renewed in time. Somebody may have taken the partitions
// over, or nobody: the ledger knows.
var ErrTrust = errors.New("its lease was not renewed in time")
