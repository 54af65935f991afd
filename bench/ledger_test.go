package bench

import (
	"context"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/lite"
)

// openLedger opens the state that is measured: the one place that knows which driver it is.
func openLedger(ctx context.Context, path string) (ledger.Ledger, error) {
	return lite.Open(ctx, path, lite.Options{})
}

// thisProcess is who holds the leases.
func thisProcess() ledger.Holder { return lite.ThisProcess() }
