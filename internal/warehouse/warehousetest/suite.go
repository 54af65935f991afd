// Package warehousetest is the conformance suite of warehouses: a case for each sentence of the contract, and for each counterexample
// told in the rules. Every driver runs it; its queries use SQL that all warehouses understand, and what differs stands in the Harness.
package warehousetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// A Harness is a new, empty warehouse for one case.
type Harness struct {
	Warehouse warehouse.Warehouse
	// Crash gives what a fresh process finds after the first was killed at this moment. The first is not used again.
	Crash func(t *testing.T) warehouse.Warehouse
	// Elsewhere runs a statement as another program would: within Lend.
	Elsewhere func(t *testing.T, statement string) error
	// Double, Timestamp and Instant are names of types: floating-point of 64 bits, civil time, an instant.
	Double, Timestamp, Instant string
	// Quarantined counts the rows that are kept aside of an attempt.
	Quarantined func(t *testing.T, attempt string) int
}

// Run runs every case over warehouses that open makes.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"claim", claimCases},
		{"fence", fenceCases},
		{"stage", stageCases},
		{"command", commandCases},
		{"publish", publishCases},
		{"fingerprint", fingerprintCases},
		{"check", checkCases},
		{"source", sourceCases},
		{"drift", driftCases},
		{"axis", axisCases},
		{"query", queryCases},
		{"shape", shapeCases},
		{"crash", crashCases},
		{"together", togetherCases},
		{"model", modelCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
					h := open(t)
					t.Cleanup(func() {
						if err := h.Warehouse.Close(); err != nil {
							t.Errorf("close: %v", err)
						}
					})
					c.run(&store{T: t, Harness: h, w: h.Warehouse, ctx: t.Context()})
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(s *store)
}

// A store is a warehouse under test. Its methods fail the test unless they are told what error to expect.
type store struct {
	*testing.T
	Harness
	w   warehouse.Warehouse
	ctx context.Context //nolint:containedctx // of the test
}

var daily = calendar.Axis{Grain: calendar.Day, Zone: "America/New_York"}

// The day that stands for partition 1 in most cases.
var first = calendar.Partition(calendar.DateOf(2024, 1, 1)) - 1

// set is the set of days numbered from 1.
func set(days ...int) calendar.Set {
	ps := make([]calendar.Partition, len(days))
	for i, d := range days {
		ps[i] = first + calendar.Partition(d)
	}
	return calendar.Of(ps...)
}

func table(name string) warehouse.Target {
	return warehouse.Target{Table: "suite:" + name, Relation: name, Column: "d", Axis: daily, Digits: 9}
}

// numbers is the table of most cases.
var numbers = table("numbers")

// A row of numbers.
type row struct{ day, k, v int }

// query gives rows.
func (s *store) query(rows ...row) string {
	parts := make([]string, 0, len(rows))
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("select %s as d, %d as k, %d as v", s.w.Literal(daily, first+calendar.Partition(r.day)), r.k, r.v))
	}
	if len(parts) == 0 {
		return "select d, k, v from (" + s.query(row{1, 1, 1}) + ") as none where 1 = 0"
	}
	return strings.Join(parts, "\nunion all\n")
}

func (s *store) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *store) raise(target warehouse.Target, set calendar.Set, token history.Token) {
	s.Helper()
	s.must(s.w.Raise(s.ctx, warehouse.Fence{Table: target.Table, Set: set, Token: token}))
}

func (s *store) stage(target warehouse.Target, set calendar.Set, attempt, query string) *warehouse.Stage {
	s.Helper()
	stage, err := s.w.Stage(s.ctx, warehouse.StageRequest{Target: target, Set: set, Query: query, Attempt: attempt})
	s.must(err)
	return stage
}

func publication(target warehouse.Target, stage *warehouse.Stage, set calendar.Set, token history.Token) warehouse.Publication {
	return warehouse.Publication{
		Target: target, Stage: stage, Set: set, Token: token, Attempt: stage.Attempt, Ledger: "ledger-1", Version: "v1",
		At: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
	}
}

func (s *store) publish(target warehouse.Target, stage *warehouse.Stage, set calendar.Set, token history.Token) *warehouse.Published {
	s.Helper()
	done, err := s.w.Publish(s.ctx, publication(target, stage, set, token))
	s.must(err)
	return done
}

// write does the whole of it: fence, stage, publish.
func (s *store) write(target warehouse.Target, set calendar.Set, token history.Token, query string) *warehouse.Published {
	s.Helper()
	s.raise(target, set, token)
	stage := s.stage(target, set, fmt.Sprintf("a-%d", token), query)
	done := s.publish(target, stage, set, token)
	s.must(s.w.Discard(s.ctx, stage))
	return done
}

func (s *store) contents(target warehouse.Target, set calendar.Set) []warehouse.Content {
	s.Helper()
	out, err := s.w.Contents(s.ctx, target, set)
	s.must(err)
	return out
}

// counts demands how many rows stand in each day that has any: {day: rows}.
func (s *store) counts(target warehouse.Target, want map[int]int64) {
	s.Helper()
	got := map[int]int64{}
	for _, c := range s.contents(target, calendar.All()) {
		got[int(c.Partition-first)] = c.Rows
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Fatalf("rows per day of %s: %v, want %v", target.Relation, got, want)
	}
}

// holds demands that exactly these rows stand in numbers.
func (s *store) holds(rows ...row) {
	s.Helper()
	days := []int{}
	for _, r := range rows {
		days = append(days, r.day)
	}
	fence := warehouse.Target{Table: "suite:compare", Relation: "compare", Column: "d", Axis: daily, Digits: 9}
	want := s.stage(fence, set(append(days, 0, 400)...), "compare", s.query(rows...))
	defer func() { s.must(s.w.Discard(s.ctx, want)) }()
	if got := s.contents(numbers, calendar.All()); !slices.Equal(got, want.Contents) {
		s.Fatalf("%s holds %v, want the rows %v: %v", numbers.Relation, got, rows, want.Contents)
	}
}

func (s *store) markers(target warehouse.Target, set calendar.Set) []warehouse.Marker {
	s.Helper()
	out, err := s.w.Markers(s.ctx, target.Table, set)
	s.must(err)
	return out
}

// prints gives the fingerprints of a query's rows, by staging them.
func (s *store) prints(target warehouse.Target, query string) []warehouse.Content {
	s.Helper()
	stage := s.stage(target, calendar.Range(first, first+400), "prints", query)
	s.must(s.w.Discard(s.ctx, stage))
	return stage.Contents
}
