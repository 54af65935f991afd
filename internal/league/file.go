package league

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"strconv"
)

// A file is a gzip CSV that is being written. The first error is kept and told by close.
type file struct {
	f   *os.File
	zip *gzip.Writer
	buf *bufio.Writer
	row []byte
}

func createFile(dir, name, season, columns string) (*file, error) {
	f, err := os.Create(filepath.Join(dir, name+"_"+season+".csv.gz")) //nolint:gosec // the folder is what the caller asked for
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := &file{f: f, zip: zip, buf: bufio.NewWriterSize(zip, 1<<16)}
	w.text(columns)
	w.end()
	return w, nil
}

// text adds a field. No value here has a comma or a quote.
func (w *file) text(s string) { w.row = append(append(w.row, s...), ',') }

func (w *file) number(n int) { w.row = append(strconv.AppendInt(w.row, int64(n), 10), ',') }

func (w *file) decimal(x float64) {
	w.row = append(strconv.AppendFloat(w.row, x, 'f', -1, 64), ',')
}

// end ends the row.
func (w *file) end() {
	w.row[len(w.row)-1] = '\n'
	_, _ = w.buf.Write(w.row) // bufio keeps the error for Flush
	w.row = w.row[:0]
}

func (w *file) close() error {
	err := w.buf.Flush()
	if zerr := w.zip.Close(); err == nil {
		err = zerr
	}
	if ferr := w.f.Close(); err == nil {
		err = ferr
	}
	return err
}
