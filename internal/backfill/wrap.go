package backfill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/ledger"
)

// A Wrap is a person's own command around which Headway is put, for tables of a project or for tables that Headway does not see. What the
// project says of how they are computed does not count; all else does. A nil Wrap wraps nothing.
type Wrap struct {
	Tables   []string
	Args     []string // the program and its arguments, with {from} and the like
	Files    []string // globs of files that are part of the code, beside those among the arguments
	Dir      string   // where it runs, absolute
	Typed    []string // the bounds of the range as they were typed: where they stand in arguments they are no part of the code
	Producer string   // "": the program and its first file
	Version  string   // "": a hash of arguments and files
	Direct   bool     // it writes to the tables themselves and not to HEADWAY_STAGING_TABLE
	Batch    catalog.Batch
	SpanUnit calendar.Grain // of Batch.Span
	Retries  int
	Timeout  time.Duration // of each run of the command; 0: none
	Streams  *command.Streams
	// Ended is told how each run of the command came out.
	Ended func(t executor.Task, part calendar.Set, err error)

	mu   sync.Mutex
	code []codeFile // once somebody has looked
}

// writes reports whether the wrapped command writes a table.
func (w *Wrap) writes(table string) bool { return w != nil && slices.Contains(w.Tables, table) }

// over puts the command in the place of what computes its tables.
func (w *Wrap) over(p *catalog.Project) error {
	if w == nil {
		return nil
	}
	for _, name := range w.Tables {
		t := p.Table(name)
		switch {
		case t == nil:
			known := make([]string, 0, len(p.Tables))
			for _, other := range p.Tables {
				known = append(known, other.Name)
			}
			next := "declare it, or call headway outside the project folder; the project has: " + listNames(known, 12)
			if near := catalog.Nearest(name, known); near != "" {
				next = fmt.Sprintf("did you mean %q?", near)
			}
			return &InputError{What: fmt.Sprintf("the project %s has no table %q", p.Name, name), Next: next}
		case t.IsSource():
			return &InputError{What: name + " is a source: nothing is written to it", Next: "name a table that is made"}
		}
		t.SQL, t.Producer = nil, ""
		if len(w.Tables) > 1 {
			t.Producer = w.Name()
			// What the command makes of one of its tables for another is there before either is published: it does not wait for itself.
			t.Inputs = slices.DeleteFunc(t.Inputs, func(in *catalog.Input) bool { return w.writes(in.Table) && in.Table != name })
		}
		t.Command = &catalog.Command{Args: w.Args, Files: w.Files, Pos: t.Pos}
		t.Batch, t.Retries, t.Timeout = w.Batch, w.Retries, w.Timeout
		if err := w.span(t); err != nil {
			return err
		}
		if w.Direct {
			t.Write = catalog.Direct
		}
	}
	return w.join(p)
}

// join makes a producer of the tables, where there are several.
func (w *Wrap) join(p *catalog.Project) error {
	if len(w.Tables) < 2 {
		return nil
	}
	first := p.Table(w.Tables[0])
	for i, name := range w.Tables {
		t := p.Table(name)
		switch {
		case slices.Contains(w.Tables[:i], name):
			return &InputError{What: name + " is named twice", Next: "say --table " + name + " once"}
		case t.Axis != first.Axis:
			return &InputError{
				What: fmt.Sprintf("%s and %s have different partitions, and one run of a command is for the same of both", first.Name, name),
				Next: "call exec for each of them",
			}
		case t.Warehouse != first.Warehouse:
			return &InputError{
				What: fmt.Sprintf("%s and %s are in different warehouses, %s and %s", first.Name, name, first.Warehouse, t.Warehouse), Next: "call exec for each of them",
			}
		case t.Write != first.Write:
			return &InputError{
				What: fmt.Sprintf("the project says that a command fills a stage for one of %s and %s, and writes the other itself", first.Name, name),
				Next: "say --direct if it writes both itself, or call exec for each of them",
			}
		case w.Direct && t.Immutable:
			return &InputError{What: name + " is immutable, and the command would write to it itself", Next: "leave out --direct"}
		}
	}
	p.Producers = append(p.Producers, &catalog.Producer{Name: w.Name(), Tables: w.Tables, Pos: first.Pos})
	return nil
}

// Name is the name of the producer that a wrapped command is where it makes several tables. No project can have one of that name.
func (w *Wrap) Name() string { return "exec " + w.producer() }

// span counts the cells of a table that a chunk spans.
func (w *Wrap) span(t *catalog.Table) error {
	const hours = 24
	switch {
	case w.Batch.Span == 0 || w.SpanUnit == t.Axis.Grain:
	case w.SpanUnit == calendar.Day && t.Axis.Grain == calendar.Hour:
		t.Batch.Span *= hours
	default:
		return &InputError{
			What: fmt.Sprintf("a chunk of %s, which is by %s, cannot be so many %ss", t.Name, t.Axis.Grain, w.SpanUnit), Next: "say how many partitions: --chunk 7",
		}
	}
	return nil
}

// workDir is where commands run: in the project folder, or where a person called his.
func (c *Coordinator) workDir() string {
	if c.wrap != nil {
		return c.wrap.Dir
	}
	return c.Dir
}

// wrapVersion is the version of a wrapped command's code as it is on disk now.
func (c *Coordinator) wrapVersion(ctx context.Context, t *catalog.Table) (ledger.VersionRecord, error) {
	version, err := c.wrap.versionOf(t)
	if err != nil {
		return ledger.VersionRecord{}, err
	}
	record := ledger.VersionRecord{Version: version, Producer: c.wrap.producer(), Summary: strings.Join(c.wrap.Args, " ")}
	record.Commit, record.Dirty = c.commit(ctx, c.wrap.Dir)
	return record, nil
}

// producer names what is run: the program and the first file that it is given, without the folders they lie in, so that two checkouts of a
// script are one producer, whose versions are older and newer.
func (w *Wrap) producer() string {
	if w.Producer != "" {
		return w.Producer
	}
	name := filepath.Base(w.Args[0])
	for _, arg := range w.Args[1:] {
		if path, ok := w.file(arg); ok && isText(path) {
			return name + " " + filepath.Base(path)
		}
	}
	return name
}

// file is the file that an argument names, if it does: absolute.
func (w *Wrap) file(arg string) (string, bool) {
	if arg == "" || strings.HasPrefix(arg, "-") {
		return "", false
	}
	path := arg
	if !filepath.IsAbs(path) {
		path = filepath.Join(w.Dir, path)
	}
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// isText reports whether a file is a text, as git judges it: no zero byte near its beginning. Arguments that are databases or other data are no
// code.
func isText(path string) bool {
	const looked = 8000
	f, err := os.Open(path) //nolint:gosec // a file that the command is given
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // it was only read
	head := make([]byte, looked)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	return !bytes.Contains(head[:n], []byte{0})
}

// versionOf is the version: a hash of the arguments, the range taken out of them, and of every file among them and of Files.
func (w *Wrap) versionOf(t *catalog.Table) (string, error) {
	if w.Version != "" {
		return fmt.Sprintf("%s (%s)", w.Version, w.producer()), nil // another program may call its own so as well
	}
	hashes, err := w.hashes()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	add := func(parts ...string) {
		for _, p := range parts {
			fmt.Fprintf(h, "%d:%s", len(p), p)
		}
	}
	add("exec", strconv.Itoa(int(t.Write)), t.Axis.Grain.String(), t.Axis.Zone)
	if w.Producer != "" {
		add("producer", w.Producer) // of a version that is known by another producer the ledger would think that it is that one's
	}
	for _, arg := range w.Args {
		add(w.rangeless(arg))
	}
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		add("file", name, hashes[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// rangeless is an argument without the bounds that were typed.
func (w *Wrap) rangeless(arg string) string {
	for i, bound := range w.Typed {
		if len(bound) >= len("2024-01") {
			arg = strings.ReplaceAll(arg, bound, "{bound "+strconv.Itoa(i)+"}")
		}
	}
	return arg
}

// A codeFile is a file that is part of a wrapped command's code.
type codeFile struct {
	name, path string
	// pinned files must stay as they are while the command is at work. Of arguments these are the program and its first file: others may
	// be what it writes.
	pinned bool
	hash   string // as it was when it was first looked at
}

// hashes are those of the files that are code, by their names as they were given. Which these are is found out once.
func (w *Wrap) hashes() (map[string]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.code == nil
	if first {
		var err error
		if w.code, err = w.codeFiles(); err != nil {
			return nil, err
		}
	}
	root, out := os.DirFS("/"), map[string]string{}
	var total int64
	for i := range w.code {
		f := &w.code[i]
		if first || f.pinned {
			size, hash, err := hashFile(root, strings.TrimPrefix(filepath.ToSlash(f.path), "/"))
			if err != nil {
				return nil, fmt.Errorf("hash %s: %w", f.name, err)
			}
			if total += size; total > maxCodeBytes || len(w.code) > maxCodeFiles {
				return nil, &InputError{
					What: fmt.Sprintf("the files of the command are more than %d files or %d MiB", maxCodeFiles, maxCodeBytes>>20),
					Next: "say which version of the code it is: --version V",
				}
			}
			f.hash = hash
		}
		out[f.name] = f.hash
	}
	return out, nil
}

// codeFiles are the files among the arguments, and those of Files.
func (w *Wrap) codeFiles() ([]codeFile, error) {
	out := []codeFile{}
	scripts := 0
	for i, arg := range w.Args {
		if i == 0 && !strings.ContainsRune(arg, '/') {
			continue // it is found in PATH
		}
		if path, ok := w.file(arg); ok && (i == 0 || isText(path)) {
			if i > 0 {
				scripts++
			}
			out = append(out, codeFile{name: arg, path: path, pinned: scripts <= 1})
		}
	}
	for _, pattern := range w.Files {
		found, err := w.glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			out = append(out, codeFile{name: name, path: filepath.Join(w.Dir, name), pinned: true})
		}
	}
	return out, nil
}

// glob finds the files of a pattern, below the folder in which the command runs.
func (w *Wrap) glob(pattern string) ([]string, error) {
	found, err := catalog.Glob(os.DirFS(w.Dir), pattern)
	if err == nil && len(found) == 0 {
		err = fs.ErrNotExist
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &InputError{What: fmt.Sprintf("--files %q matches no file in %s", pattern, w.Dir), Next: "correct it: these files are part of the version of the code"}
	case err != nil:
		return nil, &InputError{What: "--files: " + err.Error()}
	}
	return found, nil
}
