package backfill_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/executor/shim"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
)

// commandVariable makes the test binary a table's command: its value says in which mode.
const commandVariable = "HEADWAY_TEST_COMMAND"

func TestMain(m *testing.M) {
	if shim.Asked(os.Args) { // before it is a command: the shim has the command's variables
		os.Exit(shim.Main(os.Args))
	}
	if mode := os.Getenv(commandVariable); mode != "" {
		if err := command(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// A history takes seconds, not microseconds; the command line may ask for more of them.
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// command computes (day, value) for its dates, as a person's script would: value is the day's number times what factor.txt says. Files in
// its folder make it misbehave.
func command(mode string) error {
	if there("hang") {
		time.Sleep(time.Hour)
	}
	if n, err := os.ReadFile("failures"); err == nil && len(n) > 0 {
		if err := os.WriteFile("failures", n[1:], 0o600); err != nil {
			return err
		}
		return errors.New("not this time")
	}
	if mode == "round" {
		return roundCommand()
	}
	factor, err := os.ReadFile("factor.txt")
	if err != nil {
		return err
	}
	db, err := sql.Open("duckdb", "proof.duckdb")
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // every statement is committed
	if strings.HasPrefix(mode, "several") {
		return several(db, mode, strings.TrimSpace(string(factor)))
	}
	rows := fmt.Sprintf("select unnest(string_split('%s', ','))::date as day", os.Getenv("HEADWAY_PARTITIONS"))
	rows = fmt.Sprintf("select day, (day(day) * %s)::integer as value from (%s)", strings.TrimSpace(string(factor)), rows)
	if mode == "direct" {
		err = direct(db, rows)
	} else {
		_, err = db.Exec("create or replace table " + os.Getenv("HEADWAY_STAGING_TABLE") + " as " + rows)
	}
	if err != nil {
		return err
	}
	if there("edit") {
		if err := os.WriteFile("factor.txt", []byte("1000"), 0o600); err != nil {
			return err
		}
	}
	if lines, err := os.ReadFile("lines"); err == nil {
		return os.WriteFile(os.Getenv("HEADWAY_REPORT"), lines, 0o600)
	}
	return nil
}

// direct replaces rows as the scripts of the incident did: a DELETE, then an INSERT, each for itself.
func direct(db *sql.DB, rows string) error {
	if _, err := db.Exec("create table if not exists made (day date, value integer)"); err != nil {
		return err
	}
	if _, err := db.Exec("delete from made where day in (select day from (" + rows + "))"); err != nil {
		return err
	}
	if there("die") {
		if err := db.Close(); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	_, err := db.Exec("insert into made " + rows)
	return err
}

func there(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// newCommands makes a site of a table that a command makes and one that reads it.
func newCommands(t testing.TB, mode, options string) *site {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(folder(t))
	s.write(t, map[string]string{
		"headway.yaml": fmt.Sprintf(`version: 1
project: commands
warehouses:
  main: {type: duckdb, path: proof.duckdb}
defaults: {partition: {column: day, grain: day, calendar: days, start: 2024-03-01}}
calendars:
  days: {file: days.csv, column: day}
tables:
  made:
    command: [%q]
    files: [factor.txt]
    env: {%s: %s}
    write: {mode: %s}
    batch: {size: 5}
    %s
  summed:
    inputs: [made: {window: {days: [-2, 0]}}]
`, self, commandVariable, mode, mode, options),
		"sql/summed.sql": `select partition_start::date as day, (select sum(value) from {{table "made"}} where day between partition_start - interval 2 days and partition_start) as total
from {{partitions}} where partition_start >= {{start}} and partition_start < {{end}}`,
		"days.csv":   "day\n" + strings.Join(proofDays()[:12], "\n") + "\n",
		"factor.txt": "10",
	})
	return s
}

const made = "select day, value from made order by day"

// wantMade is what made holds: each day's number times a factor.
func (s *site) wantMade(t testing.TB, factor func(day int) int) {
	t.Helper()
	var want []string
	for d := 1; d <= 13; d++ {
		if f := factor(d); d != 10 && f != 0 {
			want = append(want, fmt.Sprintf("{'day': 2024-03-%02d, 'value': %d}", d, d*f))
		}
	}
	if got := s.query(t, made); !slices.Equal(got, want) {
		t.Errorf("made holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (s *site) mustRun(t testing.TB, exit int) *backfill.Report {
	t.Helper()
	report, _, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Exit != exit {
		t.Fatalf("exit %d, want %d: %s", report.Exit, exit, describe(report))
	}
	return report
}

func (s *site) remove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestStagedCommand: what a command stages is published; nothing is left behind, and nothing is done twice.
func TestStagedCommand(t *testing.T) {
	s := newCommands(t, "staged", "")
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 10 })
	if r := s.mustRun(t, 0); r.Published != 0 {
		t.Errorf("a run with nothing to do published %d", r.Published)
	}
	s.write(t, map[string]string{"factor.txt": "20"})
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 20 })
	if left := s.look(t).stages; len(left) > 0 {
		t.Errorf("stages were left behind: %v", left)
	}
}

// TestCommandReports: partitions that a command names as failed, or does not name at all, are not published; their neighbours are.
func TestCommandReports(t *testing.T) {
	s := newCommands(t, "staged", "batch: {size: 100}")
	s.edit(t, "headway.yaml", "batch: {size: 5}\n    ", "")
	var lines strings.Builder
	for _, day := range proofDays()[:12] {
		switch day {
		case "2024-03-03":
			lines.WriteString(`{"table":"made","partition":"2024-03-03","state":"failed","error":"no feed"}` + "\n")
		case "2024-03-07":
		default:
			fmt.Fprintf(&lines, `{"table":"made","partition":%q,"state":"done","rows":1}`+"\n", day)
		}
	}
	s.write(t, map[string]string{"lines": lines.String()})
	r := s.mustRun(t, 5)
	s.wantMade(t, func(d int) int { return map[bool]int{true: 0, false: 10}[d == 3 || d == 7] })
	if r.Tables[0].Failed != 2 || r.Tables[0].Quarantined != 0 {
		t.Errorf("want 2 partitions failed: %s", describe(r))
	}
	// Its files have not changed, but a person may ask for it again.
	s.remove(t, "lines")
	report, _, err := s.run(t.Context(), plan.Request{Reprocess: plan.Default, Explicit: true}, backfill.RunOptions{})
	if err != nil || report.Exit != 0 {
		t.Fatalf("%v %s", err, describe(report))
	}
	s.wantMade(t, func(int) int { return 10 })
}

// TestCommandRetries: a command that fails is tried again as often as its table says, and no more.
func TestCommandRetries(t *testing.T) {
	s := newCommands(t, "staged", "retries: 2")
	s.edit(t, "headway.yaml", "batch: {size: 5}", "batch: {size: 100}")
	s.write(t, map[string]string{"failures": "xx"})
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 10 })

	s = newCommands(t, "staged", "retries: 1")
	s.edit(t, "headway.yaml", "batch: {size: 5}", "batch: {size: 100}")
	s.write(t, map[string]string{"failures": "xx"})
	if r := s.mustRun(t, 1); !strings.Contains(describe(r), "not this time") {
		t.Errorf("the command's words are not told: %s", describe(r))
	}
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 10 })
	if left := s.look(t).stages; len(left) > 0 {
		t.Errorf("stages were left behind: %v", left)
	}
}

// TestCommandTimeout: a command that hangs is ended, and said to have hung.
func TestCommandTimeout(t *testing.T) {
	s := newCommands(t, "staged", "timeout: 300ms\n    retries: 0")
	s.edit(t, "headway.yaml", "batch: {size: 5}", "batch: {size: 100}")
	s.write(t, map[string]string{"hang": ""})
	if r := s.mustRun(t, 1); !strings.Contains(describe(r), "timeout") {
		t.Errorf("the timeout is not told: %s", describe(r))
	}
	s.remove(t, "hang")
	s.edit(t, "headway.yaml", "timeout: 300ms\n", "timeout: 10m\n")
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 10 })
}

// TestRule21_CodeChangedDuringTheRun: a run pins its code; what was computed while the files changed is not published.
func TestRule21_CodeChangedDuringTheRun(t *testing.T) {
	s := newCommands(t, "staged", "")
	s.write(t, map[string]string{"edit": ""})
	r := s.mustRun(t, 1)
	if !strings.Contains(describe(r), "the code has changed") {
		t.Errorf("the change is not told: %s", describe(r))
	}
	if got := s.query(t, "select 1 from duckdb_tables() where table_name = 'made'"); len(got) > 0 {
		t.Error("something was published")
	}
	s.remove(t, "edit")
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 1000 })
}

// TestRule14_KilledBetweenDeleteAndInsert: a command that writes to the table itself puts its partitions in doubt first, so that what it
// leaves when it is killed half way is seen and not read; the next run mends it.
func TestRule14_KilledBetweenDeleteAndInsert(t *testing.T) {
	s := newCommands(t, "direct", "retries: 0")
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 10 })
	s.write(t, map[string]string{"die": "", "factor.txt": "20"})
	r := s.mustRun(t, 1)
	if r.Tables[0].Failed == 0 {
		t.Errorf("the killed command is not told: %s", describe(r))
	}
	now := s.look(t)
	for p, word := range now.ledger["made"] {
		if !strings.HasPrefix(word, "in_doubt") {
			t.Errorf("made %d is %s: it must be in doubt", p, word)
		}
	}
	if !strings.HasPrefix(now.states["summed"], "fresh none") && !strings.HasPrefix(now.states["summed"], "fresh  of") {
		t.Errorf("what reads partitions in doubt: %s", now.states["summed"])
	}
	s.remove(t, "die")
	s.mustRun(t, 0)
	s.wantMade(t, func(int) int { return 20 })
	s.settle(t)
}

// TestRule14_InDoubtWhileRunning: while a command writes to the table, its partitions are in doubt.
func TestRule14_InDoubtWhileRunning(t *testing.T) {
	s := newCommands(t, "direct", "timeout: 10m\n    retries: 0")
	s.mustRun(t, 0)
	s.edit(t, "headway.yaml", "timeout: 10m\n", "timeout: 300ms\n")
	s.write(t, map[string]string{"hang": "", "factor.txt": "20"})
	s.mustRun(t, 1)
	// It was stopped before it wrote anything; nobody knows that.
	for p, word := range s.look(t).ledger["made"] {
		if !strings.HasPrefix(word, "in_doubt") {
			t.Errorf("made %d is %s: it must be in doubt", p, word)
		}
	}
	s.wantMade(t, func(int) int { return 10 })
}

// TestStagedCommandDies: whichever call of a run with staged commands goes wrong together with its process, other processes do the rest,
// and no stage is left in the file.
func TestStagedCommandDies(t *testing.T) {
	s := newCommands(t, "staged", "retries: 0")
	s.edit(t, "headway.yaml", "batch: {size: 5}", "batch: {size: 100}")
	whole := s.copyTo(t, folder(t))
	whole.faults = &faults{}
	whole.mustRun(t, 0)
	calls, names := whole.faults.calls, whole.faults.names
	whole.faults = nil
	after := whole.look(t)
	for k := 1; k <= calls; k++ {
		if !slices.Contains([]string{
			"warehouse.OpenStage", "warehouse.SealStage", "ledger.Intend", "warehouse.Publish", "ledger.Record", "warehouse.Discard",
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

var _ warehouse.Warehouse = (*watchedWarehouse)(nil)
