package mem

import (
	"context"
	"slices"
	"time"

	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func (t *table) version(id string) *version {
	for i := range t.versions {
		if t.versions[i].Version == id {
			return &t.versions[i]
		}
	}
	return nil
}

// head is the head of a producer; nil where it has never published.
func (t *table) head(producer string) *version {
	for i := range t.versions {
		if v := &t.versions[i]; v.Head && v.Producer == producer {
			return v
		}
	}
	return nil
}

// crown makes a version the head of its producer, as of a token.
func (t *table) crown(v *version, token history.Token) {
	if was := t.head(v.Producer); was != nil {
		was.Head, was.headed = false, 0
	}
	v.Head, v.headed = true, token
}

// register notes the first publish of a code version. It becomes the head of its producer unless that one's head is of a later attempt. A
// version that was replaced becomes the head again if its attempt was let write all the same.
func (t *table) register(a *attempt, lease ledger.LeaseRequest, seq history.Seq, at time.Time) {
	id := a.rec.Version
	if id == "" {
		return
	}
	v := t.version(id)
	published := v != nil
	if !published {
		rec := a.code
		rec.Version, rec.Seq, rec.At, rec.Run, rec.User, rec.Head, rec.Fix = id, seq, at, a.rec.Run, lease.Holder.User, false, false
		i := slices.IndexFunc(t.versions, func(o version) bool { return o.token > a.rec.Token })
		if i < 0 {
			i = len(t.versions)
		}
		t.versions = slices.Insert(t.versions, i, version{VersionRecord: rec, token: a.rec.Token})
		v = &t.versions[i]
	}
	v.Fix = v.Fix || lease.Class == ledger.ClassFix
	if was := t.head(v.Producer); published && !a.downgrade || was != nil && was.headed >= a.rec.Token {
		return
	}
	t.crown(v, a.rec.Token)
}

// records are the versions of a table as readers see them.
func (t *table) records() []ledger.VersionRecord {
	var out []ledger.VersionRecord
	for _, v := range t.versions {
		out = append(out, v.VersionRecord)
	}
	return out
}

// Versions lists the code versions of a table.
func (l *Ledger) Versions(ctx context.Context, key string) ([]ledger.VersionRecord, error) {
	unlock, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if t := l.tables[key]; t != nil {
		return t.records(), nil
	}
	return nil, nil
}
