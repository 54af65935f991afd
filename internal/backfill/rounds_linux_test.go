package backfill_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headway-data/headway/internal/ledger/sqlite"
)

var (
	roundsWanted = flag.Int("rounds", 4, "how many rounds TestRounds plays")
	roundSeed    = flag.Uint64("roundseed", 0, "repeats the choices of TestRounds; 0: others each time")
	roundsAtOnce = flag.Int("roundsatonce", 12, "how many rounds TestRounds plays at the same time")
)

// roundTTL is for how long leases are granted in a round: not long, since what is suspended is to lose its own.
const roundTTL = 2 * time.Second

// TestRounds lets real processes work on the same partitions, and at random moments kills and suspends headway, the shim or the script, stops runs
// and breaks leases. Then all that was asked for is resumed, and looked at: no partition is lost, none that was acknowledged is computed again,
// no write of a superseded attempt is seen, nothing that anybody started still runs, and the audit log is whole.
//
// -roundseed repeats the choices (which process, after which line of the journal), and with them, as far as moments can be repeated, a round:
// -run TestRounds/017.
func TestRounds(t *testing.T) {
	seed := *roundSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-roundseed=%d", seed)
	if _, err := program(); err != nil {
		t.Fatal(err)
	}
	var told tally
	var all sync.WaitGroup
	slots := make(chan struct{}, *roundsAtOnce)
	for i := range *roundsWanted {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			play := playScripts
			if i%4 == 3 {
				play = playProject
			}
			t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) { play(newRound(t, rand.New(rand.NewPCG(seed, uint64(i))), &told)) })
		})
	}
	all.Wait()
	t.Logf("what was done: %s", &told)
}

// A tally counts what was done to whom, over all rounds.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (y *tally) count(what string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.n == nil {
		y.n = map[string]int{}
	}
	y.n[what]++
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	out := make([]string, 0, len(y.n))
	for _, what := range sortedKeys(y.n) {
		out = append(out, fmt.Sprintf("%s %d", what, y.n[what]))
	}
	return strings.Join(out, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// A round is a folder in which processes work, and what is seen of them.
type round struct {
	*testing.T
	*site
	random *rand.Rand
	told   *tally
	env    []string
	mark   string // of all processes of the round
	state  string // the file
	led    *sqlite.Ledger

	mu    sync.Mutex
	lines []entry
	more  chan struct{} // closed when there is another line, or a process has ended
	live  int           // of the processes that were launched

	launched []*launched
	frozen   []*victim
	others   sync.WaitGroup // orders that are being given
	notes    []string
}

// An entry is a line of the journal, which scripts write: in the order in which they did.
type entry struct {
	kind         string // begin, end: of a partition; beat: of what a script has started
	token        int
	run, attempt string
	partitions   []string
	script, shim int // process ids
}

func newRound(t *testing.T, random *rand.Rand, told *tally) *round {
	dir := folder(t)
	for _, d := range []string{dir, filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := &round{T: t, site: newSite(dir), random: random, told: told, mark: "HEADWAY_TEST_ROUND=" + dir, more: make(chan struct{})}
	journal := filepath.Join(dir, "journal")
	r.env = append(os.Environ(), r.mark, "HEADWAY_LEASE_TTL="+roundTTL.String(), "JOURNAL="+journal, "TMPDIR="+filepath.Join(dir, "tmp"))
	if err := unix.Mkfifo(journal, 0o600); err != nil {
		t.Fatal(err)
	}
	// A pipe keeps the order of writes, each of which is whole. Open for writing too, it has no end before it is closed.
	pipe, err := os.OpenFile(journal, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			r.hear(lines.Text())
		}
	}()
	t.Cleanup(func() {
		r.endAll()
		_ = pipe.Close()
		<-done
		if t.Failed() {
			r.dump()
		}
	})
	return r
}

func (r *round) hear(line string) {
	f := strings.Fields(line)
	const fields = 7
	if len(f) != fields {
		r.Errorf("a line of the journal: %q", line)
		return
	}
	e := entry{kind: f[0], run: f[2], attempt: f[3], partitions: strings.Split(f[4], ",")}
	e.token, _ = strconv.Atoi(f[1])
	e.script, _ = strconv.Atoi(f[5])
	e.shim, _ = strconv.Atoi(f[6])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, e)
	r.changed()
}

// changed wakes who waits. It is called with mu locked.
func (r *round) changed() {
	close(r.more)
	r.more = make(chan struct{})
}

// journal is what was written so far.
func (r *round) journal() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.lines)
}

// await waits until something is so, all that was launched has ended, or the limit has passed. It tells which: whether it is so.
func (r *round) await(limit time.Duration, so func(lines []entry) bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		r.mu.Lock()
		is, live, more := so(r.lines), r.live, r.more
		r.mu.Unlock()
		if is || live == 0 {
			return is
		}
		select {
		case <-more:
		case <-timer.C:
			return false
		}
	}
}

// awaitLines waits for so many more lines of the journal.
func (r *round) awaitLines(n int) {
	n += len(r.journal())
	r.await(roundTTL, func(lines []entry) bool { return len(lines) >= n })
}

func (r *round) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf("after line %d: ", len(r.lines))+fmt.Sprintf(format, args...))
}

// A launched is a headway process.
type launched struct {
	*exec.Cmd
	args []string
	out  bytes.Buffer // of both streams
	done chan struct{}
	exit int
}

// command prepares a headway process of the round.
func (r *round) command(args ...string) *exec.Cmd {
	path, err := program()
	if err != nil {
		r.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Dir, c.Env = r.dir, r.env
	return c
}

// launch starts a headway process.
func (r *round) launch(kind string, args ...string) *launched {
	l := &launched{Cmd: r.command(args...), args: args, done: make(chan struct{})}
	l.Env = append(slices.Clone(r.env), "KIND="+kind)
	l.Stdout, l.Stderr = &l.out, &l.out
	l.WaitDelay = time.Second // what it leaves behind may hold its streams
	if err := l.Start(); err != nil {
		r.Fatal(err)
	}
	r.mu.Lock()
	r.live++
	r.launched = append(r.launched, l)
	r.mu.Unlock()
	r.note("launch %d (%s): %s", l.Process.Pid, kind, strings.Join(args, " "))
	go func() {
		l.exit = exitOf(l.Wait())
		r.note("%d ended: %d", l.Process.Pid, l.exit)
		r.mu.Lock()
		r.live--
		r.changed()
		r.mu.Unlock()
		close(l.done)
	}()
	return l
}

func (l *launched) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// wait waits for its end.
func (l *launched) wait(r *round) {
	select {
	case <-l.done:
	case <-time.After(time.Minute):
		_ = l.Process.Signal(syscall.SIGQUIT) // it tells what it waits for
		<-l.done
		r.dumpTree()
		r.Fatalf("%v does not end", l.args)
	}
}

// endAll leaves nothing behind, whatever has failed.
func (r *round) endAll() {
	r.thaw()
	for _, l := range r.launched {
		if !l.ended() {
			_ = l.Process.Kill()
		}
		<-l.done
	}
	for _, pid := range r.marked("HEADWAY_ATTEMPT=") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	r.others.Wait()
}

// dump tells what has happened in a round that failed.
func (r *round) dump() {
	for _, n := range r.notes {
		r.Log(n)
	}
	for _, l := range r.launched {
		r.Logf("headway %s: exit %d\n%s", strings.Join(l.args, " "), l.exit, l.out.Bytes())
	}
	for i, e := range r.lines {
		r.Logf("%4d %s", i+1, e)
	}
}

// dumpTree tells which processes of the round there are.
func (r *round) dumpTree() {
	out, err := exec.Command("ps", "-eo", "pid,ppid,pgid,stat,wchan:20,args").Output()
	r.Logf("%v\n%s", err, out)
}

func (e entry) String() string {
	return fmt.Sprintf("%s %s token %d, %s of %s, script %d under %d", e.kind, strings.Join(e.partitions, ","), e.token, e.attempt, e.run, e.script, e.shim)
}
