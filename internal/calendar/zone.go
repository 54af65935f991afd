package calendar

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// A zone is a time zone and the place of its hour marks.
type zone struct {
	loc *time.Location
	// phase is what must be added to Unix seconds for the hour marks to fall on multiples of 3600: 1800 in Asia/Kolkata.
	phase int64
}

var (
	zones sync.Map // name → *zone; filled by lookUp only, with names that exist
	utc   = &zone{loc: time.UTC}
)

// LoadZone looks up an IANA zone by name, "" being UTC. It refuses names, like "Local", that mean another thing on every machine.
func LoadZone(name string) (*time.Location, error) {
	z, err := lookUp(name)
	if err != nil {
		return nil, err
	}
	return z.loc, nil
}

func lookUp(name string) (*zone, error) {
	if name == "" {
		return utc, nil
	}
	if v, ok := zones.Load(name); ok {
		if z, ok := v.(*zone); ok {
			return z, nil
		}
	}
	// Beside "Local", a machine's zone folder may hold copies of its own zone, and a second tree that counts leap seconds.
	if name == "Local" || name == "localtime" || name == "posixrules" || strings.HasPrefix(name, "posix/") || strings.HasPrefix(name, "right/") {
		return nil, fmt.Errorf("time zone %s means another thing on every machine: name it, like America/New_York", quoted(name))
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %s is not known: write an IANA name, like America/New_York", quoted(name))
	}
	// The offset of 2020, not of 1970: some zones moved to whole hours since. CheckAxis refuses those that still move.
	z := &zone{loc: loc, phase: modulo(stretchAt(phaseYear, loc).offset, 3600)}
	zones.Store(name, z)
	return z, nil
}

// What CheckAxis looks at, in Unix seconds: 2000-01-01 to 2050-01-01; and 2020-01-01, whose hour marks count.
const (
	marksFrom = 946684800
	phaseYear = 1577836800
	marksTo   = 2524608000
)

// CheckAxis refuses an axis that cannot be used, with the reason: an unknown zone or grain, or hours in a zone whose hour marks have
// moved since the year 2000 (Australia/Lord_Howe goes half an hour forth and back each year), so that hours do not fill its days.
// Every other function on an Axis demands that it has passed here.
func CheckAxis(a Axis) error {
	if a.Grain > Month {
		return fmt.Errorf("grain number %d is not one of none, hour, day, month", uint8(a.Grain))
	}
	z, err := lookUp(a.Zone)
	if err != nil || a.Grain != Hour {
		return err
	}
	for sec := int64(marksFrom); sec < marksTo; {
		s := stretchAt(sec, z.loc)
		if modulo(s.offset, 3600) != z.phase {
			moved := s.start
			if moved < marksFrom { // then the marks moved where this stretch ends
				moved = s.end
			}
			return fmt.Errorf("grain hour does not fit time zone %s: its clock moved by a part of an hour on %s, so hours do not fill its days; "+
				"use grain day there, or hours in UTC", a.Zone, time.Unix(moved, 0).In(z.loc).Format(time.DateOnly))
		}
		sec = s.end
	}
	return nil
}

// A stretch is a run of seconds [start, end) of Unix time over which a zone's clock is the same number of seconds ahead of UTC. It need
// not be the longest.
type stretch struct{ start, end, offset int64 }

func stretchAt(sec int64, loc *time.Location) stretch {
	s := stretch{start: math.MinInt64, end: math.MaxInt64}
	if loc == time.UTC {
		return s
	}
	t := time.Unix(sec, 0).In(loc)
	_, offset := t.Zone()
	s.offset = int64(offset)
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
		// Where a rule and no table says when clocks change, package time ends each year's last stretch after 365 days: on the last
		// day of a leap year that is over. Nothing changes before the day ends. (So neighbouring stretches may be alike, and overlap.)
		if s.end <= sec {
			s.end = (floorDiv(sec, 86400) + 1) * 86400
		}
	}
	return s
}

// No clock was ever further from UTC than this, in seconds.
const maxOffset = 24 * 3600

// firstShowing is the first second at which the zone's wall clock shows wall (seconds since 1970-01-01T00 as if the zone were UTC) or
// more: where the clock jumps over wall, the second after the jump; where it shows wall twice, the first time. It grows with wall.
func firstShowing(wall int64, loc *time.Location) int64 {
	s := stretchAt(wall-maxOffset, loc)
	for {
		if sec := max(s.start, wall-s.offset); sec < s.end {
			return sec
		}
		s = stretchAt(s.end, loc)
	}
}

// highestShown is the most that the zone's wall clock has shown up to a second. Unlike the clock itself it never goes back:
// firstShowing(wall) <= sec exactly if wall <= highestShown(sec).
func highestShown(sec int64, loc *time.Location) int64 {
	s := stretchAt(sec, loc)
	high := sec + s.offset
	for s.start > sec-2*maxOffset { // a stretch that ended before cannot have shown more
		last := s.start - 1
		s = stretchAt(last, loc)
		high = max(high, last+s.offset)
	}
	return high
}

// lowestToShow is the least that the zone's wall clock shows from a second on.
func lowestToShow(sec int64, loc *time.Location) int64 {
	s := stretchAt(sec, loc)
	low := sec + s.offset
	for s.end < sec+2*maxOffset {
		first := s.end
		s = stretchAt(first, loc)
		low = min(low, first+s.offset)
	}
	return low
}

// quoted is a text for a message: quoted, and cut where it is too long to be read.
func quoted(text string) string {
	const longest = 60
	if len(text) > longest {
		return fmt.Sprintf("%q…", text[:longest])
	}
	return fmt.Sprintf("%q", text)
}
