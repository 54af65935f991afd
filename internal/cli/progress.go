package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/run"
)

// lineEvery is how often progress is told where stderr is not a terminal.
const lineEvery = 10 * time.Second

// A progress tells how far a run is: a bar on a terminal, a line every ten seconds elsewhere, events as JSON lines on stdout with -o jsonl.
// start, event and stop are called from one goroutine; the lines come from another, which ends with stop.
type progress struct {
	inv *invocation
	c   *backfill.Coordinator
	// heading is what else is said of the run when it begins.
	heading string
	bars    *mpb.Progress
	bar     *mpb.Bar

	quit, done chan struct{} // nil where no lines are told

	mu           sync.Mutex // guards what follows
	began        time.Time
	ended, total int
	tables       map[string]int // chunks under way by table

	seq int // of the last line of JSON
}

func (inv *invocation) newProgress(c *backfill.Coordinator) *progress {
	return &progress{inv: inv, c: c, tables: map[string]int{}}
}

// start names the run and begins to draw.
func (p *progress) start(id ledger.RunID, total int) {
	p.began, p.total = p.inv.Now(), total
	if total == 0 {
		return
	}
	if p.heading != "" {
		p.inv.say("run %s: %s, %s, state %s", id, p.heading, count(total, "partition"), p.c.Ledger.URL())
	} else {
		p.inv.say("run %s: %s, state %s", id, count(total, "partition"), p.c.Ledger.URL())
	}
	switch {
	case p.inv.flags.Quiet:
	case p.heading != "" && p.inv.Terminal(p.inv.Stderr): // the terminal is the command's
	case p.inv.Terminal(p.inv.Stderr):
		p.bars = mpb.New(mpb.WithOutput(p.inv.Stderr), mpb.WithWidth(50))
		p.bar = p.bars.AddBar(int64(total),
			mpb.PrependDecorators(decor.CountersNoUnit("%d/%d partitions ")),
			mpb.AppendDecorators(decor.Percentage(), decor.AverageSpeed(0, "  %.0f/s"), decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)),
		)
	default:
		p.tell()
	}
}

// tell starts the lines.
func (p *progress) tell() {
	p.quit, p.done = make(chan struct{}), make(chan struct{})
	go p.lines()
}

// lines tells how far the run is every ten seconds, also while one chunk takes longer than that.
func (p *progress) lines() {
	defer close(p.done)
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			p.inv.say("%s", p.text())
		}
	}
}

// text is one line about how far the run is.
func (p *progress) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := p.inv.Now().Sub(p.began)
	line := fmt.Sprintf("%s of %s after %s", thousands(p.ended), count(p.total, "partition"), took.Round(time.Second))
	if rate := float64(p.ended) / took.Seconds(); p.ended > 0 && took > 0 {
		left := time.Duration(float64(p.total-p.ended) / rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf(", %.3g/s, about %s left", rate, left)
	}
	names := slices.Sorted(maps.Keys(p.tables))
	if len(names) > 0 {
		line += "; at " + abbreviated(names, 3)
	}
	return line
}

// event takes in what happened. The lines that are written of it have numbers of their own: of a chunk there is one for each of its tables.
func (p *progress) event(_ int, e run.Event, r *run.Run) {
	if p.inv.flags.Output == "jsonl" {
		p.tellJSON(e, r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.total = r.Progress()
	if p.bar != nil {
		p.bar.SetCurrent(int64(p.ended))
	}
	switch e.Kind {
	case run.Started:
		c, _, _, _ := r.Chunk(e.Chunk)
		for _, part := range c.Parts() {
			p.tables[part.Table]++
		}
	case run.Finished:
		c, _, _, _ := r.Chunk(e.Chunk)
		for _, part := range c.Parts() {
			if p.tables[part.Table]--; p.tables[part.Table] <= 0 {
				delete(p.tables, part.Table)
			}
		}
	}
}

// tellJSON writes an event as JSON, a line for each table that it is about.
func (p *progress) tellJSON(e run.Event, r *run.Run) {
	if e.Kind != run.Started && e.Kind != run.Finished {
		p.line(e, nil, e.Result)
		return
	}
	c, _, result, _ := r.Chunk(e.Chunk)
	for i, part := range c.Parts() {
		of := e.Result
		if of != nil && i > 0 {
			of = &result.With[i-1]
		}
		p.line(e, &part, of)
	}
}

// line writes one line about an event: about a table of its chunk, or about none, and what became of it.
func (p *progress) line(e run.Event, part *run.Part, result *run.Result) {
	p.seq++
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
	}{Schema: "headway.event/v1", Seq: p.seq, Event: string(e.Kind), Intervals: []backfill.IntervalID{}}
	if part != nil {
		out.Chunk, out.Table, out.Intervals = &e.Chunk, &part.Table, p.c.Intervals(part.Table, part.Set)
	}
	if result != nil {
		out.Published, out.Unchanged, out.Quarantined = result.Published.Count(), result.Unchanged.Count(), result.Quarantined.Count()
		out.Failed, out.Skipped, out.Blocked, out.Stopped = result.Failed.Count(), result.Skipped.Count(), result.Blocked.Count(), result.Stopped.Count()
		if result.Reason != "" {
			out.Reason = &result.Reason
		}
	}
	text, err := json.Marshal(out)
	if err == nil {
		fmt.Fprintf(p.inv.Stdout, "%s\n", text)
	}
}

// stop ends the drawing.
func (p *progress) stop() {
	if p.bar != nil {
		p.bar.Abort(false)
		p.bars.Wait()
	}
	if p.quit != nil {
		close(p.quit)
		<-p.done
	}
}
