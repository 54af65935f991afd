package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/ledgertest"
)

type harness struct {
	world    *ledgertest.World
	path     string
	careless bool
	fault    func(when string) error
}

func newHarness(t *testing.T) *harness {
	return &harness{world: ledgertest.NewWorld(), path: filepath.Join(t.TempDir(), ".headway", "state.db")}
}

func (h *harness) World() *ledgertest.World { return h.world }

func (h *harness) options() Options {
	return Options{Now: h.world.Now, Machine: h.world.Machine(), careless: h.careless, Fault: h.fault}
}

func (h *harness) Open(t *testing.T) ledger.Ledger {
	t.Helper()
	l, err := Open(t.Context(), h.path, h.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestConformance(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Harness { return newHarness(t) })
}

func TestModel(t *testing.T) {
	ledgertest.Model(t, func(t *testing.T) ledgertest.Harness {
		h := newHarness(t)
		h.careless = true
		return h
	})
}
