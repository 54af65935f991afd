-- Segments and verdicts tell with which checks they were looked at, and when; intents tell what fails. They lie in blobs: upgrade.go packs
-- them anew in the transaction of this migration.

-- +goose Up
PRAGMA user_version = 2;
