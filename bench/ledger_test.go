package bench

import (
	"context"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/sqlite"
)

// openLedger opens the state that is measured: the one place that knows which driver it is.
func openLedger(ctx context.Context, path string) (ledger.Ledger, error) {
	return sqlite.Open(ctx, path, sqlite.Options{})
}

// thisProcess is who holds the leases.
func thisProcess() ledger.Holder { return sqlite.ThisProcess() }
