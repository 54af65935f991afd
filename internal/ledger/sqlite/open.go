package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver

	"github.com/headway-data/headway/internal/ledger"
)

// canonical is the path without links. The folder is made if it is not there.
func canonical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("the state %s: %w", path, err)
	}
	switch info, err := os.Stat(abs); { //nolint:gosec // a path that the user named
	case err == nil && info.IsDir():
		return "", fmt.Errorf("the state %s is a folder: name a file in it", path)
	case err == nil && !info.Mode().IsRegular():
		return "", fmt.Errorf("the state %s is no regular file", path)
	case err == nil:
		return filepath.EvalSymlinks(abs)
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("the state %s cannot be reached: %w", path, err)
	}
	if target, err := os.Readlink(abs); err == nil {
		return "", fmt.Errorf("the state %s is a link to %s, which does not exist: make the file's folder or remove the link", path, target)
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o750); err != nil { //nolint:gosec // as above
		return "", fmt.Errorf("make the folder of the state %s: %w", path, err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", fmt.Errorf("the folder of the state %s: %w", path, err)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// How a file is opened.
type access uint8

const (
	writing access = iota // read, write, make
	reading               // like writing, but the connection refuses to write: it may still take part in the log of changes
	viewing               // without write permission to the file
	frozen                // without write permission to the folder: nobody can be writing
)

// onlyReading chooses how to open a file that is never written to. SQLite needs a file beside it to read while others write; in a folder
// where none can be made nobody writes either, unless that file is there already.
func onlyReading(path string) access {
	probe, err := os.CreateTemp(filepath.Dir(path), ".headway-*")
	if err == nil {
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		return viewing
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		return viewing
	}
	return frozen
}

// dsn sets busy_timeout before everything else: opening a store that others open too says "database is locked" otherwise.
func (l *Ledger) dsn(how access) string {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", l.opts.BusyWait.Milliseconds()))
	q.Set("_txlock", "immediate")
	sync := "synchronous(FULL)"
	if l.opts.careless {
		sync = "synchronous(OFF)"
	}
	q.Add("_pragma", sync) // a reader that closes last tidies the file up, so it is told too
	switch how {
	case writing:
		for _, p := range []string{"journal_mode(WAL)", "foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-32768)"} {
			q.Add("_pragma", p)
		}
	case reading:
		q.Add("_pragma", "query_only(1)")
	case viewing:
		q.Set("mode", "ro")
	case frozen:
		q.Set("mode", "ro")
		q.Set("immutable", "1")
	}
	return fileURL(l.path, q)
}

func fileURL(path string, q url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// What a file is.
type fileState uint8

const (
	absent  fileState = iota // not there, or empty
	old                      // an earlier schema
	current                  // today's schema
)

// applicationID marks a SQLite file as Headway's: "HaDW".
const applicationID = 0x48614457

// probe looks what a file is before anything is changed in it.
func probe(ctx context.Context, path string) (fileState, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() == 0) {
		return absent, nil
	}
	if err != nil {
		return absent, err
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}}
	if onlyReading(path) == frozen {
		q.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", fileURL(path, q))
	if err != nil {
		return absent, err
	}
	defer db.Close() //nolint:errcheck // it was only read
	// One statement, so that all three are of one moment: somebody may be making the file now. Goose makes its own table before it takes the
	// lock; nothing else in a file means that nothing was made yet.
	var app, version, objects int
	err = db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT IN ('goose_db_version', 'sqlite_sequence'))`).Scan(&app, &version, &objects)
	if err != nil {
		return absent, err
	}
	newest, err := newestSchema()
	switch {
	case err != nil:
		return absent, err
	case objects == 0:
		return absent, nil
	case app != applicationID:
		return absent, fmt.Errorf("%s is the database of another program: name another file for the state", path)
	case version > newest:
		return absent, fmt.Errorf("%w: %s has schema %d, this program knows up to %d: use the newer headway, or another state",
			ledger.ErrSchema, path, version, newest)
	case version < newest:
		return old, nil
	}
	return current, nil
}
