package backfill_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// loopYAML is a project whose tables read themselves and one another, over a source and a table of their own.
const loopYAML = `version: 1
project: loop
state: sqlite:.headway/state.db
warehouses:
  main: {type: duckdb, path: proof.duckdb}
defaults: {partition: {column: day, grain: day, calendar: {every: day}, start: 2024-03-25}}
sources:
  games:
    files: data/games.csv
    contract: {columns: {day: date, team: varchar, points: integer}}
tables:
  results:
    inputs: [games]
  elo:
    relation: rated.elo
    inputs: [results, elo: {window: {partitions: [-1, -1]}}]
  predictions:
    inputs: [elo: {window: same}, accuracy: {window: {partitions: [-1, -1]}}]
  accuracy:
    inputs: [predictions, results]
`

var loopSQL = map[string]string{
	"sql/results.sql": `select day, team, points from {{table "games"}} where day >= {{start}} and day < {{end}}`,
	"sql/elo.sql": `with before as (select * from {{table "elo"}} where day >= {{input_start "elo"}} and day < {{end}})
select r.day, r.team, round(coalesce(b.rating, 1500)::double + r.points / 10, 3) as rating
from {{table "results"}} r left join before b on b.team = r.team and b.day = r.day - 1
where r.day >= {{start}} and r.day < {{end}}`,
	"sql/predictions.sql": `select e.day, e.team, e.rating * coalesce(a.trust, 1) as guess
from {{table "elo"}} e left join {{table "accuracy"}} a on a.team = e.team and a.day = e.day - 1
where e.day >= {{start}} and e.day < {{end}}`,
	"sql/accuracy.sql": `select p.day, p.team, round(1 / (1 + abs(p.guess - r.points)), 6) as trust
from {{table "predictions"}} p join {{table "results"}} r on r.day = p.day and r.team = p.team
where p.day >= {{start}} and p.day < {{end}}`,
}

func newLoop(t *testing.T) *site {
	t.Helper()
	s := newSite(folder(t))
	var games strings.Builder
	games.WriteString("day,team,points\n")
	for _, day := range []string{"03-25", "03-26", "03-27", "03-28", "03-29", "03-30", "03-31", "04-01"} {
		games.WriteString("2024-" + day + ",a,100\n2024-" + day + ",b,90\n")
	}
	s.write(t, loopSQL)
	s.write(t, map[string]string{"headway.yaml": loopYAML, "data/games.csv": games.String()})
	return s
}

// TestRule20_TablesThatReadOneAnother: the first run of an empty project makes a table that reads its own last partition, and a loop of two
// tables, whose relations nobody has made before. Each partition has read the one before it.
func TestRule20_TablesThatReadOneAnother(t *testing.T) {
	s := newLoop(t)
	s.with(t, func(c *backfill.Coordinator) {
		sight, err := c.Look(t.Context(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		problems, err := c.BindAll(t.Context(), sight)
		if err != nil || len(problems) > 0 {
			t.Errorf("validate of an empty project: %v %v", problems, err)
		}
		if _, err := c.RenderQuery(t.Context(), sight, "elo", calendar.Of(march(25))); err != nil {
			t.Errorf("render: %v", err)
		}
	})
	if made := s.query(t, "select table_name from duckdb_tables() where schema_name in ('main', 'rated')"); len(made) > 0 {
		t.Errorf("validate made %v", made)
	}
	s.mustRun(t, 0)
	if r := s.mustRun(t, 0); r.Published != 0 {
		t.Errorf("again, with nothing to do: %s", describe(r))
	}
	for query, want := range map[string]string{
		"select rating as x from rated.elo where team = 'a' and day = '2024-04-01'":                                            "1580.0",
		"select count(*) as x from accuracy":                                                                                   "16",
		"select count(*) as x from predictions p join accuracy a on a.team = p.team and a.day = p.day - 1 where guess = trust": "0",
		"select count(*) as x from predictions p join rated.elo e using (day, team) where p.guess < e.rating":                  "14",
	} {
		if got := s.query(t, query); !slices.Equal(got, []string{"{'x': " + want + "}"}) {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
}

// TestRule20_ANewColumnThatATableReadsOfItself: changed code gives a column more and reads it of its own last partition, where it is null.
func TestRule20_ANewColumnThatATableReadsOfItself(t *testing.T) {
	s := newLoop(t)
	s.mustRun(t, 0)
	s.edit(t, "sql/elo.sql", "as rating", "as rating, 1 + coalesce(b.played, 0) as played")
	r := s.mustRun(t, 0)
	if got := published(r); got["elo"] != 8 || got["results"] != 0 {
		t.Errorf("published %v", got)
	}
	if got := s.query(t, "select played as x from rated.elo where team = 'b' order by day"); strings.Join(got, "") != "{'x': 1}{'x': 2}{'x': 3}{'x': 4}{'x': 5}{'x': 6}{'x': 7}{'x': 8}" {
		t.Errorf("played: %v", got)
	}
}

// TestColumnsThatCannotBeTold: nothing is computed, the error says of which table what could not be told, and declaring them mends it.
func TestColumnsThatCannotBeTold(t *testing.T) {
	s := newLoop(t)
	s.edit(t, "sql/elo.sql", "as rating", "as rating, b.label")
	r := s.mustRun(t, 5)
	for _, want := range []string{"headway.yaml:14:3", `"label"`, "declare `columns:` for table elo"} {
		if !strings.Contains(describe(r), want) {
			t.Errorf("it does not tell %s: %s", want, describe(r))
		}
	}
	if got := published(r); got["results"] != 8 || got["elo"] != 0 {
		t.Errorf("published %v", got)
	}
	s.edit(t, "headway.yaml", "    relation: rated.elo\n", "    relation: rated.elo\n    columns: {day: date, team: varchar, rating: double, label: varchar}\n")
	s.mustRun(t, 0)

	s.edit(t, "headway.yaml", "rating: double", "rating: integer")
	r = s.mustRun(t, 1)
	if !strings.Contains(describe(r), `column "rating" of rated.elo: the query gives DOUBLE, the table has INTEGER, as declared`) {
		t.Errorf("it is not told what differs: %s", describe(r))
	}
}

// TestAnInputThatWasNeverMade: nothing of it is required, but the query reads its relation, which is not there.
func TestAnInputThatWasNeverMade(t *testing.T) {
	s := newLoop(t)
	s.write(t, map[string]string{"headway.yaml": strings.Replace(loopYAML, "inputs: [results, elo:", "inputs: [results: {window: same, complete: 0}, elo:", 1)})
	report, _, err := s.run(t.Context(), plan.Request{Tables: []string{"elo"}}, backfill.RunOptions{})
	if err != nil || report.Exit != 3 {
		t.Fatalf("%v, %s", err, describe(report))
	}
	for _, want := range []string{"elo reads results", "whose relation results is not there", "headway run results"} {
		if !strings.Contains(describe(report), want) {
			t.Errorf("it does not tell %s: %s", want, describe(report))
		}
	}
}
