package worker

import (
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/executor/query"
)

// RenderQuery is the query of a table as it would run for a task. Tables made by a command have none.
func RenderQuery(t *Table, task executor.Task) (string, error) {
	q, ok := t.Executor.(*query.Executor)
	if !ok {
		return "", fmt.Errorf("%s is made by a command, not by a query", t.Name)
	}
	text, err := q.Template().Render(task, "")
	if err != nil {
		return "", fmt.Errorf("render the query of %s: %w", t.Name, err)
	}
	return text, nil
}

// RenderCommand is the command lines of a table as they would run for a task, quoted for a shell where a person would have to.
func RenderCommand(t *Table, task executor.Task) ([]string, error) {
	if t.Command == nil {
		return nil, fmt.Errorf("%s is made by a query, not by a command", t.Name)
	}
	var out []string
	for _, args := range command.Lines(task) {
		for i, arg := range args {
			args[i] = shellQuote(arg)
		}
		out = append(out, strings.Join(args, " "))
	}
	return out, nil
}

// shellQuote writes an argument so that a POSIX shell reads it back.
func shellQuote(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+{}", r)
	}
	if arg != "" && strings.IndexFunc(arg, func(r rune) bool { return !plain(r) }) < 0 {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
