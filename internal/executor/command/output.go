//go:build unix

package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Bounds of what is kept of a command's output.
const (
	maxLine     = 8 << 10 // bytes of a line that are logged
	lastLines   = 8       // lines of stderr that an error shows
	maxLastLine = 400     // bytes of each of them
)

// An output takes the lines of a command's two streams, of both at once, and logs them whole.
type output struct {
	mu    sync.Mutex
	log   io.Writer
	limit int64
	left  int64     // bytes that will still be logged
	full  bool      // it has been said that no more will be
	err   io.Writer // where a person reads what Headway says, beside the log; nil: nowhere
}

// line logs one line. A log that cannot be written to does not fail the command: what it computes counts, not what it says.
func (o *output) line(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return
	}
	if o.left -= int64(len(text)) + 1; o.left < 0 {
		o.full = true
		fmt.Fprintf(o.log, "headway: the output beyond %d bytes is not logged\n", o.limit)
		return
	}
	_, _ = o.log.Write(append(text, '\n'))
}

// say logs a line of Headway's own, and tells it whoever has called the command.
func (o *output) say(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.log, "headway: %s\n", text)
	if o.err != nil {
		fmt.Fprintf(o.err, "headway: %s\n", text)
	}
}

// A tail keeps the last lines of a stream; nil keeps none. It belongs to one goroutine until that has ended.
type tail struct{ lines []string }

func (t *tail) add(line []byte) {
	if t == nil {
		return
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(line), "?"))
	if text == "" {
		return
	}
	if len(t.lines) == lastLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, shorten(text, maxLastLine))
}

// shorten cuts a text to at most limit bytes, at a character's end.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// firstLine is what is kept of an error where there is room for one line.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return shorten(line, 500)
}

// pump logs a stream line by line until it ends, and keeps its last lines if asked to. It reads on when nothing is logged any more:
// a command must not block on a pipe that nobody empties.
func (o *output) pump(stream io.Reader, last *tail) {
	r := bufio.NewReaderSize(stream, maxLine)
	for {
		text, err := r.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if len(text) > 0 {
			text = append([]byte(nil), text...)
			if text[len(text)-1] == '\n' {
				text = text[:len(text)-1]
			}
			if cut {
				err = skipLine(r)
				text = append(text, " [headway: the rest of the line is not logged]"...)
			}
			o.line(text)
			last.add(text)
		}
		if err != nil {
			return
		}
	}
}

// skipLine reads up to the end of a line that is too long.
func skipLine(r *bufio.Reader) error {
	for {
		if _, err := r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
