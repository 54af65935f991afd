package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

type statusCmd struct {
	rangeFlags
	observeFlag
	Table    []string `arg:"" optional:"" help:"Tables; without one all."`
	ExitCode bool     `help:"Exit 3 unless everything expected is fresh."`
	Strip    bool     `help:"Draw the calendar strip also where stdout is not a terminal."`
}

// A tableStatus is what status says of one table.
type tableStatus struct {
	Table     string          `json:"table"`
	Expected  int             `json:"expected"`
	States    map[string]int  `json:"states"`
	Watermark *string         `json:"watermark"`
	Intervals []stateInterval `json:"intervals"`

	index  *calendar.Index
	states []plan.StateInterval
}

type stateInterval struct {
	Start string `json:"start"`
	End   string `json:"end"`
	State string `json:"state"`
}

// stateNames are the closed list of cli.md: every one is a key of `states`.
var stateNames = []string{
	"fresh", "short", "stale", "missing", "failed", "quarantined", "failing", "in_doubt", "foreign", "blocked", "in_flight", "held",
	"empty", "skipped", "bootstrap", "not_due",
}

// Run tells the coverage of tables by state.
func (cmd statusCmd) Run(inv *invocation) error {
	c, err := inv.openAny(cmd.NoObserve, cmd.Table...)
	if err != nil {
		return err
	}
	defer inv.close(c)
	names, err := c.Names(cmd.Table)
	if err != nil {
		return err
	}
	sight, err := inv.glance(c, cmd.Table, cmd.observeFlag)
	if err != nil {
		return err
	}
	sets, err := inv.resolve(c, sight, names, cmd.rangeFlags, len(cmd.Table) > 0)
	if err != nil {
		return err
	}
	var list []*tableStatus
	err = sight.View.With(inv.ctx, func(w *plan.World) error {
		for _, name := range names {
			shown := sets[name]
			if r := cmd.rangeFlags; !r.given() {
				shown = shown.Union(sight.Coming[name])
			}
			list = append(list, statusOf(c, w, name, shown, sets[name].Count()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if inv.json() {
		err = inv.answer(struct {
			Schema string         `json:"schema"`
			Tables []*tableStatus `json:"tables"`
		}{"headway.status/v1", notNil(list)})
	} else {
		inv.printStatus(list, cmd.Strip)
	}
	if err == nil && cmd.ExitCode {
		if c.Unreadable(sight, cmd.Table) != nil {
			return &exitError{Code: exitRefused} // the warning has said it
		}
		for _, s := range list {
			if s.freshCount() < s.Expected {
				return &exitError{Code: exitRefused}
			}
		}
	}
	return err
}

func statusOf(c *backfill.Coordinator, w *plan.World, name string, set calendar.Set, expected int) *tableStatus {
	axis := c.Tables[name].Axis
	s := &tableStatus{Table: name, Expected: expected, States: map[string]int{}, index: calendar.NewIndex(set), Intervals: []stateInterval{}}
	for _, state := range stateNames {
		s.States[state] = 0
	}
	s.states = w.States(name, set)
	for _, iv := range s.states {
		s.States[string(iv.State)] += set.Within(iv.Interval).Count()
		s.Intervals = append(s.Intervals, stateInterval{axis.ID(iv.Start), axis.ID(iv.End), string(iv.State)})
	}
	if p, ok := w.Watermark(name); ok {
		id := axis.ID(p)
		s.Watermark = &id
	}
	return s
}

// freshCount counts what counts as fresh.
func (s *tableStatus) freshCount() int {
	return s.States["fresh"] + s.States["short"] + s.States["bootstrap"] + s.States["empty"] + s.States["skipped"]
}

func (inv *invocation) printStatus(list []*tableStatus, force bool) {
	color := inv.Terminal(inv.Stdout)
	drawn := color || force
	rows := [][]string{{"TABLE", "EXPECTED", "STATES", "WATERMARK"}}
	for _, s := range list {
		mark := "-"
		if s.Watermark != nil {
			mark = *s.Watermark
		}
		rows = append(rows, []string{s.Table, thousands(s.Expected), stateCounts(s.States), mark})
	}
	inv.table(rows)
	if drawn {
		inv.print("")
		for _, s := range list {
			if s.index.Len() > 1 {
				inv.print("%s\n  %s", s.Table, strip(s.index, s.states, color))
			}
		}
		inv.print("  %s", stripLegend)
	}
	told, behind := false, 0
	for _, s := range list {
		if told && onlyBlocked(s) {
			behind++ // mostly behind the first: why tells
			continue
		}
		for _, line := range holes(s) {
			inv.print("%s", line)
			told = true
		}
	}
	if behind > 0 {
		inv.print("%s blocked as well", count(behind, "more table"))
	}
}

// stateCounts lists the states that occur: what is wrong first.
func stateCounts(states map[string]int) string {
	names := make([]string, 0, len(states))
	for name, n := range states {
		if n > 0 {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, k int) bool {
		a, b := rankOf(names[i]), rankOf(names[k])
		if a != b {
			return a < b
		}
		return names[i] < names[k]
	})
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %s", name, thousands(states[name])))
	}
	if len(parts) == 0 {
		return "nothing expected"
	}
	return strings.Join(parts, ", ")
}

// onlyBlocked reports whether being blocked is all that is wrong with a table.
func onlyBlocked(s *tableStatus) bool {
	n := 0
	for _, state := range []string{"failed", "quarantined", "failing", "in_doubt", "foreign", "held"} {
		n += s.States[state]
	}
	return n == 0 && s.States["blocked"] > 0
}

// holes names the ranges of a table that want attention: at most three by table.
func holes(s *tableStatus) []string {
	const most = 3
	var out []string
	more := 0
	for i, iv := range s.states {
		switch string(iv.State) {
		case "failed", "quarantined", "failing", "in_doubt", "foreign", "held", "blocked":
		default:
			continue
		}
		if len(out) == most {
			more++
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s [%s, %s): see `headway why %s %s`",
			s.Table, iv.State, s.Intervals[i].Start, s.Intervals[i].End, s.Table, s.Intervals[i].Start))
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%s: and %d more ranges", s.Table, more))
	}
	return out
}
