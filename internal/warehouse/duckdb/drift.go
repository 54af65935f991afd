package duckdb

import (
	"bufio"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// A drift is what a copy leaves out: partitions with values that cannot be read as their columns' types.
type drift struct {
	Contents []warehouse.Content `json:"contents"` // as their files have them
	Misfits  []misfit            `json:"misfits"`
}

// A misfit is a warehouse.Misfit as it is recorded.
type misfit struct {
	Column    string              `json:"column"`
	Type      string              `json:"type"`
	Values    int64               `json:"values"`
	Intervals []calendar.Interval `json:"intervals"`
	Value     string              `json:"value"`
	File      string              `json:"file,omitempty"`
	Line      int                 `json:"line,omitempty"`
}

// tell adds what was left out of a copy to what is told of it.
func (d *drift) tell(state *warehouse.SourceState) {
	if d == nil {
		return
	}
	for _, m := range d.Misfits {
		set := calendar.NewSet(m.Intervals...)
		state.Drifted = state.Drifted.Union(set)
		state.Misfits = append(state.Misfits, warehouse.Misfit{
			Column: m.Column, Type: m.Type, Values: m.Values, Partitions: set, Value: m.Value, File: m.File, Line: m.Line,
		})
	}
	if state.Unchanged {
		return
	}
	state.Contents = append(state.Contents, d.Contents...)
	slices.SortFunc(state.Contents, func(a, b warehouse.Content) int { return int(a.Partition - b.Partition) })
	for _, one := range d.Contents {
		state.Rows += one.Rows
	}
}

// An unfitError says that some value of a source's files cannot be read as its column's type. err is what people are told where nothing
// better is found out.
type unfitError struct{ err error }

func (e *unfitError) Error() string { return e.err.Error() }
func (e *unfitError) Unwrap() error { return e.err }

// unfit explains why files could not be copied, and tells values that do not fit from all else.
func (l *load) unfit(err error) error {
	explained := l.explain(err)
	var source *warehouse.SourceError
	if l.whole != nil || !errors.As(explained, &source) {
		return explained
	}
	switch kind(err) {
	case duck.ErrorTypeConversion, duck.ErrorTypeInvalidInput, duck.ErrorTypeOutOfRange, duck.ErrorTypeMismatchType:
		return &unfitError{explained}
	}
	return explained
}

// copyTypedFitting copies files that carry types of their own, as far as their values can be read as the declared ones.
func (l *load) copyTypedFitting(ctx context.Context, scan string, columns []warehouse.Column) error {
	raw := l.raw()
	if _, err := l.c.exec(ctx, "CREATE OR REPLACE TEMP TABLE "+raw+" AS SELECT CAST(0 AS INTEGER) AS "+name(fileColumn)+", * FROM "+scan); err != nil {
		return err
	}
	defer l.c.exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+raw) //nolint:errcheck // it goes with the connection anyway
	l.columns = columns
	for i, col := range columns {
		if declared, ok := findColumn(l.req.Types, col.Name); ok && declared.Type != "" {
			l.columns[i].Type = declared.Type
		}
	}
	return l.fillFitting(ctx, raw)
}

// fillFitting makes the copy from values as they stand in the files, without the partitions in which some cannot be read.
func (l *load) fillFitting(ctx context.Context, raw string) error {
	types := make([]warehouse.Column, len(l.columns))
	reads := make([]string, 0, 2*len(l.columns)+1)
	reads = append(reads, name(fileColumn))
	for i, col := range l.columns {
		types[i] = warehouse.Column{Name: col.Name, Type: canonicalType(col.Type)}
		reads = append(reads, fmt.Sprintf("TRY_CAST(%s AS %s) AS %s", name(col.Name), col.Type, name(col.Name)), fmt.Sprintf("CAST(%s AS VARCHAR) AS %s", name(col.Name), writtenAs(i)))
	}
	cut, err := newCutter(l.req.Target, l.req.Target.Relation, types)
	if err != nil {
		return err
	}
	from := "(SELECT " + cut.partition() + " AS _headway_p, * FROM (SELECT " + strings.Join(reads, ", ") + " FROM " + raw + "))"
	if err := l.findMisfits(ctx, from); err != nil {
		return err
	}
	columns := make([]string, len(l.columns))
	for i, col := range l.columns {
		columns[i] = name(col.Name)
	}
	return l.fill(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE _headway_p IS NULL OR _headway_p NOT IN (SELECT p FROM %s)", name(fileColumn),
		strings.Join(columns, ", "), from, members(l.drift.set())))
}

// writtenAs is the column that has a value as it stands in the file.
func writtenAs(column int) string { return fmt.Sprintf("_headway_written_%d", column) }

// set is the partitions that are left out.
func (d *drift) set() calendar.Set {
	out := make([]calendar.Partition, len(d.Contents))
	for i, one := range d.Contents {
		out[i] = one.Partition
	}
	return calendar.Of(out...)
}

// findMisfits looks for the values that cannot be read, and at the partitions that they are in.
func (l *load) findMisfits(ctx context.Context, from string) error {
	at := slices.IndexFunc(l.columns, func(c warehouse.Column) bool { return strings.EqualFold(c.Name, l.req.Target.Column) })
	d := &drift{}
	for i, col := range l.columns {
		m := misfit{Column: col.Name, Type: canonicalType(col.Type)}
		var cells []calendar.Partition
		var file int
		var date sql.NullString
		query := fmt.Sprintf("SELECT _headway_p, count(*), min(struct_pack(f := %[1]s, v := %[2]s, d := %[3]s)).f, min(struct_pack(f := %[1]s, v := %[2]s, d := %[3]s)).v, "+
			"min(struct_pack(f := %[1]s, v := %[2]s, d := %[3]s)).d FROM %[4]s WHERE %[2]s IS NOT NULL AND %[5]s IS NULL GROUP BY 1 ORDER BY 1 NULLS FIRST",
			name(fileColumn), writtenAs(i), writtenAs(at), from, name(col.Name))
		err := l.c.rows(ctx, query, func(r *sql.Rows) error {
			var p, n sql.NullInt64
			var f int
			var value string
			var written sql.NullString
			if err := r.Scan(&p, &n, &f, &value, &written); err != nil {
				return err
			}
			if i == at || !p.Valid {
				return l.whole // it cannot be told which partition its row is of
			}
			if len(cells) == 0 {
				m.Value, file, date = shorten(value), f, written
			}
			cells = append(cells, calendar.Partition(p.Int64))
			m.Values += n.Int64
			return nil
		})
		if err != nil {
			return err
		}
		if len(cells) == 0 {
			continue
		}
		m.Intervals = calendar.Of(cells...).Intervals()
		l.place(ctx, &m, file, date.String)
		d.Misfits = append(d.Misfits, m)
	}
	if len(d.Misfits) == 0 {
		return l.whole // something else is wrong
	}
	return l.count(ctx, d, from)
}

// count counts and fingerprints the partitions that are left out, by their values as they are written.
func (l *load) count(ctx context.Context, d *drift, from string) error {
	var set calendar.Set
	for _, m := range d.Misfits {
		set = set.Union(calendar.NewSet(m.Intervals...))
	}
	written := make([]string, len(l.columns))
	for i := range l.columns {
		written[i] = writtenAs(i)
	}
	row := "hash(row(" + strings.Join(written, ", ") + "))"
	l.drift = d
	return l.c.rows(ctx, fmt.Sprintf("SELECT _headway_p, count(*), 'unread-' || sum(%[1]s) || '-' || bit_xor(%[1]s) FROM %[2]s WHERE _headway_p IN (SELECT p FROM %[3]s) "+
		"GROUP BY 1 ORDER BY 1", row, from, members(set)), func(r *sql.Rows) error {
		var one warehouse.Content
		var p int64
		if err := r.Scan(&p, &one.Rows, &one.Fingerprint); err != nil {
			return err
		}
		one.Partition = calendar.Partition(p)
		d.Contents = append(d.Contents, one)
		return nil
	})
}

// place finds the file and the line of a misfit's first value. A line that is not found is no error: the file says enough.
func (l *load) place(ctx context.Context, m *misfit, number int, date string) {
	if len(l.files) == 1 {
		number = l.files[0].Number
	} else if l.kind != csvFiles {
		return // which of the files it is was not asked
	}
	i := slices.IndexFunc(l.files, func(f copiedFile) bool { return f.Number == number })
	if i < 0 {
		return
	}
	m.File = l.files[i].Path
	if h, ok := l.headers[m.File]; ok {
		m.Line = lineOf(ctx, m.File, h, map[string]string{m.Column: m.Value, l.req.Target.Column: date})
	}
}

// lineOf is the first line of a CSV file in which columns have the values; 0 where there is none.
func lineOf(ctx context.Context, path string, h header, values map[string]string) int {
	in, err := os.Open(path) //nolint:gosec // a file of the project's own source
	if err != nil {
		return 0
	}
	defer in.Close() //nolint:errcheck // it was only read
	var r io.Reader = bufio.NewReaderSize(in, 1<<18)
	if isGzip(path) {
		if r, err = gzip.NewReader(r); err != nil {
			return 0
		}
	}
	rows := csv.NewReader(cancelled{ctx, r})
	rows.Comma, rows.ReuseRecord, rows.LazyQuotes, rows.FieldsPerRecord = h.delimiter, true, true, -1
	for {
		row, err := rows.Read()
		if err != nil {
			return 0
		}
		found := true
		for column, value := range values {
			i := slices.IndexFunc(h.columns, func(c string) bool { return strings.EqualFold(c, column) })
			found = found && i >= 0 && i < len(row) && row[i] == value
		}
		if found {
			line, _ := rows.FieldPos(0)
			return line
		}
	}
}
