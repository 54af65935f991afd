package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// key is a struct of the check's columns, for examples.
func key(columns []string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = name(c) + " := " + name(c)
	}
	return "struct_pack(" + strings.Join(parts, ", ") + ")"
}

func whereOf(check warehouse.Check) string {
	if check.Where == "" {
		return ""
	}
	return " WHERE (\n" + check.Where + "\n)"
}

// grouped runs a query that gives (partition, rows, rows that fail, an example) and judges each.
func (e *examination) grouped(ctx context.Context, query string, judge func(of, failed int64, example string) warehouse.Verdict) (map[calendar.Partition]warehouse.Verdict, error) {
	out := map[calendar.Partition]warehouse.Verdict{}
	err := e.c.rows(ctx, query, func(r *sql.Rows) error {
		var p sql.NullInt64
		var of, failed int64
		var example sql.NullString
		if err := r.Scan(&p, &of, &failed, &example); err != nil {
			return err
		}
		if p.Valid {
			out[calendar.Partition(p.Int64)] = judge(of, failed, example.String)
		}
		return nil
	})
	return out, err
}

func (e *examination) unique(ctx context.Context, check warehouse.Check) (map[calendar.Partition]warehouse.Verdict, error) {
	if out, err := e.distinct(ctx, check); err != nil || out != nil {
		return out, err
	}
	query := fmt.Sprintf("SELECT headway_p, CAST(sum(headway_n) AS BIGINT), CAST(sum(headway_n) - count(*) AS BIGINT), "+
		"CAST(min(%s) FILTER (WHERE headway_n > 1) AS VARCHAR) "+
		"FROM (SELECT headway_p, %s, count(*) AS headway_n FROM %s%s GROUP BY headway_p, %s) GROUP BY headway_p",
		key(check.Columns), names(check.Columns), e.from, whereOf(check), names(check.Columns))
	return e.grouped(ctx, query, func(of, failed int64, example string) warehouse.Verdict {
		v := warehouse.Verdict{Value: float64(failed), Weight: of, Passed: failed == 0}
		if failed > 0 {
			v.Example = fmt.Sprintf("%d rows repeat the key of another, like %s", failed, shorten(example))
		}
		return v
	})
}

// distinct counts the different hashes of keys: where there are as many as rows, all keys are different, which is the quick answer to
// the usual case. Otherwise it gives nil: the keys themselves must be compared.
func (e *examination) distinct(ctx context.Context, check warehouse.Check) (map[calendar.Partition]warehouse.Verdict, error) {
	out := map[calendar.Partition]warehouse.Verdict{}
	same := false
	query := fmt.Sprintf("SELECT headway_p, count(*), count(DISTINCT hash(%s)) FROM %s%s GROUP BY headway_p", names(check.Columns), e.from, whereOf(check))
	err := e.c.rows(ctx, query, func(r *sql.Rows) error {
		var p sql.NullInt64
		var rows, keys int64
		if err := r.Scan(&p, &rows, &keys); err != nil {
			return err
		}
		same = same || rows != keys
		if p.Valid {
			out[calendar.Partition(p.Int64)] = warehouse.Verdict{Weight: rows, Passed: true}
		}
		return nil
	})
	if err != nil || same {
		return nil, err
	}
	return out, nil
}

// relationship judges the share of rows whose key another relation has. A key with a null in it is not found.
func (e *examination) relationship(ctx context.Context, check warehouse.Check) (map[calendar.Partition]warehouse.Verdict, error) {
	there := check.ToColumns
	if len(there) == 0 {
		there = check.Columns
	}
	whole := make([]string, len(check.Columns))
	for i, col := range check.Columns {
		whole[i] = name(col) + " IS NOT NULL"
	}
	query := fmt.Sprintf("SELECT headway_p, count(*), count(*) FILTER (WHERE NOT headway_f), CAST(min(%s) FILTER (WHERE NOT headway_f) AS VARCHAR) "+
		"FROM (SELECT headway_p, %s, %s AND coalesce((%s) IN (SELECT (%s) FROM %s), false) AS headway_f FROM %s%s) GROUP BY headway_p",
		key(check.Columns), names(check.Columns), strings.Join(whole, " AND "), names(check.Columns), names(there), check.To, e.from, whereOf(check))
	return e.grouped(ctx, query, func(of, failed int64, example string) warehouse.Verdict {
		return shared(check, of, failed, fmt.Sprintf("%d of %d rows are not found in %s, like %s", failed, of, check.To, shorten(example)))
	})
}

// asked judges the numbers that a query gives.
func (e *examination) asked(ctx context.Context, check warehouse.Check) (map[calendar.Partition]warehouse.Verdict, error) {
	values, err := e.answer(ctx, check.Query)
	if err != nil {
		return nil, err
	}
	out := make(map[calendar.Partition]warehouse.Verdict, len(values))
	for p, a := range values {
		v := warehouse.Verdict{Value: a.value, Weight: e.rows[p], Example: a.wrong}
		if a.wrong == "" {
			if v.Passed = within(check, a.value) && !math.IsNaN(a.value); !v.Passed {
				v.Example = fmt.Sprintf("the query gives %.6g, wanted %s", a.value, bounds(check))
			}
		}
		out[p] = v
	}
	return out, nil
}

// equals compares counts of rows with the numbers that a query gives.
func (e *examination) equals(ctx context.Context, check warehouse.Check, counts map[calendar.Partition]warehouse.Verdict) (map[calendar.Partition]warehouse.Verdict, error) {
	values, err := e.answer(ctx, check.Query)
	if err != nil {
		return nil, err
	}
	out := make(map[calendar.Partition]warehouse.Verdict, len(values))
	for p, a := range values {
		v := warehouse.Verdict{Value: counts[p].Value, Weight: counts[p].Weight, Example: a.wrong}
		if a.wrong == "" {
			if v.Passed = v.Value == a.value; !v.Passed {
				v.Example = fmt.Sprintf("%.6g rows, wanted %.6g", v.Value, a.value)
			}
		}
		out[p] = v
	}
	return out, nil
}

// An answer is what a check's query says of one partition, or what is wrong with that.
type answer struct {
	value float64
	wrong string
}

// answer runs a query that gives (partition, value) rows; for tables without partitions one row whose last column is the value.
func (e *examination) answer(ctx context.Context, query string) (map[calendar.Partition]answer, error) {
	out := map[calendar.Partition]answer{}
	err := e.c.answers(ctx, query, e.target.Axis, func(p calendar.Partition, ok bool, row []any) error {
		if len(row) < 2 && e.cut.kind != whole {
			return fmt.Errorf("the query gives %d columns: it must give the partition and the value", len(row))
		}
		if !ok {
			return nil
		}
		at := min(1, len(row)-1)
		value, known, err := numberOf(row[at])
		if err != nil {
			return err
		}
		_, twice := out[p]
		a := answer{value: value}
		switch {
		case twice:
			a.wrong = "the query's answer mentions this partition more than once"
		case !known:
			a.wrong = "the query gives no value (null)"
		}
		out[p] = a
		return nil
	})
	return out, err
}
