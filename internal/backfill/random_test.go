package backfill_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// A world is the inputs of a small project: everything that a person may edit between two runs.
type world struct {
	amounts  map[int][]int // orders of each day of March 2024
	days     map[int]bool  // the calendar
	factor   int           // in the code of daily
	back     int           // how many days rolling reaches back, in the code and in the window
	backs    []int         // what it may yet become
	split    int           // the day on which the second half begins
	comments int           // in the code of season: changes nothing
}

const randomDays = 14

func (w *world) files() map[string]string {
	var days, data []string
	for d := 1; d <= randomDays; d++ {
		if w.days[d] {
			days = append(days, fmt.Sprintf("2024-03-%02d", d))
		}
		for i, amount := range w.amounts[d] {
			data = append(data, fmt.Sprintf("o%d-%d,2024-03-%02d,%d", d, i, d, amount))
		}
	}
	yaml := proofYAML
	for _, change := range [][2]string{
		{"{days: [-6, 0]}", fmt.Sprintf("{days: [-%d, 0]}", w.back)},
		{"{days: [-15, -15]}", "{days: [-4, -4]}"},
		{"{from: 2024-03-01, to: 2024-03-15}, {from: 2024-03-16, to: 2024-04-30}",
			fmt.Sprintf("{from: 2024-03-01, to: 2024-03-%02d}, {from: 2024-03-%02d, to: 2024-04-30}", w.split-1, w.split)},
		{"  daily:\n    inputs: [orders, rates]\n    batch: {size: 16}", "  daily:\n    inputs: [orders]\n    batch: {size: 5}"},
	} {
		if !strings.Contains(yaml, change[0]) {
			panic("the project does not hold " + change[0])
		}
		yaml = strings.Replace(yaml, change[0], change[1], 1)
	}
	a := strings.Index(yaml, "  rates:\n")
	b := strings.Index(yaml, "tables:\n")
	yaml = yaml[:a] + yaml[b:]
	yaml = strings.Replace(yaml, "checks: [not_null: {column: mean, min: 1.0}]", "", 1)
	out := map[string]string{
		"headway.yaml":      yaml,
		"months.csv":        "month\n2024-03\n",
		"days.csv":          "day\n" + strings.Join(days, "\n") + "\n",
		"data/orders_a.csv": "id,day,amount\n" + strings.Join(data, "\n") + "\n",
		"sql/daily.sql": fmt.Sprintf(`select day, count(*) as n, sum(amount) * %d as total from {{table "orders"}}
where day >= {{start}} and day < {{end}} group by day`, w.factor),
		"sql/rolling.sql": strings.Replace(proofSQL["sql/rolling.sql"], "interval 6 days", fmt.Sprintf("interval %d days", w.back), 1),
		"sql/running.sql": strings.ReplaceAll(proofSQL["sql/running.sql"], "interval 15 days", "interval 4 days"),
		"sql/monthly.sql": proofSQL["sql/monthly.sql"],
		"sql/season.sql":  proofSQL["sql/season.sql"] + strings.Repeat("\n-- ", w.comments),
		"sql/totals.sql":  proofSQL["sql/totals.sql"],
	}
	return out
}

// change edits one thing. Days keep their orders when their calendar loses them: the orders come back with the day.
func (w *world) change(t *rapid.T) string {
	day := rapid.IntRange(1, randomDays).Draw(t, "day")
	switch what := rapid.SampledFrom([]string{"amount", "add", "drop", "code", "window", "calendar", "period", "comment"}).Draw(t, "what"); what {
	case "amount":
		if n := len(w.amounts[day]); n > 0 {
			w.amounts[day] = slices.Clone(w.amounts[day])
			w.amounts[day][n-1] = rapid.IntRange(0, 9).Draw(t, "amount")
		}
		return fmt.Sprintf("amount of %d", day)
	case "add":
		w.amounts[day] = append(slices.Clone(w.amounts[day]), rapid.IntRange(0, 9).Draw(t, "amount"))
		return fmt.Sprintf("one more on %d", day)
	case "drop":
		if n := len(w.amounts[day]); n > 1 { // a day that is lost to its last row is drift, and another test's
			w.amounts[day] = slices.Clone(w.amounts[day][:n-1])
		}
		return fmt.Sprintf("one less on %d", day)
	case "code":
		// Never code that was there before: what newer code has computed stays, until the older is promoted (rule 22).
		w.factor += rapid.IntRange(0, 2).Draw(t, "factor")
	case "window":
		if n := len(w.backs); n > 0 {
			k := rapid.IntRange(0, n-1).Draw(t, "back")
			w.back = w.backs[k]
			w.backs = slices.Delete(slices.Clone(w.backs), k, k+1)
		}
	case "calendar":
		// A date that the calendar loses leaves its rows behind, which from scratch are not there: that is another test's.
		w.days[day] = true
		return fmt.Sprintf("%d is in the calendar: %t", day, w.days[day])
	case "period":
		w.split = rapid.IntRange(3, 12).Draw(t, "split")
	case "comment":
		w.comments++
	}
	return "code, window or period"
}

// TestAnyHistory edits sources, code, windows, calendars and periods at random, runs parts of the project in between, and in the end runs
// until nothing is left. Then everything is fresh, and every table is what a project that never saw anything else computes (I3, I7); and
// one more run computes nothing.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { anyHistory(t, rt) })
}

func anyHistory(t *testing.T, rt *rapid.T) {
	w := &world{amounts: map[int][]int{}, days: map[int]bool{}, factor: 1, back: 2, backs: []int{1, 3, 4}, split: 8}
	for d := 1; d <= randomDays; d++ {
		w.days[d] = d%5 != 0
		w.amounts[d] = []int{d, 2 * d}
	}
	s := newWorldSite(t, w)
	var told []string
	defer func() {
		if rt.Failed() {
			rt.Logf("history:\n%s", strings.Join(told, "\n"))
		}
	}()
	for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
		for range rapid.IntRange(0, 3).Draw(rt, "edits") {
			told = append(told, w.change(rt))
		}
		s.write(t, w.files())
		req := plan.Request{}
		if rapid.Bool().Draw(rt, "part") {
			req.Tables = []string{rapid.SampledFrom(proofTables).Draw(rt, "table")}
			from := rapid.IntRange(1, randomDays).Draw(rt, "from")
			to := rapid.IntRange(from, randomDays).Draw(rt, "to")
			first := march(1)
			req.Range = &plan.Range{
				Axis:     calendar.Axis{Grain: calendar.Day, Zone: "UTC"},
				Interval: calendar.Interval{Start: first + calendar.Partition(from-1), End: first + calendar.Partition(to)},
			}
			req.Downstream = rapid.Bool().Draw(rt, "downstream")
			req.Upstream = rapid.Bool().Draw(rt, "upstream")
		}
		report, planned, err := s.run(t.Context(), req, backfill.RunOptions{MaxParallel: 3, Reverse: false})
		if err != nil {
			rt.Fatalf("run %v: %v", req.Tables, err)
		}
		told = append(told, fmt.Sprintf("run %v upstream %t downstream %t: %d planned, %d published, exit %d", req.Tables, req.Upstream, req.Downstream,
			planned, report.Published, report.Exit))
		if report.Exit != 0 && report.Exit != 5 && report.Exit != 3 {
			rt.Fatalf("run: exit %d: %s", report.Exit, describe(report))
		}
	}
	s.settle(rt)
	stages := s.seen.stages
	s.settle(rt)
	if s.seen.stages != stages {
		rt.Errorf("a run with nothing to do computed %d chunks", s.seen.stages-stages)
	}
	fresh := newWorldSite(t, w)
	fresh.settle(rt)
	w.compare(rt, s, fresh)
}

func newWorldSite(t testing.TB, w *world) *site {
	s := newSite(folder(t))
	s.write(t, w.files())
	return s
}

// compare wants the expected partitions of both sites to be fresh and the same. What the calendar has lost may stand there still.
func (w *world) compare(t *rapid.T, s, fresh *site) {
	got, want := s.look(t), fresh.look(t)
	for _, table := range proofTables {
		if got.states[table] != want.states[table] {
			t.Errorf("%s: %s, from scratch %s", table, got.states[table], want.states[table])
		}
		for p, content := range want.rows[table] {
			if got.rows[table][p] != content {
				t.Errorf("%s %d: %+v, from scratch %+v", table, p, got.rows[table][p], content)
			}
		}
		for p, content := range got.rows[table] {
			if _, ok := want.rows[table][p]; !ok && w.expects(table, p) {
				t.Errorf("%s %d: %+v, from scratch no rows", table, p, content)
			}
		}
	}
}

func (w *world) expects(table string, p calendar.Partition) bool {
	if table == "totals" || table == "monthly" {
		return true
	}
	return w.days[int(p-march(1))+1]
}

// march is a day of March 2024 as a partition.
func march(day int) calendar.Partition {
	return calendar.Partition(calendar.DateOf(2024, time.March, day))
}
