package calendar

import (
	"fmt"
	"time"
)

// EveryCell is the calendar that expects every partition of the interval.
func EveryCell(iv Interval) Set { return NewSet(iv) }

// Weekdays is the calendar, of a day axis, that expects the days from Monday to Friday. Between the years 0001 and 9999: the days of an
// open interval could not be counted.
func Weekdays(iv Interval) Set {
	lo := max(iv.Start, Partition(firstDate))
	hi := min(iv.End, Partition(DateOf(10000, time.January, 1)))
	if lo >= hi {
		return Set{}
	}
	const week = 7
	monday := lo - Partition(modulo(int64(Date(lo).Weekday()-time.Monday), week))
	out := make([]Interval, 0, (hi-monday)/week+1)
	for ; monday < hi; monday += week {
		if days := (Interval{monday, monday + 5}).Intersect(Interval{lo, hi}); !days.Empty() {
			out = append(out, days)
		}
	}
	return Set{out}
}

// FromDates is the calendar, of a day axis, that expects the given dates, in any order, duplicates allowed.
func FromDates(dates ...Date) Set {
	ps := make([]Partition, len(dates))
	for i, d := range dates {
		ps[i] = Partition(d)
	}
	return Of(ps...)
}

// A ListError says which text of a list is not a partition.
type ListError struct {
	Index int // from 0
	Err   error
}

func (e *ListError) Error() string { return fmt.Sprintf("entry %d: %v", e.Index+1, e.Err) }
func (e *ListError) Unwrap() error { return e.Err }

// ParseList reads the calendar that a file or a query lists: ids of the axis, in any order, duplicates allowed. The first text that is
// not one gives a *ListError.
func ParseList(axis Axis, texts []string) (Set, error) {
	ps := make([]Partition, len(texts))
	for i, text := range texts {
		p, err := axis.Parse(text)
		if err != nil {
			return Set{}, &ListError{Index: i, Err: err}
		}
		ps[i] = p
	}
	return Of(ps...), nil
}
