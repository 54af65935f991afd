package sqlite

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
)

// Axes gives the axis of every table.
func (l *Ledger) Axes(ctx context.Context) (map[string]calendar.Axis, error) {
	out := map[string]calendar.Axis{}
	err := l.read(ctx, func(s *session) error {
		return s.query(func(r row) error {
			out[r.text(0)] = calendar.Axis{Grain: calendar.Grain(r.int(1)), Zone: r.text(2)} //nolint:gosec // as written
			return nil
		}, `SELECT key, grain, zone FROM tables`)
	})
	return out, err
}
