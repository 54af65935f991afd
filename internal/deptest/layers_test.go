package deptest

// A layer says what one package may import. Its files that are not tests obey all of it. A test file may import anything of the standard
// library, whatever the package itself may, the outside modules of testModules, and what tests adds.
type layer struct {
	// core: the standard library without I/O, clock or context (pureStd) and nothing else of it.
	core bool
	// std adds packages of the standard library to a core package's.
	std []string
	// imports lists the packages of Headway, by path below the module.
	imports []string
	// tests adds packages of Headway, and outside modules, that the package's tests may import.
	tests []string
	// modules lists what may be imported from outside: each dependency enters at few doors, so that it can be replaced there.
	modules []string
	// any lets a package import everything: only what wires, and nothing imports that.
	any bool
}

// pureStd is the part of the standard library that computes: it reads nothing from outside the process and waits for nothing. Of time it
// offers zones, durations and instants that somebody else has read; forbidigo sees to it that nobody asks it for the present.
var pureStd = []string{
	"bytes", "cmp", "container/heap", "container/list", "crypto/sha256", "encoding", "encoding/base64", "encoding/binary", "encoding/hex",
	"encoding/json", "errors", "fmt", "hash", "hash/fnv", "io", "iter", "maps", "math", "math/big", "math/bits", "path", "reflect", "regexp",
	"slices", "sort", "strconv", "strings", "text/template/parse", "time", "unicode", "unicode/utf8", "unique",
}

// testModules may be imported by every test.
var testModules = []string{"pgregory.net/rapid", "github.com/rogpeppe/go-internal"}

// drivers may be imported by the tests of what stands above the contracts.
var drivers = []string{"internal/ledger/mem", "internal/ledger/sqlite", "internal/warehouse/duckdb", "internal/dispatch/local"}

// layers names every package of the module and what it may import, innermost first.
var layers = map[string]layer{
	// The pure core.
	"internal/calendar": {core: true, std: []string{"sync", "time/tzdata"}},
	"internal/history":  {core: true, imports: []string{"internal/calendar"}},
	"internal/catalog": {
		core: true, std: []string{"embed", "io/fs"},
		imports: []string{"internal/calendar"},
		modules: []string{"github.com/goccy/go-yaml"},
		tests:   []string{"github.com/santhosh-tekuri/jsonschema"},
	},
	"internal/plan": {core: true, imports: []string{"internal/calendar", "internal/history", "internal/catalog"}},
	"internal/run":  {core: true, imports: []string{"internal/calendar"}},

	// The clock that leases go by.
	"internal/bootclock": {modules: []string{"golang.org/x/sys"}},

	// Contracts: what drivers promise. Each has its drivers and its suite below it; a driver knows its contract, never a sibling.
	"internal/ledger":    {imports: []string{"internal/calendar", "internal/history"}},
	"internal/warehouse": {imports: []string{"internal/calendar", "internal/history"}},
	"internal/executor":  {imports: []string{"internal/calendar", "internal/history", "internal/catalog", "internal/warehouse"}},

	// A suite holds each driver against the model in memory, where there is one.
	"internal/ledger/ledgertest": {
		imports: []string{"internal/calendar", "internal/history", "internal/ledger", "internal/ledger/mem"},
		modules: append([]string{"github.com/anishathalye/porcupine"}, testModules...),
	},
	"internal/warehouse/warehousetest": {
		imports: []string{"internal/calendar", "internal/history", "internal/warehouse"},
		modules: testModules,
	},

	"internal/ledger/mem": {
		imports: []string{"internal/calendar", "internal/history", "internal/ledger"},
		tests:   []string{"internal/ledger/ledgertest"},
	},
	"internal/ledger/sqlite": {
		imports: []string{"internal/bootclock", "internal/calendar", "internal/history", "internal/ledger"},
		tests:   []string{"internal/ledger/ledgertest", "internal/ledger/mem"},
		modules: []string{"modernc.org/sqlite", "github.com/pressly/goose", "golang.org/x/sys"},
	},
	"internal/warehouse/duckdb": {
		imports: []string{"internal/calendar", "internal/history", "internal/warehouse"},
		tests:   []string{"internal/warehouse/warehousetest"},
		modules: []string{"github.com/duckdb/duckdb-go", "golang.org/x/sync", "golang.org/x/sys"},
	},

	// The tables that nobody sees have no driver behind them.
	"internal/warehouse/unseen": {imports: []string{"internal/calendar", "internal/history", "internal/warehouse"}},

	"internal/executor/command": {
		imports: []string{
			"internal/calendar", "internal/history", "internal/catalog", "internal/warehouse", "internal/executor", "internal/executor/shim",
		},
		tests: []string{"internal/bootclock", "golang.org/x/sys"},
	},
	// What stands between Headway and a command. It runs as a process of its own, so it knows nothing of tables.
	"internal/executor/shim": {imports: []string{"internal/bootclock"}, modules: []string{"golang.org/x/sys"}},
	// Processes that Headway did not start.
	"internal/executor/foreign": {modules: []string{"golang.org/x/sys"}},
	"internal/executor/query": {
		imports: []string{"internal/calendar", "internal/history", "internal/catalog", "internal/warehouse", "internal/executor"},
	},

	// Who runs the next attempt: it knows the run's state machine and what a task is, not what a table is.
	"internal/dispatch": {imports: []string{"internal/run"}, modules: []string{"github.com/cenkalti/backoff"}},
	"internal/dispatch/local": {
		imports: []string{"internal/run", "internal/dispatch"},
		tests:   []string{"internal/calendar"},
	},

	// The use cases: they see contracts, and get ledgers and warehouses handed in. What a table declares chooses its executor and how
	// its query or command is rendered, so they know both executors.
	"internal/worker": {
		imports: []string{
			"internal/calendar", "internal/history", "internal/catalog", "internal/plan", "internal/run",
			"internal/ledger", "internal/warehouse", "internal/executor", "internal/executor/command", "internal/executor/query",
			"internal/dispatch",
		},
		tests: drivers,
	},
	"internal/backfill": {
		imports: []string{
			"internal/calendar", "internal/history", "internal/catalog", "internal/plan", "internal/run",
			"internal/ledger", "internal/warehouse", "internal/executor", "internal/executor/command", "internal/executor/query",
			"internal/dispatch", "internal/dispatch/local", "internal/worker",
		},
		tests:   append([]string{"internal/bootclock", "internal/executor/shim", "internal/league", "examples/nba", "github.com/duckdb/duckdb-go", "golang.org/x/sys"}, drivers...),
		modules: []string{"golang.org/x/sync"},
	},

	// The generated league: data for the demonstration and for tests.
	"internal/league": {imports: []string{"internal/calendar"}},

	// The command line and its wiring: the only place where drivers are chosen. Nothing imports it but main.
	"internal/cli": {any: true},
	"cmd/headway":  {imports: []string{"internal/cli", "internal/executor/shim"}},

	// Projects that the binary carries: files, and the code that embeds them.
	"examples/minimal": {},
	"examples/nba": {
		tests: []string{"internal/league", "github.com/duckdb/duckdb-go", "github.com/goccy/go-yaml"}, // they run the SQL
	},

	// The benchmarks drive everything, and the peers they are measured against.
	"bench": {any: true},

	// These packages are nothing but tests.
	"internal/deptest": {},
	"internal/sim": {tests: []string{
		"internal/calendar", "internal/history", "internal/catalog", "internal/plan", "internal/ledger", "internal/ledger/mem", "internal/warehouse",
		"internal/executor", "internal/executor/command", "internal/backfill",
	}},
}
