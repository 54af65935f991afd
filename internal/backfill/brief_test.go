package backfill

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/headway-data/headway/internal/warehouse"
)

// A slow warehouse takes its time to open its file, or somebody else has it.
type slow struct {
	warehouse.Warehouse
	locked error
	turns  int
}

func (s *slow) Turn(ctx context.Context) (func(), error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return func() { s.turns-- }, s.locked
	}
	<-ctx.Done()
	if s.locked != nil {
		return nil, s.locked
	}
	return nil, ctx.Err()
}

func (s *slow) Bind(context.Context, string, ...warehouse.Shape) (*warehouse.Binding, error) {
	s.turns++
	return &warehouse.Binding{}, nil
}

// TestBriefTurn: a file that another process has is not waited for; one that takes long to open, on a machine that is busy, is.
func TestBriefTurn(t *testing.T) {
	for _, locked := range []error{nil, &warehouse.LockedError{}} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{locked: locked}
			end, err := briefTurn(t.Context(), s)
			if !errors.Is(err, locked) || s.turns != 0 && locked != nil {
				t.Errorf("got %v, %d turns, want %v", err, s.turns, locked)
			}
			if end(); s.turns != 0 {
				t.Errorf("%d turns are left", s.turns)
			}
		})
	}
}
