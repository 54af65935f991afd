package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/sqlite"
)

// schemaSet compiles the schemas that `headway schema` prints, closed: a key that a schema does not name is an error here, so that the schemas
// stay whole. Scripts may still meet keys of later versions.
type schemaSet struct {
	s    shell
	done map[string]*jsonschema.Schema
}

func (set *schemaSet) named(name string) *jsonschema.Schema {
	set.s.t.Helper()
	if known := set.done[name]; known != nil {
		return known
	}
	text, code := set.s.run("schema", name)
	if code != 0 {
		set.s.t.Fatalf("there is no schema %q", name)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		set.s.t.Fatal(err)
	}
	closed(doc)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(name, doc); err != nil {
		set.s.t.Fatal(err)
	}
	set.done[name], err = compiler.Compile(name)
	if err != nil {
		set.s.t.Fatal(err)
	}
	return set.done[name]
}

// closed forbids keys that an object's schema does not name.
func closed(doc any) {
	switch v := doc.(type) {
	case map[string]any:
		if v["type"] == "object" && v["properties"] != nil {
			v["additionalProperties"] = false
		}
		for _, x := range v {
			closed(x)
		}
	case []any:
		for _, x := range v {
			closed(x)
		}
	}
}

// valid checks an answer against the schema that it names, which must be the one wanted.
func (set *schemaSet) valid(noun string, text []byte) {
	set.s.t.Helper()
	var head struct{ Schema string }
	if err := json.Unmarshal(text, &head); err != nil || head.Schema != "headway."+noun+"/v1" {
		set.s.t.Errorf("schema %q, want headway.%s/v1: %v", head.Schema, noun, err)
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		set.s.t.Error(err)
		return
	}
	if err := set.named(noun).Validate(v); err != nil {
		set.s.t.Errorf("headway.%s/v1: %v", noun, err)
	}
}

// TestAnswersMatchTheirSchemas runs every command that answers in JSON, in good and bad times, and checks each answer: one object, of the
// schema that the contract names.
func TestAnswersMatchTheirSchemas(t *testing.T) {
	s := shell{t, filepath.Join(t.TempDir(), "shop")}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		t.Fatal(err)
	}
	set := &schemaSet{s: s, done: map[string]*jsonschema.Schema{}}
	source := filepath.Join(s.dir, "data", "orders.csv")
	spoil := func() {
		f, err := os.OpenFile(source, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(f, "big,2024-03-10,ada,20000000")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint := filepath.Join(s.dir, "done.json")
	if err := os.WriteFile(checkpoint, []byte(`{"successful_dates":["2024-03-02","2024-03-03"],"skipped_dates":["2024-03-04"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	job := exec.CommandContext(t.Context(), "sleep", "100")
	if err := job.Start(); err != nil {
		t.Fatal(err)
	}
	go job.Wait() //nolint:errcheck // it is ended by a step
	for _, step := range []struct {
		noun string
		code int
		args string
		do   func()
	}{
		{"init", 0, "init .", nil},
		{"version", 0, "version", nil},
		{"validate", 0, "validate --connect", nil},
		{"lineage", 0, "lineage", nil},
		{"render", 0, "render daily_revenue --checks", nil},
		{"plan", 0, "plan", nil},
		{"error", 2, "plan --from 2030-01-01", nil},
		{"error", 2, "nonsense", nil},
		{"error", 102, "exec --table x", nil},
		{"status", 0, "status", nil},
		{"why", 0, "why weekly_average 2024-03-12", nil},
		{"detach", 0, "run --detach", nil},
		{"wait", 0, "wait daily_revenue weekly_average", nil},
		{"run", 0, "run", nil},
		{"why", 0, "why weekly_average 2024-03-12", nil},
		{"why", 0, "why weekly_average 2031-03-12", nil},
		{"wait", 0, "wait daily_revenue", nil},
		{"check", 0, "check daily_revenue", nil},
		{"run", 3, "run", spoil},
		{"plan", 0, "plan", nil},
		{"status", 3, "status --exit-code", nil},
		{"why", 0, "why weekly_average 2024-03-10", nil},
		{"run", 3, "run daily_revenue", nil},
		{"run", 0, "show weekly_average", nil},
		{"ps", 0, "ps --all --leases", nil},
		{"logs", 0, "logs daily_revenue --failed", nil},
		{"observe", 0, "observe", nil},
		{"mark", 0, "mark daily_revenue --from 2024-03-10 --to 2024-03-10 --as skipped --reason x", nil},
		{"mark", 0, "mark daily_revenue --checkpoint done.json --reason x", nil},
		{"mark", 0, "mark --all --as fresh --observed --reason x", nil},
		{"error", 2, "mark daily_revenue --as stale", nil},
		{"audit", 0, "audit", nil},
		{"audit_verify", 0, "audit --verify", nil},
		{"code", 0, "code list daily_revenue", nil},
		{"promote", 0, "code promote daily_revenue --reason x", nil},
		{"mark", 0, "code accept daily_revenue --reason x", nil},
		{"doctor", 0, "doctor", nil},
		{"fence", 4, "fence check --table daily_revenue --token 1", nil},
		{"stop", 0, "stop last --reason x", nil},
		{"stop", 0, "stop last --hold --reason x", nil},
		{"hold", 0, "hold daily_revenue --from 2024-03-10 --until 90m --reason x", nil},
		{"hold", 0, "hold weekly_average --reason x", nil},
		{"error", 2, "hold weekly_average", nil},
		{"ps", 0, "ps", nil},
		{"why", 0, "why weekly_average 2024-03-10", nil},
		{"unhold", 0, "unhold daily_revenue", nil},
		{"unhold", 0, "unhold daily_revenue", nil},
		{"unhold", 0, "unhold weekly_average --reason x", nil},
		{"error", 2, "lease break l-none --reason x", nil},
		{"error", 2, "pause last", nil},
		{"error", 2, "adopt --pid 1 --table daily_revenue --reason x", nil},
		{"ps", 0, "ps --leases", func() { leased(t, s.dir) }},
		{"error", 4, "hold weekly_average --reason x", nil},
		{"lease_break", 0, "lease break l-1 --reason x", nil},
		{"adopt", 0, fmt.Sprintf("adopt --pid %d --table weekly_average --from 2024-03-12 --to 2024-03-12 --reason x", job.Process.Pid), nil},
		{"stop", 0, "stop weekly_average --reason x", nil},
		{"pause", 0, "pause r-mine", func() { running(t, s.dir) }},
		{"state_move", 0, "state move --reason x", nil},
		{"wait", 4, "wait weekly_average --timeout 1ms --no-observe", func() {
			if _, code := s.run("mark", "weekly_average", "--as", "stale", "--reason", "x"); code != 0 {
				t.Fatal("mark failed")
			}
		}},
	} {
		if step.do != nil {
			step.do()
		}
		out, code := s.run(append(strings.Fields(step.args), "-o", "json")...)
		if code != step.code {
			t.Errorf("headway %s: exit %d, want %d", step.args, code, step.code)
		}
		set.valid(step.noun, []byte(out)) // an answer of two objects is no JSON
	}
	// exec leaves stdout to its command, and answers in a file.
	for _, step := range []struct {
		noun string
		code int
	}{{"conflict", 104}, {"run", 103}} {
		if step.noun == "run" {
			s.run("unhold", "daily_revenue")
		} else {
			s.run("hold", "daily_revenue", "--from", "2024-03-10", "--reason", "x")
		}
		report := filepath.Join(s.dir, "report.json")
		if _, code := s.run("exec", "--table", "daily_revenue", "--report", report, "--", "true"); code != step.code {
			t.Errorf("exec: exit %d, want %d", code, step.code)
		}
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		set.valid(step.noun, text)
	}
	lines, _ := s.run("run", "weekly_average", "-o", "jsonl")
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		noun := "event"
		if i == strings.Count(strings.TrimSpace(lines), "\n") {
			noun = "run"
		}
		set.valid(noun, []byte(line))
	}
	lines, _ = s.run("logs", "weekly_average", "--follow", "-o", "jsonl")
	for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		set.valid("log", []byte(line))
	}
	names, _ := s.run("schema")
	for name := range strings.FieldsSeq(names) {
		if name != "project" && set.done[name] == nil {
			t.Errorf("no answer was checked against the schema %q", name)
		}
	}
}

// running stores a run of this process.
func running(t *testing.T, dir string) {
	t.Helper()
	l, err := sqlite.Open(t.Context(), filepath.Join(dir, ".headway", "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test looks at what it wrote
	if err := l.PutRun(t.Context(), ledger.RunRecord{ID: "r-mine", State: "running", Class: ledger.ClassBackfill, Holder: sqlite.ThisProcess()}); err != nil {
		t.Fatal(err)
	}
}

// leased takes a lease over a table of the project, as a run of this process would.
func leased(t *testing.T, dir string) {
	t.Helper()
	l, err := sqlite.Open(t.Context(), filepath.Join(dir, ".headway", "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test looks at what it wrote
	entries, err := l.Audit(t.Context(), ledger.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Acquire(t.Context(), ledger.LeaseRequest{
		ID: "l-1", Run: "r-1", Class: ledger.ClassFix, Holder: sqlite.ThisProcess(), TTL: time.Hour,
		Writes: []ledger.Claim{{Table: entries[len(entries)-1].Table, Axis: calendar.Axis{Grain: calendar.Day}, Set: calendar.Range(0, 9)}},
	})
	if err != nil {
		t.Fatal(err)
	}
}
