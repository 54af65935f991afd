//go:build !linux

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

func canMount() bool { return false }

func readonly(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("read-only files are made by mounting, on Linux")
}

func smalldisk(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("small disks are mounted on Linux")
}

func writable(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("read-only files are made by mounting, on Linux")
}
