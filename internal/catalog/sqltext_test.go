package catalog

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNormalizeSQL(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{"select 1", "  select\n\t1 -- one\n"},
		{"select a+b", "select a /* plus */ + b"},
		{"select a", "select /* outer /* inner */ still */ a"},
		{"select a = -1", "select a=-1"},
		{"x::int", "x :: int"},
		{"f(a,b)", "f ( a , b )"},
		{"date '2020-01-01'", "date'2020-01-01'"},
		{"{{ start }}", "{{start}}"},
		{`{{table "t"}}`, `{{ table  "t" }}`},
		{"select 1 -- end", "select 1"},
		{"a[1:-1]", "a [ 1 : -1 ]"},
		{"\ufeffselect 1\r\n", "select 1"},
	} {
		if NormalizeSQL(tt.a) != NormalizeSQL(tt.b) {
			t.Errorf("%q and %q differ: %q, %q", tt.a, tt.b, NormalizeSQL(tt.a), NormalizeSQL(tt.b))
		}
	}
	for _, tt := range []struct{ a, b string }{
		{"select 1", "select 2"},
		{"select 'a  b'", "select 'a b'"},
		{"select '-- x'", "select ''"},
		{"select 'it''s -- x'", "select 'it''s'"},
		{`select "a  b"`, `select "a b"`},
		{"select `a  b`", "select `a b`"},
		{"select $$a  b$$", "select $$a b$$"},
		{"select $t$a $$ -- b$t$", "select $t$a $$ $t$"},
		{`select e'\' -- '`, `select e'\' '`},
		{"select e 'x'", "select e'x'"},
		{"select A", "select a"},
		{"select ab", "select a b"},
		{"select 1.5", "select 1 . 5"},
		{"a <> b", "a < b"},
		{"select 'a' 'b'", "select 'a''b'"},
		{"select /* open", "select"},
		{"select 'open  x", "select 'open x"},
		{"select 1e-5", "select 1e -5"},
		{"a @- b", "a @ - b"},
	} {
		if NormalizeSQL(tt.a) == NormalizeSQL(tt.b) {
			t.Errorf("%q and %q are one: %q", tt.a, tt.b, NormalizeSQL(tt.a))
		}
	}
}

// sqlPieces are tokens to put together in any way.
var sqlPieces = []string{
	"select", "from", "a", "t.b", "'x  y'", "'it''s'", `"q  r"`, "1.5e-3", "$$ d -- $$", "$t$ x $$ $t$", "e'\\' '", "+", "-", "<=", "(", ")", ",",
	"::", "{{start}}", "U&'x'", "x'ab'", "date", "'2020'", "/", "*", "$1", "||", "`b  t`", "é", "[", "]", ";", "7",
}

// TestNormalizeSQLBlanks: what stands between tokens does not count, and what stands in them does.
func TestNormalizeSQLBlanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SampledFrom(sqlPieces), 1, 12).Draw(t, "pieces")
		blank := rapid.SampledFrom([]string{" ", "\n", "\t ", " /* x ' */ ", " -- it's\n", " /* a /* b */ c */\n"})
		var b strings.Builder
		for _, p := range pieces {
			b.WriteString(p + blank.Draw(t, "blank"))
		}
		want, have := NormalizeSQL(strings.Join(pieces, " ")), NormalizeSQL(b.String())
		if want != have {
			t.Fatalf("%q:\n%q\n%q", b.String(), have, want)
		}
		other := slices.Clone(pieces)
		at := rapid.IntRange(0, len(other)-1).Draw(t, "at")
		other[at] = rapid.SampledFrom(sqlPieces).Draw(t, "other")
		if other[at] != pieces[at] && NormalizeSQL(strings.Join(other, " ")) == want {
			t.Fatalf("%q and %q are one", other, pieces)
		}
	})
}

func FuzzNormalizeSQL(f *testing.F) {
	for _, p := range sqlPieces {
		f.Add(p + " " + p)
	}
	f.Add("select 'a")
	f.Add("/* /* */")
	f.Add("$a$ $a")
	f.Add("1.e+/**/--\n.5")
	f.Fuzz(func(t *testing.T, text string) {
		once := NormalizeSQL(text)
		if twice := NormalizeSQL(once); twice != once {
			t.Errorf("%q: %q, then %q", text, once, twice)
		}
		have, want := sqlTokens(once), sqlTokens(text)
		if !slices.Equal(have, want) {
			t.Errorf("%q has tokens %q, and %q afterwards", text, want, have)
		}
		rest := text
		for _, tok := range want { // tokens are the text itself, in order
			at := strings.Index(rest, tok.text)
			if at < 0 || tok.text == "" {
				t.Fatalf("%q: token %q is not of the text", text, tok.text)
			}
			rest = rest[at+len(tok.text):]
		}
		sqlRelations(text)
		templateRefs(text)
	})
}

func TestSQLRelations(t *testing.T) {
	for text, want := range map[string]string{
		"select 1":        "",
		"select a from t": "t",
		"select a, b from s.t x, u as y, (select c, d from v) z, w where a, b": "s.t u v w",
		`select 1 FROM "T" join only.x on a = b left join y using (c), z`:      "T only.x y z",
		`select 1 from {{table "t"}} a, b`:                                     "b",
		"with q as (select 1 from p) select 1 from q order by a, b":            "p q",
		"select extract(year from d), c from unnest([a, b]) n, t":              "d t unnest",
		"select 'from x' -- from y":                                            "",
		"select 1 from":                                                        "",
		"select 1 from a.":                                                     "",
		")]) from t":                                                           "t",
	} {
		if have := strings.Join(sqlRelations(text), " "); have != want {
			t.Errorf("%q reads %q, want %q", text, have, want)
		}
	}
}
