package sqlite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/ledger"
)

func TestThisProcessLives(t *testing.T) {
	h := ThisProcess()
	if h.Host == "" || h.Boot == "" || h.PID != os.Getpid() || h.Start == 0 {
		t.Fatalf("this process is %+v", h)
	}
	if !Alive(h) {
		t.Error("this process is dead")
	}
	reborn := h
	reborn.Start++
	if Alive(reborn) {
		t.Error("another process with this one's number counts as it")
	}
	booted := h
	booted.Boot = "another"
	if Alive(booted) {
		t.Error("a process of another boot lives")
	}
	m := thisMachine()
	if a, b := m.Clock(), m.Clock(); a <= 0 || b < a {
		t.Errorf("the boot clock went from %s to %s", a, b)
	}
}

func TestAChildIsDeadOnceItHasEnded(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	stdin, err := cmd.StdinPipe()
	must0(t, err)
	must0(t, cmd.Start())
	h := ThisProcess()
	h.PID = cmd.Process.Pid
	h.Start = startOf(h.PID)
	must0(t, stdin.Close())
	must0(t, cmd.Wait())
	if Alive(h) {
		t.Error("a process that has been waited for lives")
	}
}

// Neither the clock nor the processes of another machine can be seen: its lease refuses for ever.
func TestALeaseOfAnotherMachineRefuses(t *testing.T) {
	h := newHarness(t)
	l := h.Open(t)
	req := request(nil, "theirs")
	req.Holder = ledger.Holder{Host: "elsewhere", Boot: "z", PID: 1}
	_, err := l.Acquire(t.Context(), req)
	must0(t, err)
	h.world.Advance(1000 * time.Hour)
	h.world.Kill(req.Holder)
	mine := request(nil, "mine")
	mine.Holder = h.world.Holder()
	var conflict *ledger.ConflictError
	if _, err = l.Acquire(t.Context(), mine); !errors.As(err, &conflict) || conflict.Conflicts[0].Holder.Host != "elsewhere" {
		t.Errorf("another machine's lease gave way: %v", err)
	}
	if live, err := l.Renew(t.Context(), []ledger.LeaseID{"theirs"}); err != nil || len(live) != 0 {
		t.Errorf("another machine's lease was renewed by this one's clock: %v, %v", live, err)
	}
}

// Two containers on one machine share its clock, but neither sees the other's processes: only time ends the other's leases.
func TestALeaseOfAnotherNamespaceEndsByTime(t *testing.T) {
	h := newHarness(t)
	l := h.Open(t)
	req := request(nil, "theirs")
	req.Holder = h.world.Holder()
	req.Holder.Boot += "/4026531836"
	_, err := l.Acquire(t.Context(), req)
	must0(t, err)
	h.world.Kill(req.Holder)
	mine := request(nil, "mine")
	mine.Holder = h.world.Holder()
	if _, err := l.Acquire(t.Context(), mine); err == nil {
		t.Error("a process that cannot be seen was taken for dead")
	}
	h.world.Advance(req.TTL)
	_, err = l.Acquire(t.Context(), mine)
	must0(t, err)
}

func TestADeadProcessGivesWayForReal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if at := os.Getenv("HEADWAY_DIES"); at != "" {
		l, err := Open(t.Context(), at, Options{})
		must0(t, err)
		_, err = l.Acquire(t.Context(), request(l, "theirs"))
		must0(t, err)
		os.Exit(7) // without a word
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestADeadProcessGivesWayForReal$")
	cmd.Env = append(os.Environ(), "HEADWAY_DIES="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("%v\n%s", err, out)
	}
	l := openAt(t, path, Options{})
	_, err = l.Acquire(t.Context(), request(l, "mine"))
	must0(t, err)
}
