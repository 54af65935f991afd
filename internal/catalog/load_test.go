package catalog

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/headway-data/headway/internal/calendar"
)

var update = flag.Bool("update", false, "write what the errors are into testdata")

// files makes a file system of an archive's files below a folder.
func files(a *txtar.Archive, folder string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, f := range a.Files {
		if name, ok := strings.CutPrefix(f.Name, folder); ok {
			out[name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return out
}

func archive(t testing.TB, name string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func project(text string, more ...string) fstest.MapFS {
	out := fstest.MapFS{"headway.yaml": {Data: []byte(text)}}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	return out
}

func mustLoad(t testing.TB, fsys fs.FS) *Project {
	t.Helper()
	p, err := Load(Folder{FS: fsys, File: "headway.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// unplaced sets every position to nothing, so that projects can be compared.
func unplaced(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			unplaced(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			unplaced(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Pos]() {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				unplaced(v.Field(i))
			}
		}
	}
}

func civil(s string) calendar.Partition {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return calendar.Partition(calendar.DateOf(t.Date()))
}

func days(from, to string) calendar.Interval {
	return calendar.Interval{Start: civil(from), End: civil(to) + 1}
}

// TestLoadSample reads the project file of the documentation and looks at every field.
func TestLoadSample(t *testing.T) {
	fsys := files(archive(t, "sample.txtar"), "")
	p := mustLoad(t, fsys)
	lines := p.lines
	p.lines = nil
	for _, x := range p.Tables {
		for _, in := range x.Inputs {
			if in.Pos.File == "" || in.Pos.Line == 0 || lines[in.Pos.File] == nil {
				t.Errorf("%s: input %s has no place: %v", x.Name, in.Table, in.Pos)
			}
		}
	}
	if at := p.Table("player_daily_cache").Pos.String(); at != "headway.yaml:23:3" {
		t.Errorf("player_daily_cache is at %s", at)
	}
	unplaced(reflect.ValueOf(p))
	want := sampleProject()
	for i := range max(len(p.Tables), len(want.Tables)) {
		if i >= len(p.Tables) || i >= len(want.Tables) {
			t.Fatalf("%d tables, want %d", len(p.Tables), len(want.Tables))
		}
		have, want := reflect.ValueOf(*p.Tables[i]), reflect.ValueOf(*want.Tables[i])
		for f := range have.NumField() {
			if !reflect.DeepEqual(have.Field(f).Interface(), want.Field(f).Interface()) {
				t.Errorf("%s.%s:\nhave %s\nwant %s", p.Tables[i].Name, have.Type().Field(f).Name, show(have.Field(f)), show(want.Field(f)))
			}
		}
	}
	p.Tables, want.Tables = nil, nil
	if !reflect.DeepEqual(p, want) {
		t.Errorf("\nhave %s\nwant %s", show(reflect.ValueOf(p)), show(reflect.ValueOf(want)))
	}
}

func sampleProject() *Project {
	const zone = "America/New_York"
	day := calendar.Axis{Grain: calendar.Day, Zone: zone}
	daily := func(name string, t Table) *Table {
		t.Name, t.Relation = name, firstNonEmpty(t.Relation, name)
		t.Warehouse, t.Digits = "main", 9
		if t.Axis == (calendar.Axis{}) && t.Tags == nil || t.Column != "" {
			t.Axis, t.Calendar, t.Column = day, "game_days", "game_date"
			t.Start, t.HasStart = civil("2021-10-19"), true
		}
		return &t
	}
	whole := func(name string, t Table) *Table {
		x := daily(name, t)
		x.Axis, x.Calendar, x.Column, x.Start, x.HasStart = calendar.Whole(), "", "", 0, false
		return x
	}
	same := []Window{{Kind: Same}}
	input := func(name string, ws ...Window) *Input {
		if ws == nil {
			ws = same
		}
		return &Input{Table: name, Windows: ws, Complete: 1, Restates: true}
	}
	const keep = 30 * 24 * time.Hour
	box := &Command{Args: []string{"python3", "box.py", "{dates}"}, Files: []string{"box.py", "lib/**/*.py"}}
	cacheInputs := []*Input{
		input("player_game_summary",
			Window{Kind: PerParts, Count: 10, Per: "player_id", To: -1, Within: "season"},
			Window{Kind: Offset, Unit: calendar.Day, From: -7, To: -1},
			Window{Kind: Since, Within: "season", To: -1}),
		{
			Table: "team_offense_game_summary", Complete: 0.9, Restates: true,
			Windows: []Window{{Kind: Offset, Unit: calendar.Day, From: -14, To: -1}},
		},
		{Table: "dim_player", Windows: []Window{{Kind: Everything}}, Complete: 1, Restates: false},
	}
	const equals = `select game_date, 2 * count(*) from raw_schedule where game_date >= {{start}} and game_date < {{end}} group by 1`
	const identity = `select game_date, avg((pts = 2 * fgm + fg3m + ftm)::int) from {{staged}} group by 1`
	cacheChecks := []*Check{
		{ID: "player_daily_cache.unique", Kind: CheckUnique, Columns: []string{"game_date", "player_id"}},
		{ID: "player_daily_cache.usage_rate.not_null", Kind: CheckNotNull, Columns: []string{"usage_rate"}, Min: new(0.95)},
		{ID: "player_daily_cache.rows", Kind: CheckRows, Equals: equals},
		{
			ID: "player_daily_cache.relationship", Kind: CheckRelationship, Columns: []string{"game_id", "team_id"},
			To: "team_offense_game_summary", Min: new(0.99),
		},
		{ID: "player_daily_cache.usage_rate.range", Kind: CheckRange, Columns: []string{"usage_rate"}, Min: new(0.0), Max: new(100.0), Warn: true},
		{ID: "player_daily_cache.identity", Kind: CheckSQL, Query: identity, Min: new(1.0)},
	}
	features := []*Check{
		{ID: "ml_feature_store.player_id.unique", Kind: CheckUnique, Columns: []string{"player_id"}},
		{ID: "ml_feature_store.a.not_null", Kind: CheckNotNull, Columns: []string{"a"}},
		{ID: "ml_feature_store.b.not_null", Kind: CheckNotNull, Columns: []string{"b"}},
		{ID: "ml_feature_store.pos.accepted_values", Kind: CheckAccepted, Columns: []string{"pos"}, Values: []string{"G", "2", "true"}},
		{ID: "ml_feature_store.ids", Kind: CheckPattern, Columns: []string{"id"}, Pattern: `^\d+$`},
		{
			ID: "ml_feature_store.player_id.relationship", Kind: CheckRelationship, Columns: []string{"player_id"},
			To: "dim_player", ToColumns: []string{"id"},
		},
		{ID: "ml_feature_store.rows", Kind: CheckRows, Min: new(1.0), Max: new(500.0)},
	}
	monthly := Table{
		Name: "player_game_summary", Relation: "player_game_summary", Warehouse: "main", Digits: 9, Keep: keep,
		Axis: calendar.Axis{Grain: calendar.Month}, Column: "game_date", Calendar: "@tables.player_game_summary.partition.calendar",
		Start: calendar.MonthOf(2021, 10), HasStart: true, SQL: &SQL{File: "sql/player_game_summary.sql", Text: "select 2\n"},
		Inputs: []*Input{
			{Table: "raw_player_box", Windows: same, Complete: 1, Min: 1, Restates: true, Columns: []string{"game_id"}},
			input("team_offense_game_summary", Window{Kind: Partitions, From: -10, To: -1}),
		},
		Checks: []*Check{{
			ID: "player_game_summary.usage_rate.not_null", Kind: CheckNotNull, Columns: []string{"usage_rate"}, Min: new(0.95), Where: "minutes > 0",
		}},
	}
	return &Project{
		Name: "nba", Zone: zone, State: "sqlite:.headway/state.db",
		Warehouses: []*Warehouse{{Name: "main", Type: "duckdb", Path: "nba.duckdb", MaxParallel: 2}},
		Calendars: []*Calendar{
			{Name: "game_days", Query: "select distinct game_date from raw_schedule where season_type in ('regular','playoffs')"},
			{Name: "@tables.player_game_summary.partition.calendar", Every: true, Grain: calendar.Month},
		},
		Periods: []*Period{{
			Name:      "season",
			Intervals: []calendar.Interval{days("2021-10-19", "2022-06-16"), days("2022-10-18", "2023-06-12")},
		}},
		Tables: []*Table{
			daily("raw_player_box", Table{
				DueAfter: 6 * time.Hour,
				Source: &Source{
					Files: "data/player_box_*.csv.gz", Observe: Observe{By: "fingerprint", Lookback: 30},
					Contract: &Contract{
						Columns: []ContractColumn{
							{Name: "game_id", Type: "varchar", Nullable: true}, {Name: "game_date", Type: "date", Nullable: true},
							{Name: "min", Type: "integer", Nullable: true},
						},
						Patterns: map[string]string{"game_id": `^\d{10}$`}, Extra: "warn",
					},
				},
				Checks: []*Check{{ID: "raw_player_box.unique", Kind: CheckUnique, Columns: []string{"game_id", "player_id"}}},
			}),
			daily("player_daily_cache", Table{
				Relation: "nba_precompute.player_daily_cache", Inputs: cacheInputs, Checks: cacheChecks, Keep: keep,
				SQL: &SQL{
					File: "sql/player_daily_cache.sql",
					Text: "select 1 as game_date from {{table \"player_game_summary\"}} -- all of it\n",
				},
				Batch: Batch{Size: 60, Parallel: 2}, Bootstrap: &BootstrapRule{Partitions: 14, Of: "season"}, Retries: 2, Timeout: 30 * time.Minute,
			}),
			whole("dim_player", Table{
				Inputs: []*Input{input("raw_player_positions", Window{Kind: Everything})}, Keep: keep,
				SQL: &SQL{File: "sql/dim_player.sql", Text: "select 4\n"},
			}),
			daily("raw_schedule", Table{Source: &Source{Files: "data/schedule_*.csv.gz", Observe: Observe{By: "fingerprint"}}}),
			whole("raw_player_positions", Table{Relation: "main.positions", Source: &Source{Observe: Observe{By: "metadata"}}}),
			daily("team_offense_game_summary", Table{
				Column: "game_date", Inputs: []*Input{input("raw_schedule")}, Keep: keep,
				Command: &Command{
					Args: []string{"python3", "job.py", "--start-date", "{from}"}, Files: []string{"job.py"},
					Env: []EnvVar{{Name: "KEY", Value: "${KEY}"}},
				},
				Write: Direct, Empty: AllowEmpty, Immutable: true, OnCodeChange: Forward, Lookback: 3, Tags: []string{"nightly"}, Schedule: "0 4 * * *",
				Columns: []Column{{Name: "game_date", Type: "date"}, {Name: "team_id", Type: "integer"}, {Name: "ratings", Type: "decimal(9, 2)[]"}},
			}),
			&monthly,
			daily("ml_feature_store", Table{
				Keep:   keep,
				Inputs: []*Input{input("player_game_summary", Window{Kind: Offset, Unit: calendar.Month, From: -2}), input("player_daily_cache")},
				SQL:    &SQL{File: "sql/ml_feature_store.sql", Text: "select 3\n"}, Checks: features,
			}),
			daily("box_players", Table{Producer: "box", Command: box, Keep: keep}),
			daily("box_teams", Table{Producer: "box", Command: box, Keep: keep}),
		},
		Producers: []*Producer{{Name: "box", Tables: []string{"box_players", "box_teams"}}},
		Gates: []*Gate{{
			Name: "ml_training", Tables: []string{"ml_feature_store"},
			Requirements: []Requirement{{Fresh: new(1.0)}, {Check: "player_game_summary.usage_rate.not_null", Min: new(0.95)}},
		}},
	}
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestLoadEnvironment(t *testing.T) {
	fsys := project(`version: 1
project: p
state: sqlite:a.db
default_environment: dev
environments:
  dev:
  prod: {state: "${HEADWAY_STATE_URL}", schema_prefix: "prod_", protected: true}
`)
	for _, tt := range []struct {
		env, want, state, prefix string
		protected                bool
	}{
		{"", "dev", "sqlite:a.db", "", false},
		{"dev", "dev", "sqlite:a.db", "", false},
		{"prod", "prod", "${HEADWAY_STATE_URL}", "prod_", true},
	} {
		p, err := Load(Folder{FS: fsys, File: "headway.yaml", Env: tt.env})
		if err != nil {
			t.Fatal(err)
		}
		if p.Environment != tt.want || p.State != tt.state || p.SchemaPrefix != tt.prefix || p.Protected != tt.protected {
			t.Errorf("%q: %+v", tt.env, p)
		}
	}
	_, err := Load(Folder{FS: fsys, File: "headway.yaml", Env: "prd"})
	if err == nil || !strings.Contains(err.Error(), `environment "prd" is not declared: did you mean "prod"?`) {
		t.Errorf("an environment that does not exist: %v", err)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load(Folder{FS: fstest.MapFS{}, File: "headway.yaml"})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a project that does not exist: %v", err)
	}
	var es Errors
	if !errors.As(err, &es) || len(es) != 1 || es[0].Pos.File != "headway.yaml" {
		t.Errorf("its error: %#v", err)
	}
}

// TestLoadTooMuch: what would keep the parser busy for minutes is refused at once, and what is only long is not.
func TestLoadTooMuch(t *testing.T) {
	var keys strings.Builder
	for i := range 3 * maxEntries {
		keys.WriteString("k" + strconv.Itoa(i) + ": 1\n")
	}
	for text, want := range map[string]string{
		keys.String(): "headway.yaml:10001:1: more than 10000 entries stand in one list or mapping",
		"a:\n" + strings.Repeat("  - b\n", 100_000): "headway.yaml:10002:3: more than 10000 entries stand in one list or mapping",
		strings.Repeat("[", 1000):                   "values are nested more than 64 deep",
		strings.Repeat("&a ", 1000):                 "values are nested more than 64 deep",
		strings.Repeat("x", maxFileSize+1):          "headway.yaml: cannot be read: is larger than 4 MB",
		"a: " + strings.Repeat("x", maxFileSize-10): "version is missing",
	} {
		if _, err := Load(Folder{FS: project(text), File: "headway.yaml"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %.200v", text, err)
		}
	}
	mustLoad(t, project("version: 1\nproject: p\n"+strings.Repeat("# a comment\n", 3*maxEntries)))
}

// TestLoadBad holds every kind of wrong file against the message it gets. testdata/bad/*.txtar has folders: a project, and in want what
// Load says of it. -update writes want; read it before it is believed.
func TestLoadBad(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		a := archive(t, path.Join("bad", filepath.Base(name)))
		var cases []string
		for _, f := range a.Files {
			if dir, _, _ := strings.Cut(f.Name, "/"); !slices.Contains(cases, dir) {
				cases = append(cases, dir)
			}
		}
		for _, c := range cases {
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar")+"/"+c, func(t *testing.T) {
				_, err := Load(Folder{FS: files(a, c+"/"), File: "headway.yaml"})
				have := "no error\n"
				if err != nil {
					have = err.Error() + "\n"
				}
				at := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == c+"/want" })
				if *update {
					if at < 0 {
						after := 0
						for i, f := range a.Files {
							if strings.HasPrefix(f.Name, c+"/") {
								after = i + 1
							}
						}
						a.Files = slices.Insert(a.Files, after, txtar.File{Name: c + "/want"})
						at = after
					}
					a.Files[at].Data = []byte(have)
					return
				}
				if at < 0 || string(a.Files[at].Data) != have {
					t.Errorf("have:\n%s", have)
				}
				if err == nil {
					t.Error("a bad file was taken")
				}
			})
		}
		if *update {
			if err := os.WriteFile(name, txtar.Format(a), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
