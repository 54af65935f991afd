package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/warehouse"
)

// plain is a dialect that can be read.
type plain struct{}

func (plain) Relation(name string) string { return `"` + name + `"` }

func (plain) Literal(axis calendar.Axis, p calendar.Partition) string {
	return fmt.Sprintf("%s '%s'", strings.ToUpper(axis.Grain.String()), axis.ID(p))
}

func (plain) Cells(axis calendar.Axis, set calendar.Set, periods map[string][]calendar.Interval) string {
	return fmt.Sprintf("(cells of %d %ss, %d periods)", set.Count(), axis.Grain, len(periods))
}

var days = calendar.Axis{Grain: calendar.Day}

func day(y, m, d int) calendar.Partition {
	return calendar.Partition(calendar.DateOf(y, time.Month(m), d))
}

// task is for table t over 5, 6 and 9 January 2024. It reads raw by days and lookup whole; other and others are not declared.
func task() executor.Task {
	return executor.Task{
		Table: &catalog.Table{
			Name: "t", Axis: days, Column: "d",
			Inputs: []*catalog.Input{{Table: "raw"}, {Table: "lookup"}, {Table: "ever"}, {Table: "monthly"}},
		},
		Target:  warehouse.Target{Axis: days, Column: "d"},
		Dialect: plain{},
		Set:     calendar.NewSet(calendar.Interval{Start: day(2024, 1, 5), End: day(2024, 1, 7)}, calendar.Single(day(2024, 1, 9))),
		Inputs: map[string]executor.Input{
			"raw":     {Relation: `"src"."raw"`, Axis: days, Reach: calendar.Interval{Start: day(2023, 12, 29), End: day(2024, 1, 9)}},
			"lookup":  {Relation: `"lookup"`, Axis: calendar.Whole(), Reach: calendar.Single(0)},
			"ever":    {Relation: `"ever"`, Axis: days, Reach: calendar.Everything()},
			"monthly": {Relation: `"monthly"`, Axis: calendar.Axis{Grain: calendar.Month}, Reach: calendar.Interval{Start: 648, End: 600}},
		},
		Tables: map[string]string{
			"t": `"t"`, "raw": `"src"."raw"`, "lookup": `"lookup"`, "ever": `"ever"`, "monthly": `"monthly"`, "other": `"other"`, "others": `"others"`,
		},
		Periods: map[string][]calendar.Interval{"season": nil},
	}
}

func TestRender(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"select 1":                       "select 1",
		"d >= {{start}} and d < {{end}}": "d >= DAY '2024-01-05' and d < DAY '2024-01-10'",
		"d between {{from}} and {{to}}":  "d between DAY '2024-01-05' and DAY '2024-01-09'",
		"{{ start }}{{\n\tend\n}}":       "DAY '2024-01-05'DAY '2024-01-10'",
		`{{table "raw"}} r, {{ table  "lookup" }} l`:        `"src"."raw" r, "lookup" l`,
		`{{input_start "raw"}} {{input_end "raw"}}`:         "DAY '2023-12-29' DAY '2024-01-09'",
		`{{input_start "ever"}} {{input_end "ever"}}`:       "DAY '0001-01-02' DAY '9999-12-30'",
		`{{input_start "monthly"}} {{input_end "monthly"}}`: "MONTH '2024-01' MONTH '2024-01'",
		"from {{partitions}} p":                             "from (cells of 3 days, 1 periods) p",
		"-- rows from {{start}}\nselect '{{end}}'":          "-- rows from DAY '2024-01-05'\nselect 'DAY '2024-01-10''",
		`'{{"{{"}}x}}' {{ "{{" }}`:                          "'{{x}}' {{",
		"{'a': {'b': 1}} and } and {":                       "{'a': {'b': 1}} and } and {",
		"größer {{start}} → {{end}}":                        "größer DAY '2024-01-05' → DAY '2024-01-10'",
		strings.Repeat("x", 1000) + "{{start}}":             strings.Repeat("x", 1000) + "DAY '2024-01-05'",
	} {
		template, err := Parse("sql/t.sql", text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, err := template.Render(task(), "")
		if err != nil || got != want {
			t.Errorf("%q\ngot  %q, %v\nwant %q", text, got, err, want)
		}
	}
}

// TestParseErrors: each error is at its line and column (in characters), shows them, and says what to do.
func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		text         string
		line, column int
		want         []string
	}{
		{"select {{strat}}", 1, 10, []string{`{{strat}}`, "did you mean {{start}}?", "{{partitions}}"}},
		{"select 1\nfrom t\nwhere größe >= {{ends}}", 3, 18, []string{"did you mean {{end}}?", "    3 | where größe >= {{ends}}\n      |                  ^"}},
		{"\t{{nonsense}}", 1, 4, []string{"a query may say", "      | \t  ^"}},
		{"{{if start}}", 1, 3, []string{"{{if}}", "a query may say"}},
		{"{{start + 1}}", 1, 9, []string{"only a table's name"}},
		{"{{range}}", 1, 3, []string{"{{range}}", "a query may say"}},
		{`{{table "raw" | upper}}`, 1, 9, []string{"no pipes"}},
		{`{{table "raw" "x"}}`, 1, 9, []string{"only a table's name"}},
		{`{{table}}`, 1, 3, []string{"must name a table", `{{table "name"}}`}},
		{`{{table ""}}`, 1, 3, []string{"must name a table"}},
		{"{{table `raw`}}", 1, 9, []string{"in double quotes"}},
		{`{{table raw}}`, 1, 9, []string{"in double quotes"}},
		{`{{table 'raw'}}`, 1, 9, []string{"in double quotes"}},
		{`{{start "raw"}}`, 1, 3, []string{"{{start}} takes no name"}},
		{`{{start ""}}`, 1, 3, []string{"{{start}} takes no name"}},
		{"{{.start}}", 1, 3, []string{"not followed by a call"}},
		{"{{$x := start}}", 1, 3, []string{"not followed by a call"}},
		{"{{}}", 1, 3, []string{"not followed by a call", `{{"{{"}}`}},
		{"{{/* a comment */}}", 1, 3, []string{"not followed by a call"}},
		{"{{- start -}}", 1, 3, []string{"not followed by a call"}},
		{"a\n  {{start", 2, 3, []string{"not closed", "write }}"}},
		{"{{start\nselect 1", 1, 1, []string{"not closed"}},
		{"{{{start}}}", 1, 3, []string{"not followed by a call"}},
		{"select \xff", 1, 8, []string{"not UTF-8"}},
		{strings.Repeat("x", maxTemplate+1), 1, 1, []string{"no more than"}},
		{strings.Repeat("y", 5000) + "{{nope}}", 1, 5003, []string{"{{nope}}"}},
	} {
		_, err := Parse("sql/t.sql", tt.text)
		errs, ok := errors.AsType[catalog.Errors](err)
		if !ok {
			t.Errorf("%.40q: %v", tt.text, err)
			continue
		}
		if want := (catalog.Pos{File: "sql/t.sql", Line: tt.line, Column: tt.column}); errs[0].Pos != want {
			t.Errorf("%.40q: at %s, want %s", tt.text, errs[0].Pos, want)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: no %q in\n%v", tt.text, want, err)
			}
		}
		if len(err.Error()) > 2000 {
			t.Errorf("%.40q: an error of %d bytes", tt.text, len(err.Error()))
		}
	}
}

func TestParseGivesAllErrors(t *testing.T) {
	_, err := Parse("sql/t.sql", "{{one}}\n{{start}} {{two three}}\n{{four\n{{five}}")
	errs, _ := errors.AsType[catalog.Errors](err)
	var at []string
	for _, e := range errs {
		at = append(at, fmt.Sprintf("%d:%d", e.Pos.Line, e.Pos.Column))
	}
	if want := []string{"1:3", "2:13", "3:1", "4:3"}; !slices.Equal(at, want) {
		t.Errorf("errors at %v, want %v", at, want)
	}
	_, err = Parse("sql/t.sql", strings.Repeat("{{no}}", 1000))
	if errs, _ := errors.AsType[catalog.Errors](err); len(errs) != maxErrors {
		t.Errorf("%d errors, want %d", len(errs), maxErrors)
	}
}

func TestRenderErrors(t *testing.T) {
	whole := task()
	whole.Table = &catalog.Table{Name: "w", Axis: calendar.Whole(), Inputs: []*catalog.Input{{Table: "raw"}}}
	whole.Target = warehouse.Target{Axis: calendar.Whole()}
	whole.Set = calendar.Of(0)
	alone := task()
	alone.Table = &catalog.Table{Name: "t", Axis: days}
	for _, tt := range []struct {
		task executor.Task
		text string
		want []string
	}{
		{task(), `{{table "other"}}`, []string{"sql/t.sql:1:3", `"other" is not declared as an input of t`, "- other: {window: same}"}},
		{task(), `{{input_start "other"}}`, []string{`not declared`}},
		{task(), `{{table "ra"}}`, []string{`no table or source is named "ra"`, `did you mean "raw"?`}},
		{task(), `{{table "otherz"}}`, []string{`did you mean "other"? It would have to be declared as an input of t`}},
		{task(), `{{table "zzzzzzzz"}}`, []string{`no table or source is named "zzzzzzzz"`, "t declares the inputs raw, lookup"}},
		{alone, `{{table "zzzzzzzz"}}`, []string{"t declares no inputs"}},
		{task(), `{{input_end "lookup"}}`, []string{`"lookup" has no partitions`}},
		{task(), `{{table "t"}}`, []string{`"t" is not declared as an input of t`}},
		{task(), "select 1\n from {{staged}}", []string{"sql/t.sql:2:9", "not a check"}},
		{whole, "{{start}}", []string{"w has no partitions"}},
		{whole, "{{to}}", []string{"w has no partitions"}},
		{whole, "{{partitions}}", []string{"w has no partitions"}},
	} {
		template, err := Parse("sql/t.sql", tt.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.Render(tt.task, "")
		if _, ok := errors.AsType[catalog.Errors](err); !ok || got != "" {
			t.Errorf("%q: %q, %v", tt.text, got, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: no %q in\n%v", tt.text, want, err)
			}
		}
	}
	// A table without partitions may read the bounds of what has some.
	template, err := Parse("sql/w.sql", `{{input_start "raw"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := template.Render(whole, ""); err != nil || got != "DAY '2023-12-29'" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTablesAndCalls(t *testing.T) {
	template, err := Parse("x", `{{table "b"}} {{input_start "a"}} {{table "b"}} {{start}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := template.Tables(); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("tables %v", got)
	}
	if !template.Calls("start") || template.Calls("end") {
		t.Error("Calls does not tell what is called")
	}
}

func TestCheck(t *testing.T) {
	table := task().Table
	if none, err := ParseCheck(table, &catalog.Check{ID: "t.unique", Kind: catalog.CheckUnique}); none != nil || err != nil {
		t.Errorf("a check without a query: %v, %v", none, err)
	}
	for kind, c := range map[string]*catalog.Check{
		"sql":  {ID: "t.x", Kind: catalog.CheckSQL, Query: `select d, 1 from {{staged}} join {{table "other"}} where d < {{end}}`},
		"rows": {ID: "t.rows", Kind: catalog.CheckRows, Equals: `select d, 1 from {{staged}} join {{table "other"}} where d < {{end}}`},
	} {
		query, err := ParseCheck(table, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := query.Render(task(), `"stage"."x"`)
		if want := `select d, 1 from "stage"."x" join "other" where d < DAY '2024-01-10'`; err != nil || got != want {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
	}
	_, err := ParseCheck(table, &catalog.Check{ID: "t.x", Kind: catalog.CheckSQL, Query: "{{stage}}", Pos: catalog.Pos{File: "headway.yaml", Line: 9, Column: 3}})
	if err == nil || !strings.Contains(err.Error(), "headway.yaml:9:3") || !strings.Contains(err.Error(), "did you mean {{staged}}?") {
		t.Errorf("got %v", err)
	}
	query, err := ParseCheck(table, &catalog.Check{ID: "t.x", Kind: catalog.CheckSQL, Query: `{{input_start "other"}} {{table "otter"}}`})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = query.Render(task(), "s"); err == nil || !strings.Contains(err.Error(), "not declared") || !strings.Contains(err.Error(), `did you mean "other"?`) {
		t.Errorf("got %v", err)
	}
}

// stager remembers what it was asked to stage.
type stager struct {
	warehouse.Warehouse
	plain
	asked warehouse.StageRequest
	err   error
}

func (s *stager) Stage(_ context.Context, req warehouse.StageRequest) (*warehouse.Stage, error) {
	s.asked = req
	return &warehouse.Stage{Attempt: req.Attempt}, s.err
}

func (s *stager) Relation(name string) string { return s.plain.Relation(name) }
func (s *stager) Literal(a calendar.Axis, p calendar.Partition) string {
	return s.plain.Literal(a, p)
}

func (s *stager) Cells(a calendar.Axis, set calendar.Set, periods map[string][]calendar.Interval) string {
	return s.plain.Cells(a, set, periods)
}

func TestProduce(t *testing.T) {
	w := &stager{}
	one := task()
	one.Attempt, one.Dialect = "a1", nil
	one.Table.SQL = &catalog.SQL{File: "sql/t.sql", Text: "select * from {{table \"raw\"}} where d < {{end}}"}
	e, err := New(one.Table, w)
	if err != nil {
		t.Fatal(err)
	}
	stage, report, err := e.Produce(t.Context(), one)
	if err != nil || report != nil || stage.Attempt != "a1" {
		t.Fatalf("got %v, %v, %v", stage, report, err)
	}
	if want := `select * from "src"."raw" where d < DAY '2024-01-10'`; w.asked.Query != want || !w.asked.Set.Equal(one.Set) || w.asked.Attempt != "a1" {
		t.Errorf("asked for %+v", w.asked)
	}
	w.err = errors.New("binder error")
	if _, _, err = e.Produce(t.Context(), one); !errors.Is(err, w.err) {
		t.Errorf("got %v", err)
	}
	one.Inputs, one.Table.Inputs = nil, nil
	if _, _, err = e.Produce(t.Context(), one); err == nil || !strings.Contains(err.Error(), "sql/t.sql:1:17") {
		t.Errorf("got %v", err)
	}
	if _, err = New(&catalog.Table{Name: "t"}, w); err == nil {
		t.Error("a table without a query was accepted")
	}
	if _, err = New(&catalog.Table{Name: "t", SQL: &catalog.SQL{Text: "{{x}}"}}, w); err == nil {
		t.Error("a wrong query was accepted")
	}
}

// FuzzParse: parsing ends, errors are at a place that exists, and what is parsed renders with nothing of a call left in it.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../../../examples/*/sql/*.sql")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{{start}}{{"{{"}}{{table "raw"}}{{ input_end "ever" }}`)
	f.Add("{{if}}\n{{start\n}}{{{{}}}}{{table \"\n\"}}\xff")
	f.Fuzz(func(t *testing.T, text string) {
		template, err := Parse("x.sql", text)
		if err == nil {
			check(t, template, text)
			return
		}
		errs, ok := errors.AsType[catalog.Errors](err)
		if !ok || len(errs) == 0 || len(errs) > maxErrors {
			t.Fatalf("%T: %v", err, err)
		}
		lines := strings.Split(text, "\n")
		for _, e := range errs {
			if e.Pos.Line < 1 || e.Pos.Line > len(lines) || e.Pos.Column < 1 || e.Pos.Column > utf8.RuneCountInString(lines[e.Pos.Line-1])+1 || e.Next == "" {
				t.Fatalf("%q: error at %s: %v", text, e.Pos, e)
			}
		}
		_ = err.Error()
	})
}

// check renders a template that may name any table, and counts what became of it.
func check(t *testing.T, template *Template, text string) {
	one := task()
	one.Inputs, one.Table.Inputs = map[string]executor.Input{}, nil
	for _, name := range template.Tables() {
		one.Inputs[name] = executor.Input{Relation: "R", Axis: days, Reach: calendar.Single(5)}
		one.Table.Inputs = append(one.Table.Inputs, &catalog.Input{Table: name})
	}
	template.check = true
	got, err := template.Render(one, "S")
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	calls := 0
	for _, p := range template.parts {
		if p.call != "" {
			calls++
		}
	}
	if calls == 0 && !strings.Contains(text, "{{") && got != text {
		t.Fatalf("%q became %q", text, got)
	}
}
