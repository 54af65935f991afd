package cli

import (
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// stripWidth is how many characters a calendar strip has: with a name before it, it fits 80 columns.
const stripWidth = 72

// marks is how a strip shows each state. Order is urgency: where one character stands for several partitions, the most urgent shows.
var marks = []struct {
	states string
	mark   byte
	color  string
}{
	{"in_flight", '>', "36"},
	{"in_doubt foreign failing", '?', "35"},
	{"quarantined failed", 'x', "31"},
	{"held", 'h', "35"},
	{"blocked", 'b', "31"},
	{"missing", '.', "33"},
	{"stale", 's', "33"},
	{"short bootstrap", '-', "32"},
	{"skipped empty", 'o', "32"},
	{"fresh", '#', "32"},
}

const stripLegend = "# fresh  - short or bootstrap  o empty or skipped  s stale  . missing  b blocked  x failed or quarantined  > in flight  ? in doubt"

func rankOf(state string) int {
	for i, m := range marks {
		if slices.Contains(strings.Fields(m.states), state) {
			return i
		}
	}
	return len(marks)
}

// strip draws the expected partitions of a table from the first to the last, by number, so that days without anything expected take no room.
func strip(index *calendar.Index, states []plan.StateInterval, color bool) string {
	n := index.Len()
	if n == 0 {
		return ""
	}
	width := min(n, stripWidth)
	worst := make([]int, width)
	for i := range worst {
		worst[i] = len(marks)
	}
	for _, s := range states {
		rank := rankOf(string(s.State))
		first, last := index.Rank(s.Start), index.Rank(s.End)-1
		for cell := first * width / n; cell <= last*width/n && cell < width && first <= last; cell++ {
			worst[cell] = min(worst[cell], rank)
		}
	}
	var b strings.Builder
	painted := ""
	for _, rank := range worst {
		mark, hue := byte(' '), ""
		if rank < len(marks) {
			mark, hue = marks[rank].mark, marks[rank].color
		}
		if color && hue != painted {
			b.WriteString("\x1b[" + firstOf(hue, "0") + "m")
			painted = hue
		}
		b.WriteByte(mark)
	}
	if color && painted != "" {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}
