package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// lineEvery is how often progress is told where stderr is not a terminal.
const lineEvery = 10 * time.Second

// A progress tells how far a run is: a bar on a terminal, a line now and then elsewhere, events as JSON lines on stdout with -o jsonl.
// Its methods are called from one goroutine.
type progress struct {
	inv   *invocation
	c     *backfill.Coordinator
	bars  *mpb.Progress
	bar   *mpb.Bar
	began time.Time
	last  time.Time
}

func (inv *invocation) newProgress(c *backfill.Coordinator) *progress {
	return &progress{inv: inv, c: c}
}

// start names the run and begins to draw.
func (p *progress) start(id ledger.RunID, total int) {
	p.began = p.inv.Now()
	p.last = p.began
	p.inv.say("run %s: %s, state %s", id, count(total, "partition"), p.c.Ledger.URL())
	if p.inv.flags.Quiet || total == 0 || !p.inv.Terminal(p.inv.Stderr) {
		return
	}
	p.bars = mpb.New(mpb.WithOutput(p.inv.Stderr), mpb.WithWidth(50))
	p.bar = p.bars.AddBar(int64(total),
		mpb.PrependDecorators(decor.CountersNoUnit("%d/%d partitions ")),
		mpb.AppendDecorators(decor.Percentage(), decor.AverageSpeed(0, "  %.0f/s"), decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)),
	)
}

// event takes in what happened.
func (p *progress) event(seq int, e run.Event, r *run.Run) {
	if p.inv.flags.Output == "jsonl" {
		p.line(seq, e, r)
	}
	ended, total := r.Progress()
	if p.bar != nil {
		p.bar.SetCurrent(int64(ended))
		return
	}
	now := p.inv.Now()
	if e.Kind != run.Finished || now.Sub(p.last) < lineEvery {
		return
	}
	p.last = now
	rate := float64(ended) / now.Sub(p.began).Seconds()
	left := time.Duration(float64(total-ended) / rate * float64(time.Second)).Round(time.Second)
	p.inv.say("%s of %s partitions, %.0f/s, about %s left", thousands(ended), thousands(total), rate, left)
}

// line writes one event as JSON.
func (p *progress) line(seq int, e run.Event, r *run.Run) {
	out := struct {
		Schema      string                `json:"schema"`
		Seq         int                   `json:"seq"`
		Event       string                `json:"event"`
		Chunk       *int                  `json:"chunk"`
		Table       *string               `json:"table"`
		Intervals   []backfill.IntervalID `json:"intervals"`
		Published   int                   `json:"published"`
		Unchanged   int                   `json:"unchanged"`
		Quarantined int                   `json:"quarantined"`
		Failed      int                   `json:"failed"`
		Skipped     int                   `json:"skipped"`
		Blocked     int                   `json:"blocked"`
		Stopped     int                   `json:"stopped"`
		Reason      *string               `json:"reason"`
	}{Schema: "headway.event/v1", Seq: seq, Event: string(e.Kind), Intervals: []backfill.IntervalID{}}
	if e.Kind == run.Started || e.Kind == run.Finished {
		c, _, _, _ := r.Chunk(e.Chunk)
		out.Chunk, out.Table, out.Intervals = &e.Chunk, &c.Table, p.c.Intervals(c.Table, c.Set)
	}
	if e.Result != nil {
		out.Published, out.Unchanged, out.Quarantined = e.Result.Published.Count(), e.Result.Unchanged.Count(), e.Result.Quarantined.Count()
		out.Failed, out.Skipped, out.Blocked, out.Stopped = e.Result.Failed.Count(), e.Result.Skipped.Count(), e.Result.Blocked.Count(), e.Result.Stopped.Count()
		if e.Result.Reason != "" {
			out.Reason = &e.Result.Reason
		}
	}
	text, err := json.Marshal(out)
	if err == nil {
		fmt.Fprintf(p.inv.Stdout, "%s\n", text) //nolint:errcheck // a closed stdout ends the process by SIGPIPE
	}
}

// stop ends the drawing.
func (p *progress) stop() {
	if p.bar != nil {
		p.bar.Abort(false)
		p.bars.Wait()
	}
}
