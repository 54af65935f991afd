package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// upgradeFrom1 packs anew what schema 1 packed otherwise. Of what stood then nobody knows when it was checked: it counts as never checked.
func upgradeFrom1(ctx context.Context, conn *sql.Conn) error {
	err := rewrite(ctx, conn, "page", "rows", fmt.Sprintf("kind = %d", segments), func(blob []byte) ([]byte, error) {
		rows, err := readPage(segmentCodec1{}, nil, blob)
		return packPage(segmentCodec{}, rows), err
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
