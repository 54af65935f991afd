package worker

import "strings"

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// firstLine is what a list shows of an error.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	const limit = 500
	if len(line) > limit {
		return line[:limit] + "…"
	}
	return line
}
