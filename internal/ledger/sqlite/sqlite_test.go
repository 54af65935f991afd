package sqlite

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"sync"
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
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	write(t, path, emptyStore())
	return &harness{world: ledgertest.NewWorld(), path: path}
}

// emptyStore is a store that nothing was done with: to make one takes longer than to copy it.
var emptyStore = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "headway-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of its own among those of the system
	path := filepath.Join(dir, "state.db")
	l, err := Open(context.Background(), path, Options{})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		panic(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return string(b)
})

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
	fewer(t)
	ledgertest.Model(t, func(t *testing.T) ledgertest.Harness {
		h := newHarness(t)
		h.careless = true
		return h
	})
}

// fewer runs a property fewer times under the race detector, which makes each ten times as slow and finds nothing in one goroutine.
func fewer(t *testing.T) {
	t.Helper()
	const checks = "rapid.checks"
	set := flag.Lookup(checks)
	if !raceDetector || set == nil || set.Value.String() != set.DefValue {
		return
	}
	before := set.Value.String()
	must0(t, flag.Set(checks, "25"))
	t.Cleanup(func() { must0(t, flag.Set(checks, before)) })
}
