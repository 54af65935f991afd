package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// A file of the first schema opens with all that it holds; only when it was checked nobody knows.
func TestFilesOfSchema1AreBroughtUpToDate(t *testing.T) { broughtUpToDate(t, 1) }

// A file of before versions were ordered within producers tells what class fix wrote, and which version is the head.
func TestFilesOfSchema3AreBroughtUpToDate(t *testing.T) { broughtUpToDate(t, 3) }

func broughtUpToDate(t *testing.T, schema int) {
	path := filepath.Join(t.TempDir(), "state.db")
	l, err := Open(t.Context(), path, Options{})
	must0(t, err)
	req := request(l, "r")
	req.Class, req.Writes[0].Set = ledger.ClassFix, calendar.Range(0, 6)
	lease, err := l.Acquire(t.Context(), req)
	must0(t, err)
	intended := ledger.AttemptID("b")
	for id, set := range map[ledger.AttemptID]calendar.Set{"a": calendar.Range(0, 3), intended: calendar.Range(3, 5)} {
		a, err := l.StartAttempt(t.Context(), ledger.AttemptRequest{
			ID: id, Lease: lease.ID, Run: "r", Table: "t", Set: set, Version: "v1", ReadSeq: 1, At: time.Unix(9, 0),
		})
		must0(t, err)
		in := ledger.Intent{
			Attempt: a.ID, Table: "t", Token: a.Token, ReadSeq: a.ReadSeq, Version: a.Version, CheckVersion: "c1", Quarantine: set.Within(calendar.Single(2)),
			Reasons: map[calendar.Partition]string{2: "low"}, ReadAt: time.Unix(10, 0),
		}
		for p := range set.Minus(in.Quarantine).Partitions() {
			in.Publish = append(in.Publish, ledger.Content{Partition: p, Rows: 3, Fingerprint: "f"})
		}
		must0(t, l.Intend(t.Context(), in))
		if id != intended {
			_, err = l.Record(t.Context(), ledger.Commit{Attempt: id, Published: set.Minus(in.Quarantine)})
			must0(t, err)
		}
	}
	publishNewer(t, l, lease.ID)
	_, err = l.Mark(t.Context(), ledger.Mark{Kind: ledger.MarkHeadTo, Table: "t", Version: "v1", At: time.Unix(11, 0)})
	must0(t, err)
	before, err := l.Snapshot(t.Context(), []string{"t"})
	must0(t, err)
	versions, err := l.Versions(t.Context(), "t")
	must0(t, err)
	must0(t, l.Close())
	downgrade(t, path, schema)

	l = openAt(t, path, Options{})
	after, err := l.Snapshot(t.Context(), []string{"t"})
	must0(t, err)
	want := before.Table("t")
	for i := range want.Segments {
		if want.Segments[i].CheckVersion != "c1" {
			t.Fatalf("%+v was not checked", want.Segments[i])
		}
		if want.Segments[i].FixedBy != want.Segments[i].Version {
			t.Fatalf("%+v was not fixed", want.Segments[i])
		}
		if schema == 1 {
			want.Segments[i].CheckVersion, want.Segments[i].CheckSeq = "", 0
		}
	}
	got, err := l.Versions(t.Context(), "t")
	must0(t, err)
	if len(got) != 2 || !got[0].Head || got[1].Head || !got[0].Fix || got[0].User == "" || !reflect.DeepEqual(got, versions) {
		t.Errorf("versions:\n got %+v\nwant %+v", got, versions)
	}
	if len(want.Segments) == 0 || len(want.Verdicts) == 0 || !reflect.DeepEqual(after.Table("t"), want) {
		t.Errorf("\n got %+v\nwant %+v", after.Table("t"), want)
	}
	if _, err := l.Record(t.Context(), ledger.Commit{Attempt: intended, Published: calendar.Range(3, 5)}); err != nil {
		t.Error(err)
	}
}

// publishNewer publishes another version in a partition of its own.
func publishNewer(t *testing.T, l *Ledger, lease ledger.LeaseID) {
	t.Helper()
	now, err := l.Head(t.Context())
	must0(t, err)
	a, err := l.StartAttempt(t.Context(), ledger.AttemptRequest{
		ID: "newer", Lease: lease, Run: "r", Table: "t", Set: calendar.Range(5, 6), Version: "v2", ReadSeq: now, At: time.Unix(10, 0),
	})
	must0(t, err)
	must0(t, l.Intend(t.Context(), ledger.Intent{
		Attempt: a.ID, Table: "t", Token: a.Token, ReadSeq: now, Version: a.Version, CheckVersion: "c1", Publish: []ledger.Content{{Partition: 5, Rows: 1, Fingerprint: "g"}},
	}))
	_, err = l.Record(t.Context(), ledger.Commit{Attempt: a.ID, Published: a.Set})
	must0(t, err)
}

// downgrade makes a file what an earlier schema would have made: 1 or 3.
func downgrade(t *testing.T, path string, schema int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must0(t, err)
	conn, err := db.Conn(context.Background())
	must0(t, err)
	older := codec[segment](segmentCodec2{})
	if schema == 1 {
		older = segmentCodec1{}
	}
	must0(t, rewrite(t.Context(), conn, "page", "rows", "kind = 0", func(blob []byte) ([]byte, error) {
		rows, err := readPage(segmentCodec{}, nil, blob)
		return packPage(older, rows), err
	}))
	back := []string{
		"ALTER TABLE tables ADD COLUMN head TEXT NOT NULL DEFAULT ''", "ALTER TABLE tables ADD COLUMN head_token INTEGER NOT NULL DEFAULT 0",
		"UPDATE tables SET head = v.version, head_token = v.headed FROM version v WHERE v.table_id = tables.id AND v.headed > 0",
		"ALTER TABLE version DROP COLUMN headed", "ALTER TABLE version DROP COLUMN fix", "ALTER TABLE version DROP COLUMN run",
		"ALTER TABLE version DROP COLUMN owner", "ALTER TABLE attempt DROP COLUMN downgrade",
		"DROP TABLE waiting", "DROP TABLE waiter", "DROP TABLE preemption", "ALTER TABLE run DROP COLUMN pause",
		"DROP INDEX run_active", "DROP INDEX lease_live", "CREATE INDEX lease_live ON lease (id) WHERE ended = 0",
		"DELETE FROM goose_db_version WHERE version_id > 3", "PRAGMA user_version = 3",
	}
	if schema == 1 {
		packAsSchema1(t, conn)
		back = append(back, "DROP TRIGGER claim_unheld", "DROP TABLE hold", "ALTER TABLE run DROP COLUMN stop",
			"DELETE FROM goose_db_version WHERE version_id > 1", "PRAGMA user_version = 1")
	}
	for _, statement := range back {
		_, err := conn.ExecContext(t.Context(), statement)
		must0(t, err)
	}
	must0(t, errors.Join(conn.Close(), db.Close()))
}

func packAsSchema1(t *testing.T, conn *sql.Conn) {
	t.Helper()
	must0(t, errors.Join(
		rewrite(t.Context(), conn, "page", "rows", "kind = 2", func(blob []byte) ([]byte, error) {
			rows, err := readPage(verdictCodec{}, nil, blob)
			return packPage(verdictCodec1{}, rows), err
		}),
		rewrite(t.Context(), conn, "attempt", "intent", "intent IS NOT NULL", func(blob []byte) ([]byte, error) { return blob[:len(blob)-1], nil }),
	))
}
