package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxGlobbed bounds how many files and folders one pattern may walk over.
const maxGlobbed = 100_000

// maxDeep bounds how often ** may stand in a pattern: matching takes depth^maxDeep steps.
const maxDeep = 3

// Glob gives the files of fsys that a pattern matches, sorted. Patterns are those of path.Match, and ** for any number of folders.
// The walk starts at the part of the pattern that has no special character and gives up beyond 100,000 entries.
func Glob(fsys fs.FS, pattern string) ([]string, error) {
	if !fs.ValidPath(pattern) {
		return nil, fmt.Errorf("%q leads out of the project folder: write a path relative to it, without .. in it", pattern)
	}
	want := strings.Split(pattern, "/")
	if strings.Count(pattern, "**") > maxDeep {
		return nil, fmt.Errorf("%q has more than %d times **", pattern, maxDeep)
	}
	for _, part := range want {
		if _, err := path.Match(part, ""); err != nil {
			return nil, fmt.Errorf("%q is not a pattern: %w", pattern, err)
		}
	}
	root := "."
	for i, part := range want {
		if strings.ContainsAny(part, `*?[\`) {
			break
		}
		root = path.Join(want[:i+1]...)
	}
	var found []string
	seen := 0
	err := fs.WalkDir(fsys, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if seen++; seen > maxGlobbed {
			return fmt.Errorf("%q walks over more than %d files: name the folder", pattern, maxGlobbed)
		}
		if entry.IsDir() {
			if name != "." && !couldHold(want, strings.Split(name, "/")) {
				return fs.SkipDir
			}
			return nil
		}
		if matches(want, strings.Split(name, "/")) {
			found = append(found, name)
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// matches reports whether the parts of a path match the parts of a pattern.
func matches(want, have []string) bool {
	if len(want) == 0 {
		return len(have) == 0
	}
	if want[0] == "**" {
		return matches(want[1:], have) || (len(have) > 0 && matches(want, have[1:]))
	}
	if len(have) == 0 {
		return false
	}
	ok, err := path.Match(want[0], have[0])
	return ok && err == nil && matches(want[1:], have[1:])
}

// couldHold reports whether a folder may have something below it that matches.
func couldHold(want, folder []string) bool {
	for i, part := range folder {
		if i >= len(want) {
			return false
		}
		if want[i] == "**" {
			return true
		}
		if ok, err := path.Match(want[i], part); !ok || err != nil {
			return false
		}
	}
	return len(folder) < len(want)
}
