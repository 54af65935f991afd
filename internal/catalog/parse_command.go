package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// commandFields say how a command makes rows; tables and producers have them.
var commandFields = []field[draft]{
	{"command", func(l *loader, n node, d *draft) { d.command(l, n) }},
	{"files", func(_ *loader, n node, d *draft) { d.files = &n }},
	{"env", func(l *loader, n node, d *draft) { l.env(n, &d.env) }},
}

func (d *draft) command(l *loader, n node) {
	if s, ok := n.scalarText(); ok {
		l.wrong(n, "is one text", fmt.Sprintf("write a list of arguments; no shell is involved: [%s]", strings.Join(strings.Fields(s), ", ")))
		return
	}
	items, ok := l.items(n, false)
	if !ok {
		return
	}
	if len(items) == 0 {
		l.wrong(n, "is empty", "write a list of arguments, like [python3, job.py, \"{from}\"]")
		return
	}
	c := &Command{Pos: n.pos()}
	for _, item := range items {
		if s, ok := l.scalar(item); ok {
			c.Args = append(c.Args, s)
		}
	}
	if len(c.Args) == len(items) && strings.TrimSpace(c.Args[0]) == "" {
		l.wrong(items[0], "names no program", "write the program first")
	}
	d.t.Command = c
}

func (l *loader) env(n node, into *[]EnvVar) {
	entries, _ := l.entries(n)
	for _, e := range entries {
		if !varName.MatchString(e.key) {
			l.fail(e.at, fmt.Sprintf("%s: %q is not the name of a variable", n.what, e.key), "use letters, digits and _")
			continue
		}
		s, ok := l.scalar(e.value)
		if !ok {
			continue
		}
		if err := checkRefs(s); err != nil {
			l.wrong(e.value, "cannot be resolved", err.Error())
			continue
		}
		*into = append(*into, EnvVar{Name: e.key, Value: s})
	}
}

// patterns reads the globs of a command's files; each must match something, or the code version would not see the code.
func (l *loader) patterns(n node) []string {
	items, ok := l.items(n, true)
	if !ok {
		return nil
	}
	var out []string
	for _, item := range items {
		pattern, ok := l.inside(item)
		if !ok {
			continue
		}
		found, err := Glob(l.fs, pattern)
		switch {
		case err != nil:
			l.wrong(item, "cannot be read", reason(err))
		case len(found) == 0:
			l.wrong(item, fmt.Sprintf("%q matches no file", pattern), "correct it: these files are part of the command's version")
		default:
			out = append(out, pattern)
		}
	}
	return out
}

// sql reads the name of a query's file.
func (d *draft) sql(l *loader, n node) {
	s, ok := l.text(n)
	if !ok {
		return
	}
	if strings.ContainsAny(strings.TrimSpace(s), "\n;") || strings.Contains(strings.ToLower(s), "select ") {
		l.wrong(n, "holds a query", "put the query into a file and name it, like sql/"+d.t.Name+".sql")
		return
	}
	if file, ok := l.inside(n); ok {
		d.t.SQL = &SQL{File: file, Pos: n.pos()}
	}
}

// query loads a table's SQL file, by default sql/<table>.sql.
func (l *loader) query(d *draft) {
	t := d.t
	if t.SQL == nil {
		if d.said.has("sql") {
			return // told already
		}
		t.SQL = &SQL{File: "sql/" + t.Name + ".sql", Pos: d.at}
	}
	text, err := readText(l.fs, t.SQL.File)
	if err != nil {
		l.errs = append(l.errs, Error{
			Pos: t.SQL.Pos, Line: l.docs[t.SQL.Pos.File].line(t.SQL.Pos.Line),
			Msg:   fmt.Sprintf("%s: its query %s cannot be read: %s", d.what, t.SQL.File, reason(err)),
			Next:  "write the query there, or say sql: FILE or command: [...]",
			Cause: err,
		})
		return
	}
	if strings.TrimSpace(NormalizeSQL(text)) == "" {
		l.fail(t.SQL.Pos, fmt.Sprintf("%s: its query %s is empty", d.what, t.SQL.File), "write a query that selects the rows of an interval")
		return
	}
	t.SQL.Text = text
	l.docs[t.SQL.File] = &document{name: t.SQL.File, lines: strings.Split(text, "\n")} // so that errors in it show their line
}

var cronField = regexp.MustCompile(`^(\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?$`)

// schedule reads five fields as cron(8) does: minute, hour, day, month, weekday.
func (l *loader) schedule(n node, into *string) {
	s, ok := l.text(n)
	if !ok {
		return
	}
	bounds := [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}}
	fields := strings.Fields(s)
	bad := len(fields) != len(bounds)
	for i := 0; i < len(fields) && !bad; i++ {
		for part := range strings.SplitSeq(fields[i], ",") {
			bad = bad || !cronPart(part, bounds[i])
		}
	}
	if bad {
		l.wrong(n, fmt.Sprintf("is %q, not a schedule", s), "write minute, hour, day, month and weekday as for cron, like \"0 4 * * *\"")
		return
	}
	*into = strings.Join(fields, " ")
}

func cronPart(part string, bounds [2]int) bool {
	if !cronField.MatchString(part) {
		return false
	}
	value, step, stepped := strings.Cut(part, "/")
	if n, _ := strconv.Atoi(step); stepped && n == 0 {
		return false
	}
	if value == "*" {
		return true
	}
	low, high, ranged := strings.Cut(value, "-")
	first, _ := strconv.Atoi(low)
	last := first
	if ranged {
		last, _ = strconv.Atoi(high)
	}
	return bounds[0] <= first && first <= last && last <= bounds[1]
}
