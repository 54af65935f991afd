package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/headway-data/headway/internal/ledger"
)

// upgradeFrom1 packs anew, as schema 2 does, what schema 1 packed otherwise. Of what stood then nobody knows when it was checked: it counts as never checked.
func upgradeFrom1(ctx context.Context, conn *sql.Conn) error {
	err := rewrite(ctx, conn, "page", "rows", fmt.Sprintf("kind = %d", segments), func(blob []byte) ([]byte, error) {
		rows, err := readPage(segmentCodec1{}, nil, blob)
		return packPage(segmentCodec2{}, rows), err
	})
	if err != nil {
		return err
	}
	err = rewrite(ctx, conn, "page", "rows", fmt.Sprintf("kind = %d", verdicts), func(blob []byte) ([]byte, error) {
		rows, err := readPage(verdictCodec1{}, nil, blob)
		for i := range rows {
			rows[i].CheckSeq = rows[i].ReadSeq
		}
		return packPage(verdictCodec{}, rows), err
	})
	if err != nil {
		return err
	}
	return rewrite(ctx, conn, "attempt", "intent", "intent IS NOT NULL", func(blob []byte) ([]byte, error) {
		return append(blob, 0), nil // of what is published nothing fails
	})
}

// upgradeTo5 notes in the segments what class fix wrote, as far as the attempt that wrote it is known.
func upgradeTo5(ctx context.Context, conn *sql.Conn) error {
	fixes, err := attemptsOfFixes(ctx, conn)
	if err != nil {
		return fmt.Errorf("read what class fix wrote: %w", err)
	}
	return rewrite(ctx, conn, "page", "rows", fmt.Sprintf("kind = %d", segments), func(blob []byte) ([]byte, error) {
		rows, err := readPage(segmentCodec2{}, nil, blob)
		for i := range rows {
			rows[i].FixedBy = fixes[rows[i].Attempt]
		}
		return packPage(segmentCodec{}, rows), err
	})
}

// attemptsOfFixes gives the version of each attempt of class fix by its name, and notes with which versions they have published.
func attemptsOfFixes(ctx context.Context, conn *sql.Conn) (fixes map[string]string, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT a.name, a.table_id, a.state, a.beginning FROM attempt a JOIN lease l ON l.id = a.lease_id
		WHERE l.class = ?`, string(ledger.ClassFix))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type published struct {
		table   int64
		version string
	}
	fixes = map[string]string{}
	with := map[published]bool{}
	for rows.Next() {
		var name, state string
		var table int64
		var beginning []byte
		if err := rows.Scan(&name, &table, &state, &beginning); err != nil {
			return nil, err
		}
		var a attempt
		if err := a.readBeginning(beginning); err != nil {
			return nil, err
		}
		fixes[name] = a.Version
		if state == ledger.AttemptPublished || state == ledger.AttemptPartial {
			with[published{table, a.Version}] = true
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for p := range with {
		if _, err := conn.ExecContext(ctx, "UPDATE version SET fix = 1 WHERE table_id = ? AND version = ?", p.table, p.version); err != nil {
			return nil, err
		}
	}
	return fixes, nil
}

// rewrite replaces a blob in every row of a table that meets a condition.
func rewrite(ctx context.Context, conn *sql.Conn, table, column, where string, change func(blob []byte) ([]byte, error)) (err error) {
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("SELECT id, %s FROM %s WHERE %s", column, table, where))
	if err != nil {
		return fmt.Errorf("read what %s holds: %w", table, err)
	}
	defer rows.Close()
	changed := map[int64][]byte{}
	for err == nil && rows.Next() {
		var id int64
		var blob []byte
		if err = rows.Scan(&id, &blob); err == nil {
			changed[id], err = change(blob)
		}
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("read what %s holds: %w", table, err)
	}
	for id, blob := range changed {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s = ? WHERE id = ?", table, column), blob, id); err != nil {
			return fmt.Errorf("pack %s anew: %w", table, err)
		}
	}
	return nil
}
