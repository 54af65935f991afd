package shim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A tree is a command and all its descendants, which are this process's.
type tree struct{ command int }

// attributes put the command into a process group of its own, and let it die with this process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// prepare makes this process the one that orphans among its descendants come back to. It is in a session of its own, so that every process
// group that a descendant can be in holds descendants only.
func prepare() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("the kernel does not let it look after the processes of commands (PR_SET_CHILD_SUBREAPER): %w", err)
	}
	if _, err := descendants(os.Getpid()); err != nil {
		return fmt.Errorf("the processes of commands cannot be seen: %w", err)
	}
	if session, err := unix.Getsid(0); err != nil || session != os.Getpid() {
		if _, err := unix.Setsid(); err != nil {
			return fmt.Errorf("it cannot have a session of its own: %w", err)
		}
	}
	return nil
}

// gone is asked when this process has no child: then nothing is left.
func (*tree) gone() bool { return true }

// signal sends a signal to all descendants, and tells how many of them lived. A group hears it at once, so that none of its processes can slip
// away by forking meanwhile; what was forked into a new group while the processes were listed is found the next time.
func (*tree) signal(s syscall.Signal) int {
	self := os.Getpid()
	all, err := descendants(self)
	if s == syscall.SIGKILL {
		killChildren(self)
	}
	if err != nil {
		return 0
	}
	told := map[int]bool{}
	n := 0
	for _, p := range all {
		if !p.dead {
			n++
		}
		switch {
		case p.group == self:
			_ = syscall.Kill(p.pid, s)
		case !told[p.group]:
			told[p.group] = true
			_ = syscall.Kill(-p.group, s)
		}
	}
	return n
}

// killChildren kills this process's own children, again and again while there are some that live: who has lost a parent comes back to it, and
// one that forks and ends before all processes of a busy machine can be listed is met here, where a few are. Where the kernel does not tell
// (CONFIG_PROC_CHILDREN) it does nothing.
func killChildren(self int) {
	const rounds, quiet = 200, 10 // so many at most, and so many after the last that lived: between two there may be a moment without any
	for i, calm := 0, 0; i < rounds && calm < quiet; i++ {
		lists, err := filepath.Glob("/proc/self/task/*/children")
		if err != nil {
			return
		}
		living := false
		for _, list := range lists {
			text, err := os.ReadFile(list) //nolint:gosec // of this process
			if err != nil {
				continue
			}
			for word := range strings.FieldsSeq(string(text)) {
				pid, err := strconv.Atoi(word)
				if err != nil {
					continue
				}
				if p, ok := look(pid); ok && !p.dead {
					living = true
					if p.group != self {
						_ = syscall.Kill(-p.group, syscall.SIGKILL)
					}
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		if calm++; living {
			calm = 0
		}
	}
}

// Under reports whether a command of a process of this machine may still run: whether the process has a descendant that lives and is no child of
// its own, for its children are shims, which may be idle. Where that cannot be told, it may.
func Under(pid int) bool {
	all, err := descendants(pid)
	return err != nil || slices.ContainsFunc(all, func(p process) bool { return !p.dead && p.parent != pid })
}

// A process is what the shim wants to know of one.
type process struct {
	pid, parent, group int
	dead               bool // its first thread; others may live on
}

// descendants are those of a process, as far as they stood still while they were listed.
func descendants(of int) ([]process, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close() //nolint:errcheck // it was only read
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := look(pid); ok {
				children[p.parent] = append(children[p.parent], p)
			}
		}
	}
	out := slices.Clone(children[of])
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i].pid]...)
	}
	return out, nil
}

// look reads a process's /proc/PID/stat (proc(5)); not ok when it is gone.
func look(pid int) (process, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	// The command's name, in parentheses, may hold anything. What follows it: state, parent, group.
	end := bytes.LastIndexByte(stat, ')')
	const state, parent, group = 0, 1, 2
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) <= group {
		return process{}, false
	}
	p := process{pid: pid, dead: strings.ContainsAny(fields[state], "ZXx")}
	var errs [2]error
	p.parent, errs[0] = strconv.Atoi(fields[parent])
	p.group, errs[1] = strconv.Atoi(fields[group])
	return p, errs[0] == nil && errs[1] == nil
}
