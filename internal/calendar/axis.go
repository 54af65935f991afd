package calendar

import (
	"fmt"
	"time"
)

// A Grain is the size of a partition.
type Grain uint8

// The grains. None is the grain of a table that is replaced whole: its one partition has the number 0 and the id "all".
const (
	None Grain = iota
	Hour
	Day
	Month
)

func (g Grain) String() string {
	return [...]string{"none", "hour", "day", "month"}[g]
}

// ParseGrain reads hour, day, month or none.
func ParseGrain(s string) (Grain, error) {
	for _, g := range []Grain{None, Hour, Day, Month} {
		if s == g.String() {
			return g, nil
		}
	}
	return None, fmt.Errorf("grain %q is not one of hour, day, month", s)
}

// An Axis numbers the partitions of a table: a grain in a time zone. Days and months are civil: their number does not depend on the
// zone, their instants do. Hours are counted on the zone's own hour marks, so a day has 23 or 25 of them where the clock changes.
// Two axes are equal (==) when grain and zone name are.
type Axis struct {
	Grain Grain
	// Zone is an IANA name; "" means UTC. It must have been checked with LoadZone.
	Zone string
}

// Whole is the axis of unpartitioned tables.
func Whole() Axis { return Axis{Grain: None} }

// Zones are looked up once per name; LoadLocation caches nothing.
func (a Axis) location() *time.Location {
	loc, err := LoadZone(a.Zone)
	if err != nil {
		panic("calendar: axis with a zone that was never checked: " + err.Error())
	}
	return loc
}

// Instants gives the absolute time [start, end) of a partition. For Grain None it is all of time (two zero values).
func (a Axis) Instants(p Partition) (start, end time.Time) { return a.Start(p), a.Start(p + 1) }

// Start is the instant at which partition p begins: for days and months the first instant of the civil day in the zone.
func (a Axis) Start(p Partition) time.Time {
	switch a.Grain {
	case Hour:
		return time.Unix(int64(p)*3600-a.hourPhase(), 0).In(a.location())
	case Day:
		y, m, d := Date(p).Civil()
		return firstInstant(y, m, d, a.location())
	case Month:
		y, m := monthCivil(p)
		return firstInstant(y, m, 1, a.location())
	}
	return time.Time{}
}

// At is the partition in which an instant lies.
func (a Axis) At(t time.Time) Partition {
	switch a.Grain {
	case Hour:
		return Partition(floorDiv(t.Unix()+a.hourPhase(), 3600))
	case Day:
		y, m, d := t.In(a.location()).Date()
		return Partition(DateOf(y, m, d))
	case Month:
		y, m, _ := t.In(a.location()).Date()
		return MonthOf(y, m)
	}
	return 0
}

// Convert gives the partitions of another axis that overlap the interval. Between days and months of one zone it is civil
// arithmetic; otherwise it goes through instants. Open ends stay open. To or from Grain None everything overlaps everything.
func (a Axis) Convert(iv Interval, to Axis) Interval {
	switch {
	case iv.Empty():
		return Interval{}
	case a == to:
		return iv
	case to.Grain == None:
		return Single(0)
	case a.Grain == None:
		return Everything()
	}
	return Interval{a.convertStart(iv.Start, to), a.convertEnd(iv.End, to)}
}

// convertStart is the partition of the other axis in which p begins.
func (a Axis) convertStart(p Partition, to Axis) Partition {
	if p <= Beginning || p >= Horizon {
		return min(max(p, Beginning), Horizon)
	}
	if a.Zone == to.Zone && a.Grain == Day && to.Grain == Month {
		y, m, _ := Date(p).Civil()
		return MonthOf(y, m)
	}
	if a.Zone == to.Zone && a.Grain == Month && to.Grain == Day {
		y, m := monthCivil(p)
		return Partition(DateOf(y, m, 1))
	}
	return to.At(a.Start(p))
}

// convertEnd is one past the partition of the other axis in which the last instant before p lies.
func (a Axis) convertEnd(p Partition, to Axis) Partition {
	if p <= Beginning || p >= Horizon {
		return min(max(p, Beginning), Horizon)
	}
	if a.Zone == to.Zone && a.Grain == Day && to.Grain == Month {
		y, m, _ := Date(p - 1).Civil()
		return MonthOf(y, m) + 1
	}
	if a.Zone == to.Zone && a.Grain == Month && to.Grain == Day {
		y, m := monthCivil(p)
		return Partition(DateOf(y, m, 1))
	}
	return to.At(a.Start(p).Add(-time.Nanosecond)) + 1
}

// ConvertSet converts each interval of a set and keeps what overlaps.
func (a Axis) ConvertSet(s Set, to Axis) Set {
	if a == to {
		return s
	}
	out := make([]Interval, 0, len(s.ivs))
	for _, iv := range s.ivs {
		out = append(out, a.Convert(iv, to))
	}
	return NewSet(out...)
}

// ID is the partition's name as people type it and JSON carries it: 2024-01, 2024-01-05, 2024-01-05T13:00:00-05:00, all.
func (a Axis) ID(p Partition) string {
	switch a.Grain {
	case Hour:
		return a.Start(p).Format(time.RFC3339)
	case Day:
		return Date(p).String()
	case Month:
		y, m := monthCivil(p)
		return fmt.Sprintf("%04d-%02d", y, int(m))
	}
	return "all"
}

// Due is the instant from which partition p is expected: its end plus a delay. An unpartitioned table is always due.
func (a Axis) Due(p Partition, after time.Duration) time.Time {
	if a.Grain == None {
		return time.Time{}
	}
	return a.Start(p + 1).Add(after)
}

// DueBefore is the open interval of partitions that are due at the instant now: [Beginning, x).
func (a Axis) DueBefore(now time.Time, after time.Duration) Interval {
	if a.Grain == None {
		return Single(0)
	}
	// The partition in which now-after lies has not ended; the one before it has.
	return Interval{Beginning, a.At(now.Add(-after))}
}
