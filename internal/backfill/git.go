package backfill

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A checkout is what git says of a folder: its commit, "" outside a checkout or without git, and whether its files differ from it.
type checkout struct {
	told   chan struct{} // closed when the rest is known
	commit string
	dirty  bool
}

// lookAtGit begins to ask git about a folder, while other things are done.
func (c *Coordinator) lookAtGit(ctx context.Context, dir string) *checkout {
	if c.git[dir] == nil {
		if c.git == nil {
			c.git = map[string]*checkout{}
		}
		one := &checkout{told: make(chan struct{})}
		c.git[dir] = one
		go func() {
			defer close(one.told)
			one.read(ctx, dir)
		}()
	}
	return c.git[dir]
}

// commit is the git commit of a folder and whether its files differ from it. It is asked once: a run pins its code by hashes, the commit only
// tells people where to look.
func (c *Coordinator) commit(ctx context.Context, dir string) (string, bool) {
	one := c.lookAtGit(ctx, dir)
	<-one.told
	return one.commit, one.dirty
}

// read asks for both at once. Where there is no checkout it asks nobody: each process costs as much as a small command.
func (o *checkout) read(ctx context.Context, dir string) {
	if !inCheckout(dir) {
		return
	}
	type answer struct {
		text []byte
		err  error
	}
	changes := make(chan answer, 1)
	go func() {
		text, err := exec.CommandContext(ctx, "git", "-C", dir, "status", "--porcelain", "--untracked-files=no", ".").Output() //nolint:gosec // own folder
		changes <- answer{text, err}
	}()
	head, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "HEAD").Output() //nolint:gosec // fixed program, own folder
	changed := <-changes
	if err != nil {
		return
	}
	o.commit, o.dirty = strings.TrimSpace(string(head)), changed.err != nil || len(changed.text) > 0
}

// inCheckout reports whether git could find a repository from a folder: told of by a variable, or in it or above it.
func inCheckout(dir string) bool {
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	if os.Getenv("GIT_DIR") != "" {
		return true
	}
	for at := dir; ; at = filepath.Dir(at) {
		for _, sign := range []string{".git", "objects"} { // the second is that of one without files of its own
			if _, err := os.Stat(filepath.Join(at, sign)); err == nil {
				return true
			}
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}
