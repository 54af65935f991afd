package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
)

type codeCmd struct {
	List    codeListCmd    `cmd:"" help:"Code versions of a table, oldest first."`
	Promote codePromoteCmd `cmd:"" help:"Make code that has published before the table's newest again."`
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
	version, err := pickVersion(versions, firstOf(cmd.Version, t.Version.Version), cmd.Table)
	if err != nil {
		return err
	}
	reason, err := inv.reason(cmd.Reason, "promote code")
	if err != nil {
		return err
	}
	if err := c.Promote(inv.ctx, cmd.Table, version, reason); err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema string `json:"schema"`
			Table  string `json:"table"`
			Head   string `json:"head"`
		}{"headway.promote/v1", cmd.Table, version})
	}
	inv.print("%s: version %s is the newest now; see `headway plan %s` for what that makes stale", cmd.Table, short(version), cmd.Table)
	return nil
}

// pickVersion finds the version that a person means: whole, or a beginning that only one has.
func pickVersion(versions []ledger.VersionRecord, wanted, table string) (string, error) {
	var found []string
	for _, v := range versions {
		if strings.HasPrefix(v.Version, wanted) {
			found = append(found, v.Version)
		}
	}
	switch len(found) {
	case 0:
		return "", &backfill.InputError{
			What: fmt.Sprintf("no version of %s that has published begins with %s", table, short(wanted)), Next: "see `headway code list " + table + "`",
		}
	case 1:
		return found[0], nil
	}
	return "", &backfill.InputError{What: fmt.Sprintf("%q is the beginning of %d versions of %s", wanted, len(found), table), Next: "write more of it"}
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
