// Package calendar is the arithmetic of partitions: civil dates, grains, axes, half-open intervals, sets, periods and dueness.
// It does no I/O and knows no clock: whoever needs "now" passes it in.
package calendar

import "math"

// A Partition is the ordinal number of one grain cell on its axis: days since 1970-01-01, months since 1970-01, or hours on the zone's
// hour marks, 0 being the one in which 1970-01-01T00:00:00Z lies. Numbers of different axes must not be mixed; Axis.Convert goes from
// one to another.
type Partition int64

// The bounds of what a Set may hold. Horizon stands for "no end": an interval that ends there is open.
const (
	Beginning Partition = math.MinInt64 / 4
	Horizon   Partition = math.MaxInt64 / 4
)

// An Interval is the half-open range [Start, End) of partitions. It is empty when End <= Start.
type Interval struct{ Start, End Partition }

// Empty reports whether the interval holds no partition.
func (iv Interval) Empty() bool { return iv.End <= iv.Start }

// Count is the number of cells in the interval, expected or not.
func (iv Interval) Count() int {
	if iv.Empty() {
		return 0
	}
	return int(iv.End - iv.Start)
}

// Contains reports whether p lies in the interval.
func (iv Interval) Contains(p Partition) bool { return iv.Start <= p && p < iv.End }

// Intersect gives the part that both intervals hold; it may be empty.
func (iv Interval) Intersect(o Interval) Interval {
	return Interval{max(iv.Start, o.Start), min(iv.End, o.End)}
}

// Overlaps reports whether some partition lies in both.
func (iv Interval) Overlaps(o Interval) bool {
	return max(iv.Start, o.Start) < min(iv.End, o.End)
}

// Single is the interval of one partition.
func Single(p Partition) Interval { return Interval{p, p + 1} }

// Everything is the interval of all partitions.
func Everything() Interval { return Interval{Beginning, Horizon} }
