package calendar

// Offset gives the partitions of the input's axis that a window of civil offsets names for partition p: those that overlap the time
// from the start of p, moved by from units, to the end of p, moved by to units. So for a day the days -7 to -1 are the seven days
// before it, and for a month the days -7 to 0 are its own and the seven before.
//
// Hours are hours that pass. Days and months move the date on the wall clock of a's zone; a day that the month does not have becomes its
// last (a month before March 31 is February 29, or 28; an hour of that day becomes the last of that month), and of a day or an hour moved
// by months, or an hour moved by days, both ends are in: the window of an hour moved by a day ends where the hour a day off ends. A time
// that the clock skips moves to the end of the gap.
//
// Both bounds never fall as p grows. A window without length, which only a skipped time gives, may still name the partition it lies in.
// For Grain None on either side it is what Convert gives.
func (a Axis) Offset(p Partition, unit Grain, from, to int, input Axis) Interval {
	q := a.Grain.clamp(p)
	lo, hi := clampOffset(from), clampOffset(to)
	switch {
	case a.Grain == None, input.Grain == None, unit == None:
		return a.Convert(Single(q), input)
	case a == input && a.Grain == unit:
		return Interval{q + Partition(lo), q + Partition(hi) + 1}
	case unit == Hour:
		z := a.zone()
		return input.overlapping(a.startSecond(q, z)+3600*int64(lo), a.startSecond(q+1, z)+3600*int64(hi))
	case a.Grain == Hour:
		start, end := a.movedHour(q, unit, lo, hi)
		return input.overlapping(start, end)
	}
	first, end := a.movedDays(q, unit, lo, hi)
	switch {
	case a.Zone != input.Zone || input.Grain == Hour:
		z := a.zone()
		day := Axis{Day, a.Zone}
		return input.overlapping(day.startSecond(Partition(first), z), day.startSecond(Partition(end), z))
	case input.Grain == Month:
		return Interval{first.month(), (end - 1).month() + 1}
	}
	return Interval{Partition(first), Partition(end)}
}

// clampOffset keeps offsets where adding them to a clamped partition cannot overflow. A million years of hours are further than any
// window reaches.
func clampOffset(n int) int { return min(max(n, -farHours), farHours) }

// movedDays moves a day or month by days or months and gives the civil days [first, end) that it then spans.
func (a Axis) movedDays(p Partition, unit Grain, from, to int) (first, end Date) {
	switch {
	case a.Grain == Month && unit == Month:
		return firstOfMonth(p + Partition(from)), firstOfMonth(p + Partition(to) + 1)
	case a.Grain == Month:
		return firstOfMonth(p) + Date(from), firstOfMonth(p+1) + Date(to)
	case unit == Month:
		return Date(p).AddMonths(from), Date(p).AddMonths(to) + 1
	}
	return Date(p) + Date(from), Date(p) + Date(to) + 1
}

// movedHour moves an hour's first and last second by days or months on the wall clock and gives the seconds [start, end) between.
// Where the clock goes back, the start takes the least that it still shows and the end the most that it has shown, so that neither
// falls as p grows.
func (a Axis) movedHour(p Partition, unit Grain, from, to int) (start, end int64) {
	z := a.zone()
	first := moveWall(lowestToShow(a.startSecond(p, z), z.loc), unit, from)
	last := moveWall(highestShown(a.startSecond(p+1, z)-1, z.loc), unit, to)
	return firstShowing(first, z.loc), firstShowing(last+1, z.loc)
}

// moveWall moves the date of a wall clock's seconds and keeps the time of day. From a day that the month does not have it goes into the
// last hour of the month: at the same time of day it would lie before what the day before has moved to.
func moveWall(wall int64, unit Grain, n int) int64 {
	date, clock := Date(floorDiv(wall, 86400)), modulo(wall, 86400)
	if unit == Day {
		return int64(date+Date(n))*86400 + clock
	}
	moved := date.AddMonths(n)
	if _, _, day := date.Civil(); moved-firstOfMonth(moved.month()) < Date(day-1) {
		clock = 23*3600 + clock%3600
	}
	return int64(moved)*86400 + clock
}

// overlapping is the interval of partitions that overlap the seconds [start, end).
func (a Axis) overlapping(start, end int64) Interval {
	z := a.zone()
	return Interval{a.atSecond(start, z), a.atSecond(end-1, z) + 1}
}
