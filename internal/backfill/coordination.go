package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// asLedger is this ledger as warehouses know it.
func (c *Coordinator) asLedger() warehouse.Ledger {
	return warehouse.Ledger{ID: c.Ledger.ID(), URL: c.Ledger.URL()}
}

// catchUp finds out whether the ledger has been restored from a backup since the warehouses saw it last, before anything is judged by it. It
// reports whether anything was found.
func (c *Coordinator) catchUp(ctx context.Context) (bool, error) {
	found := false
	for name, w := range c.warehouses {
		is, err := w.Coordination(ctx)
		rose := false
		if err == nil && is.ID == c.Ledger.ID() {
			rose, err = c.rise(ctx, w, is.Floors)
		}
		if err != nil {
			return false, fmt.Errorf("warehouse %s: %w", name, err)
		}
		found = found || rose
	}
	return found, nil
}

// rise puts the ledger's tokens above those that a warehouse has seen. That they are not is because the ledger was restored from a backup, or
// is new here: what the warehouse's markers hold that it knows nothing of becomes stale before, so that it is computed again and not taken
// for what stood there when the backup was made. The floors must have been read before the tokens are: attempts draw first and raise then.
func (c *Coordinator) rise(ctx context.Context, w warehouse.Warehouse, floors map[string]history.Token) (rose bool, err error) {
	drawn, err := c.Ledger.Tokens(ctx)
	if err != nil {
		return false, fmt.Errorf("read the state: %w", err)
	}
	var raise []ledger.Floor
	for _, key := range slices.Sorted(maps.Keys(floors)) {
		t := c.Tables[c.Keys[key]]
		if t == nil || floors[key] <= drawn[key] { // nothing is written to tables that the project does not have
			continue
		}
		raise = append(raise, ledger.Floor{Table: key, Axis: t.Axis, Token: floors[key]})
		if err := c.forget(ctx, w, t, drawn[key]); err != nil {
			return false, err
		}
	}
	if len(raise) == 0 {
		return false, nil
	}
	if err := c.Ledger.RaiseTokens(ctx, raise); err != nil {
		return false, fmt.Errorf("raise the tokens above the warehouse's: %w", err)
	}
	return true, nil
}

// forget makes stale what was published to a table with tokens that the ledger does not know to have drawn.
func (c *Coordinator) forget(ctx context.Context, w warehouse.Warehouse, t *worker.Table, drawn history.Token) error {
	markers, err := w.Markers(ctx, t.Key, calendar.All())
	if err != nil {
		return fmt.Errorf("look at what was published to %s: %w", t.Name, err)
	}
	var unknown []calendar.Partition
	for _, m := range markers {
		if m.Token > drawn {
			unknown = append(unknown, m.Partition)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	set := calendar.Of(unknown...)
	c.Log.Warn("this state knows nothing of what was published there since it was backed up, or before it coordinated: it is computed again",
		"table", t.Name, "partitions", t.Axis.FormatSet(set, 3), "state", c.Ledger.URL())
	if _, err := c.Ledger.Mark(ctx, ledger.Mark{
		Kind: ledger.MarkStale, Table: t.Key, Axis: t.Axis, Set: set, Actor: c.Actor(), At: c.Now(), Reason: "published by what this state does not know",
	}); err != nil {
		return fmt.Errorf("mark what was published to %s as stale: %w", t.Name, err)
	}
	return nil
}

// A MovedWarehouse is a warehouse that this ledger has taken over.
type MovedWarehouse struct {
	Name, Location string
	Before, After  warehouse.Ledger
	Moved          bool // false: it was this ledger already
}

// MoveState makes this ledger the one that coordinates the project's warehouses. Their fences and markers are kept by the keys under which this
// ledger knows the tables, and its tokens start above theirs.
func (c *Coordinator) MoveState(ctx context.Context, reason string) ([]MovedWarehouse, error) {
	var out []MovedWarehouse
	for _, w := range c.Project.Warehouses {
		one, err := c.moveTo(ctx, c.warehouses[w.Name], reason)
		if err != nil {
			return out, fmt.Errorf("warehouse %s: %w", w.Name, err)
		}
		one.Name = w.Name
		out = append(out, one)
	}
	return out, nil
}

func (c *Coordinator) moveTo(ctx context.Context, w warehouse.Warehouse, reason string) (MovedWarehouse, error) {
	out := MovedWarehouse{Location: w.Location(), After: c.asLedger()}
	end, err := w.Turn(ctx)
	if err != nil {
		return out, err
	}
	defer end()
	is, err := w.Coordination(ctx)
	if err != nil {
		return out, err
	}
	out.Before = is.Ledger
	if _, err := w.Claim(ctx, c.asLedger()); err == nil {
		_, err = c.rise(ctx, w, is.Floors)
		return out, err
	}
	place, keys := c.place(w), map[string]string{}
	for key := range is.Floors {
		if i := strings.LastIndexByte(key, ':'); i >= 0 {
			keys[key] = place + key[i:]
		}
	}
	before, after := toldLedger(is.Ledger), toldLedger(out.After)
	// Noted first: a move that nobody can find out about must not be.
	if err := c.Ledger.Note(ctx, ledger.AuditEntry{
		At: c.Now(), Actor: c.Actor(), Action: "state.move", Table: place, Reason: reason, Before: before, After: after,
	}); err != nil {
		return out, fmt.Errorf("note the move: %w", err)
	}
	if _, err := w.Move(ctx, out.After, keys); err != nil {
		return out, err
	}
	out.Moved = true
	is, err = w.Coordination(ctx)
	if err == nil {
		_, err = c.rise(ctx, w, is.Floors)
	}
	return out, err
}

func toldLedger(l warehouse.Ledger) string {
	text, err := json.Marshal(struct {
		Ledger string `json:"ledger"`
		URL    string `json:"url"`
	}{l.ID, l.URL})
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return string(text)
}
