package catalog

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/headway-data/headway/internal/calendar"
)

// maxDuration bounds durations: a century, so that sums of them do not overflow.
const maxDuration = 100 * 365 * 24 * time.Hour

// text reads a text that is not empty. A number or a boolean is not a text.
func (l *loader) text(n node) (string, bool) {
	var s string
	switch v := n.ast.(type) {
	case *ast.StringNode:
		s = v.Value
	case *ast.LiteralNode:
		s = v.Value.Value
	default:
		l.mistyped(n, "text")
		return "", false
	}
	if strings.TrimSpace(s) == "" {
		l.wrong(n, "is empty", "write something, or leave the key away")
		return "", false
	}
	if strings.ContainsRune(s, 0) {
		l.wrong(n, "holds a NUL character", "take it out")
		return "", false
	}
	return s, true
}

// scalar reads any single value as the text that was written.
func (l *loader) scalar(n node) (string, bool) {
	switch v := n.ast.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return v.GetToken().Value, true
	case *ast.StringNode:
		return v.Value, true // an empty text in quotes is a value too
	}
	return l.text(n)
}

// texts reads a list of texts; one alone counts as a list of one.
func (l *loader) texts(n node) []string {
	items, ok := l.items(n, true)
	if !ok {
		return nil
	}
	var out []string
	for _, item := range items {
		s, ok := l.text(item)
		switch {
		case !ok:
		case slices.Contains(out, s):
			l.wrong(item, fmt.Sprintf("has %q twice", s), "keep one of them")
		default:
			out = append(out, s)
		}
	}
	if len(items) == 0 {
		l.wrong(n, "is an empty list", "name at least one, or leave the key away")
	}
	return out
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	label      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	relation   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$-]*(\.[A-Za-z_][A-Za-z0-9_$-]*){0,2}$`)
)

// name checks a name at its place. Names of tables and periods become part of SQL, so they are identifiers there.
func (l *loader) name(name string, at Pos, what string, pattern *regexp.Regexp) bool {
	switch {
	case strings.Contains(name, "@"):
		l.fail(at, fmt.Sprintf("%s %q: @ in names is reserved", what, name), "choose a name without @")
	case len(name) > 128:
		l.fail(at, fmt.Sprintf("%s: a name of %d characters is too long", what, len(name)), "128 are the most")
	case !pattern.MatchString(name):
		rest := "letters, digits and _"
		if pattern == label {
			rest = "letters, digits, _ and -"
		}
		l.fail(at, fmt.Sprintf("%s %q: not a name", what, name), "use "+rest+", and no digit first")
	default:
		return true
	}
	return false
}

// choice reads one word of a list and gives its place in it.
func (l *loader) choice(n node, words ...string) (int, bool) {
	s, ok := l.scalar(n)
	if !ok {
		return 0, false
	}
	if i := slices.Index(words, s); i >= 0 {
		return i, true
	}
	next := "write " + strings.Join(words, " or ")
	if near := Nearest(s, words); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	l.wrong(n, fmt.Sprintf("is %q, not one of %s", s, strings.Join(words, ", ")), next)
	return 0, false
}

func (l *loader) boolean(n node) (value, ok bool) {
	b, ok := n.ast.(*ast.BoolNode)
	if !ok {
		l.mistyped(n, "true or false")
		return false, false
	}
	return b.Value, true
}

// integer reads a whole number from low to high, both in.
func (l *loader) integer(n node, low, high int) (int, bool) {
	v, ok := n.ast.(*ast.IntegerNode)
	if !ok {
		l.mistyped(n, "a whole number")
		return 0, false
	}
	var i int64
	switch x := v.Value.(type) {
	case int64:
		i = x
	case uint64:
		i = int64(min(x, math.MaxInt64))
	}
	if i < int64(low) || i > int64(high) {
		next := fmt.Sprintf("write a whole number from %d to %d", low, high)
		if low == high {
			next = fmt.Sprintf("write %d", low)
		}
		l.wrong(n, "is "+v.GetToken().Value, next)
		return 0, false
	}
	return int(i), true
}

// number reads a finite number from low to high, both in.
func (l *loader) number(n node, low, high float64) (float64, bool) {
	var f float64
	switch v := n.ast.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		x, err := strconv.ParseFloat(strings.ReplaceAll(v.GetToken().Value, "_", ""), 64)
		if err != nil {
			l.mistyped(n, "a number, like 0.95")
			return 0, false
		}
		f = x
	case *ast.StringNode: // 1e3 is a number to us, if not to the YAML library
		x, err := strconv.ParseFloat(v.Value, 64)
		if err != nil || v.Token.Type != token.StringType {
			l.mistyped(n, "a number, like 0.95")
			return 0, false
		}
		f = x
	case *ast.InfinityNode, *ast.NanNode:
		f = math.NaN()
	default:
		l.mistyped(n, "a number, like 0.95")
		return 0, false
	}
	if math.IsNaN(f) || math.IsInf(f, 0) || f < low || f > high {
		next := "write a finite number"
		if !math.IsInf(low, 0) {
			next = fmt.Sprintf("write a number from %v to %v", low, high)
		}
		l.wrong(n, "is "+n.ast.GetToken().Value, next)
		return 0, false
	}
	return f, true
}

// share reads a number from 0 to 1.
func (l *loader) share(n node) (float64, bool) { return l.number(n, 0, 1) }

var (
	durationText = regexp.MustCompile(`^([0-9]+(ms|s|m|h|d|w))+$`)
	durationPart = regexp.MustCompile(`([0-9]+)(ms|s|m|h|d|w)`)
	units        = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
)

// ParseDuration reads 30m, 6h, 30d, 1h30m: numbers with the units ms, s, m, h, d (24 hours) and w, or a plain 0. A century is the most.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if !durationText.MatchString(s) {
		return 0, fmt.Errorf("%q is not a duration: write it like 30m, 6h or 30d", s)
	}
	var sum time.Duration
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseInt(part[1], 10, 64)
		unit := units[part[2]]
		if err != nil || n > int64((maxDuration-sum)/unit) {
			return 0, fmt.Errorf("%q is too long: 100 years are the most", s)
		}
		sum += time.Duration(n) * unit
	}
	return sum, nil
}

func (l *loader) duration(n node) (time.Duration, bool) {
	s, ok := l.scalar(n)
	if !ok {
		return 0, false
	}
	d, err := ParseDuration(s)
	if err != nil {
		l.fail(n.pos(), n.what+": "+err.Error(), "")
		return 0, false
	}
	return d, true
}

var sizeText = regexp.MustCompile(`^([0-9]+) ?(B|kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)?$`)

// size reads 1TB, 500GB, 1GiB or a number of bytes.
func (l *loader) size(n node) (int64, bool) {
	s, ok := l.scalar(n)
	if !ok {
		return 0, false
	}
	part := sizeText.FindStringSubmatch(strings.ReplaceAll(s, "_", ""))
	if part == nil {
		l.wrong(n, fmt.Sprintf("is %q, not a size", s), "write it like 1TB or 500GiB")
		return 0, false
	}
	unit, base := int64(1), int64(1000)
	if strings.HasSuffix(part[2], "iB") {
		base = 1024
	}
	if part[2] != "" && part[2] != "B" {
		for range strings.IndexByte("KMGTP", strings.ToUpper(part[2])[0]) + 1 {
			unit *= base
		}
	}
	count, err := strconv.ParseInt(part[1], 10, 64)
	if err != nil || count > math.MaxInt64/unit {
		l.wrong(n, fmt.Sprintf("is %q, too large a size", s), "write it like 1TB or 500GiB")
		return 0, false
	}
	return count * unit, true
}

// date reads a civil date; 0 where it is none, which is told.
func (l *loader) date(n node) calendar.Date {
	s, ok := l.scalar(n)
	if !ok {
		return 0
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		l.wrong(n, fmt.Sprintf("is %q, not a date", s), "write it like 2024-01-05")
		return 0
	}
	return calendar.DateOf(t.Date())
}

// pattern reads a regular expression.
func (l *loader) pattern(n node) (string, bool) {
	s, ok := l.text(n)
	if !ok {
		return "", false
	}
	if _, err := regexp.Compile(s); err != nil {
		l.wrong(n, "is not a regular expression", reason(err))
		return "", false
	}
	return s, true
}

// inside reads a path, or a glob, that stays in the project folder.
func (l *loader) inside(n node) (string, bool) {
	s, ok := l.text(n)
	if !ok {
		return "", false
	}
	if clean := strings.TrimPrefix(s, "./"); fsValid(clean) {
		return clean, true
	}
	l.wrong(n, fmt.Sprintf("is %q, which leads out of the project folder", s), "write a path relative to the project folder, without ..")
	return "", false
}
