// Package ledgertest is the conformance suite of ledgers: every driver and the in-memory model run it. Each sentence of the contract has
// a case; the counterexamples told beside the rules are cases named after the rule.
package ledgertest

import (
	"testing"

	"github.com/headway-data/headway/internal/ledger"
)

// A Harness is one store under test and the world around it.
type Harness interface {
	// Open opens the store; what was written through an earlier handle is there. After World().Reboot it must be opened again.
	Open(t *testing.T) ledger.Ledger
	World() *World
}

// Run runs the suite. open makes a store that is new; it is cleaned up with the test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Lease", leaseCases},
		{"Attempt", attemptCases},
		{"Recheck", recheckCases},
		{"Observe", observeCases},
		{"Mark", markCases},
		{"Order", orderCases},
		{"Queue", queueCases},
		{"Preempt", preemptCases},
		{"Pause", pauseCases},
		{"Read", readCases},
		{"Run", runCases},
		{"Rules", ruleCases},
		{"Version", versionCases},
		{"Token", tokenCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newFixture(t, open(t))) })
			}
		})
	}
}

type testCase struct {
	name string
	run  func(f *fixture)
}
