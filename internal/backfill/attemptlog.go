package backfill

import (
	"io"
	"os"
	"path/filepath"

	"github.com/headway-data/headway/internal/ledger"
)

// openLog makes the log of an attempt. It comes into being with its first line: most queries say nothing.
func (r *runner) openLog(id ledger.AttemptID, _ string) (io.WriteCloser, error) {
	return &lazyFile{path: r.LogPath(id)}, nil
}

type lazyFile struct {
	path string
	file *os.File
}

func (l *lazyFile) Write(p []byte) (int, error) {
	if l.file == nil {
		if err := os.MkdirAll(filepath.Dir(l.path), 0o750); err != nil {
			return 0, err
		}
		f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		l.file = f
	}
	return l.file.Write(p)
}

func (l *lazyFile) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
