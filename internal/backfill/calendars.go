package backfill

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/worker"
)

// maxCalendarRows bounds a calendar's file: 100 years of hours.
const maxCalendarRows = 1_000_000

// comingDays is how far ahead partitions that are not due yet are told of.
const comingDays = 31

// expectedSets evaluates every table's calendar, each calendar once per axis: what is due, and what is coming.
func (c *Coordinator) expectedSets(ctx context.Context, s *Sight, before *history.Snapshot) (due, coming map[string]calendar.Set, err error) {
	now := s.At
	type use struct {
		name, warehouse string
		axis            calendar.Axis
	}
	listed := map[use]calendar.Set{}
	due, coming = make(map[string]calendar.Set, len(c.Tables)), map[string]calendar.Set{}
	for name, t := range c.Tables {
		if !t.Partitioned() {
			due[name] = calendar.Of(0)
			continue
		}
		if isUnseen(t) {
			due[name] = before.Table(t.Key).Known.Union(s.asked[name])
			continue
		}
		u := use{t.Calendar, t.Table.Warehouse, t.Axis}
		set, ok := listed[u]
		if !ok {
			if set, err = c.listed(ctx, t.Table, now); err != nil {
				return nil, nil, err
			}
			listed[u] = set
		}
		set = set.Union(c.hidden(t, s, before))
		due[name] = expected(t.Table, set, now)
		first := t.Axis.DueBefore(now, t.DueAfter).End
		if t.HasStart {
			first = max(first, t.Start)
		}
		ahead := calendar.Interval{Start: first, End: t.Axis.At(now.AddDate(0, 0, comingDays))}
		if t.Calendar == "" || c.Project.Calendar(t.Calendar).Every {
			ahead.End = t.Axis.At(now) + 1 // of a calendar without end, what has begun
		}
		coming[name] = set.Within(ahead)
	}
	return due, coming, nil
}

// hidden are partitions that a calendar may not name because the source that its query reads has rows of them that cannot be read. To
// expect too much until the source is mended is told of; to expect too little would skip them silently.
func (c *Coordinator) hidden(t *worker.Table, s *Sight, before *history.Snapshot) calendar.Set {
	var out calendar.Set
	if t.Calendar == "" {
		return out
	}
	query := strings.ToLower(c.Project.Calendar(t.Calendar).Query)
	for name, source := range c.Tables {
		if !source.IsSource() || !strings.Contains(query, strings.ToLower(name)) {
			continue
		}
		if found := s.Sources[name]; found != nil && found.Err == nil {
			out = out.Union(source.Axis.ConvertSet(found.State.Drifted, t.Axis))
			continue
		}
		for _, seg := range before.Table(source.Key).Segments { // nobody has looked: what was expected stays
			if seg.Content == history.Drifted {
				drifted := source.Axis.ConvertSet(calendar.NewSet(seg.Interval), t.Axis)
				out = out.Union(drifted.Intersect(before.Table(t.Key).Known))
			}
		}
	}
	return out
}

// listed is what a table's calendar names, on the table's axis.
func (c *Coordinator) listed(ctx context.Context, t *catalog.Table, now time.Time) (calendar.Set, error) {
	if t.Calendar == "" {
		return calendar.All(), nil
	}
	cal := c.Project.Calendar(t.Calendar)
	switch {
	case cal.Every:
		return calendar.All(), nil
	case cal.Weekdays:
		days := calendar.Axis{Grain: calendar.Day, Zone: t.Axis.Zone}
		from := calendar.Partition(0)
		if t.HasStart {
			from = t.Axis.Convert(calendar.Single(t.Start), days).Start
		}
		set := calendar.Weekdays(calendar.Interval{Start: from, End: days.At(now) + 1})
		return days.ConvertSet(set, t.Axis), nil
	case cal.File != "":
		return c.calendarFile(cal, t.Axis)
	}
	set, err := c.warehouses[t.Warehouse].Dates(ctx, cal.Query, t.Axis)
	if err != nil {
		return calendar.Set{}, fmt.Errorf("%s: calendar %s: %w", cal.Pos, cal.Name, err)
	}
	return set, nil
}

// calendarFile reads one column of a CSV file with a header.
func (c *Coordinator) calendarFile(cal *catalog.Calendar, axis calendar.Axis) (calendar.Set, error) {
	f, err := c.FS.Open(cal.File)
	if err != nil {
		return calendar.Set{}, &InputError{What: fmt.Sprintf("%s: calendar %s: %v", cal.Pos, cal.Name, err), Next: "name a CSV file in the project folder"}
	}
	defer f.Close() //nolint:errcheck // it was only read
	rows := csv.NewReader(f)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return calendar.Set{}, &InputError{What: fmt.Sprintf("%s: calendar file %s has no header: %v", cal.Pos, cal.File, err)}
	}
	col := slices.Index(header, cal.Column)
	if cal.Column == "" && len(header) == 1 {
		col = 0
	}
	if col < 0 {
		return calendar.Set{}, &InputError{
			What: fmt.Sprintf("%s: calendar file %s has no column %q", cal.Pos, cal.File, cal.Column),
			Next: "it has: " + strings.Join(header, ", "),
		}
	}
	var ps []calendar.Partition
	for n := 2; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return calendar.Of(ps...), nil
		}
		if err == nil && n > maxCalendarRows {
			err = fmt.Errorf("more than %d rows", maxCalendarRows)
		}
		if err != nil {
			return calendar.Set{}, &InputError{What: fmt.Sprintf("calendar file %s:%d: %v", cal.File, n, err)}
		}
		p, err := axis.Parse(row[col])
		if err != nil {
			return calendar.Set{}, &InputError{What: fmt.Sprintf("calendar file %s:%d: %v", cal.File, n, err)}
		}
		ps = append(ps, p)
	}
}

// periods are the project's periods as they are declared now.
func (c *Coordinator) periods() map[string][]calendar.Interval {
	out := make(map[string][]calendar.Interval, len(c.Project.Periods))
	for _, p := range c.Project.Periods {
		out[p.Name] = p.Intervals
	}
	return out
}

// calendarsRead reports whether some calendar's query names the source. A word in a comment counts too: that costs a look, no more.
func (c *Coordinator) calendarsRead(source string) bool {
	for _, cal := range c.Project.Calendars {
		if strings.Contains(strings.ToLower(cal.Query), strings.ToLower(source)) {
			return true
		}
	}
	return false
}
