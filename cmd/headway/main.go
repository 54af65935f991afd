// Headway coordinates backfills of date-partitioned tables.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	_ "time/tzdata" // zones on machines that have no zone files

	"github.com/headway-data/headway/internal/cli"
	"github.com/headway-data/headway/internal/executor/shim"
)

// version is set by the build.
var version = "dev"

func main() {
	// The process that supervises a command is this program, too. It is that and nothing else.
	if shim.Asked(os.Args) {
		os.Exit(shim.Main(os.Args))
	}
	os.Exit(run())
}

func run() int {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "headway: the working folder cannot be found: %v\n", err)
		return 1
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	var got atomic.Int64
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		// The first signal stops cleanly; the second ends the process at once, as an impatient person wants it.
		s := <-signals
		number, _ := s.(syscall.Signal)
		got.Store(int64(number))
		stop(cli.StoppedBy(number))
		<-signals
		os.Exit(128 + int(number))
	}()
	process := cli.NewProcess(dir, version, func() int { return int(got.Load()) })
	process.RunUnder(shim.Self())
	return cli.Main(ctx, process, os.Args[1:])
}
