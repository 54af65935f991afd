package sqlite

import (
	"cmp"
	"maps"
	"slices"
	"unsafe"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// What is known of partitions lies in pages: some dozens of neighbouring rows packed into a blob, so that a table's history of ten years
// is read in as many steps as it has pages, not rows. A page has a dictionary of its texts and then its rows, each as its difference from
// the one before.

// pageBytes is how large a page may grow before it is split: so that one with its columns fits a page of the file.
const pageBytes = 3400

// The kinds of pages. From measures on, a kind is the values of one check: measures plus its id.
const (
	segments = iota
	moves
	verdicts
	contents
)

const measures = 16

// A segment as it is stored: with the token of the attempt that wrote it (0: none did) and the clock when the row was written.
type segment struct {
	history.Segment
	token   history.Token
	written history.Seq
}

func (s segment) WithBounds(iv calendar.Interval) segment { s.Interval = iv; return s }

func (s segment) SameAs(o segment) bool {
	return s.token == o.token && s.written == o.written && s.Segment.SameAs(o.Segment)
}

type verdict struct {
	history.Verdict
	written history.Seq
}

func (v verdict) WithBounds(iv calendar.Interval) verdict { v.Interval = iv; return v }
func (v verdict) SameAs(o verdict) bool                   { return v.written == o.written && v.Verdict.SameAs(o.Verdict) }

// content is what stands in each of some neighbouring partitions.
type content struct {
	calendar.Interval
	rows        int64
	fingerprint string
}

func (c content) Bounds() calendar.Interval               { return c.Interval }
func (c content) WithBounds(iv calendar.Interval) content { c.Interval = iv; return c }
func (c content) SameAs(o content) bool                   { return o.WithBounds(c.Interval) == c }

func contentOf(c ledger.Content) content {
	return content{calendar.Single(c.Partition), c.Rows, c.Fingerprint}
}

// measure is the value of one check on each of some neighbouring partitions.
type measure struct {
	calendar.Interval
	value  float64
	weight int64
	passed bool
	at     history.Seq
}

func (m measure) Bounds() calendar.Interval               { return m.Interval }
func (m measure) WithBounds(iv calendar.Interval) measure { m.Interval = iv; return m }
func (m measure) SameAs(o measure) bool                   { return o.WithBounds(m.Interval) == m }

// A codec packs rows of one kind. Its fields carry what the next row is a difference from.
type codec[T any] interface {
	pack(p *pagePacker, row *T)
	read(r *pageReader, row *T)
}

type pagePacker struct {
	packer
	at                     calendar.Partition
	changed, read, written history.Seq
	token                  history.Token
	readAt                 int64
	texts                  map[string]int
	order                  []string
}

func (p *pagePacker) word(s string) { p.count(p.index(s)) }

// index is the place of a text in the page's dictionary.
func (p *pagePacker) index(s string) int {
	i, ok := p.texts[s]
	if !ok {
		i = len(p.order)
		p.texts[s] = i
		p.order = append(p.order, s)
	}
	return i
}

func (p *pagePacker) interval(iv calendar.Interval) {
	p.int(int64(iv.Start - p.at))
	p.count(int(iv.End - iv.Start))
	p.at = iv.End
}

type pageReader struct {
	reader
	at                     calendar.Partition
	changed, read, written history.Seq
	token                  history.Token
	readAt                 int64
	texts                  []string
	rows                   int
}

func (r *pageReader) word() string { return r.entry(r.uint()) }

// entry is a text of the page's dictionary.
func (r *pageReader) entry(i uint64) string {
	if i >= uint64(len(r.texts)) {
		r.fail()
		return ""
	}
	return r.texts[i]
}

func (r *pageReader) interval() calendar.Interval {
	start := r.at + calendar.Partition(r.int())
	r.at = start + calendar.Partition(r.uint()) //nolint:gosec // as written
	return calendar.Interval{Start: start, End: r.at}
}

// open begins to read a page. The texts of its rows keep the page's bytes alive.
func (r *pageReader) open(blob []byte) {
	texts := r.texts[:0]
	*r = pageReader{reader: reader{s: textOf(blob)}}
	r.rows = r.count()
	for range r.count() {
		texts = append(texts, r.text())
	}
	r.texts = texts
}

// packPage packs rows, which must be in order.
func packPage[T any](c codec[T], rows []T) []byte {
	p := pagePacker{texts: map[string]int{}}
	for i := range rows {
		c.pack(&p, &rows[i])
	}
	var head packer
	head.b = make([]byte, 0, len(p.b)+16*len(p.order)+16)
	head.count(len(rows))
	head.count(len(p.order))
	for _, s := range p.order {
		head.text(s)
	}
	return append(head.b, p.b...)
}

// textOf reads bytes as text without a copy. The driver makes new bytes for every row, and nobody changes them.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above

// rowsIn is how many rows a page has.
func rowsIn(blob []byte) int {
	r := reader{s: textOf(blob)}
	return r.count()
}

// readPage appends a page's rows.
func readPage[T any](c codec[T], out []T, blob []byte) ([]T, error) {
	var r pageReader
	r.open(blob)
	out = slices.Grow(out, r.rows)
	for range r.rows {
		var row T
		c.read(&r, &row)
		out = append(out, row)
	}
	return out, r.err()
}

type moveCodec struct{}

func (moveCodec) pack(p *pagePacker, m *history.Move) {
	p.int(int64(m.Start - p.at)) // a move may be open: its length would not do as a count
	p.int(int64(m.End - m.Start))
	p.at = m.End
	p.int(int64(m.Seq - p.changed))
	p.changed = m.Seq
	p.bool(m.Gained)
}

func (moveCodec) read(r *pageReader, m *history.Move) {
	m.Start = r.at + calendar.Partition(r.int())
	m.End = m.Start + calendar.Partition(r.int())
	r.at = m.End
	r.changed += history.Seq(r.int())
	m.Seq, m.Gained = r.changed, r.bool()
}

type contentCodec struct{}

func (contentCodec) pack(p *pagePacker, c *content) {
	p.interval(c.Interval)
	p.int(c.rows)
	p.word(c.fingerprint)
}

func (contentCodec) read(r *pageReader, c *content) {
	c.Interval = r.interval()
	c.rows, c.fingerprint = r.int(), r.word()
}

type measureCodec struct{}

func (measureCodec) pack(p *pagePacker, m *measure) {
	p.interval(m.Interval)
	p.float(m.value)
	p.int(m.weight)
	p.bool(m.passed)
	p.int(int64(m.at - p.written))
	p.written = m.at
}

func (measureCodec) read(r *pageReader, m *measure) {
	m.Interval = r.interval()
	m.value, m.weight, m.passed = r.float(), r.int(), r.bool()
	r.written += history.Seq(r.int())
	m.at = r.written
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
