package backfill_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/bootclock"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	programs "github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/executor/shim"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/sqlite"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
)

// openLedger opens the state of a test: the one place that knows which driver it is.
func openLedger(ctx context.Context, path string, m ledger.Machine, now func() time.Time) (ledger.Ledger, error) {
	return sqlite.Open(ctx, path, sqlite.Options{Machine: m, Now: now})
}

// A tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Cleanup(fn func())
	Context() context.Context
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// A site is a project folder with its state and its warehouse, and the machine that its processes run on. A site is opened again and
// again, each time by another process of that machine, whose only live process is the last.
type site struct {
	dir    string
	pid    atomic.Int64
	ids    atomic.Int64
	ticks  atomic.Int64
	faults *faults // nil: none
	seen   *seen   // what went through, over all processes
}

func newSite(dir string) *site { return &site{dir: dir, seen: newSeen()} }

// epoch is the wall clock of tests: March 2024 is over, April has begun.
var epoch = time.Date(2024, 4, 2, 6, 0, 0, 0, time.UTC)

func (s *site) now() time.Time {
	return epoch.Add(time.Duration(s.ticks.Add(int64(time.Millisecond))))
}

// shims are those of all processes that the tests play.
var shims = programs.NewShims(shim.Self())

func (s *site) holder() ledger.Holder {
	return ledger.Holder{Host: "here", Boot: "boot", PID: int(s.pid.Load()), Start: 1, User: "tester"}
}

func (s *site) alive(h ledger.Holder) bool { return h.PID == int(s.pid.Load()) }

// environment is that of one process; opening the next one is the death of the one before.
func (s *site) environment() backfill.Environment {
	s.pid.Add(1)
	machine := ledger.Machine{Host: "here", Boot: "boot", Clock: func() time.Duration { return time.Hour + time.Duration(s.ticks.Load()) }, Alive: s.alive}
	return backfill.Environment{
		Now:   s.now,
		Boot:  bootclock.Now,
		Shims: shims,
		NewID: func(prefix string) string {
			return fmt.Sprintf("%s-%06d", prefix, s.ids.Add(1))
		},
		Lookup:  os.LookupEnv,
		Random:  func() float64 { return 0 },
		Holder:  s.holder(),
		Alive:   s.alive,
		Working: func(ledger.Holder, ledger.AttemptID) bool { return false },
		EndWork: func(ledger.AttemptID) []int { return nil },
		Log:     slog.New(slog.DiscardHandler),
		OpenLedger: func(ctx context.Context, url, dir string, _ bool) (ledger.Ledger, error) {
			l, err := openLedger(ctx, filepath.Join(dir, strings.TrimPrefix(url, "sqlite:")), machine, s.now)
			if err != nil {
				return nil, err
			}
			return &watchedLedger{Ledger: l, faults: s.faults, seen: s.seen}, nil
		},
		OpenWarehouse: func(ctx context.Context, w *catalog.Warehouse, dir string, readOnly bool) (warehouse.Warehouse, error) {
			d, err := duckdb.Open(ctx, filepath.Join(dir, w.Path), duckdb.Options{ReadOnly: readOnly, Threads: 1, OpenWait: 10 * time.Second})
			if err != nil {
				return nil, err
			}
			return &watchedWarehouse{Warehouse: d, faults: s.faults, seen: s.seen}, nil
		},
	}
}

func (s *site) open(ctx context.Context) (*backfill.Coordinator, error) {
	return backfill.Open(ctx, s.environment(), backfill.Options{Dir: s.dir, File: "headway.yaml"})
}

// run is `headway run` in a process of its own. The report is nil when it did not come to one.
func (s *site) run(ctx context.Context, req plan.Request, opts backfill.RunOptions) (_ *backfill.Report, planned int, err error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if failed := c.Close(); failed != nil && err == nil {
			err = failed
		}
	}()
	sight, err := c.Look(ctx, backfill.LookOptions{Tables: req.Tables})
	if err != nil {
		return nil, 0, err
	}
	p, err := c.Plan(ctx, sight, req)
	if err != nil {
		return nil, 0, err
	}
	if opts.Class == "" {
		opts.Class = ledger.ClassBackfill
	}
	if opts.MaxParallel == 0 {
		opts.MaxParallel = 1
	}
	report, err := c.Run(ctx, sight, p, opts)
	return report, p.Partitions(), err
}

// maxRounds bounds how often a test runs until nothing is left.
const maxRounds = 6

// settle runs until nothing is left to do.
func (s *site) settle(t tb) {
	t.Helper()
	for range maxRounds {
		report, planned, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
		if err != nil {
			t.Fatalf("run again: %v", err)
		}
		if planned == 0 {
			return
		}
		if report.Exit != 0 && report.Exit != 5 && report.Exit != 3 {
			t.Fatalf("run again: %s, exit %d: %s", report.State, report.Exit, describe(report))
		}
	}
	t.Fatalf("after %d runs there still is something to do", maxRounds)
}

func describe(r *backfill.Report) string {
	if r == nil {
		return "no report"
	}
	var b strings.Builder
	if r.Reason != nil {
		b.WriteString(*r.Reason)
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n  %s: %d published, %d unchanged, %d quarantined, %d failed, %d fresh, %d blocked, %d stopped", t.Table, t.Published,
			t.Unchanged, t.Quarantined, t.Failed, t.Skipped, t.Blocked, t.Stopped)
		if t.Reason != nil {
			b.WriteString(": " + *t.Reason)
		}
	}
	return b.String()
}

// folder makes a folder for sites: in memory, where the machine has such a place, since nothing here asks what a power cut leaves, and
// each commit waits for the disk.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "headway-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "site")
}

// write makes files of the site. A file that is there is replaced by a new one, so that its cheap version differs.
func (s *site) write(t tb, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

// edit replaces text that a file must hold.
func (s *site) edit(t tb, name, old, text string) {
	t.Helper()
	was, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(was), old) {
		t.Fatalf("%s does not hold %q", name, old)
	}
	s.write(t, map[string]string{name: strings.Replace(string(was), old, text, 1)})
}

// copyTo copies a site that nobody has open.
func (s *site) copyTo(t tb, dir string) *site {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	// The cheap version of a source is made of its files' times.
	err := filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(dir, rel), info.ModTime(), info.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	out := newSite(dir)
	out.pid.Store(s.pid.Load())
	out.ids.Store(s.ids.Load())
	out.ticks.Store(s.ticks.Load())
	return out
}

// A standing is everything that stands in a site, without what differs between two ways to the same end: ids, tokens, clocks.
type standing struct {
	rows   map[string]map[calendar.Partition]warehouse.Content // by table
	ledger map[string]map[calendar.Partition]string            // by table: what the ledger says of each partition
	states map[string]string                                   // by table: what status says
	stages []string
}

// look reads what stands. A table's rows are looked at by Headway's own fingerprints and compared with what markers and ledger say.
func (s *site) look(t tb) *standing {
	t.Helper()
	faults := s.faults
	s.faults = nil
	defer func() { s.faults = faults }()
	ctx := t.Context()
	c, err := s.open(ctx)
	if err != nil {
		t.Fatalf("open to look: %v", err)
	}
	out := &standing{
		rows: map[string]map[calendar.Partition]warehouse.Content{}, ledger: map[string]map[calendar.Partition]string{}, states: map[string]string{},
	}
	keys := make([]string, 0, len(c.Keys))
	for key := range c.Keys {
		keys = append(keys, key)
	}
	snapshot, err := c.Ledger.Snapshot(ctx, keys)
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range c.Tables {
		if table.IsSource() {
			continue
		}
		contents, err := table.Warehouse.Contents(ctx, table.Target, calendar.All())
		if err != nil {
			t.Fatalf("look at %s: %v", name, err)
		}
		out.rows[name] = map[calendar.Partition]warehouse.Content{}
		for _, one := range contents {
			out.rows[name][one.Partition] = one
		}
		out.ledger[name] = told(t, c, name, snapshot.Table(table.Key))
	}
	sight, err := c.Look(ctx, backfill.LookOptions{NoObserve: true})
	if err != nil {
		t.Fatal(err)
	}
	err = sight.View.With(ctx, func(w *plan.World) error {
		for name, table := range c.Tables {
			j := w.Judge(name)
			out.states[name] = fmt.Sprintf("fresh %s of %s", table.Axis.FormatSet(j.Fresh, 50), table.Axis.FormatSet(j.Expected, 50))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	out.stages = s.stages(t)
	return out
}

// told is what the ledger says of each partition of a table.
func told(t tb, c *backfill.Coordinator, name string, h *history.Table) map[calendar.Partition]string {
	t.Helper()
	out := map[calendar.Partition]string{}
	for _, seg := range h.Segments {
		for p := seg.Start; p < seg.End; p++ {
			out[p] = fmt.Sprintf("%s version %s shortfall %s accepted %t stale %t", seg.Content, seg.Version, seg.Shortfall, seg.Accepted, seg.Stale)
		}
	}
	contents, err := c.Ledger.Contents(t.Context(), c.Tables[name].Key, calendar.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range contents {
		out[one.Partition] += fmt.Sprintf(" rows %d fingerprint %s", one.Rows, one.Fingerprint)
	}
	for _, v := range h.Verdicts {
		for p := v.Start; p < v.End; p++ {
			out[p] += fmt.Sprintf(" %s: %s", v.Outcome, v.Reason)
		}
	}
	for p := range h.Unsettled.Partitions() {
		out[p] += " unsettled"
	}
	// What a dead process reserved shows as reserved until somebody wants a lease: that is no difference.
	for p := range h.InFlight.Partitions() {
		out[p] += " in flight"
	}
	return out
}

// database opens the site's file itself, past everything that is tested.
func (s *site) database(t tb) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", filepath.Join(s.dir, "proof.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (s *site) execute(t tb, statement string) {
	t.Helper()
	db := s.database(t)
	defer db.Close() //nolint:errcheck // the statement is committed
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// query gives each row of a query as one text.
func (s *site) query(t tb, text string) []string {
	t.Helper()
	db := s.database(t)
	defer db.Close() //nolint:errcheck // it was only read
	rows, err := db.QueryContext(t.Context(), "select cast(r as varchar) from ("+text+") r")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *site) stages(t tb) []string {
	return s.query(t, "select table_name from duckdb_tables() where schema_name = '_headway_stage' and table_name not like 'q\\_%' escape '\\' order by 1")
}

// same complains of everything in which two standings differ.
func (a *standing) same(t tb, b *standing) {
	t.Helper()
	for name, want := range b.rows {
		diff(t, "rows of "+name, a.rows[name], want)
	}
	for name, want := range b.ledger {
		diff(t, "the ledger's word on "+name, a.ledger[name], want)
	}
	for name, want := range b.states {
		if a.states[name] != want {
			t.Errorf("status of %s: %s, want %s", name, a.states[name], want)
		}
	}
	if len(a.stages) > 0 {
		t.Errorf("stages were left behind: %s", strings.Join(a.stages, ", "))
	}
}

func diff[V comparable](t tb, what string, got, want map[calendar.Partition]V) {
	t.Helper()
	all := map[calendar.Partition]bool{}
	for p := range got {
		all[p] = true
	}
	for p := range want {
		all[p] = true
	}
	var wrong []calendar.Partition
	for p := range all {
		if got[p] != want[p] {
			wrong = append(wrong, p)
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		p := wrong[0]
		t.Errorf("%s: %d partitions differ; %d: %v, want %v", what, len(wrong), p, got[p], want[p])
	}
}

// proofYAML is a project of every shape: a join of two sources, a window, a table that reads itself, months over days, one replaced whole.
const proofYAML = `version: 1
project: proof
state: sqlite:.headway/state.db
warehouses:
  main: {type: duckdb, path: proof.duckdb, max_parallel: 2}
defaults: {partition: {column: day, grain: day, calendar: days, start: 2024-03-01}}
calendars:
  days: {file: days.csv, column: day}
  months: {file: months.csv, column: month}
periods:
  half: [{from: 2024-03-01, to: 2024-03-15}, {from: 2024-03-16, to: 2024-04-30}]
sources:
  orders:
    files: data/orders_*.csv
    contract: {columns: {id: varchar, day: date, amount: integer}}
  rates:
    files: data/rates.csv
    contract: {columns: {day: date, rate: double}}
tables:
  daily:
    inputs: [orders, rates]
    batch: {size: 16}
    checks:
      - unique: [day]
      - range: {column: total, min: 0, max: 100000}
  rolling:
    inputs: [daily: {window: [{days: [-6, 0]}]}]
    batch: {size: 16}
    checks: [not_null: {column: mean, min: 1.0}]
  running:
    inputs:
      - daily
      - running: {window: {days: [-15, -15]}}
  monthly:
    partition: {column: month, grain: month, calendar: months, start: 2024-03}
    inputs: [rolling: {window: same}]
  season:
    inputs: [daily: {window: {since: half, through: 0}}]
  totals:
    partition: none
    inputs: [monthly: {window: all}, running: {window: all}]
`

// proofSQL are its queries.
var proofSQL = map[string]string{
	"sql/daily.sql": `select o.day, count(*) as n, sum(o.amount * r.rate) as total
from {{table "orders"}} o join {{table "rates"}} r on r.day = o.day
where o.day >= {{start}} and o.day < {{end}}
group by o.day`,
	"sql/rolling.sql": `select day, mean from (
  select day, avg(total) over (order by day range between interval 6 days preceding and current row) as mean
  from {{table "daily"}} where day >= {{input_start "daily"}} and day < {{input_end "daily"}}
) where day >= {{start}} and day < {{end}}`,
	"sql/running.sql": `select d.day, d.total + coalesce(r.kept, 0) as kept
from {{table "daily"}} d left join {{table "running"}} r on r.day = d.day - interval 15 days
where d.day >= {{start}} and d.day < {{end}}`,
	"sql/monthly.sql": `select date_trunc('month', day)::date as month, sum(mean) as means, count(*) as days
from {{table "rolling"}} where day >= {{start}} and day < {{end}} group by 1`,
	"sql/season.sql": `select p.partition_start::date as day, sum(d.total) as so_far
from {{partitions}} p join {{table "daily"}} d on d.day >= p.half_start and d.day < p.partition_end
where p.partition_start >= {{start}} and p.partition_start < {{end}} group by 1`,
	"sql/totals.sql": `select (select sum(means) from {{table "monthly"}}) as means, (select sum(kept) from {{table "running"}}) as kept`,
}

// proofTables are its tables, in order.
var proofTables = []string{"daily", "rolling", "running", "monthly", "season", "totals"}

// days of March 2024; the 10th and the 24th are no days of the calendar.
func proofDays() []string {
	var out []string
	for d := 1; d <= 31; d++ {
		if d != 10 && d != 24 {
			out = append(out, fmt.Sprintf("2024-03-%02d", d))
		}
	}
	return out
}

// orders writes three orders a day: id, day, amount.
func orders(days []string, amount func(day, order int) int) string {
	var b strings.Builder
	b.WriteString("id,day,amount\n")
	for i, d := range days {
		for k := range 3 {
			fmt.Fprintf(&b, "o%s-%d,%s,%d\n", d, k, d, amount(i, k))
		}
	}
	return b.String()
}

// newProof makes a site of the project with its first data.
func newProof(t testing.TB, dir string) *site {
	t.Helper()
	s := newSite(dir)
	days := proofDays()
	rates := "day,rate\n"
	for i, d := range days {
		rates += fmt.Sprintf("%s,%.2f\n", d, 1+float64(i)/100)
	}
	s.write(t, proofSQL)
	s.write(t, map[string]string{
		"headway.yaml":      proofYAML,
		"months.csv":        "month\n2024-03\n",
		"days.csv":          "day\n" + strings.Join(days, "\n") + "\n",
		"data/orders_a.csv": orders(days[:15], func(i, k int) int { return 10*i + k }),
		"data/orders_b.csv": orders(days[15:], func(i, k int) int { return 7*i + k }),
		"data/rates.csv":    rates,
	})
	return s
}

// acceptLosses says of every table that what its calendar has lost is gone for good.
func (s *site) acceptLosses(t *testing.T) {
	t.Helper()
	s.with(t, func(c *backfill.Coordinator) {
		sight, err := c.Look(context.Background(), backfill.LookOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for name, lost := range sight.Dropped {
			if err := c.AcceptLosses(context.Background(), sight, name, lost, "the calendar is right"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
