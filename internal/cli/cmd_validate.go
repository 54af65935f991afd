package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
)

type validateCmd struct {
	Connect bool `help:"Also bind the SQL in the warehouse and list reads that are not declared."`
}

// Run tells all that is wrong with a project, each at its place.
func (cmd validateCmd) Run(inv *invocation) error {
	project, graph, err := inv.catalog()
	if err != nil {
		return inv.invalid(err)
	}
	var problems []backfill.Problem
	for _, bad := range project.Unsupported() {
		problems = append(problems, backfill.Problem{Table: "", Error: bad, Warn: true})
	}
	if project.Guard.Bytes > 0 {
		problems = append(problems, backfill.Problem{Warn: true, Error: catalog.Error{
			Pos: catalog.Pos{File: projectFileName}, Msg: "guard: bytes are not compared: a DuckDB file cannot say what a query would read", Next: "limit partitions",
		}})
	}
	if cmd.Connect {
		more, err := inv.connected()
		if err != nil {
			return inv.invalid(err)
		}
		problems = append(problems, more...)
	} else if bad := backfill.CheckTemplates(project); bad != nil {
		return inv.invalid(bad)
	}
	tables, sources := 0, 0
	for _, t := range project.Tables {
		if t.IsSource() {
			sources++
		} else {
			tables++
		}
	}
	return inv.printProblems(project, graph, problems, fmt.Sprintf("%s and %s", count(sources, "source"), count(tables, "table")))
}

func (inv *invocation) connected() ([]backfill.Problem, error) {
	c, err := inv.open(false)
	if err != nil {
		return nil, err
	}
	defer inv.close(c)
	sight, err := inv.look(c, nil, observeFlag{})
	if err != nil {
		return nil, err
	}
	return c.BindAll(inv.ctx, sight)
}

// validateAnswer is the JSON of validate.
type validateAnswer struct {
	Schema string         `json:"schema"`
	Valid  bool           `json:"valid"`
	Errors []validateItem `json:"errors"`
	Loops  []string       `json:"loops"`
}

type validateItem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Table   string `json:"table"`
	Message string `json:"message"`
	Next    string `json:"next"`
	Warning bool   `json:"warning"`
}

// invalid answers with the errors of a project file.
func (inv *invocation) invalid(err error) error {
	var list catalog.Errors
	if !inv.json() || !errors.As(err, &list) {
		return err
	}
	out := validateAnswer{Schema: "headway.validate/v1", Errors: []validateItem{}, Loops: []string{}}
	for _, e := range list {
		out.Errors = append(out.Errors, validateItem{File: e.Pos.File, Line: e.Pos.Line, Column: e.Pos.Column, Message: e.Msg, Next: e.Next})
	}
	if err := inv.answer(out); err != nil {
		return err
	}
	return &exitError{Code: exitUsage}
}

func (inv *invocation) printProblems(project *catalog.Project, graph *catalog.Graph, problems []backfill.Problem, size string) error {
	bad := 0
	out := validateAnswer{Schema: "headway.validate/v1", Errors: []validateItem{}, Loops: loopsOf(graph)}
	for _, p := range problems {
		if !p.Warn {
			bad++
		}
		e := p.Error
		out.Errors = append(out.Errors, validateItem{e.Pos.File, e.Pos.Line, e.Pos.Column, p.Table, e.Msg, e.Next, p.Warn})
		if !inv.json() {
			if p.Warn {
				inv.warn("%v", e)
			} else {
				fmt.Fprintf(inv.Stderr, "%v\n", e)
			}
		}
	}
	out.Valid = bad == 0
	if inv.json() {
		if err := inv.answer(out); err != nil {
			return err
		}
	} else if bad == 0 {
		for _, loop := range out.Loops {
			inv.print("loop: %s", loop)
		}
		inv.print("project %s is valid: %s", project.Name, size)
	}
	if bad > 0 {
		return &exitError{Code: exitUsage, told: true, Err: fmt.Errorf("%s in project %s", count(bad, "error"), project.Name)}
	}
	return nil
}

// loopsOf names the loops of tables, which are legal because their partitions do not loop.
func loopsOf(graph *catalog.Graph) []string {
	out := []string{}
	for _, component := range graph.Order() {
		if !component.Loop {
			continue
		}
		var names []string
		for _, t := range component.Tables {
			names = append(names, t.Name)
		}
		unit := "hours"
		if component.Cells {
			unit = "partitions"
		}
		out = append(out, fmt.Sprintf("%s read one another with a total lag of %d %s", strings.Join(names, ", "), component.Span, unit))
	}
	return out
}

type renderCmd struct {
	rangeFlags
	observeFlag
	Table  string `arg:"" help:"Table."`
	Checks bool   `help:"Also the queries of its checks."`
}

// Run shows the SQL or command lines as they would run.
func (cmd *renderCmd) Run(inv *invocation) error {
	c, err := inv.open(false)
	if err != nil {
		return err
	}
	defer inv.close(c)
	names, err := c.Names([]string{cmd.Table})
	if err != nil {
		return err
	}
	t := c.Tables[cmd.Table]
	if t.IsSource() && !cmd.Checks {
		return &backfill.InputError{What: cmd.Table + " is a source: it has no query", Next: "its checks: --checks"}
	}
	sight, err := inv.look(c, names, cmd.observeFlag)
	if err != nil {
		return err
	}
	sets, err := inv.resolve(c, sight, names, cmd.rangeFlags, true)
	if err != nil {
		return err
	}
	set := sets[cmd.Table]
	if set.Empty() {
		return &backfill.InputError{What: "no partition of " + cmd.Table + " is expected in that range", Next: "see `headway status " + cmd.Table + "`"}
	}
	lines, err := cmd.lines(inv, c, sight, set)
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema string   `json:"schema"`
			Table  string   `json:"table"`
			Lines  []string `json:"statements"`
		}{"headway.render/v1", cmd.Table, notNil(lines)})
	}
	for _, line := range lines {
		inv.print("%s", strings.TrimRight(line, "\n"))
	}
	return nil
}

func (cmd *renderCmd) lines(inv *invocation, c *backfill.Coordinator, sight *backfill.Sight, set calendar.Set) ([]string, error) {
	var out []string
	if t := c.Tables[cmd.Table]; t.Command != nil {
		commands, err := c.RenderCommand(inv.ctx, sight, cmd.Table, set)
		if err != nil {
			return nil, err
		}
		out = append(out, commands...)
	} else if !t.IsSource() {
		text, err := c.RenderQuery(inv.ctx, sight, cmd.Table, set)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	if !cmd.Checks {
		return out, nil
	}
	checks, err := c.RenderChecks(inv.ctx, sight, cmd.Table, set)
	if err != nil {
		return nil, err
	}
	for _, check := range checks {
		text := fmt.Sprintf("-- check %s (%s)", check.ID, check.Kind)
		if check.Query != "" {
			text += "\n" + check.Query
		}
		out = append(out, text)
	}
	return out, nil
}
