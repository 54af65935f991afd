package backfill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/ledger"
)

// The bounds on what a code version may be made of.
const (
	maxCodeFiles = 10_000
	maxCodeBytes = 256 << 20
)

// codeVersion is the version of a table's code as it is on disk now, with the git commit beside it.
func (c *Coordinator) codeVersion(ctx context.Context, t *catalog.Table) (ledger.VersionRecord, error) {
	if c.wrap.writes(t.Name) {
		return c.wrapVersion(ctx, t)
	}
	files, err := c.codeFiles(t)
	if err != nil {
		return ledger.VersionRecord{}, err
	}
	version := c.kept[t.Name]
	if version == "" {
		version = c.Project.CodeVersion(t, files)
	}
	record := ledger.VersionRecord{Version: version, Producer: firstOf(t.Producer, t.Name), Summary: summary(t)}
	record.Commit, record.Dirty = c.commit(ctx, c.Dir)
	return record, nil
}

// keepVersions notes the versions of what producers make beside tables that a person's command writes this once: their code is what it was.
func (c *Coordinator) keepVersions() error {
	if c.wrap == nil {
		return nil
	}
	c.kept = map[string]string{}
	for _, t := range c.Project.Tables {
		made := c.Project.Made(t)
		if c.wrap.writes(t.Name) || !slices.ContainsFunc(made, c.wrap.writes) {
			continue
		}
		files, err := c.codeFiles(t)
		if err != nil {
			return err
		}
		c.kept[t.Name] = c.Project.CodeVersion(t, files)
	}
	return nil
}

// versionNow is the version of a table's code as it is on disk now.
func (c *Coordinator) versionNow(_ context.Context, table string) (string, error) {
	t := c.Tables[table].Table
	if c.wrap.writes(table) {
		return c.wrap.versionOf(t)
	}
	files, err := c.codeFiles(t)
	if err != nil {
		return "", err
	}
	return c.Project.CodeVersion(t, files), nil
}

// codeFiles hashes the files that are part of a command's code, by path below the project folder.
func (c *Coordinator) codeFiles(t *catalog.Table) (map[string]string, error) {
	names, err := t.CodeFiles(c.FS)
	if err != nil {
		return nil, &InputError{What: err.Error(), Next: "correct `files`"}
	}
	hashes := make(map[string]string, len(names))
	var total int64
	for _, name := range names {
		size, hash, err := hashFile(c.FS, name)
		if err != nil {
			return nil, fmt.Errorf("hash %s: %w", name, err)
		}
		hashes[name] = hash
		if total += size; total > maxCodeBytes || len(hashes) > maxCodeFiles {
			return nil, &InputError{
				What: fmt.Sprintf("%s: the files of %s are more than %d files or %d MiB", t.Command.Pos, t.Name, maxCodeFiles, maxCodeBytes>>20),
				Next: "name the code only, not its data",
			}
		}
	}
	return hashes, nil
}

func hashFile(files fs.FS, name string) (int64, string, error) {
	f, err := files.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxCodeBytes+1))
	if err != nil {
		return 0, "", err
	}
	return n, hex.EncodeToString(h.Sum(nil)), nil
}

// summary is what people see of a version: the command, or the query's first line.
func summary(t *catalog.Table) string {
	if t.Command != nil {
		return strings.Join(t.Command.Args, " ")
	}
	for line := range strings.Lines(t.SQL.Text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return t.SQL.File
}
