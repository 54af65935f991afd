package plan

import (
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// Bounds of the lists that explain; what they leave out is counted.
const (
	maxBecause = 5   // partitions named as the reason of a cause
	maxBlocked = 100 // blocked partitions told one by one, for each table
	maxLacks   = 10  // inputs named for each of them
)

// A Plan is a request resolved against one world: immutable data. It is an upper bound of the work: what is stale, and what its own
// steps may make stale; before each chunk the executor asks the world again and skips what early cutoff has left fresh.
type Plan struct {
	// ID is a hash of the content: equal plans have equal ids.
	ID      string
	Request Request
	AsOf    time.Time
	Seq     history.Seq
	// Steps are in an order in which nothing comes before what it reads. The tables of a loop stand together, and so do those of a producer.
	Steps   []Step
	Blocked []Blocked
	Skipped []Skipped
	// Rechecks are to be carried out before the steps. What the steps are sure to write is in none: publishing checks it.
	Rechecks []Recheck

	world *World // whose calendars say what the intervals of the JSON form bridge
}

// A Step is a table and the partitions of it that are to be computed.
type Step struct {
	Table     string
	Producer  string // whose command makes it with others; "" for a table with a maker of its own
	Axis      calendar.Axis
	Guarantee string // fenced, staged or guarded
	Set       calendar.Set
	// Causes partition the set, each under its first reason by the order of the kinds.
	Causes []Cause
	// Loop is 0, or the same number for all steps whose tables read one another: they are cut into chunks together.
	Loop int
}

// A CauseKind is why partitions are in a plan.
type CauseKind string

// The kinds, in the order in which they are told: the first that holds is the cause.
const (
	CauseFailed      CauseKind = "failed"      // the last attempt failed, or left it unclear what stands there
	CauseQuarantined CauseKind = "quarantined" // the last attempt's rows did not pass, or what stands there fails
	CauseMissing     CauseKind = "missing"     // nothing stands there
	CauseMarked      CauseKind = "marked"      // a person asked for it
	CauseCode        CauseKind = "code"        // other code computed it
	CauseInput       CauseKind = "input"       // an input changed since it was read, or came or went
	CauseLookback    CauseKind = "lookback"    // late data may have come
	CauseUpstream    CauseKind = "upstream"    // a step of this plan may change an input
	CauseAsked       CauseKind = "asked"       // fresh, and named all the same
	CauseProducer    CauseKind = "producer"    // written all the same by the command that makes it with others, which writes by itself
)

// A Cause is why some partitions of a step are there.
type Cause struct {
	Kind CauseKind
	Set  calendar.Set
	// From and To are the code versions, for code; From is one of those that stand there.
	From, To string
	// Because names the first partitions of inputs that are to blame.
	Because []Ref
}

// A Ref names a partition.
type Ref struct {
	Table     string
	Axis      calendar.Axis
	Partition calendar.Partition
}

// ID is the partition's id.
func (r Ref) ID() string { return r.Axis.ID(r.Partition) }

// Blocked partitions of a table need work that cannot be done.
type Blocked struct {
	Table string
	Axis  calendar.Axis
	Set   calendar.Set
	// Held are those that a person's hold keeps from being written; the others lack inputs.
	Held calendar.Set
	// Items tell the first of them one by one.
	Items []BlockedItem
}

// A BlockedItem is a partition and what it lacks.
type BlockedItem struct {
	Partition calendar.Partition
	Held      bool
	Missing   []Lack
	Fix       Fix
}

// A Lack is an input of which a window holds too few ready partitions. Set are those that are not ready.
type Lack struct {
	Table string
	Axis  calendar.Axis
	Set   calendar.Set
}

// A Fix is what would mend something: a sentence, and a command where there is one.
type Fix struct {
	Text string   `json:"text"`
	Argv []string `json:"argv"`
}

// Skipped partitions need work that the request leaves out.
type Skipped struct {
	Table string
	Axis  calendar.Axis
	Set   calendar.Set
	Why   string
}

// A Recheck is rows that stand in a table and are to be checked again, not computed again.
type Recheck struct {
	Table string
	Axis  calendar.Axis
	Set   calendar.Set
	Why   string
}

// Partitions is the number of partitions of all steps.
func (p *Plan) Partitions() int {
	n := 0
	for i := range p.Steps {
		n += p.Steps[i].Set.Count()
	}
	return n
}

// BlockedPartitions is the number of partitions that are blocked.
func (p *Plan) BlockedPartitions() int {
	n := 0
	for i := range p.Blocked {
		n += p.Blocked[i].Set.Count()
	}
	return n
}

func (s *Step) together(o *Step) bool {
	return s.Loop != 0 && s.Loop == o.Loop || s.Producer != "" && s.Producer == o.Producer
}

// Stages groups the steps that must be cut into chunks together: one step, or those of a producer or of a loop.
func (p *Plan) Stages() [][]Step {
	var out [][]Step
	for i := 0; i < len(p.Steps); {
		j := i + 1
		for j < len(p.Steps) && p.Steps[i].together(&p.Steps[j]) {
			j++
		}
		out = append(out, p.Steps[i:j:j])
		i = j
	}
	return out
}
