package cli

import (
	"errors"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/executor/command"
)

// outcomes are how the runs of a command ended: the last run for each part counts.
type outcomes struct {
	mu    sync.Mutex
	order []string
	codes map[string]int
}

func (o *outcomes) ended(t executor.Task, part calendar.Set, err error) {
	code := 0
	var (
		exit  *command.ExitError
		start *command.StartError
	)
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case errors.As(err, &start):
		code = start.Code
	}
	key := t.Table.Name + " " + t.Target.Axis.FormatSet(part, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.codes[key]; !ok {
		o.order = append(o.order, key)
	}
	o.codes[key] = code
}

// code is how exec ends. What was done in part is Headway's to tell; else the command's own code is passed on.
func (o *outcomes) code(exit int) int {
	if exit == exitFailed || exit == 0 {
		for _, key := range o.order {
			if code := o.codes[key]; code != 0 {
				return code
			}
		}
	}
	return ownCode(exit)
}
