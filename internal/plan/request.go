package plan

import (
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
)

// A Reprocess names the kinds of work that a request wants done.
type Reprocess uint8

// The kinds. Stale is a name for three of them; Default is what a request without --reprocess means.
const (
	Missing Reprocess = 1 << iota
	Failed
	Quarantined
	Input
	Code
	Lookback
	All // whatever stands there, fresh or not

	Stale   = Input | Code | Lookback
	Default = Missing | Failed | Quarantined | Stale
)

var reprocessNames = []struct {
	name string
	kind Reprocess
}{
	{"missing", Missing}, {"failed", Failed}, {"quarantined", Quarantined}, {"input", Input}, {"code", Code}, {"lookback", Lookback},
	{"stale", Stale}, {"all", All},
}

// ParseReprocess reads a list of kinds separated by commas.
func ParseReprocess(s string) (Reprocess, error) {
	var r Reprocess
	for word := range strings.SplitSeq(s, ",") {
		found := false
		for _, k := range reprocessNames {
			if strings.TrimSpace(word) == k.name {
				r |= k.kind
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("--reprocess: %q is not one of missing, failed, quarantined, input, code, lookback, stale, all", word)
		}
	}
	return r, nil
}

func (r Reprocess) String() string {
	var words []string
	for _, k := range reprocessNames {
		if k.kind != Stale && r&k.kind == k.kind {
			words = append(words, k.name)
		}
	}
	return strings.Join(words, ",")
}

// has reports whether the kinds are asked for.
func (r Reprocess) has(kind Reprocess) bool { return r&(kind|All) != 0 }

// A Range is a stretch of partitions as somebody named it: an interval on an axis. It selects on every other axis what overlaps it.
type Range struct {
	Axis     calendar.Axis
	Interval calendar.Interval
}

// A Request is what a plan resolves.
type Request struct {
	// Tables are names; none means all that are not sources.
	Tables []string
	// Range limits all named tables; Sets limits single ones further. Both may be left out.
	Range *Range
	Sets  map[string]calendar.Set
	// Reprocess is Default when 0. Explicit says that a person chose it: then quarantined partitions are tried again even if nothing
	// they depend on has changed.
	Reprocess Reprocess
	Explicit  bool
	// Upstream also builds what the named partitions rest on; Downstream also what rests on them.
	Upstream, Downstream bool
	Class                string // fix, scheduled or backfill; "" is backfill
	Env                  string
}

func (r *Request) reprocess() Reprocess {
	if r.Reprocess == 0 {
		return Default
	}
	return r.Reprocess
}
