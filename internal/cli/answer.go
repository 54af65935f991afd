package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// answer writes the one JSON object of a command to stdout.
func (inv *invocation) answer(v any) error {
	enc := json.NewEncoder(inv.Stdout)
	enc.SetEscapeHTML(false)
	if inv.flags.Output == "json" {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// print writes text to stdout.
func (inv *invocation) print(format string, args ...any) {
	fmt.Fprintln(inv.Stdout, inv.plain(inv.Stdout, fmt.Sprintf(format, args...)))
}

// table writes rows in aligned columns to stdout; the first row is the head.
func (inv *invocation) table(rows [][]string) {
	if len(rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(&trimmed{to: inv.Stdout}, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, inv.plain(inv.Stdout, strings.Join(row, "\t")))
	}
	w.Flush() //nolint:errcheck // as print
}

// count says 1 partition, 2 partitions.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", thousands(n), noun)
}

// thousands groups digits: 7,650.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plain writes Headway's own signs in ASCII where no person looks.
func (inv *invocation) plain(w io.Writer, text string) string {
	if inv.Terminal(w) {
		return text
	}
	return asciiSigns.Replace(text)
}

var asciiSigns = strings.NewReplacer("\u2026", "...", "\u2192", "->", "\u2265", ">=", "\u2264", "<=", "\u2013", "-", "\u2212", "-")

// trimmed takes the blanks off the ends of lines, which a table's empty last column leaves.
type trimmed struct {
	to   io.Writer
	line []byte
}

func (t *trimmed) Write(p []byte) (int, error) {
	for _, b := range p {
		if t.line = append(t.line, b); b != '\n' {
			continue
		}
		line := append(bytes.TrimRight(t.line, " \n"), '\n')
		t.line = t.line[:0]
		if _, err := t.to.Write(line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
