package lite

import (
	"context"
	"database/sql"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// contents gives what stands in the partitions of a set, as it was published or observed last.
func (t *txn) contents(tbl int64, set calendar.Set) (map[calendar.Partition]ledger.Content, error) {
	s, err := t.stmt(selectPublications)
	if err != nil {
		return nil, err
	}
	return newest(t.ctx, s.QueryContext, tbl, set)
}

// selectPublications reads the publications that touch an interval, newest first.
const selectPublications = `SELECT contents FROM publication WHERE tbl = ?1 AND start < ?3 AND "end" > ?2 ORDER BY id DESC`

// newest reads publications from the newest on until each partition of the set has been seen.
func newest(ctx context.Context, query func(context.Context, ...any) (*sql.Rows, error), tbl int64, set calendar.Set) (map[calendar.Partition]ledger.Content, error) {
	out := map[calendar.Partition]ledger.Content{}
	b := set.Bounds()
	if b.Empty() {
		return out, nil
	}
	rows, err := query(ctx, tbl, b.Start, b.End)
	if err != nil {
		return nil, err
	}
	err = drain(rows, func(scan func(...any) error) error {
		var blob []byte
		if err := scan(&blob); err != nil {
			return err
		}
		contents, err := decodeContents(blob)
		for _, c := range contents {
			if _, seen := out[c.Partition]; !seen && set.Contains(c.Partition) {
				out[c.Partition] = c
			}
		}
		return err
	})
	return out, err
}

// Contents gives rows and fingerprint of each published or observed partition of the set.
func (l *Ledger) Contents(ctx context.Context, table string, set calendar.Set) ([]ledger.Content, error) {
	tbl, ok, err := l.tableID(ctx, table)
	if err != nil || !ok {
		return nil, err
	}
	found, err := newest(ctx, func(ctx context.Context, args ...any) (*sql.Rows, error) {
		return l.read.QueryContext(ctx, selectPublications, args...)
	}, tbl, set)
	if err != nil {
		return nil, l.explain(err)
	}
	out := make([]ledger.Content, 0, len(found))
	for _, c := range found {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b ledger.Content) int { return int(a.Partition - b.Partition) })
	return out, nil
}

// Metrics gives the latest stored value of each check for the partitions of the set.
func (l *Ledger) Metrics(ctx context.Context, table string, set calendar.Set) ([]ledger.Metric, error) {
	tbl, ok, err := l.tableID(ctx, table)
	b := set.Bounds()
	if err != nil || !ok || b.Empty() {
		return nil, err
	}
	rows, err := l.read.QueryContext(ctx, `SELECT seq, "values" FROM metric WHERE tbl = ? AND start < ? AND "end" > ? ORDER BY id DESC`, tbl, b.End, b.Start)
	if err != nil {
		return nil, l.explain(err)
	}
	type key struct {
		check string
		p     calendar.Partition
	}
	seen := map[key]bool{}
	var out []ledger.Metric
	err = drain(rows, func(scan func(...any) error) error {
		var one ledger.Metric
		var blob []byte
		if err := scan(&one.At, &blob); err != nil {
			return err
		}
		values, err := decodeMetrics(blob)
		for _, m := range values {
			k := key{m.Check, m.Partition}
			if seen[k] || !set.Contains(m.Partition) {
				continue
			}
			seen[k] = true
			m.At = one.At
			out = append(out, m)
		}
		return err
	})
	slices.SortStableFunc(out, func(a, b ledger.Metric) int {
		switch {
		case a.Partition != b.Partition:
			return int(a.Partition - b.Partition)
		case a.Check < b.Check:
			return -1
		case a.Check > b.Check:
			return 1
		}
		return 0
	})
	return out, l.explain(err)
}

// tableID looks a table up for reading.
func (l *Ledger) tableID(ctx context.Context, key string) (id int64, ok bool, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT id FROM tbl WHERE key = ?`, key).Scan(&id)
	if err == sql.ErrNoRows { //nolint:errorlint // Scan gives it as it is
		return 0, false, nil
	}
	return id, err == nil, l.explain(err)
}
