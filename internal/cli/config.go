package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/headway-data/headway/internal/backfill"
)

// configFiles are where the machine and the user say where the state is, for projects that do not.
func configFiles() []string {
	files := []string{"/etc/headway/config.yaml"}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "headway", "config.yaml"))
	}
	return files
}

// configuredState is the state that the first configuration file names, "" where none does. A path in it is relative to the file.
func configuredState(files []string) (string, error) {
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // the machine's or the user's own configuration
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the configuration %s: %w", name, err)
		}
		var config struct {
			State string `yaml:"state"`
		}
		if err := yaml.UnmarshalWithOptions(text, &config, yaml.Strict()); err != nil {
			return "", &backfill.InputError{What: name + ":" + strings.TrimSpace(err.Error()), Next: "the only key it may have is `state`, like sqlite:/var/lib/headway/state.db"}
		}
		if config.State == "" {
			continue
		}
		if path, ok := strings.CutPrefix(config.State, "sqlite:"); ok && !filepath.IsAbs(path) && !strings.Contains(path, "${") {
			return "sqlite:" + filepath.Join(filepath.Dir(name), path), nil
		}
		return config.State, nil
	}
	return "", nil
}
