package warehousetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/warehouse"
)

// A folder holds a source's files.
type folder struct {
	*store
	dir   string
	types []warehouse.Column
	clock int
}

func (s *store) folder(types ...warehouse.Column) *folder {
	return &folder{store: s, dir: s.TempDir(), types: types}
}

// put writes a file; names that end in .gz are compressed. Each write has a time of its own.
func (f *folder) put(name, content string) {
	f.Helper()
	data := []byte(content)
	if strings.HasSuffix(name, ".gz") {
		data = compress(content)
	}
	f.raw(name, data)
}

func compress(content string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(content))
	_ = z.Close()
	return b.Bytes()
}

func (f *folder) raw(name string, data []byte) {
	f.Helper()
	path := filepath.Join(f.dir, name)
	f.must(os.WriteFile(path, data, 0o600))
	f.clock++
	at := time.Unix(1_700_000_000+int64(f.clock), 0)
	f.must(os.Chtimes(path, at, at))
}

// games is the source of most cases.
var games = table("raw_games")

func (f *folder) look(glob, known string) (*warehouse.SourceState, error) {
	return f.w.Observe(f.ctx, warehouse.SourceRequest{Target: games, Files: filepath.Join(f.dir, glob), Known: known, Types: f.types})
}

func (f *folder) observe(glob, known string) *warehouse.SourceState {
	f.Helper()
	state, err := f.look(glob, known)
	f.must(err)
	return state
}

// refused demands a *SourceError that names the file.
func (f *folder) refused(glob, file, what string) {
	f.Helper()
	state, err := f.look(glob, "")
	var source *warehouse.SourceError
	if !errors.As(err, &source) {
		f.Fatalf("%s: state %+v, error %v; want a *SourceError", glob, state, err)
	}
	if source.Source != games.Relation || !strings.Contains(source.File, file) || !strings.Contains(source.What, what) || source.Next == "" {
		f.Fatalf("%s: %+v, want one about %s: %s", glob, source, file, what)
	}
}

// typesOf gives the types of a state's columns by name.
func typesOf(state *warehouse.SourceState) map[string]string {
	out := map[string]string{}
	for _, c := range state.Columns {
		out[c.Name] = c.Type
	}
	return out
}

func csvOf(rows ...string) string { return strings.Join(rows, "\n") + "\n" }

var sourceCases = []testCase{
	{"files are copied and read by the source's name", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("id,d,n", "001,2024-01-01,5", "002,2024-01-02,6"))
		f.put("b.csv.gz", csvOf("id,d,n", "003,2024-01-02,7", "004,,8"))
		state := f.observe("*.csv*", "")
		if state.Rows != 4 || state.Nulls != 1 || len(state.Contents) != 2 || state.Contents[1].Rows != 2 || state.Unchanged || state.Version == "" || len(state.Columns) != 3 {
			s.Fatalf("state %+v", state)
		}
		// The copy is read, not the files.
		s.must(os.Remove(filepath.Join(f.dir, "a.csv")))
		got, err := s.w.Dates(s.ctx, "select d from "+s.w.Relation("raw_games")+" where id = '001'", daily)
		s.must(err)
		if !got.Equal(set(1)) {
			s.Fatalf("the view gives %v", got)
		}
		b, err := s.w.Bind(s.ctx, "select * from raw_games")
		s.must(err)
		if len(b.Columns) != 3 || len(b.Reads) != 1 || !strings.HasSuffix(b.Reads[0], ".raw_games") {
			s.Fatalf("binding %+v", b)
		}
		if c := s.contents(games, set(2)); len(c) != 1 || c[0] != state.Contents[1] {
			s.Fatalf("contents %v, observed %v", c, state.Contents)
		}
	}},
	{"what has not moved is not read again", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		state := f.observe("*.csv", "")
		again := f.observe("*.csv", state.Version)
		if !again.Unchanged || again.Version != state.Version || len(again.Columns) != 2 {
			s.Fatalf("state %+v", again)
		}
		if full := f.observe("*.csv", ""); full.Unchanged || !slices.Equal(full.Contents, state.Contents) {
			s.Fatalf("state %+v", full)
		}
		f.put("a.csv", csvOf("d,n", "2024-01-01,6"))
		if moved := f.observe("*.csv", state.Version); moved.Unchanged || moved.Version == state.Version || slices.Equal(moved.Contents, state.Contents) {
			s.Fatalf("state %+v", moved)
		}
	}},
	{"a version that is known but whose copy is lost is read again", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		other := s.folder()
		other.put("a.csv", csvOf("d,n", "2024-01-01,6"))
		known := f.observe("*.csv", "").Version
		other.observe("*.csv", "") // the copy is now of other files
		if state := f.observe("*.csv", known); state.Unchanged && !slices.Equal(s.contents(games, set(1)), f.observe("*.csv", "").Contents) {
			s.Fatalf("state %+v of a copy of other files", state)
		}
	}},
	{"one file that changes or goes takes only its rows along", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		f.put("b.csv", csvOf("d,n", "2024-01-02,6"))
		f.put("c.csv", csvOf("d,n", "2024-01-03,7"))
		before := f.observe("*.csv", "")
		f.put("b.csv", csvOf("d,n", "2024-01-02,6", "2024-01-04,8"))
		s.must(os.Remove(filepath.Join(f.dir, "c.csv")))
		f.put("d.csv", csvOf("d,n", "2024-01-05,9"))
		after := f.observe("*.csv", before.Version)
		var days []int
		for _, c := range after.Contents {
			days = append(days, int(c.Partition-first))
		}
		if !slices.Equal(days, []int{1, 2, 4, 5}) || !slices.Equal(after.Contents[:2], before.Contents[:2]) || after.Rows != 4 {
			s.Fatalf("state %+v, before %+v", after, before)
		}
		// The same as reading it all.
		if fresh := s.folderCopy(f); !slices.Equal(fresh, after.Contents) {
			s.Fatalf("read piece by piece %v, at once %v", after.Contents, fresh)
		}
	}},
	{"declared types win", func(s *store) {
		f := s.folder(warehouse.Column{Name: "id", Type: "varchar"}, warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"})
		f.put("a.csv", csvOf("id,d,n,more", "12,2024-01-01,5,1.5"))
		types := typesOf(f.observe("*.csv", ""))
		if types["id"] != "VARCHAR" || types["n"] != "INTEGER" || types["d"] != "DATE" {
			s.Fatalf("types %v", types)
		}
	}},
	{"types that are not declared are found from all values of all files", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("d,id,n,x,empty,late,flag,ts", "2024-01-01,0022100001,5,1,,,true,2024-01-01 10:00:00", "2024-01-01,0022100002,6,2,,,false,2024-01-01 11:00:00"))
		f.put("b.csv", csvOf("d,id,n,x,empty,late,flag,ts", "2024-01-02,0042400407,-7,2.5,,34:15,true,2024-01-02T10:00:00"))
		types := typesOf(f.observe("*.csv", ""))
		want := map[string]string{"d": "DATE", "id": "VARCHAR", "n": "BIGINT", "x": "DOUBLE", "empty": "VARCHAR", "late": "VARCHAR", "flag": "BOOLEAN", "ts": "TIMESTAMP"}
		for column, typ := range want {
			if types[column] != typ {
				s.Errorf("column %s is %s, want %s", column, types[column], typ)
			}
		}
		before := f.observe("*.csv", "").Contents
		// A file that says otherwise changes the type of the column, and nothing else.
		f.put("b.csv", csvOf("d,id,n,x,empty,late,flag,ts", "2024-01-02,0042400407,none,2.5,,34:15,true,2024-01-02T10:00:00"))
		state := f.observe("*.csv", "")
		if types := typesOf(state); types["n"] != "VARCHAR" || state.Rows != 3 {
			s.Fatalf("state %+v", state)
		}
		f.put("b.csv", csvOf("d,id,n,x,empty,late,flag,ts", "2024-01-02,0042400407,-7,2.5,,34:15,true,2024-01-02T10:00:00"))
		if after := f.observe("*.csv", ""); typesOf(after)["n"] != "BIGINT" || !slices.Equal(after.Contents, before) {
			s.Fatalf("state %+v, before %v", after, before)
		}
	}},
	{"ids keep what numbers would lose", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("d,zeros,long,plus,hex", "2024-01-01,007,12345678901234567890,+5,1e5x"))
		for column, typ := range typesOf(f.observe("*.csv", "")) {
			if column != "d" && typ != "VARCHAR" {
				s.Errorf("column %s is %s", column, typ)
			}
		}
	}},
	{"a new column in a later file is null in the others", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		before := f.observe("*.csv", "")
		f.put("b.csv", csvOf("n,d,extra", "6,2024-01-02,9"))
		after := f.observe("*.csv", "")
		if len(after.Columns) != 3 || after.Contents[0] != before.Contents[0] {
			s.Fatalf("state %+v, before %+v", after, before)
		}
	}},
	{"other delimiters and quotes are understood", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "t", Type: "varchar"})
		f.put("a.csv", "\ufeff\"d\",\"t\"\r\n2024-01-01,\"a \"\"b\"\", c\"\r\n")
		f.put("b.csv", "d;t\n2024-01-01;\"a \"\"b\"\", c\"\n")
		for _, file := range []string{"a.csv", "b.csv"} {
			state := f.observe(file, "")
			if state.Rows != 1 || len(state.Columns) != 2 {
				s.Fatalf("%s: %+v", file, state)
			}
			got, err := s.w.Dates(s.ctx, `select d from raw_games where t = 'a "b", c'`, daily)
			s.must(err)
			if !got.Equal(set(1)) {
				s.Fatalf("%s: dates %v", file, got)
			}
		}
	}},
	{"a missing file is an error that names the glob", func(s *store) {
		f := s.folder()
		f.refused("nothing_*.csv", "nothing_*.csv", "no file")
	}},
	{"a file that is cut off is refused wherever it ends", func(s *store) {
		f := s.folder()
		whole := compress(csvOf("d,n", "2024-01-01,5", "2024-01-02,6"))
		f.raw("half.csv.gz", whole[:len(whole)-12])
		f.refused("half.csv.gz", "half.csv.gz", "cut off")
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(csvOf("d,n", "2024-01-01,5")))
		s.must(err)
		s.must(z.Flush()) // ends between two lines
		f.raw("line.csv.gz", b.Bytes())
		f.refused("line.csv.gz", "line.csv.gz", "cut off")
		broken := slices.Clone(whole)
		broken[len(broken)-6] ^= 0xff
		f.raw("damaged.csv.gz", broken)
		f.refused("damaged.csv.gz", "damaged.csv.gz", "")
		f.raw("plain.csv.gz", []byte(csvOf("d,n", "2024-01-01,5")))
		f.refused("plain.csv.gz", "plain.csv.gz", "gzip")
	}},
	{"a file that is not as declared is named with the line", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"})
		f.put("good.csv", csvOf("d,n", "2024-01-01,5"))
		f.put("word.csv", csvOf("d,n", "2024-01-01,5", "2024-01-32,5"))
		f.refused("*.csv", "word.csv", "2024-01-32")
		f.put("word.csv", csvOf("d,n", "2024-01-01,5", ",five"))
		f.refused("*.csv", "word.csv", "five")
		f.put("word.csv", csvOf("d,n", "2024-01-01,5", "2024-01-01,5,6,7"))
		f.refused("*.csv", "word.csv", "Line: 3")
		f.put("word.csv", csvOf("d|n|x", "2024-01-01|5|6"))
		f.observe("*.csv", "")
		f.put("word.csv", csvOf("date n", "2024-01-01 5"))
		f.refused("*.csv", "word.csv", "no column d, n")
		f.put("word.csv", csvOf("d,other", "2024-01-01,5"))
		f.refused("*.csv", "word.csv", "no column n")
		f.put("word.csv", "")
		f.refused("*.csv", "word.csv", "empty")
		f.put("word.csv", csvOf("d,n,n", "2024-01-01,5,5"))
		f.refused("*.csv", "word.csv", "twice")
	}},
	{"a source that is refused keeps the copy that stands", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"})
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		before := f.observe("*.csv", "")
		f.put("a.csv", csvOf("d,n", "someday,5"))
		f.refused("*.csv", "a.csv", "someday")
		if now := s.contents(games, calendar.All()); !slices.Equal(now, before.Contents) {
			s.Fatalf("contents %v, before %v", now, before.Contents)
		}
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		if again := f.observe("*.csv", ""); !slices.Equal(again.Contents, before.Contents) {
			s.Fatalf("contents %v, before %v", again.Contents, before.Contents)
		}
	}},
	{"a nullable column may be missing from a file", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer", Nullable: true})
		f.put("a.csv", csvOf("d", "2024-01-01"))
		f.put("b.csv", csvOf("d,n", "2024-01-02,5"))
		if state := f.observe("*.csv", ""); state.Rows != 2 || typesOf(state)["n"] != "INTEGER" {
			s.Fatalf("state %+v", state)
		}
	}},
	{"lines of JSON are read", func(s *store) {
		f := s.folder(warehouse.Column{Name: "n", Type: "integer"})
		f.put("a.jsonl", `{"d":"2024-01-01","id":"007","n":5}`+"\n"+`{"d":"2024-01-02","id":"008","n":6}`+"\n")
		state := f.observe("*.jsonl", "")
		if types := typesOf(state); state.Rows != 2 || types["id"] != "VARCHAR" || types["n"] != "INTEGER" || types["d"] != "DATE" {
			s.Fatalf("state %+v", state)
		}
		f.put("a.jsonl", `{"d":"2024-01-01"`)
		f.refused("*.jsonl", "a.jsonl", "")
	}},
	{"a name that is a table is not taken", func(s *store) {
		s.write(table("raw_games"), set(1), 1, s.query(row{1, 1, 1}))
		f := s.folder()
		f.put("a.csv", csvOf("d,n", "2024-01-01,5"))
		f.refused("a.csv", "", "table")
		s.counts(games, map[int]int64{1: 1})
	}},
	{"relations are looked at as they are", func(s *store) {
		s.write(numbers, set(1, 2), 1, s.query(row{1, 1, 1}, row{2, 1, 1}))
		state, err := s.w.Observe(s.ctx, warehouse.SourceRequest{Target: numbers})
		s.must(err)
		if state.Rows != 2 || !slices.Equal(state.Contents, s.contents(numbers, set(1, 2))) || len(state.Columns) != 3 {
			s.Fatalf("state %+v", state)
		}
		_, err = s.w.Observe(s.ctx, warehouse.SourceRequest{Target: table("nowhere")})
		if _, ok := errors.AsType[*warehouse.SourceError](err); !ok {
			s.Fatalf("error %v", err)
		}
	}},
	{"a source without partitions is one", func(s *store) {
		f := s.folder()
		f.put("a.csv", csvOf("id,name", "1,x", "2,y"))
		whole := warehouse.Target{Table: "suite:names", Relation: "names", Axis: calendar.Whole(), Digits: 9}
		state, err := s.w.Observe(s.ctx, warehouse.SourceRequest{Target: whole, Files: filepath.Join(f.dir, "a.csv")})
		s.must(err)
		if state.Rows != 2 || len(state.Contents) != 1 || state.Contents[0].Partition != 0 || state.Nulls != 0 {
			s.Fatalf("state %+v", state)
		}
	}},
	{"rule 23 readers see the old copy or the new one", func(s *store) {
		f := s.folder()
		write := func(v int) {
			rows := []string{"d,n"}
			for range 2000 {
				rows = append(rows, fmt.Sprintf("2024-01-01,%d", v))
			}
			f.put("a.csv", csvOf(rows...))
		}
		write(0)
		f.observe("*.csv", "")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for v := 1; v <= 8; v++ {
				write(v)
				if _, err := f.look("*.csv", ""); err != nil {
					s.Errorf("observe: %v", err)
				}
			}
		}()
		for reading := true; reading; {
			select {
			case <-done:
				reading = false
			default:
			}
			got := s.stage(numbers, set(1), "read", "select d, count(*) as k, count(distinct n) as v from raw_games group by d")
			want := s.stage(numbers, set(1), "want", "select d, cast(2000 as bigint) as k, cast(1 as bigint) as v from ("+s.query(row{1, 1, 1})+") as q")
			if !slices.Equal(got.Contents, want.Contents) {
				s.Fatal("a reader saw neither the old copy nor the new one")
			}
		}
	}},
}

// drifts demands which days drifted, and for one reason; it gives the state and the reason.
func (s *store) drifts(state *warehouse.SourceState, days ...int) warehouse.Misfit {
	s.Helper()
	if !state.Drifted.Equal(set(days...)) || len(state.Misfits) != 1 || !state.Misfits[0].Partitions.Equal(set(days...)) {
		s.Fatalf("drifted %s, %+v, want the days %v", daily.FormatSet(state.Drifted, 9), state.Misfits, days)
	}
	return state.Misfits[0]
}

var driftCases = []testCase{
	{"a value that does not fit takes its partition along and no other", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"}, warehouse.Column{Name: "at", Type: "timestamp"})
		f.put("a.csv", csvOf("d,n,at", "2024-01-01,5,2024-01-01 10:00:00", "2024-01-02,6,", "2024-01-03,7,"))
		f.put("b.csv", csvOf("d,n,at", "2024-01-02,60,", "2024-01-03,70,2024-01-03 11:00:00"))
		good := f.observe("*.csv", "")
		if len(good.Misfits) > 0 || !good.Drifted.Empty() {
			s.Fatalf("state %+v", good)
		}
		f.put("b.csv", csvOf("d,n,at", "2024-01-03,70,2024-01-03 11:00:00", "2024-01-02,\"si, xty\",", "2024-01-02,sixty,"))
		bad := f.observe("*.csv", "")
		m := s.drifts(bad, 2)
		if m.Column != "n" || m.Type != "INTEGER" || m.Values != 2 || m.Value != "si, xty" || filepath.Base(m.File) != "b.csv" || m.Line != 3 {
			s.Errorf("misfit %+v", m)
		}
		if len(bad.Contents) != 3 || bad.Contents[0] != good.Contents[0] || bad.Contents[2] != good.Contents[2] || bad.Contents[1].Rows != 3 || bad.Rows != 6 {
			s.Errorf("contents %+v, before %+v", bad.Contents, good.Contents)
		}
		s.counts(games, map[int]int64{1: 1, 3: 2}) // nobody reads anything of the second
		known := f.observe("*.csv", bad.Version)
		if again := s.drifts(known, 2); !known.Unchanged || again.Value != m.Value || again.Line != m.Line {
			s.Errorf("looked at again: %+v", known)
		}
		if twice := f.observe("*.csv", ""); !slices.Equal(twice.Contents, bad.Contents) {
			s.Errorf("read again: %+v, before %+v", twice.Contents, bad.Contents)
		}
		f.put("b.csv", csvOf("d,n,at", "2024-01-02,60,2024-02-30 00:00:00", "2024-01-03,70,2024-01-03 11:00:00"))
		if m := s.drifts(f.observe("*.csv", ""), 2); m.Column != "at" {
			s.Errorf("misfit %+v", m)
		}
		f.put("b.csv", csvOf("d,n,at", "2024-01-02,60,", "2024-01-03,70,2024-01-03 11:00:00"))
		if mended := f.observe("*.csv", ""); !slices.Equal(mended.Contents, good.Contents) || len(mended.Misfits) > 0 {
			s.Errorf("mended: %+v", mended)
		}
		s.counts(games, map[int]int64{1: 1, 2: 2, 3: 2})
	}},
	{"a value far behind all others is found like the first", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"})
		rows := []string{"d,n,text,extra"}
		for i := range 60_000 {
			rows = append(rows, fmt.Sprintf("2024-01-%02d,%d,t,%d", 1+i/3000, i, i))
		}
		rows[59_999] = "2024-01-20,late,t,8"
		f.put("a.csv.gz", csvOf(rows...))
		state := f.observe("*.csv.gz", "")
		if m := s.drifts(state, 20); m.Value != "late" || m.Line != 60_000 || state.Rows != 60_000 || typesOf(state)["extra"] != "BIGINT" {
			s.Fatalf("misfit %+v of %d rows, columns %v", m, state.Rows, state.Columns)
		}
		first := slices.Clone(rows)
		first[1], first[59_999] = "2024-01-01,early,t,0", "2024-01-20,59998,t,8"
		f.put("a.csv.gz", csvOf(first...))
		if m := s.drifts(f.observe("*.csv.gz", ""), 1); m.Value != "early" || m.Line != 2 {
			s.Fatalf("misfit %+v", m)
		}
	}},
	{"several columns and all dates may drift", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"}, warehouse.Column{Name: "m", Type: "integer"})
		f.put("a.csv", csvOf("d,n,m", "2024-01-01,x,1", "2024-01-02,1,y", "2024-01-02,z,y"))
		state := f.observe("*.csv", "")
		if !state.Drifted.Equal(set(1, 2)) || len(state.Misfits) != 2 || state.Misfits[0].Column != "n" || state.Misfits[0].Values != 2 || state.Misfits[1].Values != 2 {
			s.Fatalf("state %+v", state)
		}
		s.counts(games, map[int]int64{})
	}},
	{"lines of JSON drift by their dates too", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"})
		f.put("a.jsonl", `{"d":"2024-01-01","n":5}`+"\n"+`{"d":"2024-01-02","n":"six"}`+"\n")
		state := f.observe("*.jsonl", "")
		if m := s.drifts(state, 2); !strings.Contains(m.Value, "six") || filepath.Base(m.File) != "a.jsonl" {
			s.Fatalf("misfit %+v", m)
		}
		s.counts(games, map[int]int64{1: 1})
	}},
	{"where it cannot be told which date drifts the source cannot be read", func(s *store) {
		f := s.folder(warehouse.Column{Name: "d", Type: "date"}, warehouse.Column{Name: "n", Type: "integer"})
		f.put("a.csv", csvOf("d,n", "2024-01-01,x", "nodate,1"))
		f.refused("*.csv", "a.csv", "")
		f.put("a.csv", csvOf("d,n", "2024-01-01,x", "2024-01-02,1,1,1"))
		f.refused("*.csv", "a.csv", "")
		whole := warehouse.Target{Table: "suite:names", Relation: "names", Axis: calendar.Whole(), Digits: 9}
		f.put("a.csv", csvOf("d,n", "2024-01-01,x"))
		_, err := s.w.Observe(s.ctx, warehouse.SourceRequest{Target: whole, Files: filepath.Join(f.dir, "a.csv"), Types: f.types})
		if _, ok := errors.AsType[*warehouse.SourceError](err); !ok {
			s.Fatalf("error %v", err)
		}
	}},
}

// folderCopy observes the files of a folder as another source, all of them at once.
func (s *store) folderCopy(f *folder) []warehouse.Content {
	s.Helper()
	state, err := s.w.Observe(s.ctx, warehouse.SourceRequest{Target: table("copy_of_games"), Files: filepath.Join(f.dir, "*.csv"), Types: f.types})
	s.must(err)
	return state.Contents
}
