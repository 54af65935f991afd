package backfill

import (
	"context"
	"fmt"

	"github.com/headway-data/headway/internal/plan"
)

// Plan resolves a request against what was seen. It writes nothing.
func (c *Coordinator) Plan(ctx context.Context, sight *Sight, req plan.Request) (*plan.Plan, error) {
	var p *plan.Plan
	err := sight.View.With(ctx, func(w *plan.World) error {
		var err error
		p, err = plan.Make(w, req)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}
