//go:build unix

package command

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

// How often a command's report is looked at while it runs, and how much of it at once: progress that is a moment late hurts nobody.
const (
	followEvery = time.Second
	followBytes = 1 << 20
)

// follow tells, while a command runs, how many lines its report has: how far it is by its own account. The function that it gives ends that.
func (j *job) follow() (end func()) {
	tell := j.tasks[0].Progress
	if tell == nil {
		return func() {}
	}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		var from int64
		lines := 0
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if n := linesFrom(j.report, &from); n > 0 {
				lines += n
				tell(lines)
			}
		}
	})
	return func() {
		close(quit)
		done.Wait()
		tell(0) // from here on what became of it counts
	}
}

// linesFrom counts the lines that have come since from, and moves it.
func linesFrom(path string, from *int64) int {
	f, err := os.Open(path) //nolint:gosec // a file that Headway made for the command to write to
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.NewSectionReader(f, *from, followBytes))
	if err != nil {
		return 0
	}
	*from += int64(len(text))
	return bytes.Count(text, []byte{'\n'})
}
