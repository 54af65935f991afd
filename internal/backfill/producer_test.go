package backfill_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/plan"
)

// several computes players and teams for its dates in one go, as a person's script would, and notes that it ran. Files in its folder make it
// misbehave.
func several(db *sql.DB, mode, factor string) error {
	runs, err := os.OpenFile("runs.txt", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprintln(runs, os.Getenv("HEADWAY_TABLE"), os.Getenv("HEADWAY_FROM"), os.Getenv("HEADWAY_TO"))
	if err := runs.Close(); err != nil {
		return err
	}
	stages := map[string]string{"players": "players", "teams": "teams"}
	if mode == "several" {
		if err := json.Unmarshal([]byte(os.Getenv("HEADWAY_STAGING_TABLES")), &stages); err != nil {
			return err
		}
	}
	for i, table := range []string{"players", "teams"} {
		rows := fmt.Sprintf("select day, (day(day) * %s + %d)::integer as value from (select unnest(string_split('%s', ','))::date as day)", factor, i,
			os.Getenv("HEADWAY_PARTITIONS"))
		statements := []string{"create or replace table " + stages[table] + " as " + rows}
		if mode != "several" {
			statements = []string{
				"create table if not exists " + table + " (day date, value integer)",
				"delete from " + table + " where day in (select day from (" + rows + "))", "insert into " + table + " " + rows,
			}
		}
		if there("bad " + table) {
			statements = append(statements, "update "+stages[table]+" set value = -1 where day(day) = 3")
		}
		if there("outside " + table) {
			statements = append(statements, "insert into "+stages[table]+" values (date '1999-01-01', 1)")
		}
		if there("die before " + table) {
			return fmt.Errorf("no %s today", table)
		}
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				return err
			}
		}
	}
	if lines, err := os.ReadFile("lines"); err == nil {
		return os.WriteFile(os.Getenv("HEADWAY_REPORT"), lines, 0o600)
	}
	return nil
}

// newProducer makes a site of a producer of two tables, and one that reads the second.
func newProducer(t testing.TB, mode, options string) *site {
	t.Helper()
	s := newCommands(t, "staged", "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	write := map[string]string{"several": "staged", "several direct": "direct"}[mode]
	s.write(t, map[string]string{
		"headway.yaml": fmt.Sprintf(`version: 1
project: commands
warehouses:
  main: {type: duckdb, path: proof.duckdb}
defaults: {partition: {column: day, grain: day, calendar: days, start: 2024-03-01}}
calendars:
  days: {file: days.csv, column: day}
tables:
  players: {checks: [range: {column: value, min: 0}]}
  teams: {checks: [range: {column: value, min: 0}]}
  summed:
    inputs: [teams: {window: {days: [-2, 0]}}]
producers:
  box:
    command: [%q]
    files: [factor.txt]
    env: {%s: %s}
    write: {mode: %s}
    tables: [players, teams]
    batch: {size: %s
`, self, commandVariable, mode, write, options),
		"sql/summed.sql": `select partition_start::date as day, (select sum(value) from {{table "teams"}} where day between partition_start - interval 2 days and partition_start) as total
from {{partitions}} where partition_start >= {{start}} and partition_start < {{end}}`,
	})
	return s
}

// wantRuns holds against how often the command was run, and for what, since it was last asked.
func (s *site) wantRuns(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	if text, err := os.ReadFile(s.dir + "/runs.txt"); err == nil {
		got = strings.Split(strings.TrimSpace(string(text)), "\n")
		s.remove(t, "runs.txt")
	}
	for i := range want {
		want[i] = "players " + want[i]
	}
	if !slices.Equal(got, want) {
		t.Errorf("the command was run for %q, want %q", got, want)
	}
}

// wantValue holds a table against each day's number times a factor, and one more for teams; 0: nothing stands there.
func (s *site) wantValue(t testing.TB, table string, factor func(day int) int) {
	t.Helper()
	var want []string
	for d := 1; d <= 13; d++ {
		value := d * factor(d)
		if table == "teams" {
			value++
		}
		if d != 10 && factor(d) != 0 {
			want = append(want, fmt.Sprintf("{'day': 2024-03-%02d, 'value': %d}", d, value))
		}
	}
	if got := s.query(t, "select day, value from "+table+" order by day"); !slices.Equal(got, want) {
		t.Errorf("%s holds\n%s\nwant\n%s", table, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func tenfold(int) int { return 10 }

// TestProducer: one run of the command makes all its tables, in chunks; each is published by itself, with one code version; and nothing is
// done twice.
func TestProducer(t *testing.T) {
	s := newProducer(t, "several", "5}")
	s.mustRun(t, 0)
	s.wantRuns(t, "2024-03-01 2024-03-05", "2024-03-06 2024-03-11", "2024-03-12 2024-03-13")
	s.wantValue(t, "players", tenfold)
	s.wantValue(t, "teams", tenfold)
	if left := s.look(t).stages; len(left) > 0 {
		t.Errorf("stages were left behind: %v", left)
	}
	s.with(t, func(c *backfill.Coordinator) {
		players, err := c.Ledger.Versions(t.Context(), c.Tables["players"].Key)
		if err != nil {
			t.Fatal(err)
		}
		teams, err := c.Ledger.Versions(t.Context(), c.Tables["teams"].Key)
		if err != nil || len(players) != 1 || len(teams) != 1 || players[0].Version != teams[0].Version || teams[0].Producer != "box" {
			t.Errorf("versions %+v and %+v: %v", players, teams, err)
		}
	})
	if r := s.mustRun(t, 0); r.Published != 0 {
		t.Errorf("a run with nothing to do published %d", r.Published)
	}
	s.wantRuns(t)
	s.wantOnce(t)
}

// TestProducerLeavesAloneWhatIsFresh: the command is run for what one table needs; what it makes of the other is not published.
func TestProducerLeavesAloneWhatIsFresh(t *testing.T) {
	s := newProducer(t, "several", "100}")
	s.mustRun(t, 0)
	s.wantRuns(t, "2024-03-01 2024-03-13")
	before := s.look(t)
	report, _, err := s.run(t.Context(), plan.Request{
		Tables: []string{"teams"}, Sets: map[string]calendar.Set{"teams": calendar.Of(march(3), march(5))}, Reprocess: plan.All, Explicit: true,
	}, backfill.RunOptions{})
	if err != nil || report.Exit != 0 || len(report.Tables) != 1 || report.Tables[0].Unchanged != 2 {
		t.Fatalf("%v: %s", err, describe(report))
	}
	s.wantRuns(t, "2024-03-03 2024-03-03", "2024-03-05 2024-03-05")
	s.look(t).same(t, before)
	if got := s.seen.publishes(); got != 3*12+2 { // players, teams and summed; then teams
		t.Errorf("%d partitions were published, want %d", got, 3*12+2)
	}
}

// TestProducerReports: each table goes by what is said of it. Lines must name their table.
func TestProducerReports(t *testing.T) {
	s := newProducer(t, "several", "100}")
	var lines strings.Builder
	for _, day := range proofDays()[:12] {
		fmt.Fprintf(&lines, `{"table":"players","partition":%q,"state":"done"}`+"\n", day)
		if day < "2024-03-03" { // it has saved 2 of 12
			fmt.Fprintf(&lines, `{"table":"teams","partition":%q,"state":"done"}`+"\n", day)
		}
	}
	s.write(t, map[string]string{"lines": lines.String()})
	r := s.mustRun(t, 5)
	s.wantRuns(t, "2024-03-01 2024-03-13")
	s.wantValue(t, "players", tenfold)
	s.wantValue(t, "teams", func(d int) int { return map[bool]int{true: 10}[d < 3] })
	if got := published(r); got["players"] != 12 || got["teams"] != 2 {
		t.Errorf("published %v: %s", got, describe(r))
	}
	s.write(t, map[string]string{"lines": `{"partition":"2024-03-05","state":"done"}`})
	report, _, err := s.run(t.Context(), plan.Request{Reprocess: plan.Default, Explicit: true}, backfill.RunOptions{})
	if err != nil || report.Exit != 1 || !strings.Contains(describe(report), "does not say which table it is about: players, teams") {
		t.Errorf("%v: %s", err, describe(report))
	}
	s.remove(t, "lines")
	report, _, err = s.run(t.Context(), plan.Request{Reprocess: plan.Default, Explicit: true}, backfill.RunOptions{})
	if err != nil || report.Exit != 0 {
		t.Fatalf("%v: %s", err, describe(report))
	}
	s.wantValue(t, "teams", tenfold)
}

// TestProducerOneTableFails: what is wrong with one table's rows keeps that one back, whole or in part, and the other not.
func TestProducerOneTableFails(t *testing.T) {
	s := newProducer(t, "several", "100}")
	s.write(t, map[string]string{"bad teams": ""})
	r := s.mustRun(t, 5)
	if got := published(r); got["players"] != 12 || got["teams"] != 11 || !strings.Contains(describe(r), "teams 2024-03-03") {
		t.Errorf("published %v: %s", got, describe(r))
	}
	s = newProducer(t, "several", "100}\n    retries: 2")
	s.write(t, map[string]string{"outside teams": ""})
	r = s.mustRun(t, 5)
	s.wantRuns(t, "2024-03-01 2024-03-13") // it would be no better the second time
	if got := published(r); got["players"] != 12 || got["teams"] != 0 || !strings.Contains(describe(r), "1999") {
		t.Errorf("published %v: %s", got, describe(r))
	}
	s.remove(t, "outside teams")
	s.mustRun(t, 0)
	s.wantRuns(t, "2024-03-01 2024-03-13")
	s.wantValue(t, "teams", tenfold)
	s.wantOnce(t)
}

// nth is the number of the n-th call of a name in a run of the site's copy.
func (s *site) nth(t testing.TB, name string, n int) int {
	t.Helper()
	whole := s.copyTo(t, folder(t))
	whole.faults = &faults{}
	whole.mustRun(t, 0)
	for i, called := range whole.faults.names {
		if called == name {
			if n--; n == 0 {
				return i + 1
			}
		}
	}
	t.Fatalf("%s is not called so often: %v", name, whole.faults.names)
	return 0
}

// TestProducerTriesAgainWhatFailed: a publish that goes wrong for one table is tried again by another run of the command, for that table alone.
func TestProducerTriesAgainWhatFailed(t *testing.T) {
	s := newProducer(t, "several", "100}\n    retries: 1")
	at := s.nth(t, "warehouse.Publish", 2)
	s.faults = &faults{at: at}
	if got := published(s.mustRun(t, 0)); got["players"] != 12 || got["teams"] != 12 {
		t.Errorf("published %v", got)
	}
	s.wantRuns(t, "2024-03-01 2024-03-13", "2024-03-01 2024-03-13")
	s.wantValue(t, "players", tenfold)
	s.wantValue(t, "teams", tenfold)
	s.wantOnce(t)
	s = newProducer(t, "several", "100}\n    retries: 1")
	s.write(t, map[string]string{"failures": "x"})
	s.mustRun(t, 0)
	s.wantValue(t, "teams", tenfold)
	s.wantOnce(t)
}

// TestProducerStartsAllOrNone: where the attempt on one table cannot start, the command is not run, and those that had begun are cancelled:
// they leave nothing in flight and no verdict.
func TestProducerStartsAllOrNone(t *testing.T) {
	s := newProducer(t, "several", "100}")
	s.faults = &faults{at: s.nth(t, "ledger.StartAttempt", 2)}
	s.seen.failed = func() {
		s.seen.failed = nil
		s.with(t, func(c *backfill.Coordinator) {
			snapshot, err := c.Ledger.Snapshot(t.Context(), []string{c.Tables["players"].Key})
			if err != nil || !snapshot.Table(c.Tables["players"].Key).InFlight.Empty() {
				t.Errorf("players are in flight: %v", err)
			}
		})
	}
	r := s.mustRun(t, 1)
	if s.seen.failed != nil {
		t.Error("no attempt was ended")
	}
	s.wantRuns(t)
	if !strings.Contains(describe(r), "players is made with teams: start an attempt on teams") {
		t.Errorf("the reason is not told: %s", describe(r))
	}
	s.faults = nil
	for table, partitions := range s.look(t).ledger {
		for p, word := range partitions {
			if table != "summed" && strings.Contains(word, "failed: ") {
				t.Errorf("%s %d: %s", table, p, word)
			}
		}
	}
	s.mustRun(t, 0)
	s.wantOnce(t)
}

// TestProducerThatWritesByItself: it writes all tables whatever one of them needs; what it leaves half done is in doubt in all.
func TestProducerThatWritesByItself(t *testing.T) {
	s := newProducer(t, "several direct", "100}")
	s.mustRun(t, 0)
	s.wantRuns(t, "2024-03-01 2024-03-13")
	report, _, err := s.run(t.Context(), plan.Request{
		Tables: []string{"teams"}, Sets: map[string]calendar.Set{"teams": calendar.Of(march(3))}, Reprocess: plan.All, Explicit: true,
	}, backfill.RunOptions{})
	if err != nil || report.Exit != 0 || len(report.Tables) != 2 || report.Published != 2 {
		t.Fatalf("%v: %s", err, describe(report))
	}
	s.wantRuns(t, "2024-03-03 2024-03-03")
	s.write(t, map[string]string{"factor.txt": "20", "die before teams": ""})
	s.mustRun(t, 1)
	for table, partitions := range s.look(t).ledger {
		for p, word := range partitions {
			if table != "summed" && !strings.HasPrefix(word, "in_doubt") {
				t.Errorf("%s %d is %s: it must be in doubt", table, p, word)
			}
		}
	}
	s.remove(t, "die before teams")
	s.mustRun(t, 0)
	for _, table := range []string{"players", "teams"} {
		s.wantValue(t, table, func(int) int { return 20 })
	}
}

// TestProducerDies: whichever call of a run goes wrong together with its process, other processes do the rest, and no stage is left.
func TestProducerDies(t *testing.T) {
	s := newProducer(t, "several", "100}")
	whole := s.copyTo(t, folder(t))
	whole.faults = &faults{}
	whole.mustRun(t, 0)
	calls, names := whole.faults.calls, whole.faults.names
	whole.faults = nil
	after := whole.look(t)
	for k := 1; k <= calls; k++ {
		if !slices.Contains([]string{
			"ledger.StartAttempt", "warehouse.OpenStage", "warehouse.SealStage", "ledger.Intend", "warehouse.Publish", "ledger.Record", "warehouse.Discard",
		}, names[k-1]) {
			continue
		}
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%03d %s answer lost %t", k, names[k-1], lost), func(t *testing.T) {
				t.Parallel()
				one := s.copyTo(t, folder(t))
				one.faults = &faults{at: k, after: lost, dies: true}
				report, _, err := one.run(t.Context(), plan.Request{}, backfill.RunOptions{})
				one.faults = nil
				one.settle(t)
				one.look(t).same(t, after)
				if t.Failed() {
					t.Logf("the disturbed run: %v %s", err, describe(report))
				}
			})
		}
	}
}
