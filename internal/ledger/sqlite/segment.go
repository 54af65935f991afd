package sqlite

import (
	"time"

	"github.com/headway-data/headway/internal/history"
)

// segmentCodec1 is the first layout of segments and segmentCodec2 that of schemas 2 to 4; each goes on after the one before, but for how
// the checks are written.
type (
	segmentCodec  struct{}
	segmentCodec1 struct{}
	segmentCodec2 struct{}
)

// The flags of a segment: its content, its shortfall, and what a person said.
const (
	contentBits    = 0x07
	shortfallShift = 3
	shortfallBits  = 0x03
	accepted       = 0x20
	marked         = 0x40
	timed          = 0x80
)

func (segmentCodec) pack(p *pagePacker, s *segment) {
	segmentCodec1{}.pack(p, s)
	const later, fixed = 1, 2
	since, n := s.CheckSeq-s.ReadSeq, p.index(s.CheckVersion)<<2
	if since != 0 { // mostly it is checked at once
		n |= later
	}
	if s.FixedBy != "" {
		n |= fixed
	}
	p.count(n)
	if n&later != 0 {
		p.int(int64(since))
	}
	if n&fixed != 0 {
		p.word(s.FixedBy)
	}
}

func (segmentCodec2) pack(p *pagePacker, s *segment) {
	segmentCodec1{}.pack(p, s)
	p.checked(s.CheckVersion, s.CheckSeq-s.ReadSeq)
}

func (segmentCodec1) pack(p *pagePacker, s *segment) {
	p.interval(s.Interval)
	flags := byte(s.Content) | byte(s.Shortfall)<<shortfallShift
	if s.Accepted {
		flags |= accepted
	}
	if s.Stale {
		flags |= marked
	}
	if !s.ReadAt.IsZero() {
		flags |= timed
	}
	p.b = append(p.b, flags)
	p.int(int64(s.ChangedSeq - p.changed))
	p.int(int64(s.ReadSeq - p.read))
	p.int(int64(s.written - s.ChangedSeq))
	p.int(int64(s.token - p.token))
	p.changed, p.read, p.token = s.ChangedSeq, s.ReadSeq, s.token
	p.word(s.Version)
	p.word(s.Attempt)
	if flags&timed != 0 {
		at := s.ReadAt.UnixNano()
		p.int(at - p.readAt)
		p.readAt = at
	}
}

func (segmentCodec) read(r *pageReader, s *segment) {
	segmentCodec1{}.read(r, s)
	n := r.uint()
	s.CheckVersion, s.CheckSeq = r.entry(n>>2), s.ReadSeq
	if n&1 != 0 {
		s.CheckSeq += history.Seq(r.int())
	}
	s.FixedBy = ""
	if n&2 != 0 {
		s.FixedBy = r.word()
	}
}

func (segmentCodec2) read(r *pageReader, s *segment) {
	segmentCodec1{}.read(r, s)
	var since history.Seq
	s.CheckVersion, since = r.checked()
	s.CheckSeq = s.ReadSeq + since
}

func (segmentCodec1) read(r *pageReader, s *segment) {
	s.Interval = r.interval()
	flags := r.byte()
	s.Content = history.Content(flags & contentBits)
	s.Shortfall = history.Shortfall(flags >> shortfallShift & shortfallBits)
	s.Accepted, s.Stale = flags&accepted != 0, flags&marked != 0
	r.changed += history.Seq(r.int())
	r.read += history.Seq(r.int())
	s.ChangedSeq, s.ReadSeq = r.changed, r.read
	s.written = s.ChangedSeq + history.Seq(r.int())
	r.token += history.Token(r.int())
	s.token = r.token
	s.Version = r.word()
	s.Attempt = r.word()
	s.ReadAt = time.Time{}
	if flags&timed != 0 {
		r.readAt += r.int()
		s.ReadAt = time.Unix(0, r.readAt).UTC()
	}
}

// checked packs the checks that looked at something, and how long after it had read. That is mostly at once, and then not written.
func (p *pagePacker) checked(version string, since history.Seq) {
	const later = 1
	n := p.index(version) << 1
	if since == 0 {
		p.count(n)
		return
	}
	p.count(n | later)
	p.int(int64(since))
}

func (r *pageReader) checked() (version string, since history.Seq) {
	n := r.uint()
	version = r.entry(n >> 1)
	if n&1 != 0 {
		since = history.Seq(r.int())
	}
	return version, since
}

// verdictCodec1 is the first layout of verdicts; today's goes on after it.
type (
	verdictCodec  struct{}
	verdictCodec1 struct{}
)

func (verdictCodec) pack(p *pagePacker, v *verdict) {
	verdictCodec1{}.pack(p, v)
	p.int(int64(v.CheckSeq - v.ReadSeq))
}

func (verdictCodec) read(r *pageReader, v *verdict) {
	verdictCodec1{}.read(r, v)
	v.CheckSeq = v.ReadSeq + history.Seq(r.int())
}

func (verdictCodec1) pack(p *pagePacker, v *verdict) {
	p.interval(v.Interval)
	p.count(int(v.Outcome))
	p.int(int64(v.ReadSeq - p.read))
	p.int(int64(v.written - p.written))
	p.read, p.written = v.ReadSeq, v.written
	p.word(v.Attempt)
	p.word(v.Version)
	p.word(v.CheckVersion)
	p.word(v.Reason)
}

func (verdictCodec1) read(r *pageReader, v *verdict) {
	v.Interval = r.interval()
	v.Outcome = history.Outcome(r.uint()) //nolint:gosec // as written
	r.read += history.Seq(r.int())
	r.written += history.Seq(r.int())
	v.ReadSeq, v.written = r.read, r.written
	v.Attempt, v.Version, v.CheckVersion, v.Reason = r.word(), r.word(), r.word(), r.word()
}
