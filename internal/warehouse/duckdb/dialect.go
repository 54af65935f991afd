package duckdb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
)

// name quotes an identifier.
func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// text quotes a text.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// trim takes away what ends a query.
func trim(query string) string { return strings.TrimRight(query, "; \t\r\n") }

// names quotes identifiers, in a list.
func names(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = name(s)
	}
	return strings.Join(out, ", ")
}

// A relation is a table's place in the file.
type relation struct{ schema, table string }

func parseRelation(s string) relation {
	if schema, table, ok := strings.Cut(s, "."); ok {
		return relation{unquote(schema), unquote(table)}
	}
	return relation{"main", unquote(s)}
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
	}
	return s
}

// in is the relation's full name in a catalog: what Headway's own statements use.
func (r relation) in(catalog string) string {
	return name(catalog) + "." + name(r.schema) + "." + name(r.table)
}

// Relation quotes "t" or "schema.t". Where the schema is called like the file, DuckDB could not tell which is meant: then the file's
// name stands before it.
func (w *Warehouse) Relation(s string) string {
	r := parseRelation(s)
	switch {
	case strings.EqualFold(r.schema, w.catalog):
		return r.in(w.catalog)
	case r.schema == "main" && !strings.Contains(s, "."):
		return name(r.table)
	}
	return name(r.schema) + "." + name(r.table)
}

// Literal is the start of a partition: a DATE for days and months, a TIMESTAMPTZ with the zone's offset for hours, 0 for what has no
// partitions.
func (w *Warehouse) Literal(axis calendar.Axis, p calendar.Partition) string {
	switch axis.Grain {
	case calendar.Day:
		return "DATE '" + calendar.Date(p).String() + "'"
	case calendar.Month:
		return "DATE '" + axis.ID(p) + "-01'"
	case calendar.Hour:
		return "TIMESTAMPTZ '" + axis.Start(p).Format("2006-01-02 15:04:05-07:00") + "'"
	}
	return "0"
}

// Cells writes partition_start and partition_end as Literal does, and periods' starts as DATE.
func (w *Warehouse) Cells(axis calendar.Axis, set calendar.Set, periods map[string][]calendar.Interval) string {
	start, end := cell(axis, "p"), cell(axis, "p + 1")
	var b strings.Builder
	fmt.Fprintf(&b, "(SELECT %s AS partition_start, %s AS partition_end", start, end)
	days := calendar.Axis{Grain: calendar.Day, Zone: axis.Zone}
	called := make([]string, 0, len(periods))
	for period := range periods {
		called = append(called, period)
	}
	slices.Sort(called)
	for _, period := range called {
		b.WriteString(", CASE")
		written := false
		for _, iv := range periods[period] {
			cells := days.Convert(iv, axis)
			if axis.Grain == calendar.None || !calendar.NewSet(cells).Overlaps(set) {
				continue
			}
			written = true
			fmt.Fprintf(&b, " WHEN p >= %d AND p < %d THEN DATE '%s'", cells.Start, cells.End, calendar.Date(iv.Start))
		}
		if !written {
			b.WriteString(" WHEN false THEN DATE '1970-01-01'")
		}
		fmt.Fprintf(&b, " END AS %s", name(period+"_start"))
	}
	fmt.Fprintf(&b, " FROM %s)", members(set))
	return b.String()
}

// cell is the start of the partition whose number is an expression, as Literal writes it.
func cell(axis calendar.Axis, p string) string {
	switch axis.Grain {
	case calendar.Day:
		return "DATE '1970-01-01' + CAST(" + p + " AS INTEGER)"
	case calendar.Month:
		return "CAST(DATE '1970-01-01' + to_months(CAST(" + p + " AS INTEGER)) AS DATE)"
	case calendar.Hour:
		return fmt.Sprintf("to_timestamp((%s) * 3600 - (%d))", p, phase(axis))
	}
	return p
}

// phase is what the axis adds to Unix seconds to have hour marks at multiples of 3600.
func phase(axis calendar.Axis) int64 { return -axis.Start(0).Unix() }

// members is a relation with the column p that has a row for each member of the set. Few members are listed, which tells the optimiser
// how many there are.
func members(set calendar.Set) string {
	const few = 4096
	var b strings.Builder
	if set.Empty() {
		return "(SELECT CAST(0 AS BIGINT) AS p WHERE false) AS cells(p)"
	}
	if set.Count() > few {
		b.WriteString("(SELECT unnest(range(s, e)) AS p FROM (VALUES ")
		for i, iv := range set.Intervals() {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "(%d::BIGINT, %d::BIGINT)", iv.Start, iv.End)
		}
		b.WriteString(") AS ranges(s, e)) AS cells(p)")
		return b.String()
	}
	b.WriteString("(VALUES ")
	first := true
	for p := range set.Partitions() {
		if first {
			first = false
			fmt.Fprintf(&b, "(%d::BIGINT)", p)
			continue
		}
		b.WriteString(", (")
		b.WriteString(strconv.FormatInt(int64(p), 10))
		b.WriteByte(')')
	}
	b.WriteString(") AS cells(p)")
	return b.String()
}
