package worker

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
	"github.com/headway-data/headway/internal/warehouse"
)

// TestFoundAsRecorded: a commit that a later run finds by its markers is told as the attempt itself would have told it (rules 2, 12).
func TestFoundAsRecorded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 6
		var set calendar.Set
		var replaced, inserted []warehouse.Content
		var known []ledger.Content
		var markers []warehouse.Marker
		rows := rapid.SampledFrom([]string{"", "a", "b"})
		for p := range calendar.Partition(most) {
			before, after, knew := rows.Draw(t, "before"), rows.Draw(t, "after"), rows.Draw(t, "known")
			if rapid.Bool().Draw(t, "is known") {
				known = append(known, ledger.Content{Partition: p, Rows: int64(len(knew)), Fingerprint: knew})
			}
			if !rapid.Bool().Draw(t, "published") {
				markers = append(markers, warehouse.Marker{Partition: p, Attempt: "another", Fingerprint: before, Replaced: before})
				continue
			}
			set = set.Union(calendar.Of(p))
			if before != "" {
				replaced = append(replaced, warehouse.Content{Partition: p, Rows: 1, Fingerprint: before})
			}
			if after != "" {
				inserted = append(inserted, warehouse.Content{Partition: p, Rows: 1, Fingerprint: after})
			}
			markers = append(markers, warehouse.Marker{Partition: p, Attempt: "mine", Fingerprint: after, Replaced: before})
		}
		found := CommitOf("mine", markers, known)
		if !found.Published.Equal(set) {
			t.Errorf("found %v, published %v", found.Published, set)
		}
		if told := unchanged(set, replaced, inserted, known); !found.Unchanged.Equal(told) {
			t.Errorf("found unchanged %v, told unchanged %v", found.Unchanged, told)
		}
	})
}

// TestAddKeepsTheAccount: what became of two parts of a chunk adds up to what became of the chunk, and a failure is not excused by the
// hold of a neighbour.
func TestAddKeepsTheAccount(t *testing.T) {
	held := run.Result{Blocked: calendar.Of(1), Cause: run.CauseConflict, Reason: "held"}
	failed := run.Result{Failed: calendar.Of(2), Reason: "broken"}
	for name, out := range map[string]run.Result{"held first": add(held, failed), "failed first": add(failed, held)} {
		if out.Cause == run.CauseConflict || !out.Failed.Equal(calendar.Of(2)) || !out.Blocked.Equal(calendar.Of(1)) || out.Reason == "" {
			t.Errorf("%s: %+v", name, out)
		}
	}
	both := add(held, run.Result{Failed: calendar.Of(2), Cause: run.CauseConflict})
	if both.Cause != run.CauseConflict {
		t.Errorf("two conflicts: %+v", both)
	}
}
