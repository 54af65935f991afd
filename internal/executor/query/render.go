package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
)

// Render writes the query for a task: its Set, Target, Dialect, Inputs, Tables and Periods are looked at. staged is the quoted relation
// that {{staged}} stands for. Errors are catalog.Errors.
func (t *Template) Render(task executor.Task, staged string) (string, error) {
	if err := t.Verify(task.Table, names(task.Tables)); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.call == "" {
			b.WriteString(p.plain)
			continue
		}
		text, err := t.value(p, task, staged)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func names(tables map[string]string) []string {
	out := make([]string, 0, len(tables))
	for name := range tables {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// value is what a call stands for. Verify has found that it makes sense for the table.
func (t *Template) value(p part, task executor.Task, staged string) (string, error) {
	axis, bounds := task.Target.Axis, task.Set.Bounds()
	switch p.call {
	case "start":
		return literal(task, axis, bounds.Start), nil
	case "end":
		return literal(task, axis, bounds.End), nil
	case "from":
		return literal(task, axis, bounds.Start), nil
	case "to":
		return literal(task, axis, bounds.End-1), nil
	case "input_start", "input_end":
		in, ok := task.Inputs[p.arg]
		if !ok {
			return "", t.bad(p, fmt.Sprintf("it is not known what the windows reach of %q", p.arg), "declare it as an input of "+task.Table.Name)
		}
		if in.Axis.Grain == calendar.None {
			return "", t.bad(p, fmt.Sprintf("%q has no partitions, and so no bounds", p.arg), "leave the condition out")
		}
		if p.call == "input_start" {
			return literal(task, in.Axis, in.Reach.Start), nil
		}
		return literal(task, in.Axis, max(in.Reach.Start, in.Reach.End)), nil
	case "table":
		if in, ok := task.Inputs[p.arg]; ok {
			return in.Relation, nil
		}
		if relation, ok := task.Tables[p.arg]; ok && t.check {
			return relation, nil
		}
		return "", t.bad(p, fmt.Sprintf("nobody has said where %q lies", p.arg), "declare it as an input of "+task.Table.Name)
	case "partitions":
		return task.Dialect.Cells(axis, task.Set, task.Periods), nil
	case "staged":
		return staged, nil
	}
	return "", t.bad(p, fmt.Sprintf("{{%s}} has no value", p.call), allowed)
}

// literal writes a bound. Windows that reach over all of an input have no first and no last partition: they are written as the first day
// of year 1 and the last of year 9999, which every warehouse can hold.
func literal(task executor.Task, axis calendar.Axis, p calendar.Partition) string {
	first := axis.At(time.Date(1, time.January, 2, 0, 0, 0, 0, time.UTC))
	last := axis.At(time.Date(9999, time.December, 30, 0, 0, 0, 0, time.UTC))
	return task.Dialect.Literal(axis, min(max(p, first), last))
}

func (t *Template) bad(p part, msg, next string) catalog.Errors {
	return catalog.Errors{t.wrong(p.at, msg, next)}
}

// Verify finds calls that make no sense for a table, before anything runs: bounds of a table without partitions, tables that are not
// declared as inputs, {{staged}} outside checks. known are the names of all tables of the project. Errors are catalog.Errors.
func (t *Template) Verify(table *catalog.Table, known []string) error {
	var errs catalog.Errors
	for _, p := range t.parts {
		if msg, next := t.objection(p, table, known); msg != "" && len(errs) < maxErrors {
			errs = append(errs, t.wrong(p.at, msg, next))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

func (t *Template) objection(p part, table *catalog.Table, known []string) (msg, next string) {
	switch p.call {
	case "start", "end", "from", "to", "partitions":
		if !table.Partitioned() {
			return fmt.Sprintf("%s has no partitions, so {{%s}} means nothing", table.Name, p.call), "leave it out: the query computes the whole table"
		}
	case "staged":
		if !t.check {
			return "{{staged}} is what a check looks at, and this is not a check", `read other tables with {{table "name"}}`
		}
	case "table", "input_start", "input_end":
		return t.undeclared(p, table, known)
	}
	return "", ""
}

// undeclared objects to a table that the query may not read. A check may read any table, but only of an input is it known what the
// windows reach.
func (t *Template) undeclared(p part, table *catalog.Table, known []string) (msg, next string) {
	inputs := make([]string, 0, len(table.Inputs))
	for _, in := range table.Inputs {
		inputs = append(inputs, in.Table)
	}
	isKnown := slices.Contains(known, p.arg)
	switch {
	case slices.Contains(inputs, p.arg), t.check && isKnown && p.call == "table":
		return "", ""
	case isKnown:
		return fmt.Sprintf("%q is not declared as an input of %s", p.arg, table.Name),
			fmt.Sprintf("add it under the table's inputs: - %s: {window: same}", p.arg)
	}
	candidates := inputs
	if t.check {
		candidates = known
	}
	msg = fmt.Sprintf("no table or source is named %q", p.arg)
	if near := catalog.Nearest(p.arg, candidates); near != "" {
		return msg, fmt.Sprintf("did you mean %q?", near)
	}
	if near := catalog.Nearest(p.arg, known); near != "" {
		return msg, fmt.Sprintf("did you mean %q? It would have to be declared as an input of %s", near, table.Name)
	}
	if len(inputs) == 0 {
		return msg, fmt.Sprintf("%s declares no inputs", table.Name)
	}
	return msg, fmt.Sprintf("%s declares the inputs %s", table.Name, strings.Join(inputs, ", "))
}
