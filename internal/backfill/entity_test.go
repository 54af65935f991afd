package backfill_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/plan"
)

const entityYAML = `version: 1
project: entity
warehouses:
  main: {type: duckdb, path: proof.duckdb}
calendars:
  nights: {file: nights.csv, column: day}
periods:
  season: [{from: 2024-03-01, to: 2024-03-14}, {from: 2024-03-15, to: 2024-03-31}]
defaults:
  partition: {column: day, grain: day, calendar: nights, start: 2024-03-01}
  batch: {size: 5}
sources:
  box: {files: data/box.csv, contract: {columns: {day: date, player: varchar, points: integer}}}
tables:
  form:
    inputs: [box: {window: [{since: season, through: 0}]}]
`

// The mean of a player's last three games before the day, this season, for who plays that day.
const entitySQL = `with before as (
	select p.player, b.points, p.day, row_number() over (partition by p.day, p.player order by b.day desc) as back
	from {{table "box"}} p
	join {{partitions}} c on p.day >= c.partition_start::date and p.day < c.partition_end::date
	join {{table "box"}} b on b.player = p.player and b.day < p.day and b.day >= c.season_start::date
)
select day, player, sum(points)::double as points, count(*) as games from before where back <= 3 group by day, player
union all
select day, 'team', sum(points), count(*) from {{table "box"}} where day >= {{start}} and day < {{end}} group by day`

func entityBox(without string) string {
	rows := []string{"day,player,points"}
	for d := 1; d <= 28; d++ {
		for _, player := range []string{"ada", "bob"} {
			row := fmt.Sprintf("2024-03-%02d,%s,%d", d, player, d*d%17+len(player))
			if (player != "bob" || d%2 == 0) && row[:len("2024-03-01,ada")] != without {
				rows = append(rows, row)
			}
		}
	}
	return strings.Join(rows, "\n") + "\n"
}

func newEntity(t *testing.T, without string) *site {
	s := newSite(folder(t))
	nights := []string{"day"}
	for d := 1; d <= 28; d++ {
		nights = append(nights, fmt.Sprintf("2024-03-%02d", d))
	}
	s.write(t, map[string]string{
		"headway.yaml": entityYAML, "sql/form.sql": entitySQL, "nights.csv": strings.Join(nights, "\n") + "\n", "data/box.csv": entityBox(without),
	})
	return s
}

// TestRule19_APlayerLosesHisRow: he is not in today's data; his next games are stale all the same, as far as their windows reach, which
// without windows per entity is the rest of the season. The next season is left alone.
func TestRule19_APlayerLosesHisRow(t *testing.T) {
	s := newEntity(t, "")
	s.settle(t)
	s.write(t, map[string]string{"data/box.csv": entityBox("2024-03-06,bob")})
	r, planned, err := s.run(t.Context(), plan.Request{}, backfill.RunOptions{})
	if err != nil || r.Exit != 0 {
		t.Fatalf("%v: %s", err, describe(r))
	}
	if planned != 9 { // the 6th to the 14th
		t.Errorf("%d partitions planned, want the rest of the season: 9", planned)
	}
	// Bob's games of the 8th, the 10th and the 12th reach the one that he lost; of the 6th the team's line; what did not change is cut off.
	if r.Published-r.Unchanged != 4 {
		t.Errorf("%d partitions have changed, want 4: %s", r.Published-r.Unchanged, describe(r))
	}
	fresh := newEntity(t, "2024-03-06,bob")
	fresh.settle(t)
	const all = "select day, player, points, games from form order by day, player"
	if got, want := s.query(t, all), fresh.query(t, all); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
