package mem_test

import (
	"math/rand/v2"
	"testing"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/ledgertest"
	"github.com/headway-data/headway/internal/ledger/mem"
)

type harness struct {
	world *ledgertest.World
	l     *mem.Ledger
}

func (h *harness) World() *ledgertest.World { return h.world }

func (h *harness) Open(*testing.T) ledger.Ledger {
	h.l.See(h.world.Machine())
	return h.l
}

func newHarness(*testing.T) ledgertest.Harness {
	w := ledgertest.NewWorld()
	return &harness{w, mem.New(mem.Options{ID: "ledger-1", Now: w.Now, Machine: w.Machine()})}
}

func TestConformance(t *testing.T) { ledgertest.Run(t, newHarness) }

// The model against another of itself: it must be a function of what it is told.
func TestModel(t *testing.T) {
	ledgertest.Model(t, newHarness)
}

func TestLinearizable(t *testing.T) {
	h := newHarness(t)
	ledgertest.Linearizable(t, rand.Uint64(), h.World(), []ledger.Ledger{h.Open(t)})
}

func TestFair(t *testing.T) {
	h := newHarness(t)
	ledgertest.Fair(t, rand.Uint64(), h.World(), []ledger.Ledger{h.Open(t)})
}
