package plan

import (
	"fmt"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
)

// ranged adds --from and --to, both inclusive, as people type them.
func ranged(argv []string, t *catalog.Table, iv calendar.Interval) []string {
	if !t.Partitioned() {
		return argv
	}
	return append(argv, "--from", t.Axis.ID(iv.Start), "--to", t.Axis.ID(iv.End-1))
}

// build is how an input that is not fresh is made so.
func build(t *catalog.Table, iv calendar.Interval) Fix {
	if t.IsSource() {
		return Fix{
			Text: fmt.Sprintf("bring the data of %s, then look again", t.Name),
			Argv: []string{"headway", "observe", t.Name},
		}
	}
	return Fix{
		Text: fmt.Sprintf("build %s and what it rests on", t.Name),
		Argv: append(ranged([]string{"headway", "run", t.Name}, t, iv), "--upstream"),
	}
}

// unlessSkipped adds to a fix that wants data from outside what to do with the reader where they will never come.
func unlessSkipped(f Fix, reader *catalog.Table, p calendar.Partition) Fix {
	argv := append(ranged([]string{"headway", "mark", reader.Name}, reader, calendar.Single(p)), "--as", "skipped")
	f.Text += "; if they will never come, " + strings.Join(argv, " ")
	return f
}

// rerun computes one partition again.
func rerun(t *catalog.Table, p calendar.Partition, more ...string) Fix {
	return Fix{
		Text: fmt.Sprintf("compute %s %s", t.Name, t.Axis.ID(p)),
		Argv: append(ranged([]string{"headway", "run", t.Name}, t, calendar.Single(p)), more...),
	}
}

// acceptLoss is how a person says that lost dates will not come back.
func acceptLoss(t *catalog.Table) Fix {
	return Fix{
		Text: fmt.Sprintf("bring back the lost dates of %s, or say that they are gone for good", t.Name),
		Argv: []string{"headway", "observe", t.Name, "--accept"},
	}
}

func unhold(t *catalog.Table, p calendar.Partition) Fix {
	return Fix{
		Text: fmt.Sprintf("release the hold on %s %s", t.Name, t.Axis.ID(p)),
		Argv: ranged([]string{"headway", "unhold", t.Name}, t, calendar.Single(p)),
	}
}

func verify(t *catalog.Table, p calendar.Partition) Fix {
	return Fix{
		Text: fmt.Sprintf("see what differs in %s %s", t.Name, t.Axis.ID(p)),
		Argv: ranged([]string{"headway", "verify", t.Name}, t, calendar.Single(p)),
	}
}
