package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxShown is how many errors are printed before the rest is only counted.
const maxShown = 50

// maxLine is how much of a line is shown, in characters.
const maxLine = 160

// An Error is one thing that is wrong in a project file: where, what, and what to do.
type Error struct {
	Pos  Pos
	Line string // the text of the line, "" where there is none
	Msg  string // what is wrong
	Next string // what to do about it, "" where the message says it
	// Cause is the error underneath, where reading a file failed.
	Cause error
}

func (e Error) Error() string {
	var b strings.Builder
	if at := e.Pos.String(); at != "" {
		b.WriteString(at + ": ")
	}
	b.WriteString(e.Msg)
	if e.Next != "" {
		b.WriteString(": " + e.Next)
	}
	if e.Line == "" || e.Pos.Line == 0 {
		return b.String()
	}
	text, caret := excerpt(e.Line, e.Pos.Column)
	fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", e.Pos.Line, text, caret)
	return b.String()
}

// Unwrap gives the cause.
func (e Error) Unwrap() error { return e.Cause }

// excerpt is what is shown of a line, and the blanks that bring a caret under the column (from 1, in characters).
func excerpt(line string, column int) (text, blanks string) {
	runes := []rune(strings.TrimRight(line, "\r\n"))
	at := min(max(column-1, 0), len(runes))
	if len(runes) > maxLine {
		from := min(max(at-maxLine/2, 0), len(runes)-maxLine)
		runes, at = runes[from:from+maxLine], at-from
	}
	pad := make([]rune, at)
	for i := range pad {
		pad[i] = ' '
		if runes[i] == '\t' {
			pad[i] = '\t' // so that the caret stands under the same stop
		}
	}
	return string(runes), string(pad)
}

// Errors is everything that is wrong with a project, sorted by position. A nil Errors is no error.
type Errors []Error

// Error prints the first fifty and counts the rest.
func (es Errors) Error() string {
	var b strings.Builder
	for i, e := range es {
		if i == maxShown {
			fmt.Fprintf(&b, "\n... and %d more errors", len(es)-maxShown)
			break
		}
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap gives the errors one by one.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// sorted orders errors by place and drops what was said twice there.
func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(
			strings.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
		)
	})
	return slices.CompactFunc(es, func(a, b Error) bool { return a.Pos == b.Pos && a.Msg == b.Msg })
}

// asError is nil, or the errors in order.
func (es Errors) asError() error {
	if len(es) == 0 {
		return nil
	}
	return es.sorted()
}

// Nearest is the name among known that somebody who typed name may have meant; "" where none is near.
func Nearest(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return k
		}
		if d := distance(name, k, least); d <= least && d < max(utf8.RuneCountInString(k), utf8.RuneCountInString(name)) && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the insertions, deletions, changes and swaps of neighbours between two words (optimal string alignment). Beyond limit
// it may give any larger number.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d > limit || -d > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// meant is the hint for a name that is not among the known ones.
func meant(name string, known []string, what string) string {
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "there are no " + what
	}
	list := slices.Clone(known)
	rest := ""
	if len(list) > 30 {
		rest = fmt.Sprintf(" and %d more", len(list)-30)
		list = list[:30]
	}
	return fmt.Sprintf("%s are: %s%s", what, strings.Join(list, ", "), rest)
}
