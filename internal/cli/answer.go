package cli

import (
	"encoding/json"
	"fmt"
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
	fmt.Fprintf(inv.Stdout, format+"\n", args...) //nolint:errcheck // a closed stdout ends the process by SIGPIPE
}

// table writes rows in aligned columns to stdout; the first row is the head.
func (inv *invocation) table(rows [][]string) {
	if len(rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(inv.Stdout, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t")) //nolint:errcheck // as print
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
