package bootclock

import "testing"

func TestNow(t *testing.T) {
	a := Now()
	if b := Now(); a <= 0 || b < a {
		t.Errorf("the boot clock went from %s to %s", a, b)
	}
}
