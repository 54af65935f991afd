package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// detachedVariable carries the id of a detached run to the process that carries it out.
const detachedVariable = "HEADWAY_DETACHED_RUN"

// detach starts this command line again, without --detach, as a process of its own that no terminal reaches, and tells which run it will be.
func (inv *invocation) detach(logs string) error {
	id := inv.NewID("r")
	path := filepath.Join(logs, id+".out")
	if err := os.MkdirAll(logs, 0o750); err != nil {
		return fmt.Errorf("make a folder for the output of the detached run: %w", err)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in the project's own folder
	if err != nil {
		return fmt.Errorf("make a file for the output of the detached run: %w", err)
	}
	defer out.Close() //nolint:errcheck // it is the child's
	args := slices.DeleteFunc(slices.Clone(inv.args), func(arg string) bool { return arg == "--detach" || strings.HasPrefix(arg, "--detach=") })
	if len(inv.Self) == 0 {
		return fmt.Errorf("the program's own file is not known, so it cannot be started again")
	}
	c := exec.Command(inv.Self[0]) //nolint:gosec,noctx // this program again; it is to live on
	c.Args, c.Dir, c.Stdout, c.Stderr = append([]string{"headway"}, args...), inv.Dir, out, out
	c.Env = append(os.Environ(), detachedVariable+"="+id)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start the detached run: %w", err)
	}
	pid := c.Process.Pid
	if err := c.Process.Release(); err != nil {
		return fmt.Errorf("let go of the detached run: %w", err)
	}
	if inv.json() {
		return inv.answer(struct {
			Schema string `json:"schema"`
			Run    string `json:"run"`
			PID    int    `json:"pid"`
			Output string `json:"output"`
		}{"headway.detach/v1", id, pid, path})
	}
	inv.print("run %s goes on by itself (pid %d): see `headway ps`, `headway wait`, `headway stop %s`; what it says is in %s", id, pid, id, path)
	return nil
}

// detachedIDs gives a detached run the id that was told when it was started; everything else gets a new one.
func detachedIDs(newID func(prefix string) string) func(prefix string) string {
	id := os.Getenv(detachedVariable)
	return func(prefix string) string {
		if prefix == "r" && id != "" {
			given := id
			id = ""
			return given
		}
		return newID(prefix)
	}
}
