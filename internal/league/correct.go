package league

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// CorrectDate changes what one source date says, as a league does when it reviews a game: one turnover more for the busiest player of
// the first game of the date (YYYY-MM-DD), in the player's row and in his team's, so that the two still agree. It works on the files of
// a generated league and on copies of real ones, rewrites only the two files that hold the game, and says what it changed. A date
// without box scores is an error, and then nothing was written.
func CorrectDate(dir, date string) (description string, err error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("correct %s in %s: %w", date, dir, err) }
	players, err := sheetWith(dir, "player_box", date)
	if err != nil {
		return fail(err)
	}
	teams, err := sheetWith(dir, "team_box", date)
	if err != nil {
		return fail(err)
	}
	team := teams.first(date)
	player := players.busiest(date, team["game_id"], team["team_id"])
	if player == nil {
		return fail(fmt.Errorf("game %s has no rows of players of team %s", team["game_id"], team["team_id"]))
	}
	was := player["tov"]
	if err := errors.Join(players.raise(player, "tov"), teams.raise(team, "tov")); err != nil {
		return fail(err)
	}
	// Both are prepared before one of them takes its place.
	if err := errors.Join(players.prepare(), teams.prepare()); err != nil {
		return fail(err)
	}
	if err := errors.Join(players.replace(), teams.replace()); err != nil {
		return fail(err)
	}
	return fmt.Sprintf("game %s on %s: turnovers of %s (%s) corrected from %s to %s",
		team["game_id"], date, player["player_name"], team["team_abbr"], was, player["tov"]), nil
}

// A sheet is a gzip CSV file in memory.
type sheet struct {
	path   string
	header []string
	rows   [][]string
}

// A record is a row by column.
type record map[string]string

// sheetWith finds the file of that kind that has a row of a date.
func sheetWith(dir, kind, date string) (*sheet, error) {
	pattern := filepath.Join(dir, kind+"_*.csv.gz")
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no file matches %s", pattern)
	}
	for _, path := range paths {
		s, err := readSheet(path)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"game_id", "game_date", "team_id", "tov", "min"} {
			if s.column(name) < 0 {
				return nil, fmt.Errorf("%s: no column %s", path, name)
			}
		}
		if s.first(date) != nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no %s has a row of that date: pick a date with games", pattern)
}

func readSheet(path string) (*sheet, error) {
	f, err := os.Open(path) //nolint:gosec // a file of the folder that the caller named
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	zip, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no header", path)
	}
	return &sheet{path: path, header: rows[0], rows: rows[1:]}, nil
}

func (s *sheet) column(name string) int { return slices.Index(s.header, name) }

func (s *sheet) record(row []string) record {
	r := record{}
	for i, name := range s.header {
		r[name] = row[i]
	}
	return r
}

// first is the row of a date with the lowest game and team, nil if there is none.
func (s *sheet) first(date string) record {
	var best record
	on, game, team := s.column("game_date"), s.column("game_id"), s.column("team_id")
	for _, row := range s.rows {
		if row[on] != date {
			continue
		}
		if best == nil || row[game] < best["game_id"] || row[game] == best["game_id"] && row[team] < best["team_id"] {
			best = s.record(row)
		}
	}
	return best
}

// busiest is the row of the player of a team with the most minutes in a game, the lowest id of several; nil if there is none.
func (s *sheet) busiest(date, game, team string) record {
	var best record
	longest := -1.0
	on, in, of, minutes := s.column("game_date"), s.column("game_id"), s.column("team_id"), s.column("min")
	for _, row := range s.rows {
		if row[on] != date || row[in] != game || row[of] != team {
			continue
		}
		played, err := strconv.ParseFloat(row[minutes], 64)
		if err != nil {
			continue // a player without minutes is not the busiest
		}
		r := s.record(row)
		if played > longest || played == longest && r["player_id"] < best["player_id"] {
			best, longest = r, played
		}
	}
	return best
}

// raise adds one to a count, in the record and in the row that it was made from.
func (s *sheet) raise(r record, name string) error {
	n, err := strconv.Atoi(r[name])
	if err != nil {
		return fmt.Errorf("%s: %s of game %s: %w", s.path, name, r["game_id"], err)
	}
	at := slices.IndexFunc(s.rows, func(row []string) bool {
		for i, column := range s.header {
			if row[i] != r[column] {
				return false
			}
		}
		return true
	})
	r[name] = strconv.Itoa(n + 1)
	s.rows[at][s.column(name)] = r[name]
	return nil
}

// prepare writes the sheet beside its file.
func (s *sheet) prepare() error {
	var text bytes.Buffer
	zip := gzip.NewWriter(&text)
	w := csv.NewWriter(zip)
	if err := errors.Join(w.Write(s.header), w.WriteAll(s.rows), zip.Close()); err != nil {
		return err
	}
	return os.WriteFile(s.path+".new", text.Bytes(), 0o644) //nolint:gosec // data for everyone to read
}

// replace puts what prepare wrote in the file's place.
func (s *sheet) replace() error { return os.Rename(s.path+".new", s.path) }
