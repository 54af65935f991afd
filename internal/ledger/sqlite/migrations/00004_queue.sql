-- Waiting, what was taken from runs, and pausing them.

-- +goose Up
ALTER TABLE run ADD COLUMN pause BLOB; -- NULL: it is not paused

-- The leases of a run are looked for by its name.
DROP INDEX lease_live;
CREATE INDEX lease_live ON lease (run) WHERE ended = 0;

-- The queue: requests that wait for others. They hold nothing. Who came first has the lower id.
CREATE TABLE waiter (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,   -- of the lease that it will be
  run TEXT NOT NULL,
  class TEXT NOT NULL,
  deadline INTEGER NOT NULL,   -- nanoseconds of the holder's boot clock
  since INTEGER NOT NULL,
  host TEXT NOT NULL,
  boot TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started INTEGER NOT NULL,
  owner TEXT NOT NULL,
  reason TEXT NOT NULL,
  preempts INTEGER NOT NULL
) STRICT;

-- What they wait for.
CREATE TABLE waiting (
  table_id INTEGER NOT NULL REFERENCES tables,
  start INTEGER NOT NULL,
  waiter_id INTEGER NOT NULL REFERENCES waiter,
  reads INTEGER NOT NULL,      -- 0: to write it
  end INTEGER NOT NULL,
  PRIMARY KEY (table_id, start, waiter_id, reads),
  CHECK (start < end)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_of ON waiting (waiter_id);

-- Partitions that were taken from a run and that nobody has published since.
CREATE TABLE preemption (
  id INTEGER PRIMARY KEY,
  run TEXT NOT NULL,           -- whose they were
  table_id INTEGER NOT NULL REFERENCES tables,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  token INTEGER NOT NULL,      -- of the lease that took them: attempts with a higher one are later
  by TEXT NOT NULL,            -- its run
  at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  CHECK (start < end)
) STRICT;
CREATE INDEX preemption_on ON preemption (table_id, start);
CREATE INDEX preemption_of ON preemption (run);

PRAGMA user_version = 4;
