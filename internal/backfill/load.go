package backfill

import (
	"os"

	"github.com/headway-data/headway/internal/catalog"
)

// load parses the project and its graph.
func (c *Coordinator) load(opts Options) error {
	c.FS = os.DirFS(opts.Dir)
	var err error
	if c.Project, err = LoadProject(c.Environment, opts.Dir, opts.File, opts.Env); err != nil {
		return err
	}
	if err := c.keepVersions(); err != nil {
		return err
	}
	if err := c.wrap.over(c.Project); err != nil {
		return err
	}
	c.Graph, err = catalog.NewGraph(c.Project)
	return err //nolint:wrapcheck // it names file, line and column itself
}

// LoadProject parses a project file and checks it, without opening anything that it names.
func LoadProject(env Environment, dir, file, environment string) (*catalog.Project, error) {
	if environment == "" {
		environment, _ = env.Lookup("HEADWAY_ENV")
	}
	project, err := catalog.Load(catalog.Folder{FS: os.DirFS(dir), File: file, Env: environment})
	if err != nil {
		return nil, err //nolint:wrapcheck // it names file, line and column itself
	}
	return project, nil
}
