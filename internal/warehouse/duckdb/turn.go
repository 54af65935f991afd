package duckdb

import (
	"context"
	"sync"
	"time"

	"github.com/headway-data/headway/internal/warehouse"
)

// A turn is this process's time with the file: from its being the first in the queue until it leaves. The file is open only within it, and
// stays open as long as nobody else waits. When somebody does, no further use begins but within those under way, and the last to end closes
// the file and leaves the queue: what is staged in memory stays there.
type turn struct {
	mu      sync.Mutex
	place   *place        // nil: it is not our turn
	quit    chan struct{} // ends the watching of place
	users   int           // turns that callers were given, and uses of the file, under way
	asked   bool          // somebody else waits
	moving  bool          // the turn is being got, or given up
	changed chan struct{} // closed when any of these has changed
	closing chan struct{} // closed when the use of the warehouse ends

	watching sync.WaitGroup
	every    time.Duration // how often to look whether anybody waits: the least that a turn lasts while there is work
	tellIn   time.Duration // after how long of waiting it is told
}

// The bounds of turns. Opening and closing the file takes about 15 ms, so a turn of small chunks should last several times as long.
const (
	turnLeast    = 100 * time.Millisecond
	queueEvery   = 5 * time.Millisecond // how often who waits looks whether it is their turn
	tellWaiting  = 2 * time.Second
	tellAgain    = time.Minute
	turnFileName = ".turn" // after the database's
)

// Turn waits until it is this process's turn with the file, which is not given to another before end is called: what an attempt does from
// its first statement to its last is one turn. *warehouse.LockedError when ctx ends before.
func (w *Warehouse) Turn(ctx context.Context) (end func(), err error) {
	if err := w.enter(ctx, false); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { w.exit(ctx) }), nil
}

// enter begins a use of the file, when it is our turn. Who joins goes on with what is under way: it must not wait for that to end.
func (w *Warehouse) enter(ctx context.Context, joins bool) error {
	t := &w.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case t.isClosing():
			return ErrClosed
		case t.place != nil && !t.moving && (!t.asked || joins && t.users > 0):
			t.users++
			return nil
		case t.place == nil && !t.moving:
			if err := w.get(ctx); err != nil {
				return err
			}
		case !t.moving && t.users == 0:
			w.giveUp(ctx)
		default:
			changed := t.changed
			t.mu.Unlock()
			select {
			case <-changed:
			case <-ctx.Done():
				t.mu.Lock()
				return &warehouse.LockedError{Path: w.path, Err: context.Cause(ctx)}
			}
			t.mu.Lock()
		}
	}
}

// exit ends a use. The last one gives the file up if somebody waits for it.
func (w *Warehouse) exit(ctx context.Context) {
	w.turn.mu.Lock()
	defer w.turn.mu.Unlock()
	w.turn.users--
	if w.turn.users == 0 && w.turn.asked && w.turn.place != nil && !w.turn.moving {
		w.giveUp(ctx)
	}
}

// get queues for the turn, and watches it from then on. It is called with mu locked, which is free meanwhile.
func (w *Warehouse) get(ctx context.Context) error {
	t := &w.turn
	t.moving = true
	t.mu.Unlock()
	p, err := w.queue(ctx)
	t.mu.Lock()
	t.change(false)
	if err != nil {
		return err
	}
	quit := make(chan struct{})
	t.place, t.asked, t.quit = p, false, quit
	t.watching.Go(func() { w.watch(ctx, p, quit) })
	return nil
}

// giveUp closes the file and leaves the queue, whether ctx has ended or not. It is called with mu locked, which is free meanwhile, and while nobody uses the file.
func (w *Warehouse) giveUp(ctx context.Context) {
	t := &w.turn
	t.moving = true
	p := t.place
	close(t.quit)
	t.mu.Unlock()
	if err := w.letGo(ctx); err != nil {
		w.opts.Log.Error("the file could not be closed as it should: what was staged is lost", "file", w.path, "error", err)
	}
	p.leave()
	t.mu.Lock()
	t.place, t.asked = nil, false
	t.change(false)
}

// change tells all who wait that something has changed.
func (t *turn) change(moving bool) {
	t.moving = moving
	close(t.changed)
	t.changed = make(chan struct{})
}

// watch looks now and then whether somebody else waits for the file: nobody uses it for hours, perhaps, while a person thinks.
func (w *Warehouse) watch(ctx context.Context, p *place, quit <-chan struct{}) {
	tick := time.NewTicker(w.turn.every)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		if wanted, err := p.wanted(); err != nil || !wanted {
			continue
		}
		if w.ask(ctx, p) {
			return
		}
	}
}

// ask has the turn end: now, if nobody uses the file, or with the last use. It reports whether it has ended.
func (w *Warehouse) ask(ctx context.Context, p *place) bool {
	t := &w.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.place != p || t.moving {
		return t.place != p
	}
	t.asked = true
	if t.users == 0 {
		w.giveUp(ctx)
		return true
	}
	return false
}

// queue waits until it is our turn, and says for whom it waits. Where there is no queue it is always our turn.
func (w *Warehouse) queue(ctx context.Context) (*place, error) {
	p, err := takePlace(w.path+turnFileName, w.opts.ReadOnly)
	if err != nil {
		w.opts.Log.Debug("processes cannot take turns", "file", w.path, "error", err)
		return &place{}, nil
	}
	tick := time.NewTicker(queueEvery)
	defer tick.Stop()
	tell := time.NewTimer(w.turn.tellIn)
	defer tell.Stop()
	for {
		first, err := p.first()
		if err != nil {
			w.opts.Log.Warn("whose turn it is cannot be told: the database's own lock must do", "file", w.path, "error", err)
		}
		if first || err != nil {
			return p, nil
		}
		if lentToUs(p.holder()) {
			p.leave()
			return &place{}, nil
		}
		if w.opts.OpenWait <= 0 {
			return nil, w.unqueue(p, nil)
		}
		select {
		case <-ctx.Done():
			return nil, w.unqueue(p, context.Cause(ctx))
		case <-w.turn.closing:
			p.leave()
			return nil, ErrClosed
		case <-tell.C:
			w.opts.Log.Warn("waiting for our turn with a file that another process uses", "file", w.path, "holder", p.holder())
			tell.Reset(tellAgain)
		case <-tick.C:
		}
	}
}

// signLent tells those who wait whether the file is lent.
func (t *turn) signLent(lent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.place != nil {
		t.place.signLent(lent)
	}
}

// unqueue gives up waiting, and says for whom.
func (w *Warehouse) unqueue(p *place, why error) error {
	defer p.leave()
	return &warehouse.LockedError{Path: w.path, Holder: p.holder(), Err: why}
}

func newTurn() turn {
	return turn{every: turnLeast, tellIn: tellWaiting, changed: make(chan struct{}), closing: make(chan struct{})}
}

func (t *turn) isClosing() bool {
	select {
	case <-t.closing:
		return true
	default:
		return false
	}
}

// stop is the end of all turns. It gives the place that is still held, to be left when the file is closed; nil if there is none.
func (t *turn) stop() *place {
	t.mu.Lock()
	if !t.isClosing() {
		close(t.closing)
	}
	for t.moving {
		changed := t.changed
		t.mu.Unlock()
		<-changed
		t.mu.Lock()
	}
	p := t.place
	if p != nil {
		close(t.quit)
	}
	t.place = nil
	t.change(false)
	t.mu.Unlock()
	t.watching.Wait()
	return p
}
