package sqlite

import (
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A tx is the transaction of a group of jobs, as one job after the other sees it. What it has read of the clock and of tables it keeps for
// as long as nobody else has written to the file.
type tx struct {
	look

	version int64 // of the file, when what is kept here was read
	clockState
	stored   clockState        // as the file has it
	tables   map[string]*table // by key
	measures map[string]int    // kinds by the name of the check
	open     map[shelf]stretched
	rights   rights

	ticked bool // the job under way has drawn its reading of the clock
}

type clockState struct {
	clock   history.Seq
	audited int64
	hash    string
}

// A table is a row of the tables that are written to. Its changes are stored when the group ends.
type table struct {
	id       int64
	key      string
	axis     calendar.Axis
	token    history.Token
	touched  history.Seq
	dirty    bool
	unread   bool       // it is known that no lease reads it
	whole    bool       // it is known that nothing was taken of it that nobody has published since
	versions *[]version // nil: not read yet
}

// begin starts a group.
func (t *tx) begin() error {
	var version int64
	if _, err := t.first(func(r row) error { version = r.int(0); return nil }, `PRAGMA data_version`); err != nil {
		return err
	}
	if t.tables == nil || version != t.version {
		t.forget()
		t.version, t.tables, t.measures, t.open = version, map[string]*table{}, map[string]int{}, map[shelf]stretched{}
		_, err := t.first(func(r row) error {
			t.clock, t.audited, t.hash = r.seq(0), r.int(1), r.text(2)
			return nil
		}, `SELECT clock, audited, audit_hash FROM ledger`)
		if err != nil {
			t.forget()
			return err
		}
		t.stored = t.clockState
	}
	return nil
}

// forget drops what was kept: the file may have something else.
func (t *tx) forget() {
	t.tables, t.measures, t.open, t.rights = nil, nil, nil, rights{}
	*t.quiet = false
}

// flush stores what the group has changed of the clock, the tables and their pages.
func (t *tx) flush() error {
	if err := t.putAway(); err != nil {
		return err
	}
	for _, tab := range t.tables {
		if !tab.dirty {
			continue
		}
		if _, err := t.exec(`UPDATE tables SET token = ?2, touched = ?3 WHERE id = ?1`, tab.id, tab.token, tab.touched); err != nil {
			return err
		}
		tab.dirty = false
	}
	if t.clockState != t.stored {
		if _, err := t.exec(`UPDATE ledger SET clock = ?, audited = ?, audit_hash = ?`, t.clock, t.audited, t.hash); err != nil {
			return err
		}
		t.stored = t.clockState
	}
	return nil
}

// tick draws the job's reading of the clock: one, however often it is asked for.
func (t *tx) tick() history.Seq {
	if !t.ticked {
		t.clock++
		t.ticked, t.changed = true, true
	}
	return t.clock
}

const selectTable = `SELECT id, grain, zone, token, touched FROM tables WHERE key = ?`

// find gives the table of a key; nil where it was never used.
func (t *tx) find(key string) (*table, error) {
	if tab := t.tables[key]; tab != nil {
		return tab, nil
	}
	tab := &table{key: key}
	found, err := t.first(func(r row) error { tab.read(r); return nil }, selectTable, key)
	if err != nil || !found {
		return nil, err
	}
	t.tables[key] = tab
	return tab, nil
}

func (tab *table) read(r row) {
	tab.id, tab.axis = r.int(0), calendar.Axis{Grain: calendar.Grain(r.int(1)), Zone: r.text(2)} //nolint:gosec // as written
	tab.token, tab.touched = history.Token(r.int(3)), r.seq(4)
}

// known gives the table of a key that must have been used.
func (t *tx) known(key string) (*table, error) {
	tab, err := t.find(key)
	if err == nil && tab == nil {
		err = fmt.Errorf("table %s: %w", key, ledger.ErrNotFound)
	}
	return tab, err
}

// use gives the table of a key, a new one at its first use. It keeps the axis that it was first used with.
func (t *tx) use(key string, axis calendar.Axis) (*table, error) {
	tab, err := t.find(key)
	if err != nil {
		return nil, err
	}
	if tab != nil {
		if tab.axis != axis {
			return nil, fmt.Errorf("%w: %s is by %s in %q, not by %s in %q", ledger.ErrAxis, key, tab.axis.Grain, tab.axis.Zone, axis.Grain, axis.Zone)
		}
		return tab, nil
	}
	_, err = t.exec(`INSERT INTO tables (key, grain, zone, token, touched) VALUES (?, ?, ?, 0, 0)`, key, int(axis.Grain), axis.Zone)
	if err != nil {
		return nil, err
	}
	if tab, err = t.find(key); err != nil || tab == nil {
		return nil, errors.Join(err, errBlob)
	}
	return tab, nil
}

// change makes ready to change a table.
func (t *tx) change(tab *table) *table {
	tab.dirty, t.changed = true, true
	return tab
}

// touch says that the history of a table is no longer what readers have.
func (t *tx) touch(tab *table) history.Seq {
	seq := t.tick()
	if tab.touched != seq {
		t.change(tab).touched = seq
	}
	return seq
}

// draw draws the table's next token.
func (t *tx) draw(tab *table) history.Token {
	t.change(tab).token++
	return tab.token
}
