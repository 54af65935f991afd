package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// An AuditEntry is one line of the audit log. Hash covers every field and the hash before it.
type AuditEntry struct {
	Position int64
	At       time.Time
	Actor    Actor
	Action   string // mark.fresh, hold, lease.break, …
	Table    string
	Set      calendar.Set
	Reason   string
	Before   string // JSON
	After    string // JSON
	Previous string
	Hash     string
}

// A Floor is a token that somebody has seen of a table.
type Floor struct {
	Table string
	Axis  calendar.Axis // of a table that was never used
	Token history.Token
}

// An AuditFilter selects entries.
type AuditFilter struct {
	Table string
	Since time.Time
	Limit int // 0: 1000
}

// Repeats reports whether an entry of the log is this one, told again.
func (e AuditEntry) Repeats(old AuditEntry) bool {
	return e.At.Equal(old.At) && e.Action == old.Action && e.Table == old.Table && e.Actor == old.Actor
}

// Sealed gives the entry its place in the chain: position, the hash before it, and its own over everything.
func (e AuditEntry) Sealed(position int64, previous string) AuditEntry {
	e.Position, e.Previous = position, previous
	e.Hash = e.digest()
	return e
}

// Intact reports whether the entry is the one that was sealed.
func (e AuditEntry) Intact() bool { return e.Hash == e.digest() }

// digest hashes every field, each with its length before it so that none can flow into its neighbour.
func (e AuditEntry) digest() string {
	h := sha256.New()
	number := func(n int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // bits, not a value
		h.Write(b[:])
	}
	text := func(s string) {
		number(int64(len(s)))
		h.Write([]byte(s))
	}
	text("headway audit/v1")
	text(e.Previous)
	number(e.Position)
	number(e.At.Unix())
	number(int64(e.At.Nanosecond()))
	text(e.Actor.User)
	text(e.Actor.Host)
	number(int64(e.Actor.PID))
	text(e.Action)
	text(e.Table)
	number(int64(len(e.Set.Intervals())))
	for _, iv := range e.Set.Intervals() {
		number(int64(iv.Start))
		number(int64(iv.End))
	}
	text(e.Reason)
	text(e.Before)
	text(e.After)
	return hex.EncodeToString(h.Sum(nil))
}

// A Chain walks an audit log from its first entry and finds where it is not as it was written.
type Chain struct {
	Entries int
	Head    string
}

// Add takes the next entry.
func (c *Chain) Add(e AuditEntry) error {
	position := int64(c.Entries) + 1
	switch {
	case e.Position > position:
		return &ChainError{Position: position, What: "removed"}
	case e.Position < position:
		return &ChainError{Position: e.Position, What: "moved"}
	case !e.Intact():
		return &ChainError{Position: position, What: "edited"}
	case e.Previous != c.Head:
		// The entry is whole, so it is one that belongs elsewhere or follows one that was rewritten with its hash.
		return &ChainError{Position: position, What: "moved"}
	}
	c.Entries, c.Head = int(position), e.Hash
	return nil
}

// End compares the chain with how many entries the ledger has written and the last one's hash.
func (c *Chain) End(count int64, head string) error {
	switch {
	case int64(c.Entries) < count:
		return &ChainError{Position: int64(c.Entries) + 1, What: "removed"}
	case int64(c.Entries) > count:
		return &ChainError{Position: count + 1, What: "added"}
	case c.Head != head:
		return &ChainError{Position: count, What: "edited"}
	}
	return nil
}

// told is how many rows an audit entry tells of one by one.
const told = 100

type toldRow struct {
	Start      int64  `json:"start"`
	End        int64  `json:"end"`
	Content    string `json:"content"`
	Version    string `json:"version,omitempty"`
	Attempt    string `json:"attempt,omitempty"`
	ChangedSeq int64  `json:"changed_seq"`
	ReadSeq    int64  `json:"read_seq"`
	Accepted   bool   `json:"accepted,omitempty"`
	Stale      bool   `json:"stale,omitempty"`
}

type toldState struct {
	Seq  int64     `json:"seq"`
	Head string    `json:"head,omitempty"`
	Rows []toldRow `json:"rows"`
	More int       `json:"more,omitempty"`
}

// Describe is the Before and After of an audited change of a table's rows or of which version is whose head ("": it is not about that): JSON,
// of the first hundred rows and how many more there are.
func Describe(seq history.Seq, head string, rows []history.Segment) string {
	out := toldState{Seq: int64(seq), Head: head, Rows: []toldRow{}}
	for i, r := range rows {
		if i == told {
			out.More = len(rows) - told
			break
		}
		out.Rows = append(out.Rows, toldRow{
			Start: int64(r.Start), End: int64(r.End), Content: r.Content.String(), Version: r.Version, Attempt: r.Attempt,
			ChangedSeq: int64(r.ChangedSeq), ReadSeq: int64(r.ReadSeq), Accepted: r.Accepted, Stale: r.Stale,
		})
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err) // numbers and strings always have a JSON form
	}
	return string(text)
}

func read(described string) toldState {
	var s toldState
	if json.Unmarshal([]byte(described), &s) != nil {
		return toldState{}
	}
	return s
}

// SeqOf reads back the clock of a Describe.
func SeqOf(described string) history.Seq { return history.Seq(read(described).Seq) }

// HeadOf reads back the version that a Describe names.
func HeadOf(described string) string { return read(described).Head }

// Repeats reports whether a mark is the one that an entry tells of: by the same person at the same instant.
func (m Mark) Repeats(e AuditEntry) bool {
	return e.Action == "mark."+string(m.Kind) && e.Table == m.Table && e.Set.Equal(m.Set) && e.Reason == m.Reason && e.Actor == m.Actor &&
		e.At.Equal(m.At) && (m.Kind != MarkHeadTo || read(e.After).Head == m.Version)
}
