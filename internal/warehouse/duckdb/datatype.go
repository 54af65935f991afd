package duckdb

import (
	"fmt"
	"strings"
)

// A dataType is a type as DESCRIBE writes it, as far as fingerprints care.
type dataType struct {
	kind  typeKind
	inner []dataType // of list (1), map (2), struct
	keys  []string   // of struct: names as written, quoted where they are
	raw   string
}

type typeKind uint8

const (
	plain typeKind = iota
	integer
	floating
	enumeration
	list
	mapping
	structure
)

var integers = map[string]int{ // by how many values they hold
	"TINYINT": 1, "UTINYINT": 2, "SMALLINT": 3, "USMALLINT": 4, "INTEGER": 5, "UINTEGER": 6, "BIGINT": 7, "UBIGINT": 8, "HUGEINT": 9,
}

// parseType reads a type as DESCRIBE writes it. What it does not know is plain.
func parseType(s string) dataType {
	s = strings.TrimSpace(s)
	t := dataType{raw: s}
	switch {
	case strings.HasSuffix(s, "]") && strings.Contains(s, "["):
		t.kind = list
		t.inner = []dataType{parseType(s[:strings.LastIndexByte(s, '[')])}
	case strings.HasPrefix(s, "STRUCT(") && strings.HasSuffix(s, ")"):
		t.kind = structure
		for _, field := range splitTop(s[len("STRUCT(") : len(s)-1]) {
			key, typ := cutField(field)
			t.keys = append(t.keys, key)
			t.inner = append(t.inner, parseType(typ))
		}
	case strings.HasPrefix(s, "MAP(") && strings.HasSuffix(s, ")"):
		t.kind = mapping
		for _, part := range splitTop(s[len("MAP(") : len(s)-1]) {
			t.inner = append(t.inner, parseType(part))
		}
	case strings.HasPrefix(s, "ENUM("):
		t.kind = enumeration
	case s == "FLOAT" || s == "DOUBLE":
		t.kind = floating
	case integers[s] > 0 && s != "HUGEINT" && s != "UBIGINT" && s != "BIGINT":
		t.kind = integer
	}
	return t
}

// splitTop splits at commas that lie in no parentheses, brackets or quotes.
func splitTop(s string) []string {
	var out []string
	depth, start := 0, 0
	var quote byte
	for i := range len(s) {
		ch := s[i]
		switch {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '"' || ch == '\'':
			quote = ch
		case ch == '(' || ch == '[':
			depth++
		case ch == ')' || ch == ']':
			depth--
		case ch == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[start:]))
}

// cutField parts a struct's field into its name, as it is written, and its type.
func cutField(s string) (key, typ string) {
	if strings.HasPrefix(s, `"`) {
		for i := 1; i < len(s); i++ {
			if s[i] != '"' {
				continue
			}
			if i+1 < len(s) && s[i+1] == '"' {
				i++
				continue
			}
			return s[:i+1], s[i+1:]
		}
	}
	key, typ, _ = strings.Cut(s, " ")
	return key, typ
}

// needsForm reports whether values of the type are hashed in another form than their own.
func (t dataType) needsForm() bool {
	if t.kind == integer || t.kind == floating || t.kind == enumeration {
		return true
	}
	for _, in := range t.inner {
		if in.needsForm() {
			return true
		}
	}
	return false
}

// form is the expression for the form in which a value is hashed.
func (t dataType) form(value string, digits, depth int) string {
	if !t.needsForm() {
		return value
	}
	v := fmt.Sprintf("v%d", depth)
	switch t.kind {
	case integer:
		return "CAST(" + value + " AS BIGINT)"
	case enumeration:
		return "CAST(" + value + " AS VARCHAR)"
	case floating:
		if t.raw == "FLOAT" {
			return rounded("CAST("+value+" AS DOUBLE)", digits)
		}
		return rounded(value, digits)
	case list:
		return fmt.Sprintf("list_transform(CAST(%s AS %s[]), lambda %s: %s)", value, t.inner[0].raw, v, t.inner[0].form(v, digits, depth+1))
	case mapping:
		entries := dataType{kind: structure, keys: []string{"key", "value"}, inner: t.inner}
		return fmt.Sprintf("list_transform(map_entries(%s), lambda %s: %s)", value, v, entries.form(v, digits, depth+1))
	case structure:
		parts := make([]string, len(t.inner))
		for i, in := range t.inner {
			parts[i] = t.keys[i] + " := " + in.form("("+value+")."+t.keys[i], digits, depth)
		}
		return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN struct_pack(%s) END", value, strings.Join(parts, ", "))
	default:
		return value
	}
}

// fits reports whether every value of one type is a value of the other: the same type, or an integer of fewer values.
func fits(found, wanted string) bool {
	if strings.EqualFold(found, wanted) {
		return true
	}
	f, w := strings.ToUpper(found), strings.ToUpper(wanted)
	a, b := integers[f], integers[w]
	if a == 0 || b == 0 || a > b {
		return false
	}
	unsigned := strings.HasPrefix(w, "U")
	return !unsigned || strings.HasPrefix(f, "U")
}
