package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
)

// userWord is how --state names the state in the user's own folder.
const userWord = "user"

// userStateDir is where the state of the user lies (XDG Base Directory Specification); "" where he has no folder of his own.
func userStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "headway")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "headway")
}

// userState is the URL of the user's state.
func (inv *invocation) userState() (string, error) {
	if inv.StateDir == "" {
		return "", &backfill.InputError{What: "there is no folder for the user's state: HOME is not set", Next: "name the state with --state sqlite:PATH"}
	}
	return "sqlite:" + filepath.Join(inv.StateDir, "state.db"), nil
}

// openUnseen opens a state without a project, to write under a command, or for what is asked about it. tables need not be known yet.
func (inv *invocation) openUnseen(url string, readOnly bool, wrap *backfill.Wrap, tables map[string]calendar.Axis) (*backfill.Coordinator, error) {
	return backfill.OpenUnseen(inv.ctx, inv.Environment, backfill.Options{Dir: inv.Dir, State: url, ReadOnly: readOnly, Wrap: wrap, Unseen: tables})
}

// stateURL is the state where there is no project, and whether somebody has named it; else it is the user's own.
func (inv *invocation) stateURL() (url string, named bool, err error) {
	switch {
	case inv.flags.State == userWord:
		url, err = inv.userState()
		return url, true, err
	case inv.flags.State != "":
		return inv.flags.State, true, nil
	}
	if url, err = configuredState(inv.Config); err != nil || url != "" {
		return url, true, err
	}
	url, err = inv.userState()
	return url, false, err
}

// coordinatingState is the state that is to coordinate a command without a project. Two people, or a person and a timer, that mean different
// states keep nobody off anything: so where nobody looks, the state must be named.
func (inv *invocation) coordinatingState() (string, error) {
	url, named, err := inv.stateURL()
	switch {
	case err != nil || named:
		return url, err
	case inv.Terminal(inv.Stderr):
		inv.say("no project, and no state is named: your own coordinates, %s", url)
		return url, nil
	}
	return "", &backfill.InputError{
		What: "nobody says which state coordinates: there is no project here, no --state, no HEADWAY_STATE, no configuration, and no terminal to tell it on",
		Next: "say --state user for your own (" + url + "), or --state sqlite:PATH for one that several share",
	}
}

// openCoordinating opens the project, or, outside of one, the state that is to coordinate tables of the axis.
func (inv *invocation) openCoordinating(wrap *backfill.Wrap, axis calendar.Axis, tables ...string) (*backfill.Coordinator, error) {
	_, _, err := inv.projectFile()
	if err == nil || inv.flags.Project != "" {
		return inv.openWith(false, wrap)
	}
	url, err := inv.coordinatingState()
	if err != nil {
		return nil, err
	}
	known := make(map[string]calendar.Axis, len(tables))
	for _, name := range tables {
		known[name] = axis
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(resolve(inv.Dir, path)), 0o700); err != nil {
			return nil, fmt.Errorf("make a folder for the state: %w", err)
		}
	}
	return inv.openUnseen(url, false, wrap, known)
}

// openAny opens the project, or, outside of one, the state in which the tables of commands are. tables need not be known there.
func (inv *invocation) openAny(readOnly bool, tables ...string) (*backfill.Coordinator, error) {
	_, _, err := inv.projectFile()
	if err == nil || inv.flags.Project != "" {
		return inv.open(readOnly)
	}
	url, named, urlErr := inv.stateURL()
	if urlErr != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok && !named {
		if _, statErr := os.Stat(path); statErr != nil {
			return nil, err // nothing was ever coordinated there: what is missing is a project
		}
	}
	known := map[string]calendar.Axis{}
	for _, name := range tables {
		known[name] = calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
	}
	return inv.openUnseen(url, readOnly, nil, known)
}
