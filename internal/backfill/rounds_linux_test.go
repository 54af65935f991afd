package backfill_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	roundsAtOnce = flag.Int("roundsatonce", 8, "how many rounds TestRounds plays at the same time")
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
	return r.lines[:len(r.lines):len(r.lines)]
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
	// acked are the partitions that it was to leave alone, since they had been acknowledged.
	acked map[string]bool
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

var runID = regexp.MustCompile(`run (r-[a-z0-9]+)\b`)

// wait waits for its end.
func (l *launched) wait(r *round) {
	select {
	case <-l.done:
	case <-time.After(time.Minute):
		r.dumpTree()
		r.Fatalf("%v does not end", l.args)
	}
}

// run is the run's id, once the process has ended; "" where it had none.
func (l *launched) run() string {
	<-l.done
	if m := runID.FindSubmatch(l.out.Bytes()); m != nil {
		return string(m[1])
	}
	return ""
}

// A victim is a process that is held, so that nobody else who has its number is ever meant.
type victim struct {
	pid, fd int
	what    string
}

// hold takes hold of a process of the round; nil if there is none.
func (r *round) holdProcess(what string, pid int) *victim {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(environ, []byte(r.mark)) {
		_ = unix.Close(fd)
		return nil
	}
	return &victim{pid, fd, what}
}

func (r *round) send(v *victim, s syscall.Signal) {
	err := unix.PidfdSendSignal(v.fd, s, nil, 0)
	r.note("%s of %s %d: %v", unix.SignalName(s), v.what, v.pid, err)
}

// kill kills a process.
func (r *round) kill(what string, pid int) {
	if v := r.holdProcess(what, pid); v != nil {
		r.told.count("kill " + what)
		r.send(v, syscall.SIGKILL)
		_ = unix.Close(v.fd)
	}
}

// freeze suspends a process until it is thawed.
func (r *round) freeze(what string, pid int) {
	if v := r.holdProcess(what, pid); v != nil {
		r.told.count("suspend " + what)
		r.send(v, syscall.SIGSTOP)
		r.frozen = append(r.frozen, v)
	}
}

// thaw lets all go on that are suspended.
func (r *round) thaw() {
	for _, v := range r.frozen {
		r.send(v, syscall.SIGCONT)
		_ = unix.Close(v.fd)
	}
	r.frozen = nil
}

// order gives an order on the command line, beside what goes on. Whom it is for may have ended.
func (r *round) order(args ...string) {
	r.told.count(args[0])
	c := r.command(args...)
	r.note("order: %s", strings.Join(args, " "))
	r.others.Go(func() {
		out, err := c.CombinedOutput()
		r.note("order %s: %d: %s", strings.Join(args, " "), exitOf(err), bytes.TrimSpace(out))
		if code := exitOf(err); code != 0 && code != 2 {
			r.Errorf("headway %v: exit %d: %s", args, code, out)
		}
	})
}

// marked are the processes of the round that attempts have started.
func (r *round) marked() []int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		r.Fatal(err)
	}
	var out []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(r.mark)) || !bytes.Contains(environ, []byte("HEADWAY_ATTEMPT=")) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// noOrphans wants that nothing of what attempts have started still runs. A process that has been killed may need a moment to end.
func (r *round) noOrphans() {
	limit, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	for _, pid := range r.marked() {
		v := r.holdProcess("what is left", pid)
		if v == nil {
			continue
		}
		n := 0
		for n == 0 && limit.Err() == nil {
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}, 50)
		}
		if n != 1 {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			r.Errorf("process %d is left: %q", pid, line)
		}
		_ = unix.Close(v.fd)
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
	for _, pid := range r.marked() {
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
