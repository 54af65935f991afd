package bench

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/cli"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/plan"
)

// headway runs one command in this process, as main would.
func headway(b *testing.B, dir string, args ...string) (string, int) {
	b.Helper()
	var out, errs bytes.Buffer
	p := cli.NewProcess(dir, "bench", func() int { return 0 })
	p.Stdout, p.Stderr, p.Stdin = &out, &errs, bytes.NewReader(nil)
	code := cli.Main(context.Background(), p, args)
	if code != 0 && code != 5 {
		b.Fatalf("headway %v: exit %d\n%s%s", args, code, out.String(), errs.String())
	}
	return out.String(), code
}

// nbaData is the folder with real box scores, or "" for generated ones.
func nbaData() string {
	dir := os.Getenv("HEADWAY_NBA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data", "nba")
	}
	if _, err := os.Stat(filepath.Join(dir, "player_box_2021-22.csv.gz")); err != nil {
		return ""
	}
	return dir
}

// The rounds of BenchmarkNBA: run and script take turns, so that what else the machine does falls on both alike.
const nbaRounds = 3

// What is promised of the pipeline: a run takes at most so many times what the script takes, and a loop over dates takes at least so many
// times what the run takes.
const (
	scriptGoal = 1.25
	loopGoal   = 20
)

// BenchmarkNBA runs the reference pipeline three ways side by side: as `headway run` does, as one hand-written script of the same statements
// over the whole range, and as a loop over dates, of which every 20th date is run and the time multiplied. Run and script begin with the
// files, in a database that is not there yet. Each phase is the shortest of the
// rounds, and the ratios are of the shortest whole times.
func BenchmarkNBA(b *testing.B) {
	data := nbaData()
	if data == "" {
		b.Log("real box scores are not here: generated ones are used")
	}
	for b.Loop() {
		var run, script phases
		var pipe *pipeline
		for range nbaRounds {
			dir := filepath.Join(b.TempDir(), "nba")
			if err := cli.MakeDemoProject(dir, data); err != nil {
				b.Fatal(err)
			}
			run = run.least(runNBA(b, dir))
			if pipe == nil {
				pipe = renderAll(b, dir)
			}
			script = script.least(pipe.script(b))
		}
		loop := pipe.loop(b)
		b.ReportMetric(run.whole.Seconds(), "run-s")
		b.ReportMetric(run.load.Seconds(), "run-load-s")
		b.ReportMetric(run.tables.Seconds(), "run-tables-s")
		b.ReportMetric(run.rest.Seconds(), "run-rest-s")
		b.ReportMetric(script.whole.Seconds(), "script-s")
		b.ReportMetric(script.load.Seconds(), "script-load-s")
		b.ReportMetric(script.tables.Seconds(), "script-tables-s")
		b.ReportMetric(script.rest.Seconds(), "script-rest-s")
		b.ReportMetric(loop.Seconds(), "loop-s")
		b.ReportMetric(run.whole.Seconds()/script.whole.Seconds(), "run/script")
		b.ReportMetric(run.whole.Seconds()/script.whole.Seconds()/scriptGoal, "of-1.25")
		b.ReportMetric(loop.Seconds()/run.whole.Seconds(), "loop/run")
		b.ReportMetric(loop.Seconds()/run.whole.Seconds()/loopGoal, "of-20")
	}
}

// phases are where the time of a way through the pipeline went: reading the sources, computing the tables, and all else (opening, planning,
// writing the database down).
type phases struct{ load, tables, rest, whole time.Duration }

// least takes the shorter of each; the zero phases are of no round.
func (p phases) least(o phases) phases {
	if p.whole == 0 {
		return o
	}
	return phases{min(p.load, o.load), min(p.tables, o.tables), min(p.rest, o.rest), min(p.whole, o.whole)}
}

// runNBA does what `headway run` does, from opening the project to closing the database.
func runNBA(b *testing.B, dir string) phases {
	b.Helper()
	ctx := b.Context()
	env := cli.NewProcess(dir, "bench", func() int { return 0 }).Environment
	began := time.Now()
	c, err := backfill.Open(ctx, env, backfill.Options{Dir: dir, File: "headway.yaml"})
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Now()
	sight, err := c.Look(ctx, backfill.LookOptions{})
	if err != nil {
		b.Fatal(err)
	}
	looked := time.Now()
	p, err := c.Plan(ctx, sight, plan.Request{})
	if err != nil {
		b.Fatal(err)
	}
	planned := time.Now()
	report, err := c.Run(ctx, sight, p, backfill.RunOptions{Class: ledger.ClassBackfill, Command: "bench"})
	if err != nil || report.Published == 0 || report.Exit != 0 && report.Exit != 5 { // the real data has a date that a check keeps back
		b.Fatalf("%+v: %v", report, err)
	}
	ran := time.Now()
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	whole := time.Since(began)
	out := phases{load: looked.Sub(opened), tables: ran.Sub(planned), whole: whole}
	out.rest = whole - out.load - out.tables
	return out
}

// A pipeline is the project's statements.
type pipeline struct {
	dir     string
	project *catalog.Project
	tables  []*catalog.Table  // in the order of the graph
	whole   map[string]string // table → statement over all dates
	dates   []string
}

func renderAll(b *testing.B, dir string) *pipeline {
	b.Helper()
	p := &pipeline{dir: dir, whole: map[string]string{}}
	var err error
	if p.project, err = catalog.Load(catalog.Folder{FS: os.DirFS(dir), File: "headway.yaml"}); err != nil {
		b.Fatal(err)
	}
	graph, err := catalog.NewGraph(p.project)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range graph.Order() {
		for _, t := range c.Tables {
			p.tables = append(p.tables, t)
			if !t.IsSource() {
				p.whole[t.Name] = p.render(b, t.Name)
			}
		}
	}
	db := p.open(b, filepath.Join(dir, "nba.duckdb"))
	defer db.Close() //nolint:errcheck // it was only read
	rows, err := db.Query("select distinct game_date::varchar from raw_schedule where season_type in ('regular', 'playoffs') order by 1")
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			b.Fatal(err)
		}
		p.dates = append(p.dates, d)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *pipeline) render(b *testing.B, table string, rng ...string) string {
	b.Helper()
	out, _ := headway(b, p.dir, append([]string{"render", table, "--no-observe", "-q", "-o", "json"}, rng...)...)
	var answer struct{ Statements []string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Statements) != 1 {
		b.Fatalf("render %s: %v %s", table, err, out)
	}
	return answer.Statements[0]
}

func (p *pipeline) open(b *testing.B, file string) *sql.DB {
	b.Helper()
	db, err := sql.Open("duckdb", file)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

func exec(b *testing.B, db *sql.DB, statement string) {
	b.Helper()
	if _, err := db.Exec(statement); err != nil {
		b.Fatalf("%v\n%s", err, statement)
	}
}

// load reads the sources as a hand-written script would: typed, without guessing.
func (p *pipeline) load(b *testing.B, db *sql.DB) {
	b.Helper()
	for _, t := range p.tables {
		if !t.IsSource() {
			continue
		}
		cols := make([]string, 0, len(t.Source.Contract.Columns))
		for _, c := range t.Source.Contract.Columns {
			cols = append(cols, fmt.Sprintf("'%s': '%s'", c.Name, c.Type))
		}
		exec(b, db, fmt.Sprintf("create table %s as select * from read_csv('%s', header = true, auto_detect = false, columns = {%s})",
			t.Name, filepath.Join(p.dir, t.Source.Files), strings.Join(cols, ", ")))
	}
}

// script is one statement a table over all dates, load included.
func (p *pipeline) script(b *testing.B) phases {
	b.Helper()
	began := time.Now()
	db := p.open(b, filepath.Join(b.TempDir(), "script.duckdb"))
	exec(b, db, "set global wal_autocheckpoint = '256MB'") // as Headway has it
	opened := time.Now()
	p.load(b, db)
	loaded := time.Now()
	for _, t := range p.tables {
		if !t.IsSource() {
			exec(b, db, "create table "+t.Name+" as "+p.whole[t.Name])
		}
	}
	computed := time.Now()
	if err := db.Close(); err != nil { // which writes the database down
		b.Fatal(err)
	}
	whole := time.Since(began)
	return phases{loaded.Sub(opened), computed.Sub(loaded), whole - computed.Sub(opened), whole}
}

// loop deletes and inserts date by date, as a script per date does; every 20th date is run.
func (p *pipeline) loop(b *testing.B) time.Duration {
	b.Helper()
	const every = 20
	type statement struct{ table, date, text string }
	var statements []statement
	for _, t := range p.tables {
		if t.IsSource() || !t.Partitioned() {
			continue
		}
		for i := every / 2; i < len(p.dates); i += every {
			d := p.dates[i]
			statements = append(statements, statement{t.Name, d, p.render(b, t.Name, "--from", d, "--to", d)})
		}
	}
	db := p.open(b, filepath.Join(b.TempDir(), "loop.duckdb"))
	defer db.Close() //nolint:errcheck // thrown away
	p.load(b, db)
	for _, t := range p.tables {
		if !t.IsSource() {
			exec(b, db, "create table "+t.Name+" as "+p.whole[t.Name])
		}
	}
	began := time.Now()
	for _, s := range statements {
		exec(b, db, fmt.Sprintf("begin; delete from %s where game_date = date '%s'; insert into %s %s; commit", s.table, s.date, s.table, s.text))
	}
	return time.Since(began) * every
}
