package ledger

import (
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// MaxPartitions bounds the sets about which something is said of each partition: attempts, marks and what was seen. Claims and expected
// sets may be open.
const MaxPartitions = 10_000_000

var errEmpty = errors.New("no partitions")

func checkSet(what string, s calendar.Set) error {
	if s.Empty() {
		return fmt.Errorf("%s: %w", what, errEmpty)
	}
	b := s.Bounds()
	if b.Start <= -calendar.Horizon/2 || b.End >= calendar.Horizon/2 || s.Count() > MaxPartitions {
		return fmt.Errorf("%s: more than %d partitions", what, MaxPartitions)
	}
	return nil
}

// Check reports what is wrong with a request whatever the ledger holds.
func (r LeaseRequest) Check() error {
	if r.ID == "" {
		return errors.New("a lease needs an id")
	}
	if len(r.Writes)+len(r.Reads) == 0 {
		return errors.New("a lease needs a claim")
	}
	if r.Run == "" {
		return errors.New("a lease needs a run")
	}
	if r.TTL <= 0 {
		return fmt.Errorf("a lease needs a time to live, not %s", r.TTL)
	}
	for _, claims := range [][]Claim{r.Writes, r.Reads} {
		seen := map[string]bool{}
		for _, c := range claims {
			if c.Table == "" || c.Set.Empty() {
				return fmt.Errorf("claim on %q: %w", c.Table, errEmpty)
			}
			if seen[c.Table] {
				return fmt.Errorf("%s is claimed twice", c.Table)
			}
			seen[c.Table] = true
		}
	}
	return nil
}

// Check reports what is wrong with a request whatever the ledger holds, but for its clock.
func (r AttemptRequest) Check(now history.Seq) error {
	if r.ID == "" {
		return errors.New("an attempt needs an id")
	}
	if r.ReadSeq < 0 || r.ReadSeq > now {
		return fmt.Errorf("attempt %s has read at %d, but the clock stands at %d", r.ID, r.ReadSeq, now)
	}
	if r.Asked < 0 || r.Asked > now {
		return fmt.Errorf("attempt %s was asked for at %d, but the clock stands at %d", r.ID, r.Asked, now)
	}
	return checkSet("attempt "+string(r.ID), r.Set)
}

// Named is what an intent would publish or quarantine.
func (i Intent) Named() calendar.Set { return i.published().Union(i.Quarantine) }

func (i Intent) published() calendar.Set {
	publish := make([]calendar.Interval, len(i.Publish))
	for k, c := range i.Publish {
		publish[k] = calendar.Single(c.Partition)
	}
	return calendar.NewSet(publish...)
}

// Check reports whether an intent stays within its attempt.
func (i Intent) Check(a Attempt) error {
	set := i.published()
	switch {
	case set.Count() != len(i.Publish):
		return fmt.Errorf("the intent of %s names a partition twice", i.Attempt)
	case !a.Set.Covers(set) || !a.Set.Covers(i.Quarantine):
		return fmt.Errorf("the intent of %s goes beyond the attempt's partitions", i.Attempt)
	case set.Overlaps(i.Quarantine):
		return fmt.Errorf("the intent of %s publishes what it quarantines", i.Attempt)
	case !set.Covers(i.Empty):
		return fmt.Errorf("the intent of %s calls partitions empty that it does not publish", i.Attempt)
	case !i.Quarantine.Covers(i.Failed):
		return fmt.Errorf("the intent of %s calls partitions failed that it does not keep back", i.Attempt)
	case !set.Covers(i.Failing):
		return fmt.Errorf("the intent of %s calls partitions failing that it does not publish", i.Attempt)
	case i.Table != a.Table || i.Version != a.Version || i.ReadSeq != a.ReadSeq:
		return fmt.Errorf("the intent of %s is not of its attempt: table, version and read_seq must be the attempt's", i.Attempt)
	}
	return nil
}

// Check reports whether a commit stays within its intent.
func (c Commit) Check(i Intent) error {
	if !i.published().Covers(c.Published) {
		return fmt.Errorf("attempt %s never stated that it would publish all of what is recorded", c.Attempt)
	}
	if !c.Published.Covers(c.Unchanged) {
		return fmt.Errorf("attempt %s: what is unchanged must have been published", c.Attempt)
	}
	return nil
}

// Check reports what is wrong with a failure whatever the ledger holds.
func (f Failure) Check() error {
	if !f.Cancelled && f.Outcome != history.Failed && f.Outcome != history.Quarantined {
		return fmt.Errorf("attempt %s cannot fail as %d", f.Attempt, f.Outcome)
	}
	return nil
}

// Check reports what is wrong with a recheck whatever the ledger holds, but for its clock.
func (r Recheck) Check(now history.Seq) error {
	if r.Table == "" {
		return errors.New("a recheck names no table")
	}
	if r.Seq < 0 || r.Seq > now {
		return fmt.Errorf("%s was checked at %d, but the clock stands at %d", r.Table, r.Seq, now)
	}
	if r.Passing.Overlaps(r.Failing) {
		return fmt.Errorf("recheck of %s: a partition both passes and fails", r.Table)
	}
	all := r.Passing.Union(r.Failing)
	if all.Empty() {
		return nil
	}
	return checkSet("recheck of "+r.Table, all)
}

// Of is what the ledger then holds of one partition on which nothing else stands in the way: its segment, and its verdict if it has one.
// rows is how many are known to stand there, -1 where that is not known; was is the verdict before, nil for none.
func (r Recheck) Of(s history.Segment, rows int64, was *history.Verdict) (history.Segment, *history.Verdict) {
	p := s.Start
	s.CheckVersion, s.CheckSeq = r.CheckVersion, r.Seq
	if r.Failing.Contains(p) {
		s.Content = history.Failing
		v := history.Verdict{
			Interval: s.Interval, Outcome: history.Quarantined, Attempt: s.Attempt, ReadSeq: s.ReadSeq, Version: s.Version,
			CheckVersion: r.CheckVersion, CheckSeq: r.Seq, Reason: r.Reasons[p],
		}
		if was != nil && was.Outcome == history.Quarantined && was.ReadSeq > v.ReadSeq {
			v.Attempt, v.ReadSeq, v.Version = was.Attempt, was.ReadSeq, was.Version
		}
		return s, &v
	}
	if s.Content == history.Failing {
		s.Content, was = history.Rows, nil
		if rows == 0 {
			s.Content = history.Empty
		}
	}
	return s, was
}

// Concerns reports whether a recheck speaks of what stands in a partition, which is neither in flight nor unsettled.
func (r Recheck) Concerns(s history.Segment) bool {
	return s.Content.Checkable() && s.ChangedSeq <= r.Seq && s.CheckSeq <= r.Seq
}

// Check reports what is wrong with an observation whatever the ledger holds.
func (o Observation) Check() error {
	for _, e := range o.Expected {
		if e.Table == "" {
			return errors.New("an expected set names no table")
		}
	}
	for _, s := range o.Sources {
		if s.Table == "" {
			return errors.New("what was seen names no source")
		}
		present := make([]calendar.Interval, len(s.Contents))
		for k, c := range s.Contents {
			present[k] = calendar.Single(c.Partition)
		}
		set := calendar.NewSet(present...)
		switch {
		case set.Count() != len(s.Contents):
			return fmt.Errorf("source %s: a partition was seen twice", s.Table)
		case set.Overlaps(s.Empty):
			return fmt.Errorf("source %s: a partition is both empty and not", s.Table)
		}
		for _, part := range []calendar.Set{set, s.Empty, s.Drifted} {
			if part.Empty() {
				continue
			}
			if err := checkSet("source "+s.Table, part); err != nil {
				return err
			}
			if !s.Looked.Covers(part) {
				return fmt.Errorf("source %s: partitions were seen where nobody looked", s.Table)
			}
		}
	}
	return nil
}

// Check reports what is wrong with a mark whatever the ledger holds.
func (m Mark) Check() error {
	if m.Table == "" {
		return errors.New("a mark names no table")
	}
	switch m.Kind {
	case MarkHeadTo:
		if m.Version == "" {
			return errors.New("promote which version?")
		}
		return nil
	case MarkStale:
		return nil
	case MarkFresh, MarkSkipped, MarkGone:
		for _, c := range m.Contents {
			if !m.Set.Contains(c.Partition) {
				return fmt.Errorf("mark %s: contents were given of partitions that are not marked", m.Table)
			}
		}
		return checkSet("mark "+m.Table, m.Set)
	}
	return fmt.Errorf("partitions cannot be marked as %q", m.Kind)
}

// Rank orders the states that a run passes through before its end: it only grows. Running and paused come and go.
func (s RunState) Rank() int {
	switch s {
	case "planned":
		return 0
	case "running", "paused":
		return 1
	}
	return 2
}

// Replaces reports whether a stored run may be replaced by this one: a run that has ended stays as it is, and none goes back.
func (r RunRecord) Replaces(stored RunRecord) bool {
	return !stored.Ended && (r.Ended || r.State.Rank() >= stored.State.Rank())
}
