//go:build unix

package shim

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// maxSettings bounds what an order to run a command may be. A kernel takes less: 2 MiB of arguments and variables, where nobody raised it.
const maxSettings = 64 << 20

// An order is one that has come: a line, or a command to run.
type order struct {
	text string
	run  *runOrder
}

// A runOrder is a command to run.
type runOrder struct {
	Settings
	streams []int // the command's, as descriptors
	broken  error // why it cannot be run
}

// close closes the streams, once.
func (o *runOrder) close() {
	for _, fd := range o.streams {
		_ = syscall.Close(fd)
	}
	o.streams = nil
}

// streamCount is how many descriptors come with the order to run a command.
const streamCount = 3

// A mailbox reads a socket, and keeps the descriptors that come with what it reads. They come no later than the first byte of what they were
// sent with.
type mailbox struct {
	socket  *net.UnixConn
	streams []int
}

// Read implements io.Reader.
func (m *mailbox) Read(b []byte) (int, error) {
	oob := make([]byte, syscall.CmsgSpace(streamCount*4)) // bytes of a descriptor
	n, rights, _, _, err := m.socket.ReadMsgUnix(b, oob)
	if rights > 0 {
		messages, bad := syscall.ParseSocketControlMessage(oob[:rights])
		if bad != nil {
			return n, bad
		}
		for i := range messages {
			fds, bad := syscall.ParseUnixRights(&messages[i])
			if bad != nil {
				return n, bad
			}
			m.streams = append(m.streams, fds...)
		}
	}
	return n, err
}

// take gives the descriptors that have come.
func (m *mailbox) take() []int {
	streams := m.streams
	m.streams = nil
	return streams
}

// read gives the orders that come, and closes the channel when whoever gave them is gone.
func read(socket *net.UnixConn) <-chan order {
	out := make(chan order)
	go func() {
		defer close(out)
		box := &mailbox{socket: socket}
		for r := bufio.NewReader(box); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			size, run := strings.CutPrefix(line, orderRun)
			if !run {
				out <- order{text: line}
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(size))
			if err != nil || n < 0 || n > maxSettings {
				return
			}
			text := make([]byte, n)
			if _, err := io.ReadFull(r, text); err != nil {
				return
			}
			o := &runOrder{streams: box.take()}
			if o.Settings, o.broken = settingsOf(string(text)); o.broken == nil && len(o.streams) != streamCount {
				o.broken = fmt.Errorf("of the streams of the command %d have come, not %d", len(o.streams), streamCount)
			}
			out <- order{run: o}
		}
	}()
	return out
}
