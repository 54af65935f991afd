package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	_ "time/tzdata"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/headway-data/headway/internal/cli"
)

// TestMain lets the scripts run headway as a program of its own: the test binary again.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"headway": func() {
		dir, err := os.Getwd()
		if err != nil {
			panic(err)
		}
		os.Exit(cli.Main(context.Background(), cli.NewProcess(dir, "test", func() int { return 0 }), os.Args[1:]))
	}})
}

// TestScripts runs testdata/script/*.txtar: the command line's behaviour, readable.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "edit": edit,
		},
	})
}

// exits runs a command and wants its exit code: exits 3 headway status --exit-code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit %s, want %s\n%s%s", strings.Join(args[1:], " "), got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// edit replaces text in a file, which must hold it once: edit data/orders.csv old new.
func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%s holds %q %d times, want once", args[0], args[1], n)
	}
	ts.Check(os.WriteFile(name, []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}
