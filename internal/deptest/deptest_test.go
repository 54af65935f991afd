package deptest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/headway-data/headway"
	// maxLines is where a file must be cut in two: the habit is 400, the linter complains at 450.
	maxLines = 500
)

// A source is one Go file, as far as these tests care.
type source struct {
	name    string // from the repository's root, with slashes
	pkg     string // the directory it lies in: its import path below the module
	test    bool
	lines   int
	imports []string
}

// TestImports holds every file against the line of its package in the table.
func TestImports(t *testing.T) {
	unknown := map[string]bool{}
	for _, src := range sources(t) {
		rule, ok := layers[src.pkg]
		if !ok {
			if !unknown[src.pkg] {
				t.Errorf("package %s has no line in internal/deptest/layers_test.go: say there what it may import", src.pkg)
			}
			unknown[src.pkg] = true
			continue
		}
		for _, complaint := range judge(rule, src) {
			t.Errorf("%s: %s", src.name, complaint)
		}
	}
}

// judge says what is wrong with the imports of one file.
func judge(rule layer, src source) []string {
	if rule.any {
		return nil
	}
	var complaints []string
	for _, imported := range src.imports {
		if why := refuse(rule, src, imported); why != "" {
			complaints = append(complaints, "imports "+imported+": "+why)
		}
	}
	return complaints
}

// refuse says why a file may not import a package, or nothing if it may.
func refuse(rule layer, src source, imported string) string {
	inside, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case ours && inside == src.pkg: // an external test of the package itself
		return ""
	case ours && slices.Contains(rule.imports, inside):
		return ""
	case ours && src.test && slices.Contains(rule.tests, inside):
		return ""
	case ours:
		return "the design has no arrow from " + src.pkg + " to it; dependencies point inwards (internal/deptest/layers_test.go)"
	case outside(imported) && within(imported, rule.modules):
		return ""
	case outside(imported) && src.test && (within(imported, testModules) || within(imported, rule.tests)):
		return ""
	case outside(imported):
		return "this dependency does not enter here; see docs/decisions/0001-dependencies.md"
	case !rule.core || src.test || slices.Contains(pureStd, imported) || slices.Contains(rule.std, imported):
		return ""
	default:
		return "the core computes: no I/O, no clock, no context; take values, and let a layer above fetch them"
	}
}

// outside tells a module's package, whose first element has a dot, from one of the standard library.
func outside(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

func within(imported string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") })
}

// TestLayersExist finds lines of the table that nothing answers to, and names in them that are not packages.
func TestLayersExist(t *testing.T) {
	packages := map[string]bool{}
	for _, src := range sources(t) {
		packages[src.pkg] = true
	}
	for name, rule := range layers {
		if !packages[name] {
			t.Errorf("layers_test.go has a line for %s, which does not exist", name)
		}
		for _, imported := range slices.Concat(rule.imports, rule.tests) {
			if !outside(imported) && !packages[imported] {
				t.Errorf("layers_test.go lets %s import %s, which does not exist", name, imported)
			}
		}
	}
}

// TestPackageNames refuses drawers: names that say nothing about what is inside.
func TestPackageNames(t *testing.T) {
	drawers := []string{"util", "utils", "common", "types", "models", "helpers"}
	for _, src := range sources(t) {
		for part := range strings.SplitSeq(src.pkg, "/") {
			if slices.Contains(drawers, part) {
				t.Errorf("%s: a package named %s has no noun of its own; name it after what it holds", src.name, part)
			}
		}
	}
}

// TestFileLengths keeps files readable in one sitting. Tests and conformance suites (packages named …test) are lists of cases: those of one
// kind stay together.
func TestFileLengths(t *testing.T) {
	for _, src := range sources(t) {
		if !src.test && !strings.HasSuffix(src.pkg, "test") && src.lines > maxLines {
			t.Errorf("%s has %d lines; %d is the most, 400 the habit: one noun a file", src.name, src.lines, maxLines)
		}
	}
}

// TestJudge shows that each rule can refuse.
func TestJudge(t *testing.T) {
	core := layer{
		core: true, std: []string{"io/fs"},
		imports: []string{"internal/calendar"}, tests: []string{"internal/plan"}, modules: []string{"github.com/goccy/go-yaml"},
	}
	for _, tt := range []struct {
		imported string
		test     bool
		ok       bool
	}{
		{"strings", false, true},
		{"io/fs", false, true},
		{"os", false, false},
		{"context", false, false},
		{"os", true, true},
		{module + "/internal/calendar", false, true},
		{module + "/internal/calendar/deeper", false, false},
		{module + "/internal/ledger", false, false},
		{module + "/internal/plan", false, false},
		{module + "/internal/plan", true, true},
		{module + "/internal/catalog", true, true},
		{"github.com/goccy/go-yaml", false, true},
		{"github.com/goccy/go-yaml/ast", false, true},
		{"github.com/goccy/go-yamlish", false, false},
		{"pgregory.net/rapid", false, false},
		{"pgregory.net/rapid", true, true},
	} {
		why := refuse(core, source{pkg: "internal/catalog", test: tt.test}, tt.imported)
		if (why == "") != tt.ok {
			t.Errorf("import of %s (test %v): %q, want allowed = %v", tt.imported, tt.test, why, tt.ok)
		}
	}
	if got := judge(layer{any: true}, source{imports: []string{"os", module + "/internal/cli"}}); got != nil {
		t.Errorf("the wiring was refused: %v", got)
	}
}

// sources reads every Go file of the module, for all operating systems: the rules hold there too. It reads the files itself, rather than
// asking the go command, so that go test knows when a result that it kept is out of date.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := read(name)
		found = append(found, src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 2 {
		t.Fatalf("found %d Go files below %s: this test looks in the wrong place", len(found), root)
	}
	return found
}

// skip leaves out what the go command leaves out of ./...: hidden directories, testdata, and modules of their own.
func skip(name, base string) error {
	if name == root {
		return nil
	}
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func read(name string) (source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	short, err := filepath.Rel(root, name)
	if err != nil {
		return source{}, err
	}
	short = filepath.ToSlash(short)
	return source{
		name:    short,
		pkg:     path.Dir(short),
		test:    strings.HasSuffix(short, "_test.go"),
		lines:   strings.Count(string(text), "\n"),
		imports: imports(file),
	}, nil
}

func imports(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}
