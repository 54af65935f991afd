package catalog

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"
)

func TestResolve(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "EMPTY": "", "NEST": "${A}", "file:secret": "pass\nword\r\n"}[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"":                            "",
		"plain $ {} $A":               "plain $ {} $A",
		"${A}":                        "1",
		"a${A}b${A}${EMPTY}c":         "a1b1c",
		"$${A}":                       "${A}",
		"$${A}${A}":                   "${A}1",
		"${NEST}":                     "${A}",
		"postgres://u:${file:secret}": "postgres://u:pass\nword",
	} {
		have, err := Resolve(text, lookup)
		if err != nil || have != want {
			t.Errorf("%q: %q, %v, want %q", text, have, err, want)
		}
	}
	for _, text := range []string{"${", "a${A", "${}", "${1}", "${A B}", "${file:}", "${A-default}"} {
		if have, err := Resolve(text, lookup); err == nil {
			t.Errorf("%q gave %q", text, have)
		}
	}
	_, err := Resolve("x${B}", lookup)
	var unset *UnsetError
	if !errors.As(err, &unset) || unset.Name != "B" || err.Error() != "${B} is not set" {
		t.Errorf("an unset variable: %v", err)
	}
	if _, err = Resolve("${file:gone}", lookup); err == nil || err.Error() != "${file:gone}: the file cannot be read" {
		t.Errorf("a missing file: %v", err)
	}
}

// TestResolveEscapes: any text comes through if its ${ are doubled.
func TestResolveEscapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("${}aA:")), 0, 20, -1).Draw(t, "text")
		if strings.Contains(text, "$${") { // a dollar before a reference cannot be told from an escape
			return
		}
		have, err := Resolve(strings.ReplaceAll(text, "${", "$${"), func(string) (string, bool) { return "", false })
		if err != nil || have != text {
			t.Fatalf("%q: %q, %v", text, have, err)
		}
	})
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30m": 30 * time.Minute, "6h": 6 * time.Hour, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute, "2w": 336 * time.Hour,
		"250ms": 250 * time.Millisecond, "36500d": 36500 * 24 * time.Hour,
	} {
		if have, err := ParseDuration(text); err != nil || have != want {
			t.Errorf("%q: %v, %v", text, have, err)
		}
	}
	for _, text := range []string{"", "1", "h", "1 h", "-1h", "1.5h", "1y", "36501d", "36500d1s", "99999999999999999999h", "1h ", "1ns"} {
		if have, err := ParseDuration(text); err == nil {
			t.Errorf("%q gave %v", text, have)
		}
	}
}

func TestGlob(t *testing.T) {
	fsys := fstest.MapFS{"a.py": {}, "lib/b.py": {}, "lib/x/c.py": {}, "lib/x/d.txt": {}, "other/e.py": {}}
	for pattern, want := range map[string]string{
		"a.py": "a.py", "*.py": "a.py", "lib/*.py": "lib/b.py", "lib/**": "lib/b.py lib/x/c.py lib/x/d.txt", "**/*.py": "a.py lib/b.py lib/x/c.py other/e.py",
		"lib/**/*.py": "lib/b.py lib/x/c.py", "*/x/?.py": "lib/x/c.py", "lib": "", "gone/*": "", "a.py/x": "", "lib/[a-c].py": "lib/b.py", "**/x/**": "lib/x/c.py lib/x/d.txt",
	} {
		have, err := Glob(fsys, pattern)
		if err != nil || strings.Join(have, " ") != want {
			t.Errorf("%s: %v, %v", pattern, have, err)
		}
	}
	for _, pattern := range []string{"", "/a", "../a", "a/../b", "./a", "[", "a/[", "**/**/**/**"} {
		if have, err := Glob(fsys, pattern); err == nil {
			t.Errorf("%q gave %v", pattern, have)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"column", "columns", "grain", "calendar", "x"}
	for name, want := range map[string]string{
		"colum": "column", "Column": "column", "colmuns": "columns", "gran": "grain", "calender": "calendar", "zebra": "", "y": "", "": "", "clmn": "column",
	} {
		if have := Nearest(name, known); have != want {
			t.Errorf("%q: %q, want %q", name, have, want)
		}
	}
}

// TestDistance holds it against the definition.
func TestDistance(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := letters.Draw(t, "a"), letters.Draw(t, "b")
		if have, want := distance(a, b, 100), slowDistance([]rune(a), []rune(b)); have != want {
			t.Fatalf("%q %q: %d, want %d", a, b, have, want)
		}
	})
}

func slowDistance(a, b []rune) int {
	if len(a) == 0 || len(b) == 0 {
		return len(a) + len(b)
	}
	change := 1
	if a[0] == b[0] {
		change = 0
	}
	least := min(slowDistance(a[1:], b)+1, slowDistance(a, b[1:])+1, slowDistance(a[1:], b[1:])+change)
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		least = min(least, slowDistance(a[2:], b[2:])+1)
	}
	return least
}

func TestErrorPrints(t *testing.T) {
	e := Error{Pos: Pos{"headway.yaml", 12, 7}, Line: "      colum: game_date\r", Msg: `unknown key "colum" in tables.x`, Next: `did you mean "column"?`}
	want := "headway.yaml:12:7: unknown key \"colum\" in tables.x: did you mean \"column\"?\n   12 |       colum: game_date\n      |       ^"
	if e.Error() != want {
		t.Errorf("%s", e.Error())
	}
	e = Error{Pos: Pos{"f", 1, 3}, Line: "\té\tx", Msg: "m"}
	if e.Error() != "f:1:3: m\n    1 | \té\tx\n      | \t ^" {
		t.Errorf("%q", e.Error())
	}
	if have := (Error{Pos: Pos{"f", 1, 999}, Line: "x", Msg: "m"}).Error(); have != "f:1:999: m\n    1 | x\n      |  ^" {
		t.Errorf("%q", have)
	}
}

func TestErrorsAreSorted(t *testing.T) {
	at := func(line, column int) Error { return Error{Pos: Pos{"f", line, column}, Msg: "m"} }
	es := Errors{at(2, 1), at(1, 9), at(1, 2), at(1, 9)}.sorted()
	if !slices.Equal([]Pos{es[0].Pos, es[1].Pos, es[2].Pos}, []Pos{{"f", 1, 2}, {"f", 1, 9}, {"f", 2, 1}}) || len(es) != 3 {
		t.Errorf("%v", es)
	}
	if len(es.Unwrap()) != 3 {
		t.Error("unwrapped")
	}
	if Errors(nil).asError() != nil {
		t.Error("no errors are an error")
	}
}

func TestUnsupported(t *testing.T) {
	p := mustLoad(t, files(archive(t, "sample.txtar"), ""))
	p.Warehouses[0].Type = "postgres"
	es := p.Unsupported()
	var places []string
	for _, e := range es {
		places = append(places, e.Pos.String())
		if e.Line == "" || e.Next == "" {
			t.Errorf("%#v", e)
		}
	}
	if want := []string{"headway.yaml:8:3", "headway.yaml:26:40"}; !slices.Equal(places, want) {
		t.Errorf("%v\n%v", places, es)
	}
	if err := mustLoad(t, project(goodFiles["least"])).Unsupported(); err != nil {
		t.Errorf("nothing cannot be run: %v", err)
	}
}
