package bench

import (
	"context"
	"fmt"
	"io"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is promised of exec.
const (
	execGoal   = 20 * time.Millisecond // that it takes longer than the command alone
	chunksGoal = 1.5                   // times what xargs takes
)

const (
	execRounds = 200
	chunkCount = 10_000
	chunkOnce  = 2 // at once
)

// chunkEpoch is the first day of the chunks.
var chunkEpoch = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// program builds headway.
func program(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "headway")
	build := osexec.CommandContext(b.Context(), "go", "build", "-o", path, "github.com/headway-data/headway/cmd/headway")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build headway: %v\n%s", err, out)
	}
	return path
}

// tool is where a program is, without which a comparison is left out, by name.
func tool(b *testing.B, name string) string {
	b.Helper()
	path, err := osexec.LookPath(name)
	if err != nil {
		b.Logf("%s is not here: it is left out", name)
	}
	return path
}

// call runs a command to its end and tells the processor time that it and its children took. It must succeed.
func call(ctx context.Context, in io.Reader, args ...string) (cpu time.Duration, err error) {
	var said strings.Builder
	c := osexec.CommandContext(ctx, args[0], args[1:]...)
	c.Stdin, c.Stderr = in, &said
	if err := c.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", args, err, said.String())
	}
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime(), nil
}

// execLine puts headway around `true`.
func execLine(headway, state string, from, to time.Time, more ...string) []string {
	line := []string{headway, "exec", "--quiet", "--state", "sqlite:" + state, "--table", "t", "--from", from.Format(time.DateOnly), "--to", to.Format(time.DateOnly)}
	return append(append(line, more...), "--", "true")
}

// BenchmarkExec puts headway around a command that does nothing, with a state that is there already, beside the command alone and flock(1)
// around it. They take turns.
func BenchmarkExec(b *testing.B) {
	headway, flock, dir := program(b), tool(b, "flock"), b.TempDir()
	with := execLine(headway, filepath.Join(dir, "state.db"), chunkEpoch, chunkEpoch.AddDate(0, 0, 29))
	run := func(args ...string) func() error {
		return func() error {
			_, err := call(b.Context(), nil, args...)
			return err
		}
	}
	if err := run(with...)(); err != nil { // makes the state
		b.Fatal(err)
	}
	for b.Loop() {
		var bare, locked, wrapped durations
		var cpu time.Duration
		for range execRounds {
			bare.time(b, run("true"))
			if flock != "" {
				locked.time(b, run(flock, filepath.Join(dir, "lock"), "true"))
			}
			wrapped.time(b, func() error {
				one, err := call(b.Context(), nil, with...)
				cpu += one
				return err
			})
		}
		bare.report(b, "true")
		if flock != "" {
			locked.report(b, "flock")
		}
		wrapped.report(b, "exec")
		over := wrapped.at(50) - bare.at(50)
		b.ReportMetric(float64(over.Microseconds())/1000, "over-ms")
		b.ReportMetric(float64(cpu.Microseconds())/1000/execRounds, "cpu-ms")
		b.ReportMetric(float64(over)/float64(execGoal), "of-20ms")
	}
}

// BenchmarkChunks runs a command that does nothing for each of 10,000 days, two at once, beside xargs -P2, which remembers nothing.
func BenchmarkChunks(b *testing.B) {
	headway, xargs := program(b), tool(b, "xargs")
	if xargs == "" {
		b.Skip("without xargs there is nothing to compare with")
	}
	var numbers strings.Builder
	for i := range chunkCount {
		fmt.Fprintln(&numbers, i)
	}
	var least, bare, cpu, bareCPU time.Duration
	for b.Loop() {
		dir := b.TempDir() // another each time
		began := b.Elapsed()
		mine, err := call(b.Context(), nil, execLine(headway, filepath.Join(dir, "state.db"), chunkEpoch, chunkEpoch.AddDate(0, 0, chunkCount-1),
			"--chunk", "1", "--max-parallel", fmt.Sprint(chunkOnce))...)
		if err != nil {
			b.Fatal(err)
		}
		between := b.Elapsed()
		its, err := call(b.Context(), strings.NewReader(numbers.String()), xargs, fmt.Sprintf("-P%d", chunkOnce), "-n1", "true")
		if err != nil {
			b.Fatal(err)
		}
		if took := between - began; least == 0 || took < least {
			least, cpu = took, mine
		}
		if took := b.Elapsed() - between; bare == 0 || took < bare {
			bare, bareCPU = took, its
		}
	}
	b.ReportMetric(least.Seconds(), "exec-s")
	b.ReportMetric(bare.Seconds(), "xargs-s")
	b.ReportMetric(cpu.Seconds(), "exec-cpu-s")
	b.ReportMetric(bareCPU.Seconds(), "xargs-cpu-s")
	b.ReportMetric(least.Seconds()/bare.Seconds(), "exec/xargs")
	b.ReportMetric(least.Seconds()/bare.Seconds()/chunksGoal, "of-1.5")
}
