package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

// rowsEach is how many rows a partition has: more than one, so that a half of it can be told from a whole.
const rowsEach = 2

// A row says who wrote it, which its fingerprint does not tell, and what it says.
type row struct {
	attempt string
	part    int
	value   string
}

// A cell is a partition of a table.
type cell struct {
	table string
	at    calendar.Partition
}

// A store is a warehouse as a model. Each of its methods is one transaction: the scheduler calls one at a time.
type store struct {
	ledger  warehouse.Ledger
	fence   map[cell]history.Token
	rows    map[cell][]row
	markers map[cell]warehouse.Marker
	stages  map[string]map[calendar.Partition][]row // by attempt
}

func newStore() *store {
	return &store{
		fence: map[cell]history.Token{}, rows: map[cell][]row{}, markers: map[cell]warehouse.Marker{}, stages: map[string]map[calendar.Partition][]row{},
	}
}

func (s *store) floors() map[string]history.Token {
	out := map[string]history.Token{}
	for at, token := range s.fence {
		out[at.table] = max(out[at.table], token)
	}
	return out
}

func (s *store) claim(by warehouse.Ledger) (map[string]history.Token, error) {
	if s.ledger.ID == "" {
		s.ledger = by
	}
	if s.ledger != by {
		return nil, &warehouse.ForeignLedgerError{Location: "sim", Ledger: s.ledger.ID}
	}
	return s.floors(), nil
}

func (s *store) raise(fences []warehouse.Fence) error {
	for _, f := range fences {
		bad := &warehouse.FencedError{Table: f.Table, Token: f.Token}
		for p := range f.Set.Partitions() {
			if now := s.fence[cell{f.Table, p}]; now > f.Token {
				bad.Fenced, bad.Highest = bad.Fenced.Union(calendar.Of(p)), max(bad.Highest, now)
			}
		}
		if !bad.Fenced.Empty() {
			return bad
		}
	}
	for _, f := range fences {
		for p := range f.Set.Partitions() {
			s.fence[cell{f.Table, p}] = f.Token
		}
	}
	return nil
}

// value is what a row of a partition says, computed by a version of the code from what stands now.
func (s *store) value(table, version string, p calendar.Partition) string {
	if !strings.HasSuffix(table, ":"+sums) {
		return fmt.Sprintf("%s %s %d", table[strings.LastIndexByte(table, ':')+1:], version, p)
	}
	base := strings.TrimSuffix(table, sums) + plain
	return fmt.Sprintf("%s %s %d of (%s) and (%s)", sums, version, p, content(s.rows[cell{base, p - 1}]), content(s.rows[cell{base, p}]))
}

// content is what rows say, whoever wrote them: their fingerprint.
func content(rows []row) string {
	values := make([]string, 0, len(rows))
	for _, r := range rows {
		values = append(values, r.value)
	}
	slices.Sort(values)
	return strings.Join(slices.Compact(values), ", ")
}

func whole(attempt, value string) []row {
	out := make([]row, rowsEach)
	for i := range out {
		out[i] = row{attempt, i, value}
	}
	return out
}

func (s *store) stage(req warehouse.StageRequest) (*warehouse.Stage, error) {
	version, _, _ := strings.Cut(strings.TrimPrefix(req.Query, "select '"), "'")
	out := &warehouse.Stage{Relation: req.Attempt, Attempt: req.Attempt, Set: req.Set}
	rows := map[calendar.Partition][]row{}
	for p := range req.Set.Partitions() {
		rows[p] = whole(req.Attempt, s.value(req.Target.Table, version, p))
		out.Contents = append(out.Contents, of(p, rows[p]))
	}
	s.stages[req.Attempt] = rows
	return out, nil
}

func of(p calendar.Partition, rows []row) warehouse.Content {
	return warehouse.Content{Partition: p, Rows: int64(len(rows)), Fingerprint: content(rows)}
}

// publish is rule 1 in so many words: the fence of every partition is the token, or nothing happens.
func (s *store) publish(p warehouse.Publication) (*warehouse.Published, error) {
	staged, ok := s.stages[p.Attempt]
	if !ok {
		return nil, errors.New("the stage is not there")
	}
	return s.replace(p, staged)
}

func (s *store) replace(p warehouse.Publication, staged map[calendar.Partition][]row) (*warehouse.Published, error) {
	key := p.Target.Table
	bad := &warehouse.FencedError{Table: key, Token: p.Token}
	for at := range p.Set.Partitions() {
		if now := s.fence[cell{key, at}]; now != p.Token {
			bad.Fenced, bad.Highest = bad.Fenced.Union(calendar.Of(at)), max(bad.Highest, now)
		}
	}
	if !bad.Fenced.Empty() {
		return nil, bad
	}
	out := &warehouse.Published{}
	for at := range p.Set.Partitions() {
		c := cell{key, at}
		marker := warehouse.Marker{
			Table: key, Partition: at, Attempt: p.Attempt, Token: p.Token, Version: p.Version, Rows: int64(len(staged[at])),
			Fingerprint: content(staged[at]), At: p.At,
		}
		if old := s.rows[c]; len(old) > 0 {
			out.Replaced = append(out.Replaced, of(at, old))
			marker.Replaced = content(old)
		}
		s.rows[c], s.markers[c] = staged[at], marker
		out.Inserted = append(out.Inserted, of(at, staged[at]))
	}
	return out, nil
}

func (s *store) sweep(keep map[string]bool) {
	for attempt := range s.stages {
		if !keep[attempt] {
			delete(s.stages, attempt)
		}
	}
}

func (s *store) marked(table string, set calendar.Set) []warehouse.Marker {
	var out []warehouse.Marker
	for p := range s.present(table, set) {
		if m, ok := s.markers[cell{table, p}]; ok {
			out = append(out, m)
		}
	}
	return out
}

func (s *store) contents(table string, set calendar.Set) []warehouse.Content {
	var out []warehouse.Content
	for p := range s.present(table, set) {
		if rows := s.rows[cell{table, p}]; len(rows) > 0 {
			out = append(out, of(p, rows))
		}
	}
	return out
}

// present goes through the partitions of a set that have rows; the set may be open.
func (s *store) present(table string, set calendar.Set) func(yield func(calendar.Partition) bool) {
	var all []calendar.Partition
	for c := range s.rows {
		if c.table == table && set.Contains(c.at) {
			all = append(all, c.at)
		}
	}
	slices.Sort(all)
	return slices.Values(all)
}

// A door is the store as one process has it open.
type door struct {
	warehouse.Warehouse // whatever is missing below nobody calls
	*process
}

func (d *door) Location() string                                     { return "sim" }
func (d *door) Close() error                                         { return nil }
func (d *door) Leave(context.Context) error                          { return nil }
func (d *door) Relation(name string) string                          { return name }
func (d *door) Literal(_ calendar.Axis, p calendar.Partition) string { return fmt.Sprint(p) }
func (d *door) Prepare(context.Context, warehouse.Shape) error       { return nil }
func (d *door) Turn(context.Context) (func(), error)                 { return func() {}, nil }
func (d *door) Bind(context.Context, string, ...warehouse.Shape) (*warehouse.Binding, error) {
	return &warehouse.Binding{}, nil
}

func (d *door) Coordination(ctx context.Context) (warehouse.Coordination, error) {
	return ask(ctx, d.process, "warehouse.Coordination", false, func() (warehouse.Coordination, error) {
		return warehouse.Coordination{Ledger: d.world.store.ledger, Floors: d.world.store.floors()}, nil
	})
}

func (d *door) Claim(ctx context.Context, by warehouse.Ledger) (map[string]history.Token, error) {
	return ask(ctx, d.process, "warehouse.Claim", true, func() (map[string]history.Token, error) { return d.world.store.claim(by) })
}

func (d *door) Raise(ctx context.Context, fences ...warehouse.Fence) error {
	return tell(ctx, d.process, "warehouse.Raise", func() error {
		err := d.world.store.raise(fences)
		if err == nil {
			d.world.raised(fences)
		}
		return err
	})
}

func (d *door) Stage(ctx context.Context, req warehouse.StageRequest) (*warehouse.Stage, error) {
	return ask(ctx, d.process, "warehouse.Stage", true, func() (*warehouse.Stage, error) { return d.world.store.stage(req) })
}

func (d *door) Publish(ctx context.Context, p warehouse.Publication) (*warehouse.Published, error) {
	return ask(ctx, d.process, "warehouse.Publish", true, func() (*warehouse.Published, error) {
		staged, ok := d.world.store.stages[p.Attempt]
		if d.granted.detached && ok { // the store has it and goes on with it, whatever becomes of who asked
			d.world.late = append(d.world.late, func() error {
				_, err := d.world.store.replace(p, staged)
				return err
			})
			return nil, fmt.Errorf("the connection was lost: %w", warehouse.ErrUnknown)
		}
		return d.world.store.publish(p)
	})
}

func (d *door) Discard(ctx context.Context, stage *warehouse.Stage) error {
	return tell(ctx, d.process, "warehouse.Discard", func() error { delete(d.world.store.stages, stage.Attempt); return nil })
}

func (d *door) Sweep(ctx context.Context, keep map[string]bool) error {
	return tell(ctx, d.process, "warehouse.Sweep", func() error { d.world.store.sweep(keep); return nil })
}

func (d *door) Markers(ctx context.Context, table string, set calendar.Set) ([]warehouse.Marker, error) {
	return ask(ctx, d.process, "warehouse.Markers", false, func() ([]warehouse.Marker, error) { return d.world.store.marked(table, set), nil })
}

func (d *door) Contents(ctx context.Context, target warehouse.Target, set calendar.Set) ([]warehouse.Content, error) {
	return ask(ctx, d.process, "warehouse.Contents", false, func() ([]warehouse.Content, error) {
		return d.world.store.contents(target.Table, set), nil
	})
}
