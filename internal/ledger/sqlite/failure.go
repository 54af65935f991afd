package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/headway-data/headway/internal/ledger"
)

// code is SQLite's primary result code of an error; 0 for others.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool { c := code(err); return c == lib.SQLITE_BUSY || c == lib.SQLITE_LOCKED }
func isDisk(err error) bool { return code(err) == lib.SQLITE_IOERR }

// explain says of an error of SQLite which file it is about and what can be done.
func (l *Ledger) explain(err error) error {
	if err == nil {
		return nil
	}
	next := ""
	switch code(err) {
	case 0:
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("the state %s: %w", l.path, err)
		}
		return err // not SQLite's: the ledger's own answers and the caller's context
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		next = "another process has it locked: try again, or see who with `fuser`"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		next = "the file or its folder is read-only: give yourself permission to write to both"
	case lib.SQLITE_CANTOPEN:
		next = "the file cannot be opened: see that it and its folder can be read and written"
	case lib.SQLITE_FULL:
		next = "the disk is full: nothing was changed; make room and run again"
	case lib.SQLITE_IOERR:
		next = "the disk gives errors"
	case lib.SQLITE_NOTADB:
		next = "the file is no SQLite database: name another file for the state"
	case lib.SQLITE_CORRUPT:
		next = "the file is damaged: restore it from a copy"
	case lib.SQLITE_INTERRUPT:
		if !errors.Is(err, ledger.ErrUnknown) {
			return context.Canceled
		}
	default:
		return fmt.Errorf("the state %s: %w", l.path, err)
	}
	return fmt.Errorf("the state %s: %s: %w", l.path, next, err)
}
