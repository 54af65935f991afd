package lite_test

import (
	"path/filepath"
	"testing"

	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/ledgertest"
	"github.com/headway-data/headway/internal/ledger/lite"
)

type harness struct {
	world *ledgertest.World
	path  string
}

func (h *harness) World() *ledgertest.World { return h.world }

func (h *harness) Open(t *testing.T) ledger.Ledger {
	l, err := lite.Open(t.Context(), h.path, lite.Options{Machine: h.world.Machine(), Now: h.world.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) //nolint:errcheck // the test may have closed it
	return l
}

func TestConformance(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Harness {
		return &harness{ledgertest.NewWorld(), filepath.Join(t.TempDir(), "state.db")}
	})
}
