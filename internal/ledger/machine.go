package ledger

import (
	"strings"
	"time"
)

// A Machine is what a ledger that lives on one machine judges leases by: who it is, its clock, and which of its processes live.
// A ledger in a database judges by the database's clock instead.
type Machine struct {
	Host string
	// Boot is the id of the present boot. What follows a slash names the process namespace: two containers share a boot and a clock, but
	// neither sees the other's processes.
	Boot string
	// Clock is the time since boot, suspend included.
	Clock func() time.Duration
	// Alive reports whether a process of this boot and namespace may still run.
	Alive func(Holder) bool
}

// Ended reports whether a lease is over: its holder belongs to an earlier boot of this machine, is dead, or its deadline has passed. Of
// another machine's lease nothing can be said from here: neither its clock nor its processes can be seen, so it is never over.
func (m Machine) Ended(h Holder, deadline time.Duration) bool {
	return m.Dead(h) || (h.Host == m.Host && m.Clock() >= deadline)
}

// Dead reports whether a holder is known to run no more: it belongs to an earlier boot of this machine, or its process is gone.
func (m Machine) Dead(h Holder) bool {
	if h.Host != m.Host {
		return false
	}
	theirs, namespace, _ := strings.Cut(h.Boot, "/")
	ours, ownNamespace, _ := strings.Cut(m.Boot, "/")
	return theirs != ours || (namespace == ownNamespace && !m.Alive(h))
}

// Here reports whether a lease's deadline is on this machine's present clock, so that it can be moved.
func (m Machine) Here(h Holder) bool {
	theirs, _, _ := strings.Cut(h.Boot, "/")
	ours, _, _ := strings.Cut(m.Boot, "/")
	return h.Host == m.Host && theirs == ours
}

// Renewable reports whether a lease that has not ended may still be renewed: its deadline is on this machine's clock, and its holder is
// not known to be dead. That the deadline has passed does not matter by itself: perhaps nobody wants the partitions.
func (m Machine) Renewable(h Holder) bool { return m.Here(h) && !m.Dead(h) }
