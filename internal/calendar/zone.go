package calendar

import (
	"fmt"
	"sync"
	"time"
)

var zones sync.Map // name → *time.Location; filled by LoadZone only

// LoadZone looks up an IANA zone by name, "" being UTC. It refuses "Local", which means another thing on every machine.
func LoadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	if name == "Local" {
		return nil, fmt.Errorf("time zone %q means another place on every machine: name it, like America/New_York", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not known: write an IANA name, like America/New_York", name)
	}
	zones.Store(name, loc)
	return loc, nil
}

// hourPhase is what must be added to Unix seconds for the zone's hour marks to fall on multiples of 3600: 1800 in Asia/Kolkata.
func (a Axis) hourPhase() int64 {
	if a.Zone == "" {
		return 0
	}
	// The offset of today, not of 1970: some zones moved to whole hours since.
	_, offset := time.Date(2020, 1, 1, 0, 0, 0, 0, a.location()).Zone()
	return int64(((offset % 3600) + 3600) % 3600)
}

// firstInstant is the first instant of a civil day: midnight, or, where the clock jumps over midnight, the instant after the jump.
func firstInstant(y int, m time.Month, d int, loc *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, loc)
	// time.Date gives, for a midnight that does not exist, a time on either side of the jump (package time, Date): go on to the day.
	if ty, tm, td := t.Date(); ty != y || tm != m || td != d {
		_, end := t.ZoneBounds()
		return end
	}
	// For a midnight that exists twice it may give the second: take the first.
	if before := t.Add(-time.Hour); sameDay(before, y, m, d) {
		return before
	}
	return t
}

func sameDay(t time.Time, y int, m time.Month, d int) bool {
	ty, tm, td := t.Date()
	return ty == y && tm == m && td == d
}
