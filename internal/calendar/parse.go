package calendar

import (
	"fmt"
	"strconv"
	"time"
)

// An example of each grain's ids, for messages.
var examples = [...]string{None: "all", Hour: "2024-01-05T13", Day: "2024-01-05", Month: "2024-01"}

// Parse reads the id of a partition of this axis, and nothing else: 2024-01, 2024-01-05, 2024-01-05T13:00:00-05:00 as ID prints it, all.
// An hour may also be written by the clock, 2024-01-05T13, unless the clock skips or repeats it. Years go from 0001 to 9999. The error
// quotes the text and says what to write.
func (a Axis) Parse(text string) (Partition, error) {
	grain, ok := grainOf(text)
	switch {
	case !ok:
		return 0, fmt.Errorf("%s is not a partition of grain %s: write it like %s", quoted(text), a.Grain, examples[a.Grain])
	case grain != a.Grain:
		return 0, fmt.Errorf("%s is of grain %s, and the partitions here are of grain %s: write it like %s",
			quoted(text), grain, a.Grain, examples[a.Grain])
	}
	switch grain {
	case Hour:
		return a.parseHour(text)
	case Day:
		d, err := parseDate(text)
		return Partition(d), err
	case Month:
		d, err := parseDate(text + "-01")
		if err != nil {
			return 0, err
		}
		return d.month(), nil
	default:
		return 0, nil
	}
}

// grainOf tells by its shape of which grain an id is.
func grainOf(text string) (Grain, bool) {
	switch {
	case text == examples[None]:
		return None, true
	case shaped(text, "0000-00"):
		return Month, true
	case shaped(text, "0000-00-00"):
		return Day, true
	case len(text) >= 13 && shaped(text[:13], "0000-00-00T00") && (len(text) == 13 || text[13] == ':'):
		return Hour, true
	}
	return None, false
}

// shaped reports whether text has a digit wherever pattern has a 0, and is equal to it elsewhere.
func shaped(text, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i := range len(text) {
		digit := text[i] >= '0' && text[i] <= '9'
		if pattern[i] == '0' && !digit || pattern[i] != '0' && text[i] != pattern[i] {
			return false
		}
	}
	return true
}

// number is the value of digits; shaped has seen that they are some.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic("calendar: not digits: " + digits)
	}
	return n
}

// parseDate reads a text of the shape 0000-00-00.
func parseDate(text string) (Date, error) {
	y, m, d := number(text[:4]), time.Month(number(text[5:7])), number(text[8:])
	switch {
	case y == 0:
		return 0, fmt.Errorf("%s: years begin with 0001", quoted(text))
	case m < time.January || m > time.December:
		return 0, fmt.Errorf("%s: there is no month %02d", quoted(text), int(m))
	}
	if d < 1 || d > daysIn(y, m) {
		return 0, fmt.Errorf("%s: %s %d has the days 1 to %d", quoted(text), m, y, daysIn(y, m))
	}
	return DateOf(y, m, d), nil
}

// parseHour reads 2024-01-05T13 and 2024-01-05T13:00:00-05:00.
func (a Axis) parseHour(text string) (Partition, error) {
	day, err := parseDate(text[:10])
	if err != nil {
		return 0, err
	}
	if len(text) == 13 {
		return a.parseClock(text, day, number(text[11:]))
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("%s is not an hour: write it like %s or %s", quoted(text), examples[Hour], a.ID(a.At(day.noon())))
	}
	// Offsets are written in whole minutes. Where a zone's had seconds, the id's instant is a little off: look at the neighbours too.
	p := a.At(t)
	for _, q := range []Partition{p, p - 1, p + 1} {
		if a.ID(q) == text {
			return q, nil
		}
	}
	return 0, a.notAnHour(text, p)
}

// parseClock gives the hour that begins when the zone's clock shows the date and hour.
func (a Axis) parseClock(text string, day Date, hour int) (Partition, error) {
	if hour > 23 {
		return 0, fmt.Errorf("%s: hours go from 00 to 23", quoted(text))
	}
	wall := int64(day)*86400 + int64(hour)*3600
	z := a.zone()
	var shown []int64 // the seconds at which the clock shows wall
	for s := stretchAt(wall-maxOffset, z.loc); ; s = stretchAt(s.end, z.loc) {
		if sec := wall - s.offset; s.start <= sec && sec < s.end {
			shown = append(shown, sec)
		}
		if s.end > wall+maxOffset {
			break
		}
	}
	if len(shown) == 0 {
		next := a.atSecond(firstShowing(wall, z.loc), z)
		return 0, fmt.Errorf("%s does not exist: the clock of %s jumps over it to %s", quoted(text), a.zoneName(), a.ID(next))
	}
	p := a.atSecond(shown[0], z)
	switch {
	case len(shown) > 1:
		second := a.atSecond(shown[1], z)
		return 0, fmt.Errorf("%s happens twice in %s: write %s or %s", quoted(text), a.zoneName(), a.ID(p), a.ID(second))
	case a.startSecond(p, z) != shown[0]:
		return 0, a.notAnHour(text, p)
	}
	return p, nil
}

func (a Axis) notAnHour(text string, p Partition) error {
	return fmt.Errorf("%s is not the id of an hour in %s: it lies in %s", quoted(text), a.zoneName(), a.ID(p))
}

// noon is an instant of the date, whatever the zone.
func (d Date) noon() time.Time { return time.Unix(int64(d)*86400+43200, 0) }

func (a Axis) zoneName() string {
	if a.Zone == "" {
		return "UTC"
	}
	return a.Zone
}
