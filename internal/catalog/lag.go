package catalog

import "github.com/headway-data/headway/internal/calendar"

// A lag is how much earlier the last partition read is than the one that reads it: end(reader) - end(read) is at least this. Around a loop
// lags add up; a loop in which they add up to more than 0 leads every partition to a strictly earlier one, so it ends.
type lag int64

// never is the lag of windows that reach into the future without bound. It is not added to anything.
const never lag = -1 << 62

// A ruler measures lags. Where all tables of a loop have one axis it counts that axis's cells, and is exact but for offsets in another
// unit. Otherwise it counts hours between instants: a day then has 23 to 25 of them and a month 28 to 31 days, and each lag is the least
// that the calendar allows. (On Lord Howe Island, where the clock moves by half an hour, an hour may overlap the end of a day by as much;
// the planner, which looks at the partitions themselves, stops at a loop that passes here for that.)
type ruler struct{ cells bool }

// How many of a finer cell a coarser one has, least and most.
var (
	hoursIn = map[calendar.Grain][2]lag{calendar.Hour: {1, 1}, calendar.Day: {23, 25}, calendar.Month: {28*24 - 1, 31*24 + 1}}
	daysIn  = map[calendar.Grain][2]lag{calendar.Day: {1, 1}, calendar.Month: {28, 31}}
)

// in gives how many inner cells an outer one has, least and most.
func in(outer, inner calendar.Grain) [2]lag {
	switch {
	case outer == inner:
		return [2]lag{1, 1}
	case inner == calendar.Day:
		return daysIn[outer]
	}
	return hoursIn[outer]
}

// edge is the lag of a list of windows: that of the one that reaches furthest.
func (r ruler) edge(windows []Window, reader, read calendar.Axis) lag {
	least := never
	for i, w := range windows {
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
	switch {
	case w.Kind == Same:
		back = 0
	case w.Kind == Offset && back == 0 && (reader.Grain != calendar.Hour || w.Unit == calendar.Hour): // ends where the partition does
	case w.Kind == Offset && r.cells:
		return wholeCells(back, w.Unit, reader.Grain)
	case w.Kind == Offset:
		return offset(back, w.Unit, reader, read)
	case back < 0:
		return never // a calendar may have its next date in any future
	}
	switch {
	case r.cells:
		return back
	case back == 0:
		return overlap(reader, read)
	}
	// The last partition that ended before the reader's begins, and back-1 further ones.
	return hoursIn[reader.Grain][0] + (back-1)*hoursIn[read.Grain][0]
}

// overlap is the lag of reading whatever overlaps, in hours: a coarser partition may end later than the one that reads it.
func overlap(reader, read calendar.Axis) lag {
	switch {
	case read.Zone != reader.Zone:
		return -hoursIn[read.Grain][1]
	case read.Grain <= reader.Grain:
		return 0
	}
	return hoursIn[reader.Grain][0] - hoursIn[read.Grain][1]
}

// wholeCells is the lag of an offset where reader and read have one axis, in cells of it.
func wholeCells(back lag, unit, grain calendar.Grain) lag {
	switch {
	case unit > grain && grain == calendar.Hour:
		return shift(back, unit, grain)
	case unit >= grain && back >= 0:
		return back * in(unit, grain)[0]
	case unit >= grain:
		return back * in(unit, grain)[1]
	case back >= 0: // of a finer unit, only what fills a cell moves the end to an earlier one
		return back / in(grain, unit)[1]
	}
	per := in(grain, unit)[0]
	return -((-back + per - 1) / per)
}

// shift is the least by which moving the end of a partition back by so many units moves it, in hours.
func shift(back lag, unit, grain calendar.Grain) lag {
	var slack lag
	switch {
	case unit == calendar.Hour: // hours that pass
		return back
	case grain == calendar.Hour: // by the wall clock, on which the clock's changes at both ends count
		slack = 2
	case back != 0:
		slack = 1
	}
	switch {
	case unit == calendar.Day:
		return back*24 - slack
	case back >= 0:
		return back*28*24 - slack
	}
	return back*31*24 - slack
}

// offset is the lag of a window of civil offsets, in hours: see calendar.Axis.Offset.
func offset(back lag, unit calendar.Grain, reader, read calendar.Axis) lag {
	moved := shift(back, unit, reader.Grain)
	switch {
	case read.Zone != reader.Zone:
		return moved - hoursIn[read.Grain][1]
	case read.Grain > reader.Grain && read.Grain == unit && back > 0:
		// A day that reads the month before its own: that ends where its own month begins, or earlier.
		return hoursIn[reader.Grain][0] + (back-1)*hoursIn[read.Grain][0]
	case read.Grain > reader.Grain:
		return moved - hoursIn[read.Grain][1] + 1
	case read.Grain <= unit:
		return moved // the window ends where something read does
	case back >= 0: // of a finer unit, only what fills a cell moves the end to an earlier one
		return back / in(read.Grain, unit)[1] * hoursIn[read.Grain][0]
	}
	per := in(read.Grain, unit)[0]
	return -((-back + per - 1) / per) * hoursIn[read.Grain][1]
}
