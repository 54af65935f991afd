// Package query is the executor that computes a table by SQL in its warehouse, and the templates in which that SQL is written.
//
// A template is SQL with calls in double braces, which stand for typed literals and quoted relations and for nothing else:
//
//	{{start}} {{end}}                          the chunk's bounds, half-open
//	{{from}} {{to}}                            the first and the last partition of the chunk: both inclusive
//	{{input_start "t"}} {{input_end "t"}}      the bounds, half-open, of what the chunk's windows reach of input t, on t's own axis
//	{{table "t"}}                              the relation of table t, which must be an input
//	{{partitions}}                             a row for each partition of the chunk: a parenthesised query
//	{{staged}}                                 in checks: the rows that are judged
//
// There are no conditions, loops, variables or pipes: SQL has its own, and what a query reads can be said without running it. The
// calls are replaced wherever they stand, in comments and quoted text of the SQL too; a quoted text is the only place where {{ may be
// wanted for itself, and is written {{"{{"}} there. (The syntax is that of text/template, but its parser cannot be used: to it, {{end}}
// closes a block.)
package query

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/headway-data/headway/internal/catalog"
)

// Bounds of a template, so that a wrong file is refused early and what is said of it stays readable.
const (
	maxTemplate = 4 << 20 // bytes
	maxErrors   = 20
)

// A Template is a parsed query. It may be used by many goroutines.
type Template struct {
	name  string
	text  string
	check bool // of a check: may read any table of the project, and {{staged}}
	parts []part
}

// A part is plain SQL, or a call.
type part struct {
	plain string
	call  string // name; "" for plain SQL
	arg   string // its table
	at    int    // byte offset of the name in the text
}

// A call is a name that a template may call, and whether a table follows it.
type call struct {
	name  string
	table bool
}

// calls are the names that a template may call, in the order in which they are listed to people.
var calls = []call{
	{"start", false}, {"end", false}, {"from", false}, {"to", false}, {"input_start", true}, {"input_end", true}, {"table", true},
	{"partitions", false}, {"staged", false},
}

// Parse reads a template. name is where it comes from, for messages: a file's path. Errors are catalog.Errors, in order of place.
func Parse(name, text string) (*Template, error) {
	p := parser{t: &Template{name: name, text: text}}
	p.run()
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return p.t, nil
}

// Tables are the tables that the template names, each once, in order of first mention.
func (t *Template) Tables() []string {
	var out []string
	for _, p := range t.parts {
		if p.arg != "" && !slices.Contains(out, p.arg) {
			out = append(out, p.arg)
		}
	}
	return out
}

// Calls reports whether the template calls name: "staged", "start".
func (t *Template) Calls(name string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.call == name })
}

// A parser walks over a text once. What is wrong is noted, and it goes on behind the closing braces.
type parser struct {
	t    *Template
	errs catalog.Errors
}

// action is a call, or the escape, at the start of a text.
var action = regexp.MustCompile(`^\{\{\s*(?:([A-Za-z_][A-Za-z0-9_]*)(?:\s+("[^"\n\\]*"))?|"\{\{")\s*\}\}`)

func (p *parser) run() {
	text := p.t.text
	if len(text) > maxTemplate {
		p.fail(0, fmt.Sprintf("the query has %d bytes, and no more than %d are read", len(text), maxTemplate), "is this the right file?")
		return
	}
	if at := invalid(text); at >= 0 {
		p.fail(at, "this is not UTF-8 text", "save the file as UTF-8")
		return
	}
	for pos := 0; len(p.errs) < maxErrors; {
		open := strings.Index(text[pos:], "{{")
		if open < 0 {
			p.plain(text[pos:])
			return
		}
		p.plain(text[pos : pos+open])
		pos += open
		m := action.FindStringSubmatchIndex(text[pos:])
		switch {
		case m == nil:
			p.diagnose(pos)
			m = []int{0, closing(text, pos) - pos}
		case m[2] < 0:
			p.plain("{{")
		default:
			arg := ""
			if m[4] >= 0 {
				arg = text[pos+m[4]+1 : pos+m[5]-1]
			}
			p.call(text[pos+m[2]:pos+m[3]], arg, m[4] >= 0, pos+m[2])
		}
		pos += m[1]
	}
}

// invalid is the offset of the first byte that is not UTF-8, or -1.
func invalid(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size <= 1 {
				return i
			}
		}
	}
	return -1
}

// closing is where to go on after an action that makes no sense: behind its closing braces, or its line where it has none there.
func closing(text string, pos int) int {
	line := len(text)
	if n := strings.IndexByte(text[pos:], '\n'); n >= 0 {
		line = pos + n
	}
	if n := strings.Index(text[pos:line], "}}"); n >= 0 {
		return pos + n + 2
	}
	return line
}

// plain adds SQL as it is.
func (p *parser) plain(text string) {
	if text == "" {
		return
	}
	if n := len(p.t.parts); n > 0 && p.t.parts[n-1].call == "" {
		p.t.parts[n-1].plain += text
		return
	}
	p.t.parts = append(p.t.parts, part{plain: text})
}

// call adds a call that is written as one should be.
func (p *parser) call(name, arg string, quoted bool, at int) {
	i := slices.IndexFunc(calls, func(c call) bool { return c.name == name })
	switch {
	case i < 0:
		p.unknown(name, at)
	case calls[i].table && arg == "":
		p.fail(at, fmt.Sprintf("{{%s}} must name a table", name), fmt.Sprintf("write {{%s \"name\"}}", name))
	case !calls[i].table && quoted:
		p.fail(at, fmt.Sprintf("{{%s}} takes no name", name), fmt.Sprintf("write {{%s}}", name))
	default:
		p.t.parts = append(p.t.parts, part{call: name, arg: arg, at: at})
	}
}

// diagnose says what is wrong with braces that are no call.
func (p *parser) diagnose(pos int) {
	text := p.t.text
	end := closing(text, pos)
	body, closed := strings.CutSuffix(text[pos+2:end], "}}")
	inner := strings.TrimLeftFunc(body, unicode.IsSpace)
	at := pos + 2 + len(body) - len(inner)
	word := inner[:len(inner)-len(strings.TrimLeftFunc(inner, isWord))]
	known := slices.ContainsFunc(calls, func(c call) bool { return c.name == word })
	rest := at + len(word)
	switch {
	case !closed:
		p.fail(pos, "{{ is not closed on its line", "write }} behind the call; "+escape)
	case word == "":
		p.fail(at, "{{ is not followed by a call", allowed+"; "+escape)
	case !known:
		p.unknown(word, at)
	default:
		rest += len(inner[len(word):]) - len(strings.TrimLeftFunc(inner[len(word):], unicode.IsSpace))
		p.fail(rest, fmt.Sprintf("only a table's name in double quotes may follow {{%s", word), "there are no pipes, variables or conditions: "+allowed)
	}
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func (p *parser) unknown(name string, at int) {
	names := make([]string, len(calls))
	for i, c := range calls {
		names[i] = c.name
	}
	next := allowed
	if near := catalog.Nearest(name, names); near != "" {
		next = fmt.Sprintf("did you mean {{%s}}? %s", near, allowed)
	}
	p.fail(at, fmt.Sprintf("a query cannot say {{%s}}", name), next)
}

func (p *parser) fail(at int, msg, next string) { p.errs = append(p.errs, p.t.wrong(at, msg, next)) }

const (
	allowed = `a query may say {{start}} {{end}} {{from}} {{to}} {{input_start "t"}} {{input_end "t"}} {{table "t"}} {{partitions}}, ` +
		`and a check {{staged}}`
	escape = `where braces are wanted for themselves, write {{"{{"}}`
)

// wrong is an error at an offset of the text.
func (t *Template) wrong(at int, msg, next string) catalog.Error {
	start := strings.LastIndexByte(t.text[:at], '\n') + 1
	line, _, _ := strings.Cut(t.text[start:], "\n")
	return catalog.Error{
		Pos: catalog.Pos{
			File: t.name, Line: strings.Count(t.text[:at], "\n") + 1, Column: utf8.RuneCountInString(t.text[start:at]) + 1,
		},
		Line: line,
		Msg:  msg,
		Next: next,
	}
}
