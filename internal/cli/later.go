package cli

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/headway-data/headway/internal/backfill"
)

// laterCommands are the commands of the contract that this version does not have. They are no part of the help, and say so when called.
type laterCommands struct {
	Gate   laterCmd `cmd:"" hidden:"" passthrough:"" help:"Ask whether work may pass."`
	Verify laterCmd `cmd:"" hidden:"" passthrough:"" help:"Find writes behind Headway's back."`
	Undo   laterCmd `cmd:"" hidden:"" passthrough:"" help:"Put back what a run replaced."`
	Serve  laterCmd `cmd:"" hidden:"" passthrough:"" help:"Serve the API and the page."`
	Worker laterCmd `cmd:"" hidden:"" passthrough:"" help:"Take steps from a server."`
}

type laterCmd struct {
	Rest []string `arg:"" optional:"" passthrough:""`
}

// instead says what does the work of a command until it is there.
var instead = map[string]string{
	"gate":    "use `headway status --exit-code` and `headway check`",
	"verify":  "use `headway check`, or `headway mark --as stale` for what must be computed again",
	"undo":    "put the sources back and use `headway run`",
	"copy":    "copy the state's file while nothing runs",
	"compact": "nothing else makes a state smaller",
}

// Run says that the command is not there.
func (laterCmd) Run(inv *invocation, k *kong.Context) error {
	inv.flags.Output = outputOf(inv.args) // the flags of such a command are not read
	name := k.Selected().Name
	next := "see docs/cli.md, \"Not there yet\""
	if other, ok := instead[name]; ok {
		next = other
	}
	return &backfill.InputError{What: fmt.Sprintf("this version of Headway does not have the command %q", name), Next: next}
}

// laterFlags are the flags of the contract for run that this version does not have. What they ask for by default is what it does.
type laterFlags struct {
	Override bool `hidden:"" json:"-"`
	Twice    bool `hidden:"" json:"-"`
}

// refuse names a flag that was given and is not there: a run that leaves out what it was asked for must not look as if it had done it.
func (f laterFlags) refuse() error {
	var flag string
	next := "leave it away; see docs/cli.md, \"Not there yet\""
	switch {
	case f.Override:
		flag = "--override"
	case f.Twice:
		flag = "--twice"
	default:
		return nil
	}
	return &backfill.InputError{What: "this version of Headway does not have run " + flag, Next: next}
}

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"Command."`
}

// Run is never reached: Main turns `help X` into `X --help`, which prints and ends.
func (helpCmd) Run() error { return nil }

// commandNames are the commands that a line may name, from the definition itself.
var commandNames = namesOf(reflect.TypeFor[commands]())

func namesOf(t reflect.Type) map[string]bool {
	out := map[string]bool{}
	for field := range t.Fields() {
		if _, ok := field.Tag.Lookup("cmd"); ok && field.Tag.Get("hidden") == "" {
			name := field.Tag.Get("name") // where it is not the field's
			if name == "" {
				name = strings.ToLower(field.Name)
			}
			out[name] = true
		}
	}
	return out
}
