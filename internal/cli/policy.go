package cli

import (
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
)

// policyFlags say what to do where somebody else has the partitions.
type policyFlags struct {
	OnConflict  string        `enum:",fail,wait,trim,yield,preempt" default:"" help:"Where others have some of it: fail, wait, trim, yield, preempt." placeholder:"P" json:"-"`
	Expect      []string      `help:"What is to be true afterwards, like 'T.column.not_null >= 0.95'; else the run has failed." placeholder:"EXPR" sep:"none" json:"-"`
	WaitTimeout time.Duration `help:"How long to wait at most, with --on-conflict wait." placeholder:"D" json:"-"`
}

// expectations reads --expect.
func (f policyFlags) expectations(c *backfill.Coordinator) ([]backfill.Expectation, error) {
	out := make([]backfill.Expectation, 0, len(f.Expect))
	for _, text := range f.Expect {
		one, err := c.Expect(text)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// policy is what was asked for, or the default of a class.
func (f policyFlags) policy(class string) backfill.Policy {
	switch {
	case f.OnConflict != "":
		return backfill.Policy(f.OnConflict)
	case class == string(ledger.ClassScheduled):
		return backfill.PolicyYield
	}
	return backfill.PolicyFail
}

// tellWait says now and then whom a run waits for.
func (inv *invocation) tellWait(c *backfill.Coordinator) func(*ledger.ConflictError, time.Duration) {
	return func(conflict *ledger.ConflictError, waited time.Duration) {
		how := "waiting"
		if waited >= time.Second {
			how = "waiting for " + waited.Round(time.Second).String()
		}
		inv.say("%s: %s", how, c.WaitText(conflict))
	}
}
