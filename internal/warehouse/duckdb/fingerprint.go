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
// Each pair is hashed; the hashes are combined by xor, and hashed again so that values that change places between two rows are seen.
// The hash of a pair is hashed once more, because DuckDB combines two values by an xor of its own, in which names would cancel out. The
// hash of (name, null) does not depend on the type, so that xor with it once takes the nulls out, with no CASE a column.
func rowHash(columns []warehouse.Column, digits int) string {
	if len(columns) == 0 {
		return "hash(0)"
	}
	terms := make([]string, 0, 2*len(columns))
	for _, c := range columns {
		column := text(strings.ToLower(c.Name))
		terms = append(terms, "hash(hash("+column+", "+comparable(name(c.Name), c.Type, digits)+"))", "hash(hash("+column+", NULL))")
	}
	return "hash(" + xor(terms) + ")"
}

// xor combines terms as a balanced tree: engines limit how deep expressions are nested.
func xor(terms []string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	half := len(terms) / 2
	return "xor(" + xor(terms[:half]) + ", " + xor(terms[half:]) + ")"
}

// comparable is a value in the form in which it is hashed: integers of all widths alike, floating-point numbers rounded, enumerations
// as their text.
func comparable(value, typ string, digits int) string {
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
	scaled := fmt.Sprintf("%s * %d::DOUBLE", value, int64(1)<<drop+1)
	return fmt.Sprintf("CASE WHEN abs(%s) < 1e280 THEN (%s) - ((%s) - %s) ELSE %s END", value, scaled, scaled, value, value)
}

// fingerprints counts and fingerprints the rows of a relation per partition. Nulls are the rows that lie in no partition.
func (c *conn) fingerprints(ctx context.Context, from string, cut cutter, columns []warehouse.Column, digits int, where string) (contents []warehouse.Content, nulls int64, err error) {
	query := fmt.Sprintf("SELECT p, count(*), sum(h), bit_xor(h) FROM (SELECT %s AS p, %s AS h FROM %s WHERE %s) GROUP BY p ORDER BY p",
		cut.partition(), rowHash(columns, digits), from, where)
	err = c.rows(ctx, query, func(r *sql.Rows) error {
		var (
			p    sql.NullInt64
			n    int64
			sum  any
			bits uint64
		)
		if err := r.Scan(&p, &n, &sum, &bits); err != nil {
			return err
		}
		if !p.Valid {
			nulls += n
			return nil
		}
		total, ok := sum.(*big.Int)
		if !ok {
			return fmt.Errorf("the sum of hashes is a %T", sum)
		}
		contents = append(contents, warehouse.Content{
			Partition: calendar.Partition(p.Int64), Rows: n, Fingerprint: fmt.Sprintf("%x-%024x-%016x", n, total, bits),
		})
		return nil
	})
	return contents, nulls, err
}
