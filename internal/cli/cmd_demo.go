package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/headway-data/headway/examples/nba"
	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/league"
)

type demoCmd struct {
	Data string `help:"Folder with real box scores to use instead of generated ones; nothing in it is changed." placeholder:"DIR"`
	Dir  string `help:"Folder to make the project in; it must not exist. Default: a new folder for temporary files." placeholder:"DIR"`
	Seed uint64 `default:"1" help:"Seed of the generated data."`
	Part string `enum:"all,tour,incident" default:"all" help:"tour: the main job, then a correction; incident: the night on which two backfills met; all: both."`
}

// dataFile is what the pipeline's globs take: other files of a data folder stay where they are.
var dataFile = regexp.MustCompile(`^(player_box|team_box|schedule|shots|player_positions)_\d{4}-\d{2}\.csv\.gz$`)

// Run makes a project from the nba template, runs it, and shows what a correction of one source date makes stale. Every step is a command
// that a user could type, run as such.
func (cmd demoCmd) Run(inv *invocation) error {
	if inv.json() {
		return &backfill.InputError{What: "the demo tells its story in text", Next: "leave --output away; each command that it shows answers in JSON"}
	}
	dir, err := cmd.folder(inv)
	if err != nil {
		return err
	}
	from := cmd.Data
	if from == "" {
		inv.heading("A league is generated: invented players, real calendar, box scores that add up. (seed %d)", cmd.Seed)
	} else {
		from = resolve(inv.Dir, from)
		inv.heading("The real box scores of %s are copied into the project.", from)
	}
	if err := makeNBA(dir, from, cmd.Seed); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	inv.print("project: %s", dir)

	d := &demo{inv: inv, dir: dir}
	if cmd.Part != "incident" {
		if err := d.tour(data); err != nil {
			return err
		}
	}
	if cmd.Part != "tour" {
		if data, err = filepath.Abs(data); err != nil {
			return err
		}
		if err := d.incident(data); err != nil {
			return err
		}
	}
	project := dir
	if cmd.Part == "incident" {
		project = filepath.Join(dir, "incident", checkoutNew)
	}
	inv.print("\nThe projects stay in %s: try `headway --project %s why ml_feature_store %s`.", dir, project, tourDate)
	return nil
}

// tourDate is the night that the source corrects.
const tourDate = "2023-01-11"

// tour is the main job: plan, run, status, why, and a correction.
func (d *demo) tour(data string) error {
	date := tourDate
	inv := d.inv
	d.step("What has to be done? Nothing exists yet, so everything does.", "plan")
	complete := d.step("Do it. (More partitions than the guard allows unasked, hence --yes.)", "run", "--yes") == 0
	d.step("Coverage by state.", "status")
	if !complete {
		d.mend()
	}
	d.step("Why is this partition as it is?", "why", "player_composite_factors", date)
	d.step("Nothing has changed: nothing to do.", "run")
	if d.err != nil {
		return d.err
	}
	what, err := league.CorrectDate(data, date)
	if err != nil {
		return fmt.Errorf("correct a source date: %w", err)
	}
	inv.heading("The source corrects one night, %s: %s", date, what)
	d.step("What does that make stale, and why? That and nothing else.", "plan")
	d.step("Computing what may have changed shows what has not: there the cascade ends.", "run", "--yes")
	d.step("All is fresh again.", "status")
	if d.err != nil {
		return d.err
	}
	return nil
}

// mend ends what the feed of the real data lacks for good: dates of games without box scores. They are told, and then said to stay empty.
func (d *demo) mend() {
	if d.err != nil {
		return
	}
	// These tables hold the rows of the games themselves; the others are computed from the games before, and can go on.
	played := []string{"team_offense_game_summary", "team_defense_game_summary", "player_game_summary", "ml_feature_store"}
	from, to, ok := d.blocked(played[0])
	if !ok {
		return
	}
	d.step("Some dates are blocked, and with them what rests on them. Why?", "why", "ml_feature_store", to)
	why := "The feed has no rows of these games and never will. A person says so, with a reason; that ends it."
	for _, table := range played {
		d.step(why, "mark", table, "--from", from, "--to", to, "--as", "skipped", "--reason", "the feed has no box scores of these games")
		why = ""
	}
	d.step("Now the rest can be computed.", "run")
}

// blocked gives the first and the last partition of a table that are blocked.
func (d *demo) blocked(table string) (from, to string, ok bool) {
	var out bytes.Buffer
	quiet := *d.inv.Process
	quiet.Stdout, quiet.Stderr = &out, io.Discard
	if code := Main(d.inv.ctx, &quiet, []string{"--project", d.dir, "plan", table, "--no-observe", "-o", "json"}); code != 0 {
		return "", "", false
	}
	var p struct {
		Blocked []struct {
			Table     string `json:"table"`
			Partition string `json:"partition"`
		} `json:"blocked"`
	}
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		return "", "", false
	}
	for _, b := range p.Blocked {
		if b.Table == table {
			from, to = firstOf(from, b.Partition), b.Partition
		}
	}
	return from, to, from != ""
}

// MakeDemoProject makes the project of the demo in a new folder, with data copied from a folder; "" generates it.
func MakeDemoProject(dir, data string) error { return makeNBA(dir, data, 1) }

func makeNBA(dir, from string, seed uint64) error {
	if err := copyTemplate(nba.Files, dir); err != nil {
		return err
	}
	to := filepath.Join(dir, "data")
	var err error
	if from == "" {
		err = league.Write(to, league.Options{Seed: seed, Seasons: 2, Shots: true})
	} else {
		err = copyData(from, to)
	}
	if err != nil {
		return fmt.Errorf("prepare the data: %w", err)
	}
	return nil
}

// folder is where the demo's project goes.
func (cmd demoCmd) folder(inv *invocation) (string, error) {
	if cmd.Dir == "" {
		dir, err := os.MkdirTemp("", "headway-demo-")
		if err != nil {
			return "", fmt.Errorf("make a folder for the demo: %w", err)
		}
		return dir, nil
	}
	dir := resolve(inv.Dir, cmd.Dir)
	if _, err := os.Stat(filepath.Join(dir, projectFileName)); err == nil {
		return "", &backfill.InputError{What: dir + " holds a project", Next: "name a new folder with --dir"}
	}
	return dir, nil
}

func resolve(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

// copyData copies the files that the pipeline reads.
func copyData(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return &backfill.InputError{What: "the data folder cannot be read: " + err.Error(), Next: "name a folder with player_box_2021-22.csv.gz and its like"}
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	copied := 0
	for _, e := range entries {
		if !dataFile.MatchString(e.Name()) {
			continue
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
		copied++
	}
	if copied == 0 {
		return &backfill.InputError{What: from + " has no file like player_box_2021-22.csv.gz", Next: "name the folder with the box scores"}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from) //nolint:gosec // a path that the user named
	if err != nil {
		return err
	}
	defer in.Close()                                                      //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in the demo's own folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// A demo runs commands one after the other and stops at the first that fails without reason.
type demo struct {
	inv *invocation
	dir string
	err error
}

// step shows a command, runs it and gives its exit code. Exit 5 is no failure of the demo: real data has holes, and what they block is told.
func (d *demo) step(why string, args ...string) int {
	if d.err != nil {
		return 0
	}
	if why != "" {
		d.inv.heading("%s", why)
	}
	d.inv.print("$ headway %s", shellWords(args))
	began := d.inv.Now()
	code := Main(d.inv.ctx, d.inv.Process, append([]string{"--project", d.dir}, args...))
	d.inv.print("(%s, exit %d)", d.inv.Now().Sub(began).Round(10*time.Millisecond), code)
	if code != 0 && code != exitPartial && code != exitRefused {
		d.err = &exitError{Code: code, Err: fmt.Errorf("`headway %s` ended with exit %d", strings.Join(args, " "), code)}
	}
	return code
}

// shellWords joins arguments as a shell would have to be given them.
func shellWords(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		if words[i] = arg; strings.ContainsAny(arg, " '\"$") {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// heading sets a line apart.
func (inv *invocation) heading(format string, args ...any) {
	inv.print("\n"+format, args...)
}
