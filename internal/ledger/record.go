package ledger

import (
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
)

// A RunState is where a run stands. Ended states do not change.
type RunState string

// A RunRecord is a stored run.
type RunRecord struct {
	ID        RunID
	State     RunState
	Class     Class
	Command   string // as typed
	Holder    Holder
	Reason    string
	Request   []byte // JSON
	Plan      []byte // JSON, plan/v1
	Report    []byte // JSON, run/v1, when ended
	Events    []byte // JSON lines, bounded
	Done      int
	Total     int
	Sets      []Claim
	Exit      int
	Ended     bool
	StartedAt time.Time
	EndedAt   time.Time
	Stop      StopRequest  // filled by the ledger: that somebody wants it to end
	Paused    PauseRequest // filled by the ledger: that it is paused
	// Preempted, filled by the ledger, is what was taken from it and nobody has published since.
	Preempted []Preemption
}

// A RunFilter selects runs.
type RunFilter struct {
	ID     RunID  // or a prefix of one
	Table  string // key: runs that wrote it
	Active bool   // not ended
	// Preempted: runs from which something was taken that nobody has published since.
	Preempted bool
	Limit     int // 0: 100
}

// An AttemptRecord is a stored attempt.
type AttemptRecord struct {
	ID          AttemptID
	Run         RunID
	Table       string
	Set         calendar.Set
	Token       history.Token
	ReadSeq     history.Seq
	Version     string
	State       string // running, published, partial, quarantined, failed, cancelled, lost
	Reason      string
	Published   calendar.Set
	Quarantined calendar.Set
	Hulls       []Hull
	StartedAt   time.Time
	EndedAt     time.Time
}

// An AttemptFilter selects attempts.
type AttemptFilter struct {
	ID    AttemptID
	Run   RunID
	Table string
	Set   calendar.Set // with Table: attempts that touch it; empty: all
	Limit int          // 0: 1000; the newest are kept
}
