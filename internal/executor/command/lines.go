//go:build unix

package command

import "github.com/headway-data/headway/internal/executor"

// Lines are the argument lists that a task's command would be run with, one for each run of it. {token} stays as it is: it is drawn when
// an attempt starts.
func Lines(t executor.Task) [][]string {
	parts := partsOf(t.Table, t.Set, t.Expected)
	out := make([][]string, len(parts))
	for i, part := range parts {
		out[i] = settings([]executor.Task{t}, 0, part).arguments(t.Table.Command.Args, "{token}")
	}
	return out
}
