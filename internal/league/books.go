package league

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/calendar"
)

const (
	counts           = "fgm,fga,fg3m,fg3a,ftm,fta,oreb,dreb,reb,ast,stl,blk,tov,pf,pts,plus_minus"
	playerBoxColumns = "season,season_type,game_id,game_date,team_id,team_abbr,matchup,wl,player_id,player_name,min,min_sec," + counts + ",src"
	teamBoxColumns   = "season,season_type,game_id,game_date,team_id,team_abbr,team_name,matchup,wl,min," + counts + ",tov_scope,src"
	scheduleColumns  = "season,season_type,game_id,game_date,home_team_id,home_abbr,away_team_id,away_abbr,home_pts,away_pts,neutral,tipoff_utc,arena,arena_city,src"
	shotColumns      = "game_id,game_date,team_id,player_id,period,mins_left,secs_left,made,shot_type,action_type,zone_basic,zone_abb,zone_range,distance_ft,loc_x,loc_y"
	positionColumns  = "season,player_id,team_id,position,position_simple,src"
	neutralArena     = "Halfway Hall"
	neutralCity      = "Midland"
)

// books are the files of a season.
type books struct {
	season                           season
	players, teams, schedule, places *file
	shots                            *file // nil: no shot feed
}

func createBooks(dir string, s season, withShots bool) (*books, error) {
	b := &books{season: s}
	for _, f := range []struct {
		to            **file
		name, columns string
		wanted        bool
	}{
		{&b.players, "player_box", playerBoxColumns, true},
		{&b.teams, "team_box", teamBoxColumns, true},
		{&b.schedule, "schedule", scheduleColumns, true},
		{&b.places, "player_positions", positionColumns, true},
		{&b.shots, "shots", shotColumns, withShots},
	} {
		if !f.wanted {
			continue
		}
		var err error
		if *f.to, err = createFile(dir, f.name, s.name, f.columns); err != nil {
			_ = b.close() // the first error is the one to tell
			return nil, err
		}
	}
	return b, nil
}

func (b *books) close() error {
	var first error
	for _, f := range []*file{b.players, b.teams, b.schedule, b.places, b.shots} {
		if f == nil {
			continue
		}
		if err := f.close(); first == nil {
			first = err
		}
	}
	return first
}

// record writes a game down.
func (b *books) record(g game, r result) {
	b.scheduled(g, r.home.pts(), r.away.pts())
	for _, s := range []*side{r.home, r.away} {
		b.team(g, r, s)
		for _, l := range s.lines {
			b.player(g, r, s, l)
		}
		if b.shots != nil && g.kind == "regular" {
			for _, shot := range s.shots {
				b.shot(g, s, shot)
			}
		}
	}
	if g.kind == "regular" && r.home.pts() > r.away.pts() {
		g.home.wins++
	} else if g.kind == "regular" {
		g.away.wins++
	}
}

func (b *books) scheduled(g game, home, away int) {
	w := b.schedule
	w.text(g.season.name)
	w.text(g.kind)
	w.text(g.id)
	w.text(g.date.String())
	w.text(g.home.id)
	w.text(g.home.abbr)
	w.text(g.away.id)
	w.text(g.away.abbr)
	w.number(home)
	w.number(away)
	if g.neutral {
		w.number(1)
	} else {
		w.number(0)
	}
	w.text((g.date + 1).String() + "T00:30:00Z") // half past seven in the evening, in winter
	if g.neutral {
		w.text(neutralArena)
		w.text(neutralCity)
	} else {
		w.text(g.home.nick + " Arena")
		w.text(g.home.city)
	}
	w.text(generated)
	w.end()
}

// heading writes the columns that both box scores begin with. On neutral ground the matchup calls the home team a visitor, as it
// happens in real box scores.
func (w *file) heading(g game, r result, s *side, withName bool) {
	other := g.home
	if s.club == g.home {
		other = g.away
	}
	matchup := s.club.abbr + " @ " + other.abbr
	if (s.club == g.home) != g.neutral {
		matchup = s.club.abbr + " vs. " + other.abbr
	}
	won := "L"
	if (r.home.pts() > r.away.pts()) == (s == r.home) {
		won = "W"
	}
	w.text(g.season.name)
	w.text(g.kind)
	w.text(g.id)
	w.text(g.date.String())
	w.text(s.club.id)
	w.text(s.club.abbr)
	if withName {
		w.text(s.club.name())
	}
	w.text(matchup)
	w.text(won)
}

func (b *books) team(g game, r result, s *side) {
	w := b.teams
	w.heading(g, r, s, true)
	w.number(onCourt * (regulation + r.overtimes*overtime) / 60)
	all := line{teamTov: s.teamTov}
	for _, l := range s.lines {
		all.add(l)
	}
	all.plusMinus = r.home.pts() - r.away.pts()
	if s == r.away {
		all.plusMinus = -all.plusMinus
	}
	w.counts(&all)
	w.text("team")
	w.text(generated)
	w.end()
}

func (b *books) player(g game, r result, s *side, l *line) {
	w := b.players
	w.heading(g, r, s, false)
	w.text(l.player.id)
	if l.player.spelled != "" && strings.HasSuffix(g.id, "7") {
		w.text(l.player.spelled)
	} else {
		w.text(l.player.name)
	}
	if g.kind == "regular" {
		w.number((l.seconds + 30) / 60)
		w.text("")
	} else {
		w.decimal(float64((l.seconds*10000+30)/60) / 10000)
		w.text(fmt.Sprintf("%d:%02d", l.seconds/60, l.seconds%60))
	}
	w.counts(l)
	w.text(generated)
	w.end()
}

func (w *file) counts(l *line) {
	for _, n := range [...]int{
		l.fgm, l.fga, l.fg3m, l.fg3a, l.ftm, l.fta, l.oreb, l.dreb, l.oreb + l.dreb, l.ast, l.stl, l.blk, l.tov + l.teamTov, l.pf,
		l.pts(), l.plusMinus,
	} {
		w.number(n)
	}
}

func (b *books) shot(g game, s *side, shot shot) {
	w := b.shots
	period, minutes, seconds := shot.clock()
	w.text(g.id)
	w.text(g.date.String())
	w.text(s.club.id)
	w.text(shot.player.id)
	w.number(period)
	w.number(minutes)
	w.number(seconds)
	if shot.made {
		w.number(1)
	} else {
		w.number(0)
	}
	w.text(shot.zone.kind)
	w.text(shot.action)
	w.text(shot.zone.basic)
	w.text(shot.zone.abb)
	w.text(shot.zone.rng)
	w.number(shot.distance)
	w.decimal(shot.x)
	w.decimal(shot.y)
	w.end()
}

// exhibitions writes the games that are in the schedule and have no box score: All-Star, play-in and the cup's final.
func (b *books) exhibitions(s season) {
	b.exhibition(s, "allstar", "003", 1, s.allStar)
	b.exhibition(s, "allstar", "003", 2, s.allStar+2)
	for i := range 6 {
		b.exhibition(s, "playin", "005", i+1, s.playoffs-4+calendar.Date(i/2))
	}
	if s.cupFinal != 0 {
		b.exhibition(s, "cup_final", "006", 1, s.cupFinal)
	}
}

func (b *books) exhibition(s season, kind, prefix string, n int, date calendar.Date) {
	w := b.schedule
	for _, v := range []string{s.name, kind, fmt.Sprintf("%s%s%05d", prefix, s.code, n), date.String()} {
		w.text(v)
	}
	for range 4 { // nobody's teams
		w.text("")
	}
	w.number(120 + n)
	w.number(110)
	w.number(1)
	w.text("")
	w.text(neutralArena)
	w.text(neutralCity)
	w.text(generated)
	w.end()
}

// positions writes who plays where; of one player in forty nobody wrote it down.
func (b *books) positions(s season, clubs []*club) {
	type place struct {
		player *player
		club   *club
	}
	var places []place
	for _, c := range clubs {
		for i, p := range c.roster {
			if i == 12 && strings.ContainsAny(c.id[len(c.id)-1:], "0369") {
				continue
			}
			places = append(places, place{p, c})
		}
	}
	slices.SortFunc(places, func(x, y place) int { return strings.Compare(x.player.id, y.player.id) })
	for _, p := range places {
		for _, v := range []string{s.name, p.player.id, p.club.id, p.player.position, p.player.simple(), generated} {
			b.places.text(v)
		}
		b.places.end()
	}
}
