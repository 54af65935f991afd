//go:build unix

package command

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/warehouse"
)

// shelf is a store with a stage for each table, whose errors are by attempt.
type shelf struct {
	store
	errs map[string]error // of what is done, "seal a2"
}

func (s *shelf) do(what, attempt string) error {
	s.did = append(s.did, what+" "+attempt)
	return s.errs[what+" "+attempt]
}

func (s *shelf) OpenStage(_ context.Context, _ warehouse.Target, _ calendar.Set, attempt string) (string, error) {
	return "stage_" + attempt, s.do("open", attempt)
}

func (s *shelf) SealStage(_ context.Context, _ warehouse.Target, set calendar.Set, attempt string) (*warehouse.Stage, error) {
	return &warehouse.Stage{Attempt: attempt, Set: set}, s.do("seal", attempt)
}

func (s *shelf) Discard(_ context.Context, stage *warehouse.Stage) error {
	return s.do("discard", stage.Attempt)
}

// tasks are of box, teams and idle: box needs the 5th and 6th, teams the 6th and 7th, idle nothing.
func tasks(t *testing.T, args ...string) []executor.Task {
	t.Helper()
	first := task(t, set(5, 6), args...)
	out := []executor.Task{first}
	for _, other := range []struct {
		name, attempt string
		days          calendar.Set
	}{{"teams", "a2", set(6, 7)}, {"idle", "a3", calendar.Set{}}} {
		table := *first.Table
		table.Name = other.name
		one := first
		one.Table, one.Attempt, one.Set, one.Token = &table, other.attempt, other.days, 0
		if !other.days.Empty() {
			one.Token = 43
		}
		out = append(out, one)
	}
	return out
}

func produceAll(t *testing.T, w warehouse.Warehouse, ts []executor.Task) ([]executor.Product, string, error) {
	t.Helper()
	e, err := New(ts[0].Table, w, withShim(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	products, err := e.ProduceAll(t.Context(), ts)
	return products, ts[0].Log.(*strings.Builder).String(), err
}

// TestTogether: the program is run once, for the union of what the tables need, while the store is lent once; it is told of a stage for each
// table, of leases on what is to be written, and of the first one's attempt and token. What nothing is needed of is not sealed.
func TestTogether(t *testing.T) {
	s := &shelf{}
	products, log, err := produceAll(t, s, tasks(t, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"open a1", "open a2", "open a3", "lend", "seal a1", "seal a2", "discard a3"}; !slices.Equal(s.did, want) {
		t.Errorf("did %v, want %v", s.did, want)
	}
	for _, want := range []string{
		"HEADWAY_TABLE=box\n", "HEADWAY_ATTEMPT=a1\n", "HEADWAY_TOKEN=42\n", "HEADWAY_FROM=2024-01-05\n", "HEADWAY_TO=2024-01-07\n",
		"HEADWAY_PARTITIONS=2024-01-05,2024-01-06,2024-01-07\n", "HEADWAY_STAGING_TABLE=stage_a1\n",
		`HEADWAY_STAGING_TABLES={"box":"stage_a1","idle":"stage_a3","teams":"stage_a2"}` + "\n",
		`HEADWAY_LEASES=[{"table":"box","token":42,"intervals":[{"start":"2024-01-05","end":"2024-01-07"}]},` +
			`{"table":"teams","token":43,"intervals":[{"start":"2024-01-06","end":"2024-01-08"}]}]` + "\n",
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("%q is not told, once:\n%s", want, log)
		}
	}
	for i, p := range products {
		if i < 2 && (p.Stage == nil || p.Err != nil || p.Report != nil || !p.Stage.Set.Equal(set(5, 6, 7))) || i == 2 && p.Stage != nil {
			t.Errorf("product %d: %+v", i, p)
		}
	}
	// The first table may be the one of which nothing is needed: its stage is still the first.
	ts := tasks(t, "environ")
	ts[0].Set, ts[0].Token, ts[0].Log, ts[1].Log = calendar.Set{}, 0, nil, ts[0].Log
	log = ""
	e, err := New(ts[0].Table, &shelf{}, withShim(Options{}))
	if err == nil {
		_, err = e.ProduceAll(t.Context(), ts)
		log = ts[1].Log.(*strings.Builder).String()
	}
	if err != nil || !strings.Contains(log, "HEADWAY_TABLE=box\n") || !strings.Contains(log, "HEADWAY_STAGING_TABLE=stage_a1\n") ||
		!strings.Contains(log, "HEADWAY_TOKEN=43\n") || !strings.Contains(log, "HEADWAY_ATTEMPT=a2\n") {
		t.Errorf("%v:\n%s", err, log)
	}
}

// TestTogetherGoesWrong: what is about one table is told of it alone; what is about all leaves no stage.
func TestTogetherGoesWrong(t *testing.T) {
	boom := errors.New("boom")
	s := &shelf{errs: map[string]error{"seal a2": boom}}
	products, _, err := produceAll(t, s, tasks(t, "echo"))
	if err != nil || products[0].Err != nil || products[0].Stage == nil || !errors.Is(products[1].Err, boom) || products[1].Stage != nil {
		t.Errorf("%v, %+v", err, products)
	}
	if !slices.Contains(s.did, "discard a2") || slices.Contains(s.did, "discard a1") {
		t.Errorf("did %v", s.did)
	}
	s = &shelf{errs: map[string]error{"open a2": boom}}
	if _, _, err := produceAll(t, s, tasks(t, "echo")); !errors.Is(err, boom) || !slices.Equal(s.did, []string{"open a1", "open a2", "discard a1"}) {
		t.Errorf("%v after %v", err, s.did)
	}
	s = &shelf{}
	products, _, err = produceAll(t, s, tasks(t, "fail", "3", "no"))
	var exit *ExitError
	if err != nil || !errors.As(products[0].Err, &exit) || exit.Code != 3 || !errors.As(products[1].Err, &exit) || !strings.Contains(exit.Error(), "box and 2 more tables") {
		t.Errorf("%v, %+v", err, products)
	}
	if want := []string{"open a1", "open a2", "open a3", "lend", "discard a1", "discard a2", "discard a3"}; !slices.Equal(s.did, want) {
		t.Errorf("did %v, want %v", s.did, want)
	}
}

// TestTogetherReports: once one line is there, of whichever table, what no line names has failed, in each table; lines name their table.
func TestTogetherReports(t *testing.T) {
	line := func(table, day string) string {
		return `{"table":"` + table + `","partition":"2024-01-` + day + `","state":"done"}`
	}
	of := func(p executor.Product) string {
		if p.Err != nil {
			return "failed"
		}
		var out []string
		for _, day := range []int{5, 6, 7} {
			first, _ := set(day).First()
			if p.Report != nil && p.Report.Partitions[first].State != "" {
				out = append(out, string(p.Report.Partitions[first].State))
			}
		}
		return strings.Join(out, " ")
	}
	both := strings.Repeat("done ", 2)[:9]
	for _, tt := range []struct {
		lines      []string
		box, teams string
		refuses    string
	}{
		{lines: []string{line("box", "05"), line("teams", "06"), line("teams", "07")}, box: "done failed", teams: both},
		{lines: []string{line("box", "05")}, box: "done failed", teams: "failed"},
		{lines: []string{line("teams", "05"), line("idle", "05")}, box: "failed", teams: "failed"}, // who says anything is to say all
		{lines: []string{`{"partition":"2024-01-05","state":"done"}`}, refuses: "it does not say which table it is about: box, teams, idle"},
		{lines: []string{line("box", "05"), line("other", "05")}, refuses: `table "other" is none of the command's tables`},
	} {
		ts := tasks(t, append([]string{"report", "0"}, tt.lines...)...)
		products, _, err := produceAll(t, &shelf{}, ts)
		if tt.refuses != "" {
			if err == nil || !strings.Contains(err.Error(), tt.refuses) || !errors.Is(err, executor.ErrPermanent) {
				t.Errorf("%v: %v", tt.lines, err)
			}
			continue
		}
		if err != nil || of(products[0]) != tt.box || of(products[1]) != tt.teams || products[2].Report != nil {
			t.Errorf("%v: %v, %q and %q", tt.lines, err, of(products[0]), of(products[1]))
		}
	}
	// A command that writes by itself has no stages; the rest is the same.
	ts := tasks(t, "report", "0", line("teams", "06"))
	for i := range ts {
		ts[i].Table.Write = catalog.Direct
	}
	s := &shelf{}
	products, _, err := produceAll(t, s, ts)
	if err != nil || of(products[0]) != "failed" || of(products[1]) != "done failed" || !slices.Equal(s.did, []string{"lend"}) {
		t.Errorf("%v, %+v after %v", err, products, s.did)
	}
}
