package calendar

import (
	"testing"
	"time"
)

// comb is a set of n intervals of three days, ten days apart.
func comb(n int, from Partition) Set {
	ivs := make([]Interval, n)
	for i := range ivs {
		ivs[i] = Interval{from + Partition(10*i), from + Partition(10*i+3)}
	}
	return NewSet(ivs...)
}

func BenchmarkSet(b *testing.B) {
	const n = 1000
	x, y := comb(n, 0), comb(n, 2)
	index := NewIndex(x)
	far := comb(n, 1_000_000)
	one := Range(20, 50)
	ivs := append(append([]Interval{}, y.Intervals()...), x.Intervals()...)
	for _, c := range []struct {
		name string
		op   func()
	}{
		{"new", func() { NewSet(ivs...) }},
		{"union", func() { x.Union(y) }},
		{"union far", func() { x.Union(far) }},
		{"union one", func() { x.Union(one) }},
		{"intersect", func() { x.Intersect(y) }},
		{"minus", func() { x.Minus(y) }},
		{"minus one", func() { x.Minus(one) }},
		{"overlaps", func() { x.Overlaps(y) }},
		{"covers", func() { x.Covers(y) }},
		{"within", func() { x.Within(Interval{4001, 4099}) }},
		{"contains", func() { x.Contains(5001) }},
		{"chunks", func() { x.Chunks(60) }},
		{"index", func() { NewIndex(x) }},
		{"rank", func() { index.Rank(5001) }},
		{"select", func() { index.Select(1500) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.op()
			}
		})
	}
}

func BenchmarkAxis(b *testing.B) {
	day, month, hour := newYork[Day], newYork[Month], newYork[Hour]
	utc, berlin := Axis{Day, ""}, Axis{Day, "Europe/Berlin"}
	d, h, mo := day.At(now), hour.At(now), month.At(now)
	for _, c := range []struct {
		name string
		op   func()
	}{
		{"offset day to day", func() { day.Offset(d, Day, -7, -1, day) }},
		{"offset day to month", func() { day.Offset(d, Day, -7, -1, month) }},
		{"offset month to day", func() { month.Offset(mo, Day, -7, 0, day) }},
		{"offset day by months", func() { day.Offset(d, Month, -1, -1, day) }},
		{"offset month to month", func() { month.Offset(mo, Month, -3, -1, month) }},
		{"offset hour to hour", func() { hour.Offset(h, Hour, -7, -1, hour) }},
		{"offset hour by days", func() { hour.Offset(h, Day, -7, -1, hour) }},
		{"offset day to hour", func() { day.Offset(d, Day, -7, -1, hour) }},
		{"offset day to another zone", func() { day.Offset(d, Day, -7, -1, berlin) }},
		{"convert day month", func() { day.Convert(Interval{d, d + 100}, month) }},
		{"convert day hour", func() { day.Convert(Interval{d, d + 100}, hour) }},
		{"start", func() { day.Start(d) }},
		{"start utc", func() { utc.Start(d) }},
		{"at", func() { day.At(now) }},
		{"due before", func() { day.DueBefore(now, time.Hour) }},
		{"id day", func() { day.ID(d) }},
		{"id hour", func() { hour.ID(h) }},
		{"parse day", func() { _, _ = day.Parse("2024-01-05") }},
		{"containing", func() { seasons().Containing(day, d) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.op()
			}
		})
	}
}
