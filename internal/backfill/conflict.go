package backfill

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// A ConflictReport says who has what somebody asked for, and what would resolve it: conflict/v1.
type ConflictReport struct {
	Schema    string           `json:"schema"`
	Requested []SetID          `json:"requested"`
	Conflicts []ConflictAnswer `json:"conflicts"`
	Suggest   []Suggestion     `json:"suggest"`
}

// A SetID is a table's partitions as JSON carries them.
type SetID struct {
	Table     string       `json:"table"`
	Intervals []IntervalID `json:"intervals"`
}

// A ConflictAnswer is one run, or hold, that is in the way on one table.
type ConflictAnswer struct {
	Run     *string      `json:"run"` // null for a hold
	Lease   string       `json:"lease"`
	Table   string       `json:"table"`
	Overlap []IntervalID `json:"overlap"`
	// Partitions is how many of the partitions asked for are in the overlap, which also bridges what is not expected.
	Partitions int        `json:"partitions"`
	Class      string     `json:"class"`
	Holder     HolderID   `json:"holder"`
	Since      time.Time  `json:"since"`
	Command    *string    `json:"command"`
	Done       int        `json:"done"`
	Total      int        `json:"total"`
	ETA        *time.Time `json:"eta"`
	Hold       bool       `json:"hold"`
	Waiting    bool       `json:"waiting"` // it has nothing yet, and is ahead in the queue
	Reason     *string    `json:"reason"`

	set calendar.Set
}

// A HolderID is who has a lease.
type HolderID struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	User string `json:"user"`
}

// A Suggestion is a command that would resolve a conflict.
type Suggestion struct {
	Text string   `json:"text"`
	Argv []string `json:"argv"`
}

// Conflict tells of an error that is a conflict, for somebody who called headway with args; nil where the error is none. class is that of what
// was asked for.
func (c *Coordinator) Conflict(err error, class ledger.Class, requested map[string]calendar.Set, args []string) *ConflictReport {
	conflict, ok := errors.AsType[*ledger.ConflictError](err)
	if !ok {
		return nil
	}
	out := &ConflictReport{Schema: "headway.conflict/v1", Requested: []SetID{}, Conflicts: []ConflictAnswer{}, Suggest: []Suggestion{}}
	for _, name := range sortedNames(requested) {
		set := requested[name]
		if !set.Empty() {
			set = calendar.NewSet(set.Bounds())
		}
		out.Requested = append(out.Requested, SetID{name, c.Intervals(name, set)})
	}
	for i := range conflict.Conflicts {
		one := c.conflictAnswer(&conflict.Conflicts[i])
		if wanted := requested[one.Table].Intersect(one.set); !wanted.Empty() {
			one.Partitions = wanted.Count()
		}
		out.Conflicts = append(out.Conflicts, one)
	}
	out.suggest(class, args)
	return out
}

func sortedNames(sets map[string]calendar.Set) []string {
	names := make([]string, 0, len(sets))
	for name := range sets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *Coordinator) conflictAnswer(x *ledger.Conflict) ConflictAnswer {
	name := c.NameOf(x.Table)
	out := ConflictAnswer{
		Lease: string(x.Lease), Table: name, Overlap: c.Intervals(name, x.Overlap), Partitions: x.Overlap.Count(), Class: string(x.Class),
		Holder: HolderID{x.Holder.Host, x.Holder.PID, x.Holder.User}, Since: x.Since, Done: x.Done, Total: x.Total, Hold: x.Hold, Waiting: x.Waiting,
		set: x.Overlap,
	}
	if !x.Hold {
		run := string(x.Run)
		out.Run = &run
	}
	if x.Command != "" {
		out.Command = &x.Command
	}
	if x.Reason != "" {
		out.Reason = &x.Reason
	}
	if took := c.Now().Sub(x.StartedAt); !x.Hold && !x.StartedAt.IsZero() && x.Done > 0 && x.Done < x.Total && took > 0 {
		eta := c.Now().Add(took / time.Duration(x.Done) * time.Duration(x.Total-x.Done))
		out.ETA = &eta
	}
	return out
}

// suggest adds what would resolve the conflict: first what takes nothing from anybody.
func (r *ConflictReport) suggest(class ledger.Class, args []string) {
	add := func(text string, argv ...string) { r.Suggest = append(r.Suggest, Suggestion{text, argv}) }
	again := func(flags ...string) []string {
		return slices.Concat([]string{"headway"}, args[:1], flags, without(args[1:], flags))
	}
	lower, runs, holds := true, map[string]bool{}, map[string]bool{}
	for _, x := range r.Conflicts {
		lower = lower && !x.Hold && ledger.Class(x.Class).Rank() < ledger.ClassFix.Rank()
	}
	if len(args) > 0 && (args[0] == "exec" || args[0] == "run") {
		add("wait until it is free, holding nothing", again("--on-conflict", "wait")...)
		add("do what is free now", again("--on-conflict", "trim")...)
		if lower {
			flags := []string{"--on-conflict", "preempt"}
			if class != ledger.ClassFix {
				flags = append(flags, "--class", string(ledger.ClassFix))
			}
			add("take exactly the overlap: a fix goes before "+r.Conflicts[0].Class, again(flags...)...)
		}
	}
	for _, x := range r.Conflicts {
		switch {
		case x.Run != nil && !runs[*x.Run]:
			runs[*x.Run] = true
			add("end it, and let nothing start it again", "headway", "stop", *x.Run, "--hold", "--reason", "WHY")
		case x.Hold && !holds[x.Table]:
			holds[x.Table] = true
			add("release the hold", "headway", "unhold", x.Table, "--reason", "WHY")
		}
	}
}

// without leaves out of arguments, up to the command of a person's own, the flags that are given anew.
func without(args, flags []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		name, _, joined := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(name, "--") || !slices.Contains(flags, name):
			out = append(out, args[i])
		case !joined:
			i++ // its value
		}
	}
	return out
}

// Text is the conflict in words, several lines of them.
func (r *ConflictReport) Text(c *Coordinator) string {
	var b strings.Builder
	for i, x := range r.Conflicts {
		const most = 5
		if i == most {
			fmt.Fprintf(&b, "\nand %d more", len(r.Conflicts)-most)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		where := x.Table + " " + c.Format(x.Table, x.set)
		since := x.Since.UTC().Format(time.DateTime) + " UTC"
		if x.Hold {
			fmt.Fprintf(&b, "%s is held by %s@%s since %s", where, x.Holder.User, x.Holder.Host, since)
			if x.Reason != nil {
				fmt.Fprintf(&b, ": %s", *x.Reason)
			}
			continue
		}
		how := "taken"
		if x.Waiting {
			how = "wanted first"
		}
		fmt.Fprintf(&b, "%s (%s) is %s by run %s (class %s) of %s, pid %d on %s, since %s, %d of %d done", where, partitionsText(x.Partitions), how,
			*x.Run, x.Class, x.Holder.User, x.Holder.PID, x.Holder.Host, since, x.Done, x.Total)
		if x.ETA != nil {
			fmt.Fprintf(&b, ", about %s left", x.ETA.Sub(c.Now()).Round(time.Second))
		}
		if x.Reason != nil {
			fmt.Fprintf(&b, "\n  reason: %s", *x.Reason)
		}
		if x.Command != nil {
			fmt.Fprintf(&b, "\n  command: %s", *x.Command)
		}
	}
	for _, s := range r.Suggest {
		fmt.Fprintf(&b, "\n  %s:\n    %s", s.Text, ShellLine(s.Argv))
	}
	return b.String()
}

func partitionsText(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// ShellLine writes arguments so that a POSIX shell reads them as they are.
func ShellLine(argv []string) string {
	out := make([]string, len(argv))
	for i, arg := range argv {
		if out[i] = arg; arg == "" || strings.ContainsFunc(arg, special) {
			out[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

// special reports whether a character means something to a shell, in some place or other.
func special(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-+=.,:/@%", r)
	return !plain
}
