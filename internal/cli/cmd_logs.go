package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/ledger"
)

type logsCmd struct {
	Of        string `arg:"" name:"run" help:"Run: an id, a prefix of one, last, or a table's name." default:"last" optional:""`
	Table     string `help:"Only attempts on this table."`
	Partition string `help:"Only attempts on this partition."`
	Failed    bool   `help:"Only attempts that failed or were quarantined, wholly or in part."`
	Follow    bool   `short:"f" help:"Go on until the run ends."`
}

const (
	maxLogBytes = 256 << 10              // of one attempt's log: its end
	followEvery = 500 * time.Millisecond // how often --follow looks
)

// An attemptLog is an attempt in logs/v1.
type attemptLog struct {
	Attempt   string                `json:"attempt"`
	Table     string                `json:"table"`
	Intervals []backfill.IntervalID `json:"intervals"`
	State     string                `json:"state"`
	Reason    *string               `json:"reason"`
	StartedAt time.Time             `json:"started_at"`
	EndedAt   *time.Time            `json:"ended_at"`
	Log       string                `json:"log"`
	// Before is how many bytes of the log's beginning are left out.
	Before int64  `json:"before"`
	File   string `json:"file"`

	text string
}

// Run prints what the attempts of a run wrote.
func (cmd *logsCmd) Run(inv *invocation) error {
	c, err := inv.openAny(true)
	if err != nil {
		return err
	}
	defer inv.close(c)
	if cmd.Table != "" {
		if _, err := c.Names([]string{cmd.Table}); err != nil {
			return err
		}
	}
	record, err := c.FindRun(inv.ctx, cmd.Of)
	if err != nil {
		return err
	}
	if cmd.Follow {
		return cmd.follow(inv, c, record.ID)
	}
	list, err := cmd.attempts(inv, c, record.ID)
	if err != nil {
		return err
	}
	if inv.json() {
		return inv.answer(struct {
			Schema   string       `json:"schema"`
			Run      string       `json:"run"`
			Attempts []attemptLog `json:"attempts"`
		}{"headway.logs/v1", string(record.ID), notNil(list)})
	}
	for _, a := range list {
		inv.print("--- %s  %s  %s  %s", a.Attempt, a.Table, a.text, a.State)
		if a.Reason != nil && !strings.Contains(a.Log, *a.Reason) {
			inv.print("    %s", *a.Reason)
		}
		if a.Before > 0 {
			inv.print("    ... %s bytes before this are in %s", thousands(int(a.Before)), a.File)
		}
		if a.Log != "" {
			inv.print("%s", strings.TrimSuffix(a.Log, "\n"))
		}
	}
	if len(list) == 0 {
		inv.say("no attempt of run %s matches; `headway show %s` tells what the run did", record.ID, record.ID)
	}
	return nil
}

// attempts are the attempts of a run that the flags select, each with the end of its log.
func (cmd *logsCmd) attempts(inv *invocation, c *backfill.Coordinator, id ledger.RunID) ([]attemptLog, error) {
	attempts, err := c.Ledger.Attempts(inv.ctx, ledger.AttemptFilter{Run: id})
	if err != nil {
		return nil, fmt.Errorf("read the attempts of %s: %w", id, err)
	}
	var out []attemptLog
	for _, a := range attempts {
		name := c.NameOf(a.Table)
		if wanted, err := cmd.wants(c, name, &a); err != nil || !wanted {
			if err != nil {
				return nil, err
			}
			continue
		}
		one := attemptLog{
			Attempt: string(a.ID), Table: name, Intervals: c.Intervals(name, a.Set), State: a.State, StartedAt: a.StartedAt,
			File: c.LogPath(a.ID), text: c.Format(name, a.Set),
		}
		if a.Reason != "" {
			one.Reason = &a.Reason
		}
		if !a.EndedAt.IsZero() {
			one.EndedAt = &a.EndedAt
		}
		if one.Log, one.Before, err = tail(one.File); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (cmd *logsCmd) wants(c *backfill.Coordinator, name string, a *ledger.AttemptRecord) (bool, error) {
	if cmd.Table != "" && name != cmd.Table {
		return false, nil
	}
	if cmd.Failed && a.State != ledger.AttemptFailed && a.State != ledger.AttemptQuarantined && a.State != ledger.AttemptPartial && a.State != ledger.AttemptLost {
		return false, nil
	}
	t := c.Tables[name]
	if cmd.Partition == "" || t == nil {
		return true, nil
	}
	p, err := t.Axis.Parse(cmd.Partition)
	if err != nil {
		return false, &backfill.InputError{What: fmt.Sprintf("--partition of %s: %v", name, err), Next: "name one as `headway status " + name + "` shows them"}
	}
	return a.Set.Contains(p), nil
}

// tail is the end of a log, at most maxLogBytes, and how much comes before it. A log that does not exist is empty: most queries say nothing.
func tail(path string) (text string, before int64, err error) {
	f, err := os.Open(path) //nolint:gosec // a path that Headway made
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("read a log: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err := f.Stat(); err == nil && info.Size() > maxLogBytes {
		before = info.Size() - maxLogBytes
		if _, err := f.Seek(before, io.SeekStart); err != nil {
			return "", 0, fmt.Errorf("read a log: %w", err)
		}
	}
	content, err := io.ReadAll(io.LimitReader(f, maxLogBytes))
	if err != nil {
		return "", 0, fmt.Errorf("read a log: %w", err)
	}
	return string(content), before, nil
}

// A logEvent is a line of logs --follow as log/v1.
type logEvent struct {
	Schema    string                `json:"schema"`
	Seq       int                   `json:"seq"`
	Event     string                `json:"event"` // attempt.started, attempt.wrote, attempt.ended, run.ended
	Run       string                `json:"run"`
	Attempt   *string               `json:"attempt"`
	Table     *string               `json:"table"`
	Intervals []backfill.IntervalID `json:"intervals"`
	State     *string               `json:"state"`
	Text      *string               `json:"text"`
}

// A follower tells what is new of a run's attempts each time it looks.
type follower struct {
	*logsCmd
	inv  *invocation
	c    *backfill.Coordinator
	run  ledger.RunID
	seq  int
	read map[string]int64 // bytes of each attempt's log that were told
	over map[string]bool  // attempts whose end was told
}

// follow goes on until the run has ended, or its process is gone.
func (cmd *logsCmd) follow(inv *invocation, c *backfill.Coordinator, id ledger.RunID) error {
	f := &follower{logsCmd: cmd, inv: inv, c: c, run: id, read: map[string]int64{}, over: map[string]bool{}}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		// The run is asked first: what it wrote before it ended is read after.
		record, err := c.FindRun(inv.ctx, string(id))
		if err != nil {
			return err
		}
		state := c.StateOf(record)
		if err := f.look(); err != nil {
			return err
		}
		if record.Ended || state == backfill.StateDead {
			f.tell(logEvent{Event: "run.ended", State: &state}, fmt.Sprintf("run %s: %s", id, state))
			return nil
		}
		select {
		case <-inv.ctx.Done():
			return fmt.Errorf("follow run %s: %w", id, inv.ctx.Err())
		case <-tick.C:
		}
	}
}

func (f *follower) look() error {
	attempts, err := f.c.Ledger.Attempts(f.inv.ctx, ledger.AttemptFilter{Run: f.run})
	if err != nil {
		return fmt.Errorf("read the attempts of %s: %w", f.run, err)
	}
	for i := range attempts {
		a := &attempts[i]
		id, name := string(a.ID), f.c.NameOf(a.Table)
		wanted, err := f.wants(f.c, name, a)
		if err != nil {
			return err
		}
		if !wanted || f.over[id] {
			continue
		}
		event := logEvent{Attempt: &id, Table: &name, Intervals: f.c.Intervals(name, a.Set), State: &a.State}
		if _, known := f.read[id]; !known {
			f.read[id] = 0
			event.Event = "attempt.started"
			f.tell(event, fmt.Sprintf("--- %s  %s  %s", id, name, f.c.Format(name, a.Set)))
		}
		text, err := f.since(id, f.c.LogPath(a.ID))
		if err != nil {
			return err
		}
		if text != "" {
			event.Event, event.Text = "attempt.wrote", &text
			f.tell(event, strings.TrimSuffix(text, "\n"))
			event.Text = nil
		}
		if a.State != ledger.AttemptRunning {
			f.over[id] = true
			event.Event = "attempt.ended"
			if a.Reason != "" {
				event.Text = &a.Reason
			}
			f.tell(event, strings.TrimSuffix(fmt.Sprintf("--- %s  %s  %s: %s", id, name, a.State, a.Reason), ": "))
		}
	}
	return nil
}

// since reads what a log has gained, at most maxLogBytes at a time.
func (f *follower) since(id, path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // a path that Headway made
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if _, err := file.Seek(f.read[id], io.SeekStart); err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxLogBytes))
	if err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	f.read[id] += int64(len(text))
	return string(text), nil
}

// tell writes an event: as a JSON line, or its text.
func (f *follower) tell(e logEvent, text string) {
	if !f.inv.json() {
		f.inv.print("%s", text)
		return
	}
	f.seq++
	e.Schema, e.Seq, e.Run, e.Intervals = "headway.log/v1", f.seq, string(f.run), notNil(e.Intervals)
	if line, err := json.Marshal(e); err == nil {
		f.inv.print("%s", line)
	}
}
