package catalog

import (
	"fmt"
	"regexp"
	"strings"
)

var varName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// An UnsetError says that a ${…} in a text has no value.
type UnsetError struct{ Name string }

func (e *UnsetError) Error() string {
	if file, ok := strings.CutPrefix(e.Name, "file:"); ok {
		return fmt.Sprintf("${file:%s}: the file cannot be read", file)
	}
	return fmt.Sprintf("${%s} is not set", e.Name)
}

// Resolve replaces ${VAR} and ${file:path} in a text that may hold them: a connection's URL, the state, a command's variable. $${ stands
// for ${ itself. lookup is asked for "VAR", or for "file:path" with the path as written; the end of a file's last line is dropped. What
// lookup does not know is an *UnsetError. What was put in is not looked at again.
func Resolve(text string, lookup func(name string) (value string, ok bool)) (string, error) {
	var b strings.Builder
	err := scanRefs(text, func(plain string) { b.WriteString(plain) }, func(name string) error {
		value, ok := lookup(name)
		if !ok {
			return &UnsetError{Name: name}
		}
		if strings.HasPrefix(name, "file:") {
			value = strings.TrimRight(value, "\r\n")
		}
		b.WriteString(value)
		return nil
	})
	if err != nil {
		return "", err
	}
	return b.String(), nil
}

// checkRefs finds a ${ that is not closed or names nothing.
func checkRefs(text string) error {
	return scanRefs(text, func(string) {}, func(string) error { return nil })
}

// hasRefs reports whether a text says something only when a connection opens.
func hasRefs(text string) bool { return strings.Contains(text, "${") }

// scanRefs walks over a text and gives its plain parts and its references in order.
func scanRefs(text string, plain func(string), ref func(name string) error) error {
	for rest := text; rest != ""; {
		at := strings.Index(rest, "${")
		if at < 0 {
			plain(rest)
			return nil
		}
		if at > 0 && rest[at-1] == '$' {
			plain(rest[:at-1] + "${")
			rest = rest[at+2:]
			continue
		}
		plain(rest[:at])
		length := strings.IndexByte(rest[at:], '}')
		if length < 0 {
			return fmt.Errorf("%q has no closing brace: write ${NAME}, or $${ for a plain ${", rest[at:])
		}
		name := rest[at+2 : at+length]
		file, isFile := strings.CutPrefix(name, "file:")
		if (isFile && file == "") || (!isFile && !varName.MatchString(name)) {
			return fmt.Errorf("${%s} is neither ${NAME} nor ${file:path}", name)
		}
		if err := ref(name); err != nil {
			return err
		}
		rest = rest[at+length+1:]
	}
	return nil
}
