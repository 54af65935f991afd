package league

import (
	"math"
	"math/rand/v2"
)

// A shot is a field-goal attempt.
type shot struct {
	player   *player
	at       int // second of the game, from 0
	made     bool
	zone     *zone
	action   string
	distance int     // whole feet
	x, y     float64 // feet from the middle of the baseline
}

// A zone is a part of the floor.
type zone struct {
	basic, abb, rng string
	kind            string // 2PT or 3PT
	near, far       float64
	chance          float64 // of making it
	from, to        float64 // angle, in parts of a half turn from the right baseline
	actions         []string
}

var (
	restricted = &zone{
		basic: "Restricted Area", abb: "C", rng: "Less Than 8 ft.", kind: "2PT", near: 0, far: 4, chance: 0.66, from: 0, to: 1,
		actions: []string{"Driving Layup Shot", "Running Layup Shot", "Cutting Dunk Shot", "Tip Layup Shot"},
	}
	shortPaint = &zone{
		basic: "In The Paint (Non-RA)", abb: "C", rng: "Less Than 8 ft.", kind: "2PT", near: 4, far: 8.99, chance: 0.44, from: 0.2, to: 0.8,
		actions: []string{"Driving Floating Jump Shot", "Floating Jump shot"},
	}
	longPaint = &zone{
		basic: "In The Paint (Non-RA)", abb: "C", rng: "8-16 ft.", kind: "2PT", near: 9, far: 15, chance: 0.43, from: 0.35, to: 0.65,
		actions: []string{"Turnaround Jump Shot", "Pullup Jump shot"},
	}
	midRange = &zone{
		basic: "Mid-Range", abb: "C", rng: "16-24 ft.", kind: "2PT", near: 16, far: 22, chance: 0.41, from: 0.1, to: 0.9,
		actions: []string{"Pullup Jump shot", "Jump Shot", "Step Back Jump shot"},
	}
	leftCorner = &zone{
		basic: "Left Corner 3", abb: "L", rng: "24+ ft.", kind: "3PT", near: 22, far: 24, chance: 0.385, from: 0.96, to: 1,
		actions: []string{"Jump Shot"},
	}
	rightCorner = &zone{
		basic: "Right Corner 3", abb: "R", rng: "24+ ft.", kind: "3PT", near: 22, far: 24, chance: 0.385, from: 0, to: 0.04,
		actions: []string{"Jump Shot"},
	}
	aboveBreak = &zone{
		basic: "Above the Break 3", abb: "C", rng: "24+ ft.", kind: "3PT", near: 24, far: 29, chance: 0.35, from: 0.15, to: 0.85,
		actions: []string{"Jump Shot", "Pullup Jump shot", "Step Back Jump shot"},
	}
)

// newShot draws where a player shoots from and how.
func newShot(draw *rand.Rand, p *player) shot {
	x, y := draw.Float64(), draw.Float64()
	z := midRange
	switch {
	case x < p.paint && y < 0.7:
		z = restricted
	case x < p.paint:
		z = shortPaint
	case x < p.paint+p.three && y < 0.12:
		z = leftCorner
	case x < p.paint+p.three && y < 0.24:
		z = rightCorner
	case x < p.paint+p.three:
		z = aboveBreak
	case y < 0.4:
		z = longPaint
	}
	reach := z.near + (z.far-z.near)*draw.Float64()
	angle := math.Pi * (z.from + (z.to-z.from)*draw.Float64())
	tenth := func(v float64) float64 { return math.Round(10*v) / 10 }
	return shot{
		player: p, zone: z, action: z.actions[draw.IntN(len(z.actions))], distance: int(reach),
		x: tenth(reach * math.Cos(angle)), y: tenth(5.25 + reach*math.Sin(angle)), // the rim is 5.25 feet from the baseline
	}
}

func (s shot) three() bool { return s.zone.kind == "3PT" }

func (s shot) chance() float64 { return s.zone.chance }

// clock is the period and what its clock shows, in minutes and seconds.
func (s shot) clock() (period, minutes, seconds int) {
	const quarter = 12 * 60
	var left int
	if s.at < regulation {
		period, left = s.at/quarter+1, quarter-1-s.at%quarter
	} else {
		extra := s.at - regulation
		period, left = extra/overtime+5, overtime-1-extra%overtime
	}
	return period, left / 60, left % 60
}
