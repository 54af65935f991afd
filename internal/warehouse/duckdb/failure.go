package duckdb

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"github.com/headway-data/headway/internal/warehouse"
)

// failed says what was being done when err came. Errors of the contract and of the context pass through.
func (w *Warehouse) failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && (isInterrupted(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return fmt.Errorf("%s: %w", what, cause)
	}
	if isContract(err) {
		return err
	}
	if next := remedy(err, w.path); next != "" {
		return fmt.Errorf("%s: %w: %s", what, err, next)
	}
	switch kind(err) {
	case duck.ErrorTypeParser, duck.ErrorTypeSyntax, duck.ErrorTypeBinder, duck.ErrorTypeCatalog, duck.ErrorTypeParameterNotResolved:
		return &warehouse.QueryError{What: what, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ofData tells failures on values, which other partitions may be spared, from all others.
func ofData(err error, computing string) error {
	switch kind(err) {
	case duck.ErrorTypeConversion, duck.ErrorTypeOutOfRange, duck.ErrorTypeDivideByZero, duck.ErrorTypeInvalidInput, duck.ErrorTypeMismatchType:
		return &warehouse.DataError{Table: computing, Err: err}
	}
	return err
}

// isContract reports whether the error is one that callers branch on: it says all there is to say.
func isContract(err error) bool {
	var (
		foreign  *warehouse.ForeignLedgerError
		fenced   *warehouse.FencedError
		outside  *warehouse.OutsideError
		mismatch *warehouse.MismatchError
		schema   *warehouse.SchemaError
		source   *warehouse.SourceError
		locked   *warehouse.LockedError
		query    *warehouse.QueryError
		data     *warehouse.DataError
		shape    *warehouse.ShapeError
	)
	return errors.As(err, &foreign) || errors.As(err, &fenced) || errors.As(err, &outside) || errors.As(err, &mismatch) ||
		errors.As(err, &schema) || errors.As(err, &source) || errors.As(err, &locked) || errors.As(err, &query) || errors.As(err, &data) ||
		errors.As(err, &shape) || errors.Is(err, ErrClosed)
}

func kind(err error) duck.ErrorType {
	if e, ok := errors.AsType[*duck.Error](err); ok {
		return e.Type
	}
	return duck.ErrorTypeInvalid
}

func isInterrupted(err error) bool { return kind(err) == duck.ErrorTypeInterrupt }

// isFatal reports whether the engine can no longer be used.
func isFatal(err error) bool {
	k := kind(err)
	return k == duck.ErrorTypeFatal || k == duck.ErrorTypeInternal
}

// isConflict: another transaction has changed the same rows.
func isConflict(err error) bool { return kind(err) == duck.ErrorTypeTransaction }

func noTransaction(err error) bool { return kind(err) == duck.ErrorTypeTransaction }

// remedy is what to do about failures that are not the query's.
func remedy(err error, path string) string {
	msg := err.Error()
	switch {
	case strings.Contains(msg, "No space left on device"), strings.Contains(msg, "Disk quota exceeded"), strings.Contains(msg, "File too large"):
		return "make room where " + path + " lies and run again; nothing of this was published"
	case strings.Contains(msg, "read-only mode"), strings.Contains(msg, "Read-only file system"), strings.Contains(msg, "Permission denied"):
		return "allow writing to " + path + " and its folder"
	case kind(err) == duck.ErrorTypeOutOfMemory:
		return "compute fewer partitions at once (batch: {size: ...}) or give the engine more memory"
	case strings.Contains(msg, "not a valid DuckDB database file"), kind(err) == duck.ErrorTypeSerialization, strings.Contains(msg, "Corrupt"):
		return "the file is damaged, or not a DuckDB file: put a copy of it back, or move it away"
	}
	return ""
}

func isLocked(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Could not set lock on file")
}

// unopened is why the file could not be opened.
func (w *Warehouse) unopened(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if isLocked(err) {
		return &warehouse.LockedError{Path: w.path, Holder: holderIn(err), Err: context.Cause(ctx)}
	}
	return w.failed(ctx, "open "+w.path, err)
}

var errorLine = regexp.MustCompile(`(?m)^LINE (\d+): `)

// ofQuery takes away what stands around a query that was run: lines before it, so that LINE counts as people wrote it.
func ofQuery(err error, before int) error { //nolint:unparam // one line now; what stands around a query may change
	var e *duck.Error
	if !errors.As(err, &e) {
		return err
	}
	msg := errorLine.ReplaceAllStringFunc(e.Msg, func(found string) string {
		n, convErr := strconv.Atoi(found[len("LINE ") : len(found)-len(": ")])
		if convErr != nil || n <= before {
			return found
		}
		return fmt.Sprintf("LINE %d: ", n-before)
	})
	return &duck.Error{Type: e.Type, Msg: msg}
}

func shorten(s string) string {
	if r := []rune(s); len(r) > maxExampleLength {
		return string(r[:maxExampleLength]) + "…"
	}
	return s
}
