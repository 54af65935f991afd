package cli

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestProgressTellsByTheClock: a line comes every ten seconds also while nothing ends, and none after the run.
func TestProgressTellsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		process := &Process{Stderr: &out, Terminal: func(io.Writer) bool { return false }}
		process.Now = time.Now
		p := (&invocation{Process: process, flags: &commands{}}).newProgress(nil)
		p.began, p.total = p.inv.Now(), 120
		p.tables["weekly_average"] = 1
		p.tell()
		time.Sleep(25 * time.Second)
		p.mu.Lock()
		p.ended = 60
		p.mu.Unlock()
		time.Sleep(10 * time.Second)
		p.stop()
		time.Sleep(time.Minute)
		want := "0 of 120 partitions after 10s; at weekly_average\n" +
			"0 of 120 partitions after 20s; at weekly_average\n" +
			"60 of 120 partitions after 30s, 2/s, about 30s left; at weekly_average\n"
		if got := out.String(); got != want {
			t.Errorf("told:\n%swant:\n%s", got, want)
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
