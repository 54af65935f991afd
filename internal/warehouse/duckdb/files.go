package duckdb

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/headway-data/headway/internal/warehouse"
)

// Bounds of a source: how many files a glob may match, and how long the line of names may be.
const (
	maxSourceFiles = 10_000
	maxHeader      = 1 << 20
)

// A sourceFile is a file as a look at its folder shows it.
type sourceFile struct {
	Path  string
	Size  int64
	Time  int64 // of its last change, in nanoseconds since 1970
	Inode uint64
}

// listFiles finds the files of a source, in order, and the version of all of them together with the types that are declared: a copy made
// under other types is another copy.
func listFiles(req warehouse.SourceRequest) ([]sourceFile, string, error) {
	wrong := func(file, what, next string) error {
		return &warehouse.SourceError{Source: req.Target.Relation, File: file, What: what, Next: next}
	}
	paths, err := glob(req.Files)
	if err != nil {
		return nil, "", wrong(req.Files, err.Error(), "correct `files`")
	}
	h := sha256.New()
	base := filepath.Dir(req.Files)
	files := make([]sourceFile, 0, len(paths))
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, "", wrong(path, plainError(err), "put it back, or correct `files`")
		case info.IsDir():
			continue
		}
		f := sourceFile{Path: path, Size: info.Size(), Time: info.ModTime().UnixNano(), Inode: inode(info)}
		files = append(files, f)
		rel, err := filepath.Rel(base, path)
		if err != nil {
			rel = path
		}
		fmt.Fprintf(h, "%q %d %d %d\n", filepath.ToSlash(rel), f.Size, f.Time, f.Inode)
	}
	if len(files) == 0 {
		return nil, "", wrong(req.Files, "no file matches", "put the files there, or correct `files`")
	}
	if len(files) > maxSourceFiles {
		return nil, "", wrong(req.Files, fmt.Sprintf("%d files match, more than %d", len(files), maxSourceFiles), "join them, or split the source")
	}
	for _, col := range req.Types {
		fmt.Fprintf(h, "%q %q %v\n", strings.ToLower(col.Name), strings.ToUpper(col.Type), col.Nullable)
	}
	const enough = 24
	return files, hex.EncodeToString(h.Sum(nil))[:enough], nil
}

// glob matches files; ** stands for any number of folders.
func glob(pattern string) ([]string, error) {
	before, after, deep := strings.Cut(pattern, "**/")
	if !deep {
		return filepath.Glob(pattern)
	}
	var out []string
	err := filepath.WalkDir(filepath.Clean(before), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ok, matchErr := filepath.Match(after, filepath.Base(path)); matchErr != nil || !ok {
			return matchErr
		}
		out = append(out, path)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	sort.Strings(out)
	return out, err
}

// plainError is what the operating system said, without the path.
func plainError(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// A fileKind is a format.
type fileKind string

const (
	csvFiles     fileKind = "csv"
	parquetFiles fileKind = "parquet"
	jsonFiles    fileKind = "json"
)

func kindOf(path string) (fileKind, bool) {
	lower := strings.TrimSuffix(strings.ToLower(path), ".gz")
	switch filepath.Ext(lower) {
	case ".csv", ".tsv", ".txt":
		return csvFiles, true
	case ".parquet":
		return parquetFiles, true
	case ".json", ".jsonl", ".ndjson":
		return jsonFiles, true
	}
	return "", false
}

func isGzip(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".gz") }

// verify reads a compressed file to its end. DuckDB takes a file that is cut off between two lines for a whole one.
func verify(ctx context.Context, source string, f copiedFile) error {
	if !isGzip(f.Path) {
		return nil
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return &warehouse.SourceError{Source: source, File: f.Path, What: plainError(err), Next: "make it readable"}
	}
	defer in.Close() //nolint:errcheck // it was only read
	z, err := gzip.NewReader(bufio.NewReaderSize(in, 1<<18))
	if err == nil {
		_, err = io.Copy(io.Discard, cancelled{ctx, z})
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &warehouse.SourceError{Source: source, File: f.Path, What: "the file is cut off: its compressed data has no end", Next: "fetch it again"}
	}
	return &warehouse.SourceError{Source: source, File: f.Path, What: "the file is damaged: " + err.Error(), Next: "fetch it again"}
}

// cancelled reads until the context ends.
type cancelled struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to know
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// A header is the first line of a CSV file.
type header struct {
	columns   []string
	delimiter rune
}

// readHeader reads the names in a file's first line, split by the delimiter that shows the most of the columns that must be there.
func readHeader(source string, f sourceFile, must []string) (header, error) {
	wrong := func(what, next string) error {
		return &warehouse.SourceError{Source: source, File: f.Path, What: what, Next: next}
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return header{}, wrong(plainError(err), "make it readable")
	}
	defer in.Close() //nolint:errcheck // it was only read
	var r io.Reader = in
	if isGzip(f.Path) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return header{}, wrong("it is not a gzip file: "+err.Error(), "fetch it again, or rename it")
		}
		r = z
	}
	line, err := bufio.NewReader(io.LimitReader(r, maxHeader)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return header{}, wrong(err.Error(), "fetch it again")
	}
	line = strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n")
	if line == "" {
		return header{}, wrong("the file is empty: it has no line of column names", "fetch it again")
	}
	var best header
	score := -1
	for _, delimiter := range []rune{',', ';', '\t', '|'} {
		c := csv.NewReader(strings.NewReader(line))
		c.Comma = delimiter
		columns, err := c.Read()
		if err != nil {
			continue
		}
		if s := len(columns) + maxHeader*(len(must)-len(missing(must, columns))); s > score {
			best, score = header{columns, delimiter}, s
		}
	}
	if score < 0 {
		return header{}, wrong("its first line cannot be read: "+shorten(line), "column names in quotes must be closed")
	}
	if lacks := missing(must, best.columns); len(lacks) > 0 {
		return header{}, wrong(fmt.Sprintf("it has no column %s; its first line is %s", strings.Join(lacks, ", "), shorten(line)),
			"its format has changed, or it is not a file of this source: correct `files`, or the contract")
	}
	seen := map[string]bool{}
	for _, col := range best.columns {
		if key := strings.ToLower(col); col == "" || seen[key] {
			return header{}, wrong(fmt.Sprintf("column name %q stands twice, or is empty, in its first line", col), "name the columns")
		}
		seen[strings.ToLower(col)] = true
	}
	return best, nil
}

// missing lists which of the names are not among the columns.
func missing(must, columns []string) []string {
	var out []string
	for _, m := range must {
		if !hasName(columns, m) {
			out = append(out, m)
		}
	}
	return out
}

func hasName(columns []string, wanted string) bool {
	for _, c := range columns {
		if strings.EqualFold(c, wanted) {
			return true
		}
	}
	return false
}
