package league

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCorrectDate(t *testing.T) {
	const date = "2021-12-25"
	dir := written(t, Options{Seed: 3, Seasons: 2})
	before := contents(t, dir)
	playersBefore := records(t, filepath.Join(dir, "player_box_2021-22.csv.gz"))
	teamsBefore := records(t, filepath.Join(dir, "team_box_2021-22.csv.gz"))
	text, err := CorrectDate(dir, date)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, date) || !strings.Contains(text, "turnovers") {
		t.Errorf("it says %q", text)
	}
	after := contents(t, dir)
	var changed []string
	for name := range after {
		if !bytes.Equal(before[name], after[name]) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	if want := []string{"player_box_2021-22.csv.gz", "team_box_2021-22.csv.gz"}; !slices.Equal(changed, want) || len(before) != len(after) {
		t.Errorf("changed %v, want %v", changed, want)
	}
	players := records(t, filepath.Join(dir, "player_box_2021-22.csv.gz"))
	teams := records(t, filepath.Join(dir, "team_box_2021-22.csv.gz"))
	one := onlyChange(t, playersBefore, players)
	if team := onlyChange(t, teamsBefore, teams); one["game_id"] != team["game_id"] || one["team_id"] != team["team_id"] || team["game_date"] != date {
		t.Errorf("the player's row is of game %s, the team's of game %s", one["game_id"], team["game_id"])
	}
	checkIdentities(t, players, teams)
}

// onlyChange is the one row that differs, in one turnover more.
func onlyChange(t *testing.T, before, after []record) (row record) {
	t.Helper()
	for i, r := range after {
		for column := range r {
			if r[column] == before[i][column] {
				continue
			}
			if row != nil || column != "tov" || r.number(t, "tov") != before[i].number(t, "tov")+1 {
				t.Errorf("row %d: %s was %s and is %s", i, column, before[i][column], r[column])
			}
			row = r
		}
	}
	if row == nil {
		t.Fatal("nothing changed")
	}
	return row
}

func TestCorrectDateRefuses(t *testing.T) {
	dir := written(t, Options{Seed: 3, Seasons: 1})
	before := contents(t, dir)
	for _, tt := range []struct{ dir, date, says string }{
		{dir, "2021-12-24", "no"},
		{dir, "tomorrow", "no"},
		{t.TempDir(), "2021-12-25", "no file matches"},
	} {
		if _, err := CorrectDate(tt.dir, tt.date); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.date) {
			t.Errorf("CorrectDate(%s, %s): %v", tt.dir, tt.date, err)
		}
	}
	for name, text := range contents(t, dir) {
		if !bytes.Equal(before[name], text) {
			t.Errorf("%s changed though the correction was refused", name)
		}
	}
}

// TestCorrectDateOfRealFiles works on copies of real box scores, which are not part of the project.
func TestCorrectDateOfRealFiles(t *testing.T) {
	folder := os.Getenv("HEADWAY_NBA_DATA")
	if folder == "" {
		folder = "../../../shared/data/nba"
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("real NBA data: %v (set HEADWAY_NBA_DATA to the folder)", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"player_box_2023-24.csv.gz", "player_box_2024-25.csv.gz", "team_box_2023-24.csv.gz", "team_box_2024-25.csv.gz"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	players, teams := filepath.Join(dir, "player_box_2024-25.csv.gz"), filepath.Join(dir, "team_box_2024-25.csv.gz")
	playersBefore, teamsBefore := records(t, players), records(t, teams)
	text, err := CorrectDate(dir, "2025-01-15")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(text)
	one, team := onlyChange(t, playersBefore, records(t, players)), onlyChange(t, teamsBefore, records(t, teams))
	if one["game_id"] != team["game_id"] || one["team_id"] != team["team_id"] || team["game_date"] != "2025-01-15" {
		t.Errorf("the player's row is of game %s, the team's of game %s", one["game_id"], team["game_id"])
	}
	// Players have rows of this date, teams have none.
	if text, err := CorrectDate(dir, "2025-06-08"); err == nil {
		t.Errorf("half a box score was corrected: %s", text)
	}
}
