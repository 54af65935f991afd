package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A session is one connection with its prepared statements. It talks to the driver itself: database/sql's conversions by reflection cost
// more than the statements do. It is used by one goroutine at a time.
type session struct {
	conn    driver.Conn
	stmts   map[string]*statement
	changed bool // a statement that writes was run since somebody set it to false
}

type statement struct {
	stmt driver.Stmt
	args []driver.NamedValue
	row  row
	// writes: it changes what is stored.
	writes bool
}

// A row is what a query gives: int64, string, []byte or nil by column. It is overwritten by the next.
type row []driver.Value

// The columns' types are those of the schema, whose tables are strict; zero values stand for NULL.
func (r row) int(i int) int64       { n, _ := r[i].(int64); return n }
func (r row) text(i int) string     { s, _ := r[i].(string); return s }
func (r row) blob(i int) []byte     { b, _ := r[i].([]byte); return b }
func (r row) bool(i int) bool       { return r.int(i) != 0 }         // booleans are 0 and 1
func (r row) seq(i int) history.Seq { return history.Seq(r.int(i)) } // a reading of the clock

func (r row) time(i int) time.Time { return fromNanos(r.int(i)) }

// interval reads two columns.
func (r row) interval(i int) calendar.Interval {
	return calendar.Interval{Start: calendar.Partition(r.int(i)), End: calendar.Partition(r.int(i + 1))}
}

func (s *session) prepare(query string) (*statement, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	stmt, err := s.conn.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	verb, _, _ := strings.Cut(query, " ")
	st := &statement{stmt: stmt, writes: verb == "INSERT" || verb == "UPDATE" || verb == "DELETE"}
	s.stmts[query] = st
	return st, nil
}

func (st *statement) bind(args []any) []driver.NamedValue {
	st.args = st.args[:0]
	for i, a := range args {
		st.args = append(st.args, driver.NamedValue{Ordinal: i + 1, Value: valueOf(a)})
	}
	return st.args
}

func valueOf(a any) driver.Value {
	switch v := a.(type) {
	case int:
		return int64(v)
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case history.Seq:
		return int64(v)
	case history.Token:
		return int64(v)
	case calendar.Partition:
		return int64(v)
	case time.Time:
		return toNanos(v)
	case time.Duration:
		return int64(v)
	}
	return a
}

// exec runs a statement and gives how many rows it changed.
func (s *session) exec(query string, args ...any) (int64, error) {
	st, err := s.prepare(query)
	if err != nil {
		return 0, err
	}
	s.changed = s.changed || st.writes
	result, err := st.stmt.(driver.StmtExecContext).ExecContext(context.Background(), st.bind(args)) //nolint:forcetypeassert // the driver's has it
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query calls each for every row. Neither the row nor its blobs may be kept, strings may. It must not be asked again from within each
// with the same text.
func (s *session) query(each func(row) error, query string, args ...any) error {
	return s.queryContext(context.Background(), each, query, args...)
}

func (s *session) queryContext(ctx context.Context, each func(row) error, query string, args ...any) (err error) {
	st, err := s.prepare(query)
	if err != nil {
		return err
	}
	s.changed = s.changed || st.writes
	rows, err := st.stmt.(driver.StmtQueryContext).QueryContext(ctx, st.bind(args)) //nolint:forcetypeassert // the driver's has it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if st.row == nil {
		st.row = make(row, len(rows.Columns()))
	}
	for {
		if err := rows.Next(st.row); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := each(st.row); err != nil {
			if err == errEnough { //nolint:errorlint // it is never wrapped
				return nil
			}
			return err
		}
	}
}

// errEnough, given back by each, ends a query.
var errEnough = errors.New("enough")

// first calls each for the first row and reports whether there is one.
func (s *session) first(each func(row) error, query string, args ...any) (found bool, err error) {
	err = s.query(func(r row) error {
		found = true
		if err := each(r); err != nil {
			return err
		}
		return errEnough
	}, query, args...)
	return found, err
}

// never stands for the zero time, which has no nanoseconds since 1970.
const never = -1 << 63

func toNanos(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// finalize ends the prepared statements.
func (s *session) finalize() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.stmt.Close())
	}
	clear(s.stmts)
	return errors.Join(errs...)
}
