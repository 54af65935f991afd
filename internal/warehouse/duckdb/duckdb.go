// Package duckdb is the warehouse in a DuckDB file.
//
// The engine of the process is an instance in memory, to which the file is attached under the name that DuckDB itself would give it: so
// the file can be let go (Lend) while stages, which live in memory until they are published, stay. DuckDB admits one process that writes
// to a file. Within this process, publishes take turns; everything else runs at once.
//
// The session's time zone is the axis's for days and months, so that a DATE compared with an instant means local midnight, and UTC
// everywhere else. A TIMESTAMP without a zone is civil time for days and months and UTC for hours.
package duckdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/headway-data/headway/internal/warehouse"
)

// Options say how a file is used. The zero value is fine.
type Options struct {
	Threads     int    // of the engine; 0: one per core
	MemoryLimit string // of the engine, like "4GB"; "": 80% of the machine's
	// OpenWait is how long to wait for a process that has the file open and takes no turns, like another program. For processes that take
	// turns there is no limit but the context's: they give the file up soon. 0: wait for neither.
	OpenWait time.Duration
	// Log is told what is waited for. nil: nobody is.
	Log *slog.Logger
	// ReadOnly leaves the file as it is. A file that does not exist is an empty warehouse then, and sources are copied into memory.
	ReadOnly bool
	// LocationBase is a folder: the location of a file inside it is the path relative to it, so that a project can be moved. A file
	// outside it has its canonical absolute path.
	LocationBase string
}

// Bounds: of connections to the engine, of what is kept aside of one quarantined stage, and of how many stages are kept aside.
const (
	maxConnections    = 32
	maxQuarantineRows = 100_000
	maxQuarantineKept = 100
	maxUses           = 1 << 20
	headway           = "_headway"
	stages            = "_headway_stage"
	maxDates          = 2_000_000
	memoryCatalog     = "memory"
	prefixStage       = "s_" // computed by a query, in memory
	prefixWritten     = "w_" // being filled by a command, in the file
	prefixSealed      = "z_" // filled by a command and closed, in the file
	prefixQuarantine  = "q_" // kept aside, in the file
	maxExampleLength  = 120
)

// A Warehouse is one DuckDB file.
type Warehouse struct {
	path     string // canonical, absolute
	location string
	catalog  string // the name under which the file is attached
	opts     Options

	turn       turn                // this process's, with the file
	uses       *semaphore.Weighted // every method holds one; Lend and Close hold all
	publishing chan struct{}       // one place: who holds it may write markers and tables
	raising    chan struct{}       // one place: who holds it may raise fences
	pretends   chan struct{}       // one place: who holds it may make relations in memory that hide those of the file

	copied func() // tests: called when files were read, before they are looked at again

	nulls sync.Map // the hash of a null, by column name; a constant of the engine
	types sync.Map // types as DESCRIBE writes them, by how people do

	mu      sync.Mutex
	sources map[string]chan struct{} // one place each: who holds it may copy the source
	engine  *engine                  // nil until the first use, and after a fatal error
	dead    []*engine                // that failed for good
	closed  bool
}

var _ warehouse.Warehouse = (*Warehouse)(nil)

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("the warehouse is closed")

// Open prepares the use of the file at path, which need not exist unless its folder does not either. The file itself is opened, and
// locked, at the first use.
func Open(_ context.Context, path string, opts Options) (*Warehouse, error) {
	file, err := canonical(path)
	if err != nil {
		return nil, fmt.Errorf("open the DuckDB file %s: %w", path, err)
	}
	location := file
	if opts.LocationBase != "" {
		base, err := filepath.Abs(opts.LocationBase)
		if err == nil {
			base, err = filepath.EvalSymlinks(base)
		}
		if err != nil {
			return nil, fmt.Errorf("open the DuckDB file %s: the project folder: %w", path, err)
		}
		if rel, err := filepath.Rel(base, file); err == nil && filepath.IsLocal(rel) {
			location = filepath.ToSlash(rel)
		}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Warehouse{
		path: file, location: location, catalog: catalogName(file), opts: opts, turn: newTurn(),
		uses: semaphore.NewWeighted(maxUses), publishing: make(chan struct{}, 1), raising: make(chan struct{}, 1), pretends: make(chan struct{}, 1),
		sources: map[string]chan struct{}{},
	}, nil
}

// canonical is the path without links; the file itself need not exist, its folder must.
func canonical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	switch {
	case err == nil && info.IsDir():
		return "", errors.New("it is a folder: name the file in it")
	case err == nil:
		return filepath.EvalSymlinks(abs)
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", fmt.Errorf("its folder: %w", err)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// catalogName is the name DuckDB gives to a file's database: what stands before the first dot. Names that the engine has taken get an
// underscore, as DuckDB itself does.
func catalogName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	switch strings.ToLower(name) {
	case "":
		return "warehouse"
	case memoryCatalog, "main", "temp", "system":
		return name + "_"
	}
	return name
}

// Location is the file: relative to LocationBase when inside it, else canonical and absolute.
func (w *Warehouse) Location() string { return w.location }

// Lend closes the file while fn runs, which must not use the warehouse. It stays our turn: nobody else who takes turns opens the file
// meanwhile. Stages in memory stay.
func (w *Warehouse) Lend(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := w.uses.Acquire(ctx, maxUses); err != nil {
		return w.failed(ctx, "wait until nobody uses "+w.path, err)
	}
	defer w.uses.Release(maxUses)
	if err := w.enter(ctx, true); err != nil {
		return err
	}
	defer w.exit(ctx)
	if err := w.letGo(ctx); err != nil {
		return err
	}
	w.turn.signLent(true)
	defer w.turn.signLent(false)
	return fn(ctx)
}

// Leave closes the file until the next use, and ends the turn. It waits for what uses it.
func (w *Warehouse) Leave(ctx context.Context) error {
	if err := w.uses.Acquire(ctx, maxUses); err != nil {
		return w.failed(ctx, "wait until nobody uses "+w.path, err)
	}
	defer w.uses.Release(maxUses)
	w.turn.mu.Lock()
	defer w.turn.mu.Unlock()
	if w.turn.place != nil && !w.turn.moving && w.turn.users == 0 {
		w.giveUp(ctx)
	}
	return nil
}

// letGo closes the file if it is open. Where that fails the engine is closed with it, and what it has in memory is lost.
func (w *Warehouse) letGo(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	for _, e := range w.dead {
		_ = e.close(ctx)
	}
	w.dead = nil
	if w.engine == nil {
		return nil
	}
	if err := w.engine.detach(ctx); err != nil {
		err = errors.Join(err, w.engine.close(ctx))
		w.engine = nil
		return w.failed(ctx, "let go of "+w.path, err)
	}
	return nil
}

// Close ends the use of the file. It waits for methods that run. Closing twice is a no-op.
func (w *Warehouse) Close() error {
	ctx := context.Background() // nobody waits for ever: the methods end with their contexts
	if err := w.uses.Acquire(ctx, maxUses); err != nil {
		return err
	}
	defer w.uses.Release(maxUses)
	if left := w.turn.stop(); left != nil {
		defer left.leave() // after the file is closed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, e := range w.dead {
		_ = e.close(ctx)
	}
	w.dead = nil
	if w.engine == nil {
		return nil
	}
	err := w.engine.close(ctx)
	w.engine = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", w.path, err)
	}
	return nil
}

// lockPublishing waits for the turn to write. The returned function ends it.
func (w *Warehouse) lockPublishing(ctx context.Context) (func(), error) {
	return lock(ctx, w.publishing)
}

func lock(ctx context.Context, place chan struct{}) (func(), error) {
	select {
	case place <- struct{}{}:
		return func() { <-place }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
