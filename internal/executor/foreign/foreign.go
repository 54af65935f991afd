//go:build unix

// Package foreign is about processes that Headway did not start: one that already runs may be given a lease, and is ended by its whole tree.
package foreign

import (
	"context"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// A Process is what can be seen of one.
type Process struct {
	PID     int
	User    string
	Command string // its arguments, joined by blanks, bounded
}

// maxCommand bounds what is kept of a command line, in bytes.
const maxCommand = 2000

// Find looks at a process. It is an error if there is none, or if it has ended and nobody has noticed yet (a zombie).
func Find(pid int) (Process, error) {
	if pid <= 1 {
		return Process{}, fmt.Errorf("process %d is no job", pid)
	}
	p, uid, err := look(pid)
	if err != nil {
		return Process{}, err
	}
	p.Command = strings.TrimSpace(strings.ToValidUTF8(p.Command, "?"))
	if len(p.Command) > maxCommand {
		p.Command = strings.ToValidUTF8(p.Command[:maxCommand], "") + "…"
	}
	p.PID, p.User = pid, strconv.Itoa(uid)
	if u, err := user.LookupId(p.User); err == nil {
		p.User = u.Username
	}
	return p, nil
}

// endEvery is how often End looks whether something is left.
const endEvery = 50 * time.Millisecond

// End ends a process and all its descendants: TERM, and KILL for what is left after the time of grace. same reports whether the process id
// still means the process that is meant; nothing is done to another. It returns when nothing is left, or with an error when ctx ends, or when
// something does not even die of KILL within as long again.
func End(ctx context.Context, pid int, same func() bool, grace time.Duration) error {
	t, err := open(pid)
	if err != nil || !same() { // opened before it was asked: from here on it is this process and no other
		return err
	}
	defer t.close()
	tick := time.NewTicker(endEvery)
	defer tick.Stop()
	t.grow()
	if err := t.signal(terminate); err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	for waited := time.Duration(0); ; waited += endEvery {
		t.grow()
		switch {
		case !t.alive():
			return nil
		case waited >= 2*grace:
			return fmt.Errorf("process %d, or something that it started, does not end, not even by KILL", pid)
		case waited >= grace:
			if err := t.signal(kill); err != nil {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d was told to end, and has not yet: %w", pid, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
