package plan

import (
	"encoding/json"
	"time"

	"github.com/headway-data/headway/internal/calendar"
)

// Schema is the name of the JSON form of plans.
const Schema = "headway.plan/v1"

// The JSON form, as in docs/cli.md. Keys are always present.
type (
	jsonPlan struct {
		Schema  string        `json:"schema"`
		Plan    string        `json:"plan"`
		Request jsonRequest   `json:"request"`
		Env     *string       `json:"env"`
		AsOf    string        `json:"as_of"`
		Seq     int64         `json:"seq"`
		Class   string        `json:"class"`
		Totals  jsonTotals    `json:"totals"`
		Steps   []jsonStep    `json:"steps"`
		Blocked []jsonBlocked `json:"blocked"`
		Skipped []jsonSkipped `json:"skipped"`
		Checks  []jsonRecheck `json:"checks"`
	}
	jsonRequest struct {
		Tables     []string      `json:"tables"`
		Range      *jsonInterval `json:"range"`
		Reprocess  string        `json:"reprocess"`
		Explicit   bool          `json:"explicit"`
		Upstream   bool          `json:"upstream"`
		Downstream bool          `json:"downstream"`
	}
	jsonTotals struct {
		Partitions int    `json:"partitions"`
		Bytes      *int64 `json:"bytes"`
		Blocked    int    `json:"blocked"`
		Skipped    int    `json:"skipped"`
	}
	jsonInterval struct {
		Start string `json:"start"`
		End   string `json:"end"`
	}
	jsonCause struct {
		Kind CauseKind `json:"kind"`
		From *string   `json:"from"`
		To   *string   `json:"to"`
	}
	jsonRef struct {
		Table     string `json:"table"`
		Partition string `json:"partition"`
	}
	jsonStep struct {
		Table      string         `json:"table"`
		Producer   *string        `json:"producer"`
		Guarantee  string         `json:"guarantee"`
		Intervals  []jsonInterval `json:"intervals"`
		Partitions int            `json:"partitions"`
		Cause      jsonCause      `json:"cause"`
		Because    []jsonRef      `json:"because"`
	}
	jsonLack struct {
		Table      string `json:"table"`
		Partitions int    `json:"partitions"`
	}
	jsonBlocked struct {
		Table     string     `json:"table"`
		Partition string     `json:"partition"`
		Held      bool       `json:"held"`
		Missing   []jsonLack `json:"missing"`
		Fix       Fix        `json:"fix"`
	}
	jsonRecheck struct {
		Table      string         `json:"table"`
		Intervals  []jsonInterval `json:"intervals"`
		Partitions int            `json:"partitions"`
		Why        string         `json:"why"`
	}
	jsonSkipped struct {
		Table     string         `json:"table"`
		Intervals []jsonInterval `json:"intervals"`
		Why       string         `json:"why"`
	}
)

// Intervals bridges what is not expected: the stretches of a table's set between which an expected partition is left out.
func (w *World) Intervals(table string, set calendar.Set) []calendar.Interval {
	n := w.named[table]
	if n == nil {
		return set.Intervals()
	}
	runs := contiguous(set, n.index)
	out := make([]calendar.Interval, len(runs))
	for i, run := range runs {
		out[i] = run.Bounds()
	}
	return out
}

// JSON is the plan as plan/v1. A step with several causes is told as several, one after another.
func (p *Plan) JSON() ([]byte, error) {
	w, r := p.world, &p.Request
	out := jsonPlan{
		Schema: Schema, Plan: p.ID, Env: optional(r.Env), AsOf: p.AsOf.Format(time.RFC3339), Seq: int64(p.Seq), Class: p.Class(),
		Request: jsonRequest{
			Tables: append([]string{}, r.Tables...), Reprocess: r.reprocess().String(), Explicit: r.Explicit,
			Upstream: r.Upstream, Downstream: r.Downstream,
		},
		Totals:  jsonTotals{Partitions: p.Partitions(), Blocked: p.BlockedPartitions()},
		Steps:   []jsonStep{},
		Blocked: []jsonBlocked{},
		Skipped: []jsonSkipped{},
		Checks:  []jsonRecheck{},
	}
	if r.Range != nil {
		iv := interval(r.Range.Axis, r.Range.Interval)
		out.Request.Range = &iv
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		for _, c := range s.Causes {
			step := jsonStep{
				Table: s.Table, Producer: optional(s.Producer), Guarantee: s.Guarantee, Intervals: intervals(w, s.Table, s.Axis, c.Set), Partitions: c.Set.Count(),
				Cause: jsonCause{c.Kind, optional(c.From), optional(c.To)}, Because: []jsonRef{},
			}
			for _, ref := range c.Because {
				step.Because = append(step.Because, jsonRef{ref.Table, ref.ID()})
			}
			out.Steps = append(out.Steps, step)
		}
	}
	for i := range p.Blocked {
		out.Blocked = p.Blocked[i].json(out.Blocked)
	}
	for _, s := range p.Skipped {
		out.Totals.Skipped += s.Set.Count()
		out.Skipped = append(out.Skipped, jsonSkipped{s.Table, intervals(w, s.Table, s.Axis, s.Set), s.Why})
	}
	for _, c := range p.Rechecks {
		out.Checks = append(out.Checks, jsonRecheck{c.Table, intervals(w, c.Table, c.Axis, c.Set), c.Set.Count(), c.Why})
	}
	return json.Marshal(out)
}

type (
	jsonChain struct {
		Schema    string     `json:"schema"`
		Table     string     `json:"table"`
		Partition string     `json:"partition"`
		State     *string    `json:"state"`
		Chain     []jsonLink `json:"chain"`
		Left      int        `json:"left"`
		Fix       *Fix       `json:"fix"`
	}
	jsonLink struct {
		Table     string  `json:"table"`
		Partition string  `json:"partition"`
		State     *string `json:"state"`
		Reason    string  `json:"reason"`
	}
)

// JSON is the chain as why/v1. The state of what is no partition is null, and so is the fix where there is nothing to mend.
func (c *Chain) JSON() ([]byte, error) {
	out := jsonChain{
		Schema: "headway.why/v1", Table: c.Table, Partition: c.Axis.ID(c.Partition), State: optional(string(c.State)), Left: c.Left,
		Chain: []jsonLink{},
	}
	for _, l := range c.Links {
		out.Chain = append(out.Chain, jsonLink{l.Table, l.ID(), optional(string(l.State)), l.Reason})
	}
	if c.Fix.Text != "" {
		fix := c.Fix
		if fix.Argv == nil {
			fix.Argv = []string{}
		}
		out.Fix = &fix
	}
	return json.Marshal(out)
}

func (b *Blocked) json(out []jsonBlocked) []jsonBlocked {
	for _, item := range b.Items {
		one := jsonBlocked{Table: b.Table, Partition: b.Axis.ID(item.Partition), Held: item.Held, Missing: []jsonLack{}, Fix: item.Fix}
		for _, l := range item.Missing {
			one.Missing = append(one.Missing, jsonLack{l.Table, l.Set.Count()})
		}
		out = append(out, one)
	}
	return out
}

// Class is the request's class; backfill if it names none.
func (p *Plan) Class() string {
	if p.Request.Class == "" {
		return "backfill"
	}
	return p.Request.Class
}

func intervals(w *World, table string, axis calendar.Axis, set calendar.Set) []jsonInterval {
	out := []jsonInterval{}
	for _, iv := range w.Intervals(table, set) {
		out = append(out, interval(axis, iv))
	}
	return out
}

func interval(axis calendar.Axis, iv calendar.Interval) jsonInterval {
	if axis.Grain == calendar.None {
		return jsonInterval{axis.ID(iv.Start), axis.ID(iv.Start)}
	}
	return jsonInterval{axis.ID(iv.Start), axis.ID(iv.End)}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
