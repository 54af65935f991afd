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
// zone, their instants do. Hours lie on the zone's own hour marks, so a day has 23 or 25 of them where the clock changes.
// Two axes are equal (==) when grain and zone name are. An axis must have passed CheckAxis before it is used.
type Axis struct {
	Grain Grain
	// Zone is an IANA name; "" means UTC.
	Zone string
}

// Whole is the axis of unpartitioned tables.
func Whole() Axis { return Axis{Grain: None} }

// zone is the axis's time zone; zones are looked up once per name.
func (a Axis) zone() *zone {
	z, err := lookUp(a.Zone)
	if err != nil {
		panic("calendar: axis with a zone that was never checked: " + err.Error())
	}
	return z
}

// The arithmetic of instants ends a million years from 1970. What lies further away is treated as lying there: partitions up to
// Beginning and Horizon have instants, and nothing overflows.
const (
	farYears  = 1_000_000
	farMonths = 12 * farYears
	farDays   = farYears / 400 * 146097
	farHours  = 24 * farDays
)

// far is the last partition of the grain that has an instant of its own; the first is its negative.
func (g Grain) far() Partition {
	return [...]Partition{None: 0, Hour: farHours, Day: farDays, Month: farMonths}[g]
}

func (g Grain) clamp(p Partition) Partition { return min(max(p, -g.far()), g.far()) }

// Instants gives the absolute time [start, end) of a partition. For Grain None it is all of time (two zero values). A civil day that
// the zone skipped (2011-12-30 in Pacific/Apia) has no time: start equals end.
func (a Axis) Instants(p Partition) (start, end time.Time) {
	return a.Start(p), a.Start(min(p, Horizon) + 1)
}

// Start is the instant at which partition p begins: for days and months the first at which the zone's clock shows the civil day or a
// later one. It never falls as p grows.
func (a Axis) Start(p Partition) time.Time {
	if a.Grain == None {
		return time.Time{}
	}
	z := a.zone()
	return time.Unix(a.startSecond(p, z), 0).In(z.loc)
}

func (a Axis) startSecond(p Partition, z *zone) int64 {
	q := a.Grain.clamp(p)
	switch a.Grain {
	case Hour:
		return int64(q)*3600 - z.phase
	case Month:
		return firstShowing(int64(firstOfMonth(q))*86400, z.loc)
	default:
		return firstShowing(int64(q)*86400, z.loc)
	}
}

// At is the partition in which an instant lies: the last p with Start(p) <= t. Where a clock goes back over midnight, that is the later
// day already from the first time its date is shown.
func (a Axis) At(t time.Time) Partition {
	if a.Grain == None {
		return 0
	}
	return a.atSecond(t.Unix(), a.zone())
}

func (a Axis) atSecond(sec int64, z *zone) Partition {
	sec = min(max(sec, -farHours*3600), farHours*3600)
	if a.Grain == Hour {
		return Partition(floorDiv(sec+z.phase, 3600))
	}
	day := Date(floorDiv(highestShown(sec, z.loc), 86400))
	if a.Grain == Month {
		return day.month()
	}
	return Partition(day)
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
	switch {
	case p <= -a.Grain.far():
		return Beginning
	case p >= a.Grain.far():
		return to.Grain.far()
	case a.Zone == to.Zone && a.Grain == Day && to.Grain == Month:
		return Date(p).month()
	case a.Zone == to.Zone && a.Grain == Month && to.Grain == Day:
		return Partition(firstOfMonth(p))
	}
	return to.atSecond(a.startSecond(p, a.zone()), to.zone())
}

// convertEnd is one past the partition of the other axis in which the last second before p lies.
func (a Axis) convertEnd(p Partition, to Axis) Partition {
	switch {
	case p <= -a.Grain.far():
		return -to.Grain.far()
	case p >= a.Grain.far():
		return Horizon
	case a.Zone == to.Zone && a.Grain == Day && to.Grain == Month:
		return Date(p-1).month() + 1
	case a.Zone == to.Zone && a.Grain == Month && to.Grain == Day:
		return Partition(firstOfMonth(p))
	}
	return to.atSecond(a.startSecond(p, a.zone())-1, to.zone()) + 1
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
	return a.Start(min(p, Horizon) + 1).Add(after)
}

// DueBefore is the open interval of partitions that are due at the instant now: [Beginning, x).
func (a Axis) DueBefore(now time.Time, after time.Duration) Interval {
	if a.Grain == None {
		return Single(0)
	}
	// The partition in which now-after lies has not ended; the one before it has.
	return Interval{Beginning, a.At(now.Add(-after))}
}
