package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A digest is what is hashed: each part with its length, so that no two lists of parts are one text.
type digest struct{ b strings.Builder }

func (d *digest) add(parts ...string) {
	for _, p := range parts {
		d.b.WriteString(strconv.Itoa(len(p)))
		d.b.WriteByte(':')
		d.b.WriteString(p)
	}
	d.b.WriteByte('\n')
}

func (d *digest) sum() string {
	sum := sha256.Sum256([]byte(d.b.String()))
	return hex.EncodeToString(sum[:16])
}

// CodeVersion is the version of what computes a table: 32 hexadecimal digits. It covers the query (comments and white space apart) or the
// command with its variables as written, what is read through which windows, how the table is cut into partitions, and its declared columns.
// It does not cover
// checks, the dates of periods, thresholds of inputs, nor anything about when and how fast. It is "" for sources.
//
// files gives the content hash of each file of CodeFiles; those of a query have been read and are not asked for.
func (t *Table) CodeVersion(files map[string]string) string {
	d := &digest{}
	switch {
	case t.SQL != nil:
		d.add("sql", NormalizeSQL(t.SQL.Text))
	case t.Command != nil:
		d.add(append([]string{"command"}, t.Command.Args...)...)
		for _, v := range t.Command.Env {
			d.add("env", v.Name, v.Value)
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			d.add("file", name, files[name])
		}
		d.add("write", strconv.Itoa(int(t.Write)))
	default:
		return ""
	}
	d.add("axis", t.Axis.Grain.String(), t.Axis.Zone, t.Column)
	inputs := make([]string, len(t.Inputs))
	for i, in := range t.Inputs {
		windows := make([]string, len(in.Windows))
		for j, w := range in.Windows {
			windows[j] = w.code()
		}
		slices.Sort(windows) // a list of windows is a union
		inputs[i] = in.Table + ": " + strings.Join(slices.Compact(windows), ", ")
	}
	slices.Sort(inputs)
	d.add(append([]string{"inputs"}, inputs...)...)
	if len(t.Columns) > 0 {
		columns := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			columns[i] = strings.ToLower(c.Name + " " + c.Type)
		}
		slices.Sort(columns) // their order is nothing that readers see
		d.add(append([]string{"columns"}, columns...)...)
	}
	return d.sum()
}

// CodeVersion is the version of what computes a table of the project: of the table's own code or, where a producer makes it, of the producer's,
// which is the same for all its tables: a change of what is said of one of them is a change of what makes all.
func (p *Project) CodeVersion(t *Table, files map[string]string) string {
	made := p.Made(t)
	if made == nil {
		return t.CodeVersion(files)
	}
	d := &digest{}
	d.add("producer")
	for _, name := range slices.Sorted(slices.Values(made)) {
		d.add(name, p.Table(name).CodeVersion(files))
	}
	return d.sum()
}

// code is a window in full, for hashing.
func (w Window) code() string {
	return fmt.Sprintf("%d %s %d %d %d %q %q %d", w.Kind, w.Unit, w.From, w.To, w.Count, w.Per, w.Within, w.Days)
}

// CheckVersion is the version of what judges a table's rows: its checks, its contract, and whether an empty partition is allowed. A new one
// asks for checking again, not for computing again.
func (t *Table) CheckVersion() string {
	d := &digest{}
	d.add("empty", strconv.Itoa(int(t.Empty)))
	for _, c := range t.Checks {
		d.add("check", c.Version())
	}
	if t.Source != nil && t.Source.Contract != nil {
		contract := t.Source.Contract
		for _, c := range contract.Columns {
			d.add("column", c.Name, c.Type, strconv.FormatBool(c.Nullable))
		}
		for _, name := range slices.Sorted(maps.Keys(contract.Patterns)) {
			d.add("pattern", name, contract.Patterns[name])
		}
		d.add("extra", contract.Extra)
	}
	return d.sum()
}

// Version is the version of one check: 32 hexadecimal digits.
func (c *Check) Version() string {
	d := &digest{}
	d.add("id", c.ID, string(c.Kind), strconv.FormatBool(c.Warn))
	d.add(append([]string{"columns"}, c.Columns...)...)
	d.add("bounds", optional(c.Min), optional(c.Max))
	d.add(append([]string{"values"}, c.Values...)...)
	d.add("text", NormalizeSQL(c.Equals), NormalizeSQL(c.Query), NormalizeSQL(c.Where), c.Pattern)
	d.add(append([]string{"to", c.To}, c.ToColumns...)...)
	return d.sum()
}

func optional(f *float64) string {
	if f == nil {
		return "none"
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}

// CodeFiles are the files that are part of a command's version: those it declares, and those among its arguments. Sorted; empty for a
// query. A pattern that matches nothing any more is an error.
func (t *Table) CodeFiles(fsys fs.FS) ([]string, error) {
	if t.Command == nil {
		return nil, nil
	}
	var out []string
	for _, pattern := range t.Command.Files {
		found, err := Glob(fsys, pattern)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: files: %q matches no file any more", t.Name, pattern)
		}
		out = append(out, found...)
	}
	for _, arg := range t.Command.Args {
		name := strings.TrimPrefix(arg, "./")
		if !fs.ValidPath(name) || name == "." {
			continue
		}
		info, err := fs.Stat(fsys, name)
		switch {
		case err == nil && info.Mode().IsRegular():
			out = append(out, name)
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid):
			return nil, fmt.Errorf("%s: is the argument %q a file? %w", t.Name, arg, err)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
