package cli

import (
	"fmt"
	"strings"
)

// A criterion is one of the five things that were not true that night, and whether it is now: judged by the machine from what the state holds.
type criterion struct {
	what   string
	told   string // if it holds
	failed string // if it does not
	holds  bool
}

// account ends the story: what would have happened, what happened, and the five criteria.
func (n *night) account() error {
	all := []criterion{n.overlapFree(), n.nothingStartsIt(), n.fixRan(), n.progressSeen(), n.audited()}
	n.inv.heading("What would have happened with nohup, and what happened:")
	rows := [][]string{{"", "WITH NOHUP", "WITH HEADWAY"}}
	rows = append(rows,
		[]string{"two backfills over " + thousands(n.overlap) + " dates", "the last writer wins, date by date: old rows over new ones", "the fix took exactly the overlap; phase 1 did the rest"},
		[]string{"a fix that fixes nothing", "\"success\", found out days later", fmt.Sprintf("failed with both figures (exit %d)", n.expects)},
		[]string{"phase 1 started again", "overwrites the fix", fmt.Sprintf("waited its turn, and was refused as older code (exit %d)", n.again)},
		[]string{"a job that wakes up late", "writes old rows over new ones", fmt.Sprintf("its publish was rejected (exit %d)", n.zombieExit)},
		[]string{"what rests on it", "computed from whatever stands there", "refused until its inputs are fresh, then computed in order"},
		[]string{"who did what, and why", "a list by hand", "in the audit log"},
	)
	n.inv.table(rows)
	n.inv.print("")
	rows = [][]string{{"CRITERION", "HOLDS"}}
	var failed []string
	for _, c := range all {
		verdict := "yes: " + c.told
		if !c.holds {
			verdict = "NO: " + c.failed
			failed = append(failed, c.what)
		}
		rows = append(rows, []string{c.what, verdict})
	}
	n.inv.table(rows)
	if n.err == nil && len(failed) > 0 {
		n.err = &exitError{Code: exitFailed, Err: fmt.Errorf("the story did not end as it should: %s", strings.Join(failed, "; "))}
	}
	return n.err
}

// A shownRun is what the story needs of a run's report.
type shownRun struct {
	Run    string `json:"run"`
	State  string `json:"state"`
	Tables []struct {
		Table     string `json:"table"`
		Published int    `json:"published"`
	} `json:"tables"`
	Expectations []struct {
		Passed bool     `json:"passed"`
		Before *float64 `json:"before"`
		After  *float64 `json:"after"`
	} `json:"expectations"`
}

// overlapFree: nothing of the overlap is as phase 1 left it, and no run holds any of it.
func (n *night) overlapFree() criterion {
	c := criterion{what: "phase 1 no longer holds the overlap"}
	var status struct {
		Tables []struct {
			Expected int            `json:"expected"`
			States   map[string]int `json:"states"`
		} `json:"tables"`
	}
	var ps struct {
		Runs   []psRun `json:"runs"`
		Leases []any   `json:"leases"`
	}
	n.answer(&status, "status", incidentTable, "--from", n.first, "--to", n.fixEnd, "--no-observe")
	n.answer(&ps, "ps", "--leases")
	if n.err != nil || len(status.Tables) == 0 {
		return c
	}
	n.overlap = status.Tables[0].Expected
	fresh := status.Tables[0].States["fresh"]
	c.holds = fresh == n.overlap && len(ps.Leases) == 0
	c.told = fmt.Sprintf("all %s dates of it stand as the new code wrote them, and nobody has a lease there", thousands(n.overlap))
	c.failed = fmt.Sprintf("%d of %d dates are as the fix wrote them; leases: %d", fresh, n.overlap, len(ps.Leases))
	return c
}

// nothingStartsIt: phase 1, started again, is refused.
func (n *night) nothingStartsIt() criterion {
	c := criterion{what: "nothing starts it there again"}
	code := n.in(checkoutOld, "And phase 1, started once more by a timer that nobody thought of:",
		"exec", "--table", incidentTable, "--from", n.first, "--to", n.month(), "--reason", "nightly", "--", "sh", "jobs/phase1.sh", "{from}", "{to}")
	refused := ownCode(exitRefused)
	c.holds = code == refused && n.again == refused
	c.told = "queued behind the fix or started afresh, it is refused"
	c.failed = fmt.Sprintf("it ended with exit %d and %d", n.again, code)
	return c
}

// fixRan: the fix published all of its own table's range, and what it was to bring about holds.
func (n *night) fixRan() criterion {
	c := criterion{what: "the fix ran to its end"}
	var fix shownRun
	n.answer(&fix, "show", n.fix)
	published := 0
	for _, t := range fix.Tables {
		if t.Table == incidentTable {
			published = t.Published
		}
	}
	moved := len(fix.Expectations) == 1 && fix.Expectations[0].Passed
	c.holds = published == n.overlap && moved && n.overlap > 0
	if moved && fix.Expectations[0].Before != nil && fix.Expectations[0].After != nil {
		c.told = fmt.Sprintf("%s dates published; usage rates known: %.1f%% before, %.1f%% after", thousands(published), 100**fix.Expectations[0].Before, 100**fix.Expectations[0].After)
	}
	c.failed = fmt.Sprintf("%d of %d dates published, state %s", published, n.overlap, fix.State)
	return c
}

// progressSeen: ps told of the fix while it was between its beginning and its end.
func (n *night) progressSeen() criterion {
	c := criterion{what: "its progress was to be seen all along"}
	var told []string
	for _, s := range n.seen {
		if s.done > 0 && s.done < s.total {
			told = append(told, fmt.Sprintf("%s/%s", thousands(s.done), thousands(s.total)))
		}
	}
	c.holds = len(told) > 0
	const most = 5
	if len(told) > most {
		told = append(told[:most], "...")
	}
	c.told = "ps showed " + strings.Join(told, ", ")
	c.failed = "ps never showed it under way"
	return c
}

// audited: every stop and override stands in the audit log, with who and why, and the log is whole.
func (n *night) audited() criterion {
	c := criterion{what: "every stop and override is in the audit log with its reason"}
	var log struct {
		Entries []struct {
			Action string `json:"action"`
			Reason string `json:"reason"`
			Actor  string `json:"actor"`
		} `json:"entries"`
	}
	n.answer(&log, "audit")
	want := map[string]int{"preempt": 0, "lease.break": 0}
	var bare []string
	for _, e := range log.Entries {
		if _, ok := want[e.Action]; ok {
			want[e.Action]++
		}
		if strings.TrimSpace(e.Reason) == "" {
			bare = append(bare, e.Action)
		}
	}
	verified := n.in(checkoutNew, "", "audit", "--verify", "-q")
	c.holds = want["preempt"] > 0 && want["lease.break"] > 0 && len(bare) == 0 && verified == 0
	c.told = fmt.Sprintf("%d entries, each with a reason; the chain is whole", len(log.Entries))
	c.failed = fmt.Sprintf("preempted %d times, broken %d times, without a reason: %s", want["preempt"], want["lease.break"], strings.Join(bare, ", "))
	return c
}

// answer is ask, unless the story has failed already.
func (n *night) answer(into any, args ...string) {
	if n.err == nil {
		n.err = n.ask(into, args...)
	}
}
