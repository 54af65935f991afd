-- Versions are ordered within their producer: each has a head. What class fix wrote is known as such: segments tell with which version. They
-- lie in blobs: upgrade.go packs them anew in the transaction of this migration.

-- +goose Up
ALTER TABLE version ADD COLUMN headed INTEGER NOT NULL DEFAULT 0; -- while it is the head: only an attempt with a greater token makes another it; 0: it is not
ALTER TABLE version ADD COLUMN fix INTEGER NOT NULL DEFAULT 0;    -- an attempt of class fix has published with it
ALTER TABLE version ADD COLUMN run TEXT NOT NULL DEFAULT '';      -- that published it first
ALTER TABLE version ADD COLUMN owner TEXT NOT NULL DEFAULT '';    -- who ran that

UPDATE version SET run = a.run, owner = l.owner FROM attempt a JOIN lease l ON l.id = a.lease_id
  WHERE a.table_id = version.table_id AND a.token = version.token;
UPDATE version SET headed = t.head_token FROM tables t WHERE t.id = version.table_id AND t.head = version.version;
UPDATE version SET headed = token WHERE token = (SELECT max(v.token) FROM version v WHERE v.table_id = version.table_id AND v.producer = version.producer)
  AND NOT EXISTS (SELECT 1 FROM version v WHERE v.table_id = version.table_id AND v.producer = version.producer AND v.headed > 0);

ALTER TABLE tables DROP COLUMN head;
ALTER TABLE tables DROP COLUMN head_token;

ALTER TABLE attempt ADD COLUMN downgrade INTEGER NOT NULL DEFAULT 0; -- its code is older, and a person let it write all the same

PRAGMA user_version = 5;
