//go:build unix && !linux

package command

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// supervise is for the test of what happens when this process is killed, which only Linux promises anything of.
func supervise([]string) {}

// holder finds the process that has a file open, other than this one.
func holder(t *testing.T, path string) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-f", "graceful-quiet "+path).Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
