// Package lite is the ledger in a SQLite file.
//
// All writes go through one goroutine, which puts those that wait together into one transaction: each in a savepoint of its own, one
// commit for all. A commit costs a write to the disk (synchronous=FULL: leases and records survive a power cut), so ten waiting
// operations cost little more than one. Reads have connections of their own and see the last commit.
package lite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/headway-data/headway/internal/ledger"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options say how a store is used. The zero value is right outside of tests.
type Options struct {
	// ReadOnly opens an existing store and refuses every write.
	ReadOnly bool
	// Machine judges leases: this one, unless a test says otherwise.
	Machine ledger.Machine
	// Now is the wall clock, for what people read.
	Now func() time.Time
	// Fault is asked before ("before") and after ("after") every commit in tests; an error from it takes the commit's place.
	Fault func(when string) error
}

// A Ledger is a store in one file.
type Ledger struct {
	path  string
	id    string
	opts  Options
	write *sql.DB // one connection, owned by the writer
	read  *sql.DB
	queue chan *operation
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed when the writer has ended

	closing sync.Once
}

var _ ledger.Ledger = (*Ledger)(nil)

const (
	busyTimeout = 30 * time.Second // how long a process waits for the others' commits
	readers     = 4
)

// Open opens the store at path, and makes it, with its folder, if there is none.
func Open(ctx context.Context, path string, opts Options) (*Ledger, error) {
	opts.fill()
	real, err := canonical(path, opts.ReadOnly)
	if err != nil {
		return nil, err
	}
	l := &Ledger{path: real, opts: opts, queue: make(chan *operation, maxQueued), quit: make(chan struct{}), done: make(chan struct{})}
	if l.read, err = sql.Open("sqlite", dsn(real, true)); err != nil {
		return nil, l.explain(err)
	}
	l.read.SetMaxOpenConns(readers)
	if l.write, err = sql.Open("sqlite", dsn(real, opts.ReadOnly)); err != nil {
		return nil, errors.Join(l.explain(err), l.read.Close())
	}
	l.write.SetMaxOpenConns(1)
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(l.explain(err), l.read.Close(), l.write.Close())
	}
	if opts.ReadOnly {
		close(l.done)
		return l, nil
	}
	conn, err := l.write.Conn(ctx)
	if err != nil {
		return nil, errors.Join(l.explain(err), l.read.Close(), l.write.Close())
	}
	w := &writer{ledger: l, conn: conn, stmts: map[string]*sql.Stmt{}}
	go w.loop()
	return l, nil
}

// canonical is the path without links, so that every way to a store is one store. The folder is made if it is not there.
func canonical(path string, readOnly bool) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("the state %s: %w", path, err)
	}
	if info, err := os.Stat(abs); err == nil {
		if info.IsDir() {
			return "", fmt.Errorf("the state %s is a folder: name the file in it", path)
		}
		return filepath.EvalSymlinks(abs)
	}
	if readOnly {
		// Nothing was ever kept there: an empty store is what it is.
		if _, err := os.Stat(filepath.Dir(abs)); errors.Is(err, fs.ErrNotExist) {
			if err := os.MkdirAll(filepath.Dir(abs), 0o750); err != nil {
				return "", fmt.Errorf("make the folder of the state: %w", err)
			}
		}
	} else if err := os.MkdirAll(filepath.Dir(abs), 0o750); err != nil {
		return "", fmt.Errorf("make the folder of the state: %w", err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", fmt.Errorf("the folder of the state: %w", err)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// dsn sets busy_timeout before everything else: opening a store that others open too says "database is locked" otherwise.
func dsn(path string, readOnly bool) string {
	q := url.Values{}
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"temp_store(MEMORY)", "cache_size(-65536)",
	}
	if readOnly {
		pragmas = append(pragmas, "query_only(1)")
	}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	q.Set("_txlock", "immediate")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// prepare brings the schema up to date and reads the ledger's name.
func (l *Ledger) prepare(ctx context.Context) error {
	db := l.write
	if l.opts.ReadOnly {
		// A store that is not there yet, or is old, is brought up to date by a connection of its own, which is closed again.
		var err error
		if db, err = sql.Open("sqlite", dsn(l.path, false)); err != nil {
			return err
		}
		defer db.Close() //nolint:errcheck // its work is committed, or prepare fails
	}
	if err := migrate(ctx, db); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `INSERT INTO meta VALUES ('id', ?) ON CONFLICT DO NOTHING`, strings.ToLower(rand.Text()[:16])); err != nil {
		return err
	}
	return db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'id'`).Scan(&l.id)
}

// migrate brings the schema forward. Two processes that do so at once meet at the file's lock; the later one finds it done.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	const tries = 3
	for try := 1; ; try++ {
		provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			return fmt.Errorf("prepare the schema: %w", err)
		}
		current, target, err := provider.GetVersions(ctx)
		switch {
		case err != nil:
		case current > target:
			return fmt.Errorf("%w: its schema is %d, this program knows %d: use a newer headway", ledger.ErrSchema, current, target)
		case current == target:
			return nil
		default:
			_, err = provider.Up(ctx)
		}
		if err == nil {
			return nil
		}
		if try == tries || ctx.Err() != nil {
			return fmt.Errorf("bring the schema up to date: %w", err)
		}
	}
}

// ID is the ledger's name.
func (l *Ledger) ID() string { return l.id }

// URL is where the store is.
func (l *Ledger) URL() string { return "sqlite:" + l.path }

// Close waits for what is under way and closes the file.
func (l *Ledger) Close() error {
	l.closing.Do(func() { close(l.quit) })
	<-l.done
	return errors.Join(l.read.Close(), l.write.Close())
}

// The result codes of SQLite that people can do something about (https://www.sqlite.org/rescode.html).
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// explain adds the path and what to do to an error of the store.
func (l *Ledger) explain(err error) error {
	var e *sqlite.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	next := ""
	switch e.Code() & 0xff {
	case codeBusy, codeLocked:
		next = fmt.Sprintf("another process has kept it locked for more than %s: see who with `fuser %s`", busyTimeout, l.path)
	case codeReadOnly, codeCantOpen:
		next = "it cannot be written to: look at the owner and the rights of the file and its folder"
	case codeFull:
		next = "the disk is full: nothing was changed; make room and try again"
	case codeIOErr:
		next = "the disk reports an error: look at the system's log"
	case codeCorrupt:
		next = "the file is damaged: restore it from a backup"
	case codeNotADB:
		next = "it is no SQLite file: name another with --state"
	default:
		return fmt.Errorf("the state %s: %w", l.path, err)
	}
	return fmt.Errorf("the state %s: %w: %s", l.path, err, next)
}
