// Package nba is the reference pipeline: a project file and its SQL, from box scores to a feature store.
package nba

import "embed"

// Files holds headway.yaml and the folder sql, as `headway init --template nba` writes them. The project reads its sources from
// the folder data beside them.
//
//go:embed headway.yaml sql
var Files embed.FS
