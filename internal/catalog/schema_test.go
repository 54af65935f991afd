package catalog

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// grammar is every object that the parser knows, as the schema's $defs name them.
func grammar() map[string][]string {
	out := map[string][]string{}
	for _, o := range []interface {
		keys() []string
		label() string
	}{
		projectObject, includeObject, guardObject, environmentObject, warehouseObject, calendarObject, spanObject, defaultsObject, tableObject,
		sourceObject, partitionObject, dueObject, writeObject, batchObject, bootstrapObject, observeObject, contractObject, columnObject,
		inputObject, windowObject, withinObject, gateObject, requirementObject, producerObject,
	} {
		out[o.label()] = o.keys()
	}
	for _, o := range checkObjects {
		out[o.label()] = o.keys()
	}
	out["check"] = kindNames()
	return out
}

// TestSchemaKeys holds the schema's keys against the parser's: one that knows more than the other is an error.
func TestSchemaKeys(t *testing.T) {
	text, ok := Schema("project")
	if !ok {
		t.Fatal("no schema")
	}
	var schema struct {
		Defs map[string]struct {
			Properties           map[string]json.RawMessage
			AdditionalProperties json.RawMessage
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	objects := grammar()
	for name, want := range objects {
		var have []string
		for key := range schema.Defs[name].Properties {
			have = append(have, key)
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s:\nschema %v\nparser %v", name, have, want)
		}
		if string(schema.Defs[name].AdditionalProperties) != "false" {
			t.Errorf("%s: the schema lets unknown keys pass", name)
		}
	}
	for name, def := range schema.Defs {
		if def.Properties != nil && objects[name] == nil {
			t.Errorf("the schema has %s, which the parser does not know", name)
		}
	}
	if _, ok := Schema("nothing"); ok {
		t.Error("a schema of nothing")
	}
}

func compile(t *testing.T, ref string) *jsonschema.Schema {
	t.Helper()
	text, _ := Schema("project")
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("project.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("project.json" + ref)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a YAML text as the schema sees it.
func instance(t *testing.T, text []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaTakes holds good files against the schema.
func TestSchemaTakes(t *testing.T) {
	whole, included := compile(t, ""), compile(t, "#/$defs/include")
	sample := files(archive(t, "sample.txtar"), "")
	for name, schema := range map[string]*jsonschema.Schema{"headway.yaml": whole, "tables/games.yaml": included} {
		if err := schema.Validate(instance(t, sample[name].Data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	examples, err := filepath.Glob("../../examples/*/headway.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal("no examples", err)
	}
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := whole.Validate(instance(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range goodFiles {
		if err := whole.Validate(instance(t, []byte(text))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// onlyLoad names the bad files that a schema cannot know to be bad: they are wrong between their parts, or in files beside them.
var onlyLoad = map[string]bool{
	"project/name": false, "project/timezone": true, "project/timezone_local": true, "project/state": true, "project/state_reference": true,
	"project/state_reference_name": true, "project/environment_unknown": true, "project/guard_too_large": true, "project/no_warehouse": true,
	"project/which_warehouse": true, "include/nothing": true, "include/twice": true, "include/syntax": true, "table/no_start": true,
	"table/start": true, "table/start_aligned": true, "table/start_hour": true, "table/calendar_unknown": true, "table/calendar_grain": true,
	"table/relation_twice": true, "table/sql_missing": true, "table/sql_empty": true, "table/sql_in_place": true, "table/sql_outside": true,
	"table/command_without": true, "table/files_missing": true, "table/write_staged": true, "table/write_replace": true,
	"table/bootstrap": true, "table/bootstrap_period": true, "table/whole": true, "table/whole_due": true, "table/schedule": true,
	"table/schedule_range": true, "table/template_not_an_input": true, "input/unknown": true, "input/twice": true, "window/inverted": true,
	"window/period_unknown": true, "window/whole": true, "check/ids": true, "check/name": true, "check/template": true,
	"producer/clash": true, "producer/axes": true, "producer/own": true, "producer/warehouses": true,
}

// TestSchemaRefuses holds the bad files against the schema.
func TestSchemaRefuses(t *testing.T) {
	whole := compile(t, "")
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, name := range names {
		topic := strings.TrimSuffix(filepath.Base(name), ".txtar")
		if topic == "yaml" || topic == "loop" {
			continue // not a matter of keys and types
		}
		a := archive(t, filepath.Join("bad", filepath.Base(name)))
		for _, f := range a.Files {
			dir, file, _ := strings.Cut(f.Name, "/")
			if file != "headway.yaml" {
				continue
			}
			err := whole.Validate(instance(t, f.Data))
			if id := topic + "/" + dir; (err == nil) != onlyLoad[id] {
				t.Errorf("%s: the schema says %v", id, err)
			}
			if err != nil {
				refused++
			}
		}
	}
	if refused < 60 {
		t.Errorf("the schema refused only %d files", refused)
	}
}

// goodFiles are small projects, one for each thing that may be written in several ways.
var goodFiles = map[string]string{
	"least": "version: 1\nproject: p\n",
	"empty sections": "version: 1\nproject: p\ntables:\nsources:\ncalendars:\nperiods:\nwarehouses:\nproducers:\ngates:\nenvironments:\n" +
		"defaults:\nguard: {bytes: 10}\n",
	"everything short": `version: 1
project: p-1
guard: {partitions: 10, bytes: 1TB}
max_parallel: 3
warehouses:
  main: {type: duckdb, path: "${DATA}/p.db"}
  pg: {type: postgres, url: "postgres://${file:secret}@h/db", max_parallel: 4}
  bq: {type: bigquery, project: p, dataset: d, location: EU}
calendars:
  dates: {file: dates.csv, column: d}
  work: {weekdays: true}
  all: {every: day}
periods: {year: {from: 2021-01-01, to: 2021-12-31}}
defaults:
  warehouse: main
  timezone: Europe/Berlin
  partition: {column: d, grain: day, calendar: all, start: 2021-01-01}
  due: {after: 0}
  write: {mode: staged}
  batch: {size: 3}
  bootstrap: {partitions: 3, of: year}
  empty: allow
  on_code_change: forward
  lookback: 1
  retries: 1
  timeout: 1h30m
  keep: 0
  digits: 12
sources:
  s: {files: s.csv, contract: {columns: {a: {type: int, nullable: false}, b: text}}}
  hours: {partition: {grain: hour, calendar: {every: hour}, start: 2021-01-01T05}}
  whole: {partition: none}
tables:
  monthly: {partition: {grain: month, calendar: {query: select 1}}, command: [make]}
  hourly: {partition: {grain: hour, calendar: {query: select 1}}, command: [make]}
  t:
    command: [make, 3, true]
    batch: {parallel: 2}
    bootstrap: {partitions: 5}
    inputs:
      - s:
      - t: {window: {partitions: [-3, -1]}}
      - hours: {window: [{hours: [-24, -1]}, {months: [-1, -1]}]}
      - whole: {window: all}
    checks:
      - rows: {equals: 30, where: x > 1}
      - range: {column: x, min: -1000}
      - unique: [a, b]
      - unique: {columns: [c, d], name: other}
      - relationship: {column: a, to: whole}
gates:
  g: {tables: t, require: {check: t.other, max: 1, pooled: true}}
`,
}

// TestLoadGood reads them.
func TestLoadGood(t *testing.T) {
	for name, text := range goodFiles {
		p, err := Load(Folder{FS: project(text), File: "headway.yaml"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if x := p.Table("t"); x != nil {
			if x.Batch != (Batch{Size: 3, Parallel: 2}) || *x.Bootstrap != (BootstrapRule{Partitions: 5, Of: "year"}) || x.Digits != 12 {
				t.Errorf("%s: defaults key by key: %+v %+v", name, x.Batch, x.Bootstrap)
			}
			// The start of the defaults is a day; a table of another grain begins with what overlaps it.
			for other, want := range map[string]string{"monthly": "2021-01", "hourly": "2021-01-01T00:00:00+01:00", "t": "2021-01-01"} {
				y := p.Table(other)
				if have := y.Axis.ID(y.Start); have != want || !y.HasStart {
					t.Errorf("%s starts at %s, want %s", other, have, want)
				}
			}
		}
	}
}

// TestExamples reads the projects that the binary carries.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob("../../examples/*/headway.yaml")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no examples", err)
	}
	for _, name := range dirs {
		p := mustLoad(t, os.DirFS(filepath.Dir(name)))
		if err := p.Unsupported(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
