//go:build unix

package duckdb

import (
	"os"
	"syscall"
)

// inode is the number of the file itself: a file that was replaced by another has another one.
func inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
