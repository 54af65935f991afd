package catalog

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headway-data/headway/internal/calendar"
)

func versioned() *Table {
	return &Table{
		Name: "t", Column: "d", Axis: calendar.Axis{Grain: calendar.Day, Zone: "America/New_York"},
		SQL: &SQL{File: "sql/t.sql", Text: "select a from {{table \"s\"}} -- all\n"},
		Inputs: []*Input{
			{Table: "s", Complete: 1, Windows: []Window{{Kind: Same}, {Kind: Offset, Unit: calendar.Day, From: -7, To: -1}}},
			{Table: "u", Complete: 1, Windows: []Window{{Kind: Everything}}},
		},
	}
}

func commanded() *Table {
	t := versioned()
	t.SQL, t.Command = nil, &Command{Args: []string{"python3", "job.py", "{from}"}, Env: []EnvVar{{"A", "${A}"}, {"B", "2"}}}
	return t
}

// TestCodeVersionIsStable: versions are kept in ledgers. If this fails, every project computes everything anew after an upgrade.
func TestCodeVersionIsStable(t *testing.T) {
	if have, want := versioned().CodeVersion(nil), "fea1dce7d722c2384fe2f1652df27084"; have != want {
		t.Errorf("query: %s, was %s", have, want)
	}
	if have, want := commanded().CodeVersion(map[string]string{"job.py": "1"}), "bf37ea37d6fba8dca8c2dcc9d207d437"; have != want {
		t.Errorf("command: %s, was %s", have, want)
	}
	x := versioned()
	x.Checks = []*Check{{ID: "t.unique", Kind: CheckUnique, Columns: []string{"a", "b"}}}
	if have, want := x.CheckVersion(), "40a03d6b1173b9b94a49a0c0faa6faf2"; have != want {
		t.Errorf("checks: %s, was %s", have, want)
	}
}

func TestCodeVersion(t *testing.T) {
	files := map[string]string{"job.py": "1", "lib/a.py": "2"}
	change := func(base func() *Table, f func(x *Table)) string {
		x := base()
		f(x)
		return x.CodeVersion(files)
	}
	bare := versioned
	versioned := func() *Table {
		x := bare()
		x.Columns = []Column{{Name: "d", Type: "date"}, {Name: "a", Type: "integer"}}
		return x
	}
	query, command := versioned().CodeVersion(files), commanded().CodeVersion(files)
	for name, f := range map[string]func(x *Table){
		"comments":     func(x *Table) { x.SQL.Text = "/* all */ select  a\nfrom {{ table \"s\" }}" },
		"file name":    func(x *Table) { x.SQL.File = "queries/t.sql" },
		"order":        func(x *Table) { slices.Reverse(x.Inputs) },
		"window order": func(x *Table) { slices.Reverse(x.Inputs[0].Windows) },
		"window twice": func(x *Table) { x.Inputs[1].Windows = append(x.Inputs[1].Windows, x.Inputs[1].Windows[0]) },
		"threshold":    func(x *Table) { x.Inputs[0].Complete, x.Inputs[0].Min, x.Inputs[0].Restates = 0.5, 3, true },
		"checks":       func(x *Table) { x.Checks = []*Check{{ID: "t.a.unique"}} },
		"column order": func(x *Table) { slices.Reverse(x.Columns) },
		"type case":    func(x *Table) { x.Columns[0].Type = "DATE" },
		"speed":        func(x *Table) { x.Batch, x.Retries, x.Timeout = Batch{Size: 3, Parallel: 4}, 2, 1 },
		"place":        func(x *Table) { x.Warehouse, x.Relation, x.Pos = "w", "a.t", Pos{"f", 1, 1} },
	} {
		if change(versioned, f) != query {
			t.Errorf("%s is no new version of a query", name)
		}
	}
	for name, f := range map[string]func(x *Table){
		"query":   func(x *Table) { x.SQL.Text += "where a = 'x'" },
		"literal": func(x *Table) { x.SQL.Text = strings.ReplaceAll(x.SQL.Text, "\"s\"", "\"s \"") },
		"window":  func(x *Table) { x.Inputs[0].Windows[1].From = -8 },
		"unit":    func(x *Table) { x.Inputs[0].Windows[1].Unit = calendar.Month },
		"input":   func(x *Table) { x.Inputs[1].Table = "v" },
		"fewer":   func(x *Table) { x.Inputs = x.Inputs[:1] },
		"zone":    func(x *Table) { x.Axis.Zone = "" },
		"grain":   func(x *Table) { x.Axis.Grain = calendar.Month },
		"column":  func(x *Table) { x.Column = "e" },
		"type":    func(x *Table) { x.Columns[1].Type = "bigint" },
		"renamed": func(x *Table) { x.Columns[1].Name = "b" },
		"columns": func(x *Table) { x.Columns = nil },
		"period":  func(x *Table) { x.Inputs[0].Windows[0] = Window{Kind: Since, Within: "season"} },
		"command": func(x *Table) { *x = *commanded() },
	} {
		if change(versioned, f) == query {
			t.Errorf("%s is a new version of a query", name)
		}
	}
	for name, f := range map[string]func(x *Table){
		"argument":  func(x *Table) { x.Command.Args[1] = "job2.py" },
		"joined":    func(x *Table) { x.Command.Args = []string{"python3", "job.py{from}"} },
		"variable":  func(x *Table) { x.Command.Env[0].Value = "${B}" },
		"mode":      func(x *Table) { x.Write = Direct },
		"no window": func(x *Table) { x.Inputs[0].Windows = x.Inputs[0].Windows[:1] },
	} {
		if change(commanded, f) == command {
			t.Errorf("%s is a new version of a command", name)
		}
	}
	if commanded().CodeVersion(map[string]string{"job.py": "1", "lib/a.py": "3"}) == command {
		t.Error("a changed file is a new version of a command")
	}
	if versioned().CodeVersion(nil) != query {
		t.Error("a query has no files")
	}
	if (&Table{Source: &Source{}}).CodeVersion(nil) != "" {
		t.Error("a source has no code")
	}
}

func TestCheckVersion(t *testing.T) {
	base := func() *Table {
		return &Table{
			Checks: []*Check{{
				ID: "t.a.not_null", Kind: CheckNotNull, Columns: []string{"a"}, Min: new(0.95), Equals: "select 1", Query: "select 2", Where: "x > 1",
				Values: []string{"a"}, Pattern: "p", To: "u", ToColumns: []string{"b"},
			}},
			Source: &Source{Contract: &Contract{
				Columns: []ContractColumn{{Name: "a", Type: "int"}}, Patterns: map[string]string{"a": "b"}, Extra: "warn",
			}},
		}
	}
	want := base().CheckVersion()
	same := base()
	same.Checks[0].Query, same.Checks[0].Pos, same.SQL = "select /* two */ 2", Pos{"f", 1, 2}, &SQL{Text: "select 3"}
	if same.CheckVersion() != want {
		t.Error("comments, places and the table's query are no new version of its checks")
	}
	for name, f := range map[string]func(x *Table, c *Check){
		"id":       func(_ *Table, c *Check) { c.ID = "t.b" },
		"kind":     func(_ *Table, c *Check) { c.Kind = CheckUnique },
		"columns":  func(_ *Table, c *Check) { c.Columns = []string{"a", "b"} },
		"min":      func(_ *Table, c *Check) { c.Min = new(0.45) },
		"no min":   func(_ *Table, c *Check) { c.Min = nil },
		"max":      func(_ *Table, c *Check) { c.Min, c.Max = nil, c.Min },
		"equals":   func(_ *Table, c *Check) { c.Equals, c.Query = c.Query, c.Equals },
		"where":    func(_ *Table, c *Check) { c.Where = "x > 2" },
		"values":   func(_ *Table, c *Check) { c.Values = []string{"a", "b"} },
		"pattern":  func(_ *Table, c *Check) { c.Pattern = "q" },
		"to":       func(_ *Table, c *Check) { c.To = "v" },
		"severity": func(_ *Table, c *Check) { c.Warn = true },
		"empty":    func(x *Table, _ *Check) { x.Empty = AllowEmpty },
		"contract": func(x *Table, _ *Check) { x.Source.Contract.Columns[0].Type = "bigint" },
		"nullable": func(x *Table, _ *Check) { x.Source.Contract.Columns[0].Nullable = true },
		"patterns": func(x *Table, _ *Check) { x.Source.Contract.Patterns["a"] = "c" },
		"extra":    func(x *Table, _ *Check) { x.Source.Contract.Extra = "refuse" },
		"none":     func(x *Table, _ *Check) { x.Checks = nil },
	} {
		x := base()
		f(x, x.Checks[0])
		if x.CheckVersion() == want {
			t.Errorf("%s is a new version of the checks", name)
		}
	}
}

func TestCodeFiles(t *testing.T) {
	fsys := fstest.MapFS{"job.py": {}, "lib/a.py": {}, "lib/deep/b.py": {}, "lib/c.txt": {}, "data/x.csv": {}}
	x := &Table{Name: "t", Command: &Command{
		Args: []string{"python3", "./job.py", "lib", "/etc/passwd", "{from}", "--in=data/x.csv", "a\x00b"}, Files: []string{"lib/**/*.py"},
	}}
	have, err := x.CodeFiles(fsys)
	if want := []string{"job.py", "lib/a.py", "lib/deep/b.py"}; err != nil || !slices.Equal(have, want) {
		t.Errorf("%v %v", have, err)
	}
	x.Command.Files = []string{"gone/*.py"}
	if _, err = x.CodeFiles(fsys); err == nil || !strings.Contains(err.Error(), "matches no file any more") {
		t.Errorf("a pattern that matches nothing: %v", err)
	}
	if have, err = (&Table{SQL: &SQL{}}).CodeFiles(fsys); err != nil || have != nil {
		t.Errorf("a query has files: %v %v", have, err)
	}
}
