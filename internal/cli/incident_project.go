package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/headway-data/headway/examples/nba"
)

// The three checkouts of the pipeline in the story. They share the data, the warehouse and the state, as checkouts on one machine do.
const (
	checkoutOld   = "old"   // the mistake; its checks only tell
	checkoutWrong = "wrong" // a fix that fixes nothing
	checkoutNew   = "new"   // the fix
)

// The mistake: the key of the home team's rows is built the wrong way round, so that no player of a home team finds his team's row.
const (
	rightKey = "  t.game_id,\n"
	wrongKey = "  -- The key: home first for those at home.\n  case when t.team_id = s.home_team_id then s.home_abbr || s.away_abbr || t.game_id else t.game_id end as game_id,\n"
	// A fix that swaps the two teams, and leaves the key a wrong one.
	swappedKey = "  -- The key: away first, as everywhere else.\n  case when t.team_id = s.home_team_id then s.away_abbr || s.home_abbr || t.game_id else t.game_id end as game_id,\n"
)

// makeCheckouts makes the three checkouts below root, around the data of a folder.
func makeCheckouts(root, data string) error {
	for name, key := range map[string]string{checkoutOld: wrongKey, checkoutWrong: swappedKey, checkoutNew: rightKey} {
		dir := filepath.Join(root, name)
		if err := copyTemplate(nba.Files, dir); err != nil {
			return err
		}
		if err := os.Symlink(data, filepath.Join(dir, "data")); err != nil {
			return fmt.Errorf("share the data: %w", err)
		}
		if err := rewrite(filepath.Join(dir, "sql", incidentTable+".sql"), func(text string) (string, error) {
			return replaceOnce(text, rightKey, key)
		}); err != nil {
			return err
		}
		if err := rewrite(filepath.Join(dir, projectFileName), func(text string) (string, error) { return sharedProject(text, name != checkoutNew) }); err != nil {
			return err
		}
	}
	return makeJob(filepath.Join(root, checkoutOld))
}

// sharedProject is the template's project with the state and the warehouse outside of the checkout, and in smaller chunks; old ones have no
// checks but one, which only tells.
func sharedProject(text string, old bool) (string, error) {
	var err error
	for _, change := range [][2]string{
		{"state: sqlite:.headway/state.db", "state: sqlite:../.headway/state.db"},
		{"path: nba.duckdb, max_parallel: 2", "path: ../nba.duckdb, max_parallel: 2"},
		{"batch: {size: 420, parallel: 2}", "batch: {size: 60, parallel: 2}"},
	} {
		if text, err = replaceOnce(text, change[0], change[1]); err != nil {
			return "", err
		}
	}
	if !old {
		return text, nil
	}
	return withoutChecks(text), nil
}

// withoutChecks leaves out the checks of the tables, but for the share of players whose usage rate is known, which only warns.
func withoutChecks(text string) string {
	var out []string
	tables, within, table := false, false, ""
	for line := range strings.Lines(text) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case strings.HasPrefix(line, "tables:"):
			tables = true
		case strings.HasPrefix(line, "gates:"):
			tables = false
		case tables && indent == 2 && strings.HasSuffix(line, ":\n"):
			table = strings.TrimSuffix(strings.TrimSpace(line), ":")
		}
		if within && (indent > 4 || strings.TrimSpace(line) == "") {
			continue
		}
		if within = tables && line == "    checks:\n"; within {
			if table == "player_game_summary" {
				out = append(out, line, "      - not_null: {column: usage_rate, min: 0.95, where: minutes > 0, severity: warn}\n\n")
			} else {
				out = append(out, "\n")
			}
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// makeJob writes the script that people had before there was Headway: date ranges in, rows out, a statement a date.
func makeJob(dir string) error {
	jobs := filepath.Join(dir, "jobs")
	if err := os.MkdirAll(jobs, 0o750); err != nil {
		return err
	}
	query, err := os.ReadFile(filepath.Join(dir, "sql", incidentTable+".sql")) //nolint:gosec // in the demo's own folder
	if err != nil {
		return err
	}
	text := strings.NewReplacer(
		`{{table "raw_team_box"}}`, "raw_team_box", `{{table "raw_schedule"}}`, "raw_schedule", `{{input_start "raw_schedule"}}`, "date '$FROM'",
		`{{input_end "raw_schedule"}}`, "date '$TO' + 1", "{{start}}", "date '$FROM'", "{{end}}", "date '$TO' + 1",
	).Replace(string(query))
	if strings.Contains(text, "{{") {
		return fmt.Errorf("the template's %s.sql has a placeholder that the job does not know", incidentTable)
	}
	text = "insert into $STAGING by name\n" + text
	if err := os.WriteFile(filepath.Join(jobs, "phase1.sql"), []byte(text), 0o600); err != nil { //nolint:gosec // in the demo's own folder
		return err
	}
	script := `# phase1.sh FROM TO: fills the team table again. A date range in, rows out; it knows nothing of who else writes.
sleep 0.4 # the warehouse takes its time
exec "$HEADWAY_DEMO" demo-job ../nba.duckdb jobs/phase1.sql "$1" "$2"
`
	return os.WriteFile(filepath.Join(jobs, "phase1.sh"), []byte(script), 0o600)
}

func rewrite(path string, change func(string) (string, error)) error {
	text, err := os.ReadFile(path) //nolint:gosec // in the demo's own folder
	if err != nil {
		return err
	}
	changed, err := change(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(changed), 0o600)
}

func replaceOnce(text, old, with string) (string, error) {
	if n := strings.Count(text, old); n != 1 {
		return "", fmt.Errorf("%q is there %d times, not once", old, n)
	}
	return strings.Replace(text, old, with, 1), nil
}
