package sqlite

import (
	"fmt"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func (t *tx) pause(o ledger.Order) (history.Seq, error) {
	stored, err := t.storedRun(o.Run)
	if err != nil {
		return 0, err
	}
	if stored == nil {
		return 0, fmt.Errorf("run %s: %w", o.Run, ledger.ErrNotFound)
	}
	if stored.Ended || stored.Paused.Asked() == (o.Kind == ledger.OrderPause) {
		return t.clock, nil
	}
	var blob any // NULL
	if o.Kind == ledger.OrderPause {
		var p packer
		p.text(o.Actor.User)
		p.text(o.Actor.Host)
		p.int(int64(o.Actor.PID))
		p.text(o.Reason)
		p.time(o.At)
		blob = p.b
	}
	return t.ordered(o, stored.Sets, func() error {
		t.rights = rights{} // to start attempts
		_, err := t.exec(`UPDATE run SET pause = ? WHERE name = ?`, blob, string(o.Run))
		return err
	})
}

// readPause reads what pause stored; nil is nothing.
func readPause(blob []byte) (ledger.PauseRequest, error) {
	if blob == nil {
		return ledger.PauseRequest{}, nil
	}
	r := reader{s: string(blob)}
	p := ledger.PauseRequest{Actor: ledger.Actor{User: r.text(), Host: r.text(), PID: int(r.int())}, Reason: r.text(), At: r.time()}
	return p, r.err()
}

// pausedOf is whether a run is paused.
func (s *session) pausedOf(run ledger.RunID) (out ledger.PauseRequest, err error) {
	_, err = s.first(func(r row) (err error) { out, err = readPause(r.blob(0)); return err }, `SELECT pause FROM run WHERE name = ?`, string(run))
	return out, err
}
