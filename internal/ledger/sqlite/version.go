package sqlite

import (
	"context"
	"time"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// A version as it is stored.
type version struct {
	ledger.VersionRecord
	token  history.Token // of the attempt that published it first
	headed history.Token // while it is the head: only an attempt with a greater one makes another the head
}

const selectVersion = `SELECT version, producer, revision, dirty, summary, seq, at, run, owner, headed, fix, token FROM version `

func (v *version) read(r row) {
	*v = version{
		VersionRecord: ledger.VersionRecord{
			Version: r.text(0), Producer: r.text(1), Commit: r.text(2), Dirty: r.bool(3), Summary: r.text(4), Seq: r.seq(5), At: r.time(6),
			Run: ledger.RunID(r.text(7)), User: r.text(8), Head: r.int(9) != 0, Fix: r.bool(10),
		},
		headed: history.Token(r.int(9)), token: history.Token(r.int(11)),
	}
}

// versionsOf are the versions of a table, oldest first. They are kept with it.
func (t *tx) versionsOf(tab *table) ([]version, error) {
	if tab.versions != nil {
		return *tab.versions, nil
	}
	var all []version
	err := t.query(func(r row) error {
		var v version
		v.read(r)
		all = append(all, v)
		return nil
	}, selectVersion+`WHERE table_id = ? ORDER BY token`, tab.id)
	if err != nil {
		return nil, err
	}
	tab.versions = &all
	return all, nil
}

func find(all []version, id string) *version {
	for i := range all {
		if all[i].Version == id {
			return &all[i]
		}
	}
	return nil
}

// headOf is the head of a producer; nil where it has never published.
func headOf(all []version, producer string) *version {
	for i := range all {
		if all[i].Head && all[i].Producer == producer {
			return &all[i]
		}
	}
	return nil
}

func records(all []version) []ledger.VersionRecord {
	out := make([]ledger.VersionRecord, len(all))
	for i, v := range all {
		out[i] = v.VersionRecord
	}
	return out
}

// older tells which newer content an attempt would replace; nil if none. It is an error unless a person lets it.
func (t *tx) older(req *ledger.AttemptRequest, tab *table) (*ledger.OlderCodeError, error) {
	all, err := t.versionsOf(tab)
	if err != nil {
		return nil, err
	}
	older, err := req.Older(records(all), func() ([]history.Segment, error) {
		rows, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, req.Set)
		return plain(rows), err
	})
	if err == nil && older != nil && req.Downgrade == "" {
		err = older
	}
	return older, err
}

// noteDowngrade writes into the audit log that older code was let write.
func (t *tx) noteDowngrade(req *ledger.AttemptRequest, older *ledger.OlderCodeError, tab *table, before, seq history.Seq) error {
	x, err := t.leaseNamed(req.Lease)
	if err != nil {
		return err
	}
	rows, err := rowsOver(t, segmentCodec{}, shelf{tab.id, segments}, older.Set)
	if err != nil {
		return err
	}
	return t.audit(req.Downgraded(older, x.holder, plain(rows), before, seq))
}

// register notes the first publish of a code version. It becomes the head of its producer unless that one's head is of a later attempt. A
// version that was replaced becomes the head again if its attempt was let write all the same.
func (t *tx) register(tab *table, a *attempt, seq history.Seq, at time.Time) error {
	if a.Version == "" {
		return nil
	}
	all, err := t.versionsOf(tab)
	if err != nil {
		return err
	}
	v, fix := find(all, a.Version), a.class == ledger.ClassFix
	published := v != nil
	if published && (v.Fix || !fix) && (v.Head || !a.downgrade) {
		return nil
	}
	t.change(tab).versions = nil
	if !published {
		x, err := t.lease(a.leaseID)
		if err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO version (table_id, version, token, seq, at, producer, revision, dirty, summary, run, owner)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			tab.id, a.Version, a.Token, seq, at, a.code.Producer, a.code.Commit, a.code.Dirty, a.code.Summary, string(a.Run), x.holder.User)
		if err != nil {
			return err
		}
		v = &version{VersionRecord: ledger.VersionRecord{Version: a.Version, Producer: a.code.Producer}}
	}
	if fix && !v.Fix {
		if _, err := t.exec(`UPDATE version SET fix = 1 WHERE table_id = ? AND version = ?`, tab.id, a.Version); err != nil {
			return err
		}
	}
	if was := headOf(all, v.Producer); published && !a.downgrade || was != nil && was.headed >= a.Token {
		return nil
	}
	return t.crown(tab, &v.VersionRecord, a.Token)
}

// crown makes a version the head of its producer, as of a token.
func (t *tx) crown(tab *table, v *ledger.VersionRecord, token history.Token) error {
	t.change(tab).versions = nil
	if _, err := t.exec(`UPDATE version SET headed = 0 WHERE table_id = ? AND producer = ?`, tab.id, v.Producer); err != nil {
		return err
	}
	n, err := t.exec(`UPDATE version SET headed = ? WHERE table_id = ? AND version = ?`, token, tab.id, v.Version)
	if err == nil && n != 1 {
		err = errBlob
	}
	return err
}

// Versions lists the code versions of a table.
func (l *Ledger) Versions(ctx context.Context, key string) (out []ledger.VersionRecord, err error) {
	err = l.read(ctx, func(s *session) error {
		out = nil
		return s.query(func(r row) error {
			var v version
			v.read(r)
			out = append(out, v.VersionRecord)
			return nil
		}, selectVersion+`WHERE table_id = (SELECT id FROM tables WHERE key = ?) ORDER BY token`, key)
	})
	return out, err
}
