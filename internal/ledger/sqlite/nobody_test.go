package sqlite

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// asNobody runs a test of this binary again as a user without rights, on a store that it may read.
func asNobody(t *testing.T, run, dir string) {
	t.Helper()
	self, err := os.Executable()
	must0(t, err)
	// The binary must lie where that user can reach it, and so must the store.
	home, err := os.MkdirTemp("/tmp", "headway-nobody-*")
	must0(t, err)
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(home, "state"), 0o700); _ = os.RemoveAll(home) })
	must0(t, os.Chmod(home, 0o755))
	must0(t, exec.Command("cp", self, filepath.Join(home, "test")).Run())
	must0(t, exec.Command("cp", "-r", dir, filepath.Join(home, "state")).Run())
	must0(t, os.Chmod(filepath.Join(home, "state"), 0o555))
	cmd := exec.Command(filepath.Join(home, "test"), "-test.run", "^TestAsNobody$", "-test.v")
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HEADWAY_NOBODY="+filepath.Join(home, "state", "state.db"), "HOME="+home, "TMPDIR=/tmp")
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody, %s: %v\n%s", run, err, out)
	}
}

// TestAsNobody is what asNobody runs; by itself it has nothing to do.
func TestAsNobody(t *testing.T) {
	if path := os.Getenv("HEADWAY_NOBODY"); path != "" {
		readOnlyFolder(t, path)
	}
}
