package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/headway-data/headway/internal/calendar"
)

var (
	seeds = flag.Uint64("seeds", defaultSeeds, "how many histories are tried")
	seed  = flag.Uint64("seed", 0, "the one history to try, with its trace; 0: all")
)

// The tables of the project: plain is made by a query that reads nothing, sums by one that reads the plain partitions of its day and of the
// day before, direct by a command that writes by itself.
const (
	plain    = "plain"
	sums     = "sums"
	direct   = "direct"
	dayCount = 8
)

var (
	days     = calendar.Axis{Grain: calendar.Day}
	firstDay = calendar.Partition(19807) // 2024-03-25
)

const project = `version: 1
project: sim
warehouses:
  main: {type: duckdb, path: sim.duckdb}
defaults: {partition: {column: day, grain: day, start: 2024-03-25}}
tables:
  plain: {batch: {size: 3}, retries: 1}
  sums:
    inputs: [plain: {window: [{days: [-1, 0]}]}]
    batch: {size: 2}
  direct:
    command: [make, "{start}", "{end}"]
    files: [version]
    write: {mode: direct}
    batch: {size: 2}
    retries: 1
`

func TestMain(m *testing.M) {
	flag.Parse()
	_ = os.Unsetenv("PATH") // no process asks git which commit its files are of
	debug.SetGCPercent(800) // histories are many and small
	os.Exit(m.Run())
}

// folders makes the project in two versions of its code.
func folders(t *testing.T) map[string]string {
	t.Helper()
	base := t.TempDir()
	out := map[string]string{}
	for _, version := range []string{"v1", "v2"} {
		dir := filepath.Join(base, version)
		for name, text := range map[string]string{
			"headway.yaml": project, "version": version, ".headway": "no folder: nothing is logged to files\n",
			"sql/plain.sql": "select '" + version + "' as code, {{start}} as day, {{end}} as until",
			"sql/sums.sql":  "select '" + version + "' as code, {{start}} as day, {{end}} as until from {{table \"plain\"}}",
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out[version] = dir
	}
	return out
}

// one lets the history of a seed happen, and gives its world and what was wrong with it.
func one(t *testing.T, seed uint64, dirs map[string]string, traced bool) (w *world, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, dirs, traced)
		err = w.history()
		w.end()
	})
	return w, err
}

func (w *world) told() string { return strings.Join(w.trace, "\n") }

// TestSim lets histories happen until one breaks an invariant.
func TestSim(t *testing.T) {
	dirs := folders(t)
	if *seed != 0 {
		w, err := one(t, *seed, dirs, true)
		t.Logf("the history of seed %d:\n%s", *seed, w.told())
		if err != nil {
			t.Error(err)
		}
		return
	}
	var (
		next, bad atomic.Uint64
		mu        sync.Mutex
		met       = map[string]int{}
	)
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for s := next.Add(1); s <= *seeds && bad.Load() == 0; s = next.Add(1) {
					w, err := one(t, s, dirs, false)
					if err != nil && bad.CompareAndSwap(0, s) {
						replay(t, s, dirs, err)
					}
					mu.Lock()
					for name, n := range w.met {
						met[name] += n
					}
					mu.Unlock()
				}
			})
		}
	})
	if *seeds < dull || t.Failed() {
		return
	}
	for _, name := range mustMeet {
		if met[name] == 0 {
			t.Errorf("in %d histories there was no %q", *seeds, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%8d %s", met[name], name)
	}
}

// replay lets a history that broke something happen again, and tells it.
func replay(t *testing.T, seed uint64, dirs map[string]string, was error) {
	t.Helper()
	w, again := one(t, seed, dirs, true)
	if fmt.Sprint(again) != fmt.Sprint(was) {
		t.Errorf("the history of seed %d does not replay: now it is %v", seed, again)
	}
	t.Errorf("%v\nreplay it with: go test ./internal/sim -run Sim -seed %d\n%s", was, seed, w.told())
}

// dull is how many histories may do without what must be met.
const dull = 1000

// mustMeet is what histories are about: a simulation in which it does not happen shows nothing.
var mustMeet = []string{
	"late publish", "late publish, fenced", "warehouse.Publish, fenced", "warehouse.Raise, fenced", "ledger.Acquire, conflict", "ledger.Intend, lost",
	"ledger.StartAttempt, lost", "ledger.StartAttempt, older", "ledger.StartAttempt, paused", "command, not trusted", "renewal refused",
	"granted with something to settle", "settled by a marker", "preempted",
}

// TestSimReplays: a seed is one history.
func TestSimReplays(t *testing.T) {
	dirs := folders(t)
	for s := uint64(1); s <= 20; s++ {
		first, _ := one(t, s, dirs, true)
		second, _ := one(t, s, dirs, true)
		if a, b := first.told(), second.told(); a != b {
			t.Errorf("seed %d:\n%s\nand then\n%s", s, a, b)
		}
	}
}
