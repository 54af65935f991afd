package cli_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/headway-data/headway/internal/cli"
	"github.com/headway-data/headway/internal/executor/shim"
)

// TestMain lets the scripts run headway as a program of its own: the test binary again.
func TestMain(m *testing.M) {
	if shim.Asked(os.Args) {
		os.Exit(shim.Main(os.Args))
	}
	testscript.Main(m, map[string]func(){"headway": headway, "duckhold": duckhold, "ducksql": ducksql})
}

func headway() {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	p := cli.NewProcess(dir, "test", func() int { return 0 })
	p.RunUnder(shim.Self())
	p.WaitForFiles(300 * time.Millisecond)
	os.Exit(cli.Main(context.Background(), p, os.Args[1:]))
}

// duckhold keeps a database file open, says so through a named pipe, and goes on until it is killed: duckhold FILE PIPE.
func duckhold() {
	db, err := sql.Open("duckdb", os.Args[1])
	if err == nil {
		err = db.Ping()
	}
	if err == nil {
		err = os.WriteFile(os.Args[2], []byte("open\n"), 0o600)
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// ducksql runs a statement on a database file and prints the first column of its answer, as a person's script would: ducksql FILE SQL.
func ducksql() {
	db, err := sql.Open("duckdb", os.Args[1])
	if err != nil {
		panic(err)
	}
	defer db.Close()                  //nolint:errcheck // it was committed
	rows, err := db.Query(os.Args[2]) //nolint:sqlclosecheck // the process ends
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // nothing is open that matters
	}
	for rows.Next() {
		var value any
		if err := rows.Scan(&value); err != nil {
			panic(err)
		}
		fmt.Println(value)
	}
	if err := rows.Err(); err != nil {
		panic(err)
	}
}

// TestScripts runs testdata/script/*.txtar: the command line's behaviour, readable.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Condition: func(name string) (bool, error) {
			if name == "mount" {
				return canMount(), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "edit": edit, "remember": remember, "untouched": untouched, "until": until, "readonly": readonly, "writable": writable, "smalldisk": smalldisk,
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

// until runs a command again and again until what it prints matches: until 'paused .* 1/3' headway ps.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND [ARG...]")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	limit := time.Now().Add(time.Minute)
	for {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("in a minute %s never printed %s", strings.Join(args[1:], " "), args[0])
		}
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

// memory is the file in which remember keeps what a project was.
const memory = ".remembered"

// remember takes down how the project in the working folder stands: its status, and every row of its data.
func remember(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: remember")
	}
	ts.Check(os.WriteFile(ts.MkAbs(memory), []byte(standing(ts)), 0o600))
}

// untouched fails if the project does not stand as remember saw it.
func untouched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: untouched")
	}
	was, now := ts.ReadFile(memory), standing(ts)
	if was != now {
		ts.Fatalf("state or data changed:\n--- before\n%s--- now\n%s", was, now)
	}
}

func standing(ts *testscript.TestScript) string {
	ts.Check(ts.Exec("headway", "status", "--no-observe", "-o", "json"))
	out := ts.ReadFile("stdout")
	files, err := filepath.Glob(ts.MkAbs("*.duckdb"))
	ts.Check(err)
	for _, file := range files {
		out += contents(ts, file)
	}
	return out
}

// contents is each table of a database file with its number of rows and a sum over their hashes.
func contents(ts *testscript.TestScript, file string) string {
	db, err := sql.Open("duckdb", file+"?access_mode=read_only")
	ts.Check(err)
	defer db.Close() //nolint:errcheck // it was only read
	var names []string
	rows, err := db.Query("select table_name from information_schema.tables where table_schema = 'main' order by 1")
	ts.Check(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		ts.Check(rows.Scan(&name))
		names = append(names, name)
	}
	ts.Check(rows.Err())
	var b strings.Builder
	for _, name := range names {
		var n int64
		var sum sql.NullString
		ts.Check(db.QueryRow(fmt.Sprintf(`select count(*), sum(hash(t))::varchar from %q t`, name)).Scan(&n, &sum))
		fmt.Fprintf(&b, "%s: %d rows, %s\n", name, n, sum.String)
	}
	return b.String()
}
