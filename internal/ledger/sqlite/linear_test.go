package sqlite

import (
	"math/rand/v2"
	"testing"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/ledgertest"
)

// Several handles on one file are to SQLite what several processes are: each has its own connections, its own writer and what that keeps.
func TestLinearizable(t *testing.T) {
	h := newHarness(t)
	ledgertest.Linearizable(t, rand.Uint64(), h.World(), []ledger.Ledger{h.Open(t), h.Open(t), h.Open(t)})
}

func TestFair(t *testing.T) {
	h := newHarness(t)
	h.careless = true
	ledgertest.Fair(t, rand.Uint64(), h.World(), []ledger.Ledger{h.Open(t), h.Open(t)})
}
