-- Each run asks which others have not ended: that must not take longer with every run that ever was.

-- +goose Up
CREATE INDEX run_active ON run (started) WHERE ended = 0;

PRAGMA user_version = 6;
