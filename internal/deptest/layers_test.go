package deptest

// A layer says what one package may import. Its files that are not tests obey all of it. A test file may import anything of the standard
// library, the outside modules of testModules, and whatever of Headway the package itself or the packages in tests may import.
type layer struct {
	// core: the standard library without I/O, clock or context (pureStd) and nothing else of it.
	core bool
	// std adds packages of the standard library to a core package's.
	std []string
	// imports lists the packages of Headway, by path below the module.
	imports []string
	// tests adds packages of Headway that the package's tests may import.
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
var testModules = []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine", "github.com/rogpeppe/go-internal"}

// layers names every package of the module and what it may import, innermost first.
var layers = map[string]layer{
	// The pure core.
	"internal/calendar": {core: true, std: []string{"sync", "time/tzdata"}},
	"internal/history":  {core: true, imports: []string{"internal/calendar"}},
	"internal/catalog": {
		core: true, std: []string{"embed", "io/fs"},
		imports: []string{"internal/calendar"},
		modules: []string{"github.com/goccy/go-yaml"},
	},

	// Contracts: what drivers promise.
	"internal/ledger":    {imports: []string{"internal/calendar", "internal/history"}},
	"internal/warehouse": {imports: []string{"internal/calendar", "internal/history"}},

	// These files are nothing but tests.
	"internal/deptest": {},
}
