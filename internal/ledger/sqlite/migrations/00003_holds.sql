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

-- +goose StatementBegin
CREATE TRIGGER claim_unheld BEFORE INSERT ON claim
WHEN EXISTS (SELECT 1 FROM hold WHERE table_id = NEW.table_id AND start < NEW.end AND end > NEW.start)
BEGIN
  SELECT RAISE(ABORT, 'a write lease overlaps a hold');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER hold_unclaimed BEFORE INSERT ON hold
WHEN (SELECT end FROM claim WHERE table_id = NEW.table_id AND start < NEW.end ORDER BY start DESC LIMIT 1) > NEW.start
BEGIN
  SELECT RAISE(ABORT, 'a hold overlaps a write lease');
END;
-- +goose StatementEnd

PRAGMA user_version = 3;
