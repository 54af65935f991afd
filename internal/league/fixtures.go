package league

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
)

// A game is one that is to be played.
type game struct {
	id         string
	date       calendar.Date
	season     season
	kind       string // regular or playoffs
	home, away *club
	neutral    bool
}

// newFixtures draws the regular season, ordered by date: every team plays 82 games, 41 at home, never twice a day. Ids follow the
// dates but for a few postponed games, which keep their low number.
func newFixtures(draw *rand.Rand, s season, clubs []*club) ([]game, error) {
	pairs := pairings(draw, len(clubs))
	dates := s.dates()
	placed, err := place(draw, pairs, dates)
	if err != nil {
		return nil, err
	}
	games := make([]game, 0, len(pairs))
	for i, d := range dates {
		for _, p := range placed[i] {
			games = append(games, game{date: d, season: s, kind: "regular", home: clubs[p.home], away: clubs[p.away]})
		}
	}
	for i := range games {
		games[i].id = fmt.Sprintf("002%s%05d", s.code, i+1)
	}
	for range 6 {
		a, b := draw.IntN(len(games)), draw.IntN(len(games))
		games[a].id, games[b].id = games[b].id, games[a].id
	}
	for range 2 {
		games[draw.IntN(len(games))].neutral = true
	}
	return games, nil
}

// A pairing is a home and an away team, by number.
type pairing struct{ home, away int }

// pairings are the season's games in random order: everybody twice against everybody, once at home, and once more against the 24
// neighbours in a random circle, at home against those who follow.
func pairings(draw *rand.Rand, teams int) []pairing {
	circle := draw.Perm(teams)
	var pairs []pairing
	for i := range teams {
		for j := range teams {
			if i != j {
				pairs = append(pairs, pairing{i, j})
			}
		}
		for k := 1; k <= 12; k++ {
			pairs = append(pairs, pairing{circle[i], circle[(i+k)%teams]})
		}
	}
	draw.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	return pairs
}

// A board keeps who plays on which date while games are being placed.
type board struct {
	games [][]pairing    // by date
	plays []map[int]bool // by date: the teams that play
	left  []int          // games left, by team
}

func (b *board) free(date int, p pairing) bool {
	return !b.plays[date][p.home] && !b.plays[date][p.away]
}

func (b *board) put(date int, p pairing) {
	b.games[date] = append(b.games[date], p)
	b.plays[date][p.home], b.plays[date][p.away] = true, true
	b.left[p.home]--
	b.left[p.away]--
}

// place gives every pairing a date. Date by date it takes the games of the teams that have most left to play and did not play the
// day before; what is left over at the end goes to any date on which both teams are free.
func place(draw *rand.Rand, pairs []pairing, dates []calendar.Date) ([][]pairing, error) {
	b := &board{games: make([][]pairing, len(dates)), plays: make([]map[int]bool, len(dates)), left: make([]int, 30)}
	for i := range dates {
		b.plays[i] = map[int]bool{}
	}
	for _, p := range pairs {
		b.left[p.home]++
		b.left[p.away]++
	}
	quota := quotas(draw, dates)
	carried := 0
	for i := range dates {
		want := quota[i] + carried
		pairs = b.fill(draw, dates, i, min(want, maxGamesADay), pairs)
		carried = want - len(b.games[i])
	}
	for _, p := range pairs {
		if !b.squeeze(p) {
			return nil, fmt.Errorf("no date on which teams %d and %d are both free", p.home, p.away)
		}
	}
	return b.games, nil
}

// fill puts up to want games on a date and returns the pairings that remain.
func (b *board) fill(draw *rand.Rand, dates []calendar.Date, date, want int, pairs []pairing) []pairing {
	tired := func(team int) float64 {
		if date == 0 || dates[date]-dates[date-1] != 1 || !b.plays[date-1][team] {
			return 0
		}
		if date > 1 && dates[date-1]-dates[date-2] == 1 && b.plays[date-2][team] {
			return 100
		}
		return 6
	}
	type choice struct {
		score float64
		at    int
	}
	choices := make([]choice, len(pairs))
	for i, p := range pairs {
		score := float64(b.left[p.home]+b.left[p.away]) + 4*draw.Float64() - tired(p.home) - tired(p.away)
		choices[i] = choice{score, i}
	}
	slices.SortFunc(choices, func(x, y choice) int { return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.at, y.at)) })
	taken := make(map[int]bool, want)
	for _, c := range choices {
		if len(taken) == want {
			break
		}
		if p := pairs[c.at]; b.free(date, p) {
			b.put(date, p)
			taken[c.at] = true
		}
	}
	rest := pairs[:0]
	for i, p := range pairs {
		if !taken[i] {
			rest = append(rest, p)
		}
	}
	return rest
}

// squeeze puts a pairing on the emptiest date but opening night on which both teams are free.
func (b *board) squeeze(p pairing) bool {
	best := -1
	for i := 1; i < len(b.games); i++ {
		if b.free(i, p) && len(b.games[i]) < maxGamesADay && (best < 0 || len(b.games[i]) < len(b.games[best])) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	b.put(best, p)
	return true
}
