package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A holdAnswer is a hold on a table.
type holdAnswer struct {
	Hold      string                `json:"hold"`
	Table     string                `json:"table"`
	Intervals []backfill.IntervalID `json:"intervals"`
	Since     time.Time             `json:"since"`
	By        holder                `json:"by"`
	Until     *time.Time            `json:"until"`
	Reason    string                `json:"reason"`

	text string
}

// holds lists the holds that stand, table by table of each.
func (inv *invocation) holds(c *backfill.Coordinator) ([]holdAnswer, error) {
	all, err := c.Holds(inv.ctx, "")
	if err != nil {
		return nil, err
	}
	out := []holdAnswer{}
	for _, h := range all {
		for _, claim := range h.Writes {
			name := c.NameOf(claim.Table)
			out = append(out, holdAnswer{
				string(h.ID), name, c.Intervals(name, claim.Set), h.Since.UTC(), holder{h.Holder.Host, h.Holder.PID, h.Holder.User}, timeOrNil(h.Until),
				h.Reason, claim.Axis.FormatSet(claim.Set, 3),
			})
		}
	}
	return out, nil
}

func (inv *invocation) printHolds(holds []holdAnswer) {
	if len(holds) == 0 {
		return
	}
	rows := [][]string{{"HELD", "PARTITIONS", "SINCE", "BY", "UNTIL", "REASON"}}
	for _, h := range holds {
		until := "released"
		if h.Until != nil {
			until = h.Until.Format(time.DateTime)
		}
		rows = append(rows, []string{
			h.Table, h.text, h.Since.Format(time.DateTime), fmt.Sprintf("%s@%s (%d)", h.By.User, h.By.Host, h.By.PID), until, h.Reason,
		})
	}
	inv.table(rows)
}

// A leaseAnswer is a stretch of a table that is not free.
type leaseAnswer struct {
	Lease     *string               `json:"lease"`
	Table     string                `json:"table"`
	State     string                `json:"state"` // reserved, in_flight, unsettled
	Intervals []backfill.IntervalID `json:"intervals"`
	Run       *string               `json:"run"`
	Token     *int64                `json:"token"`
	ExpiresIn *float64              `json:"expires_in"` // seconds, unless it is renewed

	text string
}

// leases lists what is reserved by live leases, what is being written under them, and what was left by leases that ended without saying
// what they did.
func (inv *invocation) leases(c *backfill.Coordinator) ([]leaseAnswer, error) {
	snapshot, err := c.Ledger.Snapshot(inv.ctx, slices.Sorted(maps.Keys(c.Keys)))
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	live, err := c.Ledger.Leases(inv.ctx, ledger.LeaseFilter{})
	if err != nil {
		return nil, fmt.Errorf("list the leases: %w", err)
	}
	active, err := c.Ledger.Runs(inv.ctx, ledger.RunFilter{Active: true})
	if err != nil {
		return nil, fmt.Errorf("list the runs: %w", err)
	}
	out := []leaseAnswer{}
	for _, x := range live {
		if x.Hold() || x.Over {
			continue
		}
		for _, claim := range x.Writes {
			out = append(out, liveLease(c, x, claim, snapshot.Table(claim.Table))...)
		}
	}
	for _, t := range c.Project.Tables {
		key := c.Tables[t.Name].Key
		for _, part := range byRun(active, key, snapshot.Table(key).Unsettled) {
			out = append(out, leaseAnswer{
				Table: t.Name, State: "unsettled", Intervals: c.Intervals(t.Name, part.set), Run: part.run, text: c.Format(t.Name, part.set),
			})
		}
	}
	return out, nil
}

// liveLease is what a lease has of one table: what is in flight, and what is reserved.
func liveLease(c *backfill.Coordinator, x ledger.LeaseRecord, claim ledger.Claim, h *history.Table) []leaseAnswer {
	var out []leaseAnswer
	id, run, token, left := string(x.ID), string(x.Run), int64(x.Tokens[claim.Table]), max(x.Left, 0).Seconds()
	name := c.NameOf(claim.Table)
	flying := claim.Set.Intersect(h.InFlight)
	for _, part := range []struct {
		state string
		set   calendar.Set
	}{{"in_flight", flying}, {"reserved", claim.Set.Minus(flying)}} {
		if !part.set.Empty() {
			out = append(out, leaseAnswer{&id, name, part.state, c.Intervals(name, part.set), &run, &token, &left, claim.Axis.FormatSet(part.set, 3)})
		}
	}
	return out
}

type runPart struct {
	run *string
	set calendar.Set
}

// byRun parts a set of a table by the runs that hold it.
func byRun(active []ledger.RunRecord, key string, set calendar.Set) []runPart {
	var out []runPart
	for i := range active {
		for _, claim := range active[i].Sets {
			if here := set.Intersect(claim.Set); claim.Table == key && !here.Empty() {
				id := string(active[i].ID)
				out = append(out, runPart{&id, here})
				set = set.Minus(here)
			}
		}
	}
	if !set.Empty() {
		out = append(out, runPart{nil, set})
	}
	return out
}

func (inv *invocation) printLeases(leases []leaseAnswer) {
	if len(leases) == 0 {
		inv.print("no leases")
		return
	}
	rows := [][]string{{"TABLE", "STATE", "PARTITIONS", "RUN", "LEASE", "TOKEN", "EXPIRES IN"}}
	or := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	for _, l := range leases {
		token, left := "-", "-"
		if l.Token != nil {
			token = strconv.FormatInt(*l.Token, 10)
		}
		const year = 365 * 24 * time.Hour
		if l.ExpiresIn != nil && time.Duration(*l.ExpiresIn)*time.Second > year {
			left = "with its process"
		} else if l.ExpiresIn != nil {
			left = (time.Duration(*l.ExpiresIn) * time.Second).String()
		}
		rows = append(rows, []string{l.Table, l.State, l.text, or(l.Run), or(l.Lease), token, left})
	}
	inv.table(rows)
}
