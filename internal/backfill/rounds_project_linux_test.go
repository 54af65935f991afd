package backfill_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// roundProject is a table that a command stages, in chunks, and one that is made of it by SQL.
const roundProject = `version: 1
project: rounds
warehouses:
  main: {type: duckdb, path: proof.duckdb}
defaults: {partition: {column: day, grain: day, calendar: days, start: 2024-03-01}}
calendars:
  days: {file: days.csv, column: day}
tables:
  made:
    command: [%q]
    env: {%s: round}
    batch: {size: 3}
    retries: 1
  summed:
    inputs: [made]
    batch: {size: 4}
`

const roundQuery = `select day, count(*) as n, min(attempt) as first, max(attempt) as last from {{table "made"}}
where day >= {{start}} and day < {{end}} group by day
`

const roundDates = 12

func playProject(r *round) {
	r.state = filepath.Join(r.dir, ".headway", "state.db")
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	r.write(r, map[string]string{
		"headway.yaml":   fmt.Sprintf(roundProject, self, commandVariable),
		"sql/summed.sql": roundQuery,
		"days.csv":       "day\n" + strings.Join(proofDays()[:roundDates], "\n") + "\n",
	})
	run := func() *launched {
		args := []string{"run", "--yes", "--on-conflict", pick(r, "fail", "wait", "trim"), "--wait-timeout", "20s"}
		return r.launch("", append(args, pick(r, []string{"made"}, []string{"summed"}, nil, nil)...)...)
	}
	r.launch("", "run", "--yes")
	r.await(10*roundTTL, func(lines []entry) bool { return len(lines) > 0 })
	for range 3 + r.random.IntN(3) {
		r.awaitLines(r.random.IntN(8))
		switch taken := r.random.IntN(3); {
		case taken == 0 || !r.strike():
			run()
		case len(r.frozen) > 0 && r.random.IntN(2) == 0:
			l := run()
			r.await(2*roundTTL, func([]entry) bool { return l.ended() })
			r.thaw()
		}
		if r.random.IntN(3) == 0 {
			r.thaw()
		}
	}
	r.thaw()
	for _, l := range r.launched {
		l.wait(r)
	}
	r.others.Wait()
	last := r.launch("", "run", "--yes")
	if last.wait(r); last.exit != 0 {
		r.Errorf("the last run: exit %d", last.exit)
	}
	if out, err := r.command("status", "--exit-code").CombinedOutput(); err != nil {
		r.Errorf("status: %v: %s", err, out)
	}
	r.noOrphans()
	r.superseded()
	r.audited()
	r.visible()
}

// visible wants that each partition is there, whole, published once, and of the attempt that the ledger names.
func (r *round) visible() {
	axis := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}
	named := map[string]string{} // attempts by table and date
	for _, table := range []string{"made", "summed"} {
		key := "../proof.duckdb:" + table
		snapshot, err := r.open().Snapshot(r.Context(), []string{key})
		if err != nil {
			r.Fatal(err)
		}
		attempts, err := r.led.Attempts(r.Context(), ledger.AttemptFilter{Table: key})
		if err != nil {
			r.Fatal(err)
		}
		for _, a := range attempts {
			if a.State == "running" {
				r.Errorf("attempt %s of run %s is still said to run", a.ID, a.Run)
			}
		}
		for _, segment := range snapshot.Table(key).Segments {
			for p := segment.Start; p < segment.End; p++ {
				named[table+" "+axis.ID(p)] = segment.Attempt
			}
		}
	}
	var made, summed, marked []string
	for _, d := range proofDays()[:roundDates] {
		made = append(made, fmt.Sprintf("{'day': %s, 'attempt': %s, 'ns': [0, 1, 2]}", d, named["made "+d]))
		summed = append(summed, fmt.Sprintf("{'day': %s, 'n': 3, 'first': %s, 'last': %s}", d, named["made "+d], named["made "+d]))
		marked = append(marked, fmt.Sprintf("{'d': %s, 'made': %s, 'summed': %s}", d, named["made "+d], named["summed "+d]))
	}
	for text, want := range map[string][]string{
		"select day, attempt, list(n order by n) as ns from made group by all order by all": made,
		"select day, n, first, last from summed order by all":                               summed,
		`select (date '1970-01-01' + m."partition"::int)::date as d, m.attempt as made, s.attempt as summed from _headway.marker m join _headway.marker s on s."partition" = m."partition"
			where m.table_key like '%:made' and s.table_key like '%:summed' order by all`: marked,
	} {
		if got := r.query(r, text); !slices.Equal(got, want) {
			r.Errorf("%s:\n%s\nthe ledger says\n%s", text, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	r.wantOnce(r)
}
