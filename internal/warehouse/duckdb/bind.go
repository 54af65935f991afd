package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// Bind prepares a query and reads from its plan, before optimisation, which tables it scans.
func (w *Warehouse) Bind(ctx context.Context, query string, shapes ...warehouse.Shape) (*warehouse.Binding, error) {
	var out *warehouse.Binding
	err := w.use(ctx, "bind the query", func(c *conn) error {
		var err error
		if len(shapes) == 0 {
			out, err = c.bind(ctx, query)
			return err
		}
		return c.pretending(ctx, func(p *pretence) error {
			for _, shape := range shapes {
				if err := p.put(ctx, parseRelation(shape.Target.Relation), shape.Columns); err != nil {
					return err
				}
			}
			out, err = c.bind(ctx, p.rewrite(query))
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *conn) bind(ctx context.Context, query string) (*warehouse.Binding, error) {
	out := &warehouse.Binding{}
	inner := "SELECT * FROM (\n" + trim(query) + "\n)"
	var err error
	if out.Columns, err = c.describe(ctx, inner); err != nil {
		return nil, ofQuery(err, 1)
	}
	if _, err := c.exec(ctx, "PRAGMA disable_optimizer"); err != nil {
		return nil, err
	}
	defer c.exec(context.WithoutCancel(ctx), "PRAGMA enable_optimizer") //nolint:errcheck // it cannot fail on a connection that works
	var plan string
	if err := c.rows(ctx, "EXPLAIN (FORMAT json) "+inner, func(r *sql.Rows) error {
		var key string
		return r.Scan(&key, &plan)
	}); err != nil {
		return nil, ofQuery(err, 1)
	}
	sources, err := c.sourceNames(ctx)
	if err != nil {
		return nil, err
	}
	out.Reads, err = reads(plan, sources)
	return out, err
}

// A node is a part of a plan as EXPLAIN (FORMAT json) writes it.
type node struct {
	Children []node                     `json:"children"`
	Extra    map[string]json.RawMessage `json:"extra_info"`
}

// reads lists the tables that a plan scans, schema.table, each once. The copy of a source goes by the source's name.
func reads(plan string, sources map[string]string) ([]string, error) {
	var roots []node
	if err := json.Unmarshal([]byte(plan), &roots); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	var out []string
	var walk func(nodes []node)
	walk = func(nodes []node) {
		for _, n := range nodes {
			var table string
			if raw, ok := n.Extra["Table"]; ok && json.Unmarshal(raw, &table) == nil && table != "" {
				table = withoutCatalog(table)
				if source, ok := sources[table]; ok {
					table = source
				}
				if !slices.Contains(out, table) {
					out = append(out, table)
				}
			}
			walk(n.Children)
		}
	}
	walk(roots)
	slices.Sort(out)
	return out, nil
}

// withoutCatalog is schema.table, without quotes, of a name that a plan writes with its catalog and with quotes where they are needed.
func withoutCatalog(full string) string {
	var parts []string
	quoted, start := false, 0
	for i := range len(full) {
		switch {
		case full[i] == '"':
			quoted = !quoted
		case full[i] == '.' && !quoted:
			parts = append(parts, unquote(full[start:i]))
			start = i + 1
		}
	}
	parts = append(parts, unquote(full[start:]))
	return strings.Join(parts[max(0, len(parts)-2):], ".")
}

// Dates runs a calendar's query.
func (w *Warehouse) Dates(ctx context.Context, query string, axis calendar.Axis) (calendar.Set, error) {
	var ps []calendar.Partition
	err := w.use(ctx, "run the calendar's query", func(c *conn) error {
		return c.answers(ctx, query, axis, func(p calendar.Partition, ok bool, _ []any) error {
			if ok {
				ps = append(ps, p)
			}
			if len(ps) > maxDates {
				return fmt.Errorf("it gives more than %d dates", maxDates)
			}
			return nil
		})
	})
	return calendar.Of(ps...), err
}

// answers runs a query whose first column is a time, and gives each row with the partition of that time; ok is false where it is null.
func (c *conn) answers(ctx context.Context, query string, axis calendar.Axis, fn func(p calendar.Partition, ok bool, row []any) error) error {
	if err := c.zone(ctx, axis); err != nil {
		return err
	}
	var kind string
	var row, places []any
	err := c.rows(ctx, "SELECT * FROM (\n"+trim(query)+"\n)", func(r *sql.Rows) error {
		if row == nil {
			types, err := r.ColumnTypes()
			if err != nil {
				return err
			}
			kind = types[0].DatabaseTypeName()
			row, places = make([]any, len(types)), make([]any, len(types))
			for i := range row {
				places[i] = &row[i]
			}
		}
		if err := r.Scan(places...); err != nil {
			return err
		}
		p, ok, err := partitionOf(axis, kind, row[0])
		if err != nil {
			return err
		}
		return fn(p, ok, row)
	})
	return ofQuery(err, 1)
}

// partitionOf is the partition of a value that the driver gave.
func partitionOf(axis calendar.Axis, kind string, v any) (p calendar.Partition, ok bool, err error) {
	if axis.Grain == calendar.None {
		return 0, true, nil
	}
	switch t := v.(type) {
	case nil:
		return 0, false, nil
	case time.Time:
		if kind == "TIMESTAMPTZ" || axis.Grain == calendar.Hour {
			return axis.At(t), true, nil
		}
		utc := calendar.Axis{Grain: axis.Grain} // the driver puts civil times into UTC
		return utc.At(t.UTC()), true, nil
	case string:
		for _, layout := range []string{time.DateOnly, "2006-01", time.DateTime, "2006-01-02T15:04:05"} {
			if at, parseErr := time.Parse(layout, t); parseErr == nil {
				return partitionOf(axis, "TIMESTAMP", at)
			}
		}
		if at, parseErr := time.Parse(time.RFC3339, t); parseErr == nil {
			return axis.At(at), true, nil
		}
		return 0, false, fmt.Errorf("the first column has %q, which is not a date: cast it to DATE", shorten(t))
	}
	return 0, false, fmt.Errorf("the first column is of type %s, which is not a date: cast it to DATE", kind)
}

// numberOf is a number that the driver gave; ok is false for null.
func numberOf(v any) (f float64, ok bool, err error) {
	switch n := v.(type) {
	case nil:
		return 0, false, nil
	case float64:
		return n, true, nil
	case float32:
		return float64(n), true, nil
	case int64:
		return float64(n), true, nil
	case int32:
		return float64(n), true, nil
	case int16:
		return float64(n), true, nil
	case int8:
		return float64(n), true, nil
	case uint64:
		return float64(n), true, nil
	case uint32:
		return float64(n), true, nil
	case bool:
		if n {
			return 1, true, nil
		}
		return 0, true, nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(n).Float64()
		return f, true, nil
	case duck.Decimal:
		return n.Float64(), true, nil
	}
	return 0, false, errors.New("the value is not a number")
}
