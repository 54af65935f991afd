package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/warehouse"
)

// A load copies a source's files into the warehouse.
type load struct {
	c       *conn
	req     warehouse.SourceRequest
	kind    fileKind
	version string
	catalog string
	table   string
	files   []copiedFile // all
	read    []copiedFile // those that must be read; all unless a copy of others is kept
	headers map[string]header
	columns []warehouse.Column // of the copy; those whose type is not declared have the type "" until it is found
	keep    *sourceCopy        // the copy that is changed in place, nil to make another
	// whole is set where some values are known not to fit: everything is read as text then, and their partitions are left out. It is the
	// error for when it cannot be told which partitions these are.
	whole error
	drift *drift // what was left out
}

// newLoad reads the names of the columns of every file.
func newLoad(c *conn, req warehouse.SourceRequest, files []sourceFile) (*load, error) {
	l := &load{c: c, req: req, catalog: c.w.catalog, table: "src_" + shortHash(sourceKey(req.Target.Relation)), headers: map[string]header{}}
	if c.w.opts.ReadOnly {
		l.catalog = memoryCatalog
	}
	for i, f := range files {
		kind, ok := kindOf(f.Path)
		switch {
		case !ok:
			return nil, l.wrong(f.Path, "its name does not end in .csv, .tsv, .txt, .json, .jsonl, .ndjson (each also with .gz) or .parquet", "rename it, or correct `files`")
		case l.kind != "" && l.kind != kind:
			return nil, l.wrong(f.Path, fmt.Sprintf("it is %s, and other files of the source are %s", kind, l.kind), "make them two sources")
		}
		l.kind = kind
		l.files = append(l.files, copiedFile{sourceFile: f, Number: i})
	}
	l.read = l.files
	if l.kind != csvFiles {
		return l, nil
	}
	must := l.must()
	for _, f := range files {
		h, err := readHeader(req.Target.Relation, f, must)
		if err != nil {
			return nil, err
		}
		l.headers[f.Path] = h
		for _, col := range h.columns {
			if _, ok := findColumn(l.columns, col); !ok {
				declared, _ := findColumn(req.Types, col)
				l.columns = append(l.columns, warehouse.Column{Name: col, Type: declared.Type, Nullable: true})
			}
		}
	}
	return l, nil
}

// must lists the columns that every file must have: those that are declared, but for nullable ones, and the partition column.
func (l *load) must() []string {
	var out []string
	for _, col := range l.req.Types {
		if !col.Nullable {
			out = append(out, col.Name)
		}
	}
	if !unpartitioned(l.req.Target) && !hasName(out, l.req.Target.Column) {
		out = append(out, l.req.Target.Column)
	}
	return out
}

func (l *load) wrong(file, what, next string) error {
	return &warehouse.SourceError{Source: l.req.Target.Relation, File: file, What: what, Next: next}
}

// reuse keeps the rows of files that have not moved, where the copy that stands has the same columns.
func (l *load) reuse(standing *sourceCopy) {
	if standing == nil || standing.Drift != nil || l.kind != csvFiles || standing.catalog != l.catalog || len(standing.Columns) != len(l.columns) {
		return
	}
	for _, col := range l.columns {
		was, ok := findColumn(standing.Columns, col.Name)
		if !ok || (col.Type != "" && !strings.EqualFold(was.Type, canonicalType(col.Type))) {
			return
		}
	}
	next := 0
	for _, f := range standing.Files {
		next = max(next, f.Number+1)
	}
	files := make([]copiedFile, 0, len(l.files))
	var read []copiedFile
	for _, f := range l.files {
		i := slices.IndexFunc(standing.Files, func(was copiedFile) bool { return was.sourceFile == f.sourceFile })
		if i >= 0 {
			files = append(files, standing.Files[i])
			continue
		}
		f.Number = next
		next++
		read = append(read, f)
		files = append(files, f)
	}
	l.keep, l.files, l.read = standing, files, read
}

// run copies, within a transaction.
func (l *load) run(ctx context.Context) error {
	if l.kind != csvFiles {
		return l.copyTyped(ctx)
	}
	if l.guessing() || l.whole != nil {
		return l.copyGuessed(ctx)
	}
	return l.fill(ctx, l.scans())
}

func (l *load) guessing() bool {
	return slices.ContainsFunc(l.columns, func(c warehouse.Column) bool { return c.Type == "" })
}

// fill makes the copy from a query, or changes the copy that is kept.
func (l *load) fill(ctx context.Context, query string) error {
	at := relation{headway, l.table}.in(l.catalog)
	if l.keep == nil {
		if _, err := l.c.exec(ctx, "CREATE OR REPLACE TABLE "+at+" AS "+query); err != nil {
			return err
		}
		columns, err := l.c.describe(ctx, at)
		if err != nil {
			return err
		}
		l.columns = slices.DeleteFunc(columns, func(c warehouse.Column) bool { return c.Name == fileColumn })
		return nil
	}
	var gone []string
	for _, was := range l.keep.Files {
		if !slices.ContainsFunc(l.files, func(f copiedFile) bool { return f.sourceFile == was.sourceFile }) {
			gone = append(gone, fmt.Sprint(was.Number))
		}
	}
	l.columns = l.keep.Columns
	if len(gone) > 0 {
		if _, err := l.c.exec(ctx, "DELETE FROM "+at+" WHERE "+name(fileColumn)+" IN ("+strings.Join(gone, ", ")+")"); err != nil {
			return err
		}
	}
	if len(l.read) == 0 {
		return nil
	}
	_, err := l.c.exec(ctx, "INSERT INTO "+at+" BY NAME "+query)
	return err
}

// scans reads the CSV files that are to be read: files with the same first line in one scan. Columns whose type is not declared are text.
func (l *load) scans() string {
	type group struct {
		header
		files []copiedFile
	}
	var groups []*group
	for _, f := range l.read {
		h := l.headers[f.Path]
		// Numbers of a group are in sequence, because the scan counts its files.
		if n := len(groups); n > 0 && groups[n-1].delimiter == h.delimiter && slices.Equal(groups[n-1].columns, h.columns) {
			groups[n-1].files = append(groups[n-1].files, f)
			continue
		}
		groups = append(groups, &group{h, []copiedFile{f}})
	}
	parts := make([]string, len(groups))
	for i, g := range groups {
		var columns, paths []string
		for _, c := range g.columns {
			typ := "VARCHAR"
			if known, ok := findColumn(l.columns, c); ok && known.Type != "" && l.whole == nil {
				typ = known.Type
			}
			columns = append(columns, text(c)+": "+text(typ))
		}
		for _, f := range g.files {
			paths = append(paths, text(escapeGlob(f.Path)))
		}
		parts[i] = fmt.Sprintf("SELECT CAST(%d + file_index AS INTEGER) AS %s, * FROM read_csv([%s], auto_detect = false, header = true, "+
			"delim = %s, quote = '\"', escape = '\"', columns = {%s})", g.files[0].Number, name(fileColumn), strings.Join(paths, ", "),
			text(string(g.delimiter)), strings.Join(columns, ", "))
	}
	return strings.Join(parts, " UNION ALL BY NAME ")
}

// escapeGlob keeps DuckDB from taking letters of a path for patterns.
func escapeGlob(path string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(path)
}

// copyTyped copies files that carry types of their own: Parquet, and JSON a line.
func (l *load) copyTyped(ctx context.Context) error {
	paths := make([]string, len(l.files))
	for i, f := range l.files {
		paths[i] = text(escapeGlob(f.Path))
	}
	scan := fmt.Sprintf("read_parquet([%s], union_by_name = true)", strings.Join(paths, ", "))
	if l.kind == jsonFiles {
		scan = fmt.Sprintf("read_json([%s], format = 'newline_delimited', union_by_name = true, sample_size = -1)", strings.Join(paths, ", "))
	}
	columns, err := l.c.describe(ctx, "FROM "+scan)
	if err != nil {
		return err
	}
	present := make([]string, len(columns))
	casts := make([]string, len(columns))
	for i, col := range columns {
		present[i] = col.Name
		casts[i] = name(col.Name)
		if declared, ok := findColumn(l.req.Types, col.Name); ok && declared.Type != "" {
			casts[i] = "CAST(" + name(col.Name) + " AS " + declared.Type + ") AS " + name(col.Name)
		}
	}
	if l.whole != nil {
		return l.copyTypedFitting(ctx, scan, columns)
	}
	if lacks := missing(l.must(), present); len(lacks) > 0 {
		return l.wrong(l.req.Files, "no file has the column "+strings.Join(lacks, ", ")+"; they have "+listColumns(columns),
			"the format has changed, or these are not files of this source: correct `files`, or the contract")
	}
	return l.fill(ctx, fmt.Sprintf("SELECT CAST(0 AS INTEGER) AS %s, %s FROM %s", name(fileColumn), strings.Join(casts, ", "), scan))
}

// canonicalType is a type as DESCRIBE writes it, for the names that people use.
func canonicalType(t string) string {
	switch upper := strings.ToUpper(strings.TrimSpace(t)); upper {
	case "TEXT", "STRING", "CHAR", "BPCHAR":
		return "VARCHAR"
	case "INT", "INT4", "SIGNED":
		return "INTEGER"
	case "INT8", "LONG":
		return "BIGINT"
	case "FLOAT8":
		return "DOUBLE"
	case "REAL", "FLOAT4":
		return "FLOAT"
	case "BOOL", "LOGICAL":
		return "BOOLEAN"
	case "TIMESTAMPTZ":
		return "TIMESTAMP WITH TIME ZONE"
	case "DATETIME":
		return "TIMESTAMP"
	default:
		return upper
	}
}

var (
	csvFile   = regexp.MustCompile(`(?m)^\s*file ?= ?(.+)$`)
	csvRemedy = regexp.MustCompile(`(?m)^(Possible (fixes|solutions)|This type|LINE \d+:|\s+file =)`)
)

// explain turns what DuckDB says about a file into what people need: which file, which line, what is wrong with it.
func (l *load) explain(err error) error {
	var e *duck.Error
	if !errors.As(err, &e) || isFatal(err) || isInterrupted(err) || remedy(err, "") != "" {
		return err
	}
	msg := strings.TrimPrefix(strings.TrimPrefix(e.Msg, "Invalid Input Error: "), "Conversion Error: ")
	file := l.req.Files
	if m := csvFile.FindStringSubmatch(msg); m != nil {
		file = strings.TrimSpace(m[1])
	} else if len(l.read) == 1 {
		file = l.read[0].Path
	}
	if at := csvRemedy.FindStringIndex(msg); at != nil {
		msg = msg[:at[0]]
	}
	return l.wrong(file, strings.Join(strings.Fields(msg), " "), "correct the file, or declare another type in the contract")
}

// copyGuessed reads columns whose type is not declared as text, finds their types from all their values, and copies again.
func (l *load) copyGuessed(ctx context.Context) error {
	raw := l.raw()
	if len(l.read) > 0 {
		if _, err := l.c.exec(ctx, "CREATE OR REPLACE TEMP TABLE "+raw+" AS "+l.scans()); err != nil {
			return err
		}
		defer l.c.exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+raw) //nolint:errcheck // it goes with the connection anyway
		if err := l.guess(ctx, raw); err != nil {
			return err
		}
	}
	for i, col := range l.columns {
		if col.Type != "" {
			continue
		}
		all := guess{Fits: allTypes}
		for _, f := range l.files {
			if g, ok := f.Guesses[strings.ToLower(col.Name)]; ok {
				all.Fits &= g.Fits
				all.Seen = all.Seen || g.Seen
			}
		}
		l.columns[i].Type = all.typ()
	}
	if l.keep != nil && !slices.EqualFunc(l.columns, l.keep.Columns, func(a, b warehouse.Column) bool {
		was, ok := findColumn(l.keep.Columns, a.Name)
		return ok && strings.EqualFold(was.Type, canonicalType(a.Type)) && b.Name != ""
	}) {
		return errTypesMoved
	}
	if l.whole != nil {
		return l.fillFitting(ctx, raw)
	}
	casts := make([]string, len(l.columns))
	for i, col := range l.columns {
		casts[i] = "CAST(" + name(col.Name) + " AS " + col.Type + ") AS " + name(col.Name)
	}
	return l.fill(ctx, fmt.Sprintf("SELECT %s, %s FROM %s", name(fileColumn), strings.Join(casts, ", "), raw))
}

// raw is the temporary table of values whose types are not known, or that do not fit them.
func (l *load) raw() string {
	return relation{"main", "raw_" + shortHash(sourceKey(l.req.Target.Relation))}.in("temp")
}

// errTypesMoved: the files that moved give a column another type, so that all must be read again.
var errTypesMoved = errors.New("the types of columns have changed")

// guess looks which types the values of undeclared columns fit, for each file that is read.
func (l *load) guess(ctx context.Context, raw string) error {
	// Each value is looked at once, however often it occurs: looking is what costs.
	var parts []string
	for i, col := range l.columns {
		if col.Type != "" {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "SELECT f, %d, count(v)", i)
		for _, t := range guessable {
			fmt.Fprintf(&b, ", count(*) FILTER (WHERE v IS NOT NULL AND NOT %s)", strings.ReplaceAll(t.fits, "$", "v"))
		}
		fmt.Fprintf(&b, " FROM (SELECT DISTINCT %s AS f, %s AS v FROM %s) GROUP BY f", name(fileColumn), name(col.Name), raw)
		parts = append(parts, b.String())
	}
	if len(parts) == 0 {
		return nil
	}
	numbers := make([]int64, 3+len(guessable))
	places := make([]any, len(numbers))
	for i := range numbers {
		places[i] = &numbers[i]
	}
	return l.c.rows(ctx, strings.Join(parts, " UNION ALL "), func(r *sql.Rows) error {
		if err := r.Scan(places...); err != nil {
			return err
		}
		g := guess{Seen: numbers[2] > 0}
		for bit, misfits := range numbers[3:] {
			if misfits == 0 {
				g.Fits |= 1 << bit
			}
		}
		i := slices.IndexFunc(l.files, func(f copiedFile) bool { return int64(f.Number) == numbers[0] })
		if l.files[i].Guesses == nil {
			l.files[i].Guesses = map[string]guess{}
		}
		l.files[i].Guesses[strings.ToLower(l.columns[numbers[1]].Name)] = g
		return nil
	})
}

// A guess is which types all values of a column in a file fit, as bits, and whether there was any value.
type guess struct {
	Fits uint
	Seen bool
}

// guessable are the types that are guessed, the first that fits is taken. Numbers with leading zeros, or so long that they would lose
// digits, are ids: text.
var guessable = []struct{ name, fits string }{
	{"BIGINT", `regexp_full_match($, '-?(0|[1-9][0-9]{0,17})')`},
	{"DOUBLE", `regexp_full_match($, '-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?')`},
	{"BOOLEAN", `lower($) IN ('true', 'false')`},
	{"DATE", `(regexp_full_match($, '[0-9]{4}-[0-9]{2}-[0-9]{2}') AND TRY_CAST($ AS DATE) IS NOT NULL)`},
	{"TIMESTAMP", `(regexp_full_match($, '[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]+') AND TRY_CAST($ AS TIMESTAMP) IS NOT NULL)`},
	{"TIMESTAMPTZ", `(regexp_full_match($, '[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]+ ?(Z|[+-][0-9:]+)') AND TRY_CAST($ AS TIMESTAMPTZ) IS NOT NULL)`},
}

const allTypes = 1<<6 - 1

func (g guess) typ() string {
	for bit, t := range guessable {
		if g.Seen && g.Fits&(1<<bit) != 0 {
			return t.name
		}
	}
	return "VARCHAR"
}
