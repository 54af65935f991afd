package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/bootclock"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor/command"
	"github.com/headway-data/headway/internal/executor/foreign"
	"github.com/headway-data/headway/internal/executor/shim"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/ledger/sqlite"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/warehouse/duckdb"
	"github.com/headway-data/headway/internal/warehouse/unseen"
)

// NewProcess is the process as main knows it: this is where the clock, randomness, variables and drivers come in. Tables made by commands are
// refused until RunUnder is called.
func NewProcess(dir, version string, signal func() int) *Process {
	log := Logger(os.Stderr)
	return &Process{
		Environment: backfill.Environment{
			Now:     time.Now,
			Boot:    bootclock.Now,
			NewID:   detachedIDs(newID),
			Lookup:  lookup,
			Random:  mathrand.Float64,
			Holder:  sqlite.ThisProcess(),
			Alive:   sqlite.Alive,
			FindJob: findJob,
			EndJob: func(ctx context.Context, h ledger.Holder, grace time.Duration) error {
				return foreign.End(ctx, h.PID, func() bool { return sqlite.Alive(h) }, grace)
			},
			Working:       working,
			EndWork:       func(a ledger.AttemptID) []int { return shim.KillMarked(string(a), endWorkWithin) },
			Log:           log,
			OpenLedger:    openLedger,
			OpenWarehouse: warehouseOpener(patience, log),
		},
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Dir:      dir,
		Version:  version,
		Config:   configFiles(),
		StateDir: userStateDir(),
		Terminal: terminalOf,
		Signal:   signal,
	}
}

// RunUnder says how this program is started again, under which commands run then: see shim.Self. It is for programs that are a shim, if asked.
func (p *Process) RunUnder(self []string) { p.Self, p.Shims = self, command.NewShims(self) }

// endWorkWithin is how long killed processes may take to end. Only those that the kernel holds take any time.
const endWorkWithin = 10 * time.Second

// working reports whether a command of an attempt may still run. Where a process's environment cannot be seen, it may while the holder has
// started anything.
func working(h ledger.Holder, a ledger.AttemptID) bool {
	if shim.SeesMarks {
		return len(shim.Marked(string(a))) > 0
	}
	return sqlite.Alive(h) && shim.Under(h.PID)
}

// findJob looks at a process that already runs.
func findJob(pid int) (backfill.Job, error) {
	p, err := foreign.Find(pid)
	if err != nil {
		return backfill.Job{}, err //nolint:wrapcheck // it names the process
	}
	return backfill.Job{Holder: sqlite.ProcessHolder(p.PID, p.User), Command: p.Command}, nil
}

// newID is a random id of 50 bits behind a prefix: short enough to type, long enough never to meet another of its store.
func newID(prefix string) string {
	const letters = 10
	return prefix + "-" + strings.ToLower(rand.Text()[:letters])
}

func openLedger(ctx context.Context, url, dir string, readOnly bool) (ledger.Ledger, error) {
	kind, path, ok := strings.Cut(url, ":")
	if !ok || kind != "sqlite" {
		return nil, &backfill.InputError{
			What: fmt.Sprintf("state %q is of a kind that this version cannot open", backfill.ShownURL(url)), Next: "write sqlite:PATH",
		}
	}
	path = strings.TrimPrefix(path, "//")
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	l, err := sqlite.Open(ctx, path, sqlite.Options{ReadOnly: readOnly})
	if err != nil {
		return nil, err // and no ledger that is none
	}
	return l, nil
}

// patience is how long a command waits for a database file that another process has open which takes no turns.
const patience = 30 * time.Second

// WaitForFiles sets how long commands wait for a database file that another process has open which takes no turns.
func (p *Process) WaitForFiles(d time.Duration) { p.OpenWarehouse = warehouseOpener(d, p.Log) }

func warehouseOpener(wait time.Duration, log *slog.Logger) func(context.Context, *catalog.Warehouse, string, bool) (warehouse.Warehouse, error) {
	return func(ctx context.Context, w *catalog.Warehouse, dir string, readOnly bool) (warehouse.Warehouse, error) {
		return openWarehouse(ctx, w, dir, duckdb.Options{OpenWait: wait, Log: log, ReadOnly: readOnly})
	}
}

func openWarehouse(ctx context.Context, w *catalog.Warehouse, dir string, opts duckdb.Options) (warehouse.Warehouse, error) {
	switch w.Type {
	case backfill.UnseenWarehouse:
		return unseen.Warehouse{}, nil
	case "duckdb":
	default:
		return nil, &backfill.InputError{What: fmt.Sprintf("%s: warehouses of type %s cannot be opened by this version", w.Pos, w.Type), Next: "use duckdb"}
	}
	path, err := catalog.Resolve(w.Path, lookup)
	if err != nil {
		return nil, &backfill.InputError{What: fmt.Sprintf("%s: the path of warehouse %s: %v", w.Pos, w.Name, err), Next: "set the variable"}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	opts.Threads = engineThreads(runtime.NumCPU(), w.MaxParallel)
	return duckdb.Open(ctx, path, opts)
}

// engineThreads is how many threads an engine gets that atOnce statements use at the same time. Each statement brings the thread that asks
// for it, which spins while others work on the last of its tasks: with more threads than cores in all, those that spin take the cores from
// those that work (a third of the processor time of the reference pipeline on two cores).
func engineThreads(cores, atOnce int) int {
	if atOnce <= 0 {
		atOnce = backfill.DefaultAtOnce
	}
	return max(1, cores-atOnce+1)
}

// maxSecret bounds a file that ${file:…} names.
const maxSecret = 64 << 10

// lookup resolves ${NAME} from the environment and ${file:path} from a file, without its last line end.
func lookup(name string) (string, bool) {
	path, ok := strings.CutPrefix(name, "file:")
	if !ok {
		return os.LookupEnv(name)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxSecret {
		return "", false
	}
	text, err := os.ReadFile(path) //nolint:gosec // a path that the project names
	return strings.TrimRight(string(text), "\r\n"), err == nil
}
