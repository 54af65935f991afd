package catalog

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A sqlKind is a kind of token of SQL.
type sqlKind uint8

const (
	sqlWord   sqlKind = iota // keywords and plain identifiers
	sqlQuoted                // "x" and `x`
	sqlString                // 'x', e'x', $$x$$
	sqlNumber
	sqlSymbol // operators and punctuation
)

// A sqlToken is a token as it was written.
type sqlToken struct {
	kind sqlKind
	text string
}

// NormalizeSQL gives a query's tokens with one blank between them: two queries that differ in comments and white space alone give the
// same text. String literals, quoted names and the case of words stay as they are. It reads SQL as PostgreSQL and DuckDB do: block
// comments nest, dollar quotes and e'…' are strings, an operator ends in + or - only if it holds one of ~!@#%^&|?. What is not closed
// is kept to the end of the text.
func NormalizeSQL(text string) string {
	var b strings.Builder
	for i, t := range sqlTokens(text) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// sqlTokens cuts a query into tokens and drops comments and white space.
func sqlTokens(text string) []sqlToken {
	var out []sqlToken
	for rest := text; rest != ""; {
		if skip := sqlBlank(rest); skip > 0 {
			rest = rest[skip:]
			continue
		}
		kind, length := sqlNext(rest)
		out = append(out, sqlToken{kind, rest[:length]})
		rest = rest[length:]
	}
	return out
}

// sqlBlank is the length of the white space or the comment at the beginning; 0 where there is none, or a block comment is not closed.
func sqlBlank(s string) int {
	if r, size := utf8.DecodeRuneInString(s); unicode.IsSpace(r) || r == '\ufeff' {
		return size
	}
	switch {
	case strings.HasPrefix(s, "--"):
		if end := strings.IndexByte(s, '\n'); end >= 0 {
			return end
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		return max(sqlComment(s), 0)
	}
	return 0
}

// sqlComment is the length of a block comment; -1 where it is not closed.
func sqlComment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

var (
	sqlNumberText = regexp.MustCompile(`^(?:[0-9]|\.[0-9])(?:[eE][+-][0-9]|[0-9A-Za-z_.])*`)
	sqlDollar     = regexp.MustCompile(`^\$(?:[A-Za-z_\x80-\x{10FFFF}][A-Za-z0-9_\x80-\x{10FFFF}]*)?\$`)
	sqlPrefixed   = regexp.MustCompile(`^(?:[eExXbBnN]|[uU]&)['"]`)
)

// sqlOperators are the characters that make operators of several characters.
const sqlOperators = "+-*/<>=~!@#%^&|?:"

// sqlNext is the kind and the length of the first token of a text that does not begin with a blank.
func sqlNext(s string) (sqlKind, int) {
	if strings.HasPrefix(s, "/*") { // not closed
		return sqlSymbol, len(s)
	}
	if m := sqlPrefixed.FindString(s); m != "" {
		at := len(m) - 1
		if s[at] == '\'' {
			return sqlString, at + sqlQuote(s[at:], '\'', s[0] == 'e' || s[0] == 'E')
		}
		if at == 2 { // u&"name"
			return sqlQuoted, at + sqlQuote(s[at:], '"', false)
		}
	}
	if m := sqlNumberText.FindString(s); m != "" {
		return sqlNumber, len(m)
	}
	switch s[0] {
	case '\'':
		return sqlString, sqlQuote(s, '\'', false)
	case '"', '`':
		return sqlQuoted, sqlQuote(s, s[0], false)
	case '$':
		if m := sqlDollar.FindString(s); m != "" {
			if end := strings.Index(s[len(m):], m); end >= 0 {
				return sqlString, 2*len(m) + end
			}
			return sqlString, len(s)
		}
	}
	if n := sqlWordLength(s); n > 0 {
		return sqlWord, n
	}
	return sqlSymbol, sqlOperator(s)
}

// sqlQuote is the length of a quoted text; a doubled quote, or one behind a backslash where those escape, is inside.
func sqlQuote(s string, quote byte, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

// sqlWordLength is the length of a word; a $ may stand inside one, so that a$b$ is no dollar quote.
func sqlWordLength(s string) int {
	for i, r := range s {
		letter := r == '_' || unicode.IsLetter(r) || (r > unicode.MaxASCII && !unicode.IsSpace(r) && r != '\ufeff')
		if !letter && (i == 0 || (r != '$' && !unicode.IsDigit(r))) {
			return i
		}
	}
	return len(s)
}

// sqlOperator is the length of an operator, or of one other character.
func sqlOperator(s string) int {
	n := 0
	for n < len(s) && strings.IndexByte(sqlOperators, s[n]) >= 0 {
		if n > 0 && (strings.HasPrefix(s[n:], "--") || strings.HasPrefix(s[n:], "/*")) {
			break
		}
		n++
	}
	if n == 0 {
		_, size := utf8.DecodeRuneInString(s)
		return size
	}
	for n > 1 && (s[n-1] == '+' || s[n-1] == '-') && !strings.ContainsAny(s[:n], "~!@#%^&|?") {
		n--
	}
	return n
}

// fromEnds are the words that end a list of relations.
var fromEnds = []string{
	"where", "group", "order", "having", "limit", "offset", "window", "qualify", "union", "except", "intersect", "select", "fetch", "sample",
}

// sqlRelations are the names of the relations that a query reads by name, as written there but without quotes: what follows from and join,
// and the commas of from. Names that the query itself gives (with x as) are among them; templates are not.
func sqlRelations(text string) []string {
	tokens := sqlTokens(text)
	var out []string
	lists := []bool{false} // whether a comma goes on with relations, by depth of brackets
	for i := 0; i < len(tokens); i++ {
		here := len(lists) - 1
		switch word := strings.ToLower(tokens[i].text); {
		case word == "(" || word == "[":
			lists = append(lists, false)
		case word == ")" || word == "]":
			lists = lists[:max(here, 1)]
		case word == "from", word == "join", word == "," && lists[here]:
			lists[here] = true
			if name, next := sqlName(tokens, i+1); name != "" {
				out = append(out, name)
				i = next - 1
			}
		case slices.Contains(fromEnds, word):
			lists[here] = false
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sqlName reads a.b.c at a token and gives the token after it.
func sqlName(tokens []sqlToken, at int) (name string, next int) {
	for next = at; next < len(tokens); next++ {
		t := tokens[next]
		switch t.kind {
		case sqlWord:
			name += t.text
		case sqlQuoted:
			name += strings.Trim(t.text, "\"`")
		default:
			return "", at
		}
		if next++; next >= len(tokens) || tokens[next].text != "." {
			return name, next
		}
		name += "."
	}
	return "", at
}
