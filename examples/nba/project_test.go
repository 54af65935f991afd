package nba_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the warehouse of the project
	"github.com/goccy/go-yaml"

	"github.com/headway-data/headway/examples/nba"
)

// A project is what these tests take from headway.yaml: enough to render the statements as Headway does, with nothing of Headway in
// between. A statement is thus tested against the declarations that stand beside it.
type project struct {
	Defaults struct {
		Partition struct{ Column string }
	}
	Calendars map[string]struct{ Query string }
	Periods   map[string][]struct{ From, To string }
	Sources   map[string]source
	Tables    map[string]table
}

type source struct {
	Files     string
	Partition any // "none", or a mapping
	Contract  struct{ Columns yaml.MapSlice }
}

type table struct {
	Partition any
	Inputs    []map[string]struct{ Window any }
	Checks    []map[string]any
}

func readProject(t *testing.T) *project {
	t.Helper()
	text, err := nba.Files.ReadFile("headway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &project{}
	if err := yaml.Unmarshal(text, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// order is the tables, each after those that it reads.
func (p *project) order() []string {
	var done []string
	for len(done) < len(p.Tables) {
		for name, tb := range p.Tables {
			ready := !slices.Contains(done, name)
			for _, in := range tb.Inputs {
				for of := range in {
					_, isTable := p.Tables[of]
					ready = ready && (!isTable || slices.Contains(done, of))
				}
			}
			if ready {
				done = append(done, name)
			}
		}
	}
	return done
}

// seasonStart is the first day of the season that a date falls into.
func (p *project) seasonStart(t *testing.T, date time.Time) time.Time {
	t.Helper()
	for _, s := range p.Periods["season"] {
		if from, to := parse(t, s.From), parse(t, s.To); !date.Before(from) && !date.After(to) {
			return from
		}
	}
	t.Fatalf("%s is in no season", date)
	return date
}

// window is the interval of an input that a chunk of dates reads.
func (p *project) window(t *testing.T, window any, dates []time.Time) (start, end time.Time) {
	t.Helper()
	first, last := dates[0], dates[len(dates)-1]
	switch w := window.(type) {
	case string:
		if w == "same" {
			return first, last.AddDate(0, 0, 1)
		}
		return time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) // all
	case map[string]any:
		if w["since"] == "season" && fmt.Sprint(w["through"]) == "-1" {
			return p.seasonStart(t, first), last // the date before the last, and so the last is out
		}
	}
	t.Fatalf("window %v: not known to this test", window)
	return first, last
}

var call = regexp.MustCompile(`\{\{ *(\w+)(?: "(\w+)")? *\}\}`)

// render writes a table's statement for a chunk of dates. A table is cut to the interval that the input declares: a statement that
// needs more than it says shows as rows that differ.
func (p *project) render(t *testing.T, name string, dates []time.Time) string {
	t.Helper()
	text, err := nba.Files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	windows := map[string]any{}
	for _, in := range p.Tables[name].Inputs {
		for of, w := range in {
			windows[of] = w.Window
		}
	}
	return call.ReplaceAllStringFunc(string(text), func(s string) string {
		m := call.FindStringSubmatch(s)
		if m[2] == "" {
			return p.value(t, m[1], dates)
		}
		w, declared := windows[m[2]]
		if !declared {
			t.Fatalf("%s.sql reads %s, which is not among its inputs", name, m[2])
		}
		start, end := p.window(t, w, dates)
		switch m[1] {
		case "input_start":
			return literal(start)
		case "input_end":
			return literal(end)
		}
		if w == "all" {
			return m[2]
		}
		return fmt.Sprintf("(select * from %s where game_date >= %s and game_date < %s)", m[2], literal(start), literal(end))
	})
}

// value is what a call without a table stands for.
func (p *project) value(t *testing.T, name string, dates []time.Time) string {
	t.Helper()
	switch name {
	case "start":
		return literal(dates[0])
	case "end":
		return literal(dates[len(dates)-1].AddDate(0, 0, 1))
	case "partitions":
		var rows []string
		for _, d := range dates {
			rows = append(rows, fmt.Sprintf("(%s, %s, %s)", literal(d), literal(d.AddDate(0, 0, 1)), literal(p.seasonStart(t, d))))
		}
		return "(select * from (values " + strings.Join(rows, ", ") + ") v(partition_start, partition_end, season_start))"
	}
	t.Fatalf("unknown call %s", name)
	return ""
}

func literal(d time.Time) string { return d.Format("DATE '2006-01-02'") }

func parse(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A run is the project on some data, in memory.
type run struct {
	*project
	db    *sql.DB
	dates []time.Time
}

// start loads the sources from a folder, with the columns and types of their contracts.
func start(t *testing.T, dir string) *run {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1)
	r := &run{project: readProject(t), db: db}
	for name, s := range r.Sources {
		var columns []string
		for _, c := range s.Contract.Columns {
			columns = append(columns, fmt.Sprintf("'%s': '%s'", c.Key, c.Value))
		}
		files := filepath.Join(dir, strings.TrimPrefix(s.Files, "data/"))
		r.exec(t, fmt.Sprintf("create table %s as select * from read_csv('%s', header = true, auto_detect = false, delim = ',', columns = {%s})",
			name, files, strings.Join(columns, ", ")))
	}
	for _, d := range r.strings(t, r.Calendars["game_days"].Query+" order by 1") {
		r.dates = append(r.dates, parse(t, d[:len(time.DateOnly)]))
	}
	return r
}

// compute makes every table over all dates in one statement each.
func (r *run) compute(t *testing.T) {
	t.Helper()
	for _, name := range r.order() {
		r.exec(t, "create table "+name+" as "+r.render(t, name, r.dates))
	}
}

func (r *run) exec(t *testing.T, text string) {
	t.Helper()
	if _, err := r.db.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// strings are the rows of a query of one column.
func (r *run) strings(t *testing.T, text string) (values []string) {
	t.Helper()
	rows, err := r.db.QueryContext(t.Context(), "select cast(columns(*) as varchar) from ("+text+")")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	for rows.Next() {
		var v sql.NullString
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}
