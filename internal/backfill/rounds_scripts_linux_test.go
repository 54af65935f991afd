package backfill_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// roundScript writes a line for each partition when it begins with it and when it has done it. By its kind it starts others that write for as long
// as they live, in the ways in which processes get out of sight, and does not mind TERM.
const roundScript = `
j() { printf '%s %s %s %s %s %s %s\n' "$1" "$HEADWAY_TOKEN" "$HEADWAY_RUN_ID" "$HEADWAY_ATTEMPT" "$2" "$$" "$PPID" >> "$JOURNAL"; }
case $KIND in *stubborn*) trap '' TERM;; esac
case $KIND in *family*)
  setsid sh beat.sh > /dev/null 2>&1 < /dev/null &
  (nohup setsid sh beat.sh > /dev/null 2>&1 < /dev/null &)
esac
for p in $(echo "$HEADWAY_PARTITIONS" | tr , ' '); do
  j begin "$p"
  sleep 0.05
  j end "$p"
done
`

const roundBeat = `
i=0
while [ $i -lt 200 ]; do
  printf '%s %s %s %s %s %s %s\n' beat "$HEADWAY_TOKEN" "$HEADWAY_RUN_ID" "$HEADWAY_ATTEMPT" "$HEADWAY_PARTITIONS" "$$" "$PPID" >> "$JOURNAL"
  sleep 0.1
  i=$((i+1))
done
`

// A request is what one exec after the other is asked for: the first as it is, the others for the rest.
type request struct {
	from, to int // days of January 2024
	begun    bool
}

func day(n int) string { return fmt.Sprintf("2024-01-%02d", n) }

// A scripts is a round of several execs of one script, over ranges that overlap, without a project.
type scripts struct {
	*round
	requests []*request
}

const roundDays = 14

func playScripts(r *round) {
	r.write(r, map[string]string{"job.sh": roundScript, "beat.sh": roundBeat})
	r.state = filepath.Join(r.dir, "state.db")
	r.env = append(r.env, "HEADWAY_STATE=sqlite:"+r.state)
	s := &scripts{round: r}
	for range 3 {
		from := 1 + r.random.IntN(roundDays-2)
		s.requests = append(s.requests, &request{from: from, to: min(roundDays, from+2+r.random.IntN(8))})
	}
	slices.SortFunc(s.requests, func(a, b *request) int { return a.from*100 + a.to - b.from*100 - b.to })
	s.requests = slices.CompactFunc(s.requests, func(a, b *request) bool { return a.from == b.from && a.to == b.to })
	s.random.Shuffle(len(s.requests), func(i, k int) { s.requests[i], s.requests[k] = s.requests[k], s.requests[i] })

	s.exec(s.requests[0])
	s.await(10*roundTTL, func(lines []entry) bool { return len(lines) > 0 })
	for range 3 + s.random.IntN(3) {
		s.awaitLines(s.random.IntN(8))
		s.act()
		if s.random.IntN(3) == 0 {
			s.thaw()
		}
	}
	s.thaw()
	for _, l := range s.launched {
		l.wait(r)
	}
	s.others.Wait()
	s.finish()
}

// act does the next thing: another exec, or something bad.
func (s *scripts) act() {
	if s.random.IntN(3) == 0 {
		s.exec(s.requests[s.random.IntN(len(s.requests))])
		return
	}
	if !s.strike() {
		s.exec(s.requests[s.random.IntN(len(s.requests))])
		return
	}
	if len(s.frozen) > 0 && s.random.IntN(2) == 0 {
		// Somebody else takes over before it wakes up.
		before := len(s.journal())
		l := s.exec(s.requests[s.random.IntN(len(s.requests))], "--on-conflict", "wait", "--wait-timeout", "20s")
		old := map[string]bool{}
		for _, e := range s.journal() {
			old[e.run] = true
		}
		if s.await(3*roundTTL, func(lines []entry) bool {
			return l.ended() || slices.ContainsFunc(lines[before:], func(e entry) bool { return !old[e.run] })
		}) {
			s.told.count("taken over while suspended")
		}
		s.thaw()
	}
}

// exec launches an exec of a request; one that was asked for before is resumed.
func (s *scripts) exec(q *request, policy ...string) *launched {
	args := []string{"exec", "--table", "t", "--from", day(q.from), "--to", day(q.to), "--chunk", fmt.Sprint(1 + s.random.IntN(4)), "--reason", "chaos"}
	args = append(args, "--class", pick(s.round, "backfill", "backfill", "scheduled", "fix"), "--max-parallel", pick(s.round, "1", "2"))
	if len(policy) == 0 {
		policy = []string{"--on-conflict", pick(s.round, "fail", "wait", "trim", "yield", "preempt", "preempt"), "--wait-timeout", "20s"}
	}
	args = append(args, policy...)
	if q.begun {
		args = append(args, "--resume")
	}
	q.begun = true
	return s.launch(pick(s.round, "plain", "family", "family", "stubborn family"), append(args, "--", "sh", "job.sh")...)
}

func pick[V any](r *round, from ...V) V { return from[r.random.IntN(len(from))] }

// onceDone wants that no resumed exec did a partition again that the execs of the same request had published, unless somebody had begun to write it
// since.
func (s *scripts) onceDone() {
	attempts, err := s.open().Attempts(s.Context(), ledger.AttemptFilter{})
	if err != nil {
		s.Fatal(err)
	}
	runs, err := s.led.Runs(s.Context(), ledger.RunFilter{Limit: 1000})
	if err != nil {
		s.Fatal(err)
	}
	slices.SortFunc(attempts, func(a, b ledger.AttemptRecord) int { return int(a.Token - b.Token) })
	work := map[ledger.RunID]string{} // an exec that does not resume begins a work anew
	resumed := map[ledger.RunID]bool{}
	begun := map[string]int{}
	for _, run := range slices.Backward(runs) { // oldest first
		asked := rangeOf.FindString(run.Command)
		if resumed[run.ID] = strings.Contains(run.Command, " --resume"); !resumed[run.ID] {
			begun[asked]++
		}
		work[run.ID] = fmt.Sprint(asked, begun[asked])
	}
	last := map[calendar.Partition]ledger.AttemptRecord{} // who began with a partition last
	for _, a := range attempts {
		for p := range a.Set.Partitions() {
			if was, ok := last[p]; ok && resumed[a.Run] && work[a.Run] == work[was.Run] && was.Published.Contains(p) {
				s.Errorf("attempt %s of %s, which resumed, did partition %d again, which attempt %s of %s had published", a.ID, a.Run, p, was.ID, was.Run)
			}
			last[p] = a
		}
	}
}

var rangeOf = regexp.MustCompile(`--from \S+ --to \S+`)

// finish resumes what was asked for, one after the other, and looks at everything.
func (s *scripts) finish() {
	for _, q := range s.requests {
		if !q.begun {
			continue
		}
		l := s.launch("plain", "exec", "--table", "t", "--from", day(q.from), "--to", day(q.to), "--resume", "--", "sh", "job.sh")
		l.wait(s.round)
		if l.exit != 0 {
			s.Errorf("resuming %s..%s: exit %d\n%s", day(q.from), day(q.to), l.exit, l.out.Bytes())
		}
		s.published(q)
	}
	for _, q := range s.requests {
		if q.begun {
			s.done(q)
		}
	}
	s.noOrphans()
	s.superseded()
	s.onceDone()
	s.audited()
	for _, x := range s.leases() {
		s.Errorf("lease %s of run %s is left", x.ID, x.Run)
	}
}

// published wants that all of a request was published at some time. (What somebody else has begun anew since is his to finish.)
func (s *scripts) published(q *request) {
	attempts, err := s.open().Attempts(s.Context(), ledger.AttemptFilter{})
	if err != nil {
		s.Fatal(err)
	}
	var all calendar.Set
	for _, a := range attempts {
		all = all.Union(a.Published)
	}
	for n := q.from; n <= q.to; n++ {
		if p := partitionOf(s, n); !all.Contains(p) {
			s.Errorf("%s was asked for and resumed, and nobody has published it", day(n))
		}
	}
}

func partitionOf(t testing.TB, n int) calendar.Partition {
	iv, err := calendar.Axis{Grain: calendar.Day, Zone: "UTC"}.ParseRange(day(n), day(n), epoch)
	if err != nil {
		t.Fatal(err)
	}
	return iv.Start
}

// done wants that all of a request stands, and nothing of it is in doubt.
func (s *scripts) done(q *request) {
	attempts, err := s.open().Attempts(s.Context(), ledger.AttemptFilter{Limit: 1})
	if err != nil || len(attempts) == 0 {
		s.Fatal(attempts, err)
	}
	key := attempts[0].Table
	snapshot, err := s.led.Snapshot(s.Context(), []string{key})
	if err != nil {
		s.Fatal(err)
	}
	h := snapshot.Table(key)
	for n := q.from; n <= q.to; n++ {
		p := partitionOf(s, n)
		one := calendar.Of(p)
		stands := false
		for _, segment := range h.Segments {
			if segment.Start <= p && p < segment.End && segment.Attempt != "" && segment.Content == history.Rows {
				stands = true
			}
		}
		if !stands || h.Unsettled.Overlaps(one) || h.InFlight.Overlaps(one) {
			s.Errorf("%s was asked for, and is lost: %+v", day(n), h.Segments)
		}
	}
}

// superseded wants that nobody wrote a partition once somebody with a higher token had begun with it.
func (r *round) superseded() {
	highest := map[string]entry{}
	told := map[string]bool{} // once for each attempt
	for _, e := range r.journal() {
		for _, p := range e.partitions {
			switch was := highest[p]; {
			case e.token < was.token:
				if told[e.attempt] {
					continue
				}
				told[e.attempt] = true
				r.Errorf("%s is written by %s, after %s", p, e, was)
			case e.kind != "beat":
				highest[p] = e
			}
		}
	}
}

// audited wants that the audit log is whole.
func (r *round) audited() {
	out, err := r.command("audit", "--verify").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "whole") {
		r.Errorf("audit --verify: %v: %s", err, out)
	}
}
