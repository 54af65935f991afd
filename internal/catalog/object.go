package catalog

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A field is a key of an object of the project file, and how its value is read.
type field[T any] struct {
	key  string
	read func(l *loader, n node, into *T)
}

// An object is a kind of mapping whose keys are known: any other key is an error. The JSON Schema has the same objects with the same keys.
type object[T any] struct {
	name   string
	fields []field[T]
}

// keys are the known keys, in the order of the grammar.
func (o object[T]) keys() []string {
	out := make([]string, len(o.fields))
	for i, f := range o.fields {
		out[i] = f.key
	}
	return out
}

// label is the object's name.
func (o object[T]) label() string { return o.name }

// An entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    Pos // of the key
	value node
}

// A said is what a mapping holds, by key.
type said map[string]entry

func (s said) has(key string) bool {
	_, ok := s[key]
	return ok
}

// first gives the first of the keys that was said.
func (s said) first(keys ...string) (entry, bool) {
	for _, k := range keys {
		if e, ok := s[k]; ok {
			return e, true
		}
	}
	return entry{}, false
}

// read fills into from a mapping and tells of unknown keys. What it gives is what was said; nil where n is not a mapping.
func (o object[T]) read(l *loader, n node, into *T) said {
	entries, ok := l.entries(n)
	if !ok {
		return nil
	}
	out := said{}
	for _, e := range entries {
		out[e.key] = e
		if read := o.reader(e.key); read != nil {
			read(l, e.value, into)
			continue
		}
		l.fail(e.at, fmt.Sprintf("unknown key %q in %s", e.key, n.what), meant(e.key, o.keys(), "keys"))
	}
	return out
}

func (o object[T]) reader(key string) func(*loader, node, *T) {
	for _, f := range o.fields {
		if f.key == key {
			return f.read
		}
	}
	return nil
}

// fail tells one error.
func (l *loader) fail(at Pos, msg, next string) {
	line := ""
	if doc := l.docs[at.File]; doc != nil {
		line = doc.line(at.Line)
	}
	l.errs = append(l.errs, Error{Pos: at, Line: line, Msg: msg, Next: next})
}

// wrong tells that a value is not what belongs there.
func (l *loader) wrong(n node, msg, next string) { l.fail(n.pos(), n.what+" "+msg, next) }

// entries are the keys and values of a mapping, each key once. An empty value is an empty mapping.
func (l *loader) entries(n node) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch m := n.ast.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	case *ast.NullNode, nil:
		return nil, true
	default:
		l.mistyped(n, "keys and values, like {key: value}")
		return nil, false
	}
	var out []entry
	first := map[string]Pos{}
	for _, v := range values {
		at := n.doc.at(v.Key.GetToken())
		key, ok := l.key(v.Key, at)
		if !ok {
			continue
		}
		if was, twice := first[key]; twice {
			l.fail(at, fmt.Sprintf("key %q stands twice in %s, first at %s", key, n.what, was), "keep one of them")
			continue
		}
		first[key] = at
		out = append(out, entry{key: key, at: at, value: node{doc: n.doc, ast: v.Value, what: join(n.what, key)}})
	}
	return out, true
}

func join(what, key string) string {
	if what == "the file" || what == "" {
		return key
	}
	return what + "." + key
}

// key reads the key of a mapping, which is a plain word.
func (l *loader) key(n ast.MapKeyNode, at Pos) (string, bool) {
	switch k := n.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	case *ast.MergeKeyNode:
		l.fail(at, "merge keys (<<) are not read here", "use defaults, or write the keys out")
	default:
		l.fail(at, "a key must be a plain word", "write it as key: value")
	}
	return "", false
}

// items are the elements of a list. One value that is not a list is a list of one where lone is set.
func (l *loader) items(n node, lone bool) ([]node, bool) {
	seq, ok := n.ast.(*ast.SequenceNode)
	if !ok {
		_, null := n.ast.(*ast.NullNode)
		if lone && !null {
			return []node{n}, true
		}
		l.mistyped(n, "a list, like [a, b]")
		return nil, false
	}
	out := make([]node, len(seq.Values))
	for i, v := range seq.Values {
		out[i] = node{doc: n.doc, ast: v, what: n.what}
	}
	return out, true
}

// scalarText is the text of a plain value; ok is false for mappings, lists and nothing.
func (n node) scalarText() (s string, ok bool) {
	switch v := n.ast.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, true
	}
	return "", false
}

// literal reports whether the value is a block of text.
func (n node) literal() bool {
	_, ok := n.ast.(*ast.LiteralNode)
	return ok
}

// mistyped tells that a value is of another kind than is wanted.
func (l *loader) mistyped(n node, want string) {
	switch v := n.ast.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		l.wrong(n, "uses an anchor or an alias, which are not read here", "use defaults, or write the value out")
		return
	case *ast.TagNode:
		l.wrong(n, "has a YAML tag, which is not read here", "leave "+v.GetToken().Value+" away")
		return
	case *ast.MappingNode:
		if name := template(v); name != "" {
			l.wrong(n, fmt.Sprintf("has {%s} without quotes, which YAML takes for a mapping", name), fmt.Sprintf("quote it: \"{%s}\"", name))
			return
		}
	}
	l.wrong(n, "is "+kindOf(n.ast), "write "+want)
}

// template is the name in an unquoted {name}, which YAML reads as a mapping of name to nothing.
func template(m *ast.MappingNode) string {
	if !m.IsFlowStyle || len(m.Values) != 1 {
		return ""
	}
	if value, ok := m.Values[0].Value.(*ast.NullNode); !ok || value.GetToken().Type != token.ImplicitNullType {
		return ""
	}
	return m.Values[0].Key.GetToken().Value
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode, nil:
		return "empty"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	}
	return "something else"
}
