package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
)

type auditCmd struct {
	Table  string `help:"Only entries about this table."`
	Verify bool   `help:"Walk the whole chain of hashes and say whether it is whole."`
	Limit  int    `default:"100" help:"At most so many entries, the newest."`
}

// Run prints or verifies the audit log.
func (cmd auditCmd) Run(inv *invocation) error {
	c, err := inv.openAny(true)
	if err != nil {
		return err
	}
	defer inv.close(c)
	if cmd.Verify {
		return cmd.verify(inv, c)
	}
	filter := ledger.AuditFilter{Limit: cmd.Limit}
	if cmd.Table != "" {
		names, err := c.Names([]string{cmd.Table})
		if err != nil {
			return err
		}
		filter.Table = c.Tables[names[0]].Key
	}
	entries, err := c.Ledger.Audit(inv.ctx, filter)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	if inv.json() {
		type entry struct {
			Position  int64                 `json:"position"`
			At        time.Time             `json:"at"`
			User      string                `json:"user"`
			Host      string                `json:"host"`
			PID       int                   `json:"pid"`
			Action    string                `json:"action"`
			Table     string                `json:"table"`
			Intervals []backfill.IntervalID `json:"intervals"`
			Reason    string                `json:"reason"`
			Before    json.RawMessage       `json:"before"`
			After     json.RawMessage       `json:"after"`
			Hash      string                `json:"hash"`
		}
		list := []entry{}
		for _, e := range entries {
			name := c.NameOf(e.Table)
			list = append(list, entry{
				e.Position, e.At, e.Actor.User, e.Actor.Host, e.Actor.PID, e.Action, name,
				c.Intervals(name, e.Set), e.Reason, raw(e.Before), raw(e.After), e.Hash,
			})
		}
		return inv.answer(struct {
			Schema  string  `json:"schema"`
			Entries []entry `json:"entries"`
		}{"headway.audit/v1", list})
	}
	rows := [][]string{{"#", "WHEN", "WHO", "WHAT", "TABLE", "PARTITIONS", "REASON"}}
	for _, e := range entries {
		name := c.NameOf(e.Table)
		rows = append(rows, []string{
			fmt.Sprint(e.Position), e.At.UTC().Format(time.DateTime), fmt.Sprintf("%s@%s (%d)", e.Actor.User, e.Actor.Host, e.Actor.PID),
			e.Action, name, c.Format(name, e.Set), e.Reason,
		})
	}
	inv.table(rows)
	return nil
}

func (cmd auditCmd) verify(inv *invocation, c *backfill.Coordinator) error {
	n, err := c.Ledger.VerifyAudit(inv.ctx)
	var broken *ledger.ChainError
	if err != nil && !errors.As(err, &broken) {
		return fmt.Errorf("verify the audit log: %w", err)
	}
	if inv.json() {
		out := struct {
			Schema  string  `json:"schema"`
			Entries int     `json:"entries"`
			Whole   bool    `json:"whole"`
			Broken  *string `json:"broken"`
		}{Schema: "headway.audit_verify/v1", Entries: n, Whole: broken == nil}
		if broken != nil {
			text := broken.Error()
			out.Broken = &text
		}
		if err := inv.answer(out); err != nil {
			return err
		}
	} else if broken == nil {
		inv.print("the audit log is whole: %s", entriesOf(n))
	}
	if broken != nil {
		return &exitError{Code: exitRefused, told: true, Err: fmt.Errorf("the audit log is not as it was written: %w", broken)}
	}
	return nil
}

func entriesOf(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return thousands(n) + " entries"
}

// raw is JSON as it was stored, or null.
func raw(s string) json.RawMessage {
	if s == "" || !json.Valid([]byte(s)) {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

func (inv *invocation) close(c *backfill.Coordinator) {
	if err := c.Close(); err != nil {
		inv.warn("%v", err)
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// short is enough of a hash for people.
func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
