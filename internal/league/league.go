// Package league generates a league that does not exist: teams, players, schedule, box scores and shots in the files of the
// reference pipeline, so that it runs on a machine without real data. Everything in it is invented, and the files say so: their
// column src holds "generated" and a README stands beside them.
//
// The shape is that of real data: seasons of 1,230 games and 165 game dates or so, no game on 24 December, on Thanksgiving and in
// the All-Star break, playoffs, games in the schedule that have no box score. The box scores obey the identities of real ones:
// points are 2*fgm + fg3m + ftm, a team's row is the sum of its players' but for turnovers, where it is up to 7 higher, a team's
// minutes are 240 and 25 more for each overtime, every field goal is a row in the shot file.
package league

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Options say what to generate. The zero value is two seasons without shots.
type Options struct {
	// Seed decides everything: the same seed and options write the same bytes.
	Seed uint64
	// Seasons is how many to write, from 2021-22 on: 1 to 4. Zero means 2.
	Seasons int
	// Shots writes the shots of the seasons that have a feed: the regular seasons 2022-23 and 2023-24. Without it, and where none of
	// the seasons has one, there is one shot file with no row. The box scores are the same with and without.
	Shots bool
}

// generated is the value of the column src of all files that have one.
const generated = "generated"

// Write generates a league into dir, which is created, and replaces the files of that name. It returns an error for a number of
// seasons out of bounds or a file that cannot be written; a partly written folder may be left behind.
func Write(dir string, opt Options) error {
	if opt.Seasons == 0 {
		opt.Seasons = 2
	}
	if opt.Seasons < 1 || opt.Seasons > len(seasons) {
		return fmt.Errorf("generate a league: %d seasons, want 1 to %d", opt.Seasons, len(seasons))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // data for everyone to read
		return fmt.Errorf("generate a league: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(readme(opt)), 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("generate a league: %w", err)
	}
	draw := newDraw(opt.Seed, 0)
	clubs := newClubs(draw)
	wrote := false // a shot file
	for i, s := range seasons[:opt.Seasons] {
		if i > 0 {
			renewRosters(draw, clubs)
		}
		withShots := opt.Shots && s.shots
		if err := writeSeason(dir, s, clubs, opt.Seed+uint64(i)+1, withShots); err != nil {
			return fmt.Errorf("generate season %s: %w", s.name, err)
		}
		wrote = wrote || withShots
	}
	if wrote {
		return nil
	}
	// The pipeline's glob must find a file, and an empty one says "no shots".
	f, err := createFile(dir, "shots", seasons[0].name, shotColumns)
	if err != nil {
		return fmt.Errorf("generate a league: %w", err)
	}
	return f.close()
}

// newDraw is a stream of numbers that is the same for the same seed.
func newDraw(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // reproducible on purpose: nothing here is a secret
}

func writeSeason(dir string, s season, clubs []*club, seed uint64, withShots bool) (err error) {
	draw := newDraw(seed, 1)
	books, err := createBooks(dir, s, withShots)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := books.close(); err == nil {
			err = cerr
		}
	}()
	games, err := newFixtures(draw, s, clubs)
	if err != nil {
		return err
	}
	traded := false
	for _, g := range games {
		if !traded && g.date >= s.tradeDeadline() {
			trade(draw, clubs)
			traded = true
		}
		books.record(g, play(draw, g))
	}
	for _, g := range playoffs(draw, s, clubs) {
		books.record(g.game, g.result)
	}
	books.exhibitions(s)
	books.positions(s, clubs)
	return nil
}

func readme(opt Options) string {
	return fmt.Sprintf(`# A generated league

Everything here is invented: teams, players, games, numbers. It was generated from seed %d (%d seasons) in the shape of real box
scores, for trying a pipeline out. The column src of the files says "generated" too.
`, opt.Seed, opt.Seasons)
}
