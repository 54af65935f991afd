package lite

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// encodeSet writes a set as [[start,end],…].
func encodeSet(s calendar.Set) string {
	pairs := make([][2]calendar.Partition, 0, len(s.Intervals()))
	for _, iv := range s.Intervals() {
		pairs = append(pairs, [2]calendar.Partition{iv.Start, iv.End})
	}
	out, err := json.Marshal(pairs)
	if err != nil {
		panic("lite: numbers cannot be written as JSON: " + err.Error())
	}
	return string(out)
}

func decodeSet(s string) (calendar.Set, error) {
	if s == "" || s == "[]" {
		return calendar.Set{}, nil
	}
	var pairs [][2]calendar.Partition
	if err := json.Unmarshal([]byte(s), &pairs); err != nil {
		return calendar.Set{}, fmt.Errorf("a set in the state cannot be read: %w", err)
	}
	ivs := make([]calendar.Interval, len(pairs))
	for i, p := range pairs {
		ivs[i] = calendar.Interval{Start: p[0], End: p[1]}
	}
	return calendar.NewSet(ivs...), nil
}

func encodeJSON(v any) (string, error) {
	out, err := json.Marshal(v)
	return string(out), err
}

// Times are kept in microseconds, 0 for none.
func encodeTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func decodeTime(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

var errShort = errors.New("a record in the state is cut off")

// encodeContents packs partitions, rows and fingerprints: many rows of a store would cost more than the publish that they tell of.
func encodeContents(all []ledger.Content) []byte {
	out := binary.AppendUvarint(nil, uint64(len(all)))
	last := int64(0)
	for _, c := range all {
		out = binary.AppendVarint(out, int64(c.Partition)-last)
		last = int64(c.Partition)
		out = binary.AppendVarint(out, c.Rows)
		out = appendText(out, c.Fingerprint)
	}
	return out
}

func decodeContents(b []byte) ([]ledger.Content, error) {
	d := decoder{b: b}
	n := d.uvarint()
	if n > uint64(len(b)) {
		return nil, errShort
	}
	out := make([]ledger.Content, 0, n)
	last := int64(0)
	for range n {
		last += d.varint()
		out = append(out, ledger.Content{Partition: calendar.Partition(last), Rows: d.varint(), Fingerprint: d.text()})
	}
	return out, d.err
}

// encodeMetrics packs the values of checks, by check.
func encodeMetrics(all []ledger.Metric) []byte {
	var out []byte
	at := map[string]int{}
	var order []string
	groups := [][]ledger.Metric{}
	for _, m := range all {
		i, ok := at[m.Check]
		if !ok {
			i = len(groups)
			at[m.Check] = i
			order = append(order, m.Check)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], m)
	}
	out = binary.AppendUvarint(out, uint64(len(groups)))
	for i, g := range groups {
		out = appendText(out, order[i])
		out = binary.AppendUvarint(out, uint64(len(g)))
		last := int64(0)
		for _, m := range g {
			out = binary.AppendVarint(out, int64(m.Partition)-last)
			last = int64(m.Partition)
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(m.Value))
			passed := int64(0)
			if m.Passed {
				passed = 1
			}
			out = binary.AppendVarint(out, m.Weight<<1|passed)
		}
	}
	return out
}

func decodeMetrics(b []byte) ([]ledger.Metric, error) {
	d := decoder{b: b}
	var out []ledger.Metric
	for range min(d.uvarint(), uint64(len(b))) {
		check := d.text()
		last := int64(0)
		for range min(d.uvarint(), uint64(len(b))) {
			last += d.varint()
			value := math.Float64frombits(d.uint64())
			weight := d.varint()
			out = append(out, ledger.Metric{
				Check: check, Partition: calendar.Partition(last), Value: value, Weight: weight >> 1, Passed: weight&1 == 1,
			})
		}
	}
	return out, d.err
}

func appendText(out []byte, s string) []byte {
	out = binary.AppendUvarint(out, uint64(len(s)))
	return append(out, s...)
}

// A decoder reads what the functions above wrote; after a mistake it gives zeros and err is set.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) {
	if n <= 0 || n > len(d.b) {
		d.err, d.b = errShort, nil
		return
	}
	d.b = d.b[n:]
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.take(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.take(n)
	return v
}

func (d *decoder) uint64() uint64 {
	if len(d.b) < 8 {
		d.err, d.b = errShort, nil
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b)
	d.take(8)
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.err, d.b = errShort, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
