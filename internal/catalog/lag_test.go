package catalog

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
)

// reads is, by definition, the last partition that a window reads: the naive model that lags are held against. A calendar is every cell,
// which is where windows that count partitions reach furthest.
func lastRead(w Window, reader calendar.Axis, p calendar.Partition, read calendar.Axis) calendar.Partition {
	over := reader.Convert(calendar.Single(p), read)
	switch w.Kind {
	case Same:
		return over.End - 1
	case Offset:
		return reader.Offset(p, w.Unit, w.From, w.To, read).End - 1
	}
	if w.To == 0 {
		return over.End - 1
	}
	return over.Start + calendar.Partition(w.To)
}

var (
	someZones  = rapid.SampledFrom([]string{"", "America/New_York", "Asia/Kolkata", "Europe/Berlin"})
	someGrains = rapid.SampledFrom([]calendar.Grain{calendar.Hour, calendar.Day, calendar.Month})
)

func someWindow(t *rapid.T) Window {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return Window{Kind: Same}
	case 1:
		to := rapid.IntRange(-80, 40).Draw(t, "to")
		return Window{Kind: Offset, Unit: someGrains.Draw(t, "unit"), From: to - rapid.IntRange(0, 3).Draw(t, "width"), To: to}
	case 2:
		to := rapid.IntRange(-40, 0).Draw(t, "to")
		return Window{Kind: Partitions, From: to - rapid.IntRange(0, 3).Draw(t, "width"), To: to}
	}
	return Window{Kind: Since, Within: "season", To: rapid.IntRange(-5, 0).Draw(t, "through")}
}

// someTime is a partition of an axis within some years with changes of the clock and leap days.
func someTime(t *rapid.T, a calendar.Axis) calendar.Partition {
	day := rapid.Int64Range(int64(civil("2019-01-01")), int64(civil("2026-01-01"))).Draw(t, "day")
	hour := rapid.IntRange(0, 24).Draw(t, "hour")
	d := calendar.Axis{Grain: calendar.Day, Zone: a.Zone}
	p := calendar.Axis{Grain: calendar.Hour, Zone: a.Zone}.At(d.Start(calendar.Partition(day))) + calendar.Partition(hour)
	return calendar.Axis{Grain: calendar.Hour, Zone: a.Zone}.Convert(calendar.Single(p), a).Start
}

// TestLagHolds: what a window reads ends at least its lag before the partition that reads it does.
func TestLagHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reader := calendar.Axis{Grain: someGrains.Draw(t, "reader"), Zone: someZones.Draw(t, "zone")}
		read := calendar.Axis{Grain: someGrains.Draw(t, "read"), Zone: reader.Zone}
		if rapid.IntRange(0, 3).Draw(t, "other zone") == 0 {
			read.Zone = someZones.Draw(t, "its zone")
		}
		w := someWindow(t)
		p := someTime(t, reader)
		q := lastRead(w, reader, p, read)
		hours := ruler{}.window(w, reader, read)
		if between := reader.Start(p + 1).Sub(read.Start(q + 1)).Hours(); between < float64(hours) {
			t.Fatalf("%s of %s by %s: %s reads %s, %v h earlier, less than %d", w, read, reader, reader.ID(p), read.ID(q), between, hours)
		}
		if reader != read {
			return
		}
		if cells := (ruler{cells: true}).window(w, reader, read); lag(p-q) < cells {
			t.Fatalf("%s of %s: %s reads %s, less than %d cells earlier", w, read, reader.ID(p), read.ID(q), cells)
		}
	})
}

// TestLags: bounds that hold are not enough, they must also be near the truth.
func TestLags(t *testing.T) {
	hour, day, month := calendar.Axis{Grain: calendar.Hour}, calendar.Axis{Grain: calendar.Day}, calendar.Axis{Grain: calendar.Month}
	offset := func(unit calendar.Grain, to int) Window { return Window{Kind: Offset, Unit: unit, From: to, To: to} }
	for _, tt := range []struct {
		w            Window
		reader, read calendar.Axis
		cells        bool
		want         lag
	}{
		{Window{Kind: Same}, day, day, true, 0},
		{offset(calendar.Day, -1), day, day, true, 1},
		{offset(calendar.Day, -7), day, day, true, 7},
		{offset(calendar.Day, 2), day, day, true, -2},
		{offset(calendar.Hour, -24), day, day, true, 0}, // a day may have 25
		{offset(calendar.Hour, -26), day, day, true, 1},
		{offset(calendar.Hour, 0), day, day, true, 0},
		{offset(calendar.Hour, 23), day, day, true, -1},
		{offset(calendar.Hour, 24), day, day, true, -2}, // a day may have 23
		{offset(calendar.Month, -1), day, day, true, 28},
		{offset(calendar.Month, -3), day, day, true, 84},
		{offset(calendar.Month, 0), day, day, true, 0},
		{offset(calendar.Month, 1), day, day, true, -31},
		{offset(calendar.Day, -1), month, month, true, 0},
		{offset(calendar.Day, -31), month, month, true, 1},
		{offset(calendar.Day, -1), hour, hour, true, 22},
		{offset(calendar.Month, -12), month, month, true, 12},
		{Window{Kind: Partitions, From: -10, To: -3}, day, day, true, 3},
		{Window{Kind: Partitions, From: -10, To: 0}, day, day, true, 0},
		{Window{Kind: Partitions, From: -10, To: 1}, day, day, true, never},
		{Window{Kind: Since, To: -2}, day, day, true, 2},
		{Window{Kind: PerRows, To: -1}, day, day, true, 1},
		{Window{Kind: PerParts, To: 0}, day, day, true, 0},
		{Window{Kind: Everything}, day, day, true, never},
		{Window{Kind: Same}, calendar.Whole(), day, false, never},
		{Window{Kind: Same}, month, day, false, 0},
		{Window{Kind: Same}, day, month, false, 23 - 31*24 - 1},
		{offset(calendar.Day, -1), month, day, false, 23},
		{offset(calendar.Month, -1), day, month, false, 23},
		{offset(calendar.Month, -2), day, month, false, 23 + 28*24 - 1},
		{offset(calendar.Day, -1), hour, day, false, 1},
		{offset(calendar.Day, -2), hour, day, false, 24},
		{offset(calendar.Hour, -1), hour, hour, false, 1},
		{offset(calendar.Day, -31), month, month, false, 28*24 - 1},
		{offset(calendar.Day, -61), month, month, false, 28*24 - 1},
		{offset(calendar.Day, 0), month, day, false, 0},
		{offset(calendar.Day, 0), month, month, false, 0},
		{Window{Kind: Partitions, From: -1, To: -1}, day, month, false, 23},
	} {
		if have := (ruler{cells: tt.cells}).window(tt.w, tt.reader, tt.read); have != tt.want {
			t.Errorf("%s of %s by %s: %d, want %d", tt.w, tt.read.Grain, tt.reader.Grain, have, tt.want)
		}
	}
}
