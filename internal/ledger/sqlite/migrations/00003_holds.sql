-- Holds, and that a run is asked to stop.

-- +goose Up
ALTER TABLE run ADD COLUMN stop BLOB; -- NULL: nobody wants it to end

-- Partitions that a person keeps from being written. They may overlap one another, and never a claim.
CREATE TABLE hold (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,          -- one hold may have several rows
  table_id INTEGER NOT NULL REFERENCES tables,
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,               -- NULL: it does not end by itself
  owner TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  reason TEXT NOT NULL,
  CHECK (start < end)
) STRICT;
CREATE INDEX hold_on ON hold (table_id, start);

PRAGMA user_version = 3;
