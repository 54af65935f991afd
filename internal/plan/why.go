package plan

import (
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/history"
)

// Bounds of a chain: how many links are kept at each end, and how many are walked. A loop may lead back through all its dates.
const (
	keptLinks   = 20
	walkedLinks = 100_000
)

// A Chain says why a partition stands as it does: from the partition down to the root cause, and what mends that.
type Chain struct {
	Table     string
	Axis      calendar.Axis
	Partition calendar.Partition
	State     State
	Links     []Link
	// Left counts links in the middle that are left out.
	Left int
	// Fix has no text where there is nothing to mend.
	Fix Fix

	computable bool           // a run mends it
	source     *catalog.Table // whose data never came, if that is the root
}

// A Link is one partition of a chain with its state and why it has that.
type Link struct {
	Ref
	State  State
	Reason string
}

// Why explains one partition. State is "" for a partition that is neither expected nor coming.
func (w *World) Why(table string, p calendar.Partition) *Chain {
	n := w.named[table]
	if n == nil {
		return &Chain{Table: table, Partition: p}
	}
	c := &Chain{Table: table, Axis: n.table.Axis, Partition: p, State: w.State(table, p)}
	start, reader, read := n, n, p
	for range walkedLinks {
		l := w.link(n, p)
		c.add(l.Link)
		if l.next == nil {
			c.add(l.cause...)
			c.Fix, c.computable = l.fix, l.run
			switch {
			case n == start:
			case l.run:
				c.Fix = rerun(start.table, c.Partition, "--upstream")
			case n.table.IsSource() && l.State == StateMissing:
				c.Fix = unlessSkipped(c.Fix, reader.table, read)
			}
			if n.table.IsSource() && l.State == StateMissing {
				c.source = n.table
			}
			return c
		}
		reader, read = n, p
		n, p = l.next, l.at
	}
	return c
}

func (c *Chain) add(links ...Link) {
	for _, l := range links {
		if len(c.Links) == 2*keptLinks {
			copy(c.Links[keptLinks:], c.Links[keptLinks+1:])
			c.Links = c.Links[:len(c.Links)-1]
			c.Left++
		}
		c.Links = append(c.Links, l)
	}
}

// A hop is a link and where it leads: to the next partition, or to an end with what caused it and a fix.
type hop struct {
	Link
	next  *node
	at    calendar.Partition
	cause []Link
	fix   Fix
	run   bool // the fix is to compute it
}

func (w *World) link(n *node, p calendar.Partition) hop {
	t := n.table
	h := hop{Link: Link{Ref: Ref{t.Name, t.Axis, p}, State: w.State(t.Name, p)}}
	j := w.JudgeWithin(t.Name, calendar.Of(p))
	seg := segmentAt(n.history.Segments, p)
	switch h.State {
	case "":
		h.Reason = "not a partition that the calendar names"
	case StateNotDue:
		h.Reason = fmt.Sprintf("due at %s", t.Axis.Due(p, t.DueAfter).Format("2006-01-02T15:04:05Z07:00"))
	case StateInFlight:
		h.Reason, h.fix = "an attempt is writing it", Fix{Text: "wait; ps names the run", Argv: []string{"headway", "ps"}}
	case StateHeld:
		h.Reason, h.fix = "a hold keeps it from being written", unhold(t, p)
	case StateInDoubt:
		h.Reason, h.fix, h.run = "a writer ended without saying what it left", rerun(t, p), true
	case StateForeign:
		h.Reason, h.fix = "the rows are not those that were published", verify(t, p)
	case StateBlocked:
		return w.lacking(n, p, h)
	case StateQuarantined, StateFailed, StateFailing, StateMissing:
		w.unpublished(n, p, &h)
	case StateStale:
		w.outOfDate(n, p, j, seg, &h)
	default:
		h.Reason = standing(h.State)
	}
	return h
}

func standing(s State) string {
	switch s {
	case StateSkipped:
		return "a person said that there will be no rows"
	case StateEmpty:
		return "computed, and no rows are right"
	case StateBootstrap:
		return "up to date, from the short windows of a period's start"
	case StateShort:
		return "up to date, from fewer inputs than its windows name"
	}
	return "up to date, and so is all it rests on"
}

// Bounds of what a link names of the inputs that are lacking.
const (
	lacksTold = 4 // inputs
	datesTold = 3 // partitions of each
)

// lacking names every input that lacks partitions, and leads to the first of them that is not fresh.
func (w *World) lacking(n *node, p calendar.Partition, h hop) hop {
	one := calendar.Of(p)
	var lacks []string
	for _, e := range n.inputs {
		if setOf(e.unmet(nil, one, e.read.lacking()), one).Empty() {
			continue
		}
		bad := e.windows(p).Intersect(e.read.lacking())
		q, ok := bad.First()
		if !ok {
			lacks = append(lacks, fmt.Sprintf("%s has fewer partitions in the window than the %d it must have", e.read.table.Name, e.in.Min))
			if h.fix.Text == "" {
				h.fix = Fix{Text: "lower min, or declare a bootstrap"}
			}
			continue
		}
		lacks = append(lacks, fmt.Sprintf("%s lacks %s", e.read.table.Name, told(e.read.table.Axis, bad)))
		if h.next == nil {
			h.next, h.at = e.read, q
		}
	}
	if left := len(lacks) - lacksTold; left > 0 {
		lacks = append(lacks[:lacksTold], fmt.Sprintf("and %d more inputs", left))
	}
	h.Reason = strings.Join(lacks, "; ")
	return h
}

// told names the partitions of a set: all of a few, the ends of many.
func told(axis calendar.Axis, set calendar.Set) string {
	n := set.Count()
	if n <= datesTold {
		return axis.FormatSet(set, datesTold)
	}
	bounds := set.Bounds()
	return fmt.Sprintf("%d partitions from %s to %s", n, axis.ID(bounds.Start), axis.ID(bounds.End-1))
}

func (w *World) unpublished(n *node, p calendar.Partition, h *hop) {
	t := n.table
	h.fix, h.run = rerun(t, p), true
	verdict := verdictAt(n.history.Verdicts, p)
	switch {
	case t.IsSource() && h.State == StateQuarantined:
		h.Reason, h.run = "it broke its contract, or was lost after it had been read", false
		h.fix = Fix{Text: fmt.Sprintf("mend the data of %s, or accept what stands there", t.Name), Argv: []string{"headway", "observe", t.Name, "--accept"}}
		for _, m := range w.Misfits[t.Name] {
			if m.Set.Contains(p) {
				h.Reason = m.Reason
				h.fix = Fix{Text: fmt.Sprintf("mend the data of %s, or declare another type in its contract", t.Name), Argv: []string{"headway", "observe", t.Name}}
				break
			}
		}
	case n.dropped.Contains(p):
		h.Reason, h.run, h.fix = "the calendar does not name it any more, though it is materialized", false, acceptLoss(t)
	case t.IsSource():
		h.Reason, h.run, h.fix = "the source has no rows of it", false, build(t, calendar.Single(p))
	case h.State == StateQuarantined:
		h.Reason, h.run = "its last rows did not pass: "+verdict.Reason, false
		h.fix = rerun(t, p, "--reprocess", "quarantined")
		h.fix.Text = "mend the data, the code or the check; then " + h.fix.Text
	case h.State == StateFailed:
		h.Reason = "the last attempt failed: " + verdict.Reason
	case h.State == StateFailing:
		h.Reason, h.run = "the rows that stand there fail a check that blocks", false
		if verdict.Reason != "" {
			h.Reason += ": " + verdict.Reason
		}
		h.fix = rerun(t, p, "--reprocess", "quarantined")
		h.fix.Text = fmt.Sprintf("mend the data, the code or the check; then %s, or check what stands there again: %s", h.fix.Text,
			strings.Join(ranged([]string{"headway", "check", t.Name}, t, calendar.Single(p)), " "))
	default:
		h.Reason = "never computed"
	}
}

func verdictAt(verdicts []history.Verdict, p calendar.Partition) history.Verdict {
	for _, v := range verdicts {
		if v.Contains(p) {
			return v
		}
	}
	return history.Verdict{}
}

// outOfDate tells the first reason for which content is stale.
func (w *World) outOfDate(n *node, p calendar.Partition, j *Judgement, seg *history.Segment, h *hop) {
	t := n.table
	h.fix, h.run = rerun(t, p), true
	switch {
	case j.Marked.Contains(p):
		h.Reason = "marked stale"
		if t.Immutable {
			h.run = false
			h.fix = rerun(t, p, "--reprocess", "all", "--override")
		}
	case j.Code.Contains(p) && !w.LeaveCode:
		h.Reason = fmt.Sprintf("computed by version %s; the table's head is %s", brief(seg.Version), brief(w.Versions[t.Name]))
	case j.Input.Contains(p):
		h.Reason = "an input changed after it was read"
		for _, ref := range n.changedRefs(p, seg.ReadSeq, 1) {
			h.Reason = fmt.Sprintf("%s %s changed after it was read", ref.Table, ref.ID())
			link := Link{ref, w.State(ref.Table, ref.Partition), "changed, came or went"}
			if link.State == "" {
				link.Reason = "left the calendar"
			}
			h.cause = append(h.cause, link)
		}
		if len(h.cause) == 0 {
			h.Reason = "a period begins elsewhere than when it was computed"
		}
	case j.Lookback.Contains(p):
		h.Reason = "computed before the partitions after it were due: late data may have come"
	}
}

func brief(version string) string {
	if version == "" {
		return "unknown"
	}
	return version[:min(12, len(version))]
}
