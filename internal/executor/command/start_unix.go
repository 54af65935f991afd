//go:build unix && !linux

package command

import "syscall"

// attributes put a program into a process group of its own. Here nothing ends it when this process is killed: it runs on, and what it
// stages is swept later.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
