package backfill_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A four-hour backfill over five years must not block the run that reads the last 14 days: what it has only reserved is judged by its
// freshness, and the file is free between its chunks.
func TestRule3_AFourHourBackfillDoesNotBlockTheRunThatReadsTheLast14Days(t *testing.T) {
	s := newSite(folder(t))
	s.write(t, map[string]string{
		"headway.yaml": `version: 1
project: years
warehouses: {main: {type: duckdb, path: proof.duckdb}}
defaults: {partition: {column: d, grain: day, start: 2019-01-01, calendar: days}, batch: {size: 4}}
calendars: {days: {query: "select (date '2019-01-01' + i::int)::date from range(1826) as t(i)"}}
tables:
  facts: {}
  report:
    partition: {column: d, grain: day, start: 2023-12-31, calendar: days}
    inputs: [facts: {window: {days: [-14, -1]}}]
`,
		"sql/facts.sql":  "select partition_start as d, md5(i::varchar) as v from {{partitions}}, range(20) as t(i)\n",
		"sql/report.sql": "select p.partition_start as d, count(*) as n from {{partitions}} p, {{table \"facts\"}} f group by 1\n",
	})
	s.edit(t, "headway.yaml", "batch: {size: 4}", "batch: {size: 2000}")
	s.exits(t, 0, "run", "--yes", "-q")
	s.edit(t, "headway.yaml", "batch: {size: 2000}", "batch: {size: 4}")

	long := s.headway(t, "run", "facts", "--reprocess", "all", "--yes", "-o", "jsonl")
	out, err := long.StdoutPipe()
	if err == nil {
		err = long.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, began := bufio.NewScanner(out), false
	for !began && lines.Scan() {
		began = strings.Contains(lines.Text(), "chunk.finished")
	}
	said := s.exits(t, 0, "run", "report", "--reprocess", "all", "--class", "scheduled")
	if !strings.Contains(said, "report  1") {
		t.Errorf("the run that reads the last days says:\n%s", said)
	}
	if runs := s.ps(t); len(runs) != 1 || runs[0].State != "running" {
		t.Errorf("it has ended when the backfill had: %+v", runs)
	}
	if err := errors.Join(long.Process.Kill(), ignoreExit(long.Wait())); err != nil {
		t.Fatal(err)
	}
}

// 16 jobs that wait take no place and no file from others, and each comes to its turn.
func TestRule4_SixteenWaitingJobsFillNothing(t *testing.T) {
	s := newSite(folder(t))
	s.write(t, map[string]string{
		"headway.yaml":  strings.Replace(turnsProject, "tables: {left: {}, right: {}}", "tables: {left: {empty: allow}, right: {}}", 1),
		"sql/left.sql":  turnsQuery,
		"sql/right.sql": "select partition_start as d from {{partitions}}\n",
	})
	holder := exec.CommandContext(t.Context(), "sleep", "600")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	s.exits(t, 0, "adopt", "--pid", fmt.Sprint(holder.Process.Pid), "--table", "left", "--from", "2024-01-01", "--to", "2024-01-05", "--reason", "it runs already")
	const jobs = 16
	waits, ends := make(chan struct{}, jobs), make(chan error, jobs)
	for range jobs {
		j := s.headway(t, "exec", "--table", "left", "--from", "2024-01-01", "--to", "2024-01-05", "--on-conflict", "wait", "--", "sh", "-c", "echo x >>ran")
		errs, err := j.StderrPipe()
		if err == nil {
			err = j.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			var said strings.Builder
			waiting := false
			for lines := bufio.NewScanner(errs); lines.Scan(); fmt.Fprintln(&said, lines.Text()) {
				if !waiting && strings.Contains(lines.Text(), "waiting") {
					waiting = true
					waits <- struct{}{}
				}
			}
			if !waiting {
				waits <- struct{}{}
			}
			err := j.Wait()
			if err != nil || !waiting {
				err = fmt.Errorf("one that waits: %w\n%s", err, said.String())
			}
			ends <- err
		}()
	}
	for range jobs {
		<-waits
	}
	s.exits(t, 0, "run", "right", "--yes", "-q")
	if runs := s.ps(t); len(runs) != 1+jobs {
		t.Errorf("%d runs are under way, want the adopted one and those that wait", len(runs))
	}
	if err := errors.Join(holder.Process.Kill(), ignoreExit(holder.Wait())); err != nil {
		t.Fatal(err)
	}
	for range jobs {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	if ran, err := os.ReadFile(filepath.Join(s.dir, "ran")); err != nil || len(ran) != 2*jobs {
		t.Errorf("%d of them ran (%v)", len(ran)/2, err)
	}
}

// Leases are on where a table is, whatever it is called, and whatever way leads there: t is nba.t.
func TestRule9_TwoNamesOfOneRelation(t *testing.T) {
	here := newSite(folder(t))
	const project = `version: 1
project: %s
warehouses: {main: {type: duckdb, path: %s}}
defaults: {partition: {column: d, grain: day, start: 2024-01-01, calendar: {every: day}}, write: {mode: direct}}
tables: {%s: {relation: %s, command: [sh, job.sh]}, other: {command: [sh, job.sh]}}
`
	other := &site{dir: filepath.Join(here.dir, "deeper", "there"), seen: here.seen}
	here.write(t, map[string]string{"headway.yaml": fmt.Sprintf(project, "here", "proof.duckdb", "games", "nba.t"), "job.sh": "true\n"})
	if err := os.MkdirAll(other.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(here.dir, filepath.Join(other.dir, "way")); err != nil {
		t.Fatal(err)
	}
	other.write(t, map[string]string{"headway.yaml": fmt.Sprintf(project, "there", "way/proof.duckdb", "t", "NBA.T"), "job.sh": "true\n"})
	t.Setenv("HEADWAY_STATE", "sqlite:"+filepath.Join(here.dir, "shared.db"))

	here.exits(t, 0, "hold", "games", "--from", "2024-01-02", "--to", "2024-01-03", "--reason", "it is being looked at")
	job := []string{"exec", "--from", "2024-01-01", "--to", "2024-01-05", "--table"}
	other.exits(t, 104, append(job, "t", "--", "touch", "ran")...)
	if _, err := os.Stat(filepath.Join(other.dir, "ran")); err == nil {
		t.Error("another name of the table that is held was written")
	}
	if out := other.exits(t, 0, "ps", "-o", "json"); !strings.Contains(out, `"table": "t"`) {
		t.Errorf("the hold is not shown by the name that it has here: %s", out)
	}
	other.exits(t, 103, append(job, "other", "--", "touch", "ran")...) // which is free, and stays empty
	if _, err := os.Stat(filepath.Join(other.dir, "ran")); err != nil {
		t.Errorf("another table was not written: %v", err)
	}
}
