//go:build linux || darwin

package duckdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A place in the queue for a database file is a lock on one byte of a file beside it, and its number is where that byte is. The kernel gives
// the lock back when whoever holds it dies, however it dies. Who wants the file locks the byte after the last one that is locked; it is their
// turn when no byte before theirs is. Who only reads shares: it is their turn when nobody before them writes.
//
// The locks belong to the open file, not to the process: two engines of one process keep each other out as well. What stands in the file is
// who has which place, as far as they could write it; it is told to people, and a process that is found to be stopped is not waited for.
type place struct {
	f      *os.File // nil: there is no queue here, and nobody is waited for
	at     int64
	shared bool
}

// errNoQueue says that places cannot be had here: the system or the file system has no such locks, or the file cannot be made or opened.
// The database's own lock still keeps processes apart.
var errNoQueue = errors.New("no queue")

// A place is signed in one of so many slots of so many bytes, by its number.
const (
	slots    = 64
	slotSize = 256
)

// takePlace goes to the end of the queue. Who shares makes no file: where there is none, nobody has ever written.
func takePlace(path string, shared bool) (*place, error) {
	flags := os.O_RDWR | os.O_CREATE
	if shared {
		flags = os.O_RDONLY
	}
	const everybody = 0o666                       // but for what the umask says: those who share the database share its queue
	f, err := os.OpenFile(path, flags, everybody) //nolint:gosec // beside the database, for those who may open it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoQueue, err)
	}
	p := &place{f: f, shared: shared}
	for {
		at, err := p.end()
		ok := false
		if err == nil {
			ok, err = p.lock(at)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s: %w", errNoQueue, path, err), f.Close())
		}
		if ok {
			p.sign(process(strconv.Itoa(os.Getpid())))
			return p, nil
		}
	}
}

// end is the number after the last one that is taken.
func (p *place) end() (int64, error) {
	for at := int64(1); ; {
		found, last, err := p.locked(at, math.MaxInt64, unix.F_WRLCK)
		if err != nil || !found {
			return at, err
		}
		at = last + 1
	}
}

// lock takes the place of a number, and reports whether that is the last one then. Since somebody looked for the end the queue may have moved
// on: whoever has come behind this place did not see it, and may have the turn already. It is given back then, to draw again.
func (p *place) lock(at int64) (bool, error) {
	mine := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}
	if p.shared {
		mine.Type = unix.F_RDLCK
	}
	switch err := p.fcntl(setLock, &mine); {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return false, nil // another was quicker
	case err != nil:
		return false, err
	}
	p.at = at
	overtaken, _, err := p.locked(at+1, math.MaxInt64, unix.F_WRLCK)
	if err == nil && overtaken {
		mine.Type = unix.F_UNLCK
		err = p.fcntl(setLock, &mine)
	}
	return !overtaken, err
}

// locked finds a byte of [from, to) on which somebody else has a lock that one of the kind would conflict with.
func (p *place) locked(from, to int64, kind int16) (found bool, at int64, err error) {
	if from >= to {
		return false, 0, nil
	}
	probe := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: from, Len: to - from}
	if to == math.MaxInt64 {
		probe.Len = 0 // to the end
	}
	if err := p.fcntl(getLock, &probe); err != nil {
		return false, 0, err
	}
	return probe.Type != unix.F_UNLCK, probe.Start, nil
}

// fcntl asks the kernel. A place that was left meanwhile gives an error, and not what another file says that has the number now.
func (p *place) fcntl(command int, lock *unix.Flock_t) error {
	conn, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	var asked error
	err = conn.Control(func(fd uintptr) { asked = unix.FcntlFlock(fd, command, lock) })
	return errors.Join(err, asked)
}

// conflicts is the kind of lock that finds those whom the place cannot share the file with.
func (p *place) conflicts() int16 {
	if p.shared {
		return unix.F_RDLCK
	}
	return unix.F_WRLCK
}

// ahead are those places before this one that it has to wait for, in no order: not those of processes that were stopped, by a signal, with
// the file open or not. Whoever sleeps for hours has no turn; if the file is open there, the database's own lock says so.
func (p *place) ahead() ([]int64, error) {
	var out []int64
	var search func(from, to int64) error
	search = func(from, to int64) error {
		found, at, err := p.locked(from, to, p.conflicts())
		if err != nil || !found {
			return err
		}
		if !stopped(p.signature(at)) {
			out = append(out, at)
		}
		return errors.Join(search(from, at), search(at+1, to)) // any may have been found, not the first
	}
	return out, search(1, p.at)
}

// first reports whether it is this place's turn.
func (p *place) first() (bool, error) {
	if p.f == nil {
		return true, nil
	}
	ahead, err := p.ahead()
	return len(ahead) == 0, err
}

// wanted reports whether somebody waits for this place, whose turn it is, to be left: behind it, or before it if they were stopped and go on.
func (p *place) wanted() (bool, error) {
	if p.f == nil {
		return false, nil
	}
	found, _, err := p.locked(p.at+1, math.MaxInt64, p.conflicts())
	if err != nil || found {
		return found, err
	}
	first, err := p.first()
	return !first, err
}

// signLent signs anew: with the file lent, or not.
func (p *place) signLent(lent bool) {
	who := process(strconv.Itoa(os.Getpid()))
	if lent {
		who = lentBy + who
	}
	p.sign(who)
}

// sign writes down whose place it is. Who shares the file may not write there.
func (p *place) sign(who string) {
	if p.f == nil || p.shared {
		return
	}
	text := make([]byte, slotSize)
	copy(text, who)
	_, _ = p.f.WriteAt(text, p.at%slots*slotSize) // it is information
}

// signature is whose a place is; "" where that is not known.
func (p *place) signature(at int64) string {
	text := make([]byte, slotSize)
	n, _ := p.f.ReadAt(text, at%slots*slotSize) // what cannot be read is not known
	who, _, _ := bytes.Cut(text[:n], []byte{0})
	return strings.ToValidUTF8(string(who), "")
}

// holder is whose turn it is: who is the first of those ahead.
func (p *place) holder() string {
	if p.f == nil {
		return ""
	}
	ahead, err := p.ahead()
	if err != nil || len(ahead) == 0 {
		return ""
	}
	return p.signature(slices.Min(ahead))
}

// leave gives the place up.
func (p *place) leave() {
	if p.f == nil {
		return
	}
	p.sign("")
	_ = p.f.Close() // whatever it says, the lock is gone
}
