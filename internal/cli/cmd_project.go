package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headway-data/headway/examples/minimal"
	"github.com/headway-data/headway/examples/nba"
	"github.com/headway-data/headway/internal/backfill"
	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/league"
)

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(inv *invocation) error {
	if inv.json() {
		return inv.answer(struct {
			Schema  string `json:"schema"`
			Version string `json:"version"`
		}{"headway.version/v1", inv.Version})
	}
	inv.print("headway %s", inv.Version)
	return nil
}

type initCmd struct {
	Dir      string `arg:"" optional:"" default:"." help:"Folder of the new project."`
	Template string `enum:"minimal,nba" default:"minimal" help:"What to start from: minimal or nba."`
	Seed     uint64 `default:"1" help:"Seed of the generated data of the nba template."`
}

// Run writes a project that runs at once, with data of its own.
func (cmd initCmd) Run(inv *invocation) error {
	dir := cmd.Dir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(inv.Dir, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, projectFileName)); err == nil {
		return &backfill.InputError{What: dir + " already has a " + projectFileName, Next: "name another folder"}
	}
	files := fs.FS(minimal.Files)
	if cmd.Template == "nba" {
		files = nba.Files
	}
	if err := copyTemplate(files, dir); err != nil {
		return err
	}
	if cmd.Template == "nba" {
		inv.say("generating two seasons of a league (generated data, seed %d)", cmd.Seed)
		if err := league.Write(filepath.Join(dir, "data"), league.Options{Seed: cmd.Seed, Seasons: 2, Shots: true}); err != nil {
			return fmt.Errorf("generate data: %w", err)
		}
	}
	if inv.json() {
		return inv.answer(struct {
			Schema   string `json:"schema"`
			Dir      string `json:"dir"`
			Template string `json:"template"`
		}{"headway.init/v1", dir, cmd.Template})
	}
	inv.print("made %s from the template %s", dir, cmd.Template)
	inv.print("next: cd %s && headway plan", cmd.Dir)
	return nil
}

// copyTemplate writes the files of a template; a file that is there already stops it before anything is written.
func copyTemplate(files fs.FS, dir string) error {
	var names []string
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return &backfill.InputError{What: filepath.Join(dir, name) + " is there already", Next: "name an empty folder"}
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read the template: %w", err)
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return fmt.Errorf("make the project: %w", err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return fmt.Errorf("make the project: %w", err)
		}
	}
	return nil
}

type schemaCmd struct {
	Name string `arg:"" optional:"" help:"Which: project, plan, run, status, … Without a name: the list."`
}

// Run prints a JSON Schema.
func (cmd schemaCmd) Run(inv *invocation) error {
	if cmd.Name == "" {
		for _, name := range schemaNames() {
			inv.print("%s", name)
		}
		return nil
	}
	text, ok := schemaOf(cmd.Name)
	if !ok {
		return &backfill.InputError{What: fmt.Sprintf("no schema is named %q", cmd.Name), Next: "there are: " + strings.Join(schemaNames(), ", ")}
	}
	inv.print("%s", strings.TrimSpace(string(text)))
	return nil
}

type lineageCmd struct {
	Table  string `arg:"" optional:"" help:"Only what this table rests on and what rests on it."`
	Format string `enum:"text,dot,mermaid,json" default:"text" help:"text, dot, mermaid or json."`
}

// Run prints the graph of tables.
func (cmd lineageCmd) Run(inv *invocation) error {
	_, graph, err := inv.catalog()
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	if cmd.Table != "" {
		if graph.Table(cmd.Table) == nil {
			return &backfill.InputError{What: fmt.Sprintf("no table or source is named %q", cmd.Table)}
		}
		keep[cmd.Table] = true
		for _, name := range append(backfill.Closure([]string{cmd.Table}, graph.Upstream), backfill.Closure([]string{cmd.Table}, graph.Downstream)...) {
			keep[name] = true
		}
	}
	var nodes []*catalog.Table
	for _, component := range graph.Order() {
		for _, t := range component.Tables {
			if cmd.Table == "" || keep[t.Name] {
				nodes = append(nodes, t)
			}
		}
	}
	format := cmd.Format
	if inv.json() {
		format = "json"
	}
	return inv.printLineage(format, nodes, keep)
}

func (inv *invocation) printLineage(format string, nodes []*catalog.Table, keep map[string]bool) error {
	type edge struct {
		From   string   `json:"from"`
		To     string   `json:"to"`
		Window []string `json:"window"`
	}
	type node struct {
		Table    string  `json:"table"`
		Kind     string  `json:"kind"`
		Grain    string  `json:"grain"`
		Column   string  `json:"column"`
		Producer *string `json:"producer"`
	}
	var ns []node
	var es []edge
	for _, t := range nodes {
		one := node{t.Name, kindOf(t), t.Axis.Grain.String(), t.Column, nil}
		if t.Producer != "" {
			one.Producer = &t.Producer
		}
		ns = append(ns, one)
		for _, in := range t.Inputs {
			if len(keep) > 0 && !keep[in.Table] {
				continue
			}
			e := edge{From: in.Table, To: t.Name}
			for _, w := range in.Windows {
				e.Window = append(e.Window, w.String())
			}
			es = append(es, e)
		}
	}
	switch format {
	case "json":
		return inv.answer(struct {
			Schema string `json:"schema"`
			Tables []node `json:"tables"`
			Edges  []edge `json:"edges"`
		}{"headway.lineage/v1", notNil(ns), notNil(es)})
	case "dot":
		inv.print("digraph headway {\n  rankdir=LR;\n  node [shape=box];")
		for _, n := range ns {
			inv.print("  %q [label=\"%s\\n%s\"];", n.Table, n.Table, n.Kind)
		}
		for _, e := range es {
			inv.print("  %q -> %q [label=%q];", e.From, e.To, strings.Join(e.Window, ", "))
		}
		inv.print("}")
	case "mermaid":
		inv.print("flowchart LR")
		for _, e := range es {
			inv.print("  %s -->|\"%s\"| %s", e.From, strings.Join(e.Window, ", "), e.To)
		}
	default:
		for _, n := range ns {
			kind := n.Kind
			if n.Producer != nil {
				kind = "producer " + *n.Producer
			}
			inv.print("%s (%s, %s)", n.Table, kind, n.Grain)
			for _, e := range es {
				if e.To == n.Table {
					inv.print("  reads %s: %s", e.From, strings.Join(e.Window, ", "))
				}
			}
		}
	}
	return nil
}

func kindOf(t *catalog.Table) string {
	switch {
	case t.IsSource():
		return "source"
	case t.Command != nil:
		return "command"
	}
	return "sql"
}

// notNil makes an empty list of a nil one: lists in JSON are present, never null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// catalog parses the project without opening anything.
func (inv *invocation) catalog() (*catalog.Project, *catalog.Graph, error) {
	dir, file, err := inv.projectFile()
	if err != nil {
		return nil, nil, err
	}
	project, err := backfill.LoadProject(inv.Environment, dir, file, inv.flags.Env)
	if err != nil {
		return nil, nil, err
	}
	graph, err := catalog.NewGraph(project)
	if err != nil {
		return nil, nil, err
	}
	return project, graph, nil
}
