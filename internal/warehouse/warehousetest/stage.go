package warehousetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// outside demands a *OutsideError.
func (s *store) outside(err error, rows, nulls int64, example string) {
	s.Helper()
	var outside *warehouse.OutsideError
	if !errors.As(err, &outside) {
		s.Fatalf("error %v, want an *OutsideError", err)
	}
	if outside.Rows != rows || outside.Nulls != nulls || !strings.Contains(outside.Example, example) || outside.Chunk == "" {
		s.Fatalf("%d rows outside, %d null, example %q of chunk %q; want %d, %d and %q", outside.Rows, outside.Nulls, outside.Example, outside.Chunk, rows, nulls, example)
	}
}

func (s *store) stageFails(target warehouse.Target, set calendar.Set, query string) error {
	s.Helper()
	stage, err := s.w.Stage(s.ctx, warehouse.StageRequest{Target: target, Set: set, Query: query, Attempt: "fails"})
	if err == nil {
		s.Fatalf("staged %v, want an error", stage)
	}
	return err
}

var stageCases = []testCase{
	{"a stage counts its rows and is not seen by readers", func(s *store) {
		stage := s.stage(numbers, set(1, 2, 3), "a-1", s.query(row{1, 1, 1}, row{1, 2, 2}, row{3, 1, 1}))
		if len(stage.Contents) != 2 || stage.Contents[0].Rows != 2 || stage.Contents[1].Rows != 1 || stage.Contents[1].Partition != first+3 {
			s.Fatalf("contents %v", stage.Contents)
		}
		if len(stage.Columns) != 3 || stage.Columns[0].Name != "d" || stage.Attempt != "a-1" || !stage.Set.Equal(set(1, 2, 3)) || stage.Dropped != 0 {
			s.Fatalf("stage %+v", stage)
		}
		s.holds()
	}},
	{"a query may end in a semicolon or a comment", func(s *store) {
		s.stage(numbers, set(1), "a", s.query(row{1, 1, 1})+" -- done")
		s.stage(numbers, set(1), "a", s.query(row{1, 1, 1})+";\n")
	}},
	{"rule 12 rows computed in passing are dropped", func(s *store) {
		s.raise(numbers, set(1, 2, 3, 4, 5), 1)
		stage := s.stage(numbers, set(1, 3, 5), "a", s.query(row{1, 1, 1}, row{2, 1, 1}, row{2, 2, 1}, row{3, 1, 1}, row{4, 1, 1}))
		if stage.Dropped != 3 || len(stage.Contents) != 2 {
			s.Fatalf("dropped %d, contents %v", stage.Dropped, stage.Contents)
		}
		// Checks do not see them either.
		verdicts, err := s.w.Check(s.ctx, numbers, stage, set(1, 3), []warehouse.Check{{
			ID: "n", Kind: "sql", Query: "select d, (select count(*) from " + stage.Relation + ") from " + stage.Relation + " group by d", Max: new(2.0),
		}})
		s.must(err)
		for _, v := range verdicts {
			if !v.Passed {
				s.Fatalf("the stage holds more than its set: %+v", v)
			}
		}
		s.publish(numbers, stage, set(1, 3, 5), 1)
		s.holds(row{1, 1, 1}, row{3, 1, 1})
	}},
	{"rule 12 rows outside the hull refuse", func(s *store) {
		s.outside(s.stageFails(numbers, set(2, 4), s.query(row{1, 7, 7}, row{2, 1, 1})), 1, 0, "2024-01-01")
		s.outside(s.stageFails(numbers, set(2, 4), s.query(row{2, 1, 1}, row{5, 7, 7}, row{6, 7, 7})), 2, 0, "2024-01-05")
	}},
	{"rule 12 a null partition refuses", func(s *store) {
		s.outside(s.stageFails(numbers, set(1, 2), s.query(row{1, 1, 1})+" union all select null, 4711, 1"), 1, 1, "4711")
	}},
	{"a query without the partition column refuses", func(s *store) {
		for _, query := range []string{"select 1 as k", "select 1 as d, 1 as k"} {
			var schema *warehouse.SchemaError
			if err := s.stageFails(numbers, set(1), query); !errors.As(err, &schema) || schema.Column != "d" || schema.Next == "" {
				s.Fatalf("%s: %v", query, err)
			}
		}
	}},
	{"a query that cannot run says where it is wrong", func(s *store) {
		err := s.stageFails(numbers, set(1), "select "+s.w.Literal(daily, first+1)+" as d,\n  1 as k,\n  nowhere as v")
		var query *warehouse.QueryError
		if !errors.As(err, &query) || !strings.Contains(err.Error(), "nowhere") || !strings.Contains(err.Error(), "LINE 3") ||
			!strings.Contains(err.Error(), numbers.Relation) || !strings.Contains(err.Error(), "2024-01-01") {
			s.Fatalf("unknown column: %v", err)
		}
		if err := s.stageFails(numbers, set(1), "select * from not_there"); !errors.As(err, &query) || !strings.Contains(err.Error(), "not_there") {
			s.Fatalf("unknown table: %v", err)
		}
		if err := s.stageFails(numbers, set(1), "selec 1"); !errors.As(err, &query) {
			s.Fatalf("syntax: %v", err)
		}
	}},
	{"a value that cannot be computed is an error of data", func(s *store) {
		err := s.stageFails(numbers, set(1), "select d, k, cast(t as integer) as v from (select "+s.w.Literal(daily, first+1)+" as d, 1 as k, 'x' as t) as q")
		if _, ok := errors.AsType[*warehouse.DataError](err); !ok {
			s.Fatalf("a text that is no number: %v", err)
		}
	}},
	{"a text of several statements runs none of them", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		_ = s.stageFails(numbers, set(2), s.query(row{2, 1, 1})+"; delete from numbers")
		s.holds(row{1, 1, 1})
	}},
	{"an attempt has a stage for each table", func(s *store) {
		one, other := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1})), s.stage(table("other"), set(1), "a", s.query(row{1, 1, 1}, row{1, 2, 2}))
		s.raise(numbers, set(1), 1)
		s.raise(table("other"), set(1), 1)
		s.publish(numbers, one, set(1), 1)
		s.publish(table("other"), other, set(1), 1)
		s.counts(numbers, map[int]int64{1: 1})
		s.counts(table("other"), map[int]int64{1: 2})
	}},
	{"discarding twice is a no-op and sweeping keeps what is named", func(s *store) {
		gone, kept, swept := s.stage(numbers, set(1), "a-Gone", s.query(row{1, 1, 1})), s.stage(numbers, set(1), "a-Kept", s.query(row{1, 1, 1})),
			s.stage(numbers, set(1), "a-swept", s.query(row{1, 1, 1}))
		s.must(s.w.Discard(s.ctx, gone))
		s.must(s.w.Discard(s.ctx, gone))
		s.must(s.w.Discard(s.ctx, nil))
		s.must(s.w.Sweep(s.ctx, map[string]bool{"a-Kept": true, "a-swept": false}))
		s.raise(numbers, set(1), 1)
		for _, stage := range []*warehouse.Stage{gone, swept} {
			if _, err := s.w.Publish(s.ctx, publication(numbers, stage, set(1), 1)); err == nil {
				s.Fatalf("published a stage that was dropped")
			}
		}
		s.publish(numbers, kept, set(1), 1)
	}},
	{"computing ends with its context", func(s *store) {
		ctx, cancel := withCause(s.ctx)
		cancel(errStop)
		if _, err := s.w.Stage(ctx, warehouse.StageRequest{Target: numbers, Set: set(1), Query: s.query(row{1, 1, 1}), Attempt: "a"}); !errors.Is(err, errStop) {
			s.Fatalf("error %v, want the context's cause", err)
		}
	}},
}

var commandCases = []testCase{
	{"what a command writes to its stage is published like any other", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		name, err := s.w.OpenStage(s.ctx, numbers, set(2, 3), "a-2")
		s.must(err)
		s.must(s.Elsewhere(s.T, "insert into "+name+" "+s.query(row{2, 1, 9}, row{3, 1, 9})))
		stage, err := s.w.SealStage(s.ctx, numbers, set(2, 3), "a-2")
		s.must(err)
		s.holds(row{1, 1, 1}, row{2, 1, 1})
		s.raise(numbers, set(2, 3), 2)
		s.publish(numbers, stage, set(2, 3), 2)
		s.holds(row{1, 1, 1}, row{2, 1, 9}, row{3, 1, 9})
	}},
	{"a command makes its stage itself where the table does not exist", func(s *store) {
		name, err := s.w.OpenStage(s.ctx, numbers, set(1), "a-1")
		s.must(err)
		s.must(s.Elsewhere(s.T, "create table "+name+" as "+s.query(row{1, 1, 1})))
		stage, err := s.w.SealStage(s.ctx, numbers, set(1), "a-1")
		s.must(err)
		s.raise(numbers, set(1), 1)
		if done := s.publish(numbers, stage, set(1), 1); !done.Created {
			s.Fatalf("published %+v, want it created", done)
		}
		s.holds(row{1, 1, 1})
	}},
	{"rule 12 a sealed stage is closed to the command's descendants", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 1}))
		name, err := s.w.OpenStage(s.ctx, numbers, set(1), "a-2")
		s.must(err)
		stage, err := s.w.SealStage(s.ctx, numbers, set(1), "a-2")
		s.must(err)
		if err := s.Elsewhere(s.T, "insert into "+name+" "+s.query(row{1, 6, 6})); err == nil {
			s.Fatal("a late write to the stage succeeded")
		}
		if len(stage.Contents) != 0 {
			s.Fatalf("contents %v", stage.Contents)
		}
	}},
	{"rows of a command outside its chunk refuse", func(s *store) {
		name, err := s.w.OpenStage(s.ctx, numbers, set(1), "a-1")
		s.must(err)
		s.must(s.Elsewhere(s.T, "create table "+name+" as "+s.query(row{1, 1, 1}, row{2, 1, 1})))
		_, err = s.w.SealStage(s.ctx, numbers, set(1), "a-1")
		s.outside(err, 1, 0, "2024-01-02")
	}},
	{"a stage that was never made is empty", func(s *store) {
		for _, exists := range []bool{false, true} {
			attempt := fmt.Sprintf("a-%v", exists)
			_, err := s.w.OpenStage(s.ctx, numbers, set(1, 2), attempt)
			s.must(err)
			stage, err := s.w.SealStage(s.ctx, numbers, set(1, 2), attempt)
			s.must(err)
			if len(stage.Contents) != 0 {
				s.Fatalf("contents %v", stage.Contents)
			}
			if _, err := s.w.Check(s.ctx, numbers, stage, set(1), []warehouse.Check{{
				ID: "n", Kind: "sql", Query: "select d, count(*) from " + stage.Relation + " group by d", Min: new(0.0),
			}}); err != nil {
				s.Fatalf("check an empty stage: %v", err)
			}
			s.raise(numbers, set(1, 2), 3)
			done := s.publish(numbers, stage, set(1, 2), 3)
			if done.Created || len(done.Inserted) != 0 {
				s.Fatalf("published %+v", done)
			}
			s.holds()
			if exists {
				continue
			}
			s.write(numbers, set(1), 3, s.query(row{1, 1, 1}))
		}
	}},
	{"stages outlive lending", func(s *store) {
		stage := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1}))
		s.must(s.Elsewhere(s.T, "create table elsewhere as select 1 as x"))
		s.raise(numbers, set(1), 1)
		s.publish(numbers, stage, set(1), 1)
		s.holds(row{1, 1, 1})
	}},
	{"turns overlap, and what is staged outlives leaving", func(s *store) {
		end, err := s.w.Turn(s.ctx)
		s.must(err)
		other, err := s.w.Turn(s.ctx)
		s.must(err)
		stage := s.stage(numbers, set(1), "a", s.query(row{1, 1, 1}))
		s.must(s.w.Leave(s.ctx)) // a no-op
		end()
		end()
		s.raise(numbers, set(1), 1)
		other()
		s.must(s.w.Leave(s.ctx))
		s.must(s.w.Leave(s.ctx))
		s.publish(numbers, stage, set(1), 1)
		s.holds(row{1, 1, 1})
	}},
	{"lending gives back what the function says", func(s *store) {
		if err := s.w.Lend(s.ctx, func(contextOnly) error { return errStop }); !errors.Is(err, errStop) {
			s.Fatalf("error %v, want the function's", err)
		}
	}},
}
