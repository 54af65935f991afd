//go:build unix

package command

import (
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
)

// Lines are the argument lists that a task's command would be run with, one for each run of it. {token} stays as it is: it is drawn when
// an attempt starts.
func Lines(t executor.Task) [][]string {
	args := t.Table.Command.Args
	parts := ranges(t.Set, t.Expected)
	if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "{dates}") }) {
		parts = []calendar.Set{t.Set}
	}
	out := make([][]string, len(parts))
	for i, part := range parts {
		s := settings(t, part)
		masked := make([]string, len(args))
		for k, arg := range args {
			masked[k] = strings.ReplaceAll(arg, "{token}", "{\x00}")
		}
		for _, arg := range s.arguments(masked) {
			out[i] = append(out[i], strings.ReplaceAll(arg, "{\x00}", "{token}"))
		}
	}
	return out
}
