package duckdb

// As in the system's fcntl.h; golang.org/x/sys does not name them.
const (
	setLock = 90 // F_OFD_SETLK
	getLock = 92 // F_OFD_GETLK
)
