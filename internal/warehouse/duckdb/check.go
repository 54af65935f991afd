package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// Check judges the rows of every partition of the set by every check. Checks that look at one row at a time share one scan.
//
// What the values are: not_null, range, accepted_values, pattern and relationship: the share of the rows that meet it, of all rows (not_null,
// relationship) or of those whose value is not null. unique: how many rows come after the first of their key, nulls being equal. rows:
// how many. sql: what the query says. A partition without rows meets all of them but rows and sql, with weight 0: whether a partition
// may be empty is not for a check to say. Rows of partitions that fail a check that blocks are kept aside in the file.
func (w *Warehouse) Check(ctx context.Context, target warehouse.Target, stage *warehouse.Stage, set calendar.Set, checks []warehouse.Check) ([]warehouse.Verdict, error) {
	if set.Empty() || len(checks) == 0 {
		return nil, nil
	}
	var out []warehouse.Verdict
	err := w.use(ctx, "check "+w.describe(target, set), func(c *conn) error {
		if err := c.zone(ctx, target.Axis); err != nil {
			return err
		}
		e, err := c.examine(ctx, target, stage, set)
		if err != nil {
			return err
		}
		if out, err = e.run(ctx, checks); err != nil {
			return err
		}
		return c.quarantine(ctx, e, stage, out)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// An examination is one call of Check.
type examination struct {
	c       *conn
	target  warehouse.Target
	from    string // relation with its condition
	columns []warehouse.Column
	cut     cutter
	set     calendar.Set
	rows    map[calendar.Partition]int64
}

func (c *conn) examine(ctx context.Context, target warehouse.Target, stage *warehouse.Stage, set calendar.Set) (*examination, error) {
	e := &examination{c: c, target: target, set: set, rows: map[calendar.Partition]int64{}}
	where := ""
	if stage != nil {
		e.from = stage.Relation
		var err error
		if e.columns, err = c.describe(ctx, stage.Relation); err != nil {
			return nil, err
		}
		for _, one := range stage.Contents {
			e.rows[one.Partition] = one.Rows
		}
	} else {
		there, err := c.find(ctx, parseRelation(target.Relation))
		if err != nil {
			return nil, err
		}
		if len(there.columns) == 0 {
			return nil, fmt.Errorf("%s does not exist: nothing was ever published there", target.Relation)
		}
		e.from, e.columns = there.at, there.columns
	}
	var err error
	if e.cut, err = newCutter(target, target.Relation, e.columns); err != nil {
		return nil, err
	}
	if stage == nil {
		where = " WHERE " + e.cut.near(set)
	}
	e.from = fmt.Sprintf("(SELECT %s AS headway_p, * FROM %s%s)", e.cut.partition(), e.from, where)
	return e, nil
}

// run gives the verdicts in the order of the checks, and of the partitions in each.
func (e *examination) run(ctx context.Context, checks []warehouse.Check) ([]warehouse.Verdict, error) {
	verdicts := make([]map[calendar.Partition]warehouse.Verdict, len(checks))
	var shared []measure
	for i, check := range checks {
		if err := e.mustHave(check); err != nil {
			return nil, err
		}
		if m, ok, err := e.measure(check); err != nil {
			return nil, err
		} else if ok {
			m.check = i
			shared = append(shared, m)
		}
	}
	asks := slices.ContainsFunc(checks, func(c warehouse.Check) bool { return c.Kind == "sql" })
	if err := e.scan(ctx, shared, asks, verdicts); err != nil {
		return nil, err
	}
	for i, check := range checks {
		var err error
		switch check.Kind {
		case "unique":
			verdicts[i], err = e.unique(ctx, check)
		case "relationship":
			verdicts[i], err = e.relationship(ctx, check)
		case "sql":
			verdicts[i], err = e.asked(ctx, check)
		case "rows":
			if check.Query != "" {
				verdicts[i], err = e.equals(ctx, check, verdicts[i])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", check.ID, err)
		}
	}
	out := make([]warehouse.Verdict, 0, len(checks)*e.set.Count())
	for i, check := range checks {
		for p := range e.set.Partitions() {
			v, ok := verdicts[i][p]
			if !ok {
				v = silent(check)
			}
			v.Check, v.Partition, v.Warn = check.ID, p, check.Warn
			out = append(out, v)
		}
	}
	return out, nil
}

// silent is the verdict on a partition that an answer does not mention: for a scan that is one without rows.
func silent(check warehouse.Check) warehouse.Verdict {
	switch check.Kind {
	case "sql":
		return warehouse.Verdict{Example: "the query's answer does not mention this partition"}
	case "unique":
		return warehouse.Verdict{Passed: true}
	case "rows":
		if check.Query != "" {
			return warehouse.Verdict{Example: "the query's answer does not mention this partition"}
		}
		return counted(check, 0)
	}
	return warehouse.Verdict{Value: 1, Passed: true}
}

func (e *examination) mustHave(check warehouse.Check) error {
	for _, col := range check.Columns {
		if _, ok := findColumn(e.columns, col); !ok {
			return fmt.Errorf("%s: there is no column %q: the rows have %s", check.ID, col, listColumns(e.columns))
		}
	}
	return nil
}

// A measure is what the shared scan computes for one check, and how that is judged.
type measure struct {
	check int
	exprs []string // three: how many rows it speaks of, how many fail, one that fails
	judge func(of, failed int64, example string) warehouse.Verdict
}

// measure gives the expressions of a check that looks at one row at a time; ok is false for others.
func (e *examination) measure(check warehouse.Check) (m measure, ok bool, err error) {
	where := "true"
	if check.Where != "" {
		where = "(\n" + check.Where + "\n)"
	}
	if check.Kind == "rows" {
		return measure{
			exprs: []string{"count(*) FILTER (WHERE " + where + ")", "0", "NULL"},
			judge: func(of, _ int64, _ string) warehouse.Verdict { return counted(check, of) },
		}, true, nil
	}
	if len(check.Columns) == 0 {
		return m, false, nil
	}
	col, _ := findColumn(e.columns, check.Columns[0])
	if check.Kind == "not_null" {
		return measure{
			exprs: []string{"count(*) FILTER (WHERE " + where + ")", "count(*) FILTER (WHERE " + name(col.Name) + " IS NULL AND " + where + ")", "NULL"},
			judge: func(of, failed int64, _ string) warehouse.Verdict {
				return shared(check, of, failed, fmt.Sprintf("%d of %d rows have no %s", failed, of, col.Name))
			},
		}, true, nil
	}
	meets, wanted, err := condition(check, col)
	if err != nil || meets == "" {
		return m, false, err
	}
	fails := fmt.Sprintf("FILTER (WHERE %s IS NOT NULL AND NOT coalesce(%s, false) AND %s)", name(col.Name), meets, where)
	return measure{
		exprs: []string{
			fmt.Sprintf("count(%s) FILTER (WHERE %s)", name(col.Name), where), "count(*) " + fails,
			fmt.Sprintf("CAST(min(%s) %s AS VARCHAR)", name(col.Name), fails),
		},
		judge: func(of, failed int64, example string) warehouse.Verdict {
			return shared(check, of, failed, fmt.Sprintf("%s is %s in one of %d rows: wanted %s", col.Name, shorten(example), failed, wanted))
		},
	}, true, nil
}

// condition is what a value that is not null must meet, in SQL and in words; "" for kinds that are not about one value.
func condition(check warehouse.Check, col warehouse.Column) (meets, wanted string, err error) {
	column := name(col.Name)
	switch check.Kind {
	case "range":
		t := parseType(strings.ToUpper(col.Type))
		if integers[strings.ToUpper(col.Type)] == 0 && t.kind != floating && !strings.HasPrefix(strings.ToUpper(col.Type), "DECIMAL") {
			return "", "", fmt.Errorf("%s: a range is of numbers, and %s is %s", check.ID, col.Name, col.Type)
		}
		var parts []string
		if t.kind == floating {
			parts = append(parts, "NOT isnan("+column+")")
		}
		if check.Min != nil {
			parts = append(parts, column+" >= "+number64(*check.Min))
		}
		if check.Max != nil {
			parts = append(parts, column+" <= "+number64(*check.Max))
		}
		return "(" + strings.Join(parts, " AND ") + ")", bounds(check), nil
	case "accepted_values":
		values := make([]string, len(check.Values))
		for i, v := range check.Values {
			values[i] = fmt.Sprintf("TRY_CAST(%s AS %s)", text(v), col.Type)
		}
		return column + " IN (" + strings.Join(values, ", ") + ")", "one of " + shorten(strings.Join(check.Values, ", ")), nil
	case "pattern":
		return fmt.Sprintf("regexp_matches(CAST(%s AS VARCHAR), %s)", column, text(check.Pattern)), "what matches " + check.Pattern, nil
	}
	return "", "", nil
}

func number64(f float64) string {
	if s := strconv.FormatFloat(f, 'f', -1, 64); !strings.Contains(s, ".") && len(s) <= 15 {
		return s
	}
	return "CAST('" + strconv.FormatFloat(f, 'g', -1, 64) + "' AS DOUBLE)"
}

// bounds is min and max in words.
func bounds(check warehouse.Check) string {
	write := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch {
	case check.Min != nil && check.Max != nil && *check.Min == *check.Max:
		return write(*check.Min)
	case check.Min != nil && check.Max != nil:
		return write(*check.Min) + " to " + write(*check.Max)
	case check.Min != nil:
		return "at least " + write(*check.Min)
	case check.Max != nil:
		return "at most " + write(*check.Max)
	}
	return "anything"
}

// shared is a verdict about the share of rows that meet a check: at least Min for kinds that have one, else all.
func shared(check warehouse.Check, of, failed int64, example string) warehouse.Verdict {
	v := warehouse.Verdict{Value: 1, Weight: of, Passed: true}
	if of == 0 {
		return v
	}
	v.Value = float64(of-failed) / float64(of)
	least := 1.0
	if check.Min != nil && (check.Kind == "not_null" || check.Kind == "relationship") {
		least = *check.Min
		example += fmt.Sprintf(" (%.4g, wanted at least %.4g)", v.Value, least)
	}
	if v.Passed = v.Value >= least; !v.Passed {
		v.Example = example
	}
	return v
}

// within reports whether a value lies in the check's bounds.
func within(check warehouse.Check, value float64) bool {
	return (check.Min == nil || value >= *check.Min) && (check.Max == nil || value <= *check.Max)
}

// counted is a verdict about a number of rows.
func counted(check warehouse.Check, rows int64) warehouse.Verdict {
	v := warehouse.Verdict{Value: float64(rows), Weight: rows, Passed: within(check, float64(rows))}
	if !v.Passed {
		v.Example = fmt.Sprintf("%d rows, wanted %s", rows, bounds(check))
	}
	return v
}

// scan runs the shared measures, and counts the rows of partitions where that is not known and is wanted.
func (e *examination) scan(ctx context.Context, measures []measure, count bool, verdicts []map[calendar.Partition]warehouse.Verdict) error {
	if len(measures) == 0 && (!count || len(e.rows) > 0) {
		return nil
	}
	var b strings.Builder
	b.WriteString("SELECT headway_p, count(*)")
	const each = 3
	for _, m := range measures {
		verdicts[m.check] = map[calendar.Partition]warehouse.Verdict{}
		for _, x := range m.exprs {
			b.WriteString(", ")
			b.WriteString(x)
		}
	}
	b.WriteString(" FROM " + e.from + " GROUP BY headway_p")
	var p sql.NullInt64
	var rows int64
	numbers := make([]int64, 2*len(measures))
	examples := make([]sql.NullString, len(measures))
	places := append(make([]any, 0, 2+each*len(measures)), &p, &rows)
	for i := range measures {
		places = append(places, &numbers[2*i], &numbers[2*i+1], &examples[i])
	}
	return e.c.rows(ctx, b.String(), func(r *sql.Rows) error {
		if err := r.Scan(places...); err != nil {
			return err
		}
		if !p.Valid {
			return nil
		}
		at := calendar.Partition(p.Int64)
		e.rows[at] = rows
		for i, m := range measures {
			verdicts[m.check][at] = m.judge(numbers[2*i], numbers[2*i+1], examples[i].String)
		}
		return nil
	})
}

// quarantine keeps the rows of partitions that failed aside, in the file.
func (c *conn) quarantine(ctx context.Context, e *examination, stage *warehouse.Stage, verdicts []warehouse.Verdict) error {
	var failed []calendar.Partition
	for _, v := range verdicts {
		if !v.Passed && !v.Warn {
			failed = append(failed, v.Partition)
		}
	}
	if stage == nil || len(failed) == 0 || c.w.opts.ReadOnly {
		return nil
	}
	at := relation{stages, stageName(prefixQuarantine, stage.Attempt, e.target.Table)}
	_, err := c.exec(ctx, fmt.Sprintf("CREATE OR REPLACE TABLE %s AS SELECT * FROM %s WHERE %s LIMIT %d",
		at.in(c.w.catalog), stage.Relation, e.cut.filter(calendar.Of(failed...)), maxQuarantineRows))
	if err != nil {
		return fmt.Errorf("keep what failed aside: %w", err)
	}
	var kept []string
	oids := map[string]int64{}
	if err := c.rows(ctx, "SELECT table_name, table_oid FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND starts_with(table_name, ?)",
		func(r *sql.Rows) error {
			var table string
			var oid int64
			if err := r.Scan(&table, &oid); err != nil {
				return err
			}
			kept, oids[table] = append(kept, table), oid
			return nil
		}, c.w.catalog, stages, prefixQuarantine); err != nil {
		return err
	}
	sort.Slice(kept, func(i, k int) bool { return oids[kept[i]] < oids[kept[k]] })
	for len(kept) > maxQuarantineKept {
		if _, err := c.exec(ctx, "DROP TABLE IF EXISTS "+relation{stages, kept[0]}.in(c.w.catalog)); err != nil {
			return err
		}
		kept = kept[1:]
	}
	return nil
}
