package catalog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a project may weigh. A thousand tables are about one megabyte.
const (
	maxFileSize = 4 << 20
	maxFiles    = 2000
	maxDepth    = 64
	maxEntries  = 10_000
)

// A document is one YAML file of a project.
type document struct {
	name  string
	lines []string
}

func (d *document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}

// A node is a value in a document, and what it is: "tables.t.partition".
type node struct {
	doc  *document
	ast  ast.Node
	what string
}

// pos is where a reader would point: a block mapping begins at its first key, not at the colon.
func (n node) pos() Pos {
	at := n.ast
	if m, ok := at.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		at = m.Values[0].Key
	}
	return n.doc.at(at.GetToken())
}

func (d *document) at(t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{File: d.name, Line: 1, Column: 1}
	}
	return Pos{File: d.name, Line: max(t.Position.Line, 1), Column: max(t.Position.Column, 1)}
}

// readText reads a file of bounded size.
func readText(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFileSize {
		return "", fmt.Errorf("is larger than %d MB", maxFileSize>>20)
	}
	return string(text), nil
}

// parse reads one YAML document. ok is false where there is nothing to go on with; the errors are told then.
func (l *loader) parse(name string) (root node, ok bool) {
	doc := &document{name: name}
	l.docs[name] = doc
	text, err := readText(l.fs, name)
	if err != nil {
		next := ""
		if errors.Is(err, fs.ErrNotExist) {
			next = "name the project file or its folder, or make a project with `headway init`"
		}
		l.errs = append(l.errs, Error{Pos: Pos{File: name}, Msg: "cannot be read: " + reason(err), Next: next, Cause: err})
		return node{}, false
	}
	// Line breaks are one character from here on, as YAML says they are.
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\ufeff"))
	doc.lines = strings.Split(text, "\n")
	file, fail := parseYAML(text)
	if fail != nil {
		l.syntax(doc, fail)
		return node{}, false
	}
	var body ast.Node
	for _, d := range file.Docs {
		switch {
		case d.Body == nil:
		case body == nil:
			body = d.Body
		default:
			l.fail(doc.at(d.Start), "a second document begins here", "keep one document a file; other files are read by include")
			return node{}, false
		}
	}
	if body == nil {
		return node{doc: doc}, true
	}
	return node{doc: doc, ast: body, what: "the file"}, true
}

// reason drops from an error what its place says anyway.
func reason(err error) string {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// parseYAML is the library's parser, with its recursion bounded and a panic turned into an error: its input is anybody's.
func parseYAML(text string) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, fmt.Errorf("cannot be read as YAML (%v)", p)
		}
	}()
	tokens := lexer.Tokenize(text)
	if at, msg := tooMuch(tokens); at != nil {
		return nil, &yaml.SyntaxError{Message: msg, Token: at}
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// tooMuch finds the token at which a document is nested deeper, or has a longer list or mapping, than anything that is meant: the parser
// recurses over the one and takes quadratic time over the other. Block values nest by their columns, flow values by their brackets, and
// some things several times on one line.
func tooMuch(tokens token.Tokens) (at *token.Token, msg string) {
	flow, line, onLine := 0, 0, 0
	var open []int           // columns at which lines of the enclosing block values begin
	entries := map[int]int{} // how many lines began at them
	for _, t := range tokens {
		if t.Position == nil || t.Type == token.CommentType {
			continue
		}
		column := t.Position.Column
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
			for len(open) > 0 && open[len(open)-1] > column {
				delete(entries, open[len(open)-1])
				open = open[:len(open)-1]
			}
			if entries[column]++; entries[column] == 1 {
				open = append(open, column)
			}
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType, token.DirectiveType:
			onLine++
		}
		switch {
		case flow > maxDepth, onLine > maxDepth, len(open) > maxDepth:
			return t, fmt.Sprintf("values are nested more than %d deep", maxDepth)
		case entries[column] > maxEntries:
			return t, fmt.Sprintf("more than %d entries stand in one list or mapping", maxEntries)
		}
	}
	return nil, ""
}

// looksLikeTemplate finds {from} and its like, and ${VAR}, which YAML takes for a mapping where they are not quoted.
var looksLikeTemplate = regexp.MustCompile(`\$?\{[A-Za-z_][A-Za-z0-9_]*\}`)

// syntax tells what the YAML parser could not read.
func (l *loader) syntax(doc *document, err error) {
	at, msg := Pos{File: doc.name, Line: 1, Column: 1}, err.Error()
	if bad := yaml.Error(nil); errors.As(err, &bad) {
		msg = bad.GetMessage()
		at = doc.at(bad.GetToken())
	}
	next := ""
	line := doc.line(at.Line)
	switch {
	case strings.Contains(msg, "reserved character"):
		next = "put the value in quotes"
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		next = "indent with blanks, not with tabs"
	default:
		if found := looksLikeTemplate.FindString(line); found != "" {
			next = fmt.Sprintf("put the value with %s in quotes: \"...%s\"", found, found)
		}
	}
	l.fail(at, msg, next)
}
