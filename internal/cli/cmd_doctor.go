package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/headway-data/headway/internal/backfill"
)

type doctorCmd struct{}

// A finding is one thing that doctor looked at.
type finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Told string `json:"told"`
}

// Run looks whether this machine and project are fit to run.
func (doctorCmd) Run(inv *invocation) error {
	list := []finding{{"program", true, fmt.Sprintf("headway %s, %s/%s, %d CPUs", inv.Version, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}}
	add := func(what string, err error, ok string) bool {
		if err != nil {
			list = append(list, finding{what, false, err.Error()})
			return false
		}
		list = append(list, finding{what, true, ok})
		return true
	}
	dir, file, err := inv.projectFile()
	if add("project file", err, filepath.Join(dir, file)) {
		inv.examine(dir, add)
	}
	bad := 0
	for _, f := range list {
		if !f.OK {
			bad++
		}
	}
	if inv.json() {
		if err := inv.answer(struct {
			Schema   string    `json:"schema"`
			Healthy  bool      `json:"healthy"`
			Findings []finding `json:"findings"`
		}{"headway.doctor/v1", bad == 0, list}); err != nil {
			return err
		}
	} else {
		for _, f := range list {
			mark := "ok  "
			if !f.OK {
				mark = "BAD "
			}
			inv.print("%s %s: %s", mark, f.What, f.Told)
		}
	}
	if bad > 0 {
		return &exitError{Code: exitRefused}
	}
	return nil
}

// examine looks at a project's parts, from the outside in.
func (inv *invocation) examine(dir string, add func(string, error, string) bool) {
	add("project folder", writable(dir), "can be written to")
	c, err := inv.open(false)
	if !add("project", err, "is valid, its state and warehouses open") {
		return
	}
	defer inv.close(c)
	add("state", nil, fmt.Sprintf("%s, ledger %s", c.Ledger.URL(), c.Ledger.ID()))
	add("warehouses", c.Coordinates(inv.ctx), "are coordinated by this ledger, or by none yet")
	n, err := c.Ledger.VerifyAudit(inv.ctx)
	add("audit log", err, entriesOf(n)+", whole")
	sight, err := c.Look(inv.ctx, backfill.LookOptions{})
	if !add("sources and calendars", err, "can be read") {
		return
	}
	for _, t := range c.Project.Tables {
		if found := sight.Sources[t.Name]; found != nil {
			add("source "+t.Name, found.Err, fmt.Sprintf("%s expected", count(sight.Expected[t.Name].Count(), "partition")))
		}
	}
	problems, err := c.BindAll(inv.ctx, sight)
	add("queries", err, "bind")
	for _, p := range problems {
		var bad error
		if !p.Warn {
			bad = p.Error
		}
		add("table "+p.Table, bad, "warning: "+p.Error.Msg)
	}
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".headway-doctor-")
	if err != nil {
		return fmt.Errorf("cannot be written to: %w", err)
	}
	name := f.Name()
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(name)
}
