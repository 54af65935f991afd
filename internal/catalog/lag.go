package catalog

import "github.com/headway-data/headway/internal/calendar"

// A lag is how much earlier the last partition read is than the one that reads it: end(reader) - end(read) is at least this. Around a loop
// lags add up; a loop in which they add up to more than 0 leads every partition to a strictly earlier one, so it ends.
type lag int64

// never is the lag of windows that reach into the future without bound. It is not added to anything.
const never lag = -1 << 62

// A ruler measures lags. Where all tables of a loop have one axis it counts that axis's cells, and is exact. Otherwise it counts hours, as
// instants: then a day has 23 to 25 of them and a month 28 to 31 days, and each lag is the least that the calendar allows.
type ruler struct {
	cells bool
	axis  calendar.Axis
}

// How many of a finer cell a coarser one has, least and most.
var (
	hoursIn = map[calendar.Grain][2]lag{calendar.Hour: {1, 1}, calendar.Day: {23, 25}, calendar.Month: {28*24 - 1, 31*24 + 1}}
	daysIn  = map[calendar.Grain][2]lag{calendar.Day: {1, 1}, calendar.Month: {28, 31}}
)

// edge is the lag of an input: that of its window that reaches furthest. Windows are read as the planner reads them.
func (r ruler) edge(in *Input, reader, read calendar.Axis) lag {
	least := never
	for i, w := range in.Windows {
		if l := r.window(w, reader, read); i == 0 || l < least {
			least = l
		}
	}
	return least
}

func (r ruler) window(w Window, reader, read calendar.Axis) lag {
	if w.Kind == Everything || reader.Grain == calendar.None || read.Grain == calendar.None {
		return never
	}
	back := lag(-w.To) // how far before the partition the window ends
	switch w.Kind {
	case Same:
		back = 0
	case Offset:
		switch {
		case back == 0: // ends where the partition does
		case r.cells:
			return cellsIn(back, w.Unit, reader.Grain)
		default:
			return offset(back, w.Unit, reader, read)
		}
	case Partitions, Since, PerRows, PerParts:
		if back < 0 {
			return never // a calendar may have its next date in any future
		}
	case Everything:
	}
	switch {
	case r.cells:
		return back
	case back == 0:
		return overlap(reader, read)
	}
	// The last that ended before the reader begins, and back-1 further ones.
	return hoursIn[reader.Grain][0] + (back-1)*hoursIn[read.Grain][0]
}

// cellsIn turns a number of units into cells of an axis that can be counted on: of a finer unit only whole cells, of a coarser one the
// shortest.
func cellsIn(back lag, unit, grain calendar.Grain) lag {
	if unit == grain {
		return back
	}
	size := func(outer, inner calendar.Grain) [2]lag { // how many inner ones in one outer
		if inner == calendar.Day {
			return daysIn[outer]
		}
		return hoursIn[outer]
	}
	if unit < grain {
		per := size(grain, unit)
		if back > 0 {
			return back / per[1]
		}
		return -((-back + per[0] - 1) / per[0])
	}
	per := size(unit, grain)
	if back > 0 {
		return back * per[0]
	}
	return back * per[1]
}

// shift is the least by which moving back by so many units moves an instant, in hours.
func shift(back lag, unit calendar.Grain) lag {
	slack := lag(1) // the clock may have changed in between
	switch {
	case unit == calendar.Hour:
		return back
	case unit == calendar.Day:
		return back*24 - slack
	case back > 0:
		return back*28*24 - slack
	}
	return back*31*24 - slack
}

// overlap is the lag of reading whatever overlaps, in hours: a coarser partition may end later than the one that reads it.
func overlap(reader, read calendar.Axis) lag {
	if read.Grain <= reader.Grain && read.Zone == reader.Zone {
		return 0
	}
	if read.Zone != reader.Zone {
		return -hoursIn[read.Grain][1]
	}
	return hoursIn[reader.Grain][0] - hoursIn[read.Grain][1]
}

// offset is the lag, in hours, of reading what overlaps the partition moved back by so many units.
func offset(back lag, unit calendar.Grain, reader, read calendar.Axis) lag {
	moved := shift(back, unit)
	switch {
	case read.Zone != reader.Zone:
		return moved - hoursIn[read.Grain][1]
	case read.Grain <= unit && read.Grain <= reader.Grain:
		return moved // the end falls on an end of what is read
	case read.Grain == unit && back > 0:
		// A day that reads the month before its own: that ends where its own month begins, or earlier.
		return hoursIn[reader.Grain][0] + (back-1)*hoursIn[read.Grain][0]
	case read.Grain <= reader.Grain: // a finer unit: only whole cells count
		n := cellsIn(back, unit, read.Grain)
		if n >= 0 {
			return n * hoursIn[read.Grain][0]
		}
		return n * hoursIn[read.Grain][1]
	}
	return moved - hoursIn[read.Grain][1] + 1
}
