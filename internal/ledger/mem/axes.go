package mem

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
)

// Axes gives the axis of every table.
func (l *Ledger) Axes(ctx context.Context) (map[string]calendar.Axis, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := make(map[string]calendar.Axis, len(l.tables))
	for key, t := range l.tables {
		out[key] = t.axis
	}
	return out, nil
}
