package league

import (
	"math/rand/v2"
	"time"

	"github.com/headway-data/headway/internal/calendar"
)

// A season is a year of the league. The dates are those of the real seasons of that name, so that one list of periods fits both.
type season struct {
	name, code    string // 2021-22, 21
	first, last   calendar.Date
	playoffs, end calendar.Date // the first and the last day of the playoffs
	allStar       calendar.Date // the Friday on which the break of six days begins
	cupFinal      calendar.Date // 0: none. No other game is played that day.
	shots         bool          // there is a shot feed
}

var seasons = []season{
	{
		name: "2021-22", code: "21",
		first: day(2021, 10, 19), last: day(2022, 4, 10), playoffs: day(2022, 4, 16), end: day(2022, 6, 16), allStar: day(2022, 2, 18),
	},
	{
		name: "2022-23", code: "22", shots: true,
		first: day(2022, 10, 18), last: day(2023, 4, 9), playoffs: day(2023, 4, 15), end: day(2023, 6, 12), allStar: day(2023, 2, 17),
	},
	{
		name: "2023-24", code: "23", shots: true,
		first: day(2023, 10, 24), last: day(2024, 4, 14), playoffs: day(2024, 4, 20), end: day(2024, 6, 17), allStar: day(2024, 2, 16),
		cupFinal: day(2023, 12, 9),
	},
	{
		name: "2024-25", code: "24",
		first: day(2024, 10, 22), last: day(2025, 4, 13), playoffs: day(2025, 4, 19), end: day(2025, 6, 22), allStar: day(2025, 2, 14),
		cupFinal: day(2024, 12, 17),
	},
}

func day(y int, m time.Month, d int) calendar.Date { return calendar.DateOf(y, m, d) }

// breakDays is the length of the All-Star break.
const breakDays = 6

// off reports whether nobody plays on a day of the regular season.
func (s season) off(d calendar.Date) bool {
	_, month, dom := d.Civil()
	switch {
	case d >= s.allStar && d < s.allStar+breakDays:
		return true
	case s.cupFinal != 0 && d == s.cupFinal:
		return true
	case month == time.December && dom == 24:
		return true
	case month == time.November && d.Weekday() == time.Thursday && dom >= 22 && dom <= 28: // Thanksgiving
		return true
	case month == time.April && d.Weekday() == time.Monday && dom <= 7: // the college final
		return true
	}
	return false
}

// dates are the regular season's days with games.
func (s season) dates() []calendar.Date {
	var dates []calendar.Date
	for d := s.first; d <= s.last; d++ {
		if !s.off(d) {
			dates = append(dates, d)
		}
	}
	return dates
}

// tradeDeadline is eight days before the All-Star break.
func (s season) tradeDeadline() calendar.Date { return s.allStar - 8 }

// busy is how many games a day of the week has on average, from Sunday.
var busy = [7]float64{7.5, 8.1, 5.9, 9.7, 5.1, 9.4, 7.1}

const (
	regularGames = 1230
	maxGamesADay = 15
)

// quotas shares the season's games out over its dates: two on opening night, all teams on the last day, more on Wednesdays and
// Fridays than on Thursdays. They sum to regularGames.
func quotas(draw *rand.Rand, dates []calendar.Date) []int {
	weights := make([]float64, len(dates))
	var sum float64
	for i, d := range dates {
		weights[i] = busy[d.Weekday()] * (0.6 + 0.8*draw.Float64())
		sum += weights[i]
	}
	q := make([]int, len(dates))
	left := regularGames
	for i := range dates {
		q[i] = min(max(int(weights[i]/sum*regularGames), 1), maxGamesADay-1)
		left -= q[i]
	}
	first, last := q[0], q[len(q)-1]
	q[0], q[len(q)-1] = 2, maxGamesADay
	left += first + last - 2 - maxGamesADay
	for i := 1; left != 0; i = i%(len(q)-2) + 1 { // over all but the first and the last date
		switch {
		case left > 0 && q[i] < maxGamesADay-1:
			q[i]++
			left--
		case left < 0 && q[i] > 1:
			q[i]--
			left++
		}
	}
	return q
}
