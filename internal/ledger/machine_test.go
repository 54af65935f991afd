package ledger

import (
	"testing"
	"time"
)

// TestRenewableWhileTheClockGoesOn: every look at a real clock gives another reading, and a lease is renewable all the same.
func TestRenewableWhileTheClockGoesOn(t *testing.T) {
	now, lives := time.Hour, true
	m := Machine{
		Host: "here", Boot: "boot", Clock: func() time.Duration { now += time.Second; return now }, Alive: func(Holder) bool { return lives },
	}
	h := Holder{Host: "here", Boot: "boot"}
	if !m.Renewable(h) {
		t.Error("a lease of a living process cannot be renewed")
	}
	if !m.Ended(h, now) {
		t.Error("a lease whose deadline has passed is not over")
	}
	if lives = false; m.Renewable(h) {
		t.Error("a lease of a dead process can be renewed")
	}
	lives = true
	for _, other := range []Holder{{Host: "there", Boot: "boot"}, {Host: "here", Boot: "another"}} {
		if m.Renewable(other) {
			t.Errorf("a lease of %v can be renewed by this machine's clock", other)
		}
	}
}
