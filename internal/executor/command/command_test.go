//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/warehouse"
)

// store is a warehouse that remembers in which order it was used.
type store struct {
	warehouse.Warehouse
	did                       []string
	openErr, sealErr, lendErr error
	discarded                 *warehouse.Stage
	lent                      bool
}

func (s *store) Relation(name string) string { return `"` + name + `"` }

func (s *store) OpenStage(_ context.Context, _ warehouse.Target, _ calendar.Set, attempt string) (string, error) {
	s.did = append(s.did, "open")
	return "stage_" + attempt, s.openErr
}

func (s *store) SealStage(_ context.Context, _ warehouse.Target, set calendar.Set, attempt string) (*warehouse.Stage, error) {
	s.did = append(s.did, "seal")
	return &warehouse.Stage{Attempt: attempt, Set: set}, s.sealErr
}

func (s *store) Discard(_ context.Context, stage *warehouse.Stage) error {
	s.did = append(s.did, "discard")
	s.discarded = stage
	return nil
}

func (s *store) Lend(ctx context.Context, fn func(context.Context) error) error {
	s.did = append(s.did, "lend")
	if s.lendErr != nil {
		return s.lendErr
	}
	s.lent = true
	defer func() { s.lent = false }()
	return fn(ctx)
}

var daily = calendar.Axis{Grain: calendar.Day}

func set(days ...int) calendar.Set {
	ps := make([]calendar.Partition, len(days))
	for i, d := range days {
		ps[i] = calendar.Partition(calendar.DateOf(2024, 1, d))
	}
	return calendar.Of(ps...)
}

// task runs this test's own binary, as one of the programs of helper_test.go.
func task(t *testing.T, days calendar.Set, args ...string) executor.Task {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	table := &catalog.Table{
		Name: "box", Axis: daily, Column: "d", Write: catalog.Staged,
		Command: &catalog.Command{Args: append([]string{self}, args...), Env: []catalog.EnvVar{
			{Name: helperVar, Value: "1"},
			{Name: "GORACE", Value: "atexit_sleep_ms=0"}, // under the race detector each program would take a second to end
		}},
	}
	return executor.Task{
		Table: table, Target: warehouse.Target{Table: "k", Relation: "box", Column: "d", Axis: daily}, Set: days, Expected: days,
		Run: "r1", Attempt: "a1", Token: 42, Number: 1, Dir: t.TempDir(), Log: &strings.Builder{},
	}
}

// produce runs a task to its end and gives what it logged.
func produce(t *testing.T, w warehouse.Warehouse, one executor.Task, o Options) (*warehouse.Stage, *executor.Report, string, error) {
	t.Helper()
	e, err := New(one.Table, w, withShim(o))
	if err != nil {
		t.Fatal(err)
	}
	stage, report, err := e.Produce(t.Context(), one)
	return stage, report, one.Log.(*strings.Builder).String(), err
}

func TestStagedOrder(t *testing.T) {
	s := &store{}
	stage, report, log, err := produce(t, s, task(t, set(5, 6), "echo", "hello", "{staging}"), Options{})
	if err != nil || report != nil || stage == nil || stage.Attempt != "a1" {
		t.Fatalf("got %v, %v, %v", stage, report, err)
	}
	if want := []string{"open", "lend", "seal"}; !slices.Equal(s.did, want) {
		t.Errorf("did %v, want %v", s.did, want)
	}
	if log != "hello\n{staging}\n" {
		t.Errorf("log %q", log)
	}
}

func TestDirectGivesNoStage(t *testing.T) {
	s := &store{}
	one := task(t, set(5), "echo", "hello")
	one.Table.Write = catalog.Direct
	stage, report, _, err := produce(t, s, one, Options{})
	if err != nil || report != nil || stage != nil || !slices.Equal(s.did, []string{"lend"}) {
		t.Errorf("got %v, %v, %v after %v", stage, report, err, s.did)
	}
}

func TestStageIsDroppedAfterAFailure(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		store *store
		args  []string
		did   []string
	}{
		"command": {&store{}, []string{"fail", "3", "no"}, []string{"open", "lend", "discard"}},
		"open":    {&store{openErr: boom}, []string{"echo"}, []string{"open"}},
		"lend":    {&store{lendErr: boom}, []string{"echo"}, []string{"open", "lend", "discard"}},
		"seal":    {&store{sealErr: boom}, []string{"echo"}, []string{"open", "lend", "seal", "discard"}},
	} {
		stage, _, _, err := produce(t, tt.store, task(t, set(5), tt.args...), Options{})
		if err == nil || stage != nil || !slices.Equal(tt.store.did, tt.did) {
			t.Errorf("%s: %v after %v, want %v", name, err, tt.store.did, tt.did)
		}
		if name != "command" && !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
		if d := tt.store.discarded; d != nil && d.Relation != `"stage_a1"` {
			t.Errorf("%s: discarded %q", name, d.Relation)
		}
	}
}

// TestEnvironment: every variable of the contract, the table's own resolved, and what is inherited.
func TestEnvironment(t *testing.T) {
	one := task(t, set(5, 6, 9), "environ")
	one.Table.Command.Env = append(one.Table.Command.Env,
		catalog.EnvVar{Name: "KEY", Value: "<${SECRET}>"}, catalog.EnvVar{Name: "PLAIN", Value: "$${x}"}, catalog.EnvVar{Name: "HEADWAY_TOKEN", Value: "1"})
	one.Lookup = func(name string) (string, bool) { return "s3cret", name == "SECRET" }
	_, _, log, err := produce(t, &store{}, one, Options{Environ: []string{"INHERITED=yes", "HEADWAY_TABLE=outer", "KEY=outer"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(log) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"HEADWAY_RUN_ID": "r1", "HEADWAY_ATTEMPT": "a1", "HEADWAY_TABLE": "box", "HEADWAY_FROM": "2024-01-05", "HEADWAY_TO": "2024-01-09",
		"HEADWAY_START": "2024-01-05", "HEADWAY_END": "2024-01-10", "HEADWAY_PARTITIONS": "2024-01-05,2024-01-06,2024-01-09",
		"HEADWAY_TOKEN": "42", "HEADWAY_STAGING_TABLE": "stage_a1", "INHERITED": "yes", "KEY": "<s3cret>", "PLAIN": "${x}",
		"HEADWAY_LEASES": `[{"table":"box","token":42,"intervals":[{"start":"2024-01-05","end":"2024-01-07"},{"start":"2024-01-09","end":"2024-01-10"}]}]`,
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !traceparentForm.MatchString(got["TRACEPARENT"]) {
		t.Errorf("TRACEPARENT is %q", got["TRACEPARENT"])
	}
	if path := got["HEADWAY_REPORT"]; path == "" || !filepath.IsAbs(path) {
		t.Errorf("HEADWAY_REPORT is %q", path)
	} else if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the report is left: %v", err)
	}
}

func TestUnsetVariable(t *testing.T) {
	one := task(t, set(5), "echo")
	one.Table.Command.Env = []catalog.EnvVar{{Name: "KEY", Value: "${NOT_THERE}"}}
	s := &store{}
	_, report, _, err := produce(t, s, one, Options{})
	if report != nil || !errors.Is(err, executor.ErrPermanent) || !strings.Contains(err.Error(), "${NOT_THERE} is not set") || !strings.Contains(err.Error(), "KEY") {
		t.Errorf("got %v", err)
	}
	if len(s.did) > 0 {
		t.Errorf("did %v", s.did)
	}
}

func TestTraceparent(t *testing.T) {
	const outer = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	within := traceparent([]string{"TRACEPARENT=" + outer}, "r1", "a1")
	if !strings.HasPrefix(within, outer[:36]) || !strings.HasSuffix(within, "-00") || within == outer {
		t.Errorf("within a trace: %s", within)
	}
	if a, b := traceparent(nil, "r1", "a1"), traceparent(nil, "r1", "a2"); a[:36] != b[:36] || a == b {
		t.Errorf("two attempts of a run: %s, %s", a, b)
	}
	if got := traceparent([]string{"TRACEPARENT=nonsense"}, "r1", "a1"); got != traceparent(nil, "r1", "a1") {
		t.Errorf("nonsense was taken: %s", got)
	}
}

func TestArguments(t *testing.T) {
	_, _, log, err := produce(t, &store{}, task(t, set(5, 6), "echo", "--from={from}", "{to}", "{start}/{end}", "{token}", "{other} {", "$HOME *", ""), Options{})
	want := "--from=2024-01-05\n2024-01-06\n2024-01-05/2024-01-07\n42\n{other} {\n$HOME *\n\n"
	if err != nil || log != want {
		t.Errorf("got %q, %v; want %q", log, err, want)
	}
	_, _, log, err = produce(t, &store{}, task(t, set(5, 6, 9), "echo", "[{dates}]"), Options{})
	if want := "[2024-01-05,2024-01-06,2024-01-09]\n"; err != nil || log != want {
		t.Errorf("got %q, %v; want %q", log, err, want)
	}
}

func TestLines(t *testing.T) {
	one := task(t, set(5, 6, 9))
	one.Expected = set(5, 6, 8, 9)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"job", "{from}", "{to}", "{token}"}, "[[job 2024-01-05 2024-01-06 {token}] [job 2024-01-09 2024-01-09 {token}]]"},
		{[]string{"job", "{dates}"}, "[[job 2024-01-05,2024-01-06,2024-01-09]]"},
	} {
		one.Table.Command.Args = tt.args
		if got := fmt.Sprint(Lines(one)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestRanges: what is expected and not asked for cuts a range; what is not expected does not; {dates} takes all at once.
func TestRanges(t *testing.T) {
	for _, tt := range []struct {
		name          string
		set, expected calendar.Set
		args          []string
		want          string
	}{
		{"contiguous", set(5, 6, 7), set(5, 6, 7), []string{"{from}..{to}"}, "2024-01-05..2024-01-07\n"},
		{"bridged", set(5, 6, 9), set(5, 6, 9), []string{"{from}..{to}"}, "2024-01-05..2024-01-09\n"},
		{"cut", set(5, 6, 9), set(5, 6, 8, 9), []string{"{from}..{to}"}, "2024-01-05..2024-01-06\n2024-01-09..2024-01-09\n"},
		{"not known", set(5, 6, 9), calendar.Set{}, []string{"{from}..{to}"}, "2024-01-05..2024-01-06\n2024-01-09..2024-01-09\n"},
		{"dates", set(5, 6, 9), set(5, 6, 8, 9), []string{"{dates}"}, "2024-01-05,2024-01-06,2024-01-09\n"},
	} {
		one := task(t, tt.set, append([]string{"echo"}, tt.args...)...)
		one.Expected = tt.expected
		if _, _, log, err := produce(t, &store{}, one, Options{}); err != nil || log != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, log, err, tt.want)
		}
	}
}

func TestWithoutPartitions(t *testing.T) {
	one := task(t, calendar.Of(0), "environ", "{dates}")
	one.Table.Axis, one.Target.Axis = calendar.Whole(), calendar.Whole()
	_, _, log, err := produce(t, &store{}, one, Options{})
	if err != nil || !strings.Contains(log, "HEADWAY_FROM=\n") || !strings.Contains(log, "HEADWAY_PARTITIONS=all\n") {
		t.Errorf("got %v:\n%s", err, log)
	}
	one.Table.Command.Args = []string{"sh", "{from}"}
	if _, err := New(one.Table, &store{}, withShim(Options{})); err == nil || !strings.Contains(err.Error(), "{from}") {
		t.Errorf("{from} was accepted: %v", err)
	}
	if _, err := New(&catalog.Table{Name: "q"}, &store{}, Options{}); err == nil {
		t.Error("a table without a command was accepted")
	}
}

func TestExitCodes(t *testing.T) {
	_, _, log, err := produce(t, &store{}, task(t, set(5, 6), "fail", "3", "first", "no such column"), Options{})
	failed, ok := errors.AsType[*ExitError](err)
	if !ok || failed.Code != 3 || failed.Signal != 0 || !slices.Equal(failed.Last, []string{"first", "no such column"}) {
		t.Fatalf("got %#v", err)
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	for _, want := range []string{"box", "2024-01-05..2024-01-06", "exit code 3", "no such column"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	if log != "first\nno such column\n" {
		t.Errorf("log %q", log)
	}
	if errors.Is(err, executor.ErrPermanent) {
		t.Error("a command that failed may be tried again")
	}
	_, _, log, err = produce(t, &store{}, task(t, set(5), "signal", "9"), Options{})
	if failed, ok = errors.AsType[*ExitError](err); !ok || failed.Code != 137 || failed.Signal != 9 || log != "" || !strings.Contains(err.Error(), "signal 9") {
		t.Errorf("got %v", err)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.txt")
	if err := os.WriteFile(plain, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.WriteFile(data, []byte("\x01\x02\x03\x04"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		dir  string
		code int
		want string
	}{
		"no program":     {[]string{"headway-no-such-program"}, dir, 127, "install it"},
		"no file":        {[]string{"./nothing.sh"}, dir, 127, "is the path right"},
		"not executable": {[]string{"./plain.txt"}, dir, 126, "chmod +x"},
		"not a program":  {[]string{"./data"}, dir, 126, "first line"},
		"no folder":      {[]string{"sh"}, filepath.Join(dir, "gone"), 126, "project's folder"},
		"too long":       {[]string{"sh", strings.Repeat("x", 4<<20)}, dir, 126, "smaller batch"},
	} {
		one := task(t, set(5, 7))
		one.Expected = set(5, 6, 7)
		one.Table.Command.Args, one.Dir = tt.args, tt.dir
		_, report, _, err := produce(t, &store{}, one, Options{})
		cannot, ok := errors.AsType[*StartError](err)
		if !ok || report != nil {
			t.Errorf("%s: %v, %v", name, err, report)
			continue
		}
		if cannot.Code != tt.code || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, executor.ErrPermanent) || len(err.Error()) > 600 {
			t.Errorf("%s: code %d: %.600s", name, cannot.Code, err)
		}
	}
}

// TestRelativeProgram: a path is seen from the project's folder.
func TestRelativeProgram(t *testing.T) {
	one := task(t, set(5), "echo", "here")
	if err := os.Symlink(one.Table.Command.Args[0], filepath.Join(one.Dir, "job")); err != nil {
		t.Fatal(err)
	}
	one.Table.Command.Args[0] = "./job"
	if _, _, log, err := produce(t, &store{}, one, Options{}); err != nil || log != "here\n" {
		t.Errorf("got %q, %v", log, err)
	}
}

func states(r *executor.Report) string {
	if r == nil {
		return "none"
	}
	var out []string
	for p, one := range r.Partitions {
		out = append(out, fmt.Sprintf("%s:%s:%d:%s", daily.ID(p)[8:], one.State, one.Rows, one.Error))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestReport: once a line is there, partitions that are not named have failed, whatever the exit code; the last word counts.
func TestReport(t *testing.T) {
	const day = `{"partition":"2024-01-0%d","state":"%s"}`
	line := func(d int, state string) string { return fmt.Sprintf(day, d, state) }
	for _, tt := range []struct {
		name  string
		lines []string
		code  string
		want  string
	}{
		{"none", nil, "0", "none"},
		{"all", []string{line(5, "done"), line(6, "empty"), line(7, "done")}, "0", "05:done:-1: 06:empty:-1: 07:done:-1:"},
		{"whatever the code", []string{line(5, "done"), line(6, "done"), line(7, "done")}, "1", "05:done:-1: 06:done:-1: 07:done:-1:"},
		{"not named", []string{line(5, "done")}, "0",
			"05:done:-1: 06:failed:-1:the command's report does not name it 07:failed:-1:the command's report does not name it"},
		{"last word", []string{line(5, "failed"), "", line(5, "done"), line(6, "done"), line(7, "done")}, "0", "05:done:-1: 06:done:-1: 07:done:-1:"},
		{"full", []string{`{"table":"box","partition":"2024-01-05","state":"done","rows":7,"error":null}`,
			`{"table":"box","partition":"2024-01-06","state":"failed","rows":null,"error":"no data"}`, line(7, "done")},
			"0", "05:done:7: 06:failed:-1:no data 07:done:-1:"},
	} {
		one := task(t, set(5, 6, 7), append([]string{"report", tt.code}, tt.lines...)...)
		stage, report, _, err := produce(t, &store{}, one, Options{})
		if err != nil || stage == nil || states(report) != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.name, states(report), err, tt.want)
		}
	}
	// What is not expected may be named, and is passed over.
	one := task(t, set(5, 7), "report", "0", line(5, "done"), line(6, "done"), line(7, "done"))
	if _, report, _, err := produce(t, &store{}, one, Options{}); err != nil || states(report) != "05:done:-1: 07:done:-1:" {
		t.Errorf("bridged: %s, %v", states(report), err)
	}
	// Nothing was computed: an error, with the reason.
	one = task(t, set(5), "report", "0", `{"partition":"2024-01-05","state":"failed","error":"no data"}`)
	if _, _, _, err := produce(t, &store{}, one, Options{}); err == nil || !strings.Contains(err.Error(), "no data") {
		t.Errorf("all failed: %v", err)
	}
}

func TestBadReport(t *testing.T) {
	const good = `{"partition":"2024-01-05","state":"done"}`
	for text, want := range map[string]string{
		"nonsense": "invalid character",
		`{"partition":"2024-01-05","state":"ok"}`:                 `state "ok"`,
		`{"partition":"2024-01-05"}`:                              `state ""`,
		`{"state":"done"}`:                                        `partition ""`,
		`{"partition":"2024-01-08","state":"done"}`:               `partition "2024-01-08"`,
		`{"partition":"5 January","state":"done"}`:                "HEADWAY_PARTITIONS",
		`{"partition":"2024-01-05","state":"done","table":"x"}`:   `table "x"`,
		`{"partition":"2024-01-05","state":"done","rowz":1}`:      "rowz",
		`{"partition":"2024-01-05","state":"done","rows":-1}`:     "negative",
		`{"partition":"2024-01-05","state":"done","rows":"many"}`: "rows",
		`{"partition":"2024-01-05","state":"done","error":"no"}`:  "has no error",
		`{"partition":"2024-01-05","state":"empty","rows":3}`:     "has no rows",
		good + good: "something follows",
		`{"partition":"` + strings.Repeat("x", 100_000) + `"}`: "longer than",
		`{"partition":"2024-01-05","st`:                        "unexpected EOF",
	} {
		_, report, _, err := produce(t, &store{}, task(t, set(5, 6), "report", "0", good, text), Options{})
		bad, ok := errors.AsType[*ReportError](err)
		if !ok || bad.Line != 2 || report != nil || !strings.Contains(err.Error(), want) || !errors.Is(err, executor.ErrPermanent) || len(err.Error()) > 500 {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// TestOneRangeFails: one bad range does not fail its neighbours.
func TestOneRangeFails(t *testing.T) {
	one := task(t, set(5, 7, 9), "failon", "2024-01-07", "{from}")
	one.Expected = set(5, 6, 7, 8, 9)
	stage, report, log, err := produce(t, &store{}, one, Options{})
	if err != nil || stage == nil {
		t.Fatal(err)
	}
	got := states(report)
	if !strings.HasPrefix(got, "05:done:-1: 07:failed:-1:the command of box") || !strings.HasSuffix(got, "09:done:-1:") || !strings.Contains(got, "not today") {
		t.Errorf("got %s", got)
	}
	if log != "2024-01-05\nnot today\n2024-01-09\n" {
		t.Errorf("log %q", log)
	}
	one = task(t, set(5, 7), "fail", "1", "broken")
	one.Expected = set(5, 6, 7)
	if _, _, _, err = produce(t, &store{}, one, Options{}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("all ranges failed: %v", err)
	}
}
