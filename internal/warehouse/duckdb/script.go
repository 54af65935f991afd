package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Script runs statements on a database file, as a person's own program would: without turns, fences or markers.
func Script(ctx context.Context, path, statements string) (err error) {
	db, err := sql.Open("duckdb", path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, statements); err != nil {
		return fmt.Errorf("on %s: %w", path, err)
	}
	return nil
}
