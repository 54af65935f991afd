package league

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/calendar"
	"pgregory.net/rapid"
)

// written generates a league into a folder of its own.
func written(t *testing.T, opt Options) string {
	t.Helper()
	dir := t.TempDir()
	if err := Write(dir, opt); err != nil {
		t.Fatal(err)
	}
	return dir
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func records(t *testing.T, path string) (rows []record) {
	t.Helper()
	s, err := readSheet(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range s.rows {
		rows = append(rows, s.record(row))
	}
	return rows
}

func (r record) number(t *testing.T, column string) int {
	t.Helper()
	n, err := strconv.Atoi(r[column])
	if err != nil {
		t.Fatalf("%s: %v in %v", column, err, r)
	}
	return n
}

func TestWriteIsDeterministic(t *testing.T) {
	opt := Options{Seed: 7, Seasons: 2, Shots: true}
	one, two := contents(t, written(t, opt)), contents(t, written(t, opt))
	if len(one) != 10 { // four kinds for two seasons, the shots of the second, the README
		t.Errorf("%d files, want 10", len(one))
	}
	for name := range one {
		if !bytes.Equal(one[name], two[name]) {
			t.Errorf("%s differs between two runs with one seed", name)
		}
	}
	opt.Seed = 8
	for name, text := range contents(t, written(t, opt)) {
		if bytes.Equal(one[name], text) {
			t.Errorf("%s is the same for another seed", name)
		}
	}
	opt = Options{Seed: 7, Seasons: 2}
	for name, text := range contents(t, written(t, opt)) {
		if !strings.HasPrefix(name, "shots_") && !bytes.Equal(text, one[name]) {
			t.Errorf("%s depends on whether shots are written", name)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, seasons := range []int{-1, 5} {
		if err := Write(t.TempDir(), Options{Seasons: seasons}); err == nil {
			t.Errorf("%d seasons were not refused", seasons)
		}
	}
	// The shot files of a league: those of seasons with a feed, else one without rows.
	for _, tt := range []struct {
		opt  Options
		want []string
		rows bool
	}{
		{Options{Seasons: 1, Shots: true}, []string{"shots_2021-22.csv.gz"}, false},
		{Options{Seasons: 2}, []string{"shots_2021-22.csv.gz"}, false},
		{Options{Seasons: 2, Shots: true}, []string{"shots_2022-23.csv.gz"}, true},
	} {
		var got []string
		for name, text := range contents(t, written(t, tt.opt)) {
			if !strings.HasPrefix(name, "shots_") {
				continue
			}
			got = append(got, name)
			if rows := len(text) > 1000; rows != tt.rows { // a header alone is shorter
				t.Errorf("%+v: %s has %d bytes", tt.opt, name, len(text))
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v wrote %v, want %v", tt.opt, got, tt.want)
		}
	}
}

func TestWriteTellsAnUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

// TestLeague looks at four generated seasons as at real ones.
func TestLeague(t *testing.T) {
	dir := written(t, Options{Seed: 1, Seasons: 4, Shots: true})
	for _, s := range seasons {
		path := func(kind string) string { return filepath.Join(dir, kind+"_"+s.name+".csv.gz") }
		players, teams, schedule := records(t, path("player_box")), records(t, path("team_box")), records(t, path("schedule"))
		t.Run(s.name+"/calendar", func(t *testing.T) { checkCalendar(t, s, schedule) })
		t.Run(s.name+"/identities", func(t *testing.T) { checkIdentities(t, players, teams) })
		t.Run(s.name+"/scores", func(t *testing.T) { checkScores(t, schedule, teams) })
		t.Run(s.name+"/positions", func(t *testing.T) { checkPositions(t, records(t, path("player_positions")), players) })
		if s.shots {
			t.Run(s.name+"/shots", func(t *testing.T) { checkShots(t, records(t, path("shots")), players) })
		}
	}
}

func checkCalendar(t *testing.T, s season, schedule []record) {
	games, home, byDay := map[string]int{}, map[string]int{}, map[string]int{}
	dates := map[string]map[string]bool{}
	twice := map[string]bool{}
	for _, g := range schedule {
		if dates[g["season_type"]] == nil {
			dates[g["season_type"]] = map[string]bool{}
		}
		dates[g["season_type"]][g["game_date"]] = true
		if g["src"] != generated {
			t.Fatalf("game %s is not called generated", g["game_id"])
		}
		if g["season_type"] != "regular" && g["season_type"] != "playoffs" {
			continue
		}
		byDay[g["game_date"]]++
		for _, team := range []string{g["home_team_id"], g["away_team_id"]} {
			if key := team + g["game_date"]; twice[key] {
				t.Errorf("team %s plays twice on %s", team, g["game_date"])
			} else {
				twice[key] = true
			}
			if g["season_type"] == "regular" {
				games[team]++
			}
		}
		if g["season_type"] == "regular" {
			home[g["home_team_id"]]++
		}
	}
	for team, n := range games {
		if n != 82 || home[team] != 41 {
			t.Errorf("team %s plays %d games, %d at home", team, n, home[team])
		}
	}
	if len(games) != 30 {
		t.Errorf("%d teams", len(games))
	}
	for date, n := range byDay {
		if n > maxGamesADay {
			t.Errorf("%d games on %s", n, date)
		}
	}
	regular := slices.Sorted(maps.Keys(dates["regular"]))
	playoffs := slices.Sorted(maps.Keys(dates["playoffs"]))
	ends := []string{regular[0], regular[len(regular)-1], playoffs[0], playoffs[len(playoffs)-1]}
	if want := []string{s.first.String(), s.last.String(), s.playoffs.String(), s.end.String()}; !slices.Equal(ends, want) {
		t.Errorf("the season's dates are %v, want %v", ends, want)
	}
	for d := s.first; d <= s.last; d++ {
		if dates["regular"][d.String()] == s.off(d) {
			t.Errorf("%s: games %v, day off %v", d, dates["regular"][d.String()], s.off(d))
		}
	}
	if len(dates["playin"]) != 3 || len(dates["allstar"]) != 2 {
		t.Errorf("play-in on %v, All-Star on %v", dates["playin"], dates["allstar"])
	}
}

var countColumns = strings.Split(counts, ",")

func checkIdentities(t *testing.T, players, teams []record) {
	sums := map[string]map[string]int{}
	seen := map[string]bool{}
	zero := 0
	for _, p := range players {
		key := p["game_id"] + p["team_id"]
		if seen[p["game_id"]+p["player_id"]] {
			t.Errorf("player %s has two rows in game %s", p["player_id"], p["game_id"])
		}
		seen[p["game_id"]+p["player_id"]] = true
		if sums[key] == nil {
			sums[key] = map[string]int{}
		}
		for _, c := range countColumns {
			sums[key][c] += p.number(t, c)
		}
		checkLine(t, p)
		if p["min"] == "0" {
			zero++
		}
		if (p["season_type"] == "playoffs") != (p["min_sec"] != "") {
			t.Errorf("min_sec is %q in a game of the %s", p["min_sec"], p["season_type"])
		}
	}
	for _, team := range teams {
		sum := sums[team["game_id"]+team["team_id"]]
		for _, c := range countColumns {
			extra := team.number(t, c) - sum[c]
			switch {
			case c == "plus_minus":
				extra = onCourt*team.number(t, c) - sum[c]
			case c == "tov" && extra > 0 && extra <= 7:
				extra = 0
			}
			if extra != 0 {
				t.Errorf("game %s, team %s: %s is %s, the players' sum is %d", team["game_id"], team["team_id"], c, team[c], sum[c])
			}
		}
		checkLine(t, team)
		if m := team.number(t, "min"); m < 240 || (m-240)%25 != 0 {
			t.Errorf("game %s: %d minutes", team["game_id"], m)
		}
	}
	if len(sums) != len(teams) {
		t.Errorf("%d teams have players, %d have rows", len(sums), len(teams))
	}
	if zero < 40 || zero > 160 {
		t.Errorf("%d players with 0 minutes, real seasons have about 90", zero)
	}
}

func checkLine(t *testing.T, r record) {
	t.Helper()
	n := func(c string) int { return r.number(t, c) }
	ok := n("pts") == 2*n("fgm")+n("fg3m")+n("ftm") && n("reb") == n("oreb")+n("dreb") && n("fgm") <= n("fga") && n("fg3m") <= n("fg3a") &&
		n("fg3a") <= n("fga") && n("fg3m") <= n("fgm") && n("ftm") <= n("fta") && n("pf") >= 0
	if !ok || r["src"] != generated {
		t.Errorf("an impossible line: %v", r)
	}
}

func checkScores(t *testing.T, schedule, teams []record) {
	points := map[string]string{}
	for _, team := range teams {
		points[team["game_id"]+team["team_id"]] = team["pts"]
		if (team.number(t, "plus_minus") > 0) != (team["wl"] == "W") || team["plus_minus"] == "0" {
			t.Errorf("game %s: %s by %s", team["game_id"], team["wl"], team["plus_minus"])
		}
	}
	swapped := 0
	for _, g := range schedule {
		if g["home_team_id"] == "" {
			continue
		}
		home, away := points[g["game_id"]+g["home_team_id"]], points[g["game_id"]+g["away_team_id"]]
		if home != g["home_pts"] || away != g["away_pts"] {
			t.Errorf("game %s: the schedule says %s:%s, the box score %s:%s", g["game_id"], g["home_pts"], g["away_pts"], home, away)
		}
		if g["neutral"] == "1" {
			swapped++
		}
	}
	if swapped == 0 {
		t.Error("no game on neutral ground")
	}
}

func checkPositions(t *testing.T, positions, players []record) {
	known := map[string]bool{}
	for _, p := range positions {
		if known[p["player_id"]] {
			t.Errorf("player %s stands there twice", p["player_id"])
		}
		known[p["player_id"]] = true
		if p["position_simple"] != p["position"][:1] {
			t.Errorf("%s in short is %s", p["position"], p["position_simple"])
		}
	}
	unknown := 0
	for _, p := range players {
		if !known[p["player_id"]] {
			unknown++
		}
	}
	if unknown == 0 || unknown > len(players)/20 {
		t.Errorf("%d of %d rows are of players without a position", unknown, len(players))
	}
}

func checkShots(t *testing.T, shots, players []record) {
	type line struct{ fga, fgm, fg3a, fg3m int }
	feed := map[string]line{}
	for _, s := range shots {
		key := s["game_id"] + s["player_id"]
		l := feed[key]
		made := s.number(t, "made")
		l.fga++
		l.fgm += made
		if s["shot_type"] == "3PT" {
			l.fg3a++
			l.fg3m += made
		}
		feed[key] = l
		if p, m, sec := s.number(t, "period"), s.number(t, "mins_left"), s.number(t, "secs_left"); p < 1 || p > 7 || m > 11 || sec > 59 {
			t.Errorf("a shot in period %d with %d:%02d to go", p, m, sec)
		}
		if far := s.number(t, "distance_ft"); (s["shot_type"] == "3PT") != (far >= 22) {
			t.Errorf("a %s from %d feet", s["shot_type"], far)
		}
	}
	for _, p := range players {
		if p["season_type"] != "regular" {
			continue
		}
		want := line{p.number(t, "fga"), p.number(t, "fgm"), p.number(t, "fg3a"), p.number(t, "fg3m")}
		if got := feed[p["game_id"]+p["player_id"]]; got != want {
			t.Errorf("game %s, player %s: the feed says %+v, the box score %+v", p["game_id"], p["player_id"], got, want)
		}
	}
}

// TestPlaceFindsDates draws schedules from any seed: each game gets a date, and no team plays twice on one.
func TestPlaceFindsDates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(seasons).Draw(t, "season")
		draw := newDraw(rapid.Uint64().Draw(t, "seed"), 0)
		clubs := newClubs(draw)
		games, err := newFixtures(draw, s, clubs)
		if err != nil {
			t.Fatal(err)
		}
		if len(games) != regularGames {
			t.Fatalf("%d games", len(games))
		}
		type evening struct {
			club *club
			date calendar.Date
		}
		busy := map[evening]bool{}
		for _, g := range games {
			for _, c := range []*club{g.home, g.away} {
				if busy[evening{c, g.date}] || s.off(g.date) {
					t.Fatalf("%s plays twice, or on a day off, on %s", c.abbr, g.date)
				}
				busy[evening{c, g.date}] = true
			}
		}
	})
}
