package plan

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// Five times rapid's own number of random catalogs: most of them are dull. The command line overrides it.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "500"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fewSegments = 3
	os.Exit(m.Run())
}
