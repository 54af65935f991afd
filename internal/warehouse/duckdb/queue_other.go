//go:build !linux && !darwin

package duckdb

import "errors"

// A place is in no queue here: the database's own lock keeps processes apart, and nobody sees who waits.
type place struct{}

var errNoQueue = errors.New("no queue")

func takePlace(string, bool) (*place, error) { return nil, errNoQueue }
func (*place) first() (bool, error)          { return true, nil }
func (*place) wanted() (bool, error)         { return false, nil }
func (*place) holder() string                { return "" }
func (*place) signLent(bool)                 {}
func (*place) leave()                        {}
