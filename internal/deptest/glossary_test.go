package deptest

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestStatesInGlossary keeps the precedence of the states that people read in step with the one that the planner applies.
func TestStatesInGlossary(t *testing.T) {
	told := captures(t, root+"/docs/glossary.md", "(?m)^\\| \\d+ \\| `([a-z_]+)` \\|")
	applied := captures(t, root+"/internal/plan/state.go", `(?m)^\tState[A-Za-z]+ +State = "([a-z_]+)"`)
	if !slices.Equal(told, applied) {
		t.Errorf("docs/glossary.md orders the states\n  %v\nand internal/plan/state.go\n  %v", told, applied)
	}
}

// captures gives the first group of each match in a file, in order.
func captures(t *testing.T, name, pattern string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		found = append(found, match[1])
	}
	if len(found) == 0 {
		t.Fatalf("nothing in %s matches %s", name, pattern)
	}
	return found
}
