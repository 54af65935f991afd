package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
)

type codeCmd struct {
	List    codeListCmd    `cmd:"" help:"Code versions that have published in a table, oldest first."`
	Promote codePromoteCmd `cmd:"" help:"Make code that has published before the head of its producer again."`
	Accept  codeAcceptCmd  `cmd:"" help:"Take over what older code computed, as of today's code."`
}

type codeListCmd struct {
	Table string `arg:"" help:"Table."`
}

// Run lists the code versions of a table.
func (cmd codeListCmd) Run(inv *invocation) error {
	c, err := inv.openAny(true, cmd.Table)
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
			Fix      bool      `json:"fix"`
			Run      string    `json:"run"`
			User     string    `json:"user"`
		}
		list := []version{}
		for _, v := range versions {
			list = append(list, version{
				v.Version, v.Producer, v.Commit, v.Dirty, v.Summary, v.At, v.Head, v.Version == t.Version.Version, v.Fix, string(v.Run), v.User,
			})
		}
		return inv.answer(struct {
			Schema   string    `json:"schema"`
			Table    string    `json:"table"`
			Today    string    `json:"today"`
			Versions []version `json:"versions"`
		}{"headway.code/v1", t.Name, t.Version.Version, list})
	}
	rows := [][]string{{"VERSION", "PRODUCER", "SINCE", "BY", "COMMIT", "WHAT"}}
	seen := false
	for _, v := range versions {
		note := v.Summary
		if v.Head {
			note += " (head)"
		}
		if v.Fix {
			note += " (fix)"
		}
		if v.Version == t.Version.Version {
			note += " (today's files)"
			seen = true
		}
		commit := firstOf(v.Commit, "-")
		if v.Dirty {
			commit += "+changes"
		}
		rows = append(rows, []string{
			short(v.Version), firstOf(v.Producer, "-"), v.At.UTC().Format(time.DateTime), firstOf(v.User, "-"), commit, strings.TrimSpace(note),
		})
	}
	if !seen && t.Version.Version != "" {
		rows = append(rows, []string{short(t.Version.Version), t.Version.Producer, "-", "-", firstOf(t.Version.Commit, "-"), "today's files: not published yet"})
	}
	inv.table(rows)
	return nil
}

type codePromoteCmd struct {
	Table   string `arg:"" help:"Table."`
	Version string `name:"to" help:"Version, or the beginning of one. Default: today's files." placeholder:"VERSION"`
	Reason  string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run makes a version the table's head.
func (cmd codePromoteCmd) Run(inv *invocation) error {
	c, t, err := inv.openTable(cmd.Table)
	if err != nil {
		return err
	}
	defer inv.close(c)
	versions, err := c.Ledger.Versions(inv.ctx, t.Key)
	if err != nil {
		return fmt.Errorf("read the code versions of %s: %w", cmd.Table, err)
	}
	picked, err := pickVersion(versions, firstOf(cmd.Version, t.Version.Version), cmd.Table)
	if err != nil {
		return err
	}
	reason, err := inv.reason(cmd.Reason, "promote code")
	if err != nil {
		return err
	}
	version, producer := picked.Version, picked.Producer
	if err := c.Promote(inv.ctx, cmd.Table, version, reason); err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema string `json:"schema"`
			Table  string `json:"table"`
			Head   string `json:"head"`
			Of     string `json:"producer"`
		}{"headway.promote/v1", cmd.Table, version, producer})
	}
	inv.print("%s: version %s is the head of %s now; see `headway plan %s` for what that makes stale", cmd.Table, short(version), producer, cmd.Table)
	return nil
}

// pickVersion finds the version that a person means: whole, or a beginning that only one has.
func pickVersion(versions []ledger.VersionRecord, wanted, table string) (ledger.VersionRecord, error) {
	var found []ledger.VersionRecord
	for _, v := range versions {
		if strings.HasPrefix(v.Version, wanted) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return ledger.VersionRecord{}, &backfill.InputError{
			What: fmt.Sprintf("no version of %s that has published begins with %s", table, short(wanted)), Next: "see `headway code list " + table + "`",
		}
	case 1:
		return found[0], nil
	}
	return ledger.VersionRecord{}, &backfill.InputError{
		What: fmt.Sprintf("%q is the beginning of %d versions of %s", wanted, len(found), table), Next: "write more of it",
	}
}

type codeAcceptCmd struct {
	rangeFlags
	observeFlag
	Table  string `arg:"" help:"Table."`
	Reason string `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run takes over what older code computed.
func (cmd *codeAcceptCmd) Run(inv *invocation) error {
	c, _, err := inv.openTable(cmd.Table)
	if err != nil {
		return err
	}
	defer inv.close(c)
	names := []string{cmd.Table}
	sight, err := inv.look(c, names, cmd.observeFlag)
	if err != nil {
		return err
	}
	sets, err := inv.resolve(c, sight, names, cmd.rangeFlags, true)
	if err != nil {
		return err
	}
	reason, err := inv.reason(cmd.Reason, "accept what older code computed")
	if err != nil {
		return err
	}
	accepted, err := c.Accept(inv.ctx, sight, cmd.Table, sets[cmd.Table], reason)
	if err != nil {
		return err
	}
	return inv.printMarks([]markAnswer{{
		Table: cmd.Table, As: "accepted", Partitions: accepted.Count(), text: c.Format(cmd.Table, accepted),
		Intervals: c.Intervals(cmd.Table, backfill.Bridge(accepted, sight.Expected[cmd.Table])),
	}})
}
