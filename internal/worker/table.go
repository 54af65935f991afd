// Package worker runs attempts: it judges a chunk, starts the attempt, has it computed, checks the rows, publishes what passes and
// records what became of it. It decides nothing about who may write: leases and tokens do.
package worker

import (
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
)

// A Table is a table of the catalog bound to where it lives and to what computes it.
type Table struct {
	*catalog.Table
	Key       string // the ledger's key
	Target    warehouse.Target
	Warehouse warehouse.Warehouse
	Executor  executor.Executor // nil for sources
	// Together are the tables that one command makes, in its producer's order, this one among them; none where it is made by itself.
	Together []*Table
	Version  ledger.VersionRecord // of today's code
	// CheckVersion is the version of the table's checks.
	CheckVersion string
	Checks       []Check
}

// A Check is a check of the catalog with its query parsed.
type Check struct {
	*catalog.Check
	Query Renderer // nil for checks without a query
}

// A Renderer fills a query for a task.
type Renderer interface {
	Render(t executor.Task, staged string) (string, error)
}
