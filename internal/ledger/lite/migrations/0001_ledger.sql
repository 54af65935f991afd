-- +goose Up

-- Sets are JSON lists of [start, end) pairs; partitions are ordinal numbers on the table's axis. Rows about partitions are intervals:
-- neighbours that share everything share a row, so the store grows with what happened and not with the number of partitions.

CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('seq', 0), ('audit_count', 0), ('audit_head', '');

CREATE TABLE tbl (
  id      INTEGER PRIMARY KEY,
  key     TEXT NOT NULL UNIQUE,
  grain   INTEGER NOT NULL,
  zone    TEXT NOT NULL,
  token   INTEGER NOT NULL DEFAULT 0, -- the last one drawn
  known   TEXT NOT NULL DEFAULT '[]', -- the expected set as last logged
  meta    TEXT NOT NULL DEFAULT '',   -- a source's cheap version
  head    TEXT NOT NULL DEFAULT '',
  changed INTEGER NOT NULL DEFAULT 0  -- the clock of the last change of anything below
) STRICT;

CREATE TABLE segment (
  tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
  read_seq INTEGER NOT NULL, changed_seq INTEGER NOT NULL, version TEXT NOT NULL, attempt TEXT NOT NULL,
  content INTEGER NOT NULL, shortfall INTEGER NOT NULL, accepted INTEGER NOT NULL, stale INTEGER NOT NULL, read_at INTEGER NOT NULL,
  at INTEGER NOT NULL, -- the clock when the row was written
  PRIMARY KEY (tbl, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE move (
  tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, seq INTEGER NOT NULL, gained INTEGER NOT NULL,
  PRIMARY KEY (tbl, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdict (
  tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, outcome INTEGER NOT NULL, attempt TEXT NOT NULL,
  read_seq INTEGER NOT NULL, version TEXT NOT NULL, check_version TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (tbl, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE period (name TEXT NOT NULL, seq INTEGER NOT NULL, intervals TEXT NOT NULL, PRIMARY KEY (name, seq)) STRICT, WITHOUT ROWID;

CREATE TABLE version (
  tbl INTEGER NOT NULL, position INTEGER NOT NULL, version TEXT NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (tbl, position), UNIQUE (tbl, version)
) STRICT, WITHOUT ROWID;

-- What stands in partitions, newest last: one row for each publish or observation.
CREATE TABLE publication (
  id INTEGER PRIMARY KEY, tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, contents BLOB NOT NULL
) STRICT;
CREATE INDEX publication_by_table ON publication (tbl, id);

-- Values of checks, newest last: one row for each publish and check.
CREATE TABLE metric (
  id INTEGER PRIMARY KEY, tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, seq INTEGER NOT NULL, "values" BLOB NOT NULL
) STRICT;
CREATE INDEX metric_by_table ON metric (tbl, id);

CREATE TABLE lease (
  id TEXT PRIMARY KEY, run TEXT NOT NULL, class TEXT NOT NULL, active INTEGER NOT NULL, ttl INTEGER NOT NULL,
  deadline INTEGER NOT NULL, -- nanoseconds on the boot clock of the holder's machine
  holder TEXT NOT NULL, since INTEGER NOT NULL, reason TEXT NOT NULL, answer TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_active ON lease (active) WHERE active = 1;

-- The write claims of active leases: of one table they are disjoint, so only the one before can overlap a new one.
CREATE TABLE claim (
  tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, lease TEXT NOT NULL,
  PRIMARY KEY (tbl, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_by_lease ON claim (lease);

-- The backstop: whatever the code above it looks at, two live write leases never overlap (I1).
-- +goose StatementBegin
CREATE TRIGGER claim_disjoint BEFORE INSERT ON claim BEGIN
  SELECT RAISE(ABORT, 'claims of two leases overlap') WHERE EXISTS (
    SELECT 1 FROM (SELECT "end" FROM claim WHERE tbl = NEW.tbl AND start < NEW."end" ORDER BY start DESC LIMIT 1) WHERE "end" > NEW.start);
END;
-- +goose StatementEnd

CREATE TABLE run (
  id TEXT PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER NOT NULL, record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_by_start ON run (started);
CREATE TABLE run_table (run TEXT NOT NULL, tbl INTEGER NOT NULL, PRIMARY KEY (tbl, run)) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
  id TEXT PRIMARY KEY, run TEXT NOT NULL, lease TEXT NOT NULL, tbl INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
  "set" TEXT NOT NULL, token INTEGER NOT NULL, read_seq INTEGER NOT NULL, version TEXT NOT NULL,
  state TEXT NOT NULL,              -- running, unsettled, or how it ended
  open TEXT NOT NULL DEFAULT '[]',  -- of an unsettled one: what is still unsettled
  code TEXT NOT NULL, intent BLOB, hulls TEXT NOT NULL DEFAULT '[]',
  published TEXT NOT NULL DEFAULT '[]', quarantined TEXT NOT NULL DEFAULT '[]', reason TEXT NOT NULL DEFAULT '',
  started INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0, position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_by_run ON attempt (run, position);
CREATE INDEX attempt_by_table ON attempt (tbl, position);
CREATE INDEX attempt_by_lease ON attempt (lease) WHERE state IN ('running', 'unsettled');
CREATE INDEX attempt_open ON attempt (tbl) WHERE state IN ('running', 'unsettled');

CREATE TABLE audit (position INTEGER PRIMARY KEY, entry TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
