//go:build unix && !linux

package shim

import (
	"errors"
	"syscall"
)

// A tree is a command and what is left of its process group: more is not within reach here.
type tree struct{ command int }

// attributes put the command into a process group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// prepare has nothing to do here.
func prepare() error { return nil }

// gone reports whether the group is empty.
func (t *tree) gone() bool { return errors.Is(syscall.Kill(-t.command, 0), syscall.ESRCH) }

// signal sends a signal to the group. How many are in it is not known.
func (t *tree) signal(s syscall.Signal) int {
	_ = syscall.Kill(-t.command, s)
	return 0
}

// Under cannot be told here: a process may have descendants as long as it lives itself.
func Under(int) bool { return true }
