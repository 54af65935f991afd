package league

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// A line is what one player did in a game.
type line struct {
	player                           *player
	seconds                          int
	fgm, fga, fg3m, fg3a, ftm, fta   int
	oreb, dreb, ast, stl, blk        int
	tov, pf, plusMinus               int
	teamTov                          int     // of a team's total: turnovers that are no player's
	wUse, wRebound, wAssist, wNimble float64 // weights when something is given out
}

func (l *line) pts() int { return 2*l.fgm + l.fg3m + l.ftm }

// add adds what another player did.
func (l *line) add(m *line) {
	for _, n := range []struct {
		to *int
		of int
	}{
		{&l.fgm, m.fgm},
		{&l.fga, m.fga},
		{&l.fg3m, m.fg3m},
		{&l.fg3a, m.fg3a},
		{&l.ftm, m.ftm},
		{&l.fta, m.fta},
		{&l.oreb, m.oreb},
		{&l.dreb, m.dreb},
		{&l.ast, m.ast},
		{&l.stl, m.stl},
		{&l.blk, m.blk},
		{&l.tov, m.tov},
		{&l.pf, m.pf},
	} {
		*n.to += n.of
	}
}

// A side is a team in a game.
type side struct {
	club    *club
	lines   []*line
	teamTov int // turnovers that are no player's: 0 to 7
	shots   []shot
}

func (s *side) sum(of func(*line) int) int {
	var n int
	for _, l := range s.lines {
		n += of(l)
	}
	return n
}

func (s *side) pts() int { return s.sum((*line).pts) }

// A result is a game played.
type result struct {
	overtimes  int
	home, away *side
}

const (
	regulation = 4 * 12 * 60 // seconds
	overtime   = 5 * 60
	onCourt    = 5
)

// play plays a game. All numbers are counted from events given to players: the totals cannot disagree with them.
func play(draw *rand.Rand, g game) result {
	var overtimes int
	for overtimes < 3 && draw.Float64() < 0.055 {
		overtimes++
	}
	seconds := regulation + overtimes*overtime
	r := result{overtimes: overtimes, home: lineUp(draw, g.home, seconds), away: lineUp(draw, g.away, seconds)}
	pace := (1 + 0.045*draw.NormFloat64()) * float64(seconds) / regulation
	homeCourt := 0.008
	if g.neutral {
		homeCourt = 0
	}
	r.home.attack(draw, r.away, pace, homeCourt, seconds)
	r.away.attack(draw, r.home, pace, 0, seconds)
	if r.home.pts() == r.away.pts() {
		l := r.home.lines[0]
		l.ftm++
		l.fta++
	}
	r.home.score(draw, r.home.pts()-r.away.pts(), seconds)
	r.away.score(draw, r.away.pts()-r.home.pts(), seconds)
	return r
}

// share is how much of a game the players play, from the best to the last.
var share = [rosterSize]float64{34, 33, 32, 30, 28, 23, 19, 15, 11, 8, 5, 3, 2, 1, 1}

// lineUp draws who plays and how long: five players on the court at any second.
func lineUp(draw *rand.Rand, c *club, seconds int) *side {
	s := &side{club: c}
	want := 9 + pick(draw, 5, func(i int) float64 { return []float64{15, 30, 30, 17, 8}[i] })
	var weights []float64
	for i, p := range c.roster {
		if len(s.lines) < want && (rosterSize-i <= want-len(s.lines) || draw.Float64() > 0.11) {
			s.lines = append(s.lines, &line{player: p})
			weights = append(weights, share[min(len(weights), rosterSize-1)]*math.Exp(0.18*draw.NormFloat64()))
		}
	}
	var sum float64
	for _, w := range weights {
		sum += w
	}
	left := onCourt * seconds
	longest := seconds * 7 / 8
	for i, l := range s.lines {
		l.seconds = max(40, min(int(weights[i]/sum*float64(onCourt*seconds)), longest))
		left -= l.seconds
	}
	for i := 0; left != 0; i = (i + 1) % len(s.lines) { // a minute more or less each, until it fits
		l := s.lines[i]
		change := max(-60, min(left, 60))
		change = max(40, min(l.seconds+change, longest)) - l.seconds
		l.seconds += change
		left -= change
	}
	if len(s.lines) < rosterSize && draw.Float64() < 0.035 {
		s.cameo(draw)
	}
	for _, l := range s.lines {
		t := float64(l.seconds)
		l.wUse, l.wRebound = t*l.player.usage, t*l.player.rebounds
		l.wAssist, l.wNimble = t*l.player.assists, t*l.player.steals
	}
	return s
}

// cameo sends somebody on for the last seconds of the game: his minutes round to 0.
func (s *side) cameo(draw *rand.Rand) {
	for _, p := range s.club.roster {
		if slices.ContainsFunc(s.lines, func(l *line) bool { return l.player == p }) {
			continue
		}
		l := &line{player: p, seconds: 5 + draw.IntN(24)}
		s.lines[0].seconds -= l.seconds
		s.lines = append(s.lines, l)
		return
	}
}

func (s *side) pick(draw *rand.Rand, weight func(*line) float64) *line {
	return s.lines[pick(draw, len(s.lines), func(i int) float64 { return weight(s.lines[i]) })]
}

// attack plays all possessions of a side against another: what is not a turnover or a trip to the free-throw line ends in shots.
func (s *side) attack(draw *rand.Rand, other *side, pace, edge float64, seconds int) {
	around := func(mean, deviation float64) int {
		return max(0, int(math.Round(pace*mean+deviation*draw.NormFloat64())))
	}
	edge += s.club.offence - other.club.defence
	for range around(10.9, 3.0) {
		l := s.pick(draw, func(l *line) float64 { return l.wUse * l.player.freeTry })
		for range 2 {
			l.fta++
			if draw.Float64() < l.player.freeMade {
				l.ftm++
			} else {
				s.rebound(draw, other, 0.12)
			}
		}
	}
	for range around(13.2, 3.4) {
		s.pick(draw, func(l *line) float64 { return l.wUse }).tov++
		if draw.Float64() < 0.56 {
			other.pick(draw, func(l *line) float64 { return l.wNimble }).stl++
		}
	}
	for s.teamTov < 7 && draw.Float64() < 0.4 {
		s.teamTov++
	}
	for range around(19.3, 3.2) {
		if l := s.pick(draw, func(l *line) float64 { return float64(l.seconds) * l.player.fouls }); l.pf < 6 {
			l.pf++
		}
	}
	possessions := pace*100.9 + 1.5*draw.NormFloat64()
	before := s.possessions()
	for used := before; used < possessions; used = s.possessions() {
		at := (used - before) / (possessions - before) * float64(seconds)
		s.shoot(draw, other, edge, min(max(int(at), 0), seconds-1))
	}
}

// possessions are those that have ended in a shot, free throws or a turnover and not in a rebound of one's own.
func (s *side) possessions() float64 {
	used := s.sum(func(l *line) int { return l.fga + l.tov - l.oreb }) + s.teamTov
	return float64(used) + 0.44*float64(s.sum(func(l *line) int { return l.fta }))
}

// shoot takes one shot, at a second of the game.
func (s *side) shoot(draw *rand.Rand, other *side, edge float64, at int) {
	l := s.pick(draw, func(l *line) float64 { return l.wUse })
	try := newShot(draw, l.player)
	try.at = at
	try.made = draw.Float64() < try.chance()+l.player.accuracy+edge
	s.shots = append(s.shots, try)
	l.fga++
	if try.three() {
		l.fg3a++
	}
	if !try.made {
		if !try.three() && draw.Float64() < 0.19 {
			other.pick(draw, func(l *line) float64 { return float64(l.seconds) * l.player.blocks }).blk++
		}
		s.rebound(draw, other, 0.22)
		return
	}
	l.fgm++
	if try.three() {
		l.fg3m++
	}
	if draw.Float64() < 0.69 {
		if helper := s.pick(draw, func(l *line) float64 { return l.wAssist }); helper != l {
			helper.ast++
		}
	}
}

// rebound gives a ball that missed to one of the ten on the court; one in eleven goes out of bounds.
func (s *side) rebound(draw *rand.Rand, other *side, offensive float64) {
	weight := func(l *line) float64 { return l.wRebound }
	switch x := draw.Float64(); {
	case x < offensive:
		s.pick(draw, weight).oreb++
	case x < 0.91:
		other.pick(draw, weight).dreb++
	}
}

// score gives every player his share of the margin for the time he played. The shares of the five on the court sum to five times it.
func (s *side) score(draw *rand.Rand, margin, seconds int) {
	left := onCourt * margin
	for _, l := range s.lines {
		part := float64(margin)*float64(l.seconds)/float64(seconds) + 6*draw.NormFloat64()*math.Sqrt(float64(l.seconds)/float64(seconds))
		l.plusMinus = int(math.Round(part))
		left -= l.plusMinus
	}
	byTime := slices.Clone(s.lines)
	slices.SortStableFunc(byTime, func(a, b *line) int { return cmp.Compare(b.seconds, a.seconds) })
	for i := 0; left != 0; i = (i + 1) % onCourt {
		step := max(-1, min(left, 1))
		byTime[i].plusMinus += step
		left -= step
	}
}
