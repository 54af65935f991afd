package backfill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/warehouse"
	"github.com/headway-data/headway/internal/worker"
)

// UnseenWarehouse is the type, and the location, of the warehouse of tables that Headway does not reach.
const UnseenWarehouse = "unseen"

// unseenName is what the table of a command may be called where no project declares it.
var unseenName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:/$-]*$`)

// isUnseen reports whether a table is in no warehouse that Headway reaches.
func isUnseen(t *worker.Table) bool { return t.Table.Warehouse == UnseenWarehouse }

// Unseen reports whether the coordinator is one of OpenUnseen.
func (c *Coordinator) Unseen() bool { return c.unseen }

// OpenUnseen opens a state without a project: its tables are those that commands of people have written, wherever they are.
func OpenUnseen(ctx context.Context, env Environment, opts Options) (*Coordinator, error) {
	c := &Coordinator{
		Environment: env, Dir: opts.Dir, FS: os.DirFS(opts.Dir), wrap: opts.Wrap, unseen: true,
		warehouses: map[string]warehouse.Warehouse{},
	}
	url, err := catalog.Resolve(opts.State, env.Lookup)
	if err != nil {
		return nil, &InputError{What: "the state: " + err.Error(), Next: "set the variable, or name the state with --state"}
	}
	c.lookAtGit(ctx, c.workDir())
	if c.Ledger, err = env.OpenLedger(ctx, url, opts.Dir, opts.ReadOnly); err != nil {
		return nil, errors.Join(fmt.Errorf("open the state %s: %w", ShownURL(url), err), c.Close())
	}
	if err := c.bindUnseen(ctx, opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Coordinator) bindUnseen(ctx context.Context, opts Options) error {
	c.logs = filepath.Join(opts.Dir, ".headway", "logs")
	if file, ok := strings.CutPrefix(c.Ledger.URL(), "sqlite:"); ok {
		c.logs = filepath.Join(filepath.Dir(file), "logs")
	}
	axes, err := c.Ledger.Axes(ctx)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	known := map[string]calendar.Axis{}
	for key, axis := range axes {
		if name, ok := strings.CutPrefix(key, UnseenWarehouse+":"); ok {
			known[name] = axis
		}
	}
	for name, axis := range opts.Unseen {
		if !unseenName.MatchString(name) {
			return &InputError{What: fmt.Sprintf("%q cannot be a table's name", name), Next: "use letters, digits and . _ - : /, like nba.team_offense"}
		}
		lower := strings.ToLower(name)
		was, used := known[lower]
		if used && opts.Wrap.writes(name) && was.Grain != axis.Grain {
			return &InputError{
				What: fmt.Sprintf("%s has always been used by %s, not by %s", name, was.Grain, axis.Grain), Next: "name the range that way, or another table",
			}
		}
		if !used {
			was = axis
		}
		delete(known, lower)
		known[name] = was
	}
	c.Project = &catalog.Project{Name: "", Zone: "UTC", Warehouses: []*catalog.Warehouse{{Name: UnseenWarehouse, Type: UnseenWarehouse}}}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		c.Project.Tables = append(c.Project.Tables, unseenTable(name, known[name]))
	}
	if err := c.wrap.over(c.Project); err != nil {
		return err
	}
	if c.Graph, err = catalog.NewGraph(c.Project); err != nil {
		return err //nolint:wrapcheck // it names the table itself
	}
	return c.bind(ctx, opts.ReadOnly)
}

// unseenTable is all that is known of a table that is not seen: what was asked for of it is expected, and what a command does not call empty is
// taken to be there.
func unseenTable(name string, axis calendar.Axis) *catalog.Table {
	const digits = 9
	return &catalog.Table{
		Name: name, Relation: name, Warehouse: UnseenWarehouse, Axis: axis, Write: catalog.Direct, Empty: catalog.AllowEmpty, Digits: digits,
		Pos: catalog.Pos{File: name},
	}
}
