package league

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/headway-data/headway/internal/calendar"
)

// A played is a game with its result.
type played struct {
	game
	result result
}

// roundStart is the day of the playoffs on which a round begins; a series plays every other day, and half of them begin a day later.
// The final is counted back from the last day instead.
var roundStart = [3]calendar.Date{0, 15, 31}

// hostsHigher says who hosts the games of a series: the team with the better record those that are true.
var hostsHigher = [7]bool{true, true, false, false, true, false, true}

const winsOfSeries = 4

// playoffs plays the best eight of each half of the league, best of seven, and returns the games by date.
func playoffs(draw *rand.Rand, s season, clubs []*club) []played {
	var games []played
	var halves [2][]*club
	for i := range halves {
		half := slices.Clone(clubs[i*len(clubs)/2 : (i+1)*len(clubs)/2])
		slices.SortStableFunc(half, func(a, b *club) int { return cmp.Compare(b.wins, a.wins) })
		// In bracket order: 1-8, 4-5, 3-6, 2-7.
		for _, seed := range []int{0, 7, 3, 4, 2, 5, 1, 6} {
			halves[i] = append(halves[i], half[seed])
		}
	}
	alive := slices.Concat(halves[0], halves[1])
	for round := 1; len(alive) > 1; round++ {
		var winners []*club
		for i := 0; i < len(alive); i += 2 {
			series, winner := playSeries(draw, s, fmt.Sprintf("004%s00%d%d", s.code, round, i/2), alive[i], alive[i+1])
			for n := range series {
				if round <= len(roundStart) {
					series[n].date = s.playoffs + roundStart[round-1] + calendar.Date(i/2%2+2*n)
				} else {
					series[n].date = s.end - calendar.Date(2*(len(series)-1-n))
				}
			}
			games = append(games, series...)
			winners = append(winners, winner)
		}
		alive = winners
	}
	slices.SortStableFunc(games, func(a, b played) int { return cmp.Or(cmp.Compare(a.date, b.date), cmp.Compare(a.id, b.id)) })
	return games
}

// playSeries plays until a team has won four. The games have no dates yet.
func playSeries(draw *rand.Rand, s season, id string, a, b *club) (games []played, winner *club) {
	if b.wins > a.wins {
		a, b = b, a
	}
	won := map[*club]int{}
	for n := 0; won[a] < winsOfSeries && won[b] < winsOfSeries; n++ {
		g := game{id: fmt.Sprintf("%s%d", id, n+1), season: s, kind: "playoffs", home: a, away: b}
		if !hostsHigher[n] {
			g.home, g.away = b, a
		}
		r := play(draw, g)
		if r.home.pts() > r.away.pts() {
			won[g.home]++
		} else {
			won[g.away]++
		}
		games = append(games, played{g, r})
	}
	if won[a] == winsOfSeries {
		return games, a
	}
	return games, b
}
