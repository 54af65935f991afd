package duckdb

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// A timeKind is how a partition column writes time.
type timeKind uint8

const (
	whole   timeKind = iota // no partition column
	number                  // BIGINT: the partition itself, in relations of Headway's own
	date                    // DATE: civil
	civil                   // TIMESTAMP: civil time for days and months, UTC for hours
	instant                 // TIMESTAMPTZ
	iso                     // VARCHAR: ISO 8601
)

// A cutter maps the rows of a relation to partitions.
type cutter struct {
	axis   calendar.Axis
	column string // quoted
	kind   timeKind
}

// newCutter finds the target's partition column among the columns of a relation.
func newCutter(t warehouse.Target, relation string, columns []warehouse.Column) (cutter, error) {
	c := cutter{axis: t.Axis, kind: whole}
	if t.Axis.Grain == calendar.None || t.Column == "" {
		c.axis = calendar.Whole()
		return c, nil
	}
	col, ok := findColumn(columns, t.Column)
	if !ok {
		return c, &warehouse.SchemaError{
			Relation: relation, Column: t.Column, Found: "no such column", Wanted: "the partition column",
			Next: "it has " + listColumns(columns),
		}
	}
	c.column = name(col.Name)
	switch upper := strings.ToUpper(col.Type); {
	case upper == "DATE":
		c.kind = date
	case upper == "TIMESTAMP WITH TIME ZONE":
		c.kind = instant
	case strings.HasPrefix(upper, "TIMESTAMP"):
		c.kind = civil
	case upper == "VARCHAR":
		c.kind = iso
	default:
		return c, &warehouse.SchemaError{
			Relation: relation, Column: t.Column, Found: col.Type, Wanted: "a date, a timestamp or an ISO date as text",
			Next: "cast the partition column to DATE or TIMESTAMPTZ",
		}
	}
	return c, nil
}

func findColumn(columns []warehouse.Column, wanted string) (warehouse.Column, bool) {
	for _, c := range columns {
		if strings.EqualFold(c.Name, wanted) {
			return c, true
		}
	}
	return warehouse.Column{}, false
}

func listColumns(columns []warehouse.Column) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return shorten(strings.Join(out, ", "))
}

// partition is the expression for the number of the partition in which a row lies: a BIGINT, null where there is none.
func (c cutter) partition() string {
	switch {
	case c.kind == whole:
		return "CAST(0 AS BIGINT)"
	case c.kind == number:
		return c.column
	case c.axis.Grain == calendar.Hour:
		return c.hour()
	case c.axis.Grain == calendar.Month:
		d := c.day()
		return fmt.Sprintf("((year(%s) - 1970) * 12 + month(%s) - 1)", d, d)
	}
	d := c.day()
	return fmt.Sprintf("CASE WHEN isfinite(%s) THEN %s - DATE '1970-01-01' END", d, d)
}

// day is the civil date of a row.
func (c cutter) day() string {
	switch c.kind {
	case civil:
		return "CAST(" + c.column + " AS DATE)"
	case instant:
		zone := c.axis.Zone
		if zone == "" {
			zone = "UTC"
		}
		shown := fmt.Sprintf("CAST(timezone(%s, %s) AS DATE)", text(zone), c.column)
		again := shownTwice(c.axis)
		if len(again) == 0 {
			return shown
		}
		var b strings.Builder
		b.WriteString("CASE")
		for _, r := range again {
			fmt.Fprintf(&b, " WHEN %s >= to_timestamp(%d) AND %s < to_timestamp(%d) THEN DATE '%s'", c.column, r.from, c.column, r.to, r.day)
		}
		b.WriteString(" ELSE " + shown + " END")
		return b.String()
	case iso:
		if c.axis.Grain == calendar.Month {
			return fmt.Sprintf("TRY_CAST(CASE WHEN length(%s) = 7 THEN %s || '-01' ELSE %s END AS DATE)", c.column, c.column, c.column)
		}
		return "TRY_CAST(" + c.column + " AS DATE)"
	default:
		return c.column
	}
}

// hour is the number of the hour in which a row lies. The shift keeps the dividend positive for all times since 4000 BC, because
// integer division rounds towards zero.
func (c cutter) hour() string {
	at := c.column
	switch c.kind {
	case date:
		at = "CAST(" + c.column + " AS TIMESTAMP)"
	case iso:
		at = "TRY_CAST(" + c.column + " AS TIMESTAMPTZ)"
	}
	const perHour, shift = 3_600_000_000, 60_000_000
	return fmt.Sprintf("CASE WHEN isfinite(%s) THEN ((epoch_us(%s) + (%d)) // %d) - %d END",
		at, at, phase(c.axis)*1_000_000+shift*perHour, int64(perHour), shift)
}

// A repeat is a stretch of seconds [from, to) in which the zone's clock, put back over midnight, shows a day that is over: by the
// calendar the rows of it belong to the day that was shown before.
type repeat struct {
	from, to int64
	day      calendar.Date
}

// repeats holds what findRepeats found, by the zone's name.
var repeats sync.Map

// shownTwice lists the stretches of an axis's zone; most zones have none.
func shownTwice(axis calendar.Axis) []repeat {
	if known, ok := repeats.Load(axis.Zone); ok {
		return known.([]repeat) //nolint:forcetypeassert // nothing else is stored
	}
	found := findRepeats(axis.Start(0).Location())
	repeats.Store(axis.Zone, found)
	return found
}

// findRepeats looks at every change of the zone's clock from 1900 to 2100.
func findRepeats(loc *time.Location) []repeat {
	if loc == time.UTC {
		return nil
	}
	civil := func(sec int64) int64 { // seconds since 1970 that the clock shows
		_, offset := time.Unix(sec, 0).In(loc).Zone()
		return sec + int64(offset)
	}
	const perDay = 86400
	var out []repeat
	at := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
	for last := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC); at.Before(last); {
		_, end := at.ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(at) { // package time loses the last day of leap years after its tables end
			at = at.Add(perDay * time.Second)
			continue
		}
		t := end.Unix()
		before, after := floorDay(civil(t-1)), floorDay(civil(t))
		if before > after {
			out = append(out, repeat{from: t, to: t + before*perDay - civil(t), day: calendar.Date(before)})
		}
		at = end
	}
	return out
}

func floorDay(sec int64) int64 {
	const perDay = 86400
	d := sec / perDay
	if sec%perDay < 0 {
		d--
	}
	return d
}

// few is how many intervals are written out in a condition; more are looked up in a list of partitions.
const few = 12

// near is a condition that holds for the rows of the set's partitions, and may hold for others between them: where most of what lies
// between the first and the last is in the set, that is cheaper than to tell them apart.
func (c cutter) near(set calendar.Set) string {
	if bounds := set.Bounds(); c.kind != whole && len(set.Intervals()) > few && set.Count() > bounds.Count()/2 {
		return c.within(bounds)
	}
	return c.filter(set)
}

// filter is a condition that holds exactly for the rows of the set's partitions. Where the column's own order is that of the partitions
// it is written so that DuckDB skips what lies outside.
func (c cutter) filter(set calendar.Set) string {
	switch {
	case set.Empty():
		return "false"
	case c.kind == whole:
		return "true"
	}
	ivs := set.Intervals()
	if len(ivs) <= few {
		parts := make([]string, len(ivs))
		for i, iv := range ivs {
			parts[i] = c.within(iv)
		}
		return "(" + strings.Join(parts, " OR ") + ")"
	}
	return fmt.Sprintf("(%s AND %s IN (SELECT p FROM %s))", c.within(set.Bounds()), c.partition(), members(set))
}

// The years that DuckDB's literals and ours both write the same way.
var (
	firstLiteral = time.Date(1, 1, 3, 0, 0, 0, 0, time.UTC)
	lastLiteral  = time.Date(9999, 12, 29, 0, 0, 0, 0, time.UTC)
)

// within is a condition for one interval of partitions.
func (c cutter) within(iv calendar.Interval) string {
	opens, ends := iv.Start <= c.axis.At(firstLiteral), iv.End >= c.axis.At(lastLiteral)
	column, write := c.partition(), func(p calendar.Partition) string { return strconv.FormatInt(int64(p), 10) }
	if c.ordered() {
		column, write = c.column, c.bound
	}
	var parts []string
	if !opens {
		parts = append(parts, column+" >= "+write(iv.Start))
	}
	if !ends {
		parts = append(parts, column+" < "+write(iv.End))
	}
	if opens || ends { // infinite times lie in no partition
		parts = append(parts, c.partition()+" IS NOT NULL")
	}
	if c.kind == instant && !c.ordered() {
		// Roughly the same said about the column itself, so that DuckDB skips what is far away.
		const slack = 48 * time.Hour
		if !opens {
			parts = append(parts, c.compare(">=", c.axis.Start(iv.Start).Add(-slack)))
		}
		if !ends {
			parts = append(parts, c.compare("<", c.axis.Start(iv.End).Add(slack)))
		}
	}
	return "(" + strings.Join(parts, " AND ") + ")"
}

func (c cutter) compare(op string, t time.Time) string {
	return c.column + " " + op + " TIMESTAMPTZ '" + t.UTC().Format("2006-01-02 15:04:05") + "+00'"
}

// ordered reports whether a partition's start can be written as a value of the column, so that comparing with it tells partitions apart.
func (c cutter) ordered() bool {
	switch c.kind {
	case date:
		return c.axis.Grain != calendar.Hour
	case civil:
		return true
	case instant:
		return c.axis.Grain == calendar.Hour
	default:
		return false
	}
}

// bound is a partition's start as a value of the column.
func (c cutter) bound(p calendar.Partition) string {
	first := calendar.Date(p)
	if c.axis.Grain == calendar.Month {
		first = firstOfMonth(p)
	}
	switch {
	case c.kind == instant:
		return "TIMESTAMPTZ '" + c.axis.Start(p).UTC().Format("2006-01-02 15:04:05") + "+00'"
	case c.kind == civil && c.axis.Grain == calendar.Hour:
		return "TIMESTAMP '" + c.axis.Start(p).UTC().Format("2006-01-02 15:04:05") + "'"
	case c.kind == civil:
		return "TIMESTAMP '" + first.String() + " 00:00:00'"
	default:
		return "DATE '" + first.String() + "'"
	}
}

func firstOfMonth(p calendar.Partition) calendar.Date {
	t := time.Date(1970, time.Month(1+p), 1, 0, 0, 0, 0, time.UTC)
	return calendar.DateOf(t.Year(), t.Month(), 1)
}
