-- Forward only. Every migration ends by setting user_version to its number: that is how an open file is known to be of today.

-- +goose Up
PRAGMA application_id = 1214334039; -- "HaDW"

CREATE TABLE ledger (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  clock INTEGER NOT NULL,
  audited INTEGER NOT NULL,   -- how many entries the audit log has
  audit_hash TEXT NOT NULL    -- and the hash of the last
) STRICT;

-- The tables of the warehouses.
CREATE TABLE tables (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  grain INTEGER NOT NULL,
  zone TEXT NOT NULL,
  token INTEGER NOT NULL,      -- the last one drawn
  touched INTEGER NOT NULL,    -- clock of the last change of its history
  head TEXT NOT NULL,
  head_token INTEGER NOT NULL
) STRICT;

CREATE TABLE expected (
  table_id INTEGER PRIMARY KEY REFERENCES tables,
  known BLOB NOT NULL,
  meta TEXT NOT NULL
) STRICT;

-- What is known of partitions, many rows to a page (page.go): segments, moves, verdicts, contents, and the values of each check.
-- Pages of one table and kind do not overlap.
CREATE TABLE page (
  id INTEGER PRIMARY KEY,
  table_id INTEGER NOT NULL REFERENCES tables,
  kind INTEGER NOT NULL,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  written INTEGER NOT NULL,    -- clock of its newest row
  rows BLOB NOT NULL,
  CHECK (start < end)
) STRICT;
CREATE INDEX page_at ON page (table_id, kind, start);

CREATE TABLE measure (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE version (
  table_id INTEGER NOT NULL REFERENCES tables,
  version TEXT NOT NULL,
  token INTEGER NOT NULL,      -- of the attempt that published it first
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  producer TEXT NOT NULL,
  revision TEXT NOT NULL,
  dirty INTEGER NOT NULL,
  summary TEXT NOT NULL,
  PRIMARY KEY (table_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE period (
  name TEXT NOT NULL,
  seq INTEGER NOT NULL,
  intervals BLOB NOT NULL,
  PRIMARY KEY (name, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  run TEXT NOT NULL,           -- '' for a hold
  class TEXT NOT NULL,
  ended INTEGER NOT NULL,
  deadline INTEGER NOT NULL,   -- nanoseconds of the holder's boot clock
  ttl INTEGER NOT NULL,
  since INTEGER NOT NULL,
  host TEXT NOT NULL,
  boot TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started INTEGER NOT NULL,
  owner TEXT NOT NULL,
  reason TEXT NOT NULL,
  tokens BLOB NOT NULL
) STRICT;
CREATE INDEX lease_live ON lease (id) WHERE ended = 0;

-- Partitions that live leases may write. Of one table they are disjoint, so of all that begin before an interval ends only the last can
-- overlap it.
CREATE TABLE claim (
  table_id INTEGER NOT NULL REFERENCES tables,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  lease_id INTEGER NOT NULL REFERENCES lease,
  PRIMARY KEY (table_id, start),
  CHECK (start < end)
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_of ON claim (lease_id);

-- +goose StatementBegin
CREATE TRIGGER claim_disjoint BEFORE INSERT ON claim
WHEN (SELECT end FROM claim WHERE table_id = NEW.table_id AND start < NEW.end ORDER BY start DESC LIMIT 1) > NEW.start
BEGIN
  SELECT RAISE(ABORT, 'two write leases overlap');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER claim_fixed BEFORE UPDATE ON claim
BEGIN
  SELECT RAISE(ABORT, 'a claim is never changed');
END;
-- +goose StatementEnd

-- Partitions that live leases read.
CREATE TABLE reading (
  lease_id INTEGER NOT NULL REFERENCES lease,
  table_id INTEGER NOT NULL REFERENCES tables,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  PRIMARY KEY (table_id, start, lease_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reading_of ON reading (lease_id);

CREATE TABLE attempt (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  lease_id INTEGER NOT NULL REFERENCES lease,
  run TEXT NOT NULL,
  table_id INTEGER NOT NULL REFERENCES tables,
  token INTEGER NOT NULL,
  start INTEGER NOT NULL,      -- bounds of its partitions
  end INTEGER NOT NULL,
  state TEXT NOT NULL,
  beginning BLOB NOT NULL,     -- what it was started with
  intent BLOB,                 -- what it meant to publish; gone when all of it was
  outcome BLOB                 -- what became of it
) STRICT;
CREATE INDEX attempt_of_run ON attempt (run);
CREATE INDEX attempt_on ON attempt (table_id);

-- Partitions that attempts are writing, or were when their lease ended. Of one table they are disjoint.
CREATE TABLE flight (
  table_id INTEGER NOT NULL REFERENCES tables,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  attempt_id INTEGER NOT NULL REFERENCES attempt,
  lease_id INTEGER NOT NULL REFERENCES lease,
  unsettled INTEGER NOT NULL,
  PRIMARY KEY (table_id, start),
  CHECK (start < end)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  ended INTEGER NOT NULL,
  started INTEGER NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE INDEX run_newest ON run (started);

CREATE TABLE run_table (
  key TEXT NOT NULL,
  run_id INTEGER NOT NULL REFERENCES run,
  PRIMARY KEY (key, run_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  position INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  user TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  action TEXT NOT NULL,
  key TEXT NOT NULL,
  partitions BLOB NOT NULL,
  reason TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

PRAGMA user_version = 1;
