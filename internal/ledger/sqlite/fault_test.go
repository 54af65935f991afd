package sqlite

import (
	"testing"

	"github.com/headway-data/headway/internal/ledger/ledgertest"
)

func TestFaults(t *testing.T) {
	ledgertest.Faults(t, func(t *testing.T, fault func(when string) error) ledgertest.Harness {
		h := newHarness(t)
		h.fault, h.careless = fault, true
		return h
	})
}
