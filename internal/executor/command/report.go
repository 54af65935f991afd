//go:build unix

package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
)

// Bounds of a report.
const (
	maxReportLine  = 64 << 10
	maxReportLines = 1_000_000
)

// A reportLine is one line of HEADWAY_REPORT.
type reportLine struct {
	Table     string               `json:"table"`
	Partition string               `json:"partition"`
	State     executor.ReportState `json:"state"`
	Rows      *int64               `json:"rows"`
	Error     string               `json:"error"`
}

// said is what a command has reported.
type said struct {
	of    []map[calendar.Partition]executor.PartitionReport // by task
	lines int                                               // also those that are passed over: whoever names one partition is to name all
}

// readReport reads what a command said about its partitions; the last word on each counts. Partitions of its ranges that are not expected,
// or are not for their table to compute now, may be named, and are passed over. A file that the command has removed says nothing.
func readReport(path, name string, tasks []executor.Task, parts []calendar.Set) (said, error) {
	r := &reportReader{name: name, tasks: tasks, parts: parts, said: said{of: make([]map[calendar.Partition]executor.PartitionReport, len(tasks))}}
	for i := range r.said.of {
		r.said.of[i] = map[calendar.Partition]executor.PartitionReport{}
	}
	f, err := os.Open(path) //nolint:gosec // a file that Headway made for the command to write to
	if errors.Is(err, fs.ErrNotExist) {
		return r.said, nil
	}
	if err != nil {
		return said{}, fmt.Errorf("read the report of %s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewReaderSize(f, maxReportLine)
	for n := 1; ; n++ {
		text, err := lines.ReadSlice('\n')
		text = bytes.TrimSpace(text)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return said{}, r.wrong(n, text, fmt.Sprintf("it is longer than %d bytes", maxReportLine))
		case err != nil && !errors.Is(err, io.EOF):
			return said{}, fmt.Errorf("read the report of %s: %w", name, err)
		case n > maxReportLines:
			return said{}, r.wrong(0, nil, fmt.Sprintf("it has more than %d lines", maxReportLines))
		}
		if len(text) > 0 {
			if what := r.line(text); what != "" {
				return said{}, r.wrong(n, text, what)
			}
		}
		if err != nil {
			return r.said, nil
		}
	}
}

// A reportReader gathers lines.
type reportReader struct {
	name  string // whose command it is
	tasks []executor.Task
	parts []calendar.Set
	ids   map[string]calendar.Partition // of all cells of the ranges; made for the first line
	said  said
}

func (r *reportReader) wrong(n int, text []byte, what string) error {
	return &ReportError{Table: r.name, Line: n, Text: shorten(string(bytes.ToValidUTF8(text, []byte("?"))), 120), What: what}
}

// line takes in one line, or says what is wrong with it.
func (r *reportReader) line(text []byte) string {
	var l reportLine
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return err.Error()
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "something follows the object"
	}
	at, what := r.table(l.Table)
	switch {
	case what != "":
		return what
	case l.State != executor.ReportDone && l.State != executor.ReportEmpty && l.State != executor.ReportFailed:
		return fmt.Sprintf("state %q is not one of done, empty, failed", l.State)
	case l.Rows != nil && *l.Rows < 0:
		return "rows is negative"
	case l.Error != "" && l.State != executor.ReportFailed:
		return fmt.Sprintf("a partition that is %s has no error", l.State)
	case l.State == executor.ReportEmpty && l.Rows != nil && *l.Rows > 0:
		return "a partition that is empty has no rows"
	}
	p, ok := r.partition(l.Partition)
	if !ok {
		return fmt.Sprintf("partition %q is not one that the command was given: name them as HEADWAY_PARTITIONS does", l.Partition)
	}
	r.said.lines++
	if !r.tasks[at].Set.Contains(p) {
		return ""
	}
	one := executor.PartitionReport{State: l.State, Rows: -1, Error: shorten(l.Error, 500)}
	if l.Rows != nil {
		one.Rows = *l.Rows
	}
	r.said.of[at][p] = one
	return ""
}

// table finds the task that a line is about, or says why there is none. It may be left away where there is only one.
func (r *reportReader) table(name string) (at int, what string) {
	names := make([]string, 0, len(r.tasks))
	for i, t := range r.tasks {
		if t.Table.Name == name || name == "" && len(r.tasks) == 1 {
			return i, ""
		}
		names = append(names, t.Table.Name)
	}
	switch {
	case name == "":
		return 0, "it does not say which table it is about: " + strings.Join(names, ", ")
	case len(names) == 1:
		return 0, fmt.Sprintf("table %q is not the command's table %q", name, names[0])
	}
	return 0, fmt.Sprintf("table %q is none of the command's tables: %s", name, strings.Join(names, ", "))
}

// partition finds a cell of the command's ranges by its id.
func (r *reportReader) partition(id string) (calendar.Partition, bool) {
	if r.ids == nil {
		r.ids = map[string]calendar.Partition{}
		for _, part := range r.parts {
			bounds := part.Bounds()
			for p := bounds.Start; p < bounds.End; p++ {
				r.ids[r.tasks[0].Target.Axis.ID(p)] = p
			}
		}
	}
	p, ok := r.ids[id]
	return p, ok
}
