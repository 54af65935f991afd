package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

func migrationFiles() (fs.FS, error) { return fs.Sub(migrations, "migrations") }

// newestSchema is the number of the last migration.
func newestSchema() (int, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	newest := 0
	for _, f := range files {
		var n int
		if _, err := fmt.Sscanf(f, "migrations/%d_", &n); err != nil {
			return 0, fmt.Errorf("migration %s has no number: %w", f, err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}

// migrate brings a file to today's schema: all pending migrations in one transaction that has the write lock from its start, so that of
// several processes that open a new store one makes it and the others find it made.
func migrate(ctx context.Context, dsn string) (err error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := migrationFiles()
	if err != nil {
		return err
	}
	newest, err := newestSchema()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithDisableGlobalRegistry(true),
		goose.WithSessionLocker(&transaction{newest: newest}),
		goose.WithIsolateDDL(true), // leaves beginning and committing to the locker
	)
	if err != nil {
		return fmt.Errorf("prepare the schema: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", err)
	}
	return nil
}

// A transaction is goose's lock: the file's own write lock, held over all migrations.
type transaction struct {
	newest int
	was    int // the schema that the file had
}

// SessionLock begins it.
func (t *transaction) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	return conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&t.was)
}

// SessionUnlock commits if every migration was run, and leaves the file as it was otherwise.
func (t *transaction) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var version int
	err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil && version != t.newest {
		err = fmt.Errorf("the schema is %d and should be %d: nothing was changed", version, t.newest)
	}
	if err == nil && t.was == 1 {
		err = upgradeFrom1(ctx, conn)
	}
	if err == nil && t.was >= 1 && t.was < 5 {
		err = upgradeTo5(ctx, conn)
	}
	if err == nil {
		const letters = 16
		_, err = conn.ExecContext(ctx, `INSERT INTO ledger (one, id, clock, audited, audit_hash) VALUES (1, ?, 1, 0, '') ON CONFLICT DO NOTHING`,
			strings.ToLower(rand.Text()[:letters]))
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, end := conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, end)
	}
	return nil
}
