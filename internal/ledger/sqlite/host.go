package sqlite

import (
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/bootclock"
	"github.com/headway-data/headway/internal/ledger"
)

// ThisProcess is this process as the holder of leases.
func ThisProcess() ledger.Holder { return thisProcess() }

var thisProcess = sync.OnceValue(func() ledger.Holder {
	h := ledger.Holder{Host: hostname(), Boot: bootID(), PID: os.Getpid(), Start: startOf(os.Getpid()), User: os.Getenv("USER")}
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	}
	return h
})

// ProcessHolder is another process of this machine as the holder of leases: they end with it.
func ProcessHolder(pid int, name string) ledger.Holder {
	return ledger.Holder{Host: hostname(), Boot: bootID(), PID: pid, Start: startOf(pid), User: name}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return strings.ToLower(name)
}

// thisMachine judges leases by this machine's boot clock and processes.
func thisMachine() ledger.Machine {
	return ledger.Machine{Host: hostname(), Boot: bootID(), Clock: bootclock.Now, Alive: alive}
}

// Alive reports whether a holder of this machine still runs. Of a holder of another boot it does not.
func Alive(h ledger.Holder) bool {
	m := thisMachine()
	return m.Here(h) && m.Alive(h)
}

// fill sets what was left out.
func (o *Options) fill() {
	if o.Machine.Clock == nil {
		o.Machine = thisMachine()
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the wiring's default; tests hand in another
	}
	if o.BusyWait <= 0 {
		o.BusyWait = defaultBusyWait
	}
}
