package backfill

import (
	"testing"

	"github.com/headway-data/headway/internal/ledger"
)

// A plan is an upper bound: partitions that it holds and that the run found fresh must not count before it either, or a metric seems to move
// that did not.
func TestMetricsCompareTheSamePartitions(t *testing.T) {
	before := values{1: {Value: 10, Weight: 1, Passed: true}, 2: {Value: 90, Weight: 1, Passed: true}, 3: {Value: 20, Weight: 3, Passed: true}}
	after := values{1: {Value: 12, Weight: 1, Passed: true}, 3: {Value: 20, Weight: 3, Passed: false}}
	if got := before.pooled(after); got == nil || *got != 17.5 {
		t.Errorf("before: %v, want (10 + 3*20) / 4", got)
	}
	if got := after.pooled(after); got == nil || *got != 18 {
		t.Errorf("after: %v, want (12 + 3*20) / 4", got)
	}
	if got := before.pooled(values{7: ledger.Metric{}}); got != nil {
		t.Errorf("of no partition in common: %v", *got)
	}
	if after.passed() || !before.passed() {
		t.Error("a metric passes where all its partitions do")
	}
}
