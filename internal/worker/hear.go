package worker

import (
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/executor"
)

// hear takes in what a command reported of its partitions, and gives those that it called empty. With a report, partitions that it does
// not name count as failed.
func (o *outcome) hear(report *executor.Report, set calendar.Set) map[calendar.Partition]bool {
	empty := map[calendar.Partition]bool{}
	if report == nil {
		return empty
	}
	var unnamed []calendar.Partition
	defer func() { o.unnamed = calendar.Of(unnamed...) }()
	for p, state := range report.Partitions {
		if state.Unnamed {
			unnamed = append(unnamed, p)
		}
		switch state.State {
		case executor.ReportFailed:
			o.reasons[p] = firstOf(state.Error, "the command reported it as failed")
		case executor.ReportEmpty:
			empty[p] = true
		case executor.ReportDone:
		}
	}
	for p := range set.Partitions() {
		if _, named := report.Partitions[p]; !named {
			o.reasons[p] = "the command's report does not name it"
		}
	}
	return empty
}
