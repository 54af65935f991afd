package run

import "github.com/headway-data/headway/internal/calendar"

// A Report is what a run tells of itself: headway.run/v1. Counts are of partitions.
type Report struct {
	Schema string        `json:"schema"`
	Run    string        `json:"run"`
	State  State         `json:"state"`
	Exit   int           `json:"exit"`   // -1 while it has not ended
	Reason *string       `json:"reason"` // the first reason why something was not published
	Done   int           `json:"done"`
	Total  int           `json:"total"`
	Tables []TableReport `json:"tables"`
}

// A TableReport is a table's part of a Report.
type TableReport struct {
	Table       string        `json:"table"`
	Published   int           `json:"published"`
	Unchanged   int           `json:"unchanged"` // of the published ones
	Quarantined int           `json:"quarantined"`
	Failed      int           `json:"failed"`
	Skipped     int           `json:"skipped"` // found fresh when their turn came
	Blocked     int           `json:"blocked"`
	Stopped     int           `json:"stopped"`
	Reason      *string       `json:"reason"`
	LeftTo      []LeftReport  `json:"left_to"`
	Checks      []CheckReport `json:"checks"`
}

// A LeftReport names partitions that were left to another run.
type LeftReport struct {
	Run        string           `json:"run"`
	Partitions int              `json:"partitions"`
	Intervals  []IntervalReport `json:"intervals"`
}

// An IntervalReport is a half-open interval by the ids of its bounds.
type IntervalReport struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// A CheckReport is a check's value over what the run published, before and after; nil where there is none.
type CheckReport struct {
	ID        string   `json:"id"`
	Before    *float64 `json:"before"`
	After     *float64 `json:"after"`
	Threshold *float64 `json:"threshold"`
	Passed    bool     `json:"passed"`
}

// Report tells what became of the run. axis gives the axis of a table and checks its metrics, both by table name; what the run cannot
// know comes from there.
func (r *Run) Report(id string, axis func(table string) calendar.Axis, checks func(table string) []CheckReport) Report {
	out := Report{
		Schema: "headway.run/v1", Run: id, State: r.state, Exit: r.Exit(), Reason: orNull(r.why), Done: r.ended, Total: r.total,
		Tables: []TableReport{},
	}
	for _, s := range r.Summaries() {
		t := TableReport{
			Table: s.Table, Published: s.Published.Count(), Unchanged: s.Unchanged.Count(), Quarantined: s.Quarantined.Count(),
			Failed: s.Failed.Count(), Skipped: s.Skipped.Count(), Blocked: s.Blocked.Count(), Stopped: s.Stopped.Count(),
			Reason: orNull(s.Reason), LeftTo: []LeftReport{}, Checks: checks(s.Table),
		}
		if t.Checks == nil {
			t.Checks = []CheckReport{}
		}
		for _, l := range s.LeftTo {
			left := LeftReport{Run: l.Run, Partitions: l.Set.Count(), Intervals: []IntervalReport{}}
			a := axis(s.Table)
			for _, iv := range l.Set.Intervals() {
				left.Intervals = append(left.Intervals, IntervalReport{Start: a.ID(iv.Start), End: a.ID(iv.End)})
			}
			t.LeftTo = append(t.LeftTo, left)
		}
		out.Tables = append(out.Tables, t)
	}
	return out
}

// orNull is nil for an empty text: null, not "".
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
