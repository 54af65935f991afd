package plan

import "github.com/headway-data/headway/internal/calendar"

// offset is the civil offset window of p: From to To units before or after its start, both ends in, on the input's axis.
func offset(reader calendar.Axis, p calendar.Partition, unit calendar.Grain, from, to int, input calendar.Axis) calendar.Interval {
	cells := calendar.Axis{Grain: unit, Zone: reader.Zone}
	start := reader.Convert(calendar.Single(p), cells).Start
	return cells.Convert(calendar.Interval{Start: start + calendar.Partition(from), End: start + calendar.Partition(to) + 1}, input)
}
