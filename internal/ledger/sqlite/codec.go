package sqlite

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

// errBlob is a blob that does not read as it was written: the file is damaged.
var errBlob = errors.New("a record cannot be decoded: the file is damaged")

// A packer appends to a blob: numbers as varints, texts with their length before them.
type packer struct{ b []byte }

func (p *packer) uint(n uint64) { p.b = binary.AppendUvarint(p.b, n) }
func (p *packer) int(n int64)   { p.b = binary.AppendVarint(p.b, n) }
func (p *packer) count(n int)   { p.uint(uint64(n)) } //nolint:gosec // lengths are not negative

func (p *packer) text(s string) {
	p.count(len(s))
	p.b = append(p.b, s...)
}

func (p *packer) bool(v bool) {
	if v {
		p.b = append(p.b, 1)
	} else {
		p.b = append(p.b, 0)
	}
}

func (p *packer) float(f float64) { p.b = binary.LittleEndian.AppendUint64(p.b, math.Float64bits(f)) }

func (p *packer) time(t time.Time) { p.int(toNanos(t)) }

func (p *packer) set(s calendar.Set) { p.intervals(s.Intervals()) }

func (p *packer) intervals(ivs []calendar.Interval) {
	p.count(len(ivs))
	at := calendar.Partition(0)
	for _, iv := range ivs {
		p.int(int64(iv.Start - at))
		p.int(int64(iv.End - iv.Start))
		at = iv.End
	}
}

// A reader reads back what a packer wrote. Texts are parts of the blob, not copies. After an error everything is zero.
type reader struct {
	s   string
	at  int
	bad bool
}

func (r *reader) fail() { r.bad, r.at = true, len(r.s) }

// err is errBlob unless all was read as it was written.
func (r *reader) err() error {
	if r.bad || r.at != len(r.s) {
		return errBlob
	}
	return nil
}

func (r *reader) uint() uint64 {
	var n uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if r.at >= len(r.s) {
			r.fail()
			return 0
		}
		c := r.s[r.at]
		r.at++
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	r.fail()
	return 0
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads how many things follow, each of at least one byte.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.s)-r.at) { //nolint:gosec // at never passes the end
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // bounded above
}

func (r *reader) text() string {
	n := r.count()
	s := r.s[r.at : r.at+n]
	r.at += n
	return s
}

func (r *reader) byte() byte {
	if r.at >= len(r.s) {
		r.fail()
		return 0
	}
	c := r.s[r.at]
	r.at++
	return c
}

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) float() float64 {
	if len(r.s)-r.at < 8 {
		r.fail()
		return 0
	}
	bits := binary.LittleEndian.Uint64([]byte(r.s[r.at : r.at+8]))
	r.at += 8
	return math.Float64frombits(bits)
}

func (r *reader) time() time.Time { return fromNanos(r.int()) }

func (r *reader) set() calendar.Set { return calendar.NewSet(r.intervals()...) }

func (r *reader) intervals() []calendar.Interval {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make([]calendar.Interval, n)
	at := calendar.Partition(0)
	for i := range out {
		start := at + calendar.Partition(r.int())
		at = start + calendar.Partition(r.int())
		out[i] = calendar.Interval{Start: start, End: at}
	}
	return out
}

func packSet(s calendar.Set) []byte {
	var p packer
	p.set(s)
	return p.b
}

func readSet(b []byte) (calendar.Set, error) {
	if b == nil {
		return calendar.Set{}, nil
	}
	r := reader{s: string(b)}
	s := r.set()
	return s, r.err()
}

func (p *packer) hulls(hulls []ledger.Hull) {
	p.count(len(hulls))
	for _, h := range hulls {
		p.text(h.Input)
		p.int(int64(h.Reach.Start))
		p.int(int64(h.Reach.End))
	}
}

func (r *reader) hulls() []ledger.Hull {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make([]ledger.Hull, n)
	for i := range out {
		out[i].Input = r.text()
		out[i].Reach = calendar.Interval{Start: calendar.Partition(r.int()), End: calendar.Partition(r.int())}
	}
	return out
}

func packIntent(in *ledger.Intent) []byte {
	var p packer
	p.text(string(in.Attempt))
	p.text(string(in.Run))
	p.text(in.Table)
	p.int(int64(in.Token))
	p.int(int64(in.ReadSeq))
	p.text(in.Version)
	p.text(in.CheckVersion)
	p.count(len(in.Publish))
	at := calendar.Partition(0)
	for _, c := range in.Publish {
		p.int(int64(c.Partition - at))
		p.int(c.Rows)
		p.text(c.Fingerprint)
		at = c.Partition
	}
	p.set(in.Empty)
	p.count(len(in.Shortfall))
	for _, s := range in.Shortfall {
		p.set(s.Set)
		p.count(int(s.Shortfall))
	}
	p.hulls(in.Hulls)
	p.count(len(in.Metrics))
	for _, m := range in.Metrics {
		p.text(m.Check)
		p.int(int64(m.Partition))
		p.float(m.Value)
		p.int(m.Weight)
		p.bool(m.Passed)
	}
	p.set(in.Quarantine)
	p.reasons(in.Reasons)
	p.time(in.ReadAt)
	p.set(in.Failing)
	p.set(in.Failed)
	return p.b
}

// reasons writes them in the order of their partitions, so that equal intents are equal blobs.
func (p *packer) reasons(reasons map[calendar.Partition]string) {
	p.count(len(reasons))
	for _, at := range sortedKeys(reasons) {
		p.int(int64(at))
		p.text(reasons[at])
	}
}

func readIntent(b []byte) (*ledger.Intent, error) {
	r := reader{s: string(b)}
	in := &ledger.Intent{
		Attempt: ledger.AttemptID(r.text()), Run: ledger.RunID(r.text()), Table: r.text(), Token: history.Token(r.int()),
		ReadSeq: history.Seq(r.int()), Version: r.text(), CheckVersion: r.text(),
	}
	at := calendar.Partition(0)
	for range r.count() {
		at += calendar.Partition(r.int())
		in.Publish = append(in.Publish, ledger.Content{Partition: at, Rows: r.int(), Fingerprint: r.text()})
	}
	in.Empty = r.set()
	for range r.count() {
		in.Shortfall = append(in.Shortfall, ledger.ShortSet{Set: r.set(), Shortfall: history.Shortfall(r.uint())}) //nolint:gosec // as written
	}
	in.Hulls = r.hulls()
	for range r.count() {
		in.Metrics = append(in.Metrics, ledger.Metric{
			Check: r.text(), Partition: calendar.Partition(r.int()), Value: r.float(), Weight: r.int(), Passed: r.bool(),
		})
	}
	in.Quarantine = r.set()
	for range r.count() {
		if in.Reasons == nil {
			in.Reasons = map[calendar.Partition]string{}
		}
		p := calendar.Partition(r.int())
		in.Reasons[p] = r.text()
	}
	in.ReadAt, in.Failing = r.time(), r.set()
	in.Failed = r.set()
	return in, r.err()
}

func (p *packer) code(v ledger.VersionRecord) {
	p.text(v.Producer)
	p.text(v.Commit)
	p.bool(v.Dirty)
	p.text(v.Summary)
}

func (r *reader) code() ledger.VersionRecord {
	return ledger.VersionRecord{Producer: r.text(), Commit: r.text(), Dirty: r.bool(), Summary: r.text()}
}
