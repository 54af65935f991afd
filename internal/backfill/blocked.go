package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/plan"
	"github.com/headway-data/headway/internal/run"
)

// noteBlocked tells the machine of partitions that the plan could not give a step.
func (r *runner) noteBlocked(ctx context.Context) error {
	for _, b := range r.plan.Blocked {
		note := func(set calendar.Set, cause run.Cause, reason string) error {
			if set.Empty() {
				return nil
			}
			return r.note(b.Table, run.Result{Blocked: set, Cause: cause, Reason: reason})
		}
		held := ""
		if !b.Held.Empty() {
			var err error
			if held, err = r.heldWhy(ctx, b); err != nil {
				return err
			}
		}
		behind := behindHold(b)
		if err := errors.Join(
			note(b.Set.Minus(b.Held).Minus(behind), "", blockedReason(b)),
			note(behind, run.CauseConflict, blockedReason(b)),
			note(b.Held, run.CauseConflict, held),
		); err != nil {
			return fmt.Errorf("note what is blocked: %w", err)
		}
	}
	refused, err := r.refused(ctx)
	if err != nil {
		return err
	}
	for _, event := range refused {
		if err := r.note(event.Table, *event.Result); err != nil {
			return fmt.Errorf("note what is refused: %w", err)
		}
	}
	return nil
}

// heldWhy is one line about a hold: on the table itself, or on one that its command cannot but write with it.
func (r *runner) heldWhy(ctx context.Context, b plan.Blocked) (string, error) {
	t := r.Tables[b.Table]
	for _, other := range t.Together {
		holds, err := r.Holds(ctx, other.Name)
		if err != nil {
			return "", err
		}
		for _, h := range holds {
			if set := h.of(other.Key).Intersect(b.Held); other != t && !set.Empty() && t.Write == catalog.Direct {
				why, err := r.HeldWhy(ctx, other.Name, set)
				return fmt.Sprintf("%s is written with %s: %s", b.Table, other.Name, why), err
			}
		}
	}
	return r.HeldWhy(ctx, b.Table, b.Held)
}

// behindHold are the partitions that wait for others which a person's hold keeps from being written: not an input is missing there, somebody
// has said stop. Of those that a plan does not tell one by one the ones that it tells decide.
func behindHold(b plan.Blocked) calendar.Set {
	var behind, told []calendar.Partition
	for _, item := range b.Items {
		if item.Held {
			continue
		}
		told = append(told, item.Partition)
		if slices.Contains(item.Fix.Argv, "unhold") {
			behind = append(behind, item.Partition)
		}
	}
	if len(behind) > 0 && len(behind) == len(told) {
		return b.Set.Minus(b.Held)
	}
	return calendar.Of(behind...)
}

// refused tells of partitions that were asked for and that the plan leaves out because something refuses them: quarantined ones of which
// nothing has changed since, and immutable ones that were named. What the request itself leaves out is nobody's refusal.
func (r *runner) refused(ctx context.Context) ([]run.Event, error) {
	var out []run.Event
	err := r.sight.View.With(ctx, func(w *plan.World) error {
		reprocess := r.plan.Request.Reprocess
		for _, s := range r.plan.Skipped {
			result := run.Result{Reason: fmt.Sprintf("%s %s: %s", s.Table, s.Axis.FormatSet(s.Set, 2), s.Why)}
			switch j := w.Judge(s.Table); {
			case r.Tables[s.Table].Immutable && reprocess&plan.All != 0:
				result.Blocked = s.Set
			case r.Tables[s.Table].Immutable:
				result.Blocked = s.Set.Intersect(j.Marked)
			case reprocess == 0 || reprocess&(plan.Quarantined|plan.All) != 0:
				result.Quarantined = s.Set.Intersect(j.Quarantined.Union(j.Drifted))
			}
			if !result.Blocked.Empty() || !result.Quarantined.Empty() {
				out = append(out, run.Event{Kind: run.Noted, Table: s.Table, Result: &result})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("judge what the plan leaves out: %w", err)
	}
	return out, nil
}

// blockedReason is one line about the first blocked partition: all that it waits for.
func blockedReason(b plan.Blocked) string {
	for _, item := range b.Items {
		if item.Held || len(item.Missing) == 0 {
			continue
		}
		lacks := make([]string, 0, len(item.Missing))
		for _, lack := range item.Missing {
			lacks = append(lacks, lack.Table+" "+lack.Axis.FormatSet(lack.Set, 2))
		}
		return fmt.Sprintf("%s %s waits for %s", b.Table, b.Axis.ID(item.Partition), strings.Join(lacks, "; "))
	}
	return b.Table + " waits for its inputs"
}
