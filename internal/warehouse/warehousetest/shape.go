package warehousetest

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// runningSQL is a query over numbers that reads its own last day: a total so far.
func (s *store) runningSQL(relation string) string {
	return "select n.d, n.k, n.v + coalesce(r.total, 0) as total from " + s.w.Relation("numbers") + " as n left join " + s.w.Relation(relation) +
		" as r on r.k = n.k and r.d < n.d"
}

func (s *store) shapes(drafts ...warehouse.Draft) map[string][]warehouse.Column {
	s.Helper()
	found, err := s.w.Shapes(s.ctx, drafts)
	s.must(err)
	out := map[string][]warehouse.Column{}
	for _, shape := range found {
		out[shape.Target.Relation] = shape.Columns
	}
	return out
}

// columnsAre demands names of columns, and that each has a type.
func (s *store) columnsAre(columns []warehouse.Column, want ...string) {
	s.Helper()
	var got []string
	for _, c := range columns {
		got = append(got, c.Name)
		if c.Type == "" {
			s.Fatalf("column %s has no type", c.Name)
		}
	}
	if !slices.Equal(got, want) {
		s.Fatalf("columns %v, want %v", got, want)
	}
}

// unshaped demands that it cannot be told, and why.
func (s *store) unshaped(want string, drafts ...warehouse.Draft) {
	s.Helper()
	shapes, err := s.w.Shapes(s.ctx, drafts)
	if e, ok := errors.AsType[*warehouse.ShapeError](err); !ok || !strings.Contains(err.Error(), want) || e.Table == "" {
		s.Fatalf("shapes %v, error %v, want a *ShapeError with %q", shapes, err, want)
	}
}

// absent demands that a relation is not there.
func (s *store) absent(relations ...string) {
	s.Helper()
	for _, r := range relations {
		if b, err := s.w.Bind(s.ctx, "select * from "+s.w.Relation(r)); err == nil {
			s.Fatalf("%s is there: %v", r, b.Columns)
		}
	}
}

func declaring(t warehouse.Target, columns ...warehouse.Column) warehouse.Target {
	t.Columns = columns
	return t
}

var shapeCases = []testCase{
	{"a relation that its own query reads gets the columns of the query", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 2}))
		for _, relation := range []string{"running", "made.running"} {
			target := table(relation)
			draft := warehouse.Draft{Target: target, Query: s.runningSQL(relation)}
			columns := s.shapes(draft)[relation]
			s.columnsAre(columns, "d", "k", "total")
			s.absent(relation) // nothing was made
			b, err := s.w.Bind(s.ctx, draft.Query, warehouse.Shape{Target: target, Columns: columns})
			s.must(err)
			s.columnsAre(b.Columns, "d", "k", "total")
			for i := range columns {
				if b.Columns[i].Type != columns[i].Type {
					s.Errorf("column %s is %s, and over itself %s", columns[i].Name, columns[i].Type, b.Columns[i].Type)
				}
			}
			if !slices.ContainsFunc(b.Reads, func(r string) bool { return strings.HasSuffix(r, ".running") }) {
				s.Errorf("reads %v", b.Reads)
			}
			s.absent(relation) // nor was it by binding
			for range 2 {      // the second time there is nothing to do
				s.must(s.w.Prepare(s.ctx, warehouse.Shape{Target: target, Columns: columns}))
			}
			s.counts(target, map[int]int64{})
			if shapes := s.shapes(draft); len(shapes) > 0 {
				s.Errorf("what stands is shaped: %v", shapes)
			}
			s.write(target, set(1), 2, draft.Query+" where n.d = "+s.w.Literal(daily, first+1))
			s.write(target, set(2), 3, draft.Query+" where n.d = "+s.w.Literal(daily, first+2))
			want := s.stage(numbers, set(1, 2), "want", "select d, k, v as total from ("+s.query(row{1, 1, 1}, row{2, 1, 3})+") as q")
			if got := s.contents(target, calendar.All()); !slices.Equal(got, want.Contents) {
				s.Errorf("%s holds %v, want %v", relation, got, want.Contents)
			}
		}
	}},
	{"relations that read one another and what they rest on are found together", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		base := warehouse.Draft{Target: table("base"), Query: "select d, k, cast(v as " + s.Double + ") as strength from " + s.w.Relation("numbers")}
		guesses := warehouse.Draft{Target: table("loop.guesses"), Query: "select b.d, b.k, b.strength * coalesce(h.hit, 1) as guess from " + s.w.Relation("base") +
			" as b left join " + s.w.Relation("loop.hits") + " as h on h.k = b.k and h.d < b.d"}
		hits := warehouse.Draft{Target: table("loop.hits"), Query: "select g.d, g.k, abs(g.guess - n.v) as hit from " + s.w.Relation("loop.guesses") +
			" as g join " + s.w.Relation("numbers") + " as n on n.d = g.d and n.k = g.k"}
		for _, drafts := range [][]warehouse.Draft{{base, guesses, hits}, {hits, guesses, base}} {
			shapes := s.shapes(drafts...)
			s.columnsAre(shapes["base"], "d", "k", "strength")
			s.columnsAre(shapes["loop.guesses"], "d", "k", "guess")
			s.columnsAre(shapes["loop.hits"], "d", "k", "hit")
			if strength, hit := shapes["base"][2], shapes["loop.hits"][2]; strength.Type != hit.Type {
				s.Errorf("hit is %s, and what it rests on %s", hit.Type, strength.Type)
			}
		}
		s.absent("base", "loop.guesses", "loop.hits")
	}},
	{"all columns are told where they do not rest on themselves", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		own, n := s.w.Relation("own"), s.w.Relation("numbers")
		for query, want := range map[string]string{
			"with before as (select * from " + own + "), new as (select n.d, n.k as key, n.v + coalesce(b.kept, 0) as kept from " + n +
				" as n left join before as b on b.key = n.k) select * from new": "d key kept",
			"select n.*, o.more + 1 as more from " + n + " as n left join " + own + " as o on o.k = n.k":             "d k v more",
			"select q.* from (select d, k as x from " + n + ") as q left join " + own + " as o on o.x = q.x":         "d x",
			"select * from " + own + " where 1 = 0 union all select d, k, v from " + n:                               "d k v",
			"select d, k + coalesce((select max(o.k) from " + own + " as o where o.d < t.d), 0) from " + n + " as t": "",
		} {
			drafts := []warehouse.Draft{{Target: table("own"), Query: query}}
			if want == "" {
				s.unshaped("", drafts...)
				continue
			}
			s.columnsAre(s.shapes(drafts...)["own"], strings.Fields(want)...)
		}
	}},
	{"what cannot be told is refused with what it is", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		own, n := s.w.Relation("own"), s.w.Relation("numbers")
		for query, want := range map[string]string{
			"select n.d, o.* from " + n + " as n left join " + own + " as o on o.d < n.d":                            "itself",
			"select n.d, o.label from " + n + " as n left join " + own + " as o on o.d < n.d":                        `"label"`,
			"with b as (select * from " + own + ") select n.d, b.label from " + n + " as n left join b on b.d < n.d": `"label"`,
			"select n.d, n.k from " + n + " as n left join " + own + " as o on o.nowhere = n.k":                      "nowhere",
			"select n.d, n.k from " + n + " as n left join " + s.w.Relation("gone.gone") + " as o on o.d = n.d":      "gone",
			"select n.d from": "",
		} {
			s.unshaped(want, warehouse.Draft{Target: table("own"), Query: query})
		}
		s.absent("own")
	}},
	{"a column that the query reads of itself is added to what stands", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 2}))
		target := table("running")
		shape := func(draft warehouse.Draft) {
			found, err := s.w.Shapes(s.ctx, []warehouse.Draft{draft})
			s.must(err)
			for _, one := range found {
				s.must(s.w.Prepare(s.ctx, one))
			}
		}
		shape(warehouse.Draft{Target: target, Query: s.runningSQL("running")})
		s.write(target, set(1), 2, s.runningSQL("running")+" where n.d = "+s.w.Literal(daily, first+1))
		before := s.contents(target, calendar.All())
		wider := strings.Replace(s.runningSQL("running"), " from ", ", 1 + coalesce(r.days, 0) as days from ", 1)
		draft := warehouse.Draft{Target: target, Query: wider}
		s.columnsAre(s.shapes(draft)["running"], "d", "k", "total", "days")
		shape(draft)
		if after := s.contents(target, calendar.All()); !slices.Equal(after, before) {
			s.Fatalf("contents %v, before %v", after, before)
		}
		s.write(target, set(2), 3, wider+" where n.d = "+s.w.Literal(daily, first+2))
		got, err := s.w.Dates(s.ctx, "select d from "+s.w.Relation("running")+" where days = 1", daily)
		s.must(err)
		if !got.Equal(set(2)) {
			s.Fatalf("days with the new column: %v", got)
		}
	}},
	{"declared columns are what a relation is made with", func(s *store) {
		columns := []warehouse.Column{{Name: "d", Type: "date"}, {Name: "k", Type: "bigint"}, {Name: "v", Type: "bigint"}, {Name: "note", Type: "varchar"}}
		target := declaring(table("own"), columns...)
		s.columnsAre(s.shapes(warehouse.Draft{Target: target})["own"], "d", "k", "v", "note")
		s.raise(target, set(1), 1)
		noted := "select d, k, v, 'x' as note from (" + s.query(row{1, 1, 1}) + ") as q"
		done := s.publish(target, s.stage(target, set(1), "a-1", noted), set(1), 1)
		b, err := s.w.Bind(s.ctx, "select * from "+s.w.Relation("own"))
		s.must(err)
		s.columnsAre(b.Columns, "d", "k", "v", "note")
		if !done.Created || b.Columns[1].Type != s.shapes(warehouse.Draft{Target: declaring(table("other"), columns...)})["other"][1].Type {
			s.Fatalf("created %t with %v", done.Created, b.Columns)
		}
		for query, column := range map[string]string{
			s.query(row{1, 1, 1}): "note",
			"select d, cast('x' as varchar(9)) as k, v, 'x' as note from (" + s.query(row{1, 1, 1}) + ") as q": "k",
			"select d, k, v, 'x' as note, 5 as unasked from (" + s.query(row{1, 1, 1}) + ") as q":              "unasked",
		} {
			_, err := s.w.Stage(s.ctx, warehouse.StageRequest{Target: target, Set: set(1), Query: query, Attempt: "a-2"})
			if e, ok := errors.AsType[*warehouse.SchemaError](err); !ok || e.Column != column || !strings.Contains(e.Wanted, "declared") {
				s.Errorf("%s: error %v, want one about column %s", query, err, column)
			}
		}
		s.unshaped("nonsense", warehouse.Draft{Target: declaring(table("bad"), warehouse.Column{Name: "d", Type: "nonsense"})})
	}},
	{"a command's stage has the declared columns", func(s *store) {
		target := declaring(table("own"), warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "v", Type: "bigint"})
		s.raise(target, set(1, 2), 1)
		at, err := s.w.OpenStage(s.ctx, target, set(1, 2), "a-1")
		s.must(err)
		s.must(s.Elsewhere(s.T, "insert into "+at+" values (DATE '2024-01-01', 5)"))
		stage, err := s.w.SealStage(s.ctx, target, set(1, 2), "a-1")
		s.must(err)
		s.publish(target, stage, set(1, 2), 1)
		s.counts(target, map[int]int64{1: 1})
	}},
	{"relations may be made by several at once", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				found, err := s.w.Shapes(s.ctx, []warehouse.Draft{{Target: table("made.running"), Query: s.runningSQL("made.running")}})
				for _, shape := range found {
					err = errors.Join(err, s.w.Prepare(s.ctx, shape))
				}
				if err != nil {
					s.Errorf("prepare: %v", err)
				}
			})
		}
		group.Wait()
		s.counts(table("made.running"), map[int]int64{})
	}},
	{"a view is not made wider", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		s.must(s.Elsewhere(s.T, "create view seen as select 1 as k"))
		err := s.w.Prepare(s.ctx, warehouse.Shape{Target: table("seen"), Columns: []warehouse.Column{{Name: "v", Type: "bigint"}}})
		if _, ok := errors.AsType[*warehouse.SchemaError](err); !ok {
			s.Fatalf("error %v", err)
		}
	}},
}
