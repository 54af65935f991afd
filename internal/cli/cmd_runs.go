package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

type psCmd struct {
	All    bool `help:"Also runs that have ended."`
	Leases bool `help:"Also what is reserved, in flight, or was left without an end."`
}

// A runAnswer is a run in ps/v1.
type runAnswer struct {
	Run       string      `json:"run"`
	Class     string      `json:"class"`
	State     string      `json:"state"`
	Guarantee string      `json:"guarantee"`
	Reason    *string     `json:"reason"`
	StartedAt time.Time   `json:"started_at"`
	EndedAt   *time.Time  `json:"ended_at"`
	Command   string      `json:"command"`
	Sets      []setAnswer `json:"sets"`
	Done      int         `json:"done"`
	Total     int         `json:"total"`
	Rate      *float64    `json:"rate"` // partitions a second
	ETA       *time.Time  `json:"eta"`
	WaitsFor  []string    `json:"waits_for"`
	Conflicts []string    `json:"conflicts_with"` // runs that write the same partitions at this moment
	Holder    holder      `json:"holder"`
	Exit      *int        `json:"exit"`
}

type setAnswer struct {
	Table     string                `json:"table"`
	Intervals []backfill.IntervalID `json:"intervals"`
}

type holder struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	User string `json:"user"`
}

// Run lists runs.
func (cmd psCmd) Run(inv *invocation) error {
	c, err := inv.openAny(true)
	if err != nil {
		return err
	}
	defer inv.close(c)
	runs, err := c.Ledger.Runs(inv.ctx, ledger.RunFilter{Active: !cmd.All})
	if err != nil {
		return fmt.Errorf("list the runs: %w", err)
	}
	waiting, err := inv.waiting(c)
	if err != nil {
		return err
	}
	clashes := c.Clashes(runs)
	list := []runAnswer{}
	for i := range runs {
		one := answerOf(c, &runs[i], inv.Now())
		if others := waiting[runs[i].ID]; len(others) > 0 && !runs[i].Ended && one.State != backfill.StateDead {
			one.State, one.WaitsFor = stateWaiting, others
		}
		for _, other := range clashes[runs[i].ID] {
			one.Conflicts = append(one.Conflicts, string(other))
		}
		list = append(list, one)
	}
	holds, err := inv.holds(c)
	if err != nil {
		return err
	}
	var leases []leaseAnswer
	if cmd.Leases {
		if leases, err = inv.leases(c); err != nil {
			return err
		}
	}
	takings, err := c.Takings(inv.ctx, "")
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema    string            `json:"schema"`
			Runs      []runAnswer       `json:"runs"`
			Holds     []holdAnswer      `json:"holds"`
			Leases    []leaseAnswer     `json:"leases"`
			Preempted []backfill.Taking `json:"preempted"`
		}{"headway.ps/v1", list, holds, leases, takings})
	}
	inv.printRuns(c, cmd.All, runs, list)
	for _, x := range takings {
		whose := "taken over"
		if x.Nobodys {
			whose = "nobody's"
		}
		inv.print("%s: %s %s: %s", whose, x.Table, c.Format(x.Table, x.Set), x.Text())
	}
	inv.printHolds(holds)
	if cmd.Leases {
		inv.printLeases(leases)
	}
	return nil
}

// stateWaiting is what a run is called that waits for others before it has anything.
const stateWaiting = "waiting"

// waiting is whom runs wait for: the runs, or holds, in the way.
func (inv *invocation) waiting(c *backfill.Coordinator) (map[ledger.RunID][]string, error) {
	all, err := c.Ledger.Leases(inv.ctx, ledger.LeaseFilter{Waiting: true})
	if err != nil {
		return nil, fmt.Errorf("list who waits: %w", err)
	}
	out := map[ledger.RunID][]string{}
	for _, x := range all {
		if !x.Waiting {
			continue
		}
		for _, way := range x.WaitsFor {
			who := string(way.Run)
			if way.Hold {
				who = string(way.Lease)
			}
			if !slices.Contains(out[x.Run], who) {
				out[x.Run] = append(out[x.Run], who)
			}
		}
	}
	return out, nil
}

func (inv *invocation) printRuns(c *backfill.Coordinator, all bool, runs []ledger.RunRecord, list []runAnswer) {
	if len(list) == 0 {
		inv.print("no runs%s", map[bool]string{false: " under way (--all shows those that have ended)"}[all])
		return
	}
	rows := [][]string{{"RUN", "CLASS", "STATE", "STARTED", "DONE", "RATE", "ETA", "GUARANTEE", "WHO", "WHAT"}}
	dead := 0
	for i, r := range list {
		eta, rate := "-", "-"
		if r.Rate != nil {
			rate = fmt.Sprintf("%.3g/s", *r.Rate)
		}
		if r.ETA != nil {
			eta = r.ETA.Sub(inv.Now()).Round(time.Second).String()
		}
		if r.State == backfill.StateDead {
			dead++
		}
		var what []string
		for _, s := range runs[i].Sets {
			what = append(what, c.NameOf(s.Table)+" "+span(s.Axis, s.Set))
		}
		text := abbreviated(what, 2)
		if len(r.WaitsFor) > 0 {
			text += "; waits for " + abbreviated(r.WaitsFor, 2)
		}
		if len(r.Conflicts) > 0 {
			text += "; WRITES WHERE " + abbreviated(r.Conflicts, 2) + " DOES: stop one of them"
		}
		rows = append(rows, []string{
			r.Run, r.Class, r.State, r.StartedAt.UTC().Format(time.DateTime), fmt.Sprintf("%s/%s", thousands(r.Done), thousands(r.Total)), rate, eta,
			r.Guarantee, fmt.Sprintf("%s@%s (%d)", r.Holder.User, r.Holder.Host, r.Holder.PID), text,
		})
	}
	inv.table(rows)
	if dead > 0 {
		next := "`headway run` finds out and does the rest"
		if c.Unseen() {
			next = "`headway exec` on its partitions finds out; with --resume it does the rest"
		}
		inv.print("dead: its process is gone without having said what it did; the next %s", next)
	}
}

func abbreviated(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

func answerOf(c *backfill.Coordinator, r *ledger.RunRecord, now time.Time) runAnswer {
	out := runAnswer{
		Run: string(r.ID), Class: string(r.Class), State: c.StateOf(r), Guarantee: c.GuaranteeOf(r), StartedAt: r.StartedAt,
		Command: r.Command, Sets: []setAnswer{}, Done: r.Done, Total: r.Total, WaitsFor: []string{}, Conflicts: []string{},
		Holder: holder{r.Holder.Host, r.Holder.PID, r.Holder.User},
	}
	if r.Reason != "" {
		out.Reason = &r.Reason
	}
	for _, s := range r.Sets {
		name := c.NameOf(s.Table)
		out.Sets = append(out.Sets, setAnswer{name, c.Intervals(name, calendar.NewSet(s.Set.Bounds()))})
	}
	took := now.Sub(r.StartedAt)
	switch {
	case r.Ended:
		out.EndedAt, out.Exit = &r.EndedAt, &r.Exit
		took = r.EndedAt.Sub(r.StartedAt)
	case out.State != backfill.StateDead && r.Done > 0 && r.Done < r.Total:
		eta := now.Add(took / time.Duration(r.Done) * time.Duration(r.Total-r.Done))
		out.ETA = &eta
	}
	if out.State != backfill.StateDead && r.Done > 0 && took > 0 {
		rate := float64(r.Done) / took.Seconds()
		out.Rate = &rate
	}
	return out
}

type showCmd struct {
	Of string `arg:"" name:"run" optional:"" default:"last" help:"Run: an id, a prefix of one, last, or a table's name."`
}

// Run shows what a run did.
func (cmd showCmd) Run(inv *invocation) error {
	c, err := inv.openAny(true)
	if err != nil {
		return err
	}
	defer inv.close(c)
	r, err := c.FindRun(inv.ctx, cmd.Of)
	if err != nil {
		return err
	}
	report := backfill.EmptyReport(r)
	report.State = c.StateOf(r)
	if len(r.Report) > 0 {
		if err := json.Unmarshal(r.Report, report); err != nil {
			return fmt.Errorf("read the report of %s: %w", r.ID, err)
		}
	}
	if inv.json() {
		return inv.answer(report)
	}
	inv.print("run %s: %s", r.ID, r.Command)
	inv.print("started %s by %s@%s (pid %d), class %s", r.StartedAt.UTC().Format(time.DateTime), r.Holder.User, r.Holder.Host, r.Holder.PID, r.Class)
	if r.Reason != "" {
		inv.print("reason: %s", r.Reason)
	}
	attempts, err := c.Ledger.Attempts(inv.ctx, ledger.AttemptFilter{Run: r.ID})
	if err != nil {
		return fmt.Errorf("read the attempts of %s: %w", r.ID, err)
	}
	rows := [][]string{{"ATTEMPT", "TABLE", "PARTITIONS", "STATE", "TOOK", "CODE", "REASON"}}
	for _, a := range attempts {
		name := c.NameOf(a.Table)
		took := "-"
		if !a.EndedAt.IsZero() {
			took = a.EndedAt.Sub(a.StartedAt).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{string(a.ID), name, c.Format(name, a.Set), a.State, took, short(a.Version), a.Reason})
	}
	if len(attempts) > 0 {
		inv.table(rows)
		inv.print("")
	}
	if len(r.Report) == 0 {
		inv.print("run %s: %s: %s of %s done", r.ID, report.State, thousands(r.Done), count(r.Total, "partition"))
		return nil
	}
	return inv.printReport(report)
}
