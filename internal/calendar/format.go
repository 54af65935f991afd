package calendar

import (
	"fmt"
	"strings"
)

// FormatRange is an interval as people write it, both ends inclusive: 2024-01-05..2024-01-09, or 2024-01-05 for one partition. An open
// end is left out (2024-01-05..), all partitions are "all", and an empty interval is "none".
func (a Axis) FormatRange(iv Interval) string {
	open, endless := iv.Start <= Beginning, iv.End >= Horizon
	switch {
	case iv.Empty():
		return "none"
	case a.Grain == None, open && endless:
		return "all"
	case open:
		return ".." + a.ID(iv.End-1)
	case endless:
		return a.ID(iv.Start) + ".."
	case iv.End-iv.Start == 1:
		return a.ID(iv.Start)
	}
	return a.ID(iv.Start) + ".." + a.ID(iv.End-1)
}

// FormatSet lists a set's intervals like FormatRange, at most limit of them (at least one), and says how many it leaves out:
// 2024-01-05..2024-01-09, 2024-01-12 and 3 more ranges.
func (a Axis) FormatSet(s Set, limit int) string {
	if s.Empty() {
		return "none"
	}
	shown := min(max(limit, 1), len(s.ivs))
	parts := make([]string, shown)
	for i, iv := range s.ivs[:shown] {
		parts[i] = a.FormatRange(iv)
	}
	text := strings.Join(parts, ", ")
	switch left := len(s.ivs) - shown; left {
	case 0:
		return text
	case 1:
		return text + " and 1 more range"
	default:
		return fmt.Sprintf("%s and %d more ranges", text, left)
	}
}
