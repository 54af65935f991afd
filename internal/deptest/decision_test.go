package deptest

import (
	"strings"
	"testing"
)

// TestDependenciesAreDecided wants a line with the reason for every module that is imported from outside.
func TestDependenciesAreDecided(t *testing.T) {
	decided := captures(t, root+"/docs/decisions/0001-dependencies.md", "(?m)^\\| `([^`]+)`")
	for _, src := range sources(t) {
		for _, imported := range src.imports {
			if !outside(imported) || within(imported, []string{module}) {
				continue
			}
			if !within(strings.TrimPrefix(imported, "github.com/"), decided) {
				t.Errorf("%s imports %s: docs/decisions/0001-dependencies.md does not say why it and not its rival", src.name, imported)
			}
		}
	}
}
