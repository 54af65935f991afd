//go:build unix

package command

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/executor"
	"github.com/headway-data/headway/internal/executor/shim"
)

// ranges cuts a set where an expected partition lies between two of its members that is not in the set: a command computes its whole
// range. What is not expected is bridged; where it is not known what is, nothing is.
func ranges(set, expected calendar.Set) []calendar.Set {
	others := expected.Minus(set)
	var out []calendar.Set
	var open []calendar.Interval
	for _, iv := range set.Intervals() {
		if n := len(open); n > 0 && (expected.Empty() || others.Overlaps(calendar.Range(open[n-1].End, iv.Start))) {
			out = append(out, calendar.NewSet(open...))
			open = nil
		}
		open = append(open, iv)
	}
	if len(open) > 0 {
		out = append(out, calendar.NewSet(open...))
	}
	return out
}

// partsOf gives the sets that a command is run for: one for each contiguous range, or all at once where it takes {dates}.
func partsOf(t *catalog.Table, set, expected calendar.Set) []calendar.Set {
	if slices.ContainsFunc(t.Command.Args, func(arg string) bool { return strings.Contains(arg, "{dates}") }) {
		return []calendar.Set{set}
	}
	return ranges(set, expected)
}

// A setting is what one run of a command is told.
type setting struct {
	tasks      []executor.Task
	acting     int    // the task whose attempt and token it is told
	from, to   string // inclusive; "" for a table without partitions
	start, end string // half-open
	dates      string // by commas
	part       calendar.Set
	stages     []string // of the tasks; none in direct mode
	report     string
	parent     []string // what it inherits
}

func settings(tasks []executor.Task, acting int, part calendar.Set) *setting {
	s := &setting{tasks: tasks, acting: acting, part: part}
	axis := tasks[0].Target.Axis
	ids := make([]string, 0, part.Count())
	for p := range part.Partitions() {
		ids = append(ids, axis.ID(p))
	}
	s.dates = strings.Join(ids, ",")
	if axis.Grain != calendar.None {
		bounds := part.Bounds()
		s.from, s.to, s.start, s.end = axis.ID(bounds.Start), axis.ID(bounds.End-1), axis.ID(bounds.Start), axis.ID(bounds.End)
	}
	return s
}

// arguments replaces {from} {to} {start} {end} {dates} {token}; any other word in braces is passed as it is.
func (s *setting) arguments(args []string, token string) []string {
	r := strings.NewReplacer("{from}", s.from, "{to}", s.to, "{start}", s.start, "{end}", s.end, "{dates}", s.dates, "{token}", token)
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = r.Replace(arg)
	}
	return out
}

func (s *setting) token() string { return strconv.FormatInt(int64(s.tasks[s.acting].Token), 10) }

// variables are what every command finds in its environment.
func (s *setting) variables() []string {
	acting, staging, all := s.tasks[s.acting], "", map[string]string{}
	for i, stage := range s.stages {
		all[s.tasks[i].Table.Name] = stage
	}
	if len(s.stages) > 0 {
		staging = s.stages[0]
	}
	return []string{
		"HEADWAY_RUN_ID=" + acting.Run,
		"HEADWAY_ATTEMPT=" + acting.Attempt,
		shim.Mark + "=" + strings.Join(s.attempts(), ","),
		"HEADWAY_TABLE=" + s.tasks[0].Table.Name,
		"HEADWAY_FROM=" + s.from,
		"HEADWAY_TO=" + s.to,
		"HEADWAY_START=" + s.start,
		"HEADWAY_END=" + s.end,
		"HEADWAY_PARTITIONS=" + s.dates,
		"HEADWAY_TOKEN=" + s.token(),
		"HEADWAY_LEASES=" + s.leases(),
		"HEADWAY_STAGING_TABLE=" + staging,
		"HEADWAY_STAGING_TABLES=" + written(all),
		"HEADWAY_REPORT=" + s.report,
		"TRACEPARENT=" + traceparent(s.parent, acting.Run, acting.Attempt),
	}
}

// attempts are those of all tables that the command makes.
func (s *setting) attempts() []string {
	out := make([]string, 0, len(s.tasks))
	for _, t := range s.tasks {
		out = append(out, t.Attempt)
	}
	return out
}

// A leaseJSON is a table's part of HEADWAY_LEASES: what the command may write, and with which token.
type leaseJSON struct {
	Table     string         `json:"table"`
	Token     int64          `json:"token"`
	Intervals []intervalJSON `json:"intervals"`
}

type intervalJSON struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

func (s *setting) leases() string {
	out := []leaseJSON{}
	for _, t := range s.tasks {
		one := leaseJSON{Table: t.Table.Name, Token: int64(t.Token), Intervals: []intervalJSON{}}
		for _, iv := range s.part.Intersect(t.Set).Intervals() {
			one.Intervals = append(one.Intervals, intervalJSON{Start: t.Target.Axis.ID(iv.Start), End: t.Target.Axis.ID(iv.End)})
		}
		if len(one.Intervals) > 0 {
			out = append(out, one)
		}
	}
	return written(out)
}

// written is JSON in one line.
func written(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("command: texts and numbers that JSON cannot hold: " + err.Error()) // they have no such thing
	}
	return string(text)
}

// A traceparent is of W3C Trace Context, version 00: trace id, parent id, flags.
var traceparentForm = regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$`)

// traceparent puts the attempt into the trace that this process is part of, or into one of its run: the same for the same run and attempt.
func traceparent(parent []string, run, attempt string) string {
	trace, flags := digest("run", run)[:32], "01"
	for _, v := range parent {
		if value, ok := strings.CutPrefix(v, "TRACEPARENT="); ok {
			if m := traceparentForm.FindStringSubmatch(value); m != nil {
				trace, flags = m[1], m[2]
			}
		}
	}
	return fmt.Sprintf("00-%s-%s-%s", trace, digest("attempt", attempt)[:16], flags)
}

func digest(kind, id string) string {
	sum := sha256.Sum256([]byte(kind + ":" + id))
	return hex.EncodeToString(sum[:])
}
