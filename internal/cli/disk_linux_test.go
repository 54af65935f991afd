package cli_test

import (
	"os"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// canMount reports whether this process may mount: scripts about full and read-only disks are skipped, by name, where it may not.
func canMount() bool {
	dir, err := os.MkdirTemp("", "headway-mount-")
	if err != nil {
		return false
	}
	defer os.Remove(dir) //nolint:errcheck // an empty folder among temporary files
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		return false
	}
	return syscall.Unmount(dir, syscall.MNT_DETACH) == nil
}

// readonly makes a file or folder one that cannot be written to, also by root, for whom permissions do not count: readonly PATH.
func readonly(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: readonly PATH")
	}
	path := ts.MkAbs(args[0])
	ts.Check(syscall.Mount(path, path, "", syscall.MS_BIND, ""))
	ts.Defer(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	ts.Check(syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}

// smalldisk mounts a disk of its own on a new folder: smalldisk DIR SIZE.
func smalldisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: smalldisk DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o750))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]))
	ts.Defer(func() { ts.Check(syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// writable takes back what readonly did: writable PATH.
func writable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: writable PATH")
	}
	ts.Check(syscall.Unmount(ts.MkAbs(args[0]), syscall.MNT_DETACH))
}
