package cli

import (
	"fmt"
	"slices"
	"sort"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/warehouse"
)

type observeCmd struct {
	Source []string `arg:"" optional:"" help:"Sources; without one all. With --accept also tables, whose calendars have lost dates."`
	Accept bool     `help:"Say that what was lost is gone for good: source rows that were read once, dates that a calendar named."`
	Reason string   `help:"Why; kept in the audit log." placeholder:"TEXT"`
}

// Run looks at the sources and tells what they hold and what has changed.
func (cmd observeCmd) Run(inv *invocation) error {
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	if cmd.Accept {
		return cmd.accept(inv, c)
	}
	for _, name := range cmd.Source {
		if t := c.Tables[name]; t == nil || !t.IsSource() {
			return &backfill.InputError{What: fmt.Sprintf("no source is named %q", name), Next: "see `headway lineage`"}
		}
	}
	sight, err := inv.look(c, cmd.Source, observeFlag{})
	if err != nil {
		return err
	}
	list := sourceAnswers(c, sight, cmd.Source)
	if inv.json() {
		err = inv.answer(struct {
			Schema  string         `json:"schema"`
			Sources []sourceAnswer `json:"sources"`
		}{"headway.observe/v1", notNil(list)})
	} else {
		rows := [][]string{{"SOURCE", "STATE", "ROWS", "PARTITIONS", "CHANGED", "GONE", "NOT READABLE"}}
		for _, s := range list {
			rows = append(rows, []string{
				s.Source, s.State, figureInt(s.Rows), figureInt(s.Partitions), thousands(s.Changed), thousands(s.Gone), thousands(s.Drifted),
			})
		}
		inv.table(rows)
	}
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Error != nil || s.Drifted > 0 {
			return &exitError{Code: exitRefused}
		}
	}
	return nil
}

// A sourceAnswer is what was found of a source.
type sourceAnswer struct {
	Source     string         `json:"source"`
	State      string         `json:"state"` // unchanged, read, unreadable
	Rows       *int64         `json:"rows"`
	Partitions *int64         `json:"partitions"`
	Columns    []sourceColumn `json:"columns"`
	Changed    int            `json:"changed"`
	Gone       int            `json:"gone"`
	Drifted    int            `json:"drifted"`
	Misfits    []misfitAnswer `json:"misfits"`
	Error      *string        `json:"error"`
}

// A misfitAnswer is a column of a source of which some values cannot be read as its type.
type misfitAnswer struct {
	Column    string                `json:"column"`
	Type      string                `json:"type"`
	Values    int64                 `json:"values"`
	Intervals []backfill.IntervalID `json:"intervals"`
	Example   string                `json:"example"`
	File      *string               `json:"file"`
	Line      *int                  `json:"line"`
}

func misfitAnswers(c *backfill.Coordinator, source string, found []warehouse.Misfit) []misfitAnswer {
	out := []misfitAnswer{}
	for _, m := range found {
		one := misfitAnswer{Column: m.Column, Type: m.Type, Values: m.Values, Intervals: c.Intervals(source, m.Partitions), Example: m.Value}
		if m.File != "" {
			one.File = &m.File
		}
		if m.Line > 0 {
			one.Line = &m.Line
		}
		out = append(out, one)
	}
	return out
}

type sourceColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func sourceAnswers(c *backfill.Coordinator, sight *backfill.Sight, asked []string) []sourceAnswer {
	var out []sourceAnswer
	for _, t := range c.Project.Tables {
		found := sight.Sources[t.Name]
		if found == nil || len(asked) > 0 && !slices.Contains(asked, t.Name) {
			continue
		}
		key := c.Tables[t.Name].Key
		one := sourceAnswer{
			Source: t.Name, State: "read", Columns: []sourceColumn{}, Changed: sight.Observed.Changed[key].Count(),
			Gone: sight.Observed.Gone[key].Count(), Drifted: found.Drifted.Count(), Misfits: []misfitAnswer{},
		}
		if found.Err == nil {
			one.Misfits = misfitAnswers(c, t.Name, found.State.Misfits)
		}
		switch {
		case found.Err != nil:
			text := found.Err.Error()
			one.State, one.Error = "unreadable", &text
		case found.State.Unchanged:
			one.State = "unchanged"
		default:
			rows, parts := found.State.Rows, int64(len(found.State.Contents))
			one.Rows, one.Partitions = &rows, &parts
			for _, col := range found.State.Columns {
				one.Columns = append(one.Columns, sourceColumn{col.Name, col.Type})
			}
		}
		out = append(out, one)
	}
	sort.SliceStable(out, func(i, k int) bool { return out[i].Source < out[k].Source })
	return out
}

func figureInt(n *int64) string {
	if n == nil {
		return "-"
	}
	return thousands(int(*n))
}
