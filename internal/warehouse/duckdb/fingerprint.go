package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// rowHash is an expression: the hash of a row's (column name, value) pairs, whatever the order of its columns; a null counts as if the
// column were not there. It is compared with hashes of the same engine only.
//
// Each pair is hashed; the hashes are combined by xor, and hashed again: without that, values that change places between two rows leave
// the xor over all rows as it is, and three of four bits of the sum.
// The hash of a pair is hashed once more, because DuckDB combines two values by an xor of its own, in which names would cancel out. The
// hash of (name, null) does not depend on the type, so that an xor with it once takes the nulls out, with no CASE a column: nulls is
// the xor of that of all columns.
func rowHash(columns []warehouse.Column, digits int, nulls uint64) string {
	terms := []string{fmt.Sprintf("%d::UBIGINT", nulls)}
	for _, c := range columns {
		terms = append(terms, "hash(hash("+hashName(c)+", "+hashable(name(c.Name), c.Type, digits)+"))")
	}
	return "hash(" + xor(terms) + ")"
}

func hashName(c warehouse.Column) string { return text(strings.ToLower(c.Name)) }

// nullHash asks the engine for the hashes of nulls, for all columns together. What it has answered is kept: a constant of each name.
func (c *conn) nullHash(ctx context.Context, columns []warehouse.Column) (uint64, error) {
	var ask []string
	for _, col := range columns {
		if _, ok := c.w.nulls.Load(hashName(col)); !ok {
			ask = append(ask, hashName(col))
		}
	}
	if len(ask) > 0 {
		query := "SELECT n, hash(hash(n, NULL)) FROM (SELECT unnest([" + strings.Join(ask, ", ") + "]) AS n)"
		if err := c.rows(ctx, query, func(r *sql.Rows) error {
			var column string
			var hash uint64
			err := r.Scan(&column, &hash)
			c.w.nulls.Store(text(column), hash)
			return err
		}); err != nil {
			return 0, err
		}
	}
	var all uint64
	for _, col := range columns {
		if hash, ok := c.w.nulls.Load(hashName(col)); ok {
			all ^= hash.(uint64) //nolint:forcetypeassert // nothing else is stored
		}
	}
	return all, nil
}

// xor combines terms as a balanced tree: engines limit how deep expressions are nested.
func xor(terms []string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	half := len(terms) / 2
	return "xor(" + xor(terms[:half]) + ", " + xor(terms[half:]) + ")"
}

// hashable is a value in the form in which it is hashed: integers of all widths alike, floating-point numbers rounded, enumerations
// as their text.
func hashable(value, typ string, digits int) string {
	t := parseType(typ)
	if !t.needsForm() {
		return value
	}
	return t.form(value, digits, 0)
}

// rounded is a floating-point value rounded to as many bits as hold the digits. Multiplying by 2^n+1 and taking the difference leaves a
// number's leading 53-n bits (Veltkamp's splitting), in three operations and without a logarithm; numbers so large that it would
// overflow, infinities and NaN stay as they are. Hashing takes 0 and -0, and all NaN, as equal.
func rounded(value string, digits int) string {
	if digits <= 0 {
		digits = 9
	}
	const mantissa = 53
	drop := mantissa - int(math.Ceil(float64(digits)*math.Log2(10)))
	if drop <= 0 {
		return value
	}
	scaled := fmt.Sprintf("(%s * %d::DOUBLE)", value, int64(1)<<drop+1)
	return fmt.Sprintf("CASE WHEN isfinite(%s) THEN %s - (%s - %s) ELSE %s END", scaled, scaled, scaled, value, value)
}

// A reading is what is to be counted and fingerprinted.
type reading struct {
	from    string
	cut     cutter
	columns []warehouse.Column
	digits  int
	set     calendar.Set // All for everything
}

// fingerprints counts and fingerprints the rows of a relation per partition. strays are the rows that lie in no partition; they are
// counted where everything is read.
func (c *conn) fingerprints(ctx context.Context, r reading) (contents []warehouse.Content, strays int64, err error) {
	where := "true"
	if !r.set.Equal(calendar.All()) {
		where = r.cut.near(r.set)
	}
	nulls, err := c.nullHash(ctx, r.columns)
	if err != nil {
		return nil, 0, err
	}
	query := fmt.Sprintf("SELECT p, count(*), sum(h), bit_xor(h) FROM (SELECT %s AS p, %s AS h FROM %s WHERE %s) GROUP BY p ORDER BY p",
		r.cut.partition(), rowHash(r.columns, r.digits, nulls), r.from, where)
	err = c.rows(ctx, query, func(rows *sql.Rows) error {
		var (
			p    sql.NullInt64
			n    int64
			sum  any
			bits uint64
		)
		if err := rows.Scan(&p, &n, &sum, &bits); err != nil {
			return err
		}
		at := calendar.Partition(p.Int64)
		switch total, ok := sum.(*big.Int); {
		case !ok:
			return fmt.Errorf("the sum of hashes is a %T", sum)
		case !p.Valid:
			strays += n
		case r.set.Contains(at):
			contents = append(contents, warehouse.Content{Partition: at, Rows: n, Fingerprint: fmt.Sprintf("%x-%024x-%016x", n, total, bits)})
		}
		return nil
	})
	return contents, strays, err
}
