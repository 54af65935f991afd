package catalog

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzLoad: whatever a project file holds, loading it does not panic, and every error has a place and a line in a file of the project.
// What is taken can be put in order, versioned, and is in range.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(names, "testdata/sample.txtar") {
		a := archive(f, strings.TrimPrefix(filepath.ToSlash(name), "testdata/"))
		for _, file := range a.Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				f.Add(string(file.Data))
			}
		}
	}
	for _, text := range goodFiles {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fsys := fstest.MapFS{
			"headway.yaml": {Data: []byte(text)},
			"sql/t.sql":    {Data: []byte("select 1 from {{table \"s\"}}")},
			"a.yaml":       {Data: []byte("sources: {s: {partition: none}}")},
		}
		p, err := Load(Folder{FS: fsys, File: "headway.yaml"})
		if err != nil {
			checkErrors(t, err, fsys)
			return
		}
		g, err := NewGraph(p)
		if err != nil {
			t.Fatalf("a project was taken and its graph was not: %v", err)
		}
		for _, x := range p.Tables {
			if x.Name == "" || x.Relation == "" || x.Warehouse == "" || x.Pos.Line == 0 || g.Table(x.Name) != x {
				t.Errorf("a table without what tables have: %+v", x)
			}
			if x.CheckVersion() == "" || (x.CodeVersion(nil) == "") != x.IsSource() {
				t.Errorf("versions of %s", x.Name)
			}
			for _, in := range x.Inputs {
				if g.Table(in.Table) == nil || len(in.Windows) == 0 || in.Complete < 0 || in.Complete > 1 {
					t.Errorf("an input of %s: %+v", x.Name, in)
				}
			}
		}
		_ = p.Unsupported()
	})
}

func checkErrors(t *testing.T, err error, fsys fstest.MapFS) {
	t.Helper()
	var es Errors
	if !errors.As(err, &es) || len(es) == 0 {
		t.Fatalf("not a list of errors: %v", err)
	}
	_ = es.Error()
	for _, e := range es {
		file := fsys[e.Pos.File]
		if file == nil || e.Pos.Line < 1 || e.Pos.Column < 1 || e.Msg == "" {
			t.Fatalf("an error without a place: %#v", e)
		}
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(file.Data), "\ufeff"))
		lines := strings.Split(text, "\n")
		if e.Pos.Line > len(lines)+1 || (e.Line != "" && e.Line != lines[e.Pos.Line-1]) {
			t.Fatalf("an error beside its line: %#v", e)
		}
	}
}
