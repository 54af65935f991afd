package worker

import (
	"fmt"
	"strings"
	"time"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/ledger"
)

// OlderCode tells people of a table by its name why code is refused, and what they can do.
func OlderCode(table string, axis calendar.Axis, e *ledger.OlderCodeError) (what, next string) {
	const ranges = 3
	stands := fmt.Sprintf("version %.12s of %s, first published at %s UTC", e.Stands.Version, e.Stands.Producer, e.Stands.At.UTC().Format(time.DateTime))
	if by := by(&e.Stands); by != "" {
		stands += " by " + by
	}
	apart := "" // a wrapped command may be several in one
	if e.Producer != table {
		apart = "; if the two do different work: --producer NAME"
	}
	switch {
	case e.Fix:
		since := "published before that"
		if !e.Published {
			since = "asked for before that"
		}
		bounds := e.Set.Bounds()
		return fmt.Sprintf("%s %s holds what a fix wrote: %s. This run's code is version %.12s of %s, %s: it would undo the fix",
				table, axis.FormatSet(e.Set, ranges), stands, e.Version, e.Producer, since),
			fmt.Sprintf("take over what the fix wrote (headway code accept %s --from %s --to %s --reason …), or put the fix into this code; to overwrite it all the same: --allow-downgrade --reason …",
				table, axis.ID(bounds.Start), axis.ID(bounds.End-1))
	case !e.Published:
		return fmt.Sprintf("%s: %s, has published since this run was asked for. This run's code is version %.12s: nobody can tell whether it is newer", table, stands, e.Version),
			"if it is, start the run again; if not, get the newer code" + apart
	}
	next = fmt.Sprintf("get the newer code, or make this the head again (headway code promote %s --to %.12s --reason …); to write with it now: --allow-downgrade --reason …",
		table, e.Version)
	return fmt.Sprintf("%s: this run's code is version %.12s, which another has replaced: %s", table, e.Version, stands), next + apart
}

// by is who published a version first; "" where that is not known.
func by(v *ledger.VersionRecord) string {
	who := []string{v.User}
	if v.Run != "" {
		who = append(who, fmt.Sprintf("(run %s)", v.Run))
	}
	return strings.TrimSpace(strings.Join(who, " "))
}
