package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headway-data/headway/examples/nba"
)

// TestIncident replays the night with the real program: processes of their own, on one warehouse. The program itself judges the five criteria,
// and ends with an error where one does not hold.
func TestIncident(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "headway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/headway-data/headway/cmd/headway").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "demo", "--part", "incident", "--dir", filepath.Join(dir, "night")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	if n := strings.Count(text, "yes: "); n != 5 {
		t.Errorf("%d criteria hold, want 5", n)
	}
	for _, want := range []string{
		"does not hold (before: 0.500183, after: 0.500183)", // the wrong fix, with both figures
		"is taken by run r-",                            // refused at first
		"was taken over by run r-",                      // then preempted
		"holds what a fix wrote",                        // phase 1, when it was granted what it had queued for
		"no longer holds the fence",                     // the frozen job
		"player_composite_factors 2023-06-12 waits for", // phase 4 before its inputs
		"holds (before: 0.500296, after: 1)",            // what the fix was to bring about
		"the audit log is whole",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the story does not tell %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

// TestCheckouts: the old and the wrong checkout differ from the template as they should, and in nothing else.
func TestCheckouts(t *testing.T) {
	root := t.TempDir()
	if err := makeCheckouts(root, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	template, err := nba.Files.ReadFile("headway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, checks := range map[string]int{checkoutOld: 1, checkoutWrong: 1, checkoutNew: strings.Count(string(template), "\n    checks:\n")} {
		text, err := os.ReadFile(filepath.Join(root, name, "headway.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(string(text), "\ntables:\n")
		if n := strings.Count(after, "\n    checks:\n"); n != checks-map[bool]int{true: strings.Count(before, "\n    checks:\n")}[name == checkoutNew] {
			t.Errorf("%s: %d tables have checks", name, n)
		}
		if n := strings.Count(before, "\n    checks:\n"); n != strings.Count(strings.Split(string(template), "\ntables:\n")[0], "\n    checks:\n") {
			t.Errorf("%s: %d sources have checks", name, n)
		}
	}
	job, err := os.ReadFile(filepath.Join(root, checkoutOld, "jobs", "phase1.sql"))
	if err != nil || strings.Contains(string(job), "{{") {
		t.Errorf("the job still has placeholders: %v\n%s", err, job)
	}
}
