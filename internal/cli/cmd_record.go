package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
)

type psCmd struct {
	All    bool `help:"Also runs that have ended."`
	Leases bool `help:"Also the leases."`
}

type codeCmd struct {
	List codeListCmd `cmd:"" help:"Code versions of a table, oldest first."`
}

type codeListCmd struct {
	Table string `arg:"" help:"Table."`
}

// Run lists the code versions of a table.
func (cmd codeListCmd) Run(inv *invocation) error {
	c, err := inv.open(true)
	if err != nil {
		return err
	}
	defer inv.close(c)
	names, err := c.Names([]string{cmd.Table})
	if err != nil {
		return err
	}
	t := c.Tables[names[0]]
	versions, err := c.Ledger.Versions(inv.ctx, t.Key)
	if err != nil {
		return fmt.Errorf("read the code versions of %s: %w", cmd.Table, err)
	}
	if inv.json() {
		type version struct {
			Version  string    `json:"version"`
			Producer string    `json:"producer"`
			Commit   string    `json:"commit"`
			Dirty    bool      `json:"dirty"`
			Summary  string    `json:"summary"`
			At       time.Time `json:"at"`
			Head     bool      `json:"head"`
			Today    bool      `json:"today"`
		}
		list := []version{}
		for _, v := range versions {
			list = append(list, version{v.Version, v.Producer, v.Commit, v.Dirty, v.Summary, v.At, v.Head, v.Version == t.Version.Version})
		}
		return inv.answer(struct {
			Schema   string    `json:"schema"`
			Table    string    `json:"table"`
			Today    string    `json:"today"`
			Versions []version `json:"versions"`
		}{"headway.code/v1", t.Name, t.Version.Version, list})
	}
	rows := [][]string{{"VERSION", "SINCE", "COMMIT", "WHAT"}}
	seen := false
	for _, v := range versions {
		note := v.Summary
		if v.Head {
			note += " (head)"
		}
		if v.Version == t.Version.Version {
			note += " (today's files)"
			seen = true
		}
		commit := firstOf(v.Commit, "-")
		if v.Dirty {
			commit += "+changes"
		}
		rows = append(rows, []string{short(v.Version), v.At.UTC().Format(time.DateTime), commit, strings.TrimSpace(note)})
	}
	if !seen && t.Version.Version != "" {
		rows = append(rows, []string{short(t.Version.Version), "-", firstOf(t.Version.Commit, "-"), "today's files: not published yet"})
	}
	inv.table(rows)
	return nil
}

type auditCmd struct {
	Table  string `help:"Only entries about this table."`
	Verify bool   `help:"Walk the whole chain of hashes and say whether it is whole."`
	Limit  int    `default:"100" help:"At most so many entries, the newest."`
}

// Run prints or verifies the audit log.
func (cmd auditCmd) Run(inv *invocation) error {
	c, err := inv.open(true)
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
		return &exitError{Code: exitRefused, Err: fmt.Errorf("the audit log is not as it was written: %w", broken)}
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

type logsCmd struct {
	Of        string `arg:"" name:"run" help:"Run: an id, a prefix of one, last, or a table's name." default:"last" optional:""`
	Table     string `help:"Only attempts on this table."`
	Partition string `help:"Only attempts on this partition."`
	Failed    bool   `help:"Only attempts that failed."`
}

// maxLogBytes is how much of one attempt's log is shown: its end.
const maxLogBytes = 256 << 10

// Run prints what the attempts of a run wrote.
func (cmd logsCmd) Run(inv *invocation) error {
	c, err := inv.open(true)
	if err != nil {
		return err
	}
	defer inv.close(c)
	record, err := c.FindRun(inv.ctx, cmd.Of)
	if err != nil {
		return err
	}
	attempts, err := c.Ledger.Attempts(inv.ctx, ledger.AttemptFilter{Run: record.ID})
	if err != nil {
		return fmt.Errorf("read the attempts of %s: %w", record.ID, err)
	}
	shown := 0
	for _, a := range attempts {
		name := c.NameOf(a.Table)
		if cmd.Table != "" && name != cmd.Table || cmd.Failed && a.State != "failed" {
			continue
		}
		if cmd.Partition != "" && c.Tables[name] != nil {
			p, err := c.Tables[name].Axis.Parse(cmd.Partition)
			if err != nil {
				return err
			}
			if !a.Set.Contains(p) {
				continue
			}
		}
		shown++
		inv.print("--- %s  %s  %s  %s", a.ID, name, c.Format(name, a.Set), a.State)
		if a.Reason != "" {
			inv.print("    %s", a.Reason)
		}
		if err := inv.copyLog(c.LogPath(a.ID)); err != nil {
			return err
		}
	}
	if shown == 0 {
		inv.say("no attempt of run %s matches", record.ID)
	}
	return nil
}

func (inv *invocation) copyLog(path string) error {
	f, err := os.Open(path) //nolint:gosec // a path that Headway made
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err := f.Stat(); err == nil && info.Size() > maxLogBytes {
		inv.print("    … %d bytes before this are in %s", info.Size()-maxLogBytes, path)
		if _, err := f.Seek(-maxLogBytes, io.SeekEnd); err != nil {
			return fmt.Errorf("read a log: %w", err)
		}
	}
	if _, err := io.Copy(inv.Stdout, f); err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	return nil
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
