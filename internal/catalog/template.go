package catalog

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// A templateRef is a table that a template names, with its place in the text, from 1.
type templateRef struct {
	function, table string
	line, column    int
}

var templateCall = regexp.MustCompile(`\{\{-?\s*(table|input_start|input_end)\s+"([^"\n]*)"\s*-?\}\}`)

// templateRefs are the tables that a query's template names, in order.
func templateRefs(text string) []templateRef {
	var out []templateRef
	for _, m := range templateCall.FindAllStringSubmatchIndex(text, -1) {
		before := text[:m[4]]
		out = append(out, templateRef{
			function: text[m[2]:m[3]], table: text[m[4]:m[5]],
			line:   strings.Count(before, "\n") + 1,
			column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1,
		})
	}
	return out
}
